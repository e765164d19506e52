// Random sequences of changes, by seed: after each of them the router answers as the reference does, and `explain` with it;
// now and then it is compared in full with a router compiled from the rules that are there. Three routers go through the
// same changes: one as it is used; one whose hashes all collide; one with a memory of tiny regions, which is always
// growing, shrinking or being compacted.

import { type RouteChange, RouteError, Router, type RouteRule } from "../../../src/ts/routing/router.ts";
import { canonicalRule, canonicalText } from "../../../src/ts/routing/rule.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { randomRequest, randomRule } from "./generate.ts";
import { headerLookup, referenceLookup, type Request } from "./reference.ts";
import { find, pick } from "./support.ts";

const SEEDS = 24;
const STEPS = 250;
/** Rules that a sequence keeps about. */
const SIZES = [3, 20, 60];
/** 32 words: less than many records. */
const TINY_REGION_BITS = 5;

type Rules = Map<number, RouteRule>;

function noHash(count: number): Int32Array {
  return new Int32Array(count);
}

/** What a rule says and its priority: no two rules may share it. */
function meaning(rule: RouteRule): string {
  return `${rule.priority} ${canonicalText(canonicalRule(rule, 0))}`;
}

class Sequence {
  readonly rules: Rules = new Map();
  readonly routers: Router[];
  private readonly freeIds: number[] = [];
  refused = 0;

  constructor(readonly random: Random, readonly size: number) {
    const first = size > 10 ? [randomRule(random)] : [];
    first.forEach((rule, id) => this.rules.set(id, rule));
    this.routers = [
      Router.compile(first),
      Router.compile(first, noHash),
      Router.compile(first, undefined, TINY_REGION_BITS),
    ];
  }

  /** A batch of changes: mostly of one, sometimes of many; sometimes all rules of a host go. */
  changes(): RouteChange[] {
    const { random } = this;
    if (random.below(30) === 0) return this.hostGoes();
    const changes: RouteChange[] = [];
    for (let count = pick(random, [1, 1, 1, 2, 5, 20]); count > 0; count--) changes.push(this.change());
    // Of two changes of one id the last holds, so removing what another one has removed would not be refused.
    return [...new Map(changes.map((change) => [change.id, change])).values()];
  }

  private change(): RouteChange {
    const { random, rules } = this;
    const ids = [...rules.keys()];
    const isGrowing = random.below(2 * this.size) >= ids.length;
    if (ids.length > 0 && random.below(4) === 0) return { id: pick(random, ids), rule: randomRule(random) };
    if (ids.length > 0 && random.below(12) === 0) return { id: pick(random, ids), rule: rules.get(pick(random, ids))! };
    if (isGrowing || ids.length === 0) return { id: this.newId(), rule: randomRule(random) };
    return { id: pick(random, ids), rule: null };
  }

  private newId(): number {
    const { random } = this;
    const free = random.below(2) === 0 ? this.freeIds.pop() : undefined;
    return free ?? pick(random, [random.below(100), random.below(2 ** 21), 2 ** 31 - 1 - random.below(10)]);
  }

  private hostGoes(): RouteChange[] {
    if (this.rules.size === 0) return [];
    const { host } = pick(this.random, [...this.rules.values()]);
    return [...this.rules].filter(([, rule]) => rule.host === host).map(([id]) => ({ id, rule: null }));
  }

  /** Makes the changes, or sees that all routers refuse them. */
  step(): void {
    const changes = this.changes();
    const after = new Map(this.rules);
    for (const { id, rule } of changes) rule ? after.set(id, rule) : after.delete(id);
    const isRefused = new Set([...after.values()].map(meaning)).size < after.size;
    for (const router of this.routers) {
      this.disturb(router);
      if (isRefused) this.refuse(router, changes, after);
      else this.commit(router, changes);
      this.disturb(router);
    }
    if (isRefused) return void this.refused++;
    for (const { id, rule } of changes) if (!rule) this.freeIds.push(id);
    this.rules.clear();
    for (const [id, rule] of after) this.rules.set(id, rule);
  }

  private refuse(router: Router, changes: RouteChange[], after: Rules): void {
    const error = assertThrows(() => router.prepare(changes));
    assert(error instanceof RouteError, String(error));
    const other = Number(error.reason.match(/^says the same as route (\d+):/)?.[1]);
    assertEquals(meaning(after.get(error.rule)!), meaning(after.get(other)!));
    assert(changes.some(({ id, rule }) => rule && id === error.rule), `${error.rule} is not among the changes`);
  }

  private commit(router: Router, changes: RouteChange[]): void {
    if (this.random.below(5) === 0) router.discard(router.prepare(changes));
    const stale = this.random.below(5) === 0 ? router.prepare(this.changes().filter(({ rule }) => !rule)) : null;
    const prepared = router.prepare(changes);
    this.disturb(router);
    // Nothing has changed yet.
    if (this.random.below(5) === 0) this.check(router, this.request(), "between prepare and commit");
    if (stale) assertThrows(() => router.commit(stale), /stale/);
    router.commit(prepared);
    assertThrows(() => router.commit(prepared), /stale/);
  }

  /** Some steps of maintenance, or all of them. */
  private disturb(router: Router): void {
    const { random } = this;
    for (let steps = random.below(4); steps > 0; steps--) router.maintain(0);
    if (random.below(40) === 0) { while (router.maintain(1)); }
  }

  request(): Request {
    return randomRequest(this.random, [...this.rules.values()]);
  }

  check(router: Router, request: Request, about: string): void {
    const { host, path, method, headers } = request;
    const ids = [...this.rules.keys()];
    const expected = ids[referenceLookup([...this.rules.values()], request)] ?? -1;
    const text = `${about}: ${method} ${host} ${path} ${JSON.stringify(headers)}`;
    assertEquals(find(router, host, path, method, headers), expected, text);
    assertEquals(router.explain(host, path, method, headerLookup(headers)).winner, expected, `explain, ${text}`);
  }

  checkAll(about: string): void {
    for (let requests = 4; requests > 0; requests--) {
      const request = this.request();
      for (const router of this.routers) this.check(router, request, about);
    }
  }

  /** A router that is compiled of the same rules says the same, of each candidate. */
  compareWithCompiled(about: string): void {
    const ids = [...this.rules.keys()];
    const compiled = Router.compile([...this.rules.values()]);
    const named = (reason: string) => reason.replace(/^route (\d+)/, (_, index) => `route ${ids[Number(index)]}`);
    for (let requests = 20; requests > 0; requests--) {
      const { host, path, method, headers } = this.request();
      const { winner, considered } = compiled.explain(host, path, method, headerLookup(headers));
      const expected = {
        winner: ids[winner] ?? -1,
        considered: considered.map(({ rule, reason }) => ({ rule: ids[rule]!, reason: named(reason) })),
      };
      for (const router of this.routers) {
        assertEquals(router.size, ids.length);
        assertEquals(router.explain(host, path, method, headerLookup(headers)), expected, `${about}: ${host} ${path}`);
      }
    }
  }

  /** Takes all rules out: nothing may be left of them. */
  end(): void {
    const all = [...this.rules.keys()].map((id) => ({ id, rule: null }));
    for (const router of this.routers) {
      router.commit(router.prepare(all));
      while (router.maintain(1));
      const { arena, paths, conditions, regexes, hostCount, depths } = Reflect.get(router, "tables");
      const counts = [arena.liveWords, paths.count, conditions.numbers.size, regexes.numbers.size, hostCount];
      assertEquals(counts, [4, 0, 0, 0, 0]);
      assertEquals(depths, [0]);
      assertEquals(find(router, "a.test", "/a"), -1);
    }
  }
}

Deno.test("prepare(), commit() and maintain() lead to what compile() makes of the rules that are left", () => {
  let refused = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const sequence = new Sequence(createRandom(seed), SIZES[seed % SIZES.length]!);
    for (let step = 0; step < STEPS; step++) {
      sequence.step();
      sequence.checkAll(`seed ${seed}, step ${step}`);
      if (step % 25 === 0) sequence.compareWithCompiled(`seed ${seed}, step ${step}`);
    }
    sequence.end();
    refused += sequence.refused;
  }
  // A generator that is never refused, or always, would test too little.
  assert(refused > SEEDS * STEPS / 100 && refused < SEEDS * STEPS / 2, `${refused} of ${SEEDS * STEPS} were refused`);
});
