// Looks up as many routes as it is told, of every form that may not allocate, in a router that has been changed, and asks
// for maintenance that is not due as often as a worker's loop does. A program of its own, because the test counts what V8
// reports of its collections. Prints the heap's growth over the second half of the lookups.

import { Router } from "../../../src/ts/routing/router.ts";
import { rule } from "./support.ts";

const HEADERS = { has: (name: string, value: string | null) => name === "x-a" && (value === null || value === "1") };

const REQUESTS: [host: string, path: string][] = [
  ["example.com", "/login"],
  ["Shop.EXAMPLE.com.:8443", "/api/v1/items/4711"],
  ["a.b.example.com", "/x/../%61pi//v1"],
  ["[::1]:80", "/"],
  ["example.org", "/" + "a/".repeat(200)],
  ["example.org", "/never/regex"],
  ["example.com", "/conditions"],
  ["", "*"],
];

function run(lookups: number): void {
  const router = Router.compile([
    rule("example.com /login"),
    rule("example.com /conditions", { methods: ["POST"], headers: { "x-a": "1" } }),
    rule("example.com /conditions", { methods: ["GET", "PUT"], headers: { "x-a": "*", "x-b": "*" } }),
    rule("example.com /conditions", { headers: { "x-a": "2" } }),
    rule("*.example.com /api/*"),
    rule("*.b.example.com /api/v1"),
    rule("example.org ~/items/[0-9]+"),
    rule("[::1]"),
    rule("", { methods: ["GET"] }),
  ]);
  router.commit(router.prepare([{ id: 0, rule: rule("example.com /login/*") }, { id: 5, rule: null }]));
  router.commit(
    router.prepare([{ id: 9, rule: rule("*.b.example.com /api/v1") }, { id: 0, rule: rule("example.com /login") }]),
  );
  const bytes = new TextEncoder().encode("GET" + REQUESTS.flat().join(""));
  const places = new Int32Array(4 * REQUESTS.length);
  let at = 3;
  REQUESTS.forEach(([host, path], i) => {
    places.set([at, host.length, at + host.length, path.length], 4 * i);
    at += host.length + path.length;
  });
  const some = (count: number) => {
    let sum = 0;
    for (let i = 0, next = 0; i < count; i++, next = next + 4 === places.length ? 0 : next + 4) {
      if (i % 8 === 0) router.maintain(1);
      sum += router.lookup(
        bytes,
        places[next]!,
        places[next + 1]!,
        places[next + 2]!,
        places[next + 3]!,
        0,
        3,
        HEADERS,
      );
    }
    return sum;
  };
  some(lookups / 2);
  const before = Deno.memoryUsage().heapUsed;
  some(lookups / 2);
  console.log(`heap grew by ${Deno.memoryUsage().heapUsed - before}`);
}

if (import.meta.main) run(Number(Deno.args[0]));
