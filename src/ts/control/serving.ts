// A revision of the state as the workers are given it: the snapshot for a process that starts, and the access log. The
// snapshot is written only when a process needs one; after a live change that is not before one dies.

import { redirectPort } from "../config/mod.ts";
import type { State } from "../config/mod.ts";
import { closeFd, memoryFile, openForAppend } from "../sys/fds.ts";
import type { WorkerSnapshot } from "../worker/protocol.ts";
import type { CredentialsDescription } from "./credentials.ts";
import type { Resolved } from "./resolve.ts";

export const STDOUT = 1;

/** Far above what a worker takes on a busy host: about 60 ms, and 15 µs for each object. One that needs longer hangs. */
const READY_LIMIT_MS = 10_000;
const READY_LIMIT_PER_OBJECT_MS = 0.1;

/** How long a worker may take until it is ready to serve a state. */
export function readyLimitMs({ routes, clusters }: State): number {
  return READY_LIMIT_MS + Math.round(READY_LIMIT_PER_OBJECT_MS * (routes.length + Object.keys(clusters).length));
}

export type Description = Pick<WorkerSnapshot, "routeIds" | "resolved"> & {
  /** Left out where nobody speaks TLS. */
  credentials?: CredentialsDescription | undefined;
};

const NO_CREDENTIALS: CredentialsDescription = { certificates: [], files: {}, ticketKeys: [], fd: undefined };

export class Serving {
  /** What the workers write to; undefined: no access log. */
  accessLog: number | undefined;
  #snapshot: number | undefined;
  #certificates: number | undefined;

  /** `describe` gives what a snapshot has beside the state; it is asked as long as this revision is the one that serves. */
  private constructor(
    readonly revision: number,
    readonly state: State,
    private readonly describe: () => Description,
    accessLog: number | undefined,
  ) {
    this.accessLog = accessLog;
  }

  /** For new workers. Throws when the access log cannot be opened. */
  static open(revision: number, state: State, describe: () => Description): Serving {
    return new Serving(revision, state, describe, openAccessLog(state));
  }

  /** The first one: routes are numbered by their places. */
  static first(
    revision: number,
    state: State,
    resolved: Resolved,
    credentials?: { describe(): CredentialsDescription },
  ): Serving {
    const routeIds = state.routes.map((_, index) => index);
    return Serving.open(revision, state, () => ({ routeIds, resolved, credentials: credentials?.describe() }));
  }

  /** What another main served, with the access log that it has open. */
  static takeOver(
    revision: number,
    state: State,
    describe: () => Description,
    accessLog: number | undefined,
  ): Serving {
    return new Serving(revision, state, describe, accessLog);
  }

  /** The next one for the same workers, which go on with the access log that they have. */
  succeed(revision: number, state: State, describe: () => Description): Serving {
    return new Serving(revision, state, describe, this.accessLog);
  }

  /** Memfd with the snapshot. O(size of the state) when it is first asked for. */
  get snapshot(): number {
    if (this.#snapshot !== undefined) return this.#snapshot;
    const { revision, state } = this;
    const { credentials, ...rest } = this.describe();
    const { fd, ...described } = credentials ?? NO_CREDENTIALS;
    this.#certificates = fd;
    const redirects = redirectsOf(state);
    const content = JSON.stringify({ revision, state, redirects, ...rest, ...described } satisfies WorkerSnapshot);
    return this.#snapshot = memoryFile("kakehi-snapshot", new TextEncoder().encode(content));
  }

  /** Descriptor with the material of the certificates that the snapshot names; undefined: there is none. */
  get certificates(): number | undefined {
    void this.snapshot;
    return this.#certificates;
  }

  /** What describes it has changed: whoever starts from now on gets another snapshot. */
  describeAnew(): void {
    if (this.#snapshot !== undefined) closeFd(this.#snapshot);
    this.#snapshot = undefined;
  }

  /** Gives up the snapshot; and the access log, unless the `next` one has taken it over. */
  close(next?: Serving): void {
    if (this.#snapshot !== undefined) closeFd(this.#snapshot);
    this.#snapshot = undefined;
    const { accessLog } = this;
    if (accessLog !== undefined && accessLog !== STDOUT && accessLog !== next?.accessLog) closeFd(accessLog);
  }

  /** Opens the access log anew; gives the old descriptor, to be closed. Throws, with nothing changed, when it cannot. */
  reopenAccessLog(): number | undefined {
    const old = this.accessLog;
    if (old === undefined || old === STDOUT) return undefined;
    this.accessLog = openAccessLog(this.state);
    return old;
  }
}

function redirectsOf({ listeners }: State): Record<string, number> {
  const ports = Object.entries(listeners).map(([name, one]) =>
    [name, redirectPort(one, Object.values(listeners))] as const
  );
  return Object.fromEntries(ports.filter(([, port]) => port !== 0));
}

function openAccessLog({ access_log }: State): number | undefined {
  if (access_log === null) return undefined;
  return access_log.path === "stdout" ? STDOUT : openForAppend(access_log.path);
}
