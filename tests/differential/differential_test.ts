// Our codec beside two independent readers: llhttp as it comes, and node's parser. What they make of the bytes of all
// vectors and of many mutants must be the same, but for the list in DIFFERENCES.md; and what one of them refuses, ours may
// not accept, but for the single case that stands there. KAKEHI_DIFFERENTIAL_CASES=COUNT sets the number of mutants.

import { assert, assertEquals, AssertionError } from "../support/assert.ts";
import { concat, fromText, show, toText } from "../support/bytes.ts";
import { CodecDriver } from "../support/codec.ts";
import { createRandom } from "../support/random.ts";
import { requireTools } from "../support/require_tool.ts";
import { loadVectors, toBytes } from "../support/vectors.ts";
import { Mutant } from "../fuzz/mutant.ts";
import * as differences from "./differences.ts";
import { type Case, Node } from "./node.ts";
import { type Reading, readOurs, type Side } from "./reading.ts";
import { Stock } from "./stock.ts";

const MUTANTS = Number(Deno.env.get("KAKEHI_DIFFERENTIAL_CASES") ?? 110_000);
/** Longer ones repeat one thing many times: node need not read them all. */
const NODE_BYTES_MAX = 4096;
const BATCH = 2000;
const SHOWN_MAX = 10;
const SIDES: readonly Side[] = ["request", "request", "response", "response to HEAD", "response to upgrade"];

const driver = new CodecDriver({
  bufferBytes: differences.HEADER_BYTES_MAX + 32768,
  headersMax: differences.HEADERS_MAX,
  headerBytesMax: differences.HEADER_BYTES_MAX,
  targetBytesMax: differences.HEADER_BYTES_MAX,
});

function vectorCases(): Case[] {
  const context = { port: 8080 };
  const cases: Case[] = [];
  for (const { vectors } of [...loadVectors("request_"), ...loadVectors("response_")]) {
    for (const { input, answers } of vectors) {
      cases.push({ side: "request", input: toBytes(input, context) });
      for (const { text } of answers) {
        for (const side of SIDES.slice(2)) cases.push({ side, input: toBytes(text, context) });
      }
    }
  }
  return cases.filter(({ input }) => input.length < 60_000);
}

const mutant = new Mutant();

function mutantCase(number: number): Case {
  const random = createRandom(0x5eed_0000 + number);
  const side = SIDES[random.below(SIDES.length)]!;
  mutant.make(side === "request" ? "request" : "response", random);
  return { side, input: mutant.view().slice() };
}

// ---- comparing ----

class Comparison {
  readonly seen = new Set<string>();
  readonly faults: string[] = [];

  constructor(readonly name: string, private readonly stock: Stock) {}

  /** Notes a difference that is listed, or a fault. */
  compare(item: Case, ours: Reading, other: Reading): void {
    const explained = this.#explain(item, ours, other);
    if (explained === undefined) return;
    for (const name of explained) this.seen.add(name);
    if (explained.length > 0 || this.faults.length >= SHOWN_MAX) return;
    const words = (reading: Reading) => `${reading.verdict} ${reading.reason}`;
    this.faults.push(
      `${item.side}: ours ${words(ours)}, ${this.name} ${words(other)}\n  ours ${JSON.stringify(ours)}\n` +
        `  ${this.name} ${JSON.stringify(other)}\n    ${show(item.input, 1500)}`,
    );
  }

  /** The listed differences that explain these readings; empty: none does; undefined: they do not differ. */
  #explain(item: Case, ours: Reading, other: Reading): string[] | undefined {
    if (ours.verdict === "refused") {
      if (other.verdict === "refused") return undefined;
      // node may have an older llhttp: what the one that we build on refuses, ours refuses with it
      if (this.name === "node" && this.stock.read(item.side, item.input).verdict === "refused") return undefined;
      return differences.explain(item.input, other);
    }
    if (isInterim(ours) && item.side !== "request") return isSame(ours, other) ? undefined : [differences.INTERIM_BODY];
    if (other.verdict === "refused") return this.#explainAccepted(item, ours);
    return isSame(ours, other) ? undefined : [];
  }

  /** Ours has not refused what the other one has. */
  #explainAccepted({ side, input }: Case, ours: Reading): string[] {
    const text = toText(input);
    if (!ours.hasHead && /^(?:\r\n)?[A-Za-z0-9!#$%&'*+.^_`|~-]{0,63}$/.test(text)) return [differences.METHOD_END];
    if (/\r\ncontent-length:/i.test(text) && /\r\ntransfer-encoding:/i.test(text) && !ours.hasHead) {
      const later = readOurs(driver, side, concat([input, fromText("\r\n\r\n")]));
      return later.verdict === "refused" ? [differences.REFUSED_LATER] : [];
    }
    const single = this.stock.read(side, fromText(withoutRepeatedLengths(text)));
    const lengths = differences.valuesOf(ours.fields, "content-length");
    const merged = new Set(lengths.map(Number)).size <= 1 && single.verdict === ours.verdict &&
      single.hasHead === ours.hasHead && single.body === ours.body;
    return merged && single.verdict !== "refused" ? [differences.EQUAL_LENGTHS] : [];
  }
}

/** 100 and 101 are known to all. */
function isInterim({ status }: Reading): boolean {
  return status > 101 && status < 200;
}

/** The text with the first of its Content-Length fields only. */
function withoutRepeatedLengths(text: string): string {
  const end = text.indexOf("\r\n\r\n") < 0 ? text.length : text.indexOf("\r\n\r\n") + 2;
  let count = 0;
  const head = text.slice(0, end).replaceAll(
    /\r\ncontent-length:[^\r\n]*(?=\r\n|\r?$)/gi,
    (line) => count++ ? "" : line,
  );
  return head + text.slice(end);
}

function isSame(ours: Reading, other: Reading): boolean {
  if (ours.verdict !== other.verdict || ours.hasHead !== other.hasHead) return false;
  if (!ours.hasHead) return true;
  const target = ours.target === "" || ours.target === other.target || /^https?:\/\//i.test(other.target);
  const method = other.method === "" || ours.method === other.method;
  return target && method && ours.version === other.version && ours.status === other.status &&
    ours.body === other.body && isSameFields(ours, other);
}

function isSameFields(ours: Reading, other: Reading): boolean {
  return ours.fields.length === other.fields.length &&
    ours.fields.every(([name, value], index) => {
      const [otherName, otherValue] = other.fields[index]!;
      return name === otherName && value === otherValue;
    });
}

function report({ faults }: Comparison): void {
  if (faults.length > 0) throw new AssertionError(`not explained by DIFFERENCES.md:\n${faults.join("\n")}`);
}

// ---- tests ----

function* allCases(): Generator<Case> {
  yield* vectorCases();
  for (let number = 0; number < MUTANTS; number++) yield mutantCase(number);
}

Deno.test("codec reads as llhttp does, but for the listed differences", async (test) => {
  const comparison = new Comparison("llhttp", await Stock.load());
  const stock = await Stock.load();
  let count = 0;
  for (const item of allCases()) {
    comparison.compare(item, readOurs(driver, item.side, item.input), stock.read(item.side, item.input));
    count++;
  }
  report(comparison);
  await test.step("every listed difference was met", () => {
    const listed = [...differences.DIFFERENCES.map(({ name }) => name), ...differences.OTHER_DIFFERENCES];
    assertEquals([...comparison.seen].sort(), listed.sort());
  });
  assert(count > MUTANTS + 1000, `only ${count} cases`);
});

Deno.test({
  name: "codec reads as node's parser does, but for the listed differences",
  ignore: requireTools("node"),
  async fn() {
    const comparison = new Comparison("node", await Stock.load());
    await using node = new Node();
    let batch: Case[] = [];
    const flush = async () => {
      const readings = await node.read(batch);
      readings.forEach((other, index) => {
        const item = batch[index]!;
        comparison.compare(item, readOurs(driver, item.side, item.input), other);
      });
      batch = [];
    };
    for (const item of allCases()) {
      if (item.input.length > NODE_BYTES_MAX) continue;
      batch.push(item);
      if (batch.length === BATCH) await flush();
    }
    await flush();
    report(comparison);
  },
});

Deno.test("DIFFERENCES.md has an entry for each difference, with a section of an RFC", () => {
  const text = Deno.readTextFileSync(new URL("DIFFERENCES.md", import.meta.url));
  const entries = text.split("\n## ").slice(1).map((entry) => entry.split("\n\n"));
  const listed = [...differences.DIFFERENCES.map(({ name }) => name), ...differences.OTHER_DIFFERENCES];
  assertEquals(entries.map(([name]) => name), listed);
  for (const [name, words] of entries) assert(/RFC \d+ §/.test(words!), `"${name}" names no section of an RFC`);
});
