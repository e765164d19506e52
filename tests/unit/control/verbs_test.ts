// The verbs of the control socket, from a client's bytes to its answers, over workers of the tests.

import { describeDifference } from "../../../src/ts/config/difference.ts";
import { ControlError } from "../../../src/ts/control/errors.ts";
import { Live } from "../../../src/ts/control/live.ts";
import { VERBS } from "../../../src/ts/control/protocol.ts";
import { protocolSchema } from "../../../src/ts/control/protocol_schema.ts";
import { ControlServer } from "../../../src/ts/control/server.ts";
import { Serving } from "../../../src/ts/control/serving.ts";
import { metricsText } from "../../../src/ts/control/metrics.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { eventually } from "../../support/proxy.ts";
import { makeCluster, makeState } from "../../support/states.ts";
import { Bench, BY } from "./bench.ts";
import { Client } from "./client.ts";

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const GRPC = { order: "add", object: "cluster", name: "grpc", value: { backends: [], protocol: "h2c" } };
const addRoute = (path: string) => ({ order: "add", object: "route", value: { host: "a.test", path, cluster: "app" } });

async function withMain(body: (client: Client, path: string, bench: Bench) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/control.sock`;
  await using bench = new Bench();
  const { supervisor, log, poller } = bench;
  await supervisor.roll(Serving.first(1, makeState({ clusters: { app: makeCluster("10.0.0.1:80") } }), {}));
  const server: ControlServer = ControlServer.open(path, poller, (request, asking) => live.answer(request, asking));
  const live = new Live({
    supervisor,
    log,
    source: "",
    socket: path,
    load: () => Promise.reject(new Error("there is no file")),
    loadedAtMs: 0,
    resolved: {},
    begin: BY,
    upgrade: () => Promise.reject(new ControlError("failed", "this main is a test")),
    upgrades: () => 0,
    stop: (atOnce) => supervisor.stop(atOnce),
    reload: () => {},
    onUids: (uids) => server.setUids(uids),
  });
  try {
    using client = await Client.connect(path);
    await body(client, path, bench);
  } finally {
    await live.close();
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("plan shows what apply would do, and does nothing", async () => {
  await withMain(async (client) => {
    const orders = [addRoute("/x"), { order: "update", object: "settings", value: { limits: { pipes: 4 } } }];
    const plan = await client.ask({ verb: "plan", orders });
    assertEquals([plan.status, plan.revision, plan.effects], ["ok", 1, ["rolls workers"]]);
    const applied = await client.ask({ verb: "apply", orders, why: "a test", if_revision: 1 });
    assertEquals([applied.revision, applied.hash, applied.differences], [2, plan.hash_after, plan.differences]);
    const { revisions } = await client.ask({ verb: "history" });
    assertEquals(revisions.map((r: any) => [r.revision, r.why, r.source]), [[2, "a test", "orders"], [
      1,
      "",
      "orders",
    ]]);
    assertEquals(revisions[0].who.uid, Deno.uid());
    const back = await client.ask({ verb: "rollback", if_revision: 2 });
    assertEquals([back.revision, back.hash], [3, plan.hash_before]);
  });
});

Deno.test("apply takes a state as text, as values, or by orders", async () => {
  await withMain(async (client) => {
    const { state } = await client.ask({ verb: "get" });
    assertEquals((await client.ask({ verb: "apply", state })).revision, 1, "what get gives is what is served");
    const text = JSON.stringify({ ...state, routes: [{ host: "b.test", cluster: "app" }] });
    assertEquals((await client.ask({ verb: "apply", text, file_name: "my.yaml" })).revision, 2);
    const bad = await client.ask({ verb: "apply", text: "routes:\n  - { cluster: nap }\n", file_name: "my.yaml" });
    assertEquals(bad.code, "invalid");
    assert(bad.errors.some((error: any) => error.line === 2 && error.object.startsWith("my.yaml:2:")));
    const none = await client.ask({ verb: "apply", orders: [{ order: "remove", object: "cluster", name: "ap" }] });
    assertEquals([none.code, none.errors[0].code, none.errors[0].hint], ["invalid", "missing", 'did you mean "app"?']);
    for (const fields of [{}, { orders: [], text: "" }, { orders: {} }, { text: 7 }, { orders: [], if_revison: 1 }]) {
      assertEquals((await client.ask({ verb: "apply", ...fields })).code, "bad_request");
    }
    assertEquals((await client.ask({ verb: "apply", orders: [], if_revision: 1 })).code, "conflict");
  });
});

Deno.test("get gives the state, single objects, and lists", async () => {
  await withMain(async (client) => {
    await client.ask({ verb: "apply", orders: [addRoute("/x"), addRoute("/y")] });
    const value = async (fields: object) => (await client.ask({ verb: "get", ...fields })).value;
    const values = async (fields: object) => (await client.ask({ verb: "get", ...fields })).values;
    assertEquals(await value({ object: "cluster", name: "app" }), {
      backends: ["10.0.0.1:80"],
      pool: { idle: 16 },
    });
    assertEquals(Object.keys(await values({ object: "listener" })), ["web"]);
    assertEquals(await values({ object: "backend", filter: { cluster: "app" } }), [
      { cluster: "app", address: "10.0.0.1:80", weight: 1 },
    ]);
    assertEquals((await values({ object: "route", filter: { host: "a.test" } })).length, 2);
    assertEquals((await values({ object: "route", filter: { host: "b.test" } })).length, 0);
    const key = { host: "a.test", path: "/x" };
    assertEquals(await value({ object: "route", key }), { ...key, cluster: "app" });
    assertEquals((await value({ object: "settings" })).workers, 1);
    for (
      const fields of [{ object: "cluster", name: "ap" }, { object: "route", key: { host: "no" } }, {
        object: "backend",
        name: "10.0.0.1:81",
      }]
    ) assertEquals((await client.ask({ verb: "get", ...fields })).code, "missing");
    assertMatch((await client.ask({ verb: "get", object: "cluster", name: "ap" })).reason, /did you mean "app"/);
    for (const fields of [{ object: "sluice" }, { filter: 3 }, { object: "route", key: { hots: 1 } }]) {
      assertEquals((await client.ask({ verb: "get", ...fields })).code, "bad_request");
    }
  });
});

Deno.test("status, metrics, workers and log", async () => {
  await withMain(async (client, _path, bench) => {
    const status = await client.ask({ verb: "status" });
    assertEquals([status.workers[0].hash, status.workers[0].differs], [status.served_hash, false]);
    assertEquals(status.clusters, { "http/1.1": 1, h2: 0, h2c: 0 });
    await client.ask({ verb: "apply", orders: [GRPC] });
    assertEquals((await client.ask({ verb: "status" })).clusters, { "http/1.1": 1, h2: 0, h2c: 1 });
    const set = await client.ask({ verb: "workers", set: 2 });
    assertEquals(set.workers.map((w: any) => [w.state, w.differs]), [["serving", false], ["serving", false]]);
    const before = bench.pids();
    await client.ask({ verb: "workers", restart: true });
    assert(bench.pids().length === 2 && bench.pids().every((pid) => !before.includes(pid)));
    const { text } = await client.ask({ verb: "metrics" });
    assertMatch(text, /^# HELP kakehi_info .*\n# TYPE kakehi_info gauge\nkakehi_info\{version="[\d.]+"\} 1\n/);
    assertMatch(text, /\nkakehi_revision 3\n/);
    assertMatch(text, /\nkakehi_clusters\{protocol="http\/1\.1"\} 1\n/);
    assertMatch(text, /\nkakehi_clusters\{protocol="h2c"\} 1\n/);
    assertMatch(text, /\nkakehi_requests_total\{worker="1",pid="\d+"\} 0\n/);
    assertMatch(text, /\n# TYPE kakehi_connections_active gauge\n/);
    for (const line of text.trim().split("\n")) {
      assertMatch(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? [\d.e+-]+)$/);
    }
    assertEquals((await client.ask({ verb: "log", level: "debug" })).level, "debug");
    for (const fields of [{ set: 0 }, { set: 65 }, { set: 2, restart: true }, { restart: "yes" }]) {
      assertEquals((await client.ask({ verb: "workers", ...fields })).code, "bad_request");
    }
    assertEquals((await client.ask({ verb: "log", level: "loud" })).code, "bad_request");
  });
});

Deno.test("metricsText() escapes what stands in labels", () => {
  const status = { workers: [], clusters: {}, version: '1"\\\n', uptime_ms: 1, revision: 1, memory_bytes: 0 };
  assertMatch(metricsText(status as any), /kakehi_info\{version="1\\"\\\\\\n"\} 1/);
});

Deno.test("subscribers are told of what they asked for until they go", async () => {
  await withMain(async (client, path, bench) => {
    using listening = await Client.connect(path);
    const told: any[] = [];
    listening.follow({ verb: "subscribe", events: ["state.changed", "listener.added"] }, (line) => told.push(line));
    await delay(20);
    await client.ask({ verb: "apply", orders: [addRoute("/x")] });
    await client.ask({ verb: "log", level: "info" });
    const value = { address: "127.0.0.1:0" };
    await client.ask({ verb: "apply", orders: [{ order: "add", object: "listener", name: "more", value }] });
    await eventually("three events", () => told.length, (count) => count === 3);
    assertEquals(told.map(({ status, event }) => [status, event.name]), [
      ["progress", "state.changed"],
      ["progress", "listener.added"],
      ["progress", "state.changed"],
    ]);
    assertMatch(told[0].event.at, /^\d{4}-.*Z$/);
    assertEquals([told[0].event.revision, told[0].event.what], [2, "route a.test /x added"]);
    listening.close();
    await delay(20);
    assertEquals(bench.events.isWanted("refusals"), true); // the bench itself
    assertEquals((await client.ask({ verb: "subscribe", events: ["rain"] })).code, "bad_request");
  });
});

Deno.test("a subscriber that does not read is told so and dropped, and changes go on", async () => {
  await withMain(async (client, path) => {
    using slow = await Deno.connect({ transport: "unix", path });
    await slow.write(new TextEncoder().encode('{"id":1,"verb":"subscribe"}\n'));
    await delay(20);
    const why = "x".repeat(1_000);
    for (let i = 0; i < 1_500; i++) {
      const order = {
        order: i % 2 ? "remove" : "add",
        object: "route",
        key: { host: "s.test" },
        ...(i % 2 ? {} : { value: { cluster: "app" } }),
      };
      assertEquals((await client.ask({ verb: "apply", orders: [order], why })).status, "ok");
    }
    let text = "";
    const buffer = new Uint8Array(1 << 20);
    while (!text.includes('"too_slow"')) {
      const count = await slow.read(buffer);
      assert(count !== null, "the connection ended without a word");
      text = text.slice(-1_000) + new TextDecoder().decode(buffer.subarray(0, count));
    }
  });
});

Deno.test("protocolSchema() describes every verb", () => {
  const schema = protocolSchema() as any;
  assertEquals(schema.$defs.request.oneOf.map((form: any) => form.properties.verb.const), [...VERBS]);
  assertEquals(Object.keys(schema.$defs.answers.properties), [...VERBS]);
  const names = new Set(Object.keys(schema.$defs));
  for (const [, name] of JSON.stringify(schema).matchAll(/"#\/\$defs\/(\w+)"/g)) assert(names.has(name!), name);
});

Deno.test("protocolSchema() knows whatever a difference can be about", () => {
  const certificate = { cert: "/c.pem", key: "", names: ["a.test"], ocsp: "" };
  const after = makeState({ clusters: { app: makeCluster("10.0.0.1:80") }, certificates: { a: certificate } });
  const described = describeDifference(makeState({ clusters: {} }), after).map(({ object }) => object);
  const { properties } = (protocolSchema() as any).$defs.difference;
  assertEquals(described, ["cluster", "certificate"]);
  for (const object of described) assert(properties.object.enum.includes(object), object);
});
