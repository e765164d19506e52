// The channel between main and a worker: a SOCK_STREAM socketpair that carries JSON lines both ways, and descriptors
// (SCM_RIGHTS) attached to the first byte of the line that names them. Both ends import these types and nothing else
// of each other. Orders go main → worker, events worker → main. Main never waits for a worker without a time limit.

import type { State } from "../config/mod.ts";

/** What a worker needs to serve: the state, and the addresses its backends' names resolved to. */
export interface WorkerSnapshot {
  /** Number of the state in main's history; goes up by one with each change. */
  revision: number;
  state: State;
  /** Backend address as written in the state (`name:port`) → addresses (`ip:port`, `[ip]:port`, `unix:/path`). */
  resolved: Record<string, string[]>;
}

/** A line from main. `fds` names the attached descriptors in their order: `listener:NAME`, `access_log`, `snapshot`. */
export type WorkerOrder =
  /** The first line. The descriptor `snapshot` is a memfd that holds a WorkerSnapshot as JSON; the listeners of this slot follow. */
  | { order: "start"; slot: number; fds: string[] }
  /** Ask for counters. */
  | { order: "status"; id: number }
  /** The access log was reopened; the descriptor replaces the old one. */
  | { order: "access_log"; fds: string[] }
  /** Stop accepting (after the queue of each listening socket is empty), finish what is carried, exit 0 before the deadline. */
  | { order: "drain"; deadlineMs: number }
  /** Exit at once. */
  | { order: "stop" };

/** A line from a worker. */
export type WorkerEvent =
  /** Serving: all listeners are in the loop. `sandbox` names what holds, e.g. "user nobody", "no_new_privs", "landlock 7", "seccomp". */
  | { event: "ready"; pid: number; sandbox: string[] }
  | { event: "status"; id: number; status: WorkerStatus }
  /** For main's log. */
  | { event: "log"; level: LogLevel; message: string }
  /** The worker cannot serve this snapshot; it exits after this line. */
  | { event: "refused"; reason: string };

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface WorkerStatus {
  revision: number;
  draining: boolean;
  /** Named counters and gauges, e.g. `requests`, `connections.active`, `buffers.used`, `refused.no_route`. */
  counters: Record<string, number>;
}
