// The control socket: a unix stream socket that carries one JSON object a line, both ways. A request has an `id` and a `verb`;
// every answer to it has the same `id`, and a `status`: any number of "progress", then one "ok" or one "error". Many requests
// of one client may be under way at once. CONTROL.md tells it for people, protocol_schema.ts as a JSON Schema.
//
// Types and bounds only: importing this file loads nothing.

import type { Difference } from "../config/difference.ts";
import type { Order, RouteKey } from "../config/orders.ts";
import type { ClusterProtocol } from "../config/state.ts";
import type { LogLevel } from "../observe/log.ts";
import type { BackendStanding } from "../worker/protocol.ts";

/** Longest line of a client: a state of some hundred thousand routes. */
export const REQUEST_BYTES_MAX = 16 * 1024 * 1024;
/** Revisions in one answer. */
export const HISTORY_MAX = 10_000;
/** As the configuration bounds `workers`. */
export const WORKERS_MAX = 64;

export const VERBS = [
  "apply",
  "explain",
  "get",
  "history",
  "log",
  "metrics",
  "plan",
  "rollback",
  "status",
  "stop",
  "subscribe",
  "upgrade",
  "version",
  "workers",
] as const;
export type Verb = typeof VERBS[number];

/** What identifies a request; everything else depends on the verb. */
export interface ControlRequest {
  id: number | string;
  verb: Verb;
  [field: string]: unknown;
}

/** A change, in one of three forms. Values of `state` and `orders` are in the form of the configuration file. */
export interface ChangeFields {
  /** The text of a configuration file, YAML or JSON: the whole state. */
  text?: string;
  /** What errors in `text` call it. */
  file_name?: string;
  /** The whole state as plain values. */
  state?: unknown;
  /** Changes to the state that is served. */
  orders?: readonly Order[];
}

export type PlanRequest = ChangeFields;

export interface ApplyRequest extends ChangeFields {
  /** Refuse with `conflict` if another revision is served by now. */
  if_revision?: number;
  /** For the history. */
  why?: string;
}

export interface RollbackRequest {
  /** The revision whose state is to come back; without it, the one before the current. */
  revision?: number;
  if_revision?: number;
  why?: string;
}

export interface HistoryRequest {
  /** How many, the newest first. */
  limit?: number;
}

export const OBJECT_KINDS = ["listener", "cluster", "backend", "route", "certificate", "settings"] as const;
export type ObjectKind = typeof OBJECT_KINDS[number];

export interface GetRequest {
  /** Without it: the whole state. */
  object?: ObjectKind;
  /** Of a listener or cluster; of a backend its address. */
  name?: string;
  /** Of a route. */
  key?: RouteKey;
  filter?: { host?: string; cluster?: string };
}

export interface ExplainRequest {
  url: string;
  method?: string;
  headers?: [name: string, value: string][];
  /** Address that the request comes from. */
  client?: string;
}

export interface SubscribeRequest {
  /** Without it: all. */
  events?: EventName[];
}

export interface WorkersRequest {
  /** Serve with as many: the same as an order that sets `workers`. */
  set?: number;
  /** Put new processes in the place of all, one after another, without a change of the state. */
  restart?: boolean;
}

export interface LogRequest {
  level: LogLevel;
}

export interface UpgradeRequest {
  /** Absolute path of the program; without it, the file that this one was started from. */
  binary?: string;
}

/** Comes from the new main, when its workers serve. Before it, `progress` says what is being done: `{ doing: string }`. */
export interface UpgradeAnswer {
  from_version: string;
  version: string;
  took_ms: number;
}

export interface StopRequest {
  /** Do not wait for what the workers carry. */
  now?: boolean;
}

/** `live`: the processes that serve take it over. `rolls workers`: new ones take their place, the old ones finish. */
export type Effect = "live" | "rolls workers";

export interface PlanAnswer {
  /** The one that the plan starts from. */
  revision: number;
  differences: Difference[];
  /** What leads from the state that is served to the planned one, leaving no hole. */
  orders: Order[];
  /** Empty if nothing differs. */
  effects: Effect[];
  hash_before: string;
  hash_after: string;
}

/** Of `apply` and `rollback`. With nothing to change, `differences` is empty and the revision is the one that was served. */
export interface ApplyAnswer {
  revision: number;
  hash: string;
  differences: Difference[];
  effects: Effect[];
  took_ms: number;
  /** Certificates whose files were read again and have another content. */
  read_anew?: string[];
  /** Why the state file does not have it; absent if it has, or if there is none. */
  not_durable?: string;
  /** The longest that the loop of any worker stood still for it, in microseconds; 0 where workers were rolled. */
  paused_us: number;
}

/** Who asked for a change, as the kernel saw them when they connected. */
export interface Who {
  uid: number;
  pid: number;
  /** Of the user. */
  name?: string;
}

export type RevisionSource = "start" | "file" | "orders" | "rollback";

export interface RevisionReport {
  revision: number;
  /** ISO 8601, UTC. */
  at: string;
  who: Who;
  /** Summary: `route a.test /x added`, or counts. */
  what: string;
  added: number;
  changed: number;
  removed: number;
  /** "" if nobody said. */
  why: string;
  hash: string;
  source: RevisionSource;
}

export interface HistoryAnswer {
  /** The newest first; the first is the one that is served. */
  revisions: RevisionReport[];
}

/** All in the form of the file. Which field it is depends on what was asked for. */
export interface GetAnswer {
  revision: number;
  state?: Record<string, unknown>;
  /** One object. */
  value?: unknown;
  /** By name for listeners and clusters, a list for backends (with their cluster), routes and certificates. */
  values?: unknown;
  /** Of certificates, by name. */
  details?: Record<string, CertificateDetails>;
}

export interface ExplainAnswer {
  listener: string | null;
  route: { key: RouteKey; cluster: string } | null;
  /** Rules that could have answered, and why they do not. */
  considered: { key: RouteKey; reason: string }[];
  /** `tls`: whether it is spoken to the backends. */
  cluster: { name: string; balance: string; protocol: ClusterProtocol; tls: boolean } | null;
  backends: BackendStanding[];
  would_pick: string | null;
  /** Name of the refusal, if the request as such is refused whatever the routes say. */
  refusal: string | null;
  /** What the backend gets that the client has not sent so. */
  headers_added: [name: string, value: string][];
  /** What the client has sent and the backend does not get so. */
  headers_removed: string[];
  timeouts: Record<string, number>;
}

export const EVENT_NAMES = [
  "state.changed",
  "worker.started",
  "worker.died",
  "backend.up",
  "backend.down",
  "backend.drained",
  "listener.added",
  "listener.removed",
  "upgrade.started",
  "upgrade.done",
  "upgrade.failed",
  "refusals",
  "log.level",
  "certificate.expiring",
] as const;
export type EventName = typeof EVENT_NAMES[number];

/** A line of `subscribe` is `{id, status: "progress", event: ControlEvent}`. */
export interface ControlEvent {
  name: EventName;
  /** ISO 8601, UTC. */
  at: string;
  [field: string]: unknown;
}

export interface WorkersAnswer {
  workers: WorkerReport[];
}

export interface MetricsAnswer {
  /** In the text format of Prometheus, version 0.0.4. */
  text: string;
}

export interface VersionAnswer {
  version: string;
  deno: string;
  v8: string;
  /** null: it has not been needed. */
  openssl: { version: string; from: "host" | "binary" } | null;
  pid: number;
}

/**
 * `bad_request`: the line is no request, or a field is not what the verb expects; `unknown_verb`; `too_many`: no place for
 * another client, or for another request of this one; `too_slow`: a subscriber that does not read; `invalid`: the change
 * makes no valid state, see `errors`; `refused`: a worker cannot serve it; `conflict`: another revision is served than
 * `if_revision` says; `missing`: there is no such object or revision; `failed`: could not be done. After each of them
 * the state is what it was.
 */
export const ERROR_CODES = [
  "bad_request",
  "unknown_verb",
  "too_many",
  "too_slow",
  "invalid",
  "refused",
  "conflict",
  "missing",
  "failed",
] as const;
export type ErrorCode = typeof ERROR_CODES[number];

/** One thing that is wrong with a change. */
export interface ChangeError {
  /** `route api.test /x`, `kakehi.yaml:12:3`. */
  object: string;
  reason: string;
  expected?: string;
  hint?: string;
  /** Place in `text`. */
  line?: number;
  column?: number;
  /** Dotted path of keys. */
  key?: string;
  /** Which of the orders, from 0. */
  at?: number;
  /** Of an order: `exists`, `missing`, `in_use` or `invalid`. */
  code?: string;
}

export interface ErrorFields {
  code: ErrorCode;
  reason: string;
  object?: string;
  errors?: ChangeError[];
  /** With `conflict`: the one that is served. */
  revision?: number;
}

export type ControlAnswer =
  | { id: number | string | null; status: "ok"; [field: string]: unknown }
  | { id: number | string | null; status: "progress"; [field: string]: unknown }
  | { id: number | string | null; status: "error" } & ErrorFields;

/** The answer to `status`. Times are milliseconds, sizes bytes. */
export interface ProxyStatus {
  version: string;
  pid: number;
  uptime_ms: number;
  /** How often another program has taken the place of the one that was started. */
  upgrades: number;
  /** Configuration file, or "" for the embedded demonstration. */
  source: string;
  socket: string;
  revision: number;
  /** Of the whole state. */
  hash: string;
  /** Of what every worker should serve: clusters and routes. */
  served_hash: string;
  stopping: boolean;
  memory_bytes: number;
  /** The library that speaks TLS; null while nobody needs it. `binary`: the copy in the single binary. */
  openssl: { version: string; from: "host" | "binary" } | null;
  listeners: { name: string; address: string }[];
  /** How many clusters speak what to their backends. */
  clusters: Record<ClusterProtocol, number>;
  certificates: CertificatesReport;
  workers: WorkerReport[];
  /** The process that waits to replace a worker. */
  spare: { pid: number; memory_bytes: number } | null;
  /** Sums over all workers. */
  counters: Record<string, number>;
}

export interface CertificatesReport {
  count: number;
  expired: number;
  /** Of the one that expires first; null: there is none. */
  next: { name: string; not_after: string; days_left: number } | null;
}

/** What is served for a certificate of the state. */
export interface CertificateDetails {
  names: string[];
  subject: string;
  issuer: string;
  /** SHA-256 of the certificate. */
  fingerprint: string;
  not_before: string;
  not_after: string;
  /** Below 0 it has expired. */
  days_left: number;
  key_type: "rsa" | "ecdsa" | "ed25519";
}

export interface WorkerReport {
  slot: number;
  pid: number;
  state: string;
  uptime_ms: number;
  restarts: number;
  revision: number;
  /** Of the clusters and routes that it serves; null: it did not answer in time. */
  hash: string | null;
  /** It serves something else than main believes: never, or there is a bug. */
  differs: boolean;
  memory_bytes: number;
  sandbox: string[];
  /** null: the worker did not answer in time. */
  counters: Record<string, number> | null;
}
