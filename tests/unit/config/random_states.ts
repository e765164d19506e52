// States for property tests, at random from small choices, so that any two of them have much in common and differ in
// everything that can differ. They are made in the form of the file, and read as files are.

import { checkState, formatErrors, type State } from "../../../src/ts/config/mod.ts";
import { assert } from "../../support/assert.ts";
import type { Random } from "../../support/random.ts";

type Form = Record<string, unknown>;

export function randomState(random: Random): State {
  const { state, errors } = checkState(randomFile(random), "random");
  assert(state, errors && formatErrors(errors));
  return state;
}

export function randomFile(random: Random): Form {
  const names = ["app", "files", "slow", "constructor", "7"].filter(() => random.below(3) > 0);
  const certificates = ["one", "two", "constructor", "/three.pem"].filter(() => random.below(3) > 0);
  const clusters = names.map((name): [string, Form] => [name, randomCluster(random, certificates)]);
  const speakHttp2 = clusters.some(([, { protocol = "http/1.1" }]) => protocol !== "http/1.1");
  const settings = randomSettings(random);
  const limits = { ...settings["limits"] as Form, ...speakHttp2 ? {} : maybe(random, "http2_connections", 0, 5) };
  return {
    ...settings,
    limits,
    certificates: certificates.map((name) => randomCertificate(random, name)),
    listeners: randomListeners(random, certificates),
    clusters: Object.fromEntries(clusters),
    routes: names.length === 0 ? [] : randomRoutes(random, names),
  };
}

/** One of them, or nothing. */
function maybe<T>(random: Random, key: string, ...values: T[]): Record<string, T> {
  const at = random.below(values.length + 1);
  return at < values.length ? { [key]: values[at]! } : {};
}

export function randomSettings(random: Random): Form {
  const answers = [maybe(random, "404", "none", "gone"), maybe(random, "503", "later"), maybe(random, "429", "")];
  return {
    ...maybe<unknown>(random, "workers", "auto", 1, 4),
    ...maybe(random, "user", "", "www:www"),
    ...maybe(random, "trusted_proxies", ["10.0.0.0/8"], ["fd00::/8", "10.0.0.0/8"]),
    ...maybe<Form>(random, "control", { history: 5, uids: [7, 1000] }, { watch: true, state_file: "/s" }),
    ...maybe<unknown>(random, "access_log", "off", { format: "json" }, { path: "/log" }),
    ...maybe<Form>(random, "log", { level: "debug" }),
    // Not all of these fit together key by key: what changes from one to the other must change at once.
    ...maybe<Form>(
      random,
      "limits",
      { buffer_size: "1MiB", buffers: 1024, header_bytes: "512KiB" },
      { buffer_size: "16KiB", buffers: 65_536 },
      { buffer_size: "4KiB", header_bytes: "2KiB", target_bytes: "1KiB", connections: 5 },
      { body_bytes: "1MiB", headers: 16 },
      { body_bytes: "2MiB", pipes: 0 },
    ),
    timeouts: {
      ...maybe(random, "connect", "1s", "5s"),
      ...maybe(random, "response", "5m", "60s"),
      ...maybe(random, "idle", "1s", "90s"),
    },
    answers: Object.assign({}, ...answers),
  };
}

function randomCertificate(random: Random, name: string): Form {
  return {
    ...name.startsWith("/") ? { cert: name } : { name, cert: random.below(2) === 0 ? "/a.pem" : "/b.pem" },
    ...maybe(random, "key", "/a.key", `sha256:${"1".repeat(64)}`),
    ...maybe(random, "names", ["B.example", "a.example"], ["*.example"]),
    ...maybe(random, "ocsp", "/a.ocsp"),
  };
}

function randomListenerTls(random: Random, certificates: string[]): Form {
  if (random.below(2) === 0) return maybe<unknown>(random, "redirect_https", true, 8443);
  const tls = {
    ...maybe(random, "min_version", "1.2", "1.3"),
    ...maybe(random, "default_certificate", ...certificates),
    ...maybe(random, "ticket_lifetime", "0s", "1h"),
  };
  return {
    protocol: "https",
    ...maybe<Form>(random, "tls", tls, { client_certificate: "optional", client_ca: "/ca" }),
  };
}

function randomClusterTls(random: Random, certificates: string[]): Form {
  const tls = { ...maybe(random, "certificate", ...certificates), ...maybe(random, "server_name", "a.example") };
  return maybe<unknown>(random, "tls", tls, {}, "off", { verify: false }, { min_version: "1.3" });
}

function randomListeners(random: Random, certificates: string[]): Form {
  const ports = [80, 81, 82, 83, 84].sort(() => random.below(3) - 1);
  const listeners: Form = {};
  for (const name of ["a", "b", "c", "d"]) {
    if (random.below(3) === 0) continue;
    const port = random.below(6) === 0 ? 0 : ports.pop()!;
    const tls = randomListenerTls(random, certificates);
    listeners[name] = { address: `127.0.0.1:${port}`, ...maybe(random, "backlog", 10, 20), ...tls };
  }
  return listeners;
}

export function randomCluster(random: Random, certificates: string[] = []): Form {
  const addresses = ["10.0.0.1:80", "10.0.0.2:80", "host.name:80", "unix:/run/app.sock"].sort(() =>
    random.below(3) - 1
  );
  const backends = addresses.slice(random.below(5)).map((address) => {
    return random.below(2) === 0 ? address : { address, ...maybe(random, "weight", 1, 2, 256) };
  });
  const tls = randomClusterTls(random, certificates);
  const http2 = (tls["tls"] ?? "off") === "off" ? "h2c" : "h2";
  return {
    backends,
    ...tls,
    ...maybe(random, "protocol", "http/1.1", http2, http2),
    ...maybe(random, "balance", "random", "round_robin"),
    ...maybe<Form>(random, "http2", { max_concurrent_streams: 7 }, {
      max_concurrent_streams: 200,
      ping_interval: "2s",
    }),
    ...maybe<Form>(random, "pool", { idle: 0 }, { connections: 5, idle_timeout: "90s" }),
    ...maybe<Form>(random, "timeouts", { connect: "5s" }, { response: "60s" }, { connect: "7s", response: "5m" }, {}),
  };
}

export function randomRule(random: Random): Form {
  return {
    ...maybe(random, "host", "a.example", "*.example", "*", "[::1]"),
    ...maybe(random, "path", "/", "/x", "/x/*", "~/v[0-9]+/.*"),
    ...maybe(random, "methods", ["GET"], ["HEAD", "GET"]),
    ...maybe<Form>(random, "headers", { "X-A": "1" }, { "x-b": "*", "x-a": "" }, JSON.parse('{"__proto__":"1"}')),
    ...maybe(random, "priority", 1, -1),
  };
}

function randomRoutes(random: Random, clusters: string[]): Form[] {
  const rules = new Map<string, Form>();
  for (let left = random.below(12); left > 0; left--) {
    const rule = randomRule(random);
    const { host = "*", path = "/*", methods = [], headers = {}, priority = 0 } = rule;
    const key = JSON.stringify([host, path, [...methods as string[]].sort(), headers, priority]);
    const cluster = clusters[random.below(clusters.length)];
    rules.set(key, { ...rule, cluster, ...maybe(random, "allow_misdirected", true, false) });
  }
  return [...rules.values()];
}
