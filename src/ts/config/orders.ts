// Orders: single changes to a state, as plain JSON. Values are in the form of the file ("10s", "16KiB"), so that whoever
// can write the file can write orders. What each order may hold is in order_shapes.ts, and as a JSON Schema in
// order_schema.ts; this file has the types, and the errors with which an order is refused.

import { quote, secretWord } from "./format_error.ts";
import { isMap } from "./check.ts";

export type Verb = "add" | "update" | "remove";

/** Keys and values in the form of the file. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * `add` takes all of an object, with defaults for what is left out. `update` merges: keys that are not in `value` stay,
 * objects in it are merged likewise, lists are replaced, and null brings back the default. `remove` needs the name alone.
 */
export interface NamedOrder<
  O extends "listener" | "cluster" | "certificate" = "listener" | "cluster" | "certificate",
> {
  order: Verb;
  object: O;
  name: string;
  value?: Fields;
}

/** `name` is the backend's address. */
export interface BackendOrder {
  order: Verb;
  object: "backend";
  cluster: string;
  name: string;
  value?: { readonly weight?: number | null };
}

/** Which route is meant: what is left out is any host, any path, any method, no headers, priority 0. */
export interface RouteKey {
  readonly host?: string;
  readonly path?: string;
  readonly methods?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly priority?: number;
}

/** A route to add may also be written as in the file: `value` has all of it, and there is no `key`. */
export interface RouteOrder {
  order: Verb;
  object: "route";
  key?: RouteKey;
  value?: Fields;
}

/** Changes what the state has beside its named objects: `{ timeouts: { idle: "30s" }, workers: 4 }`. */
export interface SettingsOrder {
  order: "update";
  object: "settings";
  value: Fields;
}

export type Order =
  | NamedOrder<"listener">
  | NamedOrder<"cluster">
  | NamedOrder<"certificate">
  | BackendOrder
  | RouteOrder
  | SettingsOrder;

export interface OrderError {
  /**
   * `exists`: to be added, but there already. `missing`: to be changed, or to be referred to, but not there. `in_use`: to
   * be removed, but others need it. `invalid`: anything else.
   */
  code: "invalid" | "exists" | "missing" | "in_use";
  /** Which of the orders, from 0. */
  at: number;
  /** What the order is about: `cluster app`, `backend 10.0.0.1:80 of cluster app`, `route example.com /x`, `settings`. */
  object: string;
  /** Dotted path of keys in the order, e.g. `value.timeouts.connect`; "" where the order as a whole is meant. */
  key: string;
  /** Completes "expected …". */
  expected: string;
  /** What is the case instead: a clause. */
  reason: string;
  /** What to do about it, or "". */
  hint: string;
}

/** One line: `object: key: expected …, reason; hint`. */
export function formatOrderError({ object, key, expected, reason, hint }: OrderError): string {
  return `${object}: ${key && `${key}: `}expected ${expected}, ${reason}${hint && `; ${hint}`}`;
}

/** Longest name of an object in an error. */
const NAME_LENGTH_MAX = 160;

/** What an order is about, in words, as far as any value can be read as an order. */
export function orderObject(order: unknown): string {
  if (!isMap(order)) return "order";
  const { object, name, cluster } = order;
  switch (object) {
    case "listener":
    case "cluster":
    case "certificate":
      return `${object} ${shown(name)}`;
    case "backend":
      return `backend ${shown(name)} of cluster ${shown(cluster)}`;
    case "route":
      return routeObject(isMap(order.key) ? order.key : order.value);
    case "settings":
      return "settings";
    default:
      return "order";
  }
}

function routeObject(rule: unknown): string {
  const { host, path } = isMap(rule) ? rule : {};
  return `route ${shown(host || "*")} ${shown(path || "/*")}`;
}

/** A name without quotes if nothing in it could be misread; what is no name at all as a question mark. */
function shown(name: unknown): string {
  if (typeof name !== "string" || name === "") return "?";
  const isPlain = /^[\w.:*@~%+,;=!$&()\[\]\/-]{1,160}$/.test(name) && secretWord(name) === "";
  return isPlain ? name : quote(name);
}

/** A name of an object as errors show it: long ones are cut, and what may be a key is only named. */
export function cut(name: string): string {
  const secret = secretWord(name);
  if (secret !== "") return secret;
  return name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
}
