// What has to be found quickly in a long list of routes: the route of a key, and how many routes lead to a cluster. An
// index belongs to a list and is made when it is first asked for (about 1 µs a route); a list that was made from
// another by a few changes gets its index from the other's, so that nothing grows with the number of routes.

import { namesOf } from "./records.ts";
import { routeKey } from "./route_key.ts";
import { SharedMap } from "./shared_map.ts";
import type { RouteState, State } from "./state.ts";

export interface RouteIndex {
  byKey: SharedMap<RouteState>;
  /** How many routes lead to a cluster; clusters without routes are not there. */
  users: SharedMap<number>;
}

/** By the list, not by the state: states that share their routes share the index, too. */
const indexes = new WeakMap<readonly RouteState[], RouteIndex>();

/**
 * Prepares a state for `applyOrders`, `changesOf` and `hashAfter`, which otherwise do so when they first need it. For who
 * has time now and none later; O(routes + clusters).
 */
export function indexState({ routes, clusters }: Pick<State, "routes" | "clusters">): void {
  indexOf(routes);
  namesOf(clusters);
}

export function indexOf(routes: readonly RouteState[]): RouteIndex {
  let index = indexes.get(routes);
  if (!index) indexes.set(routes, index = created(routes));
  return index;
}

function created(routes: readonly RouteState[]): RouteIndex {
  const users = new Map<string, number>();
  for (const { cluster } of routes) users.set(cluster, (users.get(cluster) ?? 0) + 1);
  const entries = function* () {
    for (const route of routes) yield [routeKey(route), route] as const;
  };
  return { byKey: SharedMap.from(entries()), users: SharedMap.from(users) };
}

/** Beyond this many, one pass over the whole list is quicker than a search for each. */
const SEARCHES_MAX = 16;

/**
 * A copy of a list of routes with changes by key, of which `undefined` removes, and its index. Keeps the order, and adds
 * at the end. Costs the copy of the list, as references.
 */
export function routesWith(
  routes: readonly RouteState[],
  changes: ReadonlyMap<string, RouteState | undefined>,
): RouteState[] {
  const { byKey, users } = indexOf(routes);
  const replaced = new Map<RouteState, RouteState | undefined>();
  const added: RouteState[] = [];
  const counts = new Map<string, number>();
  const count = (cluster: string, by: number) => counts.set(cluster, (counts.get(cluster) ?? 0) + by);
  for (const [key, after] of changes) {
    const before = byKey.get(key);
    if (before) replaced.set(before, after), count(before.cluster, -1);
    else if (after) added.push(after);
    if (after) count(after.cluster, 1);
  }
  const list = replaced.size <= SEARCHES_MAX ? searched(routes, replaced) : passed(routes, replaced);
  for (const route of added) list.push(route);
  const newCounts = [...counts].map(([cluster, by]) => [cluster, (users.get(cluster) ?? 0) + by || undefined] as const);
  indexes.set(list, { byKey: byKey.with(changes), users: users.with(newCounts) });
  return list;
}

function searched(
  routes: readonly RouteState[],
  replaced: ReadonlyMap<RouteState, RouteState | undefined>,
): RouteState[] {
  const list = routes.slice();
  for (const [before, after] of replaced) {
    const at = list.indexOf(before);
    if (after) list[at] = after;
    else list.splice(at, 1);
  }
  return list;
}

function passed(
  routes: readonly RouteState[],
  replaced: ReadonlyMap<RouteState, RouteState | undefined>,
): RouteState[] {
  const list: RouteState[] = [];
  for (const route of routes) {
    const after = replaced.has(route) ? replaced.get(route) : route;
    if (after) list.push(after);
  }
  return list;
}
