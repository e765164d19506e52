// From one state to another by orders: that they lead there, that every step on the way is a valid state without a hole,
// and how they and the difference look.

import {
  applyOrders,
  canonicalJson,
  changesBetween,
  changesOf,
  checkState,
  describeDifference,
  diff,
  formatErrors,
  formatOrderError,
  hashAfter,
  hashState,
  type Order,
  orderSchema,
  routeKey,
  type State,
  toFile,
} from "../../../src/ts/config/mod.ts";
import { z } from "zod";
import { parse, stringify } from "yaml";
import { withChanges } from "../../../src/ts/config/changes.ts";
import { hashAfterChanges } from "../../../src/ts/config/state_hash.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";
import { randomState } from "./random_states.ts";

const ROUNDS = 300;

function applied(state: State, orders: readonly Order[]): State {
  const { state: next, errors } = applyOrders(state, orders);
  assert(next, errors && errors.map(formatOrderError).join("\n"));
  return next;
}

function stateOf(file: Record<string, unknown>): State {
  const { state, errors } = checkState({ listeners: {}, ...file }, "f");
  assert(state, errors && formatErrors(errors));
  return state;
}

const ORDER_SCHEMA = z.fromJSONSchema(JSON.parse(JSON.stringify(orderSchema())));

Deno.test("diff() leads from any state to any other, without a hole at any step", () => {
  for (let seed = 0; seed < ROUNDS; seed++) {
    const random = createRandom(seed);
    const [a, b] = [randomState(random), randomState(random)];
    try {
      checkDiff(a, b, seed % 10 === 0);
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify([toFile(a), toFile(b)])}`, { cause: error });
    }
  }
});

function checkDiff(a: State, b: State, checksSchema: boolean): void {
  const before = JSON.stringify(a);
  const orders = diff(a, b);
  const after = applied(a, orders);
  assertEquals(canonicalJson(after), canonicalJson(b));
  assertEquals(hashAfter(hashState(a), a, after, orders), hashState(b));
  assertEquals(changesOf(a, after, orders).map(nameOf).sort(), changesBetween(a, b).map(nameOf).sort());
  assertEquals(orders.length === 0, describeDifference(a, b).length === 0);
  assertEquals(diff(b, after), []);
  const changes = changesBetween(a, b);
  assertEquals(canonicalJson(withChanges(a, changes)), canonicalJson(b));
  assertEquals(hashAfterChanges(hashState(a), changes), hashState(b));
  let at = a;
  for (const order of orders) {
    const next = applied(at, [order]);
    assertEquals(hashAfter(hashState(at), at, next, [order]), hashState(next));
    checkStep(next, a, b);
    at = next;
    if (checksSchema) assert(ORDER_SCHEMA.safeParse(order).success, JSON.stringify(order));
  }
  assertEquals(JSON.stringify(a), before, "the given state has changed");
}

function nameOf({ object, name }: { object: string; name: string }): string {
  return `${object} ${name}`;
}

/** Whatever both ends answer is answered on the way: all routes, backends and listeners of one of them are there. */
function checkStep(step: State, a: State, b: State): void {
  const { state, errors } = checkState(toFile(step), "step");
  assert(state, errors && formatErrors(errors));
  assertEquals(state, step);
  const keys = new Map(step.routes.map((route) => [routeKey(route), route.cluster]));
  const has = (end: State) => end.routes.every((route) => keys.has(routeKey(route)));
  assert(has(a) || has(b), "a route is missing");
  for (const [name, { backends }] of Object.entries(step.clusters)) {
    const [from, to] = [a, b].map((end) => Object.hasOwn(end.clusters, name) ? end.clusters[name]!.backends : []);
    const addresses = new Set(backends.map(({ address }) => address));
    assert(
      [from!, to!].some((end) => end.length > 0 && end.every(({ address }) => addresses.has(address))) ||
        from!.length === 0 || to!.length === 0,
      "a backend is missing",
    );
  }
}

Deno.test("toFile() gives what loads to the same state, as JSON and as YAML", () => {
  for (let seed = 0; seed < 500; seed++) {
    const state = randomState(createRandom(seed));
    const file = toFile(state);
    assertEquals(checkState(JSON.parse(JSON.stringify(file)), "f").state, state, `seed ${seed}`);
    if (seed % 5 === 0) assertEquals(checkState(parse(stringify(file)), "f").state, state, `seed ${seed}`);
  }
});

Deno.test("toFile() leaves out what is the default", () => {
  assertEquals(toFile(stateOf({})), { listeners: {} });
  const file = {
    trusted_proxies: ["10.0.0.0/8"],
    listeners: { web: { address: "0.0.0.0:80" } },
    clusters: { app: { backends: ["a:1", { address: "b:1", weight: 2 }], timeouts: { response: "5m" } } },
    routes: [{ cluster: "app" }, { host: "a.example", path: "/x/*", cluster: "app" }],
    limits: { body_bytes: "100MiB" },
    timeouts: { connect: "500ms" },
    access_log: { format: "json" },
  };
  assertEquals(toFile(stateOf(file)), file);
});

Deno.test("diff() moves listeners so that no address is bound twice", () => {
  const at = (ports: Record<string, number>) =>
    stateOf({
      listeners: Object.fromEntries(
        Object.entries(ports).map(([name, port]) => [name, { address: `127.0.0.1:${port}` }]),
      ),
    });
  const words = (a: Record<string, number>, b: Record<string, number>) =>
    diff(at(a), at(b)).map((order) => {
      assert(order.object === "listener");
      return `${order.order} ${order.name} ${String(order.value?.address ?? "").replace("127.0.0.1:", "")}`.trim();
    });
  assertEquals(words({ a: 1 }, { b: 1 }), ["remove a", "add b 1"]);
  assertEquals(words({ a: 1 }, { b: 2 }), ["add b 2", "remove a"]);
  assertEquals(words({ a: 1, b: 2 }, { a: 2, b: 1 }), ["remove a", "update b 1", "add a 2"]);
  assertEquals(words({ a: 1, b: 2, c: 3 }, { a: 2, b: 3, c: 4 }), ["update c 4", "update b 3", "update a 2"]);
  assertEquals(words({ a: 0 }, { a: 0, b: 0 }), ["add b 0"]);
});

Deno.test("diff() gives room first and takes it last", () => {
  const a = stateOf({
    workers: 4,
    limits: { connections: 100, buffers: 100, headers: 50 },
    clusters: { old: { backends: ["a:1"] }, app: { backends: ["a:1"] } },
    routes: [{ host: "a", cluster: "old" }, { host: "b", cluster: "old" }],
  });
  const b = stateOf({
    workers: 2,
    limits: { connections: 200, buffers: 50, headers: 20 },
    clusters: { new: { backends: ["b:1"] }, app: { backends: ["b:1"], balance: "random" } },
    routes: [{ host: "a", cluster: "new" }, { host: "c", cluster: "app" }],
  });
  assertEquals(diff(a, b), [
    { order: "update", object: "settings", value: { limits: { connections: 200 } } },
    { order: "update", object: "cluster", name: "app", value: { balance: "random" } },
    { order: "add", object: "backend", cluster: "app", name: "b:1" },
    { order: "add", object: "cluster", name: "new", value: { backends: ["b:1"] } },
    { order: "update", object: "route", key: { host: "a" }, value: { cluster: "new" } },
    { order: "add", object: "route", key: { host: "c" }, value: { cluster: "app" } },
    { order: "remove", object: "route", key: { host: "b" } },
    { order: "remove", object: "backend", cluster: "app", name: "a:1" },
    { order: "remove", object: "cluster", name: "old" },
    { order: "update", object: "settings", value: { workers: 2, limits: { buffers: 50, headers: 20 } } },
  ]);
});

Deno.test("a change of the timeouts of all is one of the settings, and of no cluster", () => {
  const clusters = {
    follows: { backends: [] },
    own: { backends: [], timeouts: { response: "5s" } },
    same: { backends: [], timeouts: { response: "1m" } },
  };
  const a = stateOf({ clusters });
  const b = stateOf({ clusters, timeouts: { response: "30s" } });
  const settings: Order = { order: "update", object: "settings", value: { timeouts: { response: "30s" } } };
  assertEquals(diff(a, b), [settings]);
  assertEquals(changesBetween(a, b).map(({ object, name }) => [object, name]), [["settings", "timeouts"]]);
  const { state } = applyOrders(a, [settings]);
  assertEquals(state!.clusters, a.clusters);
  assert(state!.clusters === a.clusters, "nothing was copied");
  assertEquals(toFile(state!)["clusters"], clusters);
  const followsAgain: Order = {
    order: "update",
    object: "cluster",
    name: "own",
    value: { timeouts: { response: null } },
  };
  assertEquals(diff(a, applyOrders(a, [followsAgain]).state!), [followsAgain]);
  const stays = { ...clusters, follows: { backends: [], timeouts: { response: "60s" } } };
  assertEquals(diff(a, stateOf({ clusters: stays, timeouts: { response: "30s" } })), [
    { order: "update", object: "cluster", name: "follows", value: { timeouts: { response: "1m" } } },
    settings,
  ]);
});

Deno.test("diff() and changesBetween() find what changed in lists that lost their common order", () => {
  const routes = Array.from({ length: 300 }, (_, at) => ({ host: `h${at}`, cluster: "app" }));
  const a = stateOf({ clusters: { app: { backends: [] }, b: { backends: [] } }, routes });
  const moved = [...a.routes.slice(100), { ...a.routes[3]!, cluster: "b" }, ...a.routes.slice(0, 90).toReversed()];
  const b = { ...a, routes: moved.filter((route, at) => at === 200 || route !== a.routes[3]) };
  const orders = diff(a, b);
  assertEquals(orders.length, 11);
  assertEquals(orders.filter(({ order }) => order === "update").length, 1);
});

Deno.test("describeDifference() tells objects and fields", () => {
  const a = stateOf({
    timeouts: { idle: "75s" },
    answers: { 404: "none" },
    listeners: { web: { address: "0.0.0.0:80" } },
    clusters: {
      app: { backends: ["a:1", "b:1", { address: "c:1", weight: 2 }] },
      old: { backends: ["a:1"], timeouts: { connect: "1s" } },
    },
    routes: [{ host: "a.example", cluster: "app" }, { path: "/x", methods: ["GET"], cluster: "old" }],
  });
  const b = stateOf({
    timeouts: { idle: "30s" },
    answers: { 503: "later" },
    access_log: { format: "json" },
    listeners: { web: { address: "0.0.0.0:80", backlog: 10 }, web6: { address: "[::]:80" } },
    clusters: { app: { backends: ["c:1", "a:1", "d:1"], balance: "random", pool: { idle: 1 } } },
    routes: [{ host: "a.example", priority: 2, headers: { "X-A": "*" }, cluster: "app" }],
  });
  const lines = describeDifference(a, b).map(({ sign, object, name, cluster, fields }) => {
    const texts = fields.map(({ field, before, after }) => `${field}: ${show(before)} → ${show(after)}`);
    return [`${sign} ${object} ${cluster && `${cluster}/`}${name}`.trim(), ...texts];
  });
  assertEquals(lines, [
    [
      "~ settings",
      "timeouts.idle: 75s → 30s",
      'access_log: off → {"path":"stdout","format":"json"}',
      "answers.404: none → ∅",
      "answers.503: ∅ → later",
    ],
    ["~ listener web", "backlog: 4096 → 10"],
    ["+ listener web6", "address: ∅ → [::]:80"],
    ["~ cluster app", "balance: round_robin → random", "pool.idle: 512 → 1"],
    ["- backend app/b:1"],
    ["~ backend app/c:1", "weight: 2 → 1"],
    ["+ backend app/d:1"],
    ["- cluster old", 'backends: ["a:1"] → ∅', "timeouts.connect: 1s → ∅"],
    ["- route * /x GET", "cluster: old → ∅"],
    ["- route a.example /*", "cluster: app → ∅"],
    ["+ route a.example /* x-a: * priority 2", "cluster: ∅ → app"],
  ]);
  assertEquals(describeDifference(a, stateOf(toFile(a))), []);
});

function show(value: unknown): string {
  return value === null ? "∅" : typeof value === "object" ? JSON.stringify(value) : String(value);
}
