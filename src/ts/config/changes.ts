// What differs between two states, object by object. What both share is found to be the same without looking into it, so
// that two states of which one was made from the other by orders are compared in a few milliseconds, however large;
// states that share nothing, such as those of two files, are compared by value.

import { isSame } from "./canonical.ts";
import type { Order } from "./orders.ts";
import { ROUTE_VALUE, routeIdentity } from "./order_shapes.ts";
import { entryOf, type Named, namesOf, recordWith } from "./records.ts";
import { indexOf, routesWith } from "./route_index.ts";
import { routeKey } from "./route_key.ts";
import { CLUSTER, LISTENER, SETTINGS } from "./schema.ts";
import { CERTIFICATE } from "./schema_tls.ts";
import type { ObjectShape } from "./shape.ts";
import type { CertificateState, ClusterState, ListenerState, RouteState, Settings, State } from "./state.ts";

/** An object that is not the same in two states; null where it is not there. */
export type Change =
  | { object: "settings"; name: keyof Settings; before: unknown; after: unknown }
  | { object: "listener"; name: string; before: ListenerState | null; after: ListenerState | null }
  | { object: "cluster"; name: string; before: ClusterState | null; after: ClusterState | null }
  | { object: "certificate"; name: string; before: CertificateState | null; after: CertificateState | null }
  /** `name` is the route's key: the same for the same rule. */
  | { object: "route"; name: string; before: RouteState | null; after: RouteState | null };

/**
 * All that differs between two states. O(names + routes), as comparisons of references, where they share their structure;
 * else O(size of both).
 */
export function changesBetween(a: State, b: State): Change[] {
  return [
    ...settingChanges(a, b),
    ...recordChanges("listener", LISTENER, a.listeners, b.listeners),
    ...recordChanges("cluster", CLUSTER, a.clusters, b.clusters),
    ...recordChanges("certificate", CERTIFICATE, a.certificates, b.certificates),
    ...routeChanges(a.routes, b.routes),
  ];
}

/**
 * What differs between two states in the objects that `orders` name: all there is, if these orders led from `a` to `b`.
 * O(orders).
 */
export function changesOf(a: State, b: State, orders: readonly Order[]): Change[] {
  const named = namedIn(orders);
  const changes: Change[] = named.settings ? settingChanges(a, b) : [];
  const add = <T>(object: NamedObject, shape: ObjectShape, from: Named<T>, to: Named<T>, name: string) => {
    const change = recordChange(object, shape, name, entryOf(from, name), entryOf(to, name));
    if (change) changes.push(change);
  };
  for (const name of named.listeners) add("listener", LISTENER, a.listeners, b.listeners, name);
  for (const name of named.clusters) add("cluster", CLUSTER, a.clusters, b.clusters, name);
  for (const name of named.certificates) add("certificate", CERTIFICATE, a.certificates, b.certificates, name);
  if (named.routes.size === 0) return changes;
  const [from, to] = [indexOf(a.routes).byKey, indexOf(b.routes).byKey];
  for (const key of named.routes) {
    const change = routeChange(key, from.get(key), to.get(key));
    if (change) changes.push(change);
  }
  return changes;
}

/** The state after changes to it; shares with it all that stays the same. O(changes), and a copy of the lists they touch. */
export function withChanges(state: State, changes: readonly Change[]): State {
  const settings: Record<string, unknown> = {};
  const after = { listener: new Map(), cluster: new Map(), certificate: new Map(), route: new Map() };
  for (const change of changes) {
    if (change.object === "settings") settings[change.name] = change.after;
    else after[change.object].set(change.name, change.after ?? undefined);
  }
  const record = <T>(before: Record<string, T>, by: Map<string, T>) => by.size === 0 ? before : recordWith(before, by);
  return {
    ...state,
    ...settings,
    listeners: record(state.listeners, after.listener),
    clusters: record(state.clusters, after.cluster),
    certificates: record(state.certificates, after.certificate),
    routes: after.route.size === 0 ? state.routes : routesWith(state.routes, after.route),
  };
}

function namedIn(orders: readonly Order[]) {
  const [listeners, clusters, routes] = [new Set<string>(), new Set<string>(), new Set<string>()];
  const named = { settings: false, listeners, clusters, routes, certificates: new Set<string>() };
  for (const order of orders) {
    switch (order.object) {
      case "settings":
        named.settings = true;
        break;
      case "listener":
        named.listeners.add(order.name);
        break;
      case "cluster":
        named.clusters.add(order.name);
        break;
      case "certificate":
        named.certificates.add(order.name);
        break;
      case "backend":
        named.clusters.add(order.cluster);
        break;
      case "route":
        named.routes.add(routeKey(routeIdentity(order)));
    }
  }
  return named;
}

function settingChanges(a: State, b: State): Change[] {
  const changes: Change[] = [];
  for (const name of Object.keys(SETTINGS.keys) as (keyof Settings)[]) {
    if (isSame(SETTINGS.keys[name]!.shape, a[name], b[name])) continue;
    changes.push({ object: "settings", name, before: a[name], after: b[name] });
  }
  return changes;
}

type NamedObject = "listener" | "cluster" | "certificate";

function recordChanges<T>(
  object: NamedObject,
  shape: ObjectShape,
  a: Named<T>,
  b: Named<T>,
): Change[] {
  if (a === b) return [];
  const changes: Change[] = [];
  const add = (change: Change | null) => change && changes.push(change);
  for (const name of namesOf(a)) {
    const [before, after] = [a[name], entryOf(b, name)];
    if (before !== after) add(recordChange(object, shape, name, before, after));
  }
  for (const name of namesOf(b)) {
    if (!Object.hasOwn(a, name)) add(recordChange(object, shape, name, undefined, b[name]));
  }
  return changes;
}

function recordChange(
  object: NamedObject,
  shape: ObjectShape,
  name: string,
  before: unknown,
  after: unknown,
): Change | null {
  if (before === after || (before && after && isSame(shape, before, after))) return null;
  return { object, name, before: before ?? null, after: after ?? null } as Change;
}

function routeChange(name: string, before: RouteState | undefined, after: RouteState | undefined): Change | null {
  if (before === after || (before && after && isSame(ROUTE_VALUE, before, after))) return null;
  return { object: "route", name, before: before ?? null, after: after ?? null };
}

function routeChanges(a: readonly RouteState[], b: readonly RouteState[]): Change[] {
  const [gone, come] = unshared(a, b);
  const changes: Change[] = [];
  const after = new Map(come.map((route) => [routeKey(route), route]));
  for (const route of gone) {
    const key = routeKey(route);
    const change = routeChange(key, route, after.get(key));
    if (change) changes.push(change);
    after.delete(key);
  }
  for (const [key, route] of after) changes.push({ object: "route", name: key, before: null, after: route });
  return changes;
}

/** How far is looked for the place where two lists are the same again. */
const LOOKAHEAD = 32;

/**
 * What two lists do not share. Lists that were made from each other have most routes in common, in the same order; where
 * that order is lost, routes that both have may be in both results, which costs the comparison of their keys and nothing
 * else.
 */
function unshared(a: readonly RouteState[], b: readonly RouteState[]): [RouteState[], RouteState[]] {
  const [gone, come]: [RouteState[], RouteState[]] = [[], []];
  let [i, j] = a === b ? [a.length, b.length] : [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      i++, j++;
      continue;
    }
    const [skipA, skipB] = resumption(a, i, b, j);
    for (const end = i + skipA; i < end; i++) gone.push(a[i]!);
    for (const end = j + skipB; j < end; j++) come.push(b[j]!);
  }
  for (; i < a.length; i++) gone.push(a[i]!);
  for (; j < b.length; j++) come.push(b[j]!);
  return [gone, come];
}

/** How many to leave out on either side so that the lists go on with the same route; one on both if there is no such place. */
function resumption(a: readonly RouteState[], i: number, b: readonly RouteState[], j: number): [number, number] {
  for (let distance = 1; distance <= LOOKAHEAD; distance++) {
    if (i + distance < a.length && j + distance < b.length && a[i + distance] === b[j + distance]) {
      return [distance, distance];
    }
    if (i + distance < a.length && a[i + distance] === b[j]) return [distance, 0];
    if (j + distance < b.length && a[i] === b[j + distance]) return [0, distance];
  }
  return [1, 1];
}
