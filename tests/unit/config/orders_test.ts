// Orders one by one: what each does to a state, and what is said about those that cannot be carried out.

import {
  applyOrder,
  applyOrders,
  checkState,
  formatErrors,
  formatOrderError,
  hashAfter,
  hashState,
  indexState,
  type Order,
  type State,
} from "../../../src/ts/config/mod.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const FILE = {
  listeners: { web: { address: "0.0.0.0:80" }, web6: { address: "[::]:80" }, any: { address: "127.0.0.1:0" } },
  clusters: {
    app: { backends: ["10.0.0.1:80", { address: "10.0.0.2:80", weight: 2 }], pool: { idle: 4 } },
    files: { backends: ["unix:/run/files.sock"], timeouts: { response: "5m" } },
    spare: { backends: [] },
  },
  routes: [
    { host: "a.example", cluster: "app" },
    { host: "a.example", path: "/files/*", methods: ["GET"], cluster: "files" },
    { path: "/files/*", headers: { "X-Beta": "1" }, priority: 5, cluster: "files" },
  ],
  answers: { 404: "none", 503: "later" },
  access_log: { path: "/log", format: "json" },
};

function stateOf(file: Record<string, unknown>): State {
  const { state, errors } = checkState(file, "f");
  assert(state, errors && formatErrors(errors));
  return state;
}

const STATE = stateOf(FILE);

/** What the file would say after the orders. */
function assertLeadsTo(orders: Order[], file: Partial<Record<keyof typeof FILE, unknown>> & Record<string, unknown>) {
  const { state, errors } = applyOrders(STATE, orders);
  assert(state, errors && errors.map(formatOrderError).join("\n"));
  assertEquals(state, stateOf({ ...FILE, ...file }));
  assertEquals(hashAfter(hashState(STATE), STATE, state, orders), hashState(state));
}

function assertRefused(orders: unknown, ...messages: string[]) {
  const { errors } = applyOrders(STATE, orders);
  assert(errors, "the orders were accepted");
  assertEquals(errors.map((error) => `${error.at} ${error.code}: ${formatOrderError(error)}`), messages);
}

const { app, files, spare } = FILE.clusters;
const { web, web6, any } = FILE.listeners;
const [root, first, second] = FILE.routes;

Deno.test("applyOrder() adds, updates and removes listeners", () => {
  assertLeadsTo([{ order: "add", object: "listener", name: "alt", value: { address: "0.0.0.0:8080" } }], {
    listeners: { web, web6, any, alt: { address: "0.0.0.0:8080" } },
  });
  assertLeadsTo([{ order: "update", object: "listener", name: "web", value: { backlog: 5 } }], {
    listeners: { web: { ...web, backlog: 5 }, web6, any },
  });
  assertLeadsTo([{ order: "remove", object: "listener", name: "web" }], { listeners: { web6, any } });
});

Deno.test("applyOrder() adds, updates and removes clusters", () => {
  const add: Order = { order: "add", object: "cluster", name: "new", value: { backends: ["B.example:1"] } };
  assertLeadsTo([add], { clusters: { app, files, spare, new: { backends: ["b.example:1"] } } });
  assertLeadsTo([
    { order: "update", object: "cluster", name: "app", value: { pool: { connections: 9 }, balance: "random" } },
  ], { clusters: { app: { ...app, pool: { idle: 4, connections: 9 }, balance: "random" }, files, spare } });
  assertLeadsTo([{ order: "update", object: "cluster", name: "app", value: { backends: ["x:1"], pool: null } }], {
    clusters: { app: { backends: ["x:1"] }, files, spare },
  });
  assertLeadsTo([{ order: "update", object: "cluster", name: "files", value: { timeouts: { response: null } } }], {
    clusters: { app, files: { backends: files.backends }, spare },
  });
  assertLeadsTo([{ order: "remove", object: "cluster", name: "spare" }], { clusters: { app, files } });
});

Deno.test("applyOrder() adds, updates and removes backends", () => {
  const backend = { object: "backend", cluster: "app" } as const;
  const [one, two] = app.backends;
  assertLeadsTo([{ ...backend, order: "add", name: "X.example.:80" }], {
    clusters: { app: { ...app, backends: [one, two, "x.example:80"] }, files, spare },
  });
  assertLeadsTo([{ ...backend, order: "update", name: "10.0.0.1:80", value: { weight: 7 } }], {
    clusters: { app: { ...app, backends: [{ address: one, weight: 7 }, two] }, files, spare },
  });
  assertLeadsTo([{ ...backend, order: "update", name: "10.0.0.2:80", value: { weight: null } }], {
    clusters: { app: { ...app, backends: [one, "10.0.0.2:80"] }, files, spare },
  });
  assertLeadsTo([{ ...backend, order: "remove", name: "10.0.0.1:80" }], {
    clusters: { app: { ...app, backends: [two] }, files, spare },
  });
});

Deno.test("applyOrder() adds, updates and removes routes, by whatever spelling of their rule", () => {
  const route = { host: "A.example.", path: "/x/../files/*", methods: ["GET", "GET"] };
  assertLeadsTo([{ order: "update", object: "route", key: route, value: { cluster: "app" } }], {
    routes: [root, { ...first, cluster: "app" }, second],
  });
  assertLeadsTo([{ order: "remove", object: "route", key: { ...route, headers: {}, priority: 0 } }], {
    routes: [root, second],
  });
  assertLeadsTo([{ order: "add", object: "route", key: {}, value: { cluster: "app" } }], {
    routes: [root, first, second, { cluster: "app" }],
  });
  const flat = { host: "b.example", headers: { "X-A": "*" }, cluster: "spare" };
  assertLeadsTo([{ order: "add", object: "route", value: flat }], { routes: [root, first, second, flat] });
});

Deno.test("applyOrder() updates settings, merging objects and replacing lists", () => {
  const settings = (value: Record<string, unknown>): Order => ({ order: "update", object: "settings", value });
  assertLeadsTo([settings({ timeouts: { idle: "30s" }, workers: 4 }), settings({ timeouts: { drain: "1s" } })], {
    timeouts: { idle: "30s", drain: "1s" },
    workers: 4,
  });
  assertLeadsTo([settings({ answers: { 404: null, 429: "slow" } })], { answers: { 503: "later", 429: "slow" } });
  assertLeadsTo([settings({ answers: null, access_log: { format: null } })], {
    answers: {},
    access_log: { path: "/log" },
  });
  assertLeadsTo([settings({ access_log: "off" }), settings({ access_log: { format: "common" } })], {
    access_log: { format: "common" },
  });
  assertLeadsTo([settings({ trusted_proxies: ["fd00::/8"], control: { uids: [10, 9] } })], {
    trusted_proxies: ["fd00::/8"],
    control: { uids: [9, 10] },
  });
  assertLeadsTo([settings({ timeouts: { response: "10s" } })], { timeouts: { response: "10s" } });
});

Deno.test("applyOrders() needs references to hold at the end only", () => {
  const orders: Order[] = [
    { order: "remove", object: "cluster", name: "app" },
    { order: "update", object: "route", key: { host: "a.example" }, value: { cluster: "new" } },
    { order: "update", object: "listener", name: "web", value: { address: "[::]:80" } },
    { order: "update", object: "settings", value: { limits: { header_bytes: "30KiB" } } },
    { order: "add", object: "cluster", name: "new", value: { backends: [] } },
    { order: "remove", object: "listener", name: "web6" },
    { order: "update", object: "settings", value: { limits: { buffer_size: "32KiB" } } },
    { order: "add", object: "cluster", name: "app", value: { backends: ["y:1"] } },
    { order: "add", object: "backend", cluster: "app", name: "z:1" },
    { order: "remove", object: "route", key: { host: "a.example" } },
    { order: "add", object: "route", key: { host: "a.example" }, value: { cluster: "new" } },
  ];
  assertLeadsTo(orders, {
    listeners: { web: { address: "[::]:80" }, any },
    clusters: { app: { backends: ["y:1", "z:1"] }, files, spare, new: { backends: [] } },
    routes: [{ host: "a.example", cluster: "new" }, first, second],
    limits: { header_bytes: "30KiB", buffer_size: "32KiB" },
  });
  assertLeadsTo([], {});
});

Deno.test("applyOrder() says what is there already and what is missing", () => {
  const value = { cluster: "app" };
  assertRefused(
    [
      { order: "add", object: "cluster", name: "app", value: { backends: [] } },
      { order: "update", object: "cluster", name: "ap", value: { balance: "randm" } },
      { order: "remove", object: "listener", name: "webb" },
      { order: "add", object: "backend", cluster: "app", name: "10.0.0.1:80" },
      { order: "remove", object: "backend", cluster: "app", name: "10.0.0.1:81" },
      { order: "add", object: "backend", cluster: "flies", name: "10.0.0.1:81" },
      { order: "add", object: "route", value: { host: "A.example", cluster: "app" } },
      { order: "update", object: "route", key: { host: "a.example", path: "/files/*" }, value },
      { order: "remove", object: "route", key: { host: "a.example", path: "/fils/*" } },
      { order: "add", object: "route", key: { path: "/n" }, value: { cluster: "fils" } },
    ],
    '0 exists: cluster app: expected a name that no cluster has, there is one already; "update" changes it',
    '1 missing: cluster ap: name: expected a cluster that is there, there is no "ap"; did you mean "app"?',
    "1 invalid: cluster ap: value.balance: expected one of round_robin, random, least_requests, " +
      'got "randm"; did you mean "random"?',
    '2 missing: listener webb: name: expected a listener that is there, there is no "webb"; did you mean "web"?',
    "3 exists: backend 10.0.0.1:80 of cluster app: expected an address that the cluster does not have, " +
      'it is there already; "update" changes its weight',
    "4 missing: backend 10.0.0.1:81 of cluster app: name: expected a backend that is there, " +
      'there is no "10.0.0.1:81"; did you mean "10.0.0.1:80"?',
    "5 missing: backend 10.0.0.1:81 of cluster flies: cluster: expected a cluster that is there, " +
      'there is no "flies"; did you mean "files"?',
    '6 exists: route A.example /*: expected a rule that is not there, it is there already; "update" changes its cluster',
    "7 missing: route a.example /files/*: key: expected a route that is there, " +
      "there is no a.example /files/*; did you mean a.example /files/* GET?",
    "8 missing: route a.example /fils/*: key: expected a route that is there, " +
      "there is no a.example /fils/*; did you mean a.example /files/* GET?",
    '9 missing: route * /n: value.cluster: expected a cluster that is there, there is no "fils"; did you mean "files"?',
  );
});

Deno.test("applyOrder() says who needs what is to be removed, and who has an address", () => {
  assertRefused(
    [
      { order: "remove", object: "cluster", name: "app" },
      { order: "remove", object: "cluster", name: "files" },
      { order: "add", object: "listener", name: "b", value: { address: "[0::0]:80" } },
      { order: "add", object: "listener", name: "c", value: { address: "127.0.0.1:0" } },
    ],
    "0 in_use: cluster app: expected a cluster that no route leads to, route a.example /* does; " +
      "remove them first, or with it",
    "1 in_use: cluster files: expected a cluster that no route leads to, route a.example /files/* GET and 1 more do; " +
      "remove them first, or with it",
    '2 exists: listener b: value.address: expected an address of its own, "web6" has [::]:80',
  );
});

Deno.test("applyOrder() says what is wrong with values, all of it", () => {
  assertRefused(
    [
      { order: "add", object: "listener", name: "-", value: { adress: "0.0.0.0:80", backlog: 0 } },
      { order: "add", object: "cluster", name: "new", value: { backends: ["a:1", "A:1"] } },
      { order: "add", object: "route", key: { host: "new" }, value: { cluster: "new" } },
      { order: "update", object: "settings", value: { timeouts: { idle: 5 }, workrs: 1, control: { watch: "yes" } } },
      { order: "update", object: "settings", value: { limits: { target_bytes: "13KiB" } } },
      { order: "update", object: "route", key: { host: "a.example" }, value: { priority: 1 } },
      { order: "update", object: "backend", cluster: "app", name: "10.0.0.1:80" },
    ],
    "0 invalid: listener -: name: expected a name of 1 to 63 letters, digits, " +
      '"-", "_" and ".", that begins with a letter or digit, got "-"',
    "0 invalid: listener -: value.adress: expected one of address, protocol, backlog, redirect_https, tls, h2c, http2, " +
      'got the unknown key "adress"; did you mean "address"?',
    '0 invalid: listener -: value.address: expected an address to bind, such as "0.0.0.0:80", got nothing',
    "0 invalid: listener -: value.backlog: expected a whole number from 1 to 65535, got 0",
    "1 invalid: cluster new: value.backends[1]: expected each backend once, " +
      'got "a:1" again; a larger share is a larger "weight"',
    "3 invalid: settings: value.workrs: expected one of workers, user, sandbox, control, trusted_proxies, limits, " +
      'timeouts, access_log, log, answers, got the unknown key "workrs"; did you mean "workers"?',
    '3 invalid: settings: value.control.watch: expected true or false, got "yes"; write true, without quotes',
    '3 invalid: settings: value.timeouts.idle: expected a duration such as "500ms", "10s", "5m" or "1h", got 5; ' +
      'write a unit: "5s" or "5ms"',
    "4 invalid: settings: value.limits.target_bytes: expected target_bytes at most header_bytes, " +
      "got 13KiB with heads of 12KiB; target_bytes may be 12KiB",
    '5 invalid: route a.example /*: value.priority: expected one of cluster, allow_misdirected, got the unknown key "priority"',
    "6 invalid: backend 10.0.0.1:80 of cluster app: value: expected a map of weight, got nothing",
  );
});

Deno.test("applyOrder() says what an order is", () => {
  assertRefused(
    [
      null,
      [],
      {},
      { order: "ad", object: "cluster" },
      { order: "add", object: "settings", value: {} },
      { order: "remove", object: "route" },
      { order: "remove", object: "cluster", name: "spare", value: {} },
      { order: "remove", object: "clustre", name: "spare" },
      { order: "remove", object: "constructor" },
      { order: "remove", object: "cluster", name: "a\u001b[2J\n" },
    ],
    "0 invalid: order: expected a map of order, object, and what they need, got nothing",
    "1 invalid: order: expected a map of order, object, and what they need, got a list",
    "2 invalid: order: order: expected one of add, update, remove, got nothing",
    "2 invalid: order: object: expected one of listener, cluster, backend, route, certificate, settings, got nothing",
    '3 invalid: cluster ?: order: expected one of add, update, remove, got "ad"; did you mean "add"?',
    '4 invalid: settings: order: expected "update", got "add"',
    "5 invalid: route * /*: key: expected a map of host, path, methods, headers, priority, got nothing",
    '6 invalid: cluster spare: value: expected one of order, object, name, got the unknown key "value"',
    "7 invalid: order: object: expected one of listener, cluster, backend, route, certificate, settings, " +
      'got "clustre"; did you mean "cluster"?',
    '8 invalid: order: object: expected one of listener, cluster, backend, route, certificate, settings, got "constructor"',
    '9 invalid: cluster "a\\u001b[2J\\n": name: expected a name of 1 to 63 letters, digits, "-", "_" and ".", ' +
      'that begins with a letter or digit, got "a\\u001b[2J\\n"',
  );
  for (const value of [undefined, null, 5, "x", {}, { length: 3 }]) {
    assertRefused(value, `0 invalid: orders: expected a list of orders, got ${shown(value)}`);
  }
});

function shown(value: unknown): string {
  return value == null ? "nothing" : typeof value === "object" ? "a map" : JSON.stringify(value);
}

Deno.test("applyOrders() stops counting errors after a thousand, and says how many are left", () => {
  const { errors } = applyOrders(STATE, Array.from({ length: 1500 }, () => ({ order: "remove", object: "x" })));
  assertEquals(errors!.length, 1001);
  assertEquals(formatOrderError(errors!.at(-1)!), "orders: expected fewer errors, there are 500 more");
});

Deno.test("applyOrder() gives the first error and all of them", () => {
  const { error, errors } = applyOrder(STATE, { order: "add", object: "cluster", name: "-" });
  assertEquals(errors!.length, 2);
  assertEquals(error, errors![0]);
});

Deno.test("applyOrder() shares what does not change", () => {
  indexState(STATE);
  const { state } = applyOrder(STATE, { order: "remove", object: "backend", cluster: "app", name: "10.0.0.1:80" });
  assert(state);
  assert(state.routes === STATE.routes && state.listeners === STATE.listeners && state.limits === STATE.limits);
  assert(state.clusters !== STATE.clusters && state.clusters.files === STATE.clusters.files);
  assert(STATE.clusters.app!.backends.length === 2);
  const { state: third } = applyOrder(state, { order: "remove", object: "route", key: { host: "a.example" } });
  assert(third && third.clusters === state.clusters && third.routes[0] === STATE.routes[1]);
});

Deno.test("applyOrders() takes many routes at once, and old states go on to be right", () => {
  const keys = Array.from({ length: 2000 }, (_, at) => ({ host: `h${at}.example`, path: at % 2 === 0 ? "/*" : "/x" }));
  const add = keys.map((key): Order => ({ order: "add", object: "route", key, value: { cluster: "spare" } }));
  const { state: full } = applyOrders(STATE, add);
  assert(full);
  const remove = keys.slice(0, 1990).map((key): Order => ({ order: "remove", object: "route", key }));
  const { state: few } = applyOrders(full, remove);
  assertEquals(few!.routes.length, 13);
  assertEquals(applyOrder(few!, { order: "remove", object: "cluster", name: "spare" }).error!.code, "in_use");
  for (const [state, code] of [[STATE, undefined], [full, "in_use"], [STATE, undefined]] as const) {
    assertEquals(applyOrder(state, { order: "remove", object: "cluster", name: "spare" }).error?.code, code);
  }
  assertEquals(applyOrders(few!, keys.slice(1990).map((key) => ({ ...remove[0]!, key }))).state, STATE);
});
