// Cost of a route lookup: a handful of rules beside 100,000, and the paths that cost most. `deno bench -A
// benches/routing_bench.ts`. Each iteration is one lookup of the next of 4,096 requests, so that the tables are
// read as traffic reads them: "popular" draws hosts by Zipf's law, "uniform" spreads over all of them and so shows the
// cache misses of the machine; "own paths" are those of hosts of which no two have one in common. A change is one rule that comes or goes, prepared and committed, with the maintenance that a
// worker's loop does after it. The lines to compare are those of a group.

import { Router, type RouteRule } from "../src/ts/routing/router.ts";
import { Changes, groupedRules, manyRules, Requests, siteRules, traffic } from "./routing_traffic.ts";

const ANY_ITEM: RouteRule = { host: "", path: "~/v[0-9]+/items/[^/]+", methods: [], headers: {}, priority: 0 };

const rules = manyRules(10_000);
const few = Router.compile(manyRules(1));
const many = Router.compile(rules);
const forms = Router.compile([
  ...siteRules("example.com"),
  ...siteRules("*.example.com"),
  ...siteRules(""),
  ANY_ITEM,
  { host: "example.com", path: "/methods", methods: ["PUT", "POST"], headers: {}, priority: 0 },
  { host: "example.com", path: "/methods", methods: ["HEAD", "GET"], headers: {}, priority: 0 },
]);

function bench(group: string, name: string, router: Router, requests: Requests, baseline = false): void {
  Deno.bench(name, { group, baseline }, () => void requests.lookupNext(router));
}

const REQUESTS = 4096;
bench("lookup", "10 routes, 1 host", few, traffic(1, REQUESTS, false), true);
bench("lookup", "100,000 routes, 10,000 hosts, popular", many, traffic(10_000, REQUESTS, true));
bench("lookup", "100,000 routes, 10,000 hosts, uniform", many, traffic(10_000, REQUESTS, false));
bench("own paths", "10 routes, 1 host", Router.compile(manyRules(1, "own")), traffic(1, REQUESTS, false, "own"), true);
const manyOwn = Router.compile(manyRules(10_000, "own"));
bench("own paths", "100,000 routes, no path in common, popular", manyOwn, traffic(10_000, REQUESTS, true, "own"));
bench("own paths", "100,000 routes, no path in common, uniform", manyOwn, traffic(10_000, REQUESTS, false, "own"));
const changed = Router.compile(rules);
const changes = new Changes(changed, rules);
for (let i = 0; i < 200_000; i++) changes.next();
bench("lookup", "the same, uniform, after 200,000 changes", changed, traffic(10_000, REQUESTS, false));

const FORMS: [name: string, host: string, path: string][] = [
  ["exact path", "example.com", "/login"],
  ["prefix", "example.com", "/api/v1/items/4711"],
  ["wildcard host, port, capitals", "A.B.Example.COM:8080", "/api/v1/items/4711"],
  ["methods of two rules", "example.com", "/methods"],
  ["any host", "unknown.example.org", "/api/v1/items/4711"],
  ["dot segments and encodings", "example.com", "/x/../%61pi//v1/items/4711"],
  ["regular expression", "unknown.example.org", "/v12/items/4711"],
  ["8 KiB of path in 4,096 segments", "example.com", "/a".repeat(4096)],
  ["8 KiB of path in dot segments", "example.com", "/a/..".repeat(1638)],
];
for (const [name, host, path] of FORMS) {
  bench("forms", name, forms, new Requests([[host, path]]), name === "exact path");
}

Deno.bench("compile 100,000 routes", { group: "compile" }, () => void Router.compile(rules));

const GROUPS: [name: string, rules: RouteRule[]][] = [
  ["10 routes, 1 host", manyRules(1)],
  ["100,000 routes, 10,000 hosts", rules],
  ["10,000 routes, 1 host", groupedRules(10_000, "example.com", "paths")],
  ["100,000 routes, any host", groupedRules(100_000, "", "paths")],
  ["10,000 routes, 1 path, a header each", groupedRules(10_000, "example.com", "headers")],
];
for (const [name, grouped] of GROUPS) {
  const coming = new Changes(Router.compile(grouped), grouped);
  Deno.bench(name, { group: "change", baseline: name === GROUPS[0]![0] }, () => coming.next());
}
