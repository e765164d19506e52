// Mutated orders: whatever an order holds, applying it gives a state or errors, never throws, and leaves the given state
// as it was, which is frozen here. What is accepted fits the JSON Schema of orders (as zod reads it) and gives a valid
// state with the hash that it should have.

import {
  applyOrders,
  checkState,
  formatErrors,
  formatOrderError,
  hashAfter,
  hashState,
  type Order,
  orderSchema,
  type State,
  toFile,
} from "../../../src/ts/config/mod.ts";
import { z } from "zod";
import { assert } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { randomCluster, randomRule, randomSettings, randomState } from "./random_states.ts";

const ROUNDS = 100_000;
const ORDER_SCHEMA = z.fromJSONSchema(JSON.parse(JSON.stringify(orderSchema())));

/** Parsed anew each time, so that `__proto__` is a key like any other, as it is in what comes over a socket. */
const HOSTILE = [
  "null",
  "true",
  "-1",
  "0",
  "1e308",
  "1.5",
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"constructor"',
  '"__proto__"',
  `"${"a".repeat(5000)}"`,
  '"~(((("',
  '"~/a|b"',
  '"app"',
  '"10.0.0.1:80"',
  '"5s"',
  "[]",
  "[[[[[]]]]]",
  "[null]",
  "{}",
  '{"__proto__":{"order":"add"}}',
  '{"toString":1,"valueOf":2}',
  '{"length":3,"0":"a"}',
  `${"[".repeat(500)}${"]".repeat(500)}`,
  '{"a":{"b":{"c":{}}}}',
];

const KEYS = [
  ...["order", "object", "name", "cluster", "key", "value", "host", "path", "methods", "headers", "priority"],
  ...["backends", "weight", "timeouts", "limits", "answers", "__proto__", "constructor", "toString", "", "404"],
];

const NAMES = ["app", "files", "slow", "constructor", "7", "new"];
const ADDRESSES = ["10.0.0.1:80", "10.0.0.2:80", "HOST.name:80", "unix:/run/app.sock", "new:1"];

function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[random.below(values.length)]!;
}

/** An order that is well formed, though perhaps not possible. */
function randomOrder(random: Random): Record<string, unknown> {
  const order = oneOf(random, ["add", "update", "remove"]);
  const name = oneOf(random, NAMES);
  const withValue = (object: Record<string, unknown>, value: Record<string, unknown>) =>
    order === "remove" ? { order, ...object } : { order, ...object, value };
  switch (random.below(5)) {
    case 0:
      return withValue({ object: "listener", name: oneOf(random, ["a", "b", "z"]) }, {
        address: `127.0.0.1:${80 + random.below(6)}`,
      });
    case 1:
      return withValue({ object: "cluster", name }, randomCluster(random));
    case 2:
      return withValue({ object: "backend", cluster: name, name: oneOf(random, ADDRESSES) }, {
        weight: 1 + random.below(3),
      });
    case 3:
      if (order === "add" && random.below(2) === 0) {
        return { order, object: "route", value: { ...randomRule(random), cluster: name } };
      }
      return withValue({ object: "route", key: randomRule(random) }, { cluster: name });
    default:
      return { order: "update", object: "settings", value: randomSettings(random) };
  }
}

/** Puts something else in one place of a value, or another key. */
function mutated(value: unknown, random: Random): unknown {
  if (typeof value !== "object" || value === null || random.below(6) === 0) return JSON.parse(oneOf(random, HOSTILE));
  const names = Object.keys(value);
  const at = names.length > 0 && random.below(4) > 0 ? oneOf(random, names) : oneOf(random, KEYS);
  if (random.below(6) === 0) return Object.fromEntries(Object.entries(value).filter(([name]) => name !== at));
  const item = Object.hasOwn(value, at) ? (value as Record<string, unknown>)[at] : null;
  if (Array.isArray(value)) return value.map((old, index) => String(index) === at ? mutated(old, random) : old);
  return Object.fromEntries([...Object.entries(value), [at, mutated(item, random)]]);
}

function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen);
  return value;
}

Deno.test("applyOrders() survives mutated orders", () => {
  let state = frozen(randomState(createRandom(1)));
  let accepted = 0;
  for (let seed = 0; seed < ROUNDS; seed++) {
    const random = createRandom(seed);
    if (seed % 200 === 0) state = frozen(randomState(random));
    const orders = Array.from({ length: random.between(1, 3) }, () => {
      return random.below(2) === 0 ? randomOrder(random) : mutated(randomOrder(random), random);
    });
    const input = random.below(200) === 0 ? mutated(orders, random) : orders;
    try {
      const { state: next, errors } = applyOrders(state, input);
      if (next) {
        // Looking closely takes ten times as long as applying.
        if (accepted++ % 8 === 0) checkAccepted(state, next, input as Order[]);
        state = frozen(next);
      } else assert(errors.every((error) => error.expected !== "" && formatOrderError(error).length < 2000));
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(input)}`, { cause: error });
    }
  }
  assert(accepted > ROUNDS / 20 && accepted < ROUNDS / 2, `${accepted} of ${ROUNDS} were accepted`);
});

function checkAccepted(before: State, after: State, orders: Order[]): void {
  const { state, errors } = checkState(toFile(after), "f");
  assert(state, errors && formatErrors(errors));
  assert(hashState(state) === hashState(after), "the file says something else");
  assert(hashAfter(hashState(before), before, after, orders) === hashState(after), "another hash");
  for (const order of orders) assert(ORDER_SCHEMA.safeParse(order).success, "the JSON Schema does not allow it");
}
