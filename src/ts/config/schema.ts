// The schema of the configuration: every key with its form, bounds, default and documentation. This is the only place
// where they are said; checking, the JSON Schema and CONFIGURATION.md are derived from it. What involves more than one
// key (references, duplicates, limits that depend on each other) is in cross_check.ts.

import {
  canonicalAddress,
  canonicalBoundAddress,
  canonicalNetwork,
  NAME_PATTERN,
  parseAbsolutePath,
  parseAnswer,
  parseFieldName,
  parseFieldValue,
  parseFilePath,
  parseMethod,
  parseName,
  parseSocketPath,
  parseStatus,
  parseUser,
  STATUS_PATTERN,
  TOKEN_PATTERN,
  USER_PATTERN,
} from "./names.ts";
import { parseHostPattern } from "./hosts.ts";
import { parsePathPattern } from "./paths.ts";
import { LIMITS, TIMEOUTS } from "./schema_limits.ts";
import { CLUSTER_HTTP2, LISTENER_HTTP2 } from "./schema_http2.ts";
import { CERTIFICATES, CLUSTER_TLS, LISTENER_TLS } from "./schema_tls.ts";
import {
  choice,
  count,
  COUNT_MAX,
  duration,
  flag,
  key,
  list,
  map,
  object,
  type ObjectShape,
  type Of,
  optional,
  shorthand,
  text,
  textOrEmpty,
  type TextShape,
  wordOr,
} from "./shape.ts";
import type {
  AccessLogState,
  BackendState,
  ClusterState,
  ControlState,
  ListenerState,
  RouteState,
  Settings,
  State,
} from "./state.ts";

const HOUR_MS = 3_600_000;

/** The last user number of Linux; the one after it stands for none. */
const UID_MAX = 2 ** 32 - 2;

export const NAME: TextShape & Of<string> = text("a name", parseName, NAME_PATTERN);
const token = text("a method such as GET", parseMethod, TOKEN_PATTERN);
const fieldName = text("the name of a header field", parseFieldName, TOKEN_PATTERN);
const fieldValue = text("the value of a header field, as text", parseFieldValue);

export const LISTENER: ObjectShape & Of<ListenerState> = object({
  address: key(text('an address to bind, such as "0.0.0.0:80"', canonicalBoundAddress), {
    about:
      "Where the listener takes connections: an IPv4 address and a port, or an IPv6 address in brackets and a port. " +
      "Port 0 lets the kernel choose one. A socket that a service manager has opened on this address, or given the " +
      "listener's name, is taken instead.",
    example: "0.0.0.0:80",
  }),
  protocol: key(choice("http", "https"), {
    about: "What clients speak on it.",
    default: "http",
    example: "https",
    seeAlso: ["listeners.NAME.tls", "certificates"],
  }),
  backlog: key(count(1, 65_535), {
    about: "How many connections may wait to be accepted, for each worker. The kernel cuts it to net.core.somaxconn.",
    unit: "connections",
    default: 4096,
    example: 1024,
  }),
  redirect_https: key(wordOr(false, false, wordOr(true, true, count(1, 65_535))), {
    about:
      "Whether requests are answered with a redirect (308) to the same URL with https, and at which port; `true` is the " +
      "port that the listeners with `protocol: https` have, or 443 if they have several. Only for listeners with `protocol: http`.",
    default: false,
    bounds: "`true`, `false`, or a port",
    example: true,
  }),
  tls: key(optional("off", LISTENER_TLS), {
    about: "What is offered to clients that speak TLS. Only for listeners with `protocol: https`.",
    derived: "those of its keys with `protocol: https`, otherwise `off`",
    example: { min_version: "1.3", default_certificate: "example" },
  }),
  h2c: key(flag(), {
    about:
      "Whether clients may speak HTTP/2 without TLS, beginning with it at once (prior knowledge). Only for listeners with " +
      "`protocol: http`; with TLS, `tls.alpn` says what is spoken.",
    default: false,
    example: true,
  }),
  http2: key(LISTENER_HTTP2, {
    about:
      "What is offered to clients that speak HTTP/2, where that is spoken: with `h2` in `tls.alpn`, or with `h2c`.",
    default: {},
    example: { max_concurrent_streams: 64 },
    seeAlso: ["listeners.NAME.tls.alpn", "listeners.NAME.h2c"],
  }),
});

export const BACKEND: ObjectShape & Of<BackendState> = object({
  address: key(text('an address such as "10.0.0.1:8080"', canonicalAddress), {
    about: "Where the server listens: `ip:port`, `[ipv6]:port`, `name:port` or `unix:/path`.",
    example: "10.0.0.1:8080",
  }),
  weight: key(count(0, 256), {
    about:
      "Share of the requests that this backend gets, in proportion to the weights of the others. 0 drains it: it " +
      "finishes what it carries and gets nothing new.",
    default: 1,
    example: 2,
    seeAlso: ["clusters.NAME.balance"],
  }),
});

const POOL = object({
  connections: key(count(0, COUNT_MAX), {
    about: "How many connections a worker opens to the backends of the cluster at most. 0 sets no cap of its own.",
    unit: "connections for each worker",
    default: 0,
    example: 64,
    seeAlso: ["limits.upstream_connections"],
  }),
  idle: key(count(0, COUNT_MAX), {
    about: "How many connections a worker keeps open that carry nothing. 0 closes each one after its request.",
    unit: "connections for each worker",
    default: 512,
    example: 16,
  }),
  idle_timeout: key(duration(1, 24 * HOUR_MS), {
    about: "How long a connection that carries nothing is kept. Choose it below the keep-alive time of the backends, " +
      "so that they are not the first to close.",
    default: "60s",
    example: "30s",
  }),
});

const CLUSTER_TIMEOUTS = object({
  connect: key(duration(1, HOUR_MS), {
    about: "How long a connection to a backend of this cluster may take to be made.",
    inherits: "timeouts.connect",
    example: "500ms",
  }),
  response: key(duration(1, 24 * HOUR_MS), {
    about: "How long a backend of this cluster may be silent while its answer is awaited or read.",
    inherits: "timeouts.response",
    example: "5m",
  }),
});

export const CLUSTER: ObjectShape & Of<ClusterState> = object({
  backends: key(list(shorthand("address", BACKEND), "any"), {
    about:
      "The servers that answer for the cluster. One that needs no options may be written as its address alone. With " +
      "none, requests are answered with 503.",
    example: ["10.0.0.1:8080", { address: "10.0.0.2:8080", weight: 2 }],
  }),
  protocol: key(choice("http/1.1", "h2", "h2c"), {
    about:
      "What is spoken to the backends: HTTP/1.1 (`http/1.1`), HTTP/2 over TLS (`h2`, which asks for `tls`, and is all that " +
      "is offered by ALPN), or HTTP/2 without TLS (`h2c`, begun at once by prior knowledge). It does not depend on " +
      "what clients speak. Backends that speak gRPC need `h2` or `h2c`.",
    bounds: "`http/1.1`, `h2` with `tls`, `h2c` without",
    default: "http/1.1",
    example: "h2c",
    seeAlso: ["clusters.NAME.tls", "clusters.NAME.http2", "limits.http2_connections"],
  }),
  balance: key(choice("round_robin", "random", "least_requests"), {
    about:
      "How a backend is chosen: in turn (`round_robin`), at random (`random`), both in proportion to the weights, or " +
      "the one that carries the fewest requests for its weight (`least_requests`).",
    default: "round_robin",
    example: "least_requests",
    seeAlso: ["clusters.NAME.backends[].weight"],
  }),
  pool: key(POOL, {
    about: "Connections to the backends, which all clients of a worker share.",
    default: {},
    example: { connections: 64, idle: 16, idle_timeout: "30s" },
  }),
  timeouts: key(CLUSTER_TIMEOUTS, {
    about: "Timeouts of this cluster instead of those of all.",
    default: {},
    example: { response: "5m" },
    seeAlso: ["timeouts"],
  }),
  tls: key(optional("off", CLUSTER_TLS), {
    about: "How TLS is spoken to the backends; `{}` takes the defaults. `off` speaks plain TCP.",
    default: "off",
    example: { server_name: "app.internal" },
  }),
  http2: key(CLUSTER_HTTP2, {
    about: "How connections in HTTP/2 to the backends are used. Without effect with `protocol: http/1.1`.",
    default: {},
    example: { max_concurrent_streams: 32 },
    seeAlso: ["clusters.NAME.protocol"],
  }),
});

export const ROUTE: ObjectShape & Of<RouteState> = object({
  host: key(textOrEmpty('a host such as "example.com"', parseHostPattern, "*"), {
    about:
      "The host that is asked for: a name, `*.example.com` for every name below example.com at any depth, or `*` for " +
      "any. An exact name comes before wildcards, a longer wildcard before a shorter one, any host last. Neither case, " +
      "nor a trailing dot, nor the port of the request matters.",
    default: "*",
    example: "*.example.com",
  }),
  path: key(textOrEmpty('a path such as "/api/*"', parsePathPattern, "/*"), {
    about:
      "The path that is asked for, without query: `/x` is exactly that; `/x/*` is `/x` and everything below it; `~` " +
      "begins a regular expression (RE2 syntax) of the whole path; `/*` is any. An exact path comes before prefixes, a " +
      "longer prefix before a shorter one, then regular expressions by priority. Paths are compared in normal form: " +
      "`/a/./b`, `/a//b` and `/%61/b` are `/a/b`.",
    default: "/*",
    example: "/api/*",
    seeAlso: ["routes[].priority"],
  }),
  methods: key(list(token, "set"), {
    about:
      "The methods that the route is for; empty is any but CONNECT, which opens a tunnel and must be named. GET does not " +
      "include HEAD.",
    default: [],
    example: ["GET", "HEAD"],
  }),
  headers: key(map("HEADER", fieldName, fieldValue, "sorted"), {
    about: "Header fields that a request must have, all of them, each with its exact value, or with `*` for any value.",
    default: {},
    example: { "X-Beta": "1", "Authorization": "*" },
  }),
  priority: key(count(-COUNT_MAX, COUNT_MAX), {
    about: "Orders regular expressions, and rules that are otherwise equally specific; the higher comes first.",
    default: 0,
    example: 10,
  }),
  cluster: key(NAME, {
    about: "The cluster that gets the requests.",
    example: "app",
    seeAlso: ["clusters"],
  }),
  allow_misdirected: key(flag(), {
    about:
      "Whether requests are answered whose host the certificate of their connection is not for. Otherwise the answer is " +
      "421, and the client asks again on another connection.",
    default: false,
    example: true,
  }),
});

const ACCESS_LOG: Of<AccessLogState> = object({
  path: key(text('the path of a file, or "stdout"', parseFilePath), {
    about: "The file that lines are added to, or `stdout`. A relative path begins at the working directory.",
    default: "stdout",
    example: "/var/log/kakehi/access.log",
  }),
  format: key(choice("common", "combined", "json"), {
    about: "Form of a line: the Common Log Format, the same with referrer and user agent, or a JSON object.",
    default: "combined",
    example: "json",
  }),
});

const CONTROL: Of<ControlState> = object({
  socket: key(text("an absolute path", parseSocketPath), {
    about: "The unix socket that commands such as `status` talk to. Empty is `/run/kakehi.sock` for root; for others " +
      "`kakehi.sock` in `$XDG_RUNTIME_DIR`, or else in `/tmp` with the user's number in its name.",
    default: "",
    bounds: "an absolute path of at most 107 bytes",
    example: "/run/kakehi/control.sock",
  }),
  state_file: key(text("an absolute path", parseAbsolutePath), {
    about: "Where the state is kept that changes at run time have led to, and found again at the next start. Empty " +
      "keeps none: the next start begins with this file.",
    default: "",
    bounds: "an absolute path",
    example: "/var/lib/kakehi/state.json",
  }),
  history: key(count(1, 10_000), {
    about: "How many revisions of the state are kept, so that they can be looked at and returned to.",
    unit: "revisions",
    default: 100,
    example: 1000,
  }),
  watch: key(flag(), {
    about: "Whether this file is read again, and what it says applied, whenever it changes.",
    default: false,
    example: true,
  }),
  uids: key(list(count(0, UID_MAX), "set"), {
    about: "Users, by number, that may talk to the socket besides root and the one that the proxy runs as.",
    bounds: `each 0 to ${UID_MAX}`,
    default: [],
    example: [1000, 1001],
  }),
});

/** The whole file. */
export const STATE: ObjectShape & Of<State> = object({
  workers: key(wordOr("auto", "auto", count(1, 64)), {
    about: "How many worker processes carry the traffic; `auto` is one for each processor.",
    unit: "processes",
    default: "auto",
    example: 4,
  }),
  user: key(text("a user", parseUser, USER_PATTERN), {
    about: "Who the workers become when the proxy is started as root: `user`, or `user:group`. Empty stays root.",
    default: "nobody",
    example: "www-data:www-data",
    seeAlso: ["sandbox"],
  }),
  sandbox: key(choice("auto", "off"), {
    about:
      "`auto` confines the workers with what the kernel offers (no new privileges, Landlock, seccomp) and logs what " +
      "holds; `off` does not.",
    default: "auto",
    example: "off",
  }),
  control: key(CONTROL, {
    about: "How the running proxy is spoken to, and what it remembers.",
    default: {},
    example: { socket: "/run/kakehi/control.sock", state_file: "/var/lib/kakehi/state.json" },
  }),
  trusted_proxies: key(list(text("a network, as text", canonicalNetwork), "set"), {
    about: "Networks of proxies in front of this one. Only from them are X-Forwarded-For, -Proto, -Host, -Port and " +
      "X-Request-Id believed; what others send is overwritten.",
    default: [],
    example: ["10.0.0.0/8", "fd00::/8", "192.0.2.7"],
  }),
  listeners: key(map("NAME", NAME, LISTENER), {
    about: "The sockets that clients connect to, by name.",
    example: { web: { address: "0.0.0.0:80" } },
  }),
  clusters: key(map("NAME", NAME, CLUSTER), {
    about: "Groups of backends that serve the same, by name.",
    default: {},
    example: { app: { backends: ["10.0.0.1:8080"] } },
    seeAlso: ["routes[].cluster"],
  }),
  routes: key(list(ROUTE, "any"), {
    about: "Rules from requests to clusters. Their order in the file does not matter: the most specific one answers. " +
      "Without a rule that fits, the answer is 404.",
    default: [],
    example: [{ host: "example.com", path: "/api/*", cluster: "app" }],
  }),
  certificates: key(CERTIFICATES, {
    about:
      "Certificates with their keys. One is chosen by the name that a client asks for, an exact name before a wildcard; " +
      "of several with one name, the one whose kind of key the client can verify.",
    default: [],
    example: [{ cert: "/etc/kakehi/example.pem", key: "/etc/kakehi/example.key" }],
  }),
  limits: LIMITS,
  timeouts: TIMEOUTS,
  access_log: key(wordOr("off", null, ACCESS_LOG), {
    about:
      "One line for each request; `off` writes none. A call of gRPC that the proxy answers itself has the status of the " +
      "refusal in it (503, say, as the counters have), though what HTTP said is 200, with the meaning in grpc-status.",
    default: "off",
    example: { path: "/var/log/kakehi/access.log", format: "json" },
  }),
  log: key(
    object({
      level: key(choice("debug", "info", "warn", "error"), {
        about: "The least important messages that are still written.",
        default: "info",
        example: "warn",
      }),
    }),
    { about: "What the proxy says about itself, on standard error.", default: {}, example: { level: "warn" } },
  ),
  answers: key(map("STATUS", text("a status", parseStatus, STATUS_PATTERN), text("a text", parseAnswer), "sorted"), {
    about:
      "Plain-text bodies of the answers that the proxy makes itself, by status (400 to 599). Calls of gRPC get the text as " +
      "grpc-message, up to 1 KiB of what it is when encoded.",
    bounds: "at most 1024 bytes each",
    default: {},
    example: { 404: "Nothing lives here.\n", 503: "Back in a minute.\n" },
  }),
});

const { listeners: _listeners, clusters: _clusters, routes: _routes, certificates: _certificates, ...settingKeys } =
  STATE.keys;

/** What is left of the file without its named objects. */
export const SETTINGS: ObjectShape & Of<Settings> = { kind: "object", keys: settingKeys };
