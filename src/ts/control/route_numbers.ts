// The numbers by which main and the workers speak of routes: small, and the same for a route as long as it is there. The
// routes of the first state are numbered by their places; what comes later takes numbers of removed routes, or the next.
//
// A transaction works with a draft, which is thrown away if it is refused. Numbers that it sets free are not given out in
// the same transaction: a worker is told of each number once.

import type { Change } from "../config/changes.ts";
import { routeKey } from "../config/route_key.ts";
import type { RouteState } from "../config/state.ts";
import type { WorkerChange } from "../worker/protocol.ts";

export class RouteNumbers {
  #byKey: Map<string, number> | undefined;
  readonly #free: number[] = [];
  #next: number;

  /** `first` are numbered by their places, unless `ids` gives their numbers. */
  constructor(private readonly first: readonly RouteState[], ids?: readonly number[]) {
    this.#next = first.length;
    if (ids?.some((id, index) => id !== index)) this.#take(ids);
  }

  #take(ids: readonly number[]): void {
    this.#byKey = new Map(this.first.map((route, index) => [routeKey(route), ids[index]!]));
    this.#next = ids.reduce((most, id) => Math.max(most, id + 1), 0);
    const used = new Set(ids);
    for (let id = 0; id < this.#next; id++) if (!used.has(id)) this.#free.push(id);
  }

  /** Does now what the first change would otherwise have to do; O(routes). */
  makeReady(): void {
    void this.#map;
  }

  /** What the route changes among `changes` mean in numbers. */
  draft(changes: readonly Change[]): NumbersDraft {
    const added = new Map<string, number>();
    const removed = new Map<string, number>();
    const routes: WorkerChange["routes"] = [];
    let taken = 0;
    for (const change of changes) {
      if (change.object !== "route") continue;
      const { name: key, after } = change;
      let id = this.#map.get(key);
      if (id === undefined) {
        const free = this.#free.length - 1 - taken;
        id = free >= 0 ? this.#free[free]! : this.#next + taken - this.#free.length;
        taken++;
        added.set(key, id);
      } else if (after === null) removed.set(key, id);
      routes.push({ id, route: after });
    }
    return new NumbersDraft(routes, (key) => added.get(key) ?? this.#map.get(key)!, () => {
      const fromFree = Math.min(taken, this.#free.length);
      this.#free.length -= fromFree;
      this.#next += taken - fromFree;
      for (const [key, id] of added) this.#map.set(key, id);
      for (const [key, id] of removed) {
        this.#map.delete(key);
        this.#free.push(id);
      }
    });
  }

  /** The number of each route. */
  idsOf(routes: readonly RouteState[]): number[] {
    if (routes === this.first && !this.#byKey) return routes.map((_, index) => index);
    return routes.map((route) => this.#map.get(routeKey(route))!);
  }

  /** The route that has a number; O(routes) for the first question. */
  reverse(routes: readonly RouteState[]): (id: number) => RouteState | undefined {
    const ids = this.idsOf(routes);
    return (id) => routes[ids.indexOf(id)];
  }

  /** O(routes) when it is first asked for. */
  get #map(): Map<string, number> {
    return this.#byKey ??= new Map(this.first.map((route, index) => [routeKey(route), index]));
  }
}

export class NumbersDraft {
  constructor(
    /** For the workers. */
    readonly routes: WorkerChange["routes"],
    private readonly idOf: (key: string) => number,
    /** Makes it the numbering that holds. */
    readonly commit: () => void,
  ) {}

  idsOf(routes: readonly RouteState[]): number[] {
    return routes.map((route) => this.idOf(routeKey(route)));
  }
}
