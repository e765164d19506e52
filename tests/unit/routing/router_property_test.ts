// Random rules and random requests, by seed: the router and the reference give the same answer, `explain` names the
// same rule, and neither the order of the rules nor the hashing has a say in it.

import { Router, type RouteRule } from "../../../src/ts/routing/router.ts";
import { assertEquals } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { randomRequest, randomRule } from "./generate.ts";
import { headerLookup, referenceLookup } from "./reference.ts";
import { find, shuffled } from "./support.ts";

const ROUNDS = 500;
const REQUESTS_PER_ROUND = 50;

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
