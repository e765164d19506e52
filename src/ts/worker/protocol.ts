// The channel between main and a worker: a SOCK_STREAM socketpair that carries JSON lines both ways, and descriptors
// (SCM_RIGHTS) attached to the first byte of the line that names them. Both ends import these types and nothing else
// of each other. Orders go main → worker, events worker → main. Main never waits for a worker without a time limit.

import type { LiveSettings } from "../config/live_settings.ts";
import type { ClusterState, ListenerState, ListenerTlsState, RouteState, State } from "../config/state.ts";
import type { LogLevel } from "../observe/log.ts";

/** What a worker needs to serve: the state, and the addresses its backends' names resolved to. */
export interface WorkerSnapshot {
  /** Number of the state in main's history; goes up by one with each change. */
  revision: number;
  state: State;
  /** Number by which main and workers speak of `state.routes[i]`; numbers of removed routes are used again. */
  routeIds: number[];
  /** Backend address as written in the state (`name:port`) → addresses (`ip:port`, `[ip]:port`, `unix:/path`). */
  resolved: Resolved;
  /** Where the descriptor `certificates` has the material of each certificate. */
  certificates: CertificateEntry[];
  /** Content of the files that TLS options of listeners and clusters name by path, and under SystemAuthorities. */
  files: Record<string, string>;
  /** Ports to which listeners redirect, by name; those that do not are left out. */
  redirects: Record<string, number>;
  /** See the order `ticket_keys`; empty without an https listener. */
  ticketKeys: string[];
}

/** Stands among the files for the certificates that the system trusts; no path is like it. */
export type SystemAuthorities = "system";

/** A certificate of the state, checked by main. The descriptor is append-only: what an entry points at stays as it is. */
export interface CertificateEntry {
  name: string;
  /** In lower case; "*.example.com" is for one label. */
  names: string[];
  /** Place in the descriptor `certificates`: UTF-8 JSON {cert: PEM with chain, key: PEM, ocsp: base64 or ""}. */
  at: number;
  length: number;
  keyType: "rsa" | "ecdsa" | "ed25519";
}

export type Resolved = Record<string, string[]>;

/** What a listener's clients may do in HTTP/2. */
export type ListenerHttp2 = Pick<ListenerState, "h2c" | "http2">;

/** One transaction, as far as a worker is concerned; everything takes effect at once. */
export interface WorkerChange {
  /** Revision after it. */
  revision: number;
  settings?: LiveSettings;
  /** By name; null: removed. No route names a removed one any more. */
  clusters: Record<string, ClusterState | null>;
  /** Of the names in `clusters`. */
  resolved: Resolved;
  /** By number; null: removed. */
  routes: { id: number; route: RouteState | null }[];
  /** null: removed. */
  certificates: { name: string; entry: CertificateEntry | null }[];
  /** Of https listeners whose options differ, and of those that begin; null: http from now on. Connections keep theirs. */
  listenersTls: Record<string, ListenerTlsState | null>;
  /** Of http listeners whose `redirect_https` differs, and of those that begin: the port, 0 is none. */
  listenersRedirect: Record<string, number>;
  /** Of listeners that differ, and of those that begin. Settings hold for new connections, limits for all. */
  listenersHttp2: Record<string, ListenerHttp2>;
  /** Content of the files that are new, or whose content is. */
  files: Record<string, string>;
  /** Listeners that end: what waits in them is still accepted. Those that begin come as descriptors. */
  listenersRemoved: string[];
}

/** A line from main. `fds` names the attached descriptors in their order: `listener:NAME`, `access_log`, `snapshot`, `certificates`. */
export type WorkerOrder =
  /** The first line. The descriptor `snapshot` is a memfd that holds a WorkerSnapshot as JSON, `certificates` one with their material; the listeners of this slot follow. */
  | { order: "start"; slot: number; fds: string[] }
  /**
   * Get a change ready: everything that can be refused is done now, and nothing is served by it yet. The descriptor `change`
   * is a memfd that holds a WorkerChange as JSON; new listeners of this slot follow as `listener:NAME`. Answered by
   * `prepared` or `change_refused`. One at a time; the next one takes the place of one that was never committed.
   */
  | { order: "prepare"; revision: number; fds: string[] }
  /** Serve by the prepared change of this revision; answered by `committed`. */
  | { order: "commit"; revision: number }
  /** Keys of session tickets, in base64, 80 bytes each: the first encrypts, all decrypt. They take the place of those before. */
  | { order: "ticket_keys"; keys: string[] }
  /** Forget the prepared change. */
  | { order: "abort"; revision: number }
  /**
   * Ask which route answers a request, and how; answered by `explained`. Names of headers in lower case; `path` without
   * query; `client`: `ip:port`, or null if nobody said; `port`: the listener's.
   */
  | {
    order: "explain";
    id: number;
    host: string;
    path: string;
    method: string;
    headers: [string, string][];
    client: string | null;
    port: number;
    secure: boolean;
  }
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
  /** The first line: the process has loaded its code, so that an order to start is carried out at once. */
  | { event: "loaded" }
  /** Serving: all listeners are in the loop. `sandbox` names what holds, e.g. "user nobody", "no_new_privs", "landlock 7", "seccomp". */
  | { event: "ready"; pid: number; sandbox: string[] }
  | { event: "status"; id: number; status: WorkerStatus }
  | { event: "explained"; id: number; explained: Explained }
  | { event: "prepared"; revision: number }
  /** `object` names what cannot be served, e.g. `route api.test /x`. */
  | { event: "change_refused"; revision: number; object: string; reason: string }
  /** `hash`: of what this worker serves by now (config/served_hash.ts). `pausedUs`: how long the loop stood still for it, prepare included. */
  | { event: "committed"; revision: number; hash: string; pausedUs: number }
  /** A backend that was taken out has finished its last request. */
  | { event: "backend_drained"; cluster: string; address: string }
  /** Connecting to a backend failed, and why; or works again. */
  | { event: "backend_down"; cluster: string; address: string; reason: string }
  | { event: "backend_up"; cluster: string; address: string }
  /** For main's log. */
  | { event: "log"; level: LogLevel; message: string }
  /** The worker cannot serve this snapshot; it exits after this line. */
  | { event: "refused"; reason: string };

export interface WorkerStatus {
  revision: number;
  /** As in `committed`. */
  hash: string;
  draining: boolean;
  /** Named counters and gauges, e.g. `requests`, `connections.active`, `buffers.used`, `refused.no_route`. */
  counters: Record<string, number>;
}

export interface Explained {
  /** Number of the route that answers, or -1. */
  winner: number;
  /** Routes in the order in which they are considered, and why each lost; the winner last, if there is one. */
  considered: { route: number; reason: string }[];
  cluster: string | null;
  backends: BackendStanding[];
  /** Address that the next request would be sent to; null: none. */
  wouldPick: string | null;
  /** What becomes of its fields; null: it could not be tried just now. */
  rewritten: Rewritten | null;
}

export interface Rewritten {
  /** Name of the refusal, if the request as such is refused. */
  refusal: string | null;
  added: [name: string, value: string][];
  /** Of the request's fields those that do not pass, or not as they are. */
  removed: string[];
}

/** How a backend stands with the worker that was asked. */
export interface BackendStanding {
  address: string;
  weight: number;
  /** `avoided`: connecting failed lately; `draining`: taken out, or of weight 0. */
  standing: "up" | "avoided" | "draining";
  /** Why connecting to it failed last; "" when it works. */
  fault: string;
  requests: number;
  connections: number;
}
