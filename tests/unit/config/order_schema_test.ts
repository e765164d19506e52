// The JSON Schema of an order, against zod's reading of it: what it lets pass, and that the examples in it are orders.

import { applyOrder, checkState, orderSchema } from "../../../src/ts/config/mod.ts";
import { ORDER_FORMS } from "../../../src/ts/config/order_shapes.ts";
import { z } from "zod";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";

const SCHEMA = z.fromJSONSchema(JSON.parse(JSON.stringify(orderSchema())));

const GOOD: unknown[] = [
  { order: "add", object: "listener", name: "a", value: { address: "0.0.0.0:80" } },
  { order: "update", object: "cluster", name: "a", value: { pool: { idle: null }, timeouts: null } },
  { order: "remove", object: "cluster", name: "a" },
  { order: "add", object: "backend", cluster: "a", name: "b:1" },
  { order: "update", object: "backend", cluster: "a", name: "b:1", value: { weight: 2 } },
  { order: "add", object: "route", key: {}, value: { cluster: "a" } },
  { order: "add", object: "route", value: { host: "a", cluster: "a" } },
  { order: "remove", object: "route", key: { host: "a", headers: { "X-A": "1" } } },
  {
    order: "update",
    object: "settings",
    value: { answers: { 404: null }, access_log: { format: "json" }, workers: 1 },
  },
];

const BAD: unknown[] = [
  null,
  {},
  { order: "add", object: "listener", name: "a" },
  { order: "add", object: "listener", name: "a", value: {} },
  { order: "update", object: "cluster", name: "-", value: {} },
  { order: "update", object: "cluster", name: "a", value: { balance: "none" } },
  { order: "remove", object: "cluster", name: "a", value: {} },
  { order: "add", object: "backend", name: "b:1" },
  { order: "update", object: "route", value: { cluster: "a" } },
  { order: "update", object: "settings", value: { timeouts: { idle: 5 } } },
  { order: "remove", object: "settings" },
];

Deno.test("orderSchema() says what an order is", () => {
  const { state } = checkState({ listeners: {} }, "f");
  for (const order of GOOD) assert(SCHEMA.safeParse(order).success, JSON.stringify(order));
  for (const order of BAD) {
    assert(!SCHEMA.safeParse(order).success, JSON.stringify(order));
    assertEquals(applyOrder(state!, order).error?.code === undefined, false, JSON.stringify(order));
  }
});

Deno.test("orderSchema() has examples that are orders, and sentences for every key", () => {
  for (const forms of Object.values(ORDER_FORMS)) {
    for (const form of Object.values(forms)) {
      const entries = Object.entries(form.keys);
      const example = Object.fromEntries(entries.map(([name, key]) => [name, key.example]));
      assert(SCHEMA.safeParse(example).success, JSON.stringify(example));
      for (const [name, key] of entries) assertMatch(key.about, /^[A-Z].*\.$/, name);
    }
  }
});
