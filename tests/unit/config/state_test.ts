// Files that are right: what state they give, in full and piece by piece.

import { checkState, formatErrors, loadState, loadStateFile, type State } from "../../../src/ts/config/mod.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { HTTP2 } from "../../support/states.ts";

function stateOf(text: string): State {
  const { state, errors } = loadState(text, "test.yaml");
  assert(state, errors && formatErrors(errors));
  return state;
}

const SMALLEST: State = {
  workers: "auto",
  user: "nobody",
  sandbox: "auto",
  control: { socket: "", state_file: "", history: 100, watch: false, uids: [] },
  trusted_proxies: [],
  listeners: {},
  clusters: {},
  routes: [],
  certificates: {},
  limits: {
    connections: 10_240,
    upstream_connections: 10_240,
    buffers: 4096,
    buffer_size: 16_384,
    header_bytes: 12_288,
    headers: 100,
    target_bytes: 8192,
    body_bytes: 0,
    pipes: 256,
    http2_connections: 10_240,
    http2_streams: 10_240,
  },
  timeouts: {
    request_header: 10_000,
    request_body: 60_000,
    idle: 75_000,
    connection_age: 0,
    write: 60_000,
    connect: 3000,
    response: 60_000,
    tunnel: 3_600_000,
    drain: 30_000,
  },
  access_log: null,
  log: { level: "info" },
  answers: {},
};

Deno.test("loadState() fills in every default", () => {
  assertEquals(stateOf("listeners: {}"), SMALLEST);
  const empty = "control:\ntrusted_proxies:\nlisteners:\nclusters:\nroutes:\nlimits:\ntimeouts:\nlog:\nanswers:\n";
  assertEquals(stateOf(empty), SMALLEST, "sections without anything in them");
  assertEquals(stateOf('{"listeners": {}}'), SMALLEST, "JSON");
});

Deno.test("loadState() gives the canonical form of everything", () => {
  const state = stateOf(`
    workers: 2
    user: www-data:www-data
    sandbox: off
    control: { socket: /tmp/a.sock, state_file: /tmp/a.json, history: 5, watch: true, uids: [1000, 7, 1000] }
    trusted_proxies: ["fd00::/8", 10.0.0.0/8, 127.0.0.1, 10.0.0.0/8]
    listeners: { web: { address: "[0::0]:0", backlog: 10 } }
    clusters:
      app:
        backends: ["A.example.:80", { address: "unix:/run/app.sock", weight: 256 }]
        balance: random
        pool: { connections: 0, idle: 0, idle_timeout: 90s }
        timeouts: { response: 1.5s }
    routes:
      - { cluster: app }
      - host: "*.BÜCHER.de"
        path: "/a/../b/*"
        methods: [POST, GET, POST]
        headers: { X-B: "*", X-A: "" }
        priority: -5
        cluster: app
    limits: { buffer_size: 32KiB, body_bytes: 10MB, target_bytes: 1024 }
    timeouts: { connect: 250ms, drain: 0s }
    access_log: { path: /tmp/access.log }
    log: { level: debug }
    answers: { 503: "Später.\\n", 404: "" }
  `);
  assertEquals(state, {
    ...SMALLEST,
    workers: 2,
    user: "www-data:www-data",
    sandbox: "off",
    control: { socket: "/tmp/a.sock", state_file: "/tmp/a.json", history: 5, watch: true, uids: [7, 1000] },
    trusted_proxies: ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"],
    listeners: {
      web: {
        address: "[::]:0",
        protocol: "http",
        backlog: 10,
        redirect_https: false,
        tls: null,
        h2c: false,
        http2: HTTP2,
      },
    },
    clusters: {
      app: {
        backends: [{ address: "a.example:80", weight: 1 }, { address: "unix:/run/app.sock", weight: 256 }],
        protocol: "http/1.1",
        balance: "random",
        pool: { connections: 0, idle: 0, idle_timeout: 90_000 },
        timeouts: { connect: null, response: 1500 },
        tls: null,
        http2: { max_concurrent_streams: 100, ping_interval: 10_000 },
      },
    },
    routes: [
      { host: "", path: "", methods: [], headers: {}, priority: 0, cluster: "app", allow_misdirected: false },
      {
        host: "*.xn--bcher-kva.de",
        path: "/b/*",
        methods: ["GET", "POST"],
        headers: { "x-a": "", "x-b": "*" },
        priority: -5,
        cluster: "app",
        allow_misdirected: false,
      },
    ],
    limits: { ...SMALLEST.limits, buffer_size: 32_768, body_bytes: 10_000_000, target_bytes: 1024 },
    timeouts: { ...SMALLEST.timeouts, connect: 250, drain: 0 },
    access_log: { path: "/tmp/access.log", format: "combined" },
    log: { level: "debug" },
    answers: { "404": "", "503": "Später.\n" },
  });
});

Deno.test("loadState() resolves anchors, aliases and merge keys", () => {
  const state = stateOf(`
    listeners: {}
    clusters:
      one: &one { backends: [&address "10.0.0.1:80"], timeouts: &slow { connect: 1s, response: 5m } }
      two: { <<: *one, balance: random, backends: [*address, "10.0.0.2:80"] }
      three: { <<: [{ balance: least_requests }, *one, { balance: random }], timeouts: { <<: *slow, connect: 2s } }
      four: *one
  `);
  const { one, two, three, four } = state.clusters;
  assertEquals(two, {
    ...one!,
    balance: "random",
    backends: [{ address: "10.0.0.1:80", weight: 1 }, { address: "10.0.0.2:80", weight: 1 }],
  });
  assertEquals(three, { ...one!, balance: "least_requests", timeouts: { connect: 2000, response: 300_000 } });
  assertEquals(four, one);
});

Deno.test("loadState() takes an anchor that many use", () => {
  const uses = Array.from({ length: 5000 }, (_, at) => `  app${at}: { backends: [], timeouts: *slow }`).join("\n");
  const state = stateOf(`listeners: {}\nclusters:\n  app: { backends: [], timeouts: &slow { response: 5m } }\n${uses}`);
  assertEquals(state.clusters.app4999!.timeouts, { connect: null, response: 300_000 });
});

Deno.test("loadState() lets names be any, even those of properties that all objects have", () => {
  const { clusters, routes } = stateOf(`
    listeners: {}
    clusters: { constructor: { backends: [] }, toString: { backends: [] } }
    routes: [{ cluster: toString, headers: { __proto__: "1" } }]
  `);
  assertEquals(Object.keys(clusters), ["constructor", "toString"]);
  assertEquals(Object.entries(routes[0]!.headers), [["__proto__", "1"]]);
});

Deno.test("loadState() gives states that share nothing that could be changed by mistake", () => {
  const [first, second] = [stateOf("listeners: {}"), stateOf("listeners: {}")];
  first.trusted_proxies.push("::/0");
  first.limits.buffers = 1;
  assertEquals(second, SMALLEST);
});

Deno.test("checkState() checks plain values, and its errors have no line", () => {
  assertEquals(checkState({ listeners: {} }, "order").state, SMALLEST);
  const { errors } = checkState({ listeners: {}, routes: [{ cluster: "a" }], workers: "1" }, "order");
  assertEquals(formatErrors(errors!).split("\n"), [
    'order: workers: expected "auto" or a whole number from 1 to 64, got "1"; write it without quotes',
    'order: routes[0].cluster: expected a cluster, of which there are none, got "a"',
  ]);
  for (const value of [undefined, 5, "x", [], NaN, true]) assert(checkState(value, "order").errors);
});

Deno.test("loadStateFile() reads a file, or says why it cannot", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/kakehi.yaml`;
    await Deno.writeTextFile(file, "listeners: {}\n");
    assertEquals((await loadStateFile(file)).state, SMALLEST);
    const message = async (name: string) => formatErrors((await loadStateFile(name)).errors!);
    assertEquals(
      await message(`${directory}/none`),
      `${directory}/none: expected a file that can be read, got none of this name`,
    );
    assertMatch(await message(directory), /expected a file that can be read, got a directory$/);
    await Deno.writeFile(file, new Uint8Array([0x61, 0xff]));
    assertEquals(await message(file), `${file}: expected text in UTF-8, got other bytes`);
    await Deno.truncate(file, 65 * 1024 * 1024);
    assertEquals(await message(file), `${file}: expected at most 16 MiB, got 68157440 bytes`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("loadState() is bounded", () => {
  const first = (text: string) => formatErrors(loadState(text, "f").errors!).split("\n")[0]!;
  assertEquals(first(" ".repeat(16 * 1024 * 1024 + 1)), "f: expected at most 16 MiB, got 16.0 MiB");
  assertMatch(first(`listeners: ${"[".repeat(100_000)}`), /^f/);
  const deep = loadState(`nothing: ${"{a: ".repeat(70)}1${"}".repeat(70)}`, "f").errors!;
  assert(deep.some((error) => error.expected === "at most 64 levels"));
  const merges = Array.from({ length: 1000 }, (_, at) => `m${at}: { <<: *a }`).join("\n");
  const many = Array.from({ length: 3000 }, (_, at) => `k${at}: 1`).join(", ");
  assertMatch(first(`a: &a { ${many} }\n${merges}`), /at most 2000000 values/);
});

Deno.test("loadState() stops counting errors after a thousand, and says how many are left", () => {
  const routes = Array.from({ length: 1500 }, () => "  - { cluster: nowhere, nothing: 1, path: x }").join("\n");
  const { errors } = loadState(`listeners: {}\nroutes:\n${routes}`, "f");
  assertEquals(errors!.length, 1001);
  assertEquals(errors!.at(-1)!.got, "3500 more");
});

Deno.test("loadState() takes time in proportion to the file", () => {
  const file = (routes: number) => {
    const clusters = Array.from({ length: routes / 10 }, (_, at) => `  app${at}: { backends: ["10.0.0.1:${at + 1}"] }`);
    const rules = Array.from(
      { length: routes },
      (_, at) => `  - { host: h${at}.example, cluster: app${at % clusters.length} }`,
    );
    return `listeners: {}\nclusters:\n${clusters.join("\n")}\nroutes:\n${rules.join("\n")}`;
  };
  const time = (text: string) => {
    const before = performance.now();
    stateOf(text);
    return performance.now() - before;
  };
  time(file(1000));
  const small = Math.min(time(file(1000)), time(file(1000)));
  const large = time(file(10_000));
  // Quadratic work would be a hundredfold.
  assert(large < 40 * small, `1,000 routes: ${small.toFixed()} ms, 10,000 routes: ${large.toFixed()} ms`);
});
