// Changes one by one: what is refused and how, that nothing holds before its commit, and that memory does not grow with the
// number of changes.

import { manyRules } from "../../../benches/routing_traffic.ts";
import { RouteError, Router, type RouteRule } from "../../../src/ts/routing/router.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { headerLookup } from "./reference.ts";
import { find, rule } from "./support.ts";

function change(router: Router, ...changes: [id: number, rule: RouteRule | null][]): void {
  router.commit(router.prepare(changes.map(([id, rule]) => ({ id, rule }))));
}

function refusal(router: Router, ...changes: [id: number, rule: RouteRule | null][]): string {
  const error = assertThrows(() => router.prepare(changes.map(([id, rule]) => ({ id, rule }))));
  assert(error instanceof RouteError, String(error));
  return error.message;
}

Deno.test("commit() puts rules into force under the ids that were given", () => {
  const router = Router.compile([]);
  change(router, [7, rule("h /a")], [2 ** 20, rule("*.h /b/*")], [2 ** 31 - 1, rule("", { methods: ["PUT"] })]);
  assertEquals(find(router, "h", "/a"), 7);
  assertEquals(find(router, "x.h", "/b/c"), 2 ** 20);
  assertEquals(find(router, "h", "/b", "PUT"), 2 ** 31 - 1);
  assertEquals(router.size, 3);
  change(router, [7, rule("h /c")], [2 ** 20, null]);
  assertEquals([find(router, "h", "/a"), find(router, "h", "/c"), find(router, "x.h", "/b/c")], [-1, 7, -1]);
  change(router, [2 ** 20, rule("h /a")]);
  assertEquals(find(router, "h", "/a"), 2 ** 20);
});

Deno.test("prepare() changes nothing that a lookup sees; discard() leaves it at that", () => {
  const router = Router.compile([rule("h /a"), rule("h ~/r.*"), rule("g")]);
  const prepared = router.prepare([{ id: 0, rule: null }, { id: 1, rule: rule("h /r") }, { id: 5, rule: rule("f") }]);
  const answers =
    () => [find(router, "h", "/a"), find(router, "h", "/rr"), find(router, "g", "/"), find(router, "f", "/")];
  assertEquals(answers(), [0, 1, 2, -1]);
  assertEquals(router.size, 3);
  router.discard(prepared);
  assertEquals(answers(), [0, 1, 2, -1]);
  assertThrows(() => router.commit(prepared), /stale/);
  router.commit(router.prepare([{ id: 0, rule: null }]));
  assertEquals(answers(), [-1, 1, 2, -1]);
});

Deno.test("commit() throws for a change that is not the last one prepared, and then does nothing", () => {
  const router = Router.compile([rule("h")]);
  const first = router.prepare([{ id: 1, rule: rule("g") }]);
  const second = router.prepare([{ id: 2, rule: rule("f") }]);
  assertThrows(() => router.commit(first), /^Error: this change of the routes is stale/);
  assertEquals([find(router, "g", "/"), find(router, "f", "/")], [-1, -1]);
  router.commit(second);
  assertEquals([find(router, "g", "/"), find(router, "f", "/")], [-1, 2]);
  assertThrows(() => router.commit(second), /stale/);
});

Deno.test("prepare() refuses what compile() does, and names the rule in force that says the same", () => {
  const router = Router.compile([rule("h /a"), rule("h ~/a.*"), rule("h"), rule("*.h")]);
  const same = "says the same as route";
  assert(refusal(router, [9, rule("H. //a")]).startsWith(`route 9: ${same} 0: `));
  assert(refusal(router, [9, rule("h ~/a.*")]).startsWith(`route 9: ${same} 1: `));
  assert(refusal(router, [9, rule("h /*")]).startsWith(`route 9: ${same} 2: `));
  assert(refusal(router, [2, rule("*.h")]).startsWith(`route 2: ${same} 3: `));
  assert(refusal(router, [9, rule("h /b")], [8, rule("h /b")]).startsWith(`route 9: ${same} 8: `));
  assertEquals(refusal(router, [9, rule("h x")]).slice(0, 22), 'route 9: path "x": exp');
  assert(refusal(router, [9, rule("h ~/(")]).startsWith('route 9: path "~/(": '));
  assertEquals(find(router, "h", "/a"), 0);
  assertEquals(router.size, 4);
});

Deno.test("prepare() takes rules that exchange what they say, and one in the place of another", () => {
  const router = Router.compile([rule("h /a"), rule("g /b/*"), rule("h ~/a.*")]);
  change(router, [0, rule("g /b/*")], [1, rule("h /a")]);
  assertEquals([find(router, "h", "/a"), find(router, "g", "/b/c")], [1, 0]);
  change(router, [1, null], [3, rule("h /a")], [2, rule("h ~/a.*")]);
  assertEquals([find(router, "h", "/a"), find(router, "h", "/ab")], [3, 2]);
});

Deno.test("prepare() takes the last of several changes of one id, and refuses ids that cannot be", () => {
  const router = Router.compile([rule("h")]);
  change(router, [0, null], [0, rule("g")], [1, rule("f")], [1, null]);
  assertEquals([find(router, "h", "/"), find(router, "g", "/"), find(router, "f", "/")], [-1, 0, -1]);
  assertEquals(refusal(router, [5, null]), "route 5: cannot be removed, there is none");
  for (const id of [-1, 0.5, 2 ** 31, NaN]) {
    assertEquals(refusal(router, [id, rule("e")]), `route ${id}: expected an id from 0 to 2147483647`);
  }
  change(router);
  assertEquals(router.size, 1);
});

Deno.test("explain() speaks of the rules as they are after changes", () => {
  const router = Router.compile([rule("h /a/*"), rule("h ~/a.*")]);
  change(router, [70, rule("h /a/b")], [1, rule("h ~/b.*")], [0, rule("h /a/*", { methods: ["POST"] })]);
  assertEquals(router.explain("h", "/a/b", "GET", headerLookup({})), {
    winner: 70,
    considered: [
      { rule: 70, reason: "answers: host h, /a/b" },
      { rule: 0, reason: "method GET is not POST" },
      { rule: 1, reason: "path /a/b does not match ~/b.*" },
    ],
  });
});

Deno.test("a host with thousands of rules changes in its place, whatever they have in common", () => {
  const forms: ((i: number) => RouteRule)[] = [
    (i) => rule(`h /s${i % 7}/${i}/*`),
    (i) => rule(` /s/${i}`),
    (i) => rule("h /one/*", { headers: { "x-tenant": `t${i}` } }),
    (i) => rule("", { priority: i }),
  ];
  for (const form of forms) {
    const rules = Array.from({ length: 3000 }, (_, i) => form(i));
    const router = Router.compile(rules.slice(0, 2000));
    for (let i = 2000; i < 3000; i++) change(router, [i, rules[i]!]);
    for (let i = 0; i < 3000; i += 3) change(router, [i, null]);
    for (const i of [0, 1, 999, 1500, 2002, 2998, 2999]) {
      const { host, path, headers } = rules[i]!;
      const asked = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
      const { considered } = router.explain(host || "x", path.replace("/*", "/y") || "/", "GET", headerLookup(asked));
      assertEquals(considered.some((one) => one.rule === i), i % 3 !== 0, `${host} ${path} ${i}`);
    }
  }
});

Deno.test("memory stays as it is through changes when maintain() is called, and goes down with the rules", () => {
  const rules = manyRules(1000);
  const router = Router.compile(rules);
  const before = router.bytesUsed;
  let largest = 0;
  for (let i = 0; i < 20_000; i++) {
    const id = i * 7919 % rules.length;
    const old = rules[id]!;
    change(router, [id, {
      ...old,
      host: old.host === "" ? "" : old.host,
      path: i % 2 ? "/other" : old.path,
      priority: i,
    }]);
    router.maintain(0);
    largest = Math.max(largest, router.bytesUsed);
  }
  assert(largest < 4 * before, `${largest} bytes, ${before} before`);
  assert(router.bytesWasted < router.bytesUsed * 0.7, `${router.bytesWasted} of ${router.bytesUsed} bytes are wasted`);
  change(router, ...rules.slice(50).map((_, i): [number, null] => [50 + i, null]));
  while (router.maintain(1));
  assertEquals(router.size, 50);
  assert(router.bytesUsed < before / 2, `${router.bytesUsed} bytes for 50 rules, ${before} for ${rules.length}`);
});

Deno.test("a change among 100,000 rules takes well under a millisecond", () => {
  const rules = manyRules(10_000);
  const router = Router.compile(rules);
  const took = { prepare: [] as number[], commit: [] as number[], maintain: [] as number[] };
  const timed = <T>(name: keyof typeof took, call: () => T): T => {
    const start = performance.now();
    const result = call();
    took[name].push(performance.now() - start);
    return result;
  };
  for (let i = 0; i < 3000; i++) {
    const id = i * 7919 % rules.length;
    const next = i % 3 === 0 ? null : rule(i % 3 === 1 ? `new-${i}.example.org` : `${rules[id]!.host} /new/${i}`);
    const prepared = timed("prepare", () => router.prepare([{ id, rule: next }]));
    timed("commit", () => router.commit(prepared));
    timed("maintain", () => router.maintain(1));
  }
  // It is microseconds; a machine with much else to do interrupts some, but not half of them.
  const median = (name: keyof typeof took) => took[name].sort((a, b) => a - b)[1500]!;
  assert(median("prepare") < 1, `prepare: ${median("prepare")} ms`);
  assert(median("commit") < 0.2, `commit: ${median("commit")} ms`);
  assert(median("maintain") < 1.5, `maintain: ${median("maintain")} ms`);
});
