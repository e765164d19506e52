// The configuration of a hosting platform, as large as wanted: a cluster for each application, with one to four backends, and
// some routes to it. Hosts, paths, methods, headers and weights differ as they do where customers choose them; the same
// numbers always give the same text. For the bench of large states and the tests at a smaller size.

export interface PlatformSize {
  clusters: number;
  routesPerCluster: number;
}

/** `flow` is as people write, a route a line; `block` is as programs write that make YAML from data. */
export type PlatformStyle = "flow" | "block" | "json";

export interface PlatformOptions extends PlatformSize {
  style?: PlatformStyle;
  /** Further keys of the file, such as `workers`; they come first. */
  settings?: Record<string, unknown>;
  /** The address of the backends of the cluster with this number; by default one of a private network. */
  backend?: (cluster: number, at: number) => string;
  /** Address of the one listener. */
  listen?: string;
}

interface Cluster {
  backends: (string | { address: string; weight: number })[];
  balance?: string;
  pool?: { idle: number };
  timeouts?: { response: string };
}

export interface PlatformRoute {
  host: string;
  path?: string;
  methods?: string[];
  headers?: Record<string, string>;
  priority?: number;
  cluster: string;
}

const PATHS = [
  undefined,
  "/api/*",
  "/api/v2/*",
  "/static/*",
  "/login",
  "/admin/*",
  "/ws",
  "/robots.txt",
  "/assets/img/*",
  "~/orders/[0-9]+(?:/items)?",
];

export function clusterName(number: number): string {
  return `app-${number.toString(36)}`;
}

/** The name by which the customer of a cluster is reached; every fifth has a wildcard, every seventh a domain of his own. */
export function hostOf(number: number): string {
  if (number % 7 === 3) return `www.customer-${number.toString(36)}.example.net`;
  return `${number % 5 === 4 ? "*." : ""}shop-${number.toString(36)}.apps.example.com`;
}

/** A host that a route of the cluster answers for. */
export function askedHostOf(number: number): string {
  return hostOf(number).replace("*", "any");
}

function privateAddress(cluster: number, at: number): string {
  const number = 4 * cluster + at;
  return `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}:${8000 + number % 1000}`;
}

function clusterOf(number: number, address: (cluster: number, at: number) => string): Cluster {
  const count = 1 + number % 4;
  const backends = Array.from({ length: count }, (_, at) => {
    const weight = 1 + (number + at) % 3;
    return weight === 1 ? address(number, at) : { address: address(number, at), weight };
  });
  return {
    backends,
    ...(number % 6 === 5 ? { balance: "least_requests" } : {}),
    ...(number % 10 === 7 ? { pool: { idle: 16 } } : {}),
    ...(number % 10 === 9 ? { timeouts: { response: "5m" } } : {}),
  };
}

export function routesOf(number: number, count: number): PlatformRoute[] {
  return Array.from({ length: count }, (_, at) => {
    const path = at < PATHS.length ? PATHS[at] : `/section-${at % 13}/${at}/*`;
    return {
      host: hostOf(number),
      ...(path === undefined ? {} : { path }),
      ...(at % 10 === 5 ? { methods: ["GET", "HEAD", "POST"] } : {}),
      ...(at % 10 === 2 && number % 4 === 0 ? { headers: { "x-beta": "1" } } : {}),
      ...(at % 10 === 9 ? { priority: 5 } : {}),
      cluster: clusterName(number),
    };
  });
}

/** The configuration as plain values. */
export function platform(options: PlatformOptions): Record<string, unknown> {
  const { clusters, routesPerCluster, settings = {}, backend = privateAddress, listen = "127.0.0.1:0" } = options;
  const numbers = Array.from({ length: clusters }, (_, number) => number);
  return {
    ...settings,
    listeners: { web: { address: listen } },
    clusters: Object.fromEntries(numbers.map((number) => [clusterName(number), clusterOf(number, backend)])),
    routes: numbers.flatMap((number) => routesOf(number, routesPerCluster)),
  };
}

/** The configuration as the text of a file. */
export function platformText(options: PlatformOptions): string {
  const value = platform(options);
  if (options.style === "json") return JSON.stringify(value);
  const write = options.style === "block" ? block : flow;
  return Object.entries(value).map(([key, item]) => `${key}:${write(item)}\n`).join("");
}

/** Each entry of a map or list on a line of its own, in braces. */
function flow(value: unknown): string {
  if (Array.isArray(value) && value.length > 0) return value.map((item) => `\n  - ${inBraces(item)}`).join("");
  if (typeof value !== "object" || value === null || Array.isArray(value)) return ` ${inBraces(value)}`;
  return Object.entries(value).map(([key, item]) => `\n  ${key}: ${inBraces(item)}`).join("");
}

function inBraces(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inBraces).join(", ")}]`;
  if (typeof value !== "object" || value === null) return scalar(value);
  return `{ ${Object.entries(value).map(([key, item]) => `${key}: ${inBraces(item)}`).join(", ")} }`;
}

/** A key or item a line, indented. */
function block(value: unknown, indent = "  "): string {
  if (Array.isArray(value) && value.length > 0) {
    return value.map((item) =>
      `\n${indent}-${isFilled(item) ? block(item, `${indent}  `).trimStart().replace(/^/, " ") : ` ${scalar(item)}`}`
    )
      .join("");
  }
  if (!isFilled(value)) return ` ${scalar(value)}`;
  return Object.entries(value as object).map(([key, item]) => `\n${indent}${key}:${block(item, `${indent}  `)}`).join(
    "",
  );
}

function isFilled(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

function scalar(value: unknown): string {
  if (typeof value === "string") {
    return /^[A-Za-z/~][\w./*~[\]+()?-]*$/.test(value) && !/[[\]]/.test(value) ? value : JSON.stringify(value);
  }
  return JSON.stringify(value);
}
