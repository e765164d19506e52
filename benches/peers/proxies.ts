// The contenders: which are on this machine, how each is configured and started. All have one worker, keep up to 1,024 idle
// connections to the backend, speak HTTP/1.1 to it, and tell it the client's address and a request id, as a user would
// set them. Beyond that each is as it comes. With TLS all speak version 1.3 alone, X25519 first, with tickets and without a
// session cache of their own. Without an access log none writes a log; with one, each writes a line a
// request to a file in the way that costs it least and is usual for it.

import { stringify } from "yaml";
import { temporaryPaths } from "./backend.ts";
import { HOST } from "./client.ts";
import { findProgram } from "./stage.ts";

export const PROXY_NAMES = [
  "nginx",
  "haproxy",
  "haproxy-splice",
  "haproxy-splice-response",
  "caddy",
  "nghttpx",
  "kakehi",
  "parent",
] as const;
export type ProxyName = typeof PROXY_NAMES[number];

/**
 * Runs only when asked for by name. `option splice-auto` waits for signs of a fast stream, which may never come, so that
 * haproxy-splice can come out like haproxy; `option splice-response` always splices.
 */
export const ONLY_BY_NAME: ProxyName = "haproxy-splice-response";

/** Where one proxy is started: its own directory and port, in front of the shared backend. */
export interface Site {
  dir: string;
  port: number;
  backendPort: number;
  /** File with the certificate that the backend shows; null: it is spoken to plainly. */
  backendAuthority: string | null;
  /** The backend speaks HTTP/2 without TLS. */
  backendHttp2: boolean;
  accessLog: boolean;
  /** What it shows to clients; null speaks plainly. */
  credentials: Credentials | null;
}

/** Files in PEM. */
export interface Credentials {
  cert: string;
  key: string;
  /** Both in one, as HAProxy wants it. */
  both: string;
}

export interface Launch {
  path: string;
  args: string[];
  env?: Record<string, string>;
  cwd?: string;
}

export interface Proxy {
  name: ProxyName;
  version: string;
  /** What it adds to requests, and what its access log is: for the reader of the figures. */
  does: string;
  /** It can speak TLS with clients. */
  secures: boolean;
  /** It can speak HTTP/2 with backends. */
  speaksHttp2Behind: boolean;
  /** Where it writes its access log if asked to. */
  logPath(site: Site): string;
  /** Writes its configuration into the site and says how to start it. */
  launch(site: Site): Launch;
}

export interface OursOptions {
  /** Folder of this checkout. */
  root: string;
  /** The single binary instead of the sources. */
  binary: string | null;
  /** Folder of another checkout. */
  parent: string | null;
  /** Settings that go over those of the bench. */
  configExtra: Record<string, unknown>;
}

/** The contenders found, and a word for each that is not. */
export function findProxies(options: OursOptions): { proxies: Proxy[]; missing: string[] } {
  const proxies: Proxy[] = [];
  const missing: string[] = [];
  const peers = {
    nginx,
    haproxy,
    "haproxy-splice": haproxySplice,
    "haproxy-splice-response": haproxySpliceResponse,
    caddy,
    nghttpx,
  };
  for (const [name, make] of Object.entries(peers)) {
    const path = findProgram(name.split("-")[0]!);
    if (path) proxies.push(make(path));
    else missing.push(`${name}: not on this machine`);
  }
  if (options.binary) proxies.push(ours("kakehi", options.binary, [], options.root, options.configExtra));
  else addCheckout("kakehi", options.root);
  if (options.parent) addCheckout("parent", options.parent);
  return { proxies, missing };

  function addCheckout(name: "kakehi" | "parent", root: string): void {
    if (exists(`${root}/src/ts/worker/worker.ts`)) {
      const args = ["run", "-A", "--no-prompt", `${root}/src/ts/main.ts`];
      proxies.push(ours(name, Deno.execPath(), args, root, options.configExtra));
    } else missing.push(`${name}: ${root}/src/ts/worker/worker.ts does not exist`);
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** What the program says of its version; nginx says it on standard error. */
function versionOf(path: string, args: string[], cwd?: string): string {
  const output = new Deno.Command(path, { args, ...(cwd === undefined ? {} : { cwd }) }).outputSync();
  const text = new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr);
  return text.match(/\d+\.\d+\.\d+/)?.[0] ?? "unknown";
}

function nginx(path: string): Proxy {
  return {
    name: "nginx",
    version: versionOf(path, ["-v"]),
    does:
      "X-Forwarded-For, X-Forwarded-Proto, X-Request-Id; proxy_buffering as it comes; log: common, buffer=64k flush=1s",
    secures: true,
    speaksHttp2Behind: false,
    logPath: ({ dir }) => `${dir}/access.log`,
    launch({ dir, port, backendPort, backendAuthority, accessLog, credentials }) {
      const verified = backendAuthority && `
      proxy_ssl_trusted_certificate ${backendAuthority};
      proxy_ssl_verify on;
      proxy_ssl_server_name on;
      proxy_ssl_name ${HOST};`;
      const secure = credentials && `
    ssl_certificate ${credentials.cert};
    ssl_certificate_key ${credentials.key};
    ssl_protocols TLSv1.3;
    ssl_session_cache off;`;
      Deno.writeTextFileSync(
        `${dir}/nginx.conf`,
        `
daemon off;
worker_processes 1;
pid ${dir}/pid;
error_log ${dir}/error.log;
events { worker_connections 20000; }
http {
  ${temporaryPaths(dir)}
  log_format common '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent';
  access_log ${accessLog ? `${dir}/access.log common buffer=64k flush=1s` : "off"};
  keepalive_requests 1000000000;
  upstream backend {
    server 127.0.0.1:${backendPort};
    keepalive 1024;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port}${secure ? " ssl http2" : ""} backlog=4096;${secure ?? ""}
    location / {
      proxy_pass ${verified ? "https" : "http"}://backend;${verified ?? ""}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Request-Id $request_id;
    }
  }
}
`,
      );
      return { path, args: ["-p", dir, "-e", `${dir}/error.log`, "-c", `${dir}/nginx.conf`] };
    },
  };
}

function haproxy(path: string): Proxy {
  return haproxyWith("haproxy", path, "");
}

function haproxySplice(path: string): Proxy {
  return haproxyWith("haproxy-splice", path, "option splice-auto");
}

function haproxySpliceResponse(path: string): Proxy {
  return haproxyWith("haproxy-splice-response", path, "option splice-response");
}

function haproxyWith(name: ProxyName, path: string, extra: string): Proxy {
  return {
    name,
    version: versionOf(path, ["-v"]),
    does: `X-Forwarded-For, X-Forwarded-Proto, X-Request-Id${extra && "; " + extra}; log: common, a write a line`,
    secures: true,
    speaksHttp2Behind: true,
    // It logs to a descriptor, not to a file: its standard output is one.
    logPath: ({ dir }) => `${dir}/out`,
    launch({ dir, port, backendPort, backendAuthority, backendHttp2, accessLog, credentials }) {
      const names = `sni str(${HOST}) verifyhost ${HOST}`;
      const verified = backendAuthority ? ` ssl verify required ca-file ${backendAuthority} ${names}` : "";
      const secure = credentials
        ? ` ssl crt ${credentials.both} alpn h2,http/1.1 ssl-min-ver TLSv1.3 curves X25519:P-256`
        : "";
      const log = `log stdout format raw local0 info\n  log-format '%ci - - [%trl] "%HM %HU %HV" %ST %B'`;
      Deno.writeTextFileSync(
        `${dir}/haproxy.cfg`,
        `
global
  nbthread 1
  # More than the descriptors allow when all are busy, enough when most are idle.
  maxconn 12000
  no strict-limits
  tune.ssl.cachesize 0
defaults
  mode http
  ${accessLog ? log : ""}
  timeout connect 3s
  timeout client 75s
  timeout server 60s
  http-reuse always
  ${extra}
frontend web
  bind 127.0.0.1:${port} backlog 4096${secure}
  maxconn 12000
  option forwardfor
  http-request set-header X-Forwarded-Proto ${secure ? "https" : "http"}
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  default_backend app
backend app
  server app 127.0.0.1:${backendPort} pool-max-conn 1024${verified}${backendHttp2 ? " proto h2" : ""}
`,
      );
      return { path, args: ["-db", "-f", `${dir}/haproxy.cfg`] };
    },
  };
}

function nghttpx(path: string): Proxy {
  return {
    name: "nghttpx",
    version: versionOf(path, ["--version"]),
    does: "X-Forwarded-For, -Proto, Via; log: as it comes, a write a line",
    secures: true,
    speaksHttp2Behind: true,
    logPath: ({ dir }) => `${dir}/access.log`,
    launch({ dir, port, backendPort, backendHttp2, accessLog, credentials }) {
      const args = [
        "--workers=1",
        `--frontend=127.0.0.1,${port}${credentials ? "" : ";no-tls"}`,
        `--backend=127.0.0.1,${backendPort}${backendHttp2 ? ";;proto=h2" : ""}`,
        "--backlog=4096",
        "--add-x-forwarded-for",
        "--no-ocsp",
        "--tls-min-proto-version=TLSv1.3",
        `--accesslog-file=${accessLog ? `${dir}/access.log` : "/dev/null"}`,
        `--errorlog-file=${dir}/error.log`,
        `--pid-file=${dir}/pid`,
        "--conf=/dev/null",
      ];
      return { path, args: credentials ? [...args, credentials.key, credentials.cert] : args };
    },
  };
}

function caddy(path: string): Proxy {
  return {
    name: "caddy",
    version: versionOf(path, ["version"]),
    does: "X-Forwarded-For, -Proto, -Host, X-Request-Id; GOMAXPROCS=1; log: JSON, as it has no common format",
    secures: true,
    speaksHttp2Behind: true,
    logPath: ({ dir }) => `${dir}/access.log`,
    launch({ dir, port, backendPort, backendAuthority, backendHttp2, accessLog, credentials }) {
      const logs = {
        default: { level: "ERROR", exclude: ["http.log.access"] },
        ...(accessLog
          ? {
            access: {
              include: ["http.log.access"],
              writer: { output: "file", filename: `${dir}/access.log`, roll: false },
            },
          }
          : {}),
      };
      const handler = {
        handler: "reverse_proxy",
        upstreams: [{ dial: `127.0.0.1:${backendPort}` }],
        headers: { request: { set: { "X-Request-Id": ["{http.request.uuid}"] } } },
        transport: {
          protocol: "http",
          compression: false,
          ...(backendHttp2 ? { versions: ["h2c"] } : {}),
          ...(backendAuthority ? { tls: { root_ca_pem_files: [backendAuthority], server_name: HOST } } : {}),
          keep_alive: { max_idle_conns: 1024, max_idle_conns_per_host: 1024 },
        },
      };
      const server = {
        listen: [`127.0.0.1:${port}`],
        automatic_https: { disable: true },
        routes: [{ handle: [handler] }],
        ...(accessLog ? { logs: {} } : {}),
        ...(credentials
          ? {
            // openssl s_time names no host
            tls_connection_policies: [{ protocol_min: "tls1.3", default_sni: HOST }],
            protocols: ["h1", "h2"],
          }
          : {}),
      };
      const tls = credentials &&
        { certificates: { load_files: [{ certificate: credentials.cert, key: credentials.key }] } };
      const config = {
        admin: { disabled: true, config: { persist: false } },
        logging: { logs },
        apps: { http: { servers: { web: server } }, ...(tls ? { tls } : {}) },
      };
      Deno.writeTextFileSync(`${dir}/caddy.json`, JSON.stringify(config));
      const env = { GOMAXPROCS: "1", HOME: dir, XDG_CONFIG_HOME: dir, XDG_DATA_HOME: dir };
      return { path, args: ["run", "--config", `${dir}/caddy.json`], env };
    },
  };
}

function ours(
  name: "kakehi" | "parent",
  path: string,
  args: string[],
  cwd: string,
  extra: Record<string, unknown>,
): Proxy {
  return {
    name,
    version: versionOf(path, [...args, "version"], cwd),
    does: "X-Forwarded-For, -Proto, -Host, -Port, X-Request-Id, Via; all limits and timeouts; log: common",
    secures: name === "kakehi" || exists(`${cwd}/src/ts/sys/openssl.ts`),
    speaksHttp2Behind: name === "kakehi" || exists(`${cwd}/src/ts/cluster/http2_client.ts`),
    logPath: ({ dir }) => `${dir}/access.log`,
    launch({ dir, port, backendPort, backendAuthority, backendHttp2, accessLog, credentials }) {
      const address = `127.0.0.1:${port}`;
      const tls = { min_version: "1.3", default_certificate: "bench" };
      const config = {
        workers: 1,
        control: { socket: `${dir}/socket` },
        listeners: { web: credentials ? { address, protocol: "https", tls } : { address, protocol: "http" } },
        clusters: {
          app: {
            backends: [`127.0.0.1:${backendPort}`],
            pool: { idle: 1024 },
            ...(backendHttp2 ? { protocol: "h2c" } : {}),
            ...(backendAuthority ? { tls: { ca: backendAuthority, server_name: HOST } } : {}),
          },
        },
        routes: [{ path: "/*", cluster: "app" }],
        ...(credentials ? { certificates: [{ name: "bench", cert: credentials.cert, key: credentials.key }] } : {}),
        ...(accessLog ? { access_log: { path: `${dir}/access.log`, format: "common" } } : {}),
      };
      Deno.writeTextFileSync(`${dir}/kakehi.yaml`, stringify(merge(config, extra)));
      return { path, args: [...args, "start", "-c", `${dir}/kakehi.yaml`], cwd };
    },
  };
}

/** `over` laid on `base`, objects key by key, anything else whole. */
export function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const old = result[key];
    result[key] = isRecord(old) && isRecord(value) ? merge(old, value) : value;
  }
  return result;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
