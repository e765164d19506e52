// What each order may hold, in the vocabulary of the schema: reading an order and its JSON Schema are derived from here,
// as those of the file are from schema.ts, whose shapes the values have.

import { Checker, isMap } from "./check.ts";
import { type Problem, show } from "./problem.ts";
import type { Order, RouteOrder } from "./orders.ts";
import { FormatError } from "./format_error.ts";
import type { RouteIdentity } from "./route_key.ts";
import { BACKEND, CLUSTER, LISTENER, NAME, ROUTE, SETTINGS } from "./schema.ts";
import { CERTIFICATE, CERTIFICATE_NAME } from "./schema_tls.ts";
import { choice, type Key, key, object, type ObjectShape, type Of, patch } from "./shape.ts";
import type { BackendState, CertificateState, ClusterState, ListenerState, RouteState } from "./state.ts";

/** An order that was read: names and added values in canonical form, changes as they were given. */
export type ReadOrder =
  | { object: "listener"; order: "add"; name: string; value: ListenerState }
  | { object: "listener"; order: "update"; name: string; value: unknown }
  | { object: "listener"; order: "remove"; name: string }
  | { object: "cluster"; order: "add"; name: string; value: ClusterState }
  | { object: "cluster"; order: "update"; name: string; value: unknown }
  | { object: "cluster"; order: "remove"; name: string }
  | { object: "backend"; order: "add"; cluster: string; name: string; value: Omit<BackendState, "address"> }
  | { object: "backend"; order: "update"; cluster: string; name: string; value: unknown }
  | { object: "backend"; order: "remove"; cluster: string; name: string }
  | { object: "certificate"; order: "add"; name: string; value: CertificateState }
  | { object: "certificate"; order: "update"; name: string; value: unknown }
  | { object: "certificate"; order: "remove"; name: string }
  | { object: "route"; order: "add"; key: RouteIdentity; value: RouteValue }
  | { object: "route"; order: "add"; key?: never; value: RouteState }
  | { object: "route"; order: "update"; key: RouteIdentity; value: unknown }
  | { object: "route"; order: "remove"; key: RouteIdentity }
  | { object: "settings"; order: "update"; value: unknown };

/** What a route has beside its identity. */
export type RouteValue = Pick<RouteState, "cluster" | "allow_misdirected">;

const { address, ...backendKeys } = BACKEND.keys as { address: Key<string>; weight: Key<number> };
const { cluster, allow_misdirected, ...routeKeys } = ROUTE.keys as
  & { cluster: Key<string>; allow_misdirected: Key<boolean> }
  & Record<string, Key<unknown>>;

/** A backend without its name. */
export const BACKEND_VALUE: ObjectShape & Of<Omit<BackendState, "address">> = object(backendKeys);

/** A route without its identity. */
export const ROUTE_VALUE: ObjectShape & Of<RouteValue> = object({ cluster, allow_misdirected });

/** The identity of a route. */
export const ROUTE_KEY: ObjectShape & Of<RouteIdentity> = { kind: "object", keys: routeKeys };

type Keys = Record<string, Key<unknown>>;
type Forms = Readonly<Record<string, ObjectShape>>;

const LISTENER_NAME = { name: key(NAME, { about: "The name of the listener.", example: "web" }) };
const CLUSTER_NAME = { name: key(NAME, { about: "The name of the cluster.", example: "app" }) };
const CERTIFICATE_NAMES = {
  name: key({ ...CERTIFICATE_NAME, parse: parseGivenName }, {
    about: "The name of the certificate.",
    example: "example",
  }),
};
const BACKEND_NAMES = {
  cluster: key(NAME, { about: "The name of the cluster that the backend is in.", example: "app" }),
  name: key(address.shape, { about: "The address of the backend, which is its name.", example: "10.0.0.1:8080" }),
};
const KEY = {
  key: key(ROUTE_KEY, {
    about: "Which route is meant: all that its rule asks for. What is left out is the default, as in the file.",
    example: { host: "example.com", path: "/api/*" },
  }),
};

function parseGivenName(text: string): string {
  if (text === "") throw new FormatError("the name of a certificate", text);
  return CERTIFICATE_NAME.parse(text);
}

/** The orders by object and verb; a route to add has two forms. */
export const ORDER_FORMS: Readonly<Record<Order["object"], Forms>> = {
  listener: {
    add: form("add", "listener", LISTENER_NAME, whole(LISTENER, { address: "0.0.0.0:80" })),
    update: form("update", "listener", LISTENER_NAME, part(LISTENER, { backlog: 1024 })),
    remove: form("remove", "listener", LISTENER_NAME),
  },
  cluster: {
    add: form("add", "cluster", CLUSTER_NAME, whole(CLUSTER, { backends: ["10.0.0.1:8080"] })),
    update: form("update", "cluster", CLUSTER_NAME, part(CLUSTER, { balance: "random" })),
    remove: form("remove", "cluster", CLUSTER_NAME),
  },
  backend: {
    add: form("add", "backend", BACKEND_NAMES, { ...whole(BACKEND_VALUE, { weight: 2 }), default: {} }),
    update: form("update", "backend", BACKEND_NAMES, part(BACKEND_VALUE, { weight: 2 })),
    remove: form("remove", "backend", BACKEND_NAMES),
  },
  route: {
    add: form("add", "route", KEY, whole(ROUTE_VALUE, { cluster: "app" })),
    addFlat: form("add", "route", {}, whole(ROUTE, { host: "example.com", cluster: "app" })),
    update: form("update", "route", KEY, part(ROUTE_VALUE, { cluster: "app" })),
    remove: form("remove", "route", KEY),
  },
  certificate: {
    add: form("add", "certificate", CERTIFICATE_NAMES, whole(CERTIFICATE, { cert: "/etc/kakehi/example.pem" })),
    update: form("update", "certificate", CERTIFICATE_NAMES, {
      ...part(CERTIFICATE, { ocsp: "/etc/kakehi/example.ocsp" }),
      default: {},
    }),
    remove: form("remove", "certificate", CERTIFICATE_NAMES),
  },
  settings: {
    update: form("update", "settings", {}, part(SETTINGS, { timeouts: { idle: "30s" } })),
  },
};

function form(verb: string, object: string, names: Keys, value?: Key<unknown>): ObjectShape {
  const keys: Keys = {
    order: key(choice(verb), { about: "What is to be done.", example: verb }),
    object: key(choice(object), { about: "What it is to be done to.", example: object }),
    ...names,
  };
  return { kind: "object", keys: value ? { ...keys, value } : keys };
}

function whole(shape: ObjectShape, example: unknown): Key<unknown> {
  return key(shape, { about: "The object, as in the file.", example });
}

function part(shape: ObjectShape, example: unknown): Key<unknown> {
  const about = "What changes: objects are merged, lists replaced, and null brings back the default.";
  return key(patch(shape), { about, example });
}

/** Any order says these two, which say what else it must hold. */
const OBJECTS = choice(...Object.keys(ORDER_FORMS));
const HEAD_KEYS = ["order", "object"] as const;

/** Reads any value as an order: the order, or all that is wrong with it. */
export function readOrder(value: unknown): { read: ReadOrder } | { problems: Problem[] } {
  const checker = new Checker();
  const shape = formOf(value, checker);
  // A key that is empty is a rule for all requests; one that is not there is an oversight.
  const { key } = isMap(value) ? value : {};
  if (shape && "key" in shape.keys && (key ?? null) === null) checker.checkAt(patch(ROUTE_KEY), key, ["key"]);
  const read = shape && checker.check(shape, value);
  return checker.problems.length > 0 ? { problems: checker.problems } : { read: read as ReadOrder };
}

function formOf(value: unknown, checker: Checker): ObjectShape | undefined {
  if (!isMap(value)) {
    checker.refuse([], "a map of order, object, and what they need", show(value));
    return undefined;
  }
  const forms = typeof value.object === "string" && Object.hasOwn(ORDER_FORMS, value.object)
    ? ORDER_FORMS[value.object as Order["object"]]
    : undefined;
  const verbs = forms ? Object.keys(forms).filter((name) => name !== "addFlat") : ["add", "update", "remove"];
  const verb = value.order;
  if (forms && typeof verb === "string" && verbs.includes(verb)) {
    return verb === "add" && forms.addFlat && !Object.hasOwn(value, "key") ? forms.addFlat : forms[verb];
  }
  // Without these two it cannot be said what else belongs in the order.
  const heads = { order: choice(...verbs), object: OBJECTS };
  for (const name of HEAD_KEYS) checker.checkAt(heads[name], value[name], [name]);
  return undefined;
}

/** Which route an order that was accepted is about. */
export function routeIdentity(order: RouteOrder): RouteIdentity {
  const { key, value } = order;
  const checker = new Checker();
  const identity = key === undefined ? checker.check(ROUTE, value) : checker.check(ROUTE_KEY, key);
  if (checker.problems.length > 0) throw new TypeError("expected an order that was accepted");
  return identity as RouteIdentity;
}
