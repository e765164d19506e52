// The tables of a worker: a change is prepared beside what is served, refused whole or committed whole, and a backend that
// stays or returns is the same one.

import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import type { ClusterState, RouteState, State } from "../../../src/ts/config/state.ts";
import { Cuts } from "../../../src/ts/cluster/cuts.ts";
import type { UpstreamContext } from "../../../src/ts/cluster/upstream.ts";
import { EventLoop } from "../../../src/ts/loop/event_loop.ts";
import { Buffers } from "../../../src/ts/net/buffers.ts";
import { Counters } from "../../../src/ts/observe/counters.ts";
import { liveSettings } from "../../../src/ts/config/live_settings.ts";
import { ChangeRefused, isTrusted, Tables } from "../../../src/ts/worker/tables.ts";
import { explain } from "../../../src/ts/worker/explain.ts";
import type { WorkerChange } from "../../../src/ts/worker/protocol.ts";
import { checkState } from "../../../src/ts/config/check_state.ts";
import { parseNetwork } from "../../../src/ts/config/networks.ts";

const SLOTS = 16;

function upstreams(): UpstreamContext {
  const memory = new Uint8Array(1 << 18);
  const loop = new EventLoop(memory, 0, SLOTS);
  const region = { at: 65536, stride: 8192, count: 4, bytesOffset: 1024, capacity: 4096 };
  return {
    loop,
    buffers: new Buffers(region, loop, SLOTS),
    addressAt: 32768,
    memory,
    recordAt: () => 0,
    core: {} as UpstreamContext["core"], // of HTTP/2, which nothing here speaks
    http2: {} as UpstreamContext["http2"],
    counters: new Counters(),
    timeouts: { writeMs: 1000, connectMs: 3000, responseMs: 60_000 },
    cuts: new Cuts(loop),
    idleObjects: [],
    idleHttp2Clients: [],
    idleHttp2Streams: [],
    upstreamsActive: 0,
    streamsActive: 0,
    upstreamsMax: 8,
  };
}

function stateOf(value: unknown): State {
  const loaded = checkState(value, "test");
  if (!loaded.state) throw new Error(JSON.stringify(loaded));
  return loaded.state;
}

function served(onDrained: (cluster: string, address: string) => void = () => {}) {
  const state = stateOf({
    listeners: {},
    clusters: { app: { backends: ["127.0.0.1:1", "127.0.0.1:2"] }, other: { backends: ["127.0.0.1:3"] } },
    routes: [{ host: "a.test", cluster: "app" }, { host: "b.test", cluster: "other" }],
  });
  const context = upstreams();
  const tables = new Tables(
    { revision: 1, state, routeIds: [0, 1], resolved: {}, certificates: [], files: {}, redirects: {}, ticketKeys: [] },
    context,
    { drained: (cluster, { endpoint }) => onDrained(cluster, endpoint.text), standing: () => {}, tlsFailed: () => {} },
  );
  return { state, tables };
}

function change(revision: number, parts: Partial<WorkerChange>): WorkerChange {
  const nothing = { certificates: [], files: {}, listenersTls: {}, listenersRedirect: {}, listenersHttp2: {} };
  return { revision, clusters: {}, resolved: {}, routes: [], ...nothing, listenersRemoved: [], ...parts };
}

function lookUp(tables: Tables, host: string): number {
  const bytes = new TextEncoder().encode(`${host}/GET`);
  const none = { has: () => false };
  return tables.router.lookup(bytes, 0, host.length, host.length, 1, host.length + 1, 3, none);
}

const route = (state: State, parts: Partial<RouteState>): RouteState => ({ ...state.routes[0]!, ...parts });
const cluster = (state: State, ...addresses: string[]): ClusterState => ({
  ...state.clusters["app"]!,
  backends: addresses.map((address) => ({ address, weight: 1 })),
});

Deno.test("commit() makes routes, clusters and settings of a change serve at once, prepare() nothing of them", () => {
  const { state, tables } = served();
  const hash = tables.hash;
  const prepared = tables.prepare(change(2, {
    clusters: { fresh: cluster(state, "127.0.0.1:9") },
    routes: [{ id: 2, route: route(state, { host: "c.test", cluster: "fresh" }) }, { id: 1, route: null }],
    settings: { ...liveSettings(state), timeouts: { ...state.timeouts, idle: 7_000, response: 9_000 } },
  }));
  assertEquals([lookUp(tables, "b.test"), lookUp(tables, "c.test"), tables.revision, tables.hash], [1, -1, 1, hash]);
  assert(tables.timeouts.idleMs !== 7_000);
  tables.commit(prepared);
  assertEquals([lookUp(tables, "b.test"), lookUp(tables, "c.test"), tables.revision], [-1, 2, 2]);
  assertEquals(tables.routes[2]!.backends.map(({ endpoint }) => endpoint.text), ["127.0.0.1:9"]);
  assertEquals([tables.timeouts.idleMs, tables.timeouts.responseMs], [7_000, 9_000]);
  assert(tables.hash !== hash);
});

Deno.test("prepare() refuses a whole change, naming what is wrong, and nothing has changed", () => {
  const { state, tables } = served();
  const hash = tables.hash;
  const cases: [Partial<WorkerChange>, RegExp][] = [
    [
      { routes: [{ id: 5, route: route(state, { host: "x.test", cluster: "none" }) }] },
      /cluster "none" does not exist/,
    ],
    [
      { clusters: { other: null }, routes: [{ id: 5, route: route(state, { host: "x.test", cluster: "other" }) }] },
      /other/,
    ],
    [{ clusters: { app: cluster(state, "not an address") } }, /ip:port/],
    [{ routes: [{ id: 5, route: route(state, { host: "b.test" }) }] }, /says the same|same/],
  ];
  for (const [parts, pattern] of cases) {
    const error = assertThrows(() => tables.prepare(change(2, parts)), pattern);
    assert(error instanceof ChangeRefused, String(error));
  }
  assertEquals([lookUp(tables, "a.test"), lookUp(tables, "b.test"), lookUp(tables, "x.test")], [0, 1, -1]);
  assertEquals([tables.hash, tables.revision], [hash, 1]);
});

Deno.test("a removed backend is told of when its last request ends, and one that returns is the same", () => {
  const drained: string[] = [];
  const { state, tables } = served((name, address) => drained.push(`${name} ${address}`));
  const busy = tables.clusters.get("app")!.backends[1]!;
  busy.requests = 1;
  const only = (...addresses: string[]) => change(2, { clusters: { app: cluster(state, ...addresses) } });
  tables.commit(tables.prepare(only("127.0.0.1:1")));
  assertEquals([tables.clusters.get("app")!.backends.length, drained], [1, []]);
  tables.commit(tables.prepare(only("127.0.0.1:1", "127.0.0.1:2")));
  assert(tables.clusters.get("app")!.backends[1] === busy && !busy.retired);
  tables.commit(tables.prepare(only("127.0.0.1:1")));
  busy.release();
  assertEquals(drained, ["app 127.0.0.1:2"]);
});

Deno.test("the hash depends on what is served, not on the way there", () => {
  const { state, tables } = served();
  const before = tables.hash;
  tables.commit(tables.prepare(change(2, { clusters: { app: cluster(state, "127.0.0.1:7") } })));
  tables.commit(tables.prepare(change(3, { routes: [{ id: 1, route: null }] })));
  assert(tables.hash !== before);
  const back = { clusters: { app: state.clusters["app"]! }, routes: [{ id: 1, route: state.routes[1]! }] };
  tables.commit(tables.prepare(change(4, back)));
  assertEquals(tables.hash, before);
});

Deno.test("isTrusted() reads socket addresses of both families", () => {
  const networks = ["10.0.0.0/8", "fd00::/8"].map(parseNetwork);
  const memory = new Uint8Array(64);
  memory.set([2, 0, 0, 80, 10, 1, 2, 3], 4);
  memory.set([10, 0, 0, 80, 0, 0, 0, 0, 0xfd], 16);
  memory.set([2, 0, 0, 80, 11, 1, 2, 3], 48);
  assertEquals([4, 16, 48, 0].map((at) => isTrusted(networks, memory, at)), [true, true, false, false]);
  assertEquals(isTrusted([], memory, 4), false);
});

Deno.test("explain() tells of rules, backends and the choice, without changing whose turn it is", () => {
  const { tables } = served();
  const ask = () => explain(tables, { host: "a.test", path: "/", method: "GET", headers: [] });
  const first = ask();
  assertEquals([first.winner, first.cluster, first.wouldPick], [0, "app", "127.0.0.1:1"]);
  assertEquals(first.backends.map(({ address, standing }) => [address, standing]), [
    ["127.0.0.1:1", "up"],
    ["127.0.0.1:2", "up"],
  ]);
  assertEquals(ask(), first);
  const none = explain(tables, { host: "z.test", path: "/", method: "GET", headers: [] });
  assertEquals([none.winner, none.cluster, none.wouldPick], [-1, null, null]);
});
