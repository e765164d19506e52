// From the arguments of `cluster add` and the like to the order that is sent; every field of the schema has an option.

import { readArguments } from "../../../src/ts/cli/command.ts";
import { orderFrom } from "../../../src/ts/cli/noun.ts";
import { type Noun, NOUNS, OBJECT_OPTIONS, objectCommand } from "../../../src/ts/cli/objects.ts";
import { applyOrders, checkState, type Order, type Verb } from "../../../src/ts/config/mod.ts";
import { entries } from "../../../src/ts/config/reference.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

function order(noun: Noun, verb: Verb, ...args: string[]): Order {
  return orderFrom(noun, verb, readArguments(`${noun} ${verb}`, objectCommand(noun).verbs![verb]!, args));
}

Deno.test("a cluster is added with its backends and whatever else is said of it", () => {
  const backends = [
    "--backend",
    "10.0.0.1:80",
    "--backend",
    "10.0.0.2:80=2",
    "--backend",
    "unix:/a=b",
    "--backend=[::1]:8",
  ];
  const more = [
    "--balance",
    "least_requests",
    "--pool-idle-timeout",
    "30s",
    "--timeouts-response",
    "5m",
    "--pool-idle=0",
  ];
  assertEquals(order("cluster", "add", "app", ...backends, ...more), {
    order: "add",
    object: "cluster",
    name: "app",
    value: {
      backends: ["10.0.0.1:80", { address: "10.0.0.2:80", weight: 2 }, "unix:/a=b", "[::1]:8"],
      balance: "least_requests",
      pool: { idle_timeout: "30s", idle: 0 },
      timeouts: { response: "5m" },
    },
  });
  assertEquals(order("cluster", "add", "empty"), {
    order: "add",
    object: "cluster",
    name: "empty",
    value: { backends: [] },
  });
});

Deno.test("backends, listeners and routes become orders", () => {
  const backend = { object: "backend", cluster: "app", name: "10.0.0.3:80" } as const;
  assertEquals(order("backend", "add", "app", "10.0.0.3:80", "--weight", "2"), {
    order: "add",
    ...backend,
    value: { weight: 2 },
  });
  assertEquals(order("backend", "remove", "app", "10.0.0.3:80", "--wait"), { order: "remove", ...backend });
  assertEquals(order("listener", "add", "web", "--address", "0.0.0.0:80"), {
    order: "add",
    object: "listener",
    name: "web",
    value: { address: "0.0.0.0:80" },
  });
  const rule = ["--host", "a.test", "--path", "/x/*", "--method", "GET", "--method", "PUT", "--priority", "-3"];
  const key = { host: "a.test", path: "/x/*", methods: ["GET", "PUT"], headers: { "X-A": "1", b: "*" }, priority: -3 };
  const headers = ["--header", "X-A: 1", "--header", "b=*"];
  const value = { ...key, cluster: "app" };
  assertEquals(order("route", "add", ...rule, ...headers, "--cluster", "app"), {
    order: "add",
    object: "route",
    value,
  });
  assertEquals(order("route", "update", ...rule, ...headers, "--cluster", "b"), {
    order: "update",
    object: "route",
    key,
    value: { cluster: "b" },
  });
  assertEquals(order("route", "remove", "--host", "*"), { order: "remove", object: "route", key: { host: "*" } });
});

Deno.test("settings are changed, set to words, and brought back to their defaults", () => {
  const update = (...args: string[]) => (order("settings", "update", ...args) as { value: unknown }).value;
  assertEquals(update("--timeouts-idle", "30s", "--limits-body-bytes", "100MiB", "--workers", "auto", "--user", ""), {
    timeouts: { idle: "30s" },
    limits: { body_bytes: "100MiB" },
    workers: "auto",
    user: "",
  });
  assertEquals(
    update("--access-log", "off", "--control-watch", "true", "--control-uid", "5", "--answer", "404=a=b: c"),
    {
      access_log: "off",
      control: { watch: true, uids: [5] },
      answers: { 404: "a=b: c" },
    },
  );
  assertEquals(update("--access-log-format", "json", "--trusted-proxy", "10.0.0.0/8", "--default", "timeouts-idle"), {
    access_log: { format: "json" },
    trusted_proxies: ["10.0.0.0/8"],
    timeouts: { idle: null },
  });
});

Deno.test("what the schema refuses is wrong usage, with what was expected", () => {
  const refused: [() => unknown, RegExp][] = [
    [
      () => order("backend", "add", "app", "a:1", "--weight", "999"),
      /^UsageError: --weight: expected .*256, got "999"/,
    ],
    [() => order("cluster", "add", "app", "--balance", "leest_requests"), /--balance: .*did you mean "least_requests"/],
    [() => order("cluster", "add", "app", "--pool-idle-timeout", "10"), /--pool-idle-timeout: .*write a unit: "10s"/],
    [() => order("cluster", "add", "app", "--backend", "10.0.0.1"), /--backend: expected .*got "10.0.0.1"/],
    [() => order("cluster", "add"), /NAME is missing/],
    [() => order("cluster", "add", "a", "b"), /unexpected argument "b"/],
    [() => order("listener", "add", "web"), /--address is missing/],
    [() => order("route", "add", "--host", "a.test"), /--cluster is missing/],
    [
      () => order("route", "add", "--cluster", "a", "--header", "novalue"),
      /--header: expected HEADER=TEXT, got "novalue"/,
    ],
    [() => order("route", "remove"), /which route is not said; expected --host, --path/],
    [() => order("cluster", "update", "app"), /nothing to change is given; expected --backend, --protocol, --balance/],
    [
      () => order("cluster", "update", "app", "--default", "blance"),
      /--default: expected one of backend, protocol, balance, .* got "blance"/,
    ],
    [() => order("settings", "update", "--access-log", "off", "--access-log-path", "x"), /exclude each other/],
    [() => order("cluster", "update", "app", "--balanse", "x"), /unknown option --balanse; did you mean --balance\?/],
  ];
  for (const [body, pattern] of refused) assertThrows(body, pattern);
});

Deno.test("every field of the schema has an option", () => {
  const prefixes: Record<Noun, string> = {
    listener: "listeners.NAME.",
    cluster: "clusters.NAME.",
    backend: "clusters.NAME.backends[].",
    route: "routes[].",
    certificate: "certificates[].",
    settings: "",
  };
  const reached = new Set<string>();
  for (const noun of NOUNS) {
    const { key, add } = OBJECT_OPTIONS[noun];
    for (const { path } of [...key, ...add]) {
      for (let length = 1; length <= path.length; length++) {
        reached.add(prefixes[noun] + path.slice(0, length).join("."));
      }
    }
  }
  const named = [
    "listeners",
    "clusters",
    "routes",
    "clusters.NAME.backends[].address",
    "certificates",
    "certificates[].name",
  ];
  const missing = entries().map(({ name }) => name).filter((name) => !reached.has(name) && !named.includes(name));
  assertEquals(missing, []);
});

Deno.test("the examples of the help are accepted by a state that has what they name", () => {
  const { state } = checkState({
    listeners: { web: { address: "0.0.0.0:1" } },
    clusters: { app: { backends: ["10.0.0.3:80"] }, next: { backends: [] } },
    routes: [{ host: "example.com", path: "/api/*", cluster: "app" }],
    certificates: [{ name: "example", cert: "/example.pem" }],
  }, "state");
  assert(state);
  for (const noun of NOUNS) {
    for (const [verb, { examples = [] }] of Object.entries(objectCommand(noun).verbs!)) {
      for (const example of examples) {
        const [, , ...args] = example.replaceAll("'", "").split(" ");
        const { errors } = applyOrders(state, [order(noun, verb as Verb, ...args)]);
        assertEquals((errors ?? []).filter(({ code }) => code !== "exists"), [], example);
      }
    }
  }
});
