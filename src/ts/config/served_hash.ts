// The hash of what a worker serves by: a sum over clusters, routes and the entries of certificates, kept up to date with each
// change. Main and every worker keep one of their own, from the objects that main sent, so that equal sums say that all
// serve the same.

import { HashSum } from "./hash128.ts";
import type { ClusterState, RouteState } from "./state.ts";

/** Objects that change, each named once; null: it is gone. */
export interface ServedChange {
  clusters: Iterable<readonly [name: string, state: ClusterState | null]>;
  routes: readonly { id: number; route: RouteState | null }[];
  certificates: Iterable<readonly [name: string, entry: object | null]>;
}

/** What the hash will be once a change holds. */
export interface ServedDraft {
  readonly hash: string;
  /** Says that the change holds; no other may have come before it. */
  commit(): void;
}

export class ServedHash {
  #sum = new HashSum();
  readonly #clusters = new Map<string, ClusterState>();
  readonly #routes = new Map<number, RouteState>();
  readonly #certificates = new Map<string, object>();

  /** null: it is gone. O(size of the objects before and after). */
  setCluster(name: string, state: ClusterState | null): void {
    exchange(this.#sum, clusterText, name, this.#clusters.get(name), state);
    put(this.#clusters, name, state);
  }

  /** By the number that main gave it. */
  setRoute(id: number, route: RouteState | null): void {
    exchange(this.#sum, routeText, id, this.#routes.get(id), route);
    put(this.#routes, id, route);
  }

  /** `entry` says which material it is; null: it is gone. */
  setCertificate(name: string, entry: object | null): void {
    exchange(this.#sum, certificateText, name, this.#certificates.get(name), entry);
    put(this.#certificates, name, entry);
  }

  /** Does what takes time of a change before it is known whether it will hold. O(size of the objects). */
  draft({ clusters, routes, certificates }: ServedChange): ServedDraft {
    const sum = HashSum.from(this.toString());
    for (const [name, state] of clusters) exchange(sum, clusterText, name, this.#clusters.get(name), state);
    for (const { id, route } of routes) exchange(sum, routeText, id, this.#routes.get(id), route);
    for (const [name, entry] of certificates) exchange(sum, certificateText, name, this.#certificates.get(name), entry);
    const commit = () => {
      this.#sum = sum;
      for (const [name, state] of clusters) put(this.#clusters, name, state);
      for (const { id, route } of routes) put(this.#routes, id, route);
      for (const [name, entry] of certificates) put(this.#certificates, name, entry);
    };
    return { hash: sum.toString(), commit };
  }

  /** 32 hexadecimal digits. */
  toString(): string {
    return this.#sum.toString();
  }
}

function exchange<Key, Value>(
  sum: HashSum,
  textOf: (key: Key, value: Value) => string,
  key: Key,
  before: Value | undefined,
  after: Value | null,
): void {
  if (before) sum.remove(textOf(key, before));
  if (after) sum.add(textOf(key, after));
}

function put<Key, Value>(map: Map<Key, Value>, key: Key, value: Value | null): void {
  if (value) map.set(key, value);
  else map.delete(key);
}

function clusterText(name: string, state: ClusterState): string {
  return `cluster ${name} ${JSON.stringify(state)}`;
}

function certificateText(name: string, entry: object): string {
  return `certificate ${name} ${JSON.stringify(entry)}`;
}

function routeText(id: number, route: RouteState): string {
  return `route ${id} ${JSON.stringify(route)}`;
}
