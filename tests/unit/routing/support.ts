// Short ways to write rules and requests in the tests of the router.

import { Router, type RouteRule } from "../../../src/ts/routing/router.ts";
import type { Random } from "../../support/random.ts";
import { headerLookup } from "./reference.ts";

/** A rule from what matters of it: `"example.com /api/*"`, or with conditions. */
export function rule(hostAndPath: string, more: Partial<RouteRule> = {}): RouteRule {
  const [host = "", path = ""] = hostAndPath.split(" ");
  return { host, path, methods: [], headers: {}, priority: 0, ...more };
}

/** Looks a request up among bytes that surround it, as in a buffer; gives the rule's index. */
export function find(
  router: Router,
  host: string,
  path: string,
  method = "GET",
  headers: Record<string, string[]> = {},
): number {
  const encoder = new TextEncoder();
  const parts = ["/.", method, "%/", host, ":/", path, "/."].map((part) => encoder.encode(part));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  const places = parts.map(() => 0);
  let at = 0;
  parts.forEach((part, i) => {
    bytes.set(part, at);
    places[i] = at;
    at += part.length;
  });
  const [methodAt, hostAt, pathAt] = [places[1]!, places[3]!, places[5]!];
  const [methodLength, hostLength, pathLength] = [parts[1]!.length, parts[3]!.length, parts[5]!.length];
  return router.lookup(bytes, hostAt, hostLength, pathAt, pathLength, methodAt, methodLength, headerLookup(headers));
}

/** Rules as `"host path"`, in both orders; gives what answers as `"host path"`, the same for both, or null. */
export function answer(rules: string[], host: string, path: string, method = "GET"): string | null {
  const answers = [rules, rules.toReversed()].map((order) => {
    return order[find(Router.compile(order.map((text) => rule(text))), host, path, method)] ?? null;
  });
  if (answers[0] !== answers[1]) throw new Error(`${host} ${path}: ${answers.join(" or ")}, by the order of the rules`);
  return answers[0]!;
}

/** One of a list, by a generator. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)]!;
}

/** The list in another order. */
export function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const mixed = [...list];
  for (let at = mixed.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [mixed[at], mixed[other]] = [mixed[other]!, mixed[at]!];
  }
  return mixed;
}
