// Random rules and random requests, by seed: the router and the reference give the same answer, `explain` names the
// same rule, and neither the order of the rules nor the hashing has a say in it.

import { Router, type RouteRule } from "../../../src/ts/routing/router.ts";
import { assertEquals } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { headerLookup, referenceLookup, type Request } from "./reference.ts";
import { find, pick, rule, shuffled } from "./support.ts";

const ROUNDS = 500;
const REQUESTS_PER_ROUND = 50;

const LABELS = ["a", "b", "c", "test"];
const SEGMENTS = ["a", "b", "api", "v1", "x.y", "a"];
const EXPRESSIONS = [
  "~/a.*",
  "~/[ab]+",
  "~/api/v[0-9]+/.*",
  "~/a|/b/.*",
  "~.*/v1",
  "~/(?:a/)*b?",
  "~/é.*",
  "~/x\\.y/?",
  "~/a?b*",
];
const NOISE = ["//", "/./", "/../", "/%2e%2E/", "/b/../", "/%2f", "/%C3%A9", "/%61", "/.", "/..", "/", "/..."];

function randomName(random: Random): string {
  return Array.from({ length: 1 + random.below(4) }, () => pick(random, LABELS)).join(".");
}

function randomPath(random: Random, segmentsMax: number): string {
  return "/" + Array.from({ length: random.below(segmentsMax + 1) }, () => pick(random, SEGMENTS)).join("/");
}

function randomRule(random: Random): RouteRule {
  const host = pick(random, ["", "*", "exact", "exact", "wildcard", "wildcard"]);
  const path = pick(random, ["", "exact", "exact", "prefix", "prefix", "prefix", "expression"]);
  const written = rule("", { priority: random.below(3) - 1 });
  if (host === "exact") written.host = randomName(random);
  else written.host = host === "wildcard" ? `*.${randomName(random)}` : host;
  if (path === "exact") written.path = randomPath(random, 3) + pick(random, ["", "", "/"]);
  else if (path === "prefix") written.path = `${randomPath(random, 3)}/*`;
  else if (path === "expression") written.path = pick(random, EXPRESSIONS);
  if (random.below(3) === 0) {
    written.methods = pick(random, [["GET"], ["POST"], ["GET", "POST"], ["PUT", "POST", "GET"]]);
  }
  if (random.below(3) === 0) {
    written.headers = pick<Record<string, string>>(random, [{ "x-a": "1" }, { "X-A": "*" }, {
      "x-b": "*",
      "X-a": "2",
    }]);
  }
  return written;
}

/** Rules between which the order decides; those that say the same as another are left out. */
function randomRules(random: Random): RouteRule[] {
  const rules: RouteRule[] = [];
  for (let count = 1 + random.below(40); count > 0; count--) {
    const next = randomRule(random);
    try {
      Router.compile([...rules, next]);
      rules.push(next);
    } catch {
      // Says the same as another, which rule_test.ts covers.
    }
  }
  return rules;
}

function randomRequest(random: Random, rules: RouteRule[]): Request {
  let host = randomName(random);
  let path = randomPath(random, 4);
  if (random.below(2) === 0) {
    const aim = pick(random, rules);
    if (aim.host !== "" && aim.host !== "*") host = aim.host.replace("*", pick(random, ["a", "b.c", "test.a.b"]));
    if (aim.path.startsWith("/")) path = aim.path.replace("/*", pick(random, ["", "/", "/a", "/x.y/b"]));
  }
  if (random.below(4) === 0) host = host.toUpperCase();
  if (random.below(4) === 0) host += pick(random, [".", ":80", ".:8080", ":", ".."]);
  if (random.below(3) === 0) path = path.replace("/", pick(random, NOISE));
  if (random.below(4) === 0) path += pick(random, NOISE);
  if (random.below(40) === 0) path = pick(random, ["*", "", "/", "//"]);
  const headers: Record<string, string[]> = {};
  if (random.below(2) === 0) headers["x-a"] = pick(random, [["1"], ["2"], ["3"], ["1", "2"]]);
  if (random.below(2) === 0) headers["x-b"] = [""];
  return { host, path, method: pick(random, ["GET", "POST", "PUT", "HEAD"]), headers };
}

Deno.test("lookup() answers as the reference does, whatever the order of the rules and the hashing", () => {
  let found = 0;
  for (let seed = 0; seed < ROUNDS; seed++) {
    const random = createRandom(seed);
    const rules = randomRules(random);
    const router = Router.compile(rules);
    const mixed = shuffled(random, rules);
    const permuted = Router.compile(mixed);
    const colliding = Router.compile(rules, (count) => new Int32Array(count));
    for (let i = 0; i < REQUESTS_PER_ROUND; i++) {
      const request = randomRequest(random, rules);
      const { host, path, method, headers } = request;
      const about = `seed ${seed}, ${method} ${host} ${path} ${JSON.stringify(headers)}`;
      const expected = referenceLookup(rules, request);
      assertEquals(find(router, host, path, method, headers), expected, about);
      assertEquals(find(colliding, host, path, method, headers), expected, `colliding, ${about}`);
      assertEquals(mixed[find(permuted, host, path, method, headers)], rules[expected], `permuted, ${about}`);
      assertEquals(router.explain(host, path, method, headerLookup(headers)).winner, expected, `explain, ${about}`);
      if (expected >= 0) found++;
    }
  }
  // A generator whose requests miss all rules would test nothing.
  const cases = ROUNDS * REQUESTS_PER_ROUND;
  if (found < cases / 3 || found > cases * 0.95) throw new Error(`${found} of ${cases} requests found a rule`);
});
