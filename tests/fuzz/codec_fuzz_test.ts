// A million mutated requests and responses through the codec: none may trap, touch memory that is not its own, or be
// accepted and then break what invariants.ts says. Each case is made from its number alone, so a failure names it:
// KAKEHI_FUZZ_CASE=NUMBER runs that one, KAKEHI_FUZZ_CASES=COUNT as many as wanted, KAKEHI_FUZZ_FROM=NUMBER from there.

import * as abi from "../../assembly/abi.ts";
import type { CoreLimits } from "../../src/wasm/core.ts";
import { AssertionError } from "../support/assert.ts";
import { show } from "../support/bytes.ts";
import { CodecDriver, type ResponseOptions } from "../support/codec.ts";
import { createRandom } from "../support/random.ts";
import { Canaries } from "./canaries.ts";
import { checkRequest, checkResponse, checkSame } from "./invariants.ts";
import { makeCuts, Mutant, type Side } from "./mutant.ts";

const CASES = Number(Deno.env.get("KAKEHI_FUZZ_CASES") ?? 1_000_000);
const FIRST = Number(Deno.env.get("KAKEHI_FUZZ_FROM") ?? 0);
const ONLY = Deno.env.get("KAKEHI_FUZZ_CASE");
/** Canaries are looked at after so many cases; when one is dead, the cases are run again one by one. */
const BLOCK = 2000;

/** The usual limits; small ones, which many mutants meet; and the widest that the configuration allows. */
const LIMITS: readonly Partial<CoreLimits>[] = [
  {},
  { bufferBytes: 4096, headersMax: 16, headerBytesMax: 640, targetBytesMax: 128 },
  { bufferBytes: 65536, headersMax: 1000, headerBytesMax: 49152, targetBytesMax: 49152 },
  { bufferBytes: 65536, headersMax: 1000, headerBytesMax: 1024, targetBytesMax: 1024 },
];

const WHOLE: readonly number[] = [];

interface Bench {
  driver: CodecDriver;
  canaries: Canaries;
  /** Of the same limits; it is given whole what the other gets in pieces. */
  twin: CodecDriver;
}

function makeBenches(): Bench[] {
  return LIMITS.map((limits) => {
    const driver = new CodecDriver(limits);
    return { driver, canaries: new Canaries(driver), twin: new CodecDriver(limits) };
  });
}

let benches = makeBenches();
const mirror = new CodecDriver({ bufferBytes: 131072, headersMax: 1100, headerBytesMax: 65536, targetBytesMax: 65536 });
const mutant = new Mutant();
const options: ResponseOptions = {};
/** What the request was that a response answers. */
const REQUEST_FLAGS: readonly number[] = [0, 0, abi.F_UPGRADE, abi.F_UPGRADE, abi.F_HEAD, abi.F_CONNECT];

/** How many were accepted, for the test to say that it has tested something. */
const accepted = { request: 0, response: 0 };

function runCase(number: number): Bench {
  const random = createRandom(number);
  const side: Side = random.below(3) === 0 ? "response" : "request";
  const bench = benches[Math.max(0, random.below(8) - 4)]!;
  mutant.make(side, random);
  const input = mutant.view();
  const cuts = makeCuts(input.length, random);
  const { driver } = bench;
  if (side === "request") {
    // a head may begin behind another request in the same buffer, as long as the longest one would fit
    const { bufferBytes, headerBytesMax } = driver.core.limits;
    driver.request(input, cuts, random.below(4) === 0 ? random.below(bufferBytes - headerBytesMax) : 0);
    if (cuts.length > 0) bench.twin.request(input, WHOLE);
    checkRequest(driver, mirror, input);
  } else {
    const bits = random.below(16);
    options.request = REQUEST_FLAGS[random.below(REQUEST_FLAGS.length)]!;
    options.toOld = bits >= 12;
    options.ends = bits >= 6;
    driver.response(input, cuts, options);
    if (cuts.length > 0) bench.twin.response(input, WHOLE, options);
    checkResponse(driver, mirror, input, options);
  }
  if (cuts.length > 0) checkSame(driver, bench.twin);
  if (driver.done) accepted[side]++;
  return bench;
}

function fail(number: number, words: string): never {
  throw new AssertionError(`case ${number}: ${words}\n  input\n    ${show(mutant.view(), 2000)}`);
}

function runChecked(number: number): void {
  let bench: Bench;
  try {
    bench = runCase(number);
  } catch (error) {
    fail(number, error instanceof WebAssembly.RuntimeError ? `a trap: ${error.message}` : String(error));
  }
  const touched = bench.canaries.touched();
  if (touched) fail(number, touched);
}

function runBlock(from: number, to: number): void {
  try {
    for (let number = from; number < to; number++) runCase(number);
    if (benches.every(({ canaries }) => !canaries.touched())) return;
  } catch {
    // run again one by one, which says what was wrong
  }
  benches = makeBenches();
  for (let number = from; number < to; number++) runChecked(number);
  throw new AssertionError(`cases ${from} to ${to}: together they fail, one by one they do not`);
}

Deno.test("codec: a million mutants leave it whole", () => {
  if (ONLY !== undefined) return runChecked(Number(ONLY));
  const last = FIRST + CASES;
  for (let from = FIRST; from < last; from += BLOCK) runBlock(from, Math.min(from + BLOCK, last));
  console.log(`${CASES} cases, whole messages accepted: ${accepted.request} requests, ${accepted.response} responses`);
});
