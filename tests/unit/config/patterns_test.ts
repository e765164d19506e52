// Hosts and paths of routes: their canonical forms, and that they are those of the router, which checks them again.

import { FormatError, parseHostPattern, parsePathPattern } from "../../../src/ts/config/mod.ts";
import { PathRegex } from "../../../src/ts/routing/path_regex.ts";
import { canonicalHost, canonicalPath } from "../../../src/ts/routing/rule.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";

Deno.test("parseHostPattern() gives the form in which a Host field carries the name", () => {
  const texts: [string, string][] = [
    ["*", ""],
    ["Example.COM", "example.com"],
    ["example.com.", "example.com"],
    ["*.Example.com.", "*.example.com"],
    ["localhost", "localhost"],
    ["a_b.example", "a_b.example"],
    ["bücher.de", "xn--bcher-kva.de"],
    ["*.BÜCHER.de", "*.xn--bcher-kva.de"],
    ["例え.テスト", "xn--r8jz45g.xn--zckzah"],
    ["10.0.0.1", "10.0.0.1"],
    ["[::1]", "[::1]"],
    ["[0:0::1]", "[::1]"],
    ["::1", "[::1]"],
    [`${"a".repeat(63)}.example`, `${"a".repeat(63)}.example`],
  ];
  for (const [text, canonical] of texts) {
    assertEquals(parseHostPattern(text), canonical, text);
    if (canonical !== "") assertEquals(parseHostPattern(canonical), canonical, canonical);
  }
});

Deno.test("parseHostPattern() refuses the rest", () => {
  const refused = [
    "",
    ".",
    "*.",
    "*.*",
    "a.*",
    "*a.b",
    "*example.com",
    "a..b",
    ".a",
    "a b",
    "a/b",
    "a:80",
    "[::1]:80",
    "[a]",
  ];
  const more = ["http://a", "a@b", "ü@b", "ü:80", "1.2.3", "1.2.3.256", "*.1.2.3.4", "a%41", "a\0", "[1.2.3.4]"];
  for (const text of [...refused, ...more, `${"a".repeat(64)}.b`, "a.".repeat(127) + "a"]) {
    assertThrows(() => parseHostPattern(text), /^FormatError: expected a name/);
  }
});

Deno.test("parsePathPattern() gives the normal form", () => {
  const texts: [string, string][] = [
    ["/*", ""],
    ["/", "/"],
    ["/x", "/x"],
    ["/x/", "/x/"],
    ["/x/*", "/x/*"],
    ["/x//y", "/x/y"],
    ["/x/./y/../z", "/x/z"],
    ["/..", "/"],
    ["/a/..", "/"],
    ["/a/../*", ""],
    ["/a/.", "/a/"],
    ["//*", ""],
    ["/%61%2d%7E", "/a-~"],
    ["/%2f%3a", "/%2F%3A"],
    ["/é x|", "/%C3%A9%20x%7C"],
    ["/.a/..b/c.", "/.a/..b/c."],
    ["~/v[0-9]+/.*", "~/v[0-9]+/.*"],
    ["~^/a$", "~^/a$"],
    ["~a?/b", "~a?/b"],
    ["~a|/b", "~a|/b"],
    ["~.*x", "~.*x"],
  ];
  for (const [text, canonical] of texts) {
    assertEquals(parsePathPattern(text), canonical, text);
    if (canonical !== "") assertEquals(parsePathPattern(canonical), canonical, canonical);
  }
});

Deno.test("parsePathPattern() refuses the rest", () => {
  const refused = [
    "",
    "x",
    "*",
    "x/*",
    "/*/x",
    "/a*",
    "/a/**",
    "/a?b",
    "/a#b",
    "/a%",
    "/a%4",
    "/a%zz",
    "/a\nb",
    "~",
    "~(",
    "~a",
    "~^a",
  ];
  for (const text of [...refused, "~/(?!a)", "~/a{1001}", `/${"a".repeat(8192)}`, `~/${"a".repeat(1024)}`]) {
    assertThrows(() => parsePathPattern(text), /^FormatError: expected/);
  }
});

/** The result of a parser of this library, or null if it refuses. */
function attempt(parse: (text: string) => string, text: string): string | null {
  try {
    return parse(text);
  } catch (error) {
    assert(error instanceof FormatError, String(error));
    return null;
  }
}

function routerPath(text: string): string | null {
  try {
    const { kind, path } = canonicalPath(text, 0);
    if (kind === "regex") PathRegex.compile(path, 0);
    return kind === "regex" ? `~${path}` : kind === "prefix" ? `${path}/*` : path;
  } catch {
    return null;
  }
}

function routerHost(text: string): string | null {
  try {
    const { kind, name } = canonicalHost(text, 0);
    return kind === "wildcard" ? `*.${name}` : name;
  } catch {
    return null;
  }
}

function randomText(random: ReturnType<typeof createRandom>, pieces: readonly string[]): string {
  return Array.from({ length: random.between(1, 6) }, () => pieces[random.below(pieces.length)]!).join("");
}

Deno.test("paths mean the same to the router", () => {
  const pieces = [
    "/",
    "/",
    "a",
    "b",
    ".",
    "..",
    "%61",
    "%2e",
    "%2F",
    "%",
    "*",
    "/*",
    "~",
    "^",
    "\\/",
    "?",
    "é",
    " ",
    "(",
    ")",
    "+",
    "|",
  ];
  const random = createRandom(11);
  for (let round = 0; round < 20_000; round++) {
    const text = (random.below(2) ? "/" : "") + randomText(random, pieces);
    assertEquals(attempt(parsePathPattern, text), routerPath(text), text);
  }
});

Deno.test("hosts that are accepted mean the same to the router", () => {
  const pieces = ["a", "B", "-", "_", ".", ".", "*.", "*", "ü", "例", "1", ":80", "[", "]", "::1", "/", "@", "%"];
  const random = createRandom(12);
  for (let round = 0; round < 20_000; round++) {
    const text = randomText(random, pieces);
    const host = attempt(parseHostPattern, text);
    // This library refuses more: names that would be malformed IPv4 addresses.
    if (host !== null) assertEquals(routerHost(host), host, text);
  }
});
