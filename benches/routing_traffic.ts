// Rules, requests and changes for the bench of the router, and for the test that runs it tiny.

import type { Router, RouteRule } from "../src/ts/routing/router.ts";

const NO_HEADERS = { has: () => false };

/** Ten routes of an ordinary site. */
export function siteRules(host: string): RouteRule[] {
  const paths = [
    "",
    "/api/*",
    "/api/v2/*",
    "/static/*",
    "/login",
    "/logout",
    "/admin/*",
    "/ws",
    "/robots.txt",
    "/img/*",
  ];
  return paths.map((path) => ({ host, path, methods: [], headers: {}, priority: 0 }));
}

/** Names of one length: reading a name costs by the byte, so one of few hosts must be as long as one of many. */
export function hostName(number: number): string {
  return `shop-${number.toString(36).padStart(4, "0")}.customers.example.com`;
}

/** Whether the hosts of a platform have the same paths, as most have, or each its own, which no two share. */
export type PathStyle = "common" | "own";

function pathOf(path: string, number: number, style: PathStyle): string {
  if (style === "common" || path.length < 2) return path;
  return `${path.slice(0, 2)}${number.toString(36).padStart(4, "0")}${path.slice(2)}`;
}

/** Rules for so many hosts, ten each. */
export function manyRules(hosts: number, style: PathStyle = "common"): RouteRule[] {
  const site = (number: number) =>
    siteRules(hostName(number)).map((rule) => ({ ...rule, path: pathOf(rule.path, number, style) }));
  return Array.from({ length: hosts }, (_, number) => site(number)).flat();
}

/** Rules of one host that differ by their paths, or by a header that is asked for. */
export function groupedRules(count: number, host: string, by: "paths" | "headers"): RouteRule[] {
  return Array.from({ length: count }, (_, i) => ({
    host,
    path: by === "paths" ? `/section-${i % 7}/${i}/*` : "/api/*",
    methods: [],
    headers: by === "headers" ? { "x-tenant": `t${i}` } : {},
    priority: 0,
  }));
}

/** Rules that go and come back, one at a time, from all over the list. */
export class Changes {
  private readonly gone = new Set<number>();
  private id = 0;

  constructor(private readonly router: Router, private readonly rules: readonly RouteRule[]) {}

  /** Takes a rule out, or puts one back that has been taken out; then does what is due. */
  next(): void {
    const { router, rules, gone } = this;
    // A prime step visits every rule before any again.
    const id = this.id = (this.id + 7919) % rules.length;
    const isBack = gone.delete(id);
    if (!isBack) gone.add(id);
    router.commit(router.prepare([{ id, rule: isBack ? rules[id]! : null }]));
    router.maintain(1);
  }
}

const PATHS = [
  "/",
  "/api/v1/items/4711",
  "/api/v2/orders",
  "/static/css/main.css",
  "/login",
  "/about/us",
  "/img/a.png",
];

/** Requests in one piece of memory, as in a worker's buffers. */
export class Requests {
  private readonly bytes: Uint8Array;
  private readonly places: Int32Array;
  private next = 0;

  constructor(requests: [host: string, path: string][]) {
    const encoder = new TextEncoder();
    this.bytes = encoder.encode("GET" + requests.flat().join(""));
    this.places = new Int32Array(4 * requests.length);
    let at = 3;
    requests.forEach(([host, path], i) => {
      this.places.set([at, host.length, at + host.length, path.length], 4 * i);
      at += host.length + path.length;
    });
  }

  lookupNext(router: Router): number {
    const { bytes, places, next } = this;
    this.next = next + 4 === places.length ? 0 : next + 4;
    const [host, length, path, size] = [places[next]!, places[next + 1]!, places[next + 2]!, places[next + 3]!];
    return router.lookup(bytes, host, length, path, size, 0, 3, NO_HEADERS);
  }
}

/** Hosts by Zipf's law, or all alike; the sequence is the same in each run. */
export function traffic(hosts: number, count: number, isPopular: boolean, style: PathStyle = "common"): Requests {
  let state = 12345;
  const random = () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) / 2 ** 32;
  return new Requests(Array.from({ length: count }, () => {
    const number = Math.floor(isPopular ? hosts ** random() - 1 : hosts * random());
    return [hostName(number), pathOf(PATHS[Math.floor(random() * PATHS.length)]!, number, style)];
  }));
}
