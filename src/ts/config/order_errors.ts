// The errors of a list of orders: bounded in number, in the order of the orders, and with advice where a name is not
// there but a similar one is.

import { nearest } from "./nearest.ts";
import { cut, type Order, type OrderError } from "./orders.ts";
import { ERRORS_MAX, formatPath, type Problem } from "./problem.ts";
import { type RouteIdentity, routeName } from "./route_key.ts";
import type { RouteState } from "./state.ts";

/**
 * What may be spent on advice for one list of orders, in comparisons of characters: some 30 ms. Enough to compare a few
 * names with those of ten thousand clusters; a list that is wrong everywhere gets no more.
 */
const ADVICE_WORK_MAX = 3_000_000;

/** Advice repeats what was given; where that is long, it helps nobody. */
const HINT_LENGTH_MAX = 200;

type Told = readonly [expected: string, reason: string, hint: string];

/** What to say when an object that is to be added is there already. */
export const THERE_ALREADY: Readonly<Record<Exclude<Order["object"], "settings">, Told>> = {
  listener: ["a name that no listener has", "there is one already", '"update" changes it'],
  cluster: ["a name that no cluster has", "there is one already", '"update" changes it'],
  backend: ["an address that the cluster does not have", "it is there already", '"update" changes its weight'],
  route: ["a rule that is not there", "it is there already", '"update" changes its cluster'],
  certificate: ["a name that no certificate has", "there is one already", '"update" changes it'],
};

export class OrderErrors {
  private readonly errors: OrderError[] = [];
  private leftOut = 0;
  private workLeft = ADVICE_WORK_MAX;

  add(
    at: number,
    object: string,
    code: OrderError["code"],
    expected: string,
    reason: string,
    hint = "",
    key = "",
  ): void {
    if (this.errors.length < ERRORS_MAX) this.errors.push({ code, at, object, key, expected, reason, hint });
    else this.leftOut++;
  }

  invalid(at: number, object: string, { path, expected, got, hint }: Problem): void {
    const advice = hint.length > HINT_LENGTH_MAX ? "" : hint;
    this.add(at, object, "invalid", expected, `got ${got}`, advice, formatPath(path));
  }

  /** `key` is where the name stands in the order, `kind` what it should be the name of. */
  missing(at: number, object: string, key: string, kind: string, name: string, known: Iterable<string>): void {
    const found = nearest(name, this.affordable(name, known));
    const hint = found === undefined ? "" : `did you mean "${cut(found)}"?`;
    this.add(at, object, "missing", `a ${kind} that is there`, `there is no "${cut(name)}"`, hint, key);
  }

  missingRoute(at: number, object: string, identity: RouteIdentity, routes: readonly RouteState[]): void {
    const hint = this.isAffordable(routes.length) ? this.similarRoute(identity, routes) : "";
    this.add(at, object, "missing", "a route that is there", `there is no ${cut(routeName(identity))}`, hint, "key");
  }

  /** `example` finds one of the routes, in O(routes). */
  inUse(at: number, cluster: string, users: number, example: () => RouteIdentity | undefined): void {
    const route = this.isAffordable(EXAMPLE_WORK) ? example() : undefined;
    const name = route ? `route ${cut(routeName(route))}` : "a route";
    const reason = users === 1 ? `${name} does` : `${name} and ${users - 1} more do`;
    this.add(
      at,
      `cluster ${cluster}`,
      "in_use",
      "a cluster that no route leads to",
      reason,
      "remove them first, or with it",
    );
  }

  /** In the order of the orders; the last says how many there are beyond them. */
  all(): OrderError[] {
    const sorted = [...this.errors].sort((a, b) => a.at - b.at);
    if (this.leftOut === 0) return sorted;
    const reason = `there are ${this.leftOut} more`;
    const rest = { at: sorted.at(-1)!.at, object: "orders", key: "", expected: "fewer errors", reason, hint: "" };
    return [...sorted, { code: "invalid", ...rest }];
  }

  /** A route that differs in as little as possible: methods, headers and priority, or else the path; O(routes). */
  private similarRoute({ host, path }: RouteIdentity, routes: readonly RouteState[]): string {
    const ofHost = routes.filter((route) => route.host === host);
    const route = ofHost.find((route) => route.path === path) ?? this.byPath(path, ofHost);
    return route ? `did you mean ${cut(routeName(route))}?` : "";
  }

  private byPath(path: string, routes: readonly RouteState[]): RouteState | undefined {
    const found = nearest(path, this.affordable(path, routes.map((route) => route.path)));
    return routes.find((route) => route.path === found) ?? (routes.length === 1 ? routes[0] : undefined);
  }

  private isAffordable(work: number): boolean {
    this.workLeft -= work;
    return this.workLeft > 0;
  }

  /** As many of the known names as can be compared with a name. */
  private *affordable(name: string, known: Iterable<string>): Generator<string> {
    for (const other of known) {
      if (!this.isAffordable(Math.min(name.length, other.length) ** 2)) return;
      yield other;
    }
  }
}

/** A search through all routes, in the same measure. */
const EXAMPLE_WORK = 100_000;
