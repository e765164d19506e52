// Everything secret that main has for its workers: the material of the certificates, the keys that came as text, the keys of
// session tickets; and the files that TLS options name. The material lies in an anonymous file that workers can only read,
// each with the places of what it may use; a change adds to it, and what no worker can want any more is given back.
//
// A change has the steps of a transaction: `draft` reads and checks whatever it names and throws with everything that is
// wrong, `commit` makes it what is served, `abandon` forgets it.

import type { Change } from "../config/changes.ts";
import type { CertificateState, ClusterState, ListenerState, State } from "../config/state.ts";
import { AppendFile } from "../sys/append_file.ts";
import { opensslMissing } from "../sys/x509.ts";
import type { CertificateEntry, WorkerSnapshot } from "../worker/protocol.ts";
import { ControlError } from "./errors.ts";
import type { Keys } from "./key_store.ts";
import { type CertificateReport, type Material, MaterialError, readMaterial, stampOf } from "./material.ts";
import type { ChangeError } from "./protocol.ts";
import { type HandedTicketKeys, TicketKeys } from "./ticket_keys.ts";
import { fileKeysOf, readClusterFiles, readListenerFiles, TlsOptionError } from "./tls_files.ts";
import { turn } from "./waiting.ts";

/** What a worker that starts is given. */
export type CredentialsDescription = Pick<WorkerSnapshot, "certificates" | "files" | "ticketKeys"> & {
  /** Descriptor with the material; undefined while there is none. */
  fd: number | undefined;
};

/** A certificate that is served. */
export interface Known {
  entry: CertificateEntry;
  report: CertificateReport;
  digest: string;
  stamp: string;
}

/** What a change does to the credentials, until it is decided. */
export interface CredentialsDraft {
  /** null: removed. */
  certificates: Map<string, Known | null>;
  /** Content of the files that are new, or whose content is. */
  files: Map<string, string>;
  keys: Keys;
  /** Certificates that were read again and have another content, though the state says the same of them. */
  readAnew: string[];
}

/** What one main hands over to the next; the keys are in it. */
export interface HandedCredentials {
  keys: [digest: string, pem: string][];
  tickets: HandedTicketKeys;
}

/** More certificates than this at once are checked quickly (see `readMaterial`). */
const QUICK_FROM = 64;
/** Certificates that are read without a break. */
const PIECE = 100;
/** Errors of one change. */
const ERRORS_MAX = 100;

const NO_KEYS: Keys = new Map();

export class Credentials {
  readonly tickets = new TicketKeys();
  readonly #known = new Map<string, Known>();
  readonly #files = new Map<string, string>();
  #keys = new Map<string, string>();
  #file: AppendFile | undefined;
  /** Material that workers might still want which serve what was served before. */
  #leaving: CertificateEntry[] = [];

  constructor(private readonly warn: (text: string, fields: Record<string, string>) => void = () => {}) {}

  /** Everything that a state needs, for the first workers. Throws a ControlError with all that is wrong. */
  async load(state: State, keys: Keys): Promise<void> {
    const changes: Change[] = [
      ...Object.entries(state.certificates).map(([name, after]) => ({
        object: "certificate",
        name,
        before: null,
        after,
      })),
      ...Object.entries(state.listeners).map(([name, after]) => ({ object: "listener", name, before: null, after })),
      ...Object.entries(state.clusters).map(([name, after]) => ({ object: "cluster", name, before: null, after })),
    ] as Change[];
    this.commit(await this.draft(state, changes, keys), state);
  }

  /** With `draft`, as it will be when that is committed. */
  describe(draft?: CredentialsDraft): CredentialsDescription {
    const known = new Map<string, Known | null>([...this.#known, ...draft?.certificates ?? []]);
    return {
      certificates: [...known.values()].flatMap((certificate) => certificate?.entry ?? []),
      files: Object.fromEntries([...this.#files, ...draft?.files ?? []]),
      ticketKeys: [...this.tickets.keys],
      fd: this.#file?.readable,
    };
  }

  /** Descriptor with the material; undefined while there is none. */
  get fd(): number | undefined {
    return this.#file?.readable;
  }

  /** What is served, by name. */
  get known(): ReadonlyMap<string, Known> {
    return this.#known;
  }

  /** Keys that came as text. */
  get keys(): Keys {
    return this.#keys;
  }

  /**
   * What the changes that lead to `after` mean for the credentials. `again` names certificates whose files are read again
   * though nothing changes in them; "all" is every file. Throws a ControlError, and then nothing has changed.
   */
  async draft(
    after: State,
    changes: readonly Change[],
    keys: Keys = NO_KEYS,
    again: ReadonlySet<string> | "all" = new Set(),
  ): Promise<CredentialsDraft> {
    const draft: CredentialsDraft = { certificates: new Map(), files: new Map(), keys, readAnew: [] };
    const reading = new DraftReading(
      draft,
      this.#known,
      this.#files,
      (digest) => keys.get(digest) ?? this.#keys.get(digest),
    );
    try {
      await reading.read(after, changes, again, (material, name) => this.#place(material, name));
      reading.finish();
      return draft;
    } catch (error) {
      this.abandon(draft);
      throw error;
    }
  }

  #place({ content, report }: Material, name: string): CertificateEntry {
    const file = this.#file ??= new AppendFile("kakehi-certificates");
    return { name, names: report.names, ...file.append(content), keyType: report.keyType };
  }

  abandon({ certificates }: CredentialsDraft): void {
    for (const [name, known] of certificates) {
      if (known && known.entry.at !== this.#known.get(name)?.entry.at) this.#file!.release(known.entry);
    }
  }

  /** From now on this is served; gives whether the keys of tickets have changed. */
  commit({ certificates, files, keys }: CredentialsDraft, state: State): boolean {
    for (const [name, next] of certificates) {
      const before = this.#known.get(name);
      if (before && before.entry.at !== next?.entry.at) this.#leaving.push(before.entry);
      if (next) this.#known.set(name, next);
      else this.#known.delete(name);
      if (next && before?.digest !== next.digest) this.#warnOfDates(name, next.report);
    }
    for (const [path, text] of files) this.#files.set(path, text);
    for (const [digest, pem] of keys) this.#keys.set(digest, pem);
    return this.tickets.follow(state);
  }

  #warnOfDates(name: string, { notBeforeMs, notAfterMs }: CertificateReport, nowMs = Date.now()): void {
    const day = (ms: number) => new Date(ms).toISOString();
    if (notAfterMs <= nowMs) this.warn("a certificate has expired", { certificate: name, not_after: day(notAfterMs) });
    if (notBeforeMs > nowMs) {
      this.warn("a certificate is not valid yet", { certificate: name, not_before: day(notBeforeMs) });
    }
  }

  /** All workers serve what was committed last, and none finishes what it had before: what has left is given back. */
  releaseLeaving(): void {
    for (const entry of this.#leaving.splice(0)) this.#file!.release(entry);
  }

  /** Forgets the keys, but for those that `named` gives, and the files that the state does not name. */
  forget(named: Iterable<string>, state: State): void {
    const kept = new Set(named);
    for (const digest of this.#keys.keys()) if (!kept.has(digest)) this.#keys.delete(digest);
    const objects = [...Object.values(state.listeners), ...Object.values(state.clusters)];
    if (this.#files.size === 0) return;
    const paths = new Set(objects.flatMap(fileKeysOf));
    for (const path of this.#files.keys()) if (!paths.has(path)) this.#files.delete(path);
  }

  handOver(): HandedCredentials {
    return { keys: [...this.#keys], tickets: this.tickets.handOver() };
  }

  /** Before `load`, which reads the rest. */
  adopt({ keys, tickets }: HandedCredentials): void {
    this.#keys = new Map(keys);
    this.tickets.adopt(tickets);
  }

  close(): void {
    this.tickets.close();
    this.#file?.close();
    this.#file = undefined;
  }
}

/** Reads what a change names, and collects what is wrong with it. */
class DraftReading {
  readonly #errors: ChangeError[] = [];
  readonly #texts: string[] = [];

  constructor(
    private readonly draft: CredentialsDraft,
    private readonly known: ReadonlyMap<string, Known>,
    private readonly files: ReadonlyMap<string, string>,
    private readonly key: (digest: string) => string | undefined,
  ) {}

  async read(
    after: State,
    changes: readonly Change[],
    again: ReadonlySet<string> | "all",
    place: (material: Material, name: string) => CertificateEntry,
  ): Promise<void> {
    const changed = changes.flatMap((change) => change.object === "certificate" ? [change] : []);
    for (const { name, after } of changed) if (!after) this.draft.certificates.set(name, null);
    const names = new Set(changed.flatMap(({ name, after }) => after ? [name] : []));
    const asked = again === "all" ? [] : [...again].filter((name) => Object.hasOwn(after.certificates, name));
    const wanted: [string, CertificateState][] = again === "all"
      ? Object.entries(after.certificates)
      : [...new Set([...names, ...asked])].map((name) => [name, after.certificates[name]!]);
    this.#checkLibrary(wanted.length > 0, changes);
    if (this.#errors.length > 0) return;
    const quick = wanted.length > QUICK_FROM;
    for (const [at, [name, state]] of wanted.entries()) {
      if (at > 0 && at % PIECE === 0) await turn();
      const mayBeTheSame = again === "all" && !names.has(name);
      if (mayBeTheSame && this.#isUntouched(name, state)) continue;
      this.#certificate(name, state, names.has(name), quick, place);
    }
    this.#optionFiles(after, changes, again === "all");
  }

  finish(): void {
    if (this.#errors.length === 0) return;
    const [{ object }] = this.#errors as [ChangeError];
    throw new ControlError("invalid", this.#texts.join("\n"), { object, errors: this.#errors });
  }

  /** Without OpenSSL nothing of this can be served. */
  #checkLibrary(hasCertificates: boolean, changes: readonly Change[]): void {
    const speaksTls = changes.some(({ object, after }) =>
      (object === "listener" || object === "cluster") && (after as ListenerState | ClusterState | null)?.tls
    );
    const missing = hasCertificates || speaksTls ? opensslMissing() : undefined;
    if (missing !== undefined) this.#add({ object: "certificates", reason: missing }, missing);
  }

  /** Whether the files are known to be those that were read. */
  #isUntouched(name: string, state: CertificateState): boolean {
    const stamp = this.known.get(name)?.stamp;
    return stamp !== undefined && stamp !== "" && stamp === stampOf(state);
  }

  #certificate(
    name: string,
    state: CertificateState,
    isChanged: boolean,
    quick: boolean,
    place: (material: Material, name: string) => CertificateEntry,
  ): void {
    const known = this.known.get(name);
    try {
      const material = readMaterial(name, state, this.key, quick);
      const { report, digest, stamp } = material;
      const isSame = known?.digest === digest;
      if (isSame && !isChanged) return void (known.stamp = stamp);
      const entry = isSame ? { ...known.entry, names: report.names } : place(material, name);
      this.draft.certificates.set(name, { entry, report, digest, stamp });
      if (!isChanged) this.draft.readAnew.push(name);
    } catch (error) {
      if (!(error instanceof MaterialError)) throw error;
      const { key, place, expected, got, hint } = error;
      const reason = `got ${got}`;
      const about = { object: `certificate ${name}`, key: `value.${key}`, expected, reason: `${place}: ${reason}` };
      this.#add(hint === "" ? about : { ...about, hint }, error.message);
    }
  }

  #optionFiles(after: State, changes: readonly Change[], again: boolean): void {
    const named = (kind: "listener" | "cluster") =>
      new Set(changes.flatMap((change) => change.object === kind && change.after ? [change.name] : []));
    const [listeners, clusters] = [named("listener"), named("cluster")];
    if (again) { for (const name in after.listeners) listeners.add(name); }
    for (const name of listeners) this.#take(() => readListenerFiles(name, after.listeners[name]!));
    if (again) { for (const name in after.clusters) if (after.clusters[name]!.tls) clusters.add(name); }
    for (const name of clusters) this.#take(() => readClusterFiles(name, after.clusters[name]!));
  }

  #take(read: () => [path: string, text: string][]): void {
    try {
      for (const [path, text] of read()) if (this.files.get(path) !== text) this.draft.files.set(path, text);
    } catch (error) {
      if (!(error instanceof TlsOptionError)) throw error;
      const { object, key, place, expected, got } = error;
      this.#add({ object, key: `value.${key}`, expected, reason: `${place && `${place}: `}got ${got}` }, error.message);
    }
  }

  #add(error: ChangeError, text: string): void {
    if (this.#errors.length >= ERRORS_MAX) return;
    this.#errors.push({ code: "invalid", ...error });
    this.#texts.push(text);
  }
}
