// The normal form of paths, against the reference and by its own properties.

import { isNormalFrom, normalBytes, normalise, normaliseText, pathText } from "../../../src/ts/routing/path_form.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";
import { referenceForm } from "./reference.ts";
import { pick } from "./support.ts";

function form(path: string): string {
  const bytes = new TextEncoder().encode(path);
  return new TextDecoder().decode(normalBytes().slice(0, normalise(bytes, 0, bytes.length)));
}

Deno.test("normalise() resolves, merges and decodes", () => {
  for (
    const [path, expected] of [
      ["/", "/"],
      ["//", "/"],
      ["/.", "/"],
      ["/..", "/"],
      ["/../..", "/"],
      ["/a/..", "/"],
      ["/a/.", "/a/"],
      ["/a/b/..", "/a/"],
      ["/a/b/../", "/a/"],
      ["/a/./b", "/a/b"],
      ["/a//../b", "/b"],
      ["/a/...", "/a/..."],
      ["/.a/..b/c.", "/.a/..b/c."],
      ["/....//admin", "/..../admin"],
      ["/%2e%2e%2e%2e//admin", "/..../admin"],
      ["/%2E", "/"],
      ["/a/%2e%2E/b", "/b"],
      ["/%2f", "/%2F"],
      ["/a%2f..%2fb", "/a%2F..%2Fb"],
      ["/%252e%252e/a", "/%252e%252e/a"],
      ["/%41%7E%2d", "/A~-"],
      ["/%c3%a9", "/%C3%A9"],
      ["/é", "/%C3%A9"],
      ["/a b\\c", "/a%20b%5Cc"],
      ["/%", "/%25"],
      ["/%4", "/%254"],
      ["/%g1", "/%25g1"],
      ["/%1g", "/%251g"],
    ] as const
  ) {
    assertEquals(form(path), expected, path);
    assertEquals(normaliseText(path), expected, path);
    assertEquals(referenceForm(path), expected, path);
  }
});

Deno.test("normalise() agrees with the reference, and its result is in normal form", () => {
  const random = createRandom(7);
  const pieces = [
    "/",
    "/",
    ".",
    "..",
    "a",
    "%2e",
    "%2E",
    "%61",
    "%2f",
    "%",
    "%4",
    "é",
    " ",
    "b;c=1",
    "%c3%a9",
    "%25",
    "\x7f",
  ];
  for (let round = 0; round < 5_000; round++) {
    const path = "/" + Array.from({ length: random.below(9) }, () => pick(random, pieces)).join("");
    const normal = form(path);
    assertEquals(normal, referenceForm(path), path);
    assertEquals(form(normal), normal, path);
    assertEquals(normaliseText(path), normal, path);
    const bytes = new TextEncoder().encode(normal);
    if (!normal.includes("%")) assert(isNormalFrom(bytes, 1, bytes.length), normal);
  }
});

Deno.test("pathText() decodes UTF-8 beyond ASCII and nothing else", () => {
  for (
    const [path, expected] of [
      ["/a%2Fb", "/a%2Fb"],
      ["/%C3%A9%20", "/é%20"],
      ["/%F0%9F%98%80", "/😀"],
      ["/%C3x", "/\ufffdx"],
      ["/%C3", "/\ufffd"],
      ["*", "*"],
    ] as const
  ) {
    const bytes = new TextEncoder().encode(`--${path}--`);
    assertEquals(pathText(bytes, 2, bytes.length - 4), expected);
  }
});
