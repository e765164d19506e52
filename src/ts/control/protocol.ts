// The control socket: a unix stream socket that carries one JSON object a line, both ways. A request has an `id` and a `verb`;
// every answer to it has the same `id`, and a `status`: any number of "progress", then one "ok" or one "error".

export const REQUEST_BYTES_MAX = 64 * 1024;

export const VERBS = ["status", "stop", "version"] as const;
export type Verb = typeof VERBS[number];

export interface ControlRequest {
  id: number | string;
  verb: Verb;
  /** stop: do not wait for what the workers carry. */
  now?: boolean;
}

export type ControlAnswer =
  | { id: number | string | null; status: "ok"; [field: string]: unknown }
  | { id: number | string | null; status: "progress"; [field: string]: unknown }
  | { id: number | string | null; status: "error"; code: ErrorCode; reason: string };

/**
 * `bad_request`: the line is no request; `unknown_verb`; `too_many`: no place for another client, or for another request of
 * this one; `failed`: could not be done.
 */
export type ErrorCode = "bad_request" | "unknown_verb" | "too_many" | "failed";

/** The answer to `status`. Times are milliseconds, sizes bytes. */
export interface ProxyStatus {
  version: string;
  pid: number;
  uptime_ms: number;
  /** Configuration file, or "" for the embedded demonstration. */
  source: string;
  socket: string;
  revision: number;
  stopping: boolean;
  memory_bytes: number;
  listeners: { name: string; address: string }[];
  workers: WorkerReport[];
  /** The process that waits to replace a worker. */
  spare: { pid: number; memory_bytes: number } | null;
  /** Sums over all workers. */
  counters: Record<string, number>;
}

export interface WorkerReport {
  slot: number;
  pid: number;
  state: string;
  uptime_ms: number;
  restarts: number;
  revision: number;
  memory_bytes: number;
  sandbox: string[];
  /** null: the worker did not answer in time. */
  counters: Record<string, number> | null;
}
