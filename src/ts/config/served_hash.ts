// The hash of what a worker serves by: a sum over clusters, routes and the entries of certificates, kept up to date with each change. Main and every
// worker keep one of their own, from the objects that main sent, so that equal sums say that all serve the same.

import { HashSum } from "./hash128.ts";
import type { ClusterState, RouteState } from "./state.ts";

export class ServedHash {
  readonly #sum = new HashSum();
  readonly #clusters = new Map<string, ClusterState>();
  readonly #routes = new Map<number, RouteState>();
  readonly #certificates = new Map<string, object>();

  /** null: it is gone. O(size of the objects before and after). */
  setCluster(name: string, state: ClusterState | null): void {
    const before = this.#clusters.get(name);
    if (before) this.#sum.remove(clusterText(name, before));
    if (state) this.#sum.add(clusterText(name, state));
    if (state) this.#clusters.set(name, state);
    else this.#clusters.delete(name);
  }

  /** By the number that main gave it. */
  setRoute(id: number, route: RouteState | null): void {
    const before = this.#routes.get(id);
    if (before) this.#sum.remove(routeText(id, before));
    if (route) this.#sum.add(routeText(id, route));
    if (route) this.#routes.set(id, route);
    else this.#routes.delete(id);
  }

  /** `entry` says which material it is; null: it is gone. */
  setCertificate(name: string, entry: object | null): void {
    const before = this.#certificates.get(name);
    if (before) this.#sum.remove(certificateText(name, before));
    if (entry) this.#sum.add(certificateText(name, entry));
    if (entry) this.#certificates.set(name, entry);
    else this.#certificates.delete(name);
  }

  /** 32 hexadecimal digits. */
  toString(): string {
    return this.#sum.toString();
  }
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
