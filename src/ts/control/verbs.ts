// What main does for each verb of the control protocol. Requests come checked for id and verb only: everything else about
// them may be anything.

import type { Order, RouteKey } from "../config/orders.ts";
import { formatErrors } from "../config/problem.ts";
import type { State } from "../config/state.ts";
import { LOG_LEVELS } from "../observe/log.ts";
import { opensslInUse } from "../sys/openssl_library.ts";
import { VERSION } from "./version.ts";
import { ControlError } from "./errors.ts";
import type { Events } from "./events.ts";
import { explainRequest } from "./explain.ts";
import { Fields } from "./fields.ts";
import { getObject } from "./get.ts";
import { metricsText } from "./metrics.ts";
import { invalid, type Wanted } from "./planning.ts";
import {
  type ControlRequest,
  EVENT_NAMES,
  type EventName,
  HISTORY_MAX,
  OBJECT_KINDS,
  type ProxyStatus,
  type RevisionSource,
  type VersionAnswer,
  WORKERS_MAX,
} from "./protocol.ts";
import type { Asking } from "./server.ts";
import { certificateDetails, proxyStatus, workerReports } from "./status.ts";
import type { Supervisor } from "./supervisor.ts";
import type { ApplyOptions, Transactions } from "./transactions.ts";

export interface VerbsOptions {
  supervisor: Supervisor;
  transactions: Transactions;
  events: Events;
  source: string;
  socket: string;
  setLogLevel: (level: State["log"]["level"]) => void;
  stop: (atOnce: boolean) => Promise<void>;
  upgrade: (binary: string | undefined, say: (doing: string) => void) => Promise<object>;
  upgrades: () => number;
}

const PROGRESS_MS = 1_000;
const REVISION_MAX = Number.MAX_SAFE_INTEGER;
/** Events that wait for a subscriber; one that is further behind is dropped. */
const SUBSCRIBER_BYTES_MAX = 1024 * 1024;

export class Verbs {
  constructor(private readonly options: VerbsOptions) {}

  async answer(request: ControlRequest, asking: Asking): Promise<object> {
    const fields = new Fields(request);
    switch (request.verb) {
      case "version":
        fields.refuseOthers();
        return this.#version();
      case "status":
        fields.refuseOthers();
        return await this.#status();
      case "metrics":
        fields.refuseOthers();
        return { text: metricsText(await this.#status(), this.options.transactions.credentials.known) };
      case "plan":
        return await this.#plan(fields);
      case "apply":
        return await this.#apply(fields, asking);
      case "rollback":
        return await this.#rollback(fields, asking);
      case "history":
        return this.#history(fields);
      case "get":
        return this.#get(fields);
      case "explain":
        return await explainRequest(fields, this.options.supervisor, this.options.transactions);
      case "workers":
        return await this.#workers(fields, asking);
      case "log":
        return this.#log(fields);
      case "subscribe":
        return await this.#subscribe(fields, asking);
      case "upgrade":
        return await this.#upgrade(fields, asking);
      case "stop":
        return await this.#stop(fields, asking);
    }
  }

  #version(): VersionAnswer {
    const { deno, v8 } = Deno.version;
    return { version: VERSION, deno, v8, openssl: opensslInUse() ?? null, pid: Deno.pid };
  }

  async #status(): Promise<ProxyStatus> {
    const { supervisor, transactions, source, socket, upgrades } = this.options;
    const { hash, servedHash, state: { clusters }, credentials: { known: certificates } } = transactions;
    const told = { source, socket, upgrades: upgrades(), hash, servedHash, clusters, certificates };
    return await proxyStatus({ supervisor, ...told });
  }

  async #plan(fields: Fields): Promise<object> {
    const { wanted } = await readWanted(fields);
    fields.refuseOthers();
    return await this.options.transactions.plan(wanted);
  }

  async #apply(fields: Fields, asking: Asking): Promise<object> {
    const { wanted, source } = await readWanted(fields);
    const options = { ...readApplyOptions(fields, asking), source };
    fields.refuseOthers();
    return await this.options.transactions.apply(wanted, options);
  }

  async #rollback(fields: Fields, asking: Asking): Promise<object> {
    const revision = fields.count("revision", 0, REVISION_MAX);
    const options = { ...readApplyOptions(fields, asking), source: "rollback" } as const;
    fields.refuseOthers();
    return await this.options.transactions.rollback(revision, options);
  }

  #history(fields: Fields): object {
    const limit = fields.count("limit", 1, HISTORY_MAX);
    fields.refuseOthers();
    return { revisions: this.options.transactions.history.reports(limit) };
  }

  #get(fields: Fields): object {
    const asked = {
      object: fields.oneOf("object", OBJECT_KINDS),
      name: fields.text("name"),
      key: fields.record("key") as RouteKey | undefined,
      filter: readFilter(fields),
    };
    fields.refuseOthers();
    const { state, revision } = this.options.transactions;
    const part = getObject(state, asked);
    if (asked.object !== "certificate") return { revision, ...part };
    const { known } = this.options.transactions.credentials;
    const names = asked.name === undefined ? Object.keys(state.certificates) : [asked.name];
    return { revision, ...part, details: certificateDetails(known, names) };
  }

  async #workers(fields: Fields, asking: Asking): Promise<object> {
    const { supervisor, transactions } = this.options;
    const set = fields.count("set", 1, WORKERS_MAX);
    const restart = fields.flag("restart");
    fields.refuseOthers();
    if (set !== undefined && restart) throw new ControlError("bad_request", "expected set or restart, got both");
    if (set !== undefined) {
      const order: Order = { order: "update", object: "settings", value: { workers: set } };
      await transactions.apply({ orders: [order] }, { who: asking.who, why: "", source: "orders" });
    }
    if (restart) await transactions.rollWorkers();
    return { workers: await workerReports(supervisor, transactions.servedHash) };
  }

  #log(fields: Fields): object {
    const level = fields.oneOf("level", LOG_LEVELS);
    fields.refuseOthers();
    if (level === undefined) throw new ControlError("bad_request", `level: expected one of ${LOG_LEVELS.join(", ")}`);
    this.options.setLogLevel(level);
    this.options.events.emit("log.level", { level });
    return { level };
  }

  async #subscribe(fields: Fields, asking: Asking): Promise<object> {
    const names = fields.list("events") ?? EVENT_NAMES;
    fields.refuseOthers();
    const unknown = names.find((name) => !EVENT_NAMES.includes(name as EventName));
    if (unknown !== undefined) {
      throw new ControlError("bad_request", `events: expected some of ${EVENT_NAMES.join(", ")}`);
    }
    const { events } = this.options;
    const over = Promise.withResolvers<void>();
    const unsubscribe = events.subscribe(names as EventName[], (event) => {
      if (asking.queuedBytes > SUBSCRIBER_BYTES_MAX) {
        over.reject(new ControlError("too_slow", "events come faster than they are read; ask for the state again"));
      } else asking.progress({ event });
    });
    try {
      await Promise.race([asking.gone, events.closed, over.promise]);
      return {};
    } finally {
      unsubscribe();
    }
  }

  async #upgrade(fields: Fields, { progress }: Asking): Promise<object> {
    const binary = fields.text("binary");
    fields.refuseOthers();
    return await this.options.upgrade(binary, (doing) => progress({ doing }));
  }

  async #stop(fields: Fields, asking: Asking): Promise<object> {
    const { supervisor, stop } = this.options;
    const now = fields.flag("now");
    fields.refuseOthers();
    const say = () => asking.progress({ workers: supervisor.live, revision: supervisor.revision });
    const timer = setInterval(say, PROGRESS_MS);
    try {
      await stop(now);
    } finally {
      clearInterval(timer);
    }
    return {};
  }
}

/** The change of `plan` and `apply`: exactly one of `text`, `state`, `orders`. */
async function readWanted(fields: Fields): Promise<{ wanted: Wanted; source: RevisionSource }> {
  const text = fields.text("text");
  const fileName = fields.text("file_name");
  const orders = fields.list("orders");
  const state = fields.any("state");
  if ([text, orders, state].filter((given) => given !== undefined).length !== 1) {
    throw new ControlError("bad_request", "expected one of text, state, orders");
  }
  if (orders) return { wanted: { orders }, source: "orders" };
  const name = fileName ?? (text === undefined ? "state" : "text");
  return { wanted: { state: await loadWhole(text, state, name) }, source: "file" };
}

async function loadWhole(text: string | undefined, value: unknown, name: string): Promise<State> {
  const loaded = text === undefined
    ? (await import("../config/check_state.ts")).checkState(value, name)
    : (await import("../config/parse.ts")).loadState(text, name);
  if (loaded.state) return loaded.state;
  const errors = loaded.errors.map(({ file, line, column, key, expected, got, hint }) => ({
    object: line > 0 ? `${file}:${line}:${column}` : file,
    reason: got,
    expected,
    key,
    ...(hint === "" ? {} : { hint }),
    ...(line > 0 ? { line, column } : {}),
  }));
  throw invalid(errors, [formatErrors(loaded.errors)]);
}

function readApplyOptions(fields: Fields, { who }: Asking): Omit<ApplyOptions, "source"> {
  const ifRevision = fields.count("if_revision", 0, REVISION_MAX);
  return { who, why: fields.text("why") ?? "", ...(ifRevision === undefined ? {} : { ifRevision }) };
}

function readFilter(fields: Fields): { host?: string; cluster?: string } {
  const { host, cluster, ...rest } = fields.record("filter") ?? {};
  const isText = (value: unknown) => value === undefined || typeof value === "string";
  if (Object.keys(rest).length > 0 || !isText(host) || !isText(cluster)) {
    throw new ControlError("bad_request", "filter: expected an object with host, cluster or both, as texts");
  }
  return {
    ...(host === undefined ? {} : { host: host as string }),
    ...(cluster === undefined ? {} : { cluster: cluster as string }),
  };
}
