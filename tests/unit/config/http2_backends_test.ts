// What a cluster speaks to its backends: what a file and orders may say of it, and what goes with TLS and with the limits.

import {
  applyOrders,
  checkState,
  diff,
  formatErrors,
  formatOrderError,
  loadState,
  type State,
  toFile,
} from "../../../src/ts/config/mod.ts";
import { streamsPerConnection } from "../../../src/ts/config/http2_streams.ts";
import { assert, assertEquals } from "../../support/assert.ts";

type Form = Record<string, unknown>;

function stateOf(app: Form, limits: Form = {}): State {
  const { state, errors } = checkState({ listeners: {}, clusters: { app }, limits }, "f");
  assert(state, errors && formatErrors(errors));
  return state;
}

function errorsOf(text: string): string[] {
  return formatErrors(loadState(`listeners: {}\n${text}`, "f").errors ?? []).split("\n");
}

function update(value: Form) {
  return { order: "update", object: "cluster", name: "app", value } as const;
}

function refusals(state: State, ...orders: unknown[]): string[] {
  return (applyOrders(state, orders).errors ?? []).map(formatOrderError);
}

Deno.test("a cluster speaks HTTP/1.1 unless it says something else", () => {
  const { app } = stateOf({ backends: [] }).clusters;
  assertEquals([app!.protocol, app!.http2], ["http/1.1", { max_concurrent_streams: 100, ping_interval: 10_000 }]);
  const form = { backends: [], protocol: "h2c", http2: { max_concurrent_streams: 7, ping_interval: "2s" } };
  assertEquals(toFile(stateOf(form)).clusters, { app: form });
  assertEquals(stateOf(form).clusters["app"]!.http2, { max_concurrent_streams: 7, ping_interval: 2_000 });
});

Deno.test("h2 goes with TLS, h2c without, HTTP/1.1 with both", () => {
  for (const app of [{ protocol: "http/1.1" }, { protocol: "http/1.1", tls: {} }, { protocol: "h2c", tls: "off" }]) {
    stateOf({ backends: [], ...app });
  }
  stateOf({ backends: [], protocol: "h2", tls: { verify: false } });
  const cluster = (options: string) => errorsOf(`clusters: { app: { backends: [], ${options} } }`);
  assertEquals(cluster("protocol: h2"), [
    'f:2:44: clusters.app.protocol: expected "tls" beside "protocol: h2", got none; HTTP/2 without TLS is "protocol: h2c"',
  ]);
  assertEquals(cluster("tls: {}, protocol: h2c"), [
    'f:2:53: clusters.app.protocol: expected no "tls" beside "protocol: h2c", got some; HTTP/2 over TLS is "protocol: h2"',
  ]);
  assertEquals(cluster("protocol: http/2"), [
    'f:2:44: clusters.app.protocol: expected one of http/1.1, h2, h2c, got "http/2"',
  ]);
  assertEquals(cluster("http2: { max_concurrent_streams: 1025, ping_interval: 0s }"), [
    "f:2:67: clusters.app.http2.max_concurrent_streams: expected a whole number from 1 to 1024, got 1025",
    'f:2:88: clusters.app.http2.ping_interval: expected a duration from 1ms to 1h, got "0s"',
  ]);
});

Deno.test("orders say the protocol and TLS in one, and are refused where they do not fit", () => {
  const [plain, secure] = [
    stateOf({ backends: [], protocol: "h2c" }),
    stateOf({ backends: [], protocol: "h2", tls: {} }),
  ];
  const tls = secure.clusters["app"]!.tls;
  assertEquals(diff(plain, secure), [update({ protocol: "h2", tls })]);
  assertEquals(diff(secure, plain), [update({ protocol: "h2c", tls: "off" })]);
  assertEquals(applyOrders(plain, diff(plain, secure)).state, secure);
  assertEquals(applyOrders(secure, diff(secure, plain)).state, plain);
  assertEquals(refusals(plain, update({ protocol: "h2" })), [
    'cluster app: value.protocol: expected "tls" beside "protocol: h2", got none; HTTP/2 without TLS is "protocol: h2c"',
  ]);
  assertEquals(refusals(plain, update({ tls: {} })), [
    'cluster app: value.tls: expected no "tls" beside "protocol: h2c", got some; HTTP/2 over TLS is "protocol: h2"',
  ]);
  assertEquals(refusals(secure, update({ tls: "off" })), [
    'cluster app: value.tls: expected "tls" beside "protocol: h2", got none; HTTP/2 without TLS is "protocol: h2c"',
  ]);
  const reset = applyOrders(plain, [update({ protocol: null, http2: { ping_interval: "1s" } })]).state!;
  assertEquals(reset.clusters["app"]!.protocol, "http/1.1");
  assertEquals(reset.clusters["app"]!.http2, { max_concurrent_streams: 100, ping_interval: 1_000 });
});

Deno.test("no cluster speaks HTTP/2 where it is switched off", () => {
  const file = "clusters: { app: { backends: [], protocol: h2c } }\nlimits: { http2_connections: 0 }";
  assertEquals(errorsOf(file), [
    'f:2:44: clusters.app.protocol: expected "http/1.1" with "limits.http2_connections: 0", got "h2c"',
  ]);
  const limit = (connections: number) => {
    return { order: "update", object: "settings", value: { limits: { http2_connections: connections } } } as const;
  };
  const [without, speaking] = [
    stateOf({ backends: [] }, { http2_connections: 0 }),
    stateOf({ protocol: "h2c", backends: [] }),
  ];
  assertEquals(refusals(without, update({ protocol: "h2c" })), [
    'cluster app: value.protocol: expected "http/1.1" with "limits.http2_connections: 0", got "h2c"',
  ]);
  assertEquals(refusals(speaking, limit(0)), [
    "settings: value.limits.http2_connections: expected at least 1 with h2c to cluster app, got 0",
  ]);
  // in one transaction, in any order
  assert(applyOrders(without, [update({ protocol: "h2c" }), limit(1)]).state);
  assert(applyOrders(speaking, [limit(0), update({ protocol: "http/1.1" })]).state);
  assertEquals(diff(without, speaking), [limit(10_240), update({ protocol: "h2c" })]);
  assertEquals(diff(speaking, without), [update({ protocol: "http/1.1" }), limit(0)]);
});

Deno.test("streamsPerConnection() is the most that a listener or a cluster in HTTP/2 asks for, and at least 128", () => {
  const most = (protocol: string, streams: number) => {
    const tls = protocol === "h2" ? { tls: {} } : {};
    const app = { backends: [], protocol, ...tls, http2: { max_concurrent_streams: streams } };
    const { listeners, clusters } = stateOf(app);
    return streamsPerConnection(Object.values(listeners), Object.values(clusters));
  };
  assertEquals([most("http/1.1", 1024), most("h2c", 1024), most("h2", 129), most("h2c", 1)], [128, 1024, 129, 128]);
});
