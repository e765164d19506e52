// The state of the proxy as plain data: what the YAML file says once it has been checked, with every
// default filled in. Durations are milliseconds and sizes are bytes, so that nobody downstream parses text
// again. Keys are spelled exactly as in the file; a state can be printed as JSON and read by other tools.
//
// Types only: importing this file loads nothing.

/** A socket that clients connect to. `address` is `ip:port` or `[ipv6]:port` in its canonical spelling. */
export interface ListenerState {
  address: string;
  protocol: "http" | "https";
  /** Length of the kernel's queue of connections that wait to be accepted. */
  backlog: number;
  /** Whether requests are sent to https, and at which port; true is that of the https listener (see `redirectPort`). */
  redirect_https: boolean | number;
  /** null with `protocol: "http"`, and only then. */
  tls: ListenerTlsState | null;
  /** Whether clients that speak plainly may begin with HTTP/2. */
  h2c: boolean;
  http2: ListenerHttp2State;
}

/** What is offered to clients that speak HTTP/2. */
export interface ListenerHttp2State {
  max_concurrent_streams: number;
  stream_window: number;
  connection_window: number;
  websocket: boolean;
  abuse: Http2AbuseState;
}

/** For each connection and second, but for `continuations`: of a header block. */
export interface Http2AbuseState {
  resets: number;
  resets_caused: number;
  pings: number;
  settings: number;
  empty_frames: number;
  window_updates: number;
  priorities: number;
  refused_streams: number;
  ignored_frames: number;
  small_frames: number;
  continuations: number;
}

export type TlsVersion = "1.2" | "1.3";

/** What clients are offered that speak TLS. "" stands for the built-in choice where nothing else is said. */
export interface ListenerTlsState {
  min_version: TlsVersion;
  max_version: TlsVersion;
  /** OpenSSL's notation, of TLS 1.2. */
  ciphers: string;
  /** The same of TLS 1.3. */
  cipher_suites: string;
  groups: string;
  /** Name of a certificate; "" refuses a client that names no known host. */
  default_certificate: string;
  /** In milliseconds; 0 gives no tickets. */
  ticket_lifetime: number;
  /** In milliseconds. */
  handshake_timeout: number;
  handshakes: number;
  client_certificate: "off" | "optional" | "required";
  /** Path or PEM; "" only with `client_certificate: "off"`. */
  client_ca: string;
  /** Path or PEM; "" is none. */
  client_crl: string;
  client_depth: number;
  /** Value of Strict-Transport-Security; "" is none. */
  hsts: string;
  alpn: string[];
}

/** How TLS is spoken to the backends of a cluster. */
export interface ClusterTlsState {
  /** Path or PEM; "" is what the system trusts. */
  ca: string;
  verify: boolean;
  /** "" is the name in the backend's address. */
  server_name: string;
  /** Name of a certificate that is shown; "" is none. */
  certificate: string;
  min_version: TlsVersion;
}

export interface CertificateState {
  /** Absolute path, or PEM: the certificate, then those that lead to the authority. */
  cert: string;
  /** Absolute path; `sha256:…` of a PEM that is kept apart from the state; "" is in the file of `cert`. */
  key: string;
  /** Hosts, or `*.` and a host; sorted. Empty is those of the certificate. */
  names: string[];
  /** Absolute path of a response in DER; "" is none. */
  ocsp: string;
}

/** One server. `address` is `ip:port`, `[ipv6]:port`, `name:port` or `unix:/path`. */
export interface BackendState {
  address: string;
  weight: number;
}

/** What a worker speaks to the backends of a cluster: HTTP/1.1, HTTP/2 by ALPN, or HTTP/2 without TLS at once. */
export type ClusterProtocol = "http/1.1" | "h2" | "h2c";

/** How HTTP/2 is spoken to backends; without meaning where it is not. */
export interface ClusterHttp2State {
  max_concurrent_streams: number;
  /** In milliseconds. */
  ping_interval: number;
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
  /** "h2" only with TLS, "h2c" only without. */
  protocol: ClusterProtocol;
  balance: Balance;
  pool: PoolState;
  /** In milliseconds; null: the state's `timeouts` hold. */
  timeouts: { connect: number | null; response: number | null };
  /** null speaks plain TCP. */
  tls: ClusterTlsState | null;
  http2: ClusterHttp2State;
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
  /** Whether a host is answered that the certificate of the connection is not for. */
  allow_misdirected: boolean;
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
  http2_connections: number;
  http2_streams: number;
}

/** All in milliseconds. */
export interface TimeoutsState {
  request_header: number;
  request_body: number;
  idle: number;
  /** 0: any. */
  connection_age: number;
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
  certificates: Record<string, CertificateState>;
  limits: LimitsState;
  timeouts: TimeoutsState;
  access_log: AccessLogState | null;
  log: { level: "debug" | "info" | "warn" | "error" };
  /** Status (400..599) to the plain-text body that the proxy itself answers with. */
  answers: Record<string, string>;
}

/** The state without its named objects. */
export type Settings = Omit<State, "listeners" | "clusters" | "routes" | "certificates">;
