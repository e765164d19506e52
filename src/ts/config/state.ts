// The state of the proxy as plain data: what the YAML file says once it has been checked, with every
// default filled in. Durations are milliseconds and sizes are bytes, so that nobody downstream parses text
// again. Keys are spelled exactly as in the file; a state can be printed as JSON and read by other tools.
//
// Types only: importing this file loads nothing.

/** A socket that clients connect to. `address` is `ip:port` or `[ipv6]:port` in its canonical spelling. */
export interface ListenerState {
  address: string;
  protocol: "http";
  /** Length of the kernel's queue of connections that wait to be accepted. */
  backlog: number;
}

/** One server. `address` is `ip:port`, `[ipv6]:port`, `name:port` or `unix:/path`. */
export interface BackendState {
  address: string;
  weight: number;
}

export type Balance = "round_robin" | "random" | "least_requests";

/** Connections to the backends of one cluster, per worker. */
export interface PoolState {
  /** Cap of open connections; 0 is no cap of its own. */
  connections: number;
  /** How many unused connections are kept open. */
  idle: number;
  /** How long an unused connection is kept, in milliseconds. */
  idle_timeout: number;
}

export interface ClusterState {
  backends: BackendState[];
  balance: Balance;
  pool: PoolState;
  /** In milliseconds; taken from the state's `timeouts` where the file says nothing. */
  timeouts: { connect: number; response: number };
}

/** A rule from requests to a cluster. */
export interface RouteState {
  /** Exact name, `*.suffix`, or "" for any host. Lower case, without trailing dot, in ASCII. */
  host: string;
  /** `/x` exact, `/x/*` prefix, `~regex` anchored, or "" for any path. */
  path: string;
  /** Sorted, without repeats; empty is any method. */
  methods: string[];
  /** Lower-case name to exact value, or `*` for any value; sorted by name. */
  headers: Record<string, string>;
  priority: number;
  cluster: string;
}

export interface LimitsState {
  connections: number;
  upstream_connections: number;
  buffers: number;
  buffer_size: number;
  header_bytes: number;
  headers: number;
  target_bytes: number;
  body_bytes: number;
  pipes: number;
}

/** All in milliseconds. */
export interface TimeoutsState {
  request_header: number;
  request_body: number;
  idle: number;
  write: number;
  connect: number;
  response: number;
  tunnel: number;
  drain: number;
}

export interface AccessLogState {
  /** A file, or `stdout`. */
  path: string;
  format: "common" | "combined" | "json";
}

/** How the proxy is spoken to, and what it remembers. */
export interface ControlState {
  /** Path of the control socket; "" is the usual place. */
  socket: string;
  /** Where the state is kept over restarts; "" is nowhere. */
  state_file: string;
  /** How many revisions are kept. */
  history: number;
  /** Whether the configuration file is applied whenever it changes. */
  watch: boolean;
  /** Users that may use the socket besides root and the proxy's own; ascending. */
  uids: number[];
}

export interface State {
  workers: number | "auto";
  /** `user` or `user:group` that workers become when started as root; "" stays. */
  user: string;
  sandbox: "auto" | "off";
  control: ControlState;
  /** Networks in canonical CIDR spelling; see `parseNetwork`. */
  trusted_proxies: string[];
  listeners: Record<string, ListenerState>;
  clusters: Record<string, ClusterState>;
  routes: RouteState[];
  limits: LimitsState;
  timeouts: TimeoutsState;
  access_log: AccessLogState | null;
  log: { level: "debug" | "info" | "warn" | "error" };
  /** Status (400..599) to the plain-text body that the proxy itself answers with. */
  answers: Record<string, string>;
}

/** The state without its named objects. */
export type Settings = Omit<State, "listeners" | "clusters" | "routes">;
