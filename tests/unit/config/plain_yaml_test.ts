// The reader of plain YAML beside the parser of all of it: what the one takes, the other takes, as the same value. What it
// leaves to the other is not tested but for the forms that it must read itself, since large files are written in them.

import { platformText } from "../../../benches/platform.ts";
import { readPlainYaml } from "../../../src/ts/config/plain_yaml.ts";
import { Source } from "../../../src/ts/config/source.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";

const ROUNDS = Number(Deno.env.get("KAKEHI_YAML_ROUNDS") ?? 20_000);
const FIRST_SEED = Number(Deno.env.get("KAKEHI_YAML_SEED") ?? 0);
const FIXTURES = new URL("../../fixtures/config/", import.meta.url);

const FORMS: [name: string, text: string, value: unknown][] = [
  ["comments and blank lines", "# one\n\na: 1 # two\n  # three\n\n# four\nb: x#y # z\n", { a: 1, b: "x#y" }],
  ["lists under a key, indented or not", "a:\n- 1\n- 2\nb:\n  - 3\n  -\n    4\nc:\n", {
    a: [1, 2],
    b: [3, 4],
    c: null,
  }],
  ["maps in lists", "a:\n  - b: 1\n    c:\n      d: 2\n  - - 3\n    - e: 4\n", {
    a: [{ b: 1, c: { d: 2 } }, [3, { e: 4 }]],
  }],
  ["flow on a line", 'a: { b: [1, x y, "z"], "c":2, d: {} }\n', { a: { b: [1, "x y", "z"], c: 2, d: {} } }],
  ["flow over lines", "a: [\n  1, # one\n  { b: 2,\n    c: 3 },\n  ]\n", { a: [1, { b: 2, c: 3 }] }],
  ["JSON", '{\n  "a": [true, null, -1, "\\u00e9\\n"],\n  "b": {}\n}', { a: [true, null, -1, "é\n"], b: {} }],
  ["literal texts", "a:\n  b: |\n    x: y\n\n      # z\n    -\n\n  c: |-\n   x\n# end\n", {
    a: { b: "x: y\n\n  # z\n-\n", c: "x" },
  }],
  ["quotes", `'it''s': "a: \\"b\\""\n"c d" : 'x # y'\n`, { "it's": 'a: "b"', "c d": "x # y" }],
  ["scalars", "a: 007\nb: -5\nc: 10.0.0.1:80\nd: +3\ne: True\nf: ~\ng: 5m\nh: 1-2\n404: x\n", {
    "404": "x",
    a: 7,
    b: -5,
    c: "10.0.0.1:80",
    d: 3,
    e: true,
    f: null,
    g: "5m",
    h: "1-2",
  }],
  ["addresses and paths", "a: /x/*\nb: unix:/run/a.sock\nc: [~/v[0-9]+]\n".replace("[~/v[0-9]+]", '"~/v[0-9]+"'), {
    a: "/x/*",
    b: "unix:/run/a.sock",
    c: "~/v[0-9]+",
  }],
];

for (const [name, text, value] of FORMS) {
  Deno.test(`readPlainYaml() reads ${name}`, () => {
    const source = new Source(text, "f");
    assertEquals(source.errors, []);
    assertEquals(JSON.stringify(readPlainYaml(text, 1_000)), JSON.stringify(value));
    assertEquals(JSON.stringify(source.value), JSON.stringify(value));
  });
}

Deno.test("readPlainYaml() reads the files of a platform, in every style", () => {
  for (const style of ["flow", "block", "json"] as const) {
    const text = platformText({
      clusters: 20,
      routesPerCluster: 12,
      style,
      settings: { workers: 2, answers: { 404: "x\n" } },
    });
    const value = readPlainYaml(text, 100_000);
    assert(value, style);
    assertEquals(JSON.stringify(value), JSON.stringify(new Source(text, "f").value));
    assertEquals(readPlainYaml(text, 1_000), undefined, "more values than are allowed");
  }
});

Deno.test("readPlainYaml() leaves what is wrong or unusual to the whole parser", () => {
  const texts = [
    "a: 1\na: 2\n",
    "a: &x 1\nb: *x\n",
    "<<: { a: 1 }\n",
    "a: |\n\n  x\n",
    "a: |+\n  x\n",
    "a: >\n  x\n",
    "a: |\n  x",
    "a: b: c\n",
    "a: 1\n b: 2\n",
    "a: x\n  y\n",
    "a: [1, 2\nb: 3\n",
    "a: [1,\n2]\n",
    "- a\n",
    "a: 1\n---\nb: 2\n",
    "a:\t1\n",
    "a: 1.5\n",
    "a: 0x1F\n",
    "~: 1\n",
    "__proto__: 1\n",
    "a: {b}\n",
    "a: [b: c]\n",
    "a: 'x\n  y'\n",
    "a: !t x\n",
    "%YAML 1.2\n---\na: 1\n",
    `${"k".repeat(1100)}: 1\n`,
    `a: ${"[".repeat(50)}${"]".repeat(50)}\n`,
  ];
  for (const text of texts) assertEquals(readPlainYaml(text, 1_000), undefined, text);
});

// ---- random texts ----

const PIECES = [
  "",
  " ",
  "  ",
  "\n",
  "\n  ",
  "\n    ",
  "\n- ",
  "\n  - ",
  ":",
  ": ",
  ":\n",
  "- ",
  "-",
  "? ",
  "#",
  " # c",
  ",",
  ", ",
]
  .concat([
    "[",
    "]",
    "{",
    "}",
    "[]",
    "{}",
    "&a ",
    "*a",
    "<<: ",
    "!",
    '"',
    "'",
    "''",
    "\\",
    '\\"',
    "|",
    ">",
    "%",
    "@",
    "`",
    "~",
  ])
  .concat([
    "null",
    "True",
    "no",
    ".inf",
    ".5",
    "0x1F",
    "0o7",
    "1e3",
    "-0",
    "+1",
    "1_0",
    "---\n",
    "...",
    "%YAML 1.1\n",
    "=",
    "é",
  ])
  .concat([
    "__proto__: ",
    "\u{FEFF}",
    "\ud800",
    "\u{1F600}",
    "\r\n",
    "\t",
    "\x85",
    "\u2028",
    "a: ",
    "b",
    "k: v",
    "'s'",
    '"d"',
    "0",
  ]);

const WORDS = [
  "a",
  "b c",
  "404",
  "007",
  "1.0",
  "-1",
  "~",
  "null",
  "true",
  '"q"',
  "'q'",
  '"\\u0041"',
  "x:y",
  "x#y",
  "/p/*",
  "-x",
];

Deno.test("what readPlainYaml() takes is what the whole parser makes of it", () => {
  const texts = [...Deno.readDirSync(FIXTURES)].map(({ name }) =>
    Deno.readTextFileSync(new URL(`${name}/input.yaml`, FIXTURES))
  )
    .concat(FORMS.map(([, text]) => text), platformText({ clusters: 2, routesPerCluster: 3, style: "block" }))
    .concat(
      platformText({ clusters: 2, routesPerCluster: 3 }),
      platformText({ clusters: 1, routesPerCluster: 2, style: "json" }),
    );
  let taken = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + ROUNDS; seed++) {
    const random = createRandom(seed);
    const text = seed % 3 === 0 ? randomText(random) : mutated(texts[seed % texts.length]!, random);
    const value = readPlainYaml(text, 10_000);
    if (value === undefined) continue;
    taken++;
    const source = new Source(text, "f");
    assertEquals(source.errors, [], `seed ${seed}: ${JSON.stringify(text)}`);
    assertEquals(JSON.stringify(value), JSON.stringify(source.value), `seed ${seed}: ${JSON.stringify(text)}`);
  }
  assert(taken > ROUNDS / 20 && taken < ROUNDS / 2, `${taken} of ${ROUNDS} were taken`);
});

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.below(from.length)]!;
}

function mutated(text: string, random: Random): string {
  let out = text;
  for (let edits = random.between(1, 3); edits > 0; edits--) {
    const at = random.below(out.length + 1);
    const length = random.below(4) === 0 ? random.below(30) : random.below(3);
    const from = random.below(out.length + 1);
    const piece = random.below(4) === 0 ? out.slice(from, from + random.below(60)) : pick(random, PIECES);
    out = out.slice(0, at) + piece + out.slice(at + length);
  }
  return out;
}

/** Lines at random indentations, of words and marks in an order that is often right. */
function randomText(random: Random): string {
  let text = "";
  for (let lines = random.between(1, 7); lines > 0; lines--) {
    text += " ".repeat(2 * random.below(3)) + pick(random, ["", "", "- ", "- - "]);
    if (random.below(4) > 0) text += pick(random, WORDS) + pick(random, [":", ": ", " : ", ":"]);
    text += pick(
      random,
      ["", () => pick(random, WORDS), () => flowText(random, 2), " # c", " |\n      x\n", () => pick(random, PIECES)]
        .map(
          (piece) => typeof piece === "string" ? piece : ` ${piece()}`,
        ),
    );
    text += pick(random, ["\n", "\n", "\n", "\n\n", " \n", " # c\n", ""]);
  }
  return text;
}

function flowText(random: Random, depth: number): string {
  const value = () =>
    depth > 0 && random.below(3) === 0 ? flowText(random, depth - 1) : pick(random, [...WORDS, ...WORDS, ""]);
  const space = () => pick(random, ["", "", " ", " ", "\n", "\n   ", " # c\n     "]);
  const isMap = random.below(2) === 0;
  const entries = Array.from({ length: random.below(4) }, () => {
    return space() + (isMap ? pick(random, WORDS) + pick(random, [": ", ":", ": ", " : ", ":\n      "]) : "") +
      value() + space();
  });
  return (isMap ? "{" : "[") + entries.join(",") + pick(random, ["", "", "", ","]) + (isMap ? "}" : "]");
}
