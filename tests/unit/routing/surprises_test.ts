// What other proxies get wrong or leave open in their routing, each as a test that this one passes. First the defects
// of Sōzu 2.1.0, with the number of its issue; then what surprises the users of nginx, Traefik and others.

import { Router } from "../../../src/ts/routing/router.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";
import { cpuMsOf } from "../../support/cpu_time.ts";
import { answer, find, rule } from "./support.ts";

Deno.test("hosts have no case, in the rule or in the request (Sōzu #1349)", () => {
  assertEquals(answer(["WWW.example.com"], "www.EXAMPLE.com", "/"), "WWW.example.com");
  assertEquals(answer(["*.Example.com"], "WWW.eXample.COM", "/"), "*.Example.com");
});

Deno.test("a wildcard takes more than one label (Sōzu: exactly one)", () => {
  assertEquals(answer(["*.example.com"], "a.b.example.com", "/"), "*.example.com");
});

Deno.test("every branch of an alternation is bound at both ends (Sōzu #1356)", () => {
  const rules = ["h ~/a|/b|/c"];
  for (const path of ["/a", "/b", "/c"]) assertEquals(answer(rules, "h", path), rules[0]!, path);
  for (const path of ["/axx", "/x/b", "/x/b/x", "/x/c", "/a/"]) assertEquals(answer(rules, "h", path), null, path);
  assertEquals(answer(["h ~/a|/ab"], "h", "/ab"), "h ~/a|/ab");
});

Deno.test("an expression is of the whole path (Sōzu #1350)", () => {
  assertEquals(answer(["h ~/admin"], "h", "/foo/admin/bar"), null);
  assertEquals(answer(["h ~/admin"], "h", "/admin"), "h ~/admin");
  assertEquals(answer(["h ~^/admin$"], "h", "/admin"), "h ~^/admin$");
  assertEquals(answer(["h ~/admin.*"], "h", "/admin\n"), "h ~/admin.*");
});

Deno.test("an expression that can match no path is refused, not kept in silence (Sōzu #1357)", () => {
  assertThrows(() => Router.compile([rule("h ~\\.js$")]), /can match no path.*did you mean "~\.\*\\\.js\$"/);
});

Deno.test("an exact host's rule holds for no other host (Sōzu #1351)", () => {
  const rules = ["*.example.com", "test4.example.com /only"];
  assertEquals(answer(rules, "test4.example.com", "/only"), "test4.example.com /only");
  assertEquals(answer(rules, "test7.example.com", "/only"), "*.example.com");
});

Deno.test("the search comes back from a host whose rules do not fit (Sōzu: no backtracking)", () => {
  const rules = ["a.b.c /x", "*.b.c /y", "*.c /z", "* /w", "*"];
  assertEquals(answer(rules, "a.b.c", "/x"), "a.b.c /x");
  assertEquals(answer(rules, "a.b.c", "/y"), "*.b.c /y");
  assertEquals(answer(rules, "a.b.c", "/z"), "*.c /z");
  assertEquals(answer(rules, "a.b.c", "/w"), "* /w");
  assertEquals(answer(rules, "a.b.c", "/v"), "*");
});

Deno.test("a prefix ends at a slash (Sōzu, Traefik, nginx: /api matches /apix)", () => {
  assertEquals(answer(["h /api/*"], "h", "/apix"), null);
  assertEquals(answer(["h /products/*"], "h", "/products-for-sale"), null);
  assertEquals(answer(["h /api/*"], "h", "/api"), "h /api/*");
});

Deno.test("paths are compared in normal form, which no spelling evades (Sōzu: raw bytes)", () => {
  const rules = ["h /admin/*", "h"];
  const spellings = [
    "/admin/x",
    "//admin/x",
    "/./admin/x",
    "/a/../admin/x",
    "/%61dmin/x",
    "/a/%2e%2e/admin//x",
    "/a/..//admin",
  ];
  for (const path of spellings) assertEquals(answer(rules, "h", path), "h /admin/*", path);
  assertEquals(answer(rules, "h", "/admin/../public"), "h");
});

Deno.test("a query in a rule is refused, since paths come without it (Sōzu: equals includes the query)", () => {
  assertThrows(() => Router.compile([rule("h /a?b=c")]), /expected no "\?" or "#"/);
});

Deno.test("an equal rule is found again: it is refused, not added twice (Sōzu #1330)", () => {
  assertThrows(() => Router.compile([rule("h /a"), rule("g /a"), rule("H. //a")]), /route 2: says the same as route 0/);
});

Deno.test("the path's kinds have one order, whatever the order of the rules (Sōzu: the last one wins)", () => {
  assertEquals(answer(["h ~/a.*", "h /a/*", "h /a"], "h", "/a"), "h /a");
  assertEquals(answer(["h ~/a.*", "h /a/*"], "h", "/a/b"), "h /a/*");
  assertEquals(answer(["h ~/a.*", "h"], "h", "/ab"), "h ~/a.*");
  assertEquals(answer(["h ~/a.*", "h ~/.*", "h ~/ab.*"], "h", "/abc"), "h ~/.*");
});

Deno.test("a rule for a method comes before one for all, in either order (Sōzu: the later one)", () => {
  for (const swap of [false, true]) {
    const rules = [rule("h /a/*", { methods: ["POST"] }), rule("h /a/*")];
    const router = Router.compile(swap ? rules.toReversed() : rules);
    assertEquals(find(router, "h", "/a/b", "POST"), swap ? 1 : 0);
    assertEquals(find(router, "h", "/a/b", "GET"), swap ? 0 : 1);
  }
});

Deno.test("a rule may ask for headers (Sōzu: absent)", () => {
  const router = Router.compile([rule("h", { headers: { "X-Beta": "1" } }), rule("h")]);
  assertEquals(find(router, "h", "/", "GET", { "x-beta": ["1"] }), 0);
  assertEquals(find(router, "h", "/", "GET", { "x-beta": ["11"] }), 1);
});

Deno.test("a malformed host in a rule is an error with its place (Sōzu #1312: it kills all workers)", () => {
  for (
    const host of [
      "example.com/",
      "",
      "..",
      "*.",
      "a..b",
      "*.*.c",
      "a.*.c",
      "*a.c",
      "a b",
      "-",
      "h:80",
      "[::1]:80",
      "[x]",
    ]
  ) {
    if (host === "" || host === "-") Router.compile([rule("ok"), { ...rule(""), host }]);
    else assertThrows(() => Router.compile([rule("ok"), { ...rule(""), host }]), /^RouteError: route 1: host "/);
  }
});

Deno.test("hostile hosts in requests find nothing and break nothing (Sōzu #1223)", () => {
  const router = Router.compile([rule("*.example.com"), rule("example.com")]);
  for (
    const host of ["*.", "*", ".", "..", "....", ":", "::", "]", "[", "[]:", "\0", "*.example.org", ".com", "\xff"]
  ) {
    assertEquals(find(router, host, "/"), -1, host);
  }
  assertEquals(find(router, "*.example.com", "/"), 0);
});

Deno.test("an exact host comes before a longer pattern (Traefik: the longer rule wins)", () => {
  const rules = ["a.example.com", "*.example.com /very/long/path/that/makes/the/rule/longer/*"];
  assertEquals(answer(rules, "a.example.com", "/very/long/path/that/makes/the/rule/longer/x"), "a.example.com");
});

Deno.test("a priority does not lift a rule over a more specific path (Traefik: it does)", () => {
  const router = Router.compile([rule("h /a"), rule("h", { priority: 1000 }), rule("h ~/.*", { priority: 500 })]);
  assertEquals(find(router, "h", "/a"), 0);
});

Deno.test("a catch-all is a catch-all (nginx's default server is not, once a name fits)", () => {
  assertEquals(answer(["h /a", "* /*"], "h", "/b"), "* /*");
});

Deno.test("the cost of an expression stays linear (backtracking engines: exponential)", () => {
  const router = Router.compile([rule("h ~/(a+)+b"), rule("h ~/(a|aa)*c"), rule("h ~/(.*)*d", { priority: 1 })]);
  const took = cpuMsOf(() => assertEquals(find(router, "h", "/" + "a".repeat(8000)), -1));
  if (took > 1000) throw new Error(`${took} ms`);
});
