// Mutated files: whatever is in a file, loading it gives a state or errors with a place in it, and never throws. What is
// accepted fits the JSON Schema (as zod reads it), and the router takes its routes.

import { z } from "zod";
import { parse } from "yaml";
import { formatErrors, jsonSchema, loadState, type State } from "../../../src/ts/config/mod.ts";
import { canonicalRule } from "../../../src/ts/routing/rule.ts";
import { assert } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";

const ROUNDS = 10_000;

/** Small ones, since most of the time goes to reading YAML; together they have every form of value. */
const FILES = [
  'workers: 2\ntrusted_proxies: ["10.0.0.0/8"]\nlisteners:\n  web: { address: "[::]:80", backlog: 128 }\n',
  'listeners:\nclusters:\n  app:\n    backends:\n      - "10.0.0.1:80"\n      - address: b.example:80\n        weight: 2\n',
  "listeners: {}\nclusters:\n  a: &a { backends: [], timeouts: { response: 5m } }\n  b: { <<: *a, balance: random }\n  c: *a\n",
  'listeners: {}\nclusters: { a: { backends: [] } }\nroutes:\n  - { host: "*.bücher.de", path: "~/v[0-9]+/.*", cluster: a }\n',
  "listeners: {}\nclusters: { a: { backends: [] } }\nroutes: [{ path: /a/%2e/*, methods: [GET], headers: { X-A: '*' }, cluster: a }]\n",
  'listeners: {}\nlimits: { buffer_size: 32KiB, headers: 100 }\naccess_log: { path: stdout }\nanswers: { 404: "x\\n" }\n',
  '{ "listeners": {}, "log": { "level": "warn" }, "user": "", "timeouts": { "idle": "1.5s" } }',
];

const PIECES = [
  ...[
    "",
    " ",
    "\n",
    "\n  ",
    "\t",
    ":",
    ": ",
    "- ",
    "? ",
    "#",
    ",",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "*app",
    "<<: ",
    "!",
    "!!map ",
  ],
  ...[
    '"',
    "'",
    "|",
    ">",
    "%",
    "@",
    "`",
    "~",
    "null",
    "true",
    ".inf",
    ".nan",
    "0x1F",
    "1e999",
    "-0",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
  ],
  ...[
    "__proto__: ",
    "\0",
    "\u{FEFF}",
    "\\ud800",
    "\ud800",
    "\u{1F600}",
    "é",
    "9".repeat(400),
    "[".repeat(30),
    "((((",
    "::",
    "/32",
  ],
];

/** Stand for a whole word: the file stays YAML, and what is tested is the checker. */
const WORDS = [
  ...[
    "1",
    "0",
    "-1",
    "1.5",
    "1e999",
    "5m",
    "0s",
    "64KiB",
    "1PiB",
    "auto",
    "off",
    "random",
    "~",
    "null",
    "true",
    "[]",
    "{}",
    "[1, a]",
  ],
  ...[
    "a",
    "b",
    "GET",
    "get",
    '"*"',
    '"x:1"',
    '"[::1]:0"',
    "unix:/a",
    "10.0.0.0/7",
    "/a/*",
    "~(",
    "~/a|b",
    "*a",
    "!t x",
    "{ a: 1 }",
  ],
  ...[
    "listeners",
    "clusters",
    "weight",
    "idle",
    "404",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    '"\\ud800"',
    "<<",
  ],
];

function mutated(text: string, random: Random): string {
  return random.below(2) === 0 ? withOtherWord(text, random) : withOtherBytes(text, random);
}

function withOtherWord(text: string, random: Random): string {
  const words = [...text.matchAll(/"[^"]*"|[\w./~*%-]+/g)];
  const { 0: word, index } = words[random.below(words.length)]!;
  return text.slice(0, index) + WORDS[random.below(WORDS.length)]! + text.slice(index + word.length);
}

function withOtherBytes(text: string, random: Random): string {
  let out = text;
  for (let edits = random.between(1, 3); edits > 0; edits--) {
    const at = random.below(out.length + 1);
    const length = random.below(3) === 0 ? random.below(40) : random.below(3);
    const from = random.below(out.length + 1);
    const piece = random.below(3) === 0
      ? out.slice(from, from + random.below(60))
      : PIECES[random.below(PIECES.length)]!;
    out = out.slice(0, at) + piece + out.slice(at + length);
  }
  return out;
}

Deno.test("loadState() survives mutated files", () => {
  let accepted = 0;
  for (let seed = 0; seed < ROUNDS; seed++) {
    const text = mutated(FILES[seed % FILES.length]!, createRandom(seed));
    try {
      const { state, errors } = loadState(text, "f");
      if (state) accepted++, checkState(state, text);
      else checkErrors(errors, text.split("\n").length);
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(text)}`, { cause: error });
    }
  }
  assert(accepted > ROUNDS / 50 && accepted < ROUNDS / 2, `${accepted} of ${ROUNDS} were accepted`);
});

const SCHEMA = z.fromJSONSchema(JSON.parse(JSON.stringify(jsonSchema())));

function checkState(state: State, text: string): void {
  state.routes.forEach(canonicalRule);
  const { error } = SCHEMA.safeParse(parse(text, { merge: true, schema: "core", logLevel: "error" }));
  assert(!error, error?.message);
}

function checkErrors(errors: NonNullable<ReturnType<typeof loadState>["errors"]>, lines: number): void {
  assert(errors.length > 0);
  for (const { line, column, expected, got } of errors) {
    assert(line >= 0 && line <= lines && column >= 0 && expected !== "" && got !== "", formatErrors(errors));
  }
}
