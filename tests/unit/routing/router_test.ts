// Which rule answers: hosts, paths, methods and headers one by one, then the whole order, limits, and `explain`.

import { Changes, groupedRules, hostName, manyRules, siteRules, traffic } from "../../../benches/routing_traffic.ts";
import { Router, type RouteRule } from "../../../src/ts/routing/router.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { cpuMsOf } from "../../support/cpu_time.ts";
import { headerLookup } from "./reference.ts";
import { answer, find, rule } from "./support.ts";

Deno.test("lookup() compares hosts without case, port and trailing dot", () => {
  const rules = ["Example.COM /", "[2001:DB8::1] /", "10.0.0.1 /", "bücher.example /", "my_app /"];
  for (
    const [host, expected] of [
      ["example.com", 0],
      ["EXAMPLE.com", 0],
      ["example.com.", 0],
      ["example.com:8080", 0],
      ["Example.COM.:8080", 0],
      ["example.com:", 0],
      ["[2001:db8::1]", 1],
      ["[2001:DB8::1]:443", 1],
      ["10.0.0.1:80", 2],
      ["xn--bcher-kva.example", 3],
      ["MY_APP:1", 4],
      ["example.com..", -1],
      ["example.comx", -1],
      ["xexample.com", -1],
      ["example", -1],
      ["a.example.com", -1],
      ["", -1],
      [".", -1],
      [":80", -1],
      ["[2001:db8::1", -1],
      ["x".repeat(12_000), -1],
    ] as const
  ) {
    assertEquals(find(Router.compile(rules.map((text) => rule(text))), host, "/"), expected, host);
  }
});

Deno.test("lookup() takes the longest wildcard, of any depth, and not the name itself", () => {
  const rules = ["*.example.com", "*.b.example.com", "*.com", "a.b.example.com", "*"];
  for (
    const [host, expected] of [
      ["a.b.example.com", "a.b.example.com"],
      ["x.b.example.com", "*.b.example.com"],
      ["y.x.b.example.com:80", "*.b.example.com"],
      ["X.A.B.EXAMPLE.COM.", "*.b.example.com"],
      ["b.example.com", "*.example.com"],
      ["example.com", "*.com"],
      [".example.com", "*.com"],
      ["com", "*"],
      ["ab.example.org", "*"],
      ["xb.example.com", "*.example.com"],
      ["", "*"],
      [`${"a.".repeat(6000)}b.example.com`, "*.b.example.com"],
      [`${".".repeat(12_000)}example.com`, "*.example.com"],
      ["1.2.3.4", "*"],
    ] as const
  ) {
    assertEquals(answer(rules, host, "/"), expected, host);
  }
});

Deno.test("lookup() finds wildcards of all depths, beyond 31 labels too", () => {
  const suffixes = Array.from({ length: 100 }, (_, labels) => "x.".repeat(labels) + "z");
  const router = Router.compile(suffixes.map((suffix) => rule(`*.${suffix}`)));
  suffixes.forEach((suffix, labels) => assertEquals(find(router, `y.${suffix}`, "/"), labels));
  assertEquals(find(router, `${"x.".repeat(120)}z`, "/"), 99);
});

Deno.test("lookup() takes an exact path, then the longest prefix, then expressions, then any path", () => {
  const rules = ["h /a", "h /a/*", "h /a/b/*", "h /a/b/c", "h ~/a/.*|/r[0-9]+", "h /", "h"];
  for (
    const [path, expected] of [
      ["/a", "h /a"],
      ["/a/", "h /a/*"],
      ["/a/x", "h /a/*"],
      ["/a/b", "h /a/b/*"],
      ["/a/b/", "h /a/b/*"],
      ["/a/b/c", "h /a/b/c"],
      ["/a/b/c/", "h /a/b/*"],
      ["/a/bc", "h /a/*"],
      ["/ab", "h"],
      ["/A", "h"],
      ["/r12", "h ~/a/.*|/r[0-9]+"],
      ["/r", "h"],
      ["/", "h /"],
      ["", "h /"],
      ["*", "h"],
    ] as const
  ) {
    assertEquals(answer(rules, "h", path), expected, path);
  }
});

Deno.test("lookup() compares paths in normal form, of the request and of the rule", () => {
  const rules = ["h /a/b", "h /caf%c3%a9/*", "h /x/../y//z/*", "h /%41%2f", "h ~/é+/[a-z/]*"];
  for (
    const [path, expected] of [
      ["/a//b", "h /a/b"],
      ["//a/b", "h /a/b"],
      ["/./a/./b", "h /a/b"],
      ["/a/x/../b", "h /a/b"],
      ["/../../a/b", "h /a/b"],
      ["/a/%62", "h /a/b"],
      ["/a/x/%2e%2E/b", "h /a/b"],
      ["/a/x/.%2e/b", "h /a/b"],
      ["/a/x//../b", "h /a/b"],
      ["/a/b/.", null],
      ["/a/b/", null],
      ["/a%2fb", null],
      ["/a/%2562", null],
      ["/a/.../b", null],
      ["/caf%C3%A9", "h /caf%c3%a9/*"],
      ["/caf%c3%a9/menu", "h /caf%c3%a9/*"],
      ["/café/menu", "h /caf%c3%a9/*"],
      ["/y/z/1", "h /x/../y//z/*"],
      ["/A%2F", "h /%41%2f"],
      ["/A/", null],
      ["/%C3%A9%c3%a9/abc/d", "h ~/é+/[a-z/]*"],
      ["/%C3%A9/%2f", null],
      ["/%ff%fe", null],
      ["/%", null],
      ["/%zz/..", null],
    ] as const
  ) {
    assertEquals(answer(rules, "h", path), expected, path);
  }
});

Deno.test("lookup() keeps the request's own bytes as they are", () => {
  const router = Router.compile([rule("h /a/b")]);
  const bytes = new TextEncoder().encode("GEThH/x/../%61//b");
  const before = bytes.slice();
  assertEquals(router.lookup(bytes, 3, 1, 5, bytes.length - 5, 0, 3, headerLookup({})), 0);
  assertEquals(bytes, before);
});

Deno.test("lookup() tries the rules of one path from the most to the least specific conditions", () => {
  const rules: [string, RouteRule][] = [
    ["both", rule("h /p", { methods: ["POST"], headers: { "X-A": "1" } })],
    ["two headers", rule("h /p", { headers: { "X-A": "1", "x-b": "*" } })],
    ["a value", rule("h /p", { headers: { "x-a": "1" } })],
    ["a header", rule("h /p", { headers: { "x-a": "*" }, priority: 9 })],
    ["a method", rule("h /p", { methods: ["POST"] })],
    ["two methods", rule("h /p", { methods: ["GET", "POST"], priority: 9 })],
    ["high", rule("h /p", { priority: 2 })],
    ["low", rule("h /p", { priority: -2 })],
  ];
  const router = Router.compile(rules.map(([, of]) => of));
  const name = (method: string, headers: Record<string, string[]>) =>
    rules[find(router, "h", "/p", method, headers)]?.[0];
  assertEquals(name("POST", { "x-a": ["1"], "x-b": ["2"] }), "both");
  assertEquals(name("GET", { "x-a": ["0", "1"], "x-b": ["2"] }), "two headers");
  assertEquals(name("GET", { "x-a": ["1"] }), "a value");
  assertEquals(name("POST", { "x-a": ["2"] }), "a header");
  assertEquals(name("POST", {}), "a method");
  assertEquals(name("GET", { "x-b": ["2"] }), "two methods");
  assertEquals(name("PUT", {}), "high");
  assertEquals(name("post", {}), "high");
});

Deno.test("lookup() asks for headers only where a candidate has header conditions", () => {
  const router = Router.compile([rule("h /p", { headers: { "x-a": "1" } }), rule("h /q")]);
  const asked: (string | null)[] = [];
  const headers = { has: (name: string, value: string | null) => (asked.push(name, value), false) };
  const bytes = new TextEncoder().encode("GETh/q/p");
  assertEquals(router.lookup(bytes, 3, 1, 4, 2, 0, 3, headers), 1);
  assertEquals(asked, []);
  assertEquals(router.lookup(bytes, 3, 1, 6, 2, 0, 3, headers), -1);
  assertEquals(asked, ["x-a", "1"]);
});

Deno.test("lookup() goes on to less specific paths and hosts where conditions do not fit", () => {
  const rules = [
    rule("a.b.c /x", { methods: ["PUT"] }),
    rule("a.b.c /x/*", { methods: ["DELETE"] }),
    rule("*.b.c /x", { methods: ["POST"] }),
    rule("*.c ~/x.*", { methods: ["PATCH"] }),
    rule("*.c /other"),
    rule(" /x", { headers: { "x-a": "*" } }),
    rule(""),
  ];
  const router = Router.compile(rules);
  for (const [method, expected] of [["PUT", 0], ["DELETE", 1], ["POST", 2], ["PATCH", 3], ["GET", 6]] as const) {
    assertEquals(find(router, "a.b.c", "/x", method), expected, method);
  }
  assertEquals(find(router, "a.b.c", "/x", "GET", { "x-a": [""] }), 5);
  assertEquals(find(router, "a.b.c", "/other"), 4);
});

Deno.test("lookup() orders expressions by priority, then by their text", () => {
  const order = (rules: RouteRule[]) => {
    const [first, second] = [rules, rules.toReversed()].map((list) => list[find(Router.compile(list), "h", "/abc")]);
    assertEquals(first, second);
    return first!.path;
  };
  assertEquals(order([rule("h ~/a.*"), rule("h ~/ab.*", { priority: 1 })]), "~/ab.*");
  assertEquals(order([rule("h ~/ab.*"), rule("h ~/a.*")]), "~/a.*");
  assertEquals(order([rule("h ~/ab.*", { methods: ["GET"] }), rule("h ~/a.*")]), "~/a.*");
  assertEquals(order([rule("h ~/a.*", { methods: ["GET"] }), rule("h ~/a.*", { priority: 1 })]), "~/a.*");
});

Deno.test("lookup() finds prefixes of all depths, beyond 31 segments too", () => {
  const prefixes = Array.from({ length: 60 }, (_, depth) => "/s".repeat(depth + 1));
  const router = Router.compile(prefixes.flatMap((prefix) => [rule(`h ${prefix}/*`), rule(`h ${prefix}/end`)]));
  prefixes.forEach((prefix, depth) => {
    assertEquals(find(router, "h", prefix), 2 * depth);
    assertEquals(find(router, "h", `${prefix}/x/y`), 2 * depth);
    assertEquals(find(router, "h", `${prefix}/end`), 2 * depth + 1);
  });
  assertEquals(find(router, "h", "/s".repeat(6000)), 118);
  assertEquals(find(router, "h", "/t" + "/s".repeat(6000)), -1);
});

Deno.test("lookup() answers without rules, and with rules for any request only", () => {
  assertEquals(find(Router.compile([]), "h", "/a//b"), -1);
  assertEquals(find(Router.compile([rule("")]), "h", "/a//b"), 0);
  assertEquals(find(Router.compile([rule("* /*")]), "", "*"), 0);
});

Deno.test("lookup() reads a path longer than the usual limits", () => {
  const router = Router.compile([rule("h /a/*")]);
  assertEquals(find(router, "h", "/a/" + "é".repeat(100_000)), 0);
  assertEquals(find(router, "h", "/b/../a/" + "x/".repeat(100_000)), 0);
});

Deno.test("lookup() of a hostile path costs time in proportion to its length", () => {
  const router = Router.compile([rule("h /a/*"), rule("h /a/a/a/b"), rule("*.h /a/*"), rule("* /a/b/*")]);
  for (const unit of ["/a", "/", "/.", "/a/..", "/%2e%2E", "%41"]) {
    const path = "/" + unit.repeat(Math.floor(12_000 / unit.length));
    const each = cpuMsOf(() => {
      for (let i = 0; i < 200; i++) find(router, "x.h", path);
    }) / 200;
    assert(each < 2, `${unit}: ${each} ms for 12 KB`);
  }
});

Deno.test("bytesUsed stays small for many rules", () => {
  const rules = Array.from(
    { length: 20_000 },
    (_, i) => rule(`shop-${i % 2000}.example.com /section-${Math.floor(i / 2000)}/*`),
  );
  const { bytesUsed } = Router.compile(rules);
  assert(bytesUsed < 72 * rules.length, `${bytesUsed / rules.length} bytes a rule`);
});

Deno.test("explain() lists the candidates in order, with what kept each from answering", () => {
  const router = Router.compile([
    rule(""),
    rule("*.b.c /x/*", { headers: { "X-Beta": "1" } }),
    rule("a.b.c /x/y", { methods: ["POST", "PUT"] }),
    rule("a.b.c ~/z.*"),
    rule("a.b.c /x/*"),
    rule("a.b.c /unrelated"),
    rule("a.b.c /x/*", { headers: { "x-beta": "1" } }),
    rule("other.c /x/*"),
  ]);
  assertEquals(router.explain("A.b.c:80", "/x//y", "GET", headerLookup({ "x-beta": ["2"] })), {
    winner: 4,
    considered: [
      { rule: 2, reason: "method GET is not POST, PUT" },
      { rule: 6, reason: 'header x-beta is not "1"' },
      { rule: 4, reason: "answers: host a.b.c, /x/*" },
      { rule: 3, reason: "path /x/y does not match ~/z.*" },
      { rule: 1, reason: 'header x-beta is not "1"' },
      { rule: 0, reason: "route 4 comes first: its host is more specific" },
    ],
  });
  assertEquals(router.explain("none.example", "/", "GET", headerLookup({})).winner, 0);
  assertEquals(Router.compile([rule("h")]).explain("g", "/", "GET", headerLookup({})), { winner: -1, considered: [] });
});

Deno.test("explain() names the step of the order that decided", () => {
  const reasons = (rules: RouteRule[], headers: Record<string, string[]> = {}) => {
    const { considered } = Router.compile(rules).explain("h", "/x/y", "GET", headerLookup(headers));
    return considered.slice(1).map(({ reason }) => reason.replace(/^route \d+ comes first: /, ""));
  };
  const got = { "x-a": ["1"], "x-b": ["1"] };
  assertEquals(reasons([rule("h /x/*"), rule("h /x/y"), rule("h ~/.*"), rule("h")]), [
    "an exact path comes before a prefix",
    "an exact path comes before a regular expression",
    "an exact path comes before any path",
  ]);
  assertEquals(reasons([rule("h /x/*"), rule("h /x/y/*")]), ["its path is longer"]);
  assertEquals(reasons([rule("h ~/x.*"), rule("h ~/.*", { priority: 1 })]), ["its priority is higher"]);
  assertEquals(reasons([rule("h ~/x.*"), rule("h ~/.*")]), ["same priority, and its text is first in order"]);
  assertEquals(reasons([rule("h /x/y", { priority: 1 }), rule("h /x/y")]), ["its priority is higher"]);
  assertEquals(reasons([rule("h", { methods: ["GET"] }), rule("h")]), ["it asks for a method"]);
  assertEquals(reasons([rule("h", { methods: ["GET"] }), rule("h", { methods: ["GET", "PUT"] })]), [
    "it names fewer methods",
  ]);
  const both = rule("h", { methods: ["GET"], headers: { "x-a": "1" } });
  const two = rule("h", { headers: { "x-a": "1", "x-b": "1" } });
  assertEquals(reasons([both, two], got), ["it asks for a method and a header"]);
  assertEquals(reasons([two, rule("h", { headers: { "x-a": "1" } })], got), ["it asks for more headers"]);
  const present = rule("h", { headers: { "x-a": "*" } });
  assertEquals(reasons([present, rule("h", { headers: { "x-a": "1" } })], got), [
    "it asks for more exact header values",
  ]);
  assertEquals(reasons([present, rule("h", { headers: { "x-b": "*" } })], got), [
    "equally specific, and its text is first in order",
  ]);
});

Deno.test("the bench's requests find their rules, with few hosts and with many", () => {
  for (const hosts of [1, 50]) {
    const rules = manyRules(hosts);
    const router = Router.compile(rules);
    const requests = traffic(hosts, 100, true);
    for (let i = 0; i < 100; i++) assert(requests.lookupNext(router) >= 0);
    assertEquals(rules[find(router, hostName(hosts - 1), "/api/v2/x")], siteRules(hostName(hosts - 1))[2]);
  }
});

Deno.test("the bench's changes take rules out and put them back", () => {
  for (const rules of [manyRules(3), groupedRules(30, "", "paths"), groupedRules(30, "example.com", "headers")]) {
    const router = Router.compile(rules);
    const changes = new Changes(router, rules);
    const sizes = rules.map(() => (changes.next(), router.size));
    assertEquals(sizes, rules.map((_, i) => rules.length - 1 - i));
    for (const _ of rules) changes.next();
    assertEquals(router.size, rules.length);
  }
});
