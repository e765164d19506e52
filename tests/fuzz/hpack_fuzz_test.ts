// Header blocks of every form, half of them spoilt, one after the other on connections that last: our decoder and the plain
// one in hpack_reference.ts must say the same of each, fault by fault, and their tables must be the same. A connection
// is made from its number alone: KAKEHI_FUZZ_CASE=NUMBER runs that one, KAKEHI_FUZZ_CASES=COUNT as many blocks as wanted.

import { assertEquals, AssertionError } from "../support/assert.ts";
import { Decoder, type DecoderOptions, Hpack, NEVER_INDEXED, toHex } from "../support/hpack.ts";
import { BlockMaker, mutate } from "../support/hpack_blocks.ts";
import {
  type Fault,
  ReferenceDecoder,
  ReferenceError,
  type ReferenceField,
  sizeOf,
} from "../support/hpack_reference.ts";
import { createRandom, type Random } from "../support/random.ts";

const CASES = Number(Deno.env.get("KAKEHI_FUZZ_CASES") ?? 100_000);
const ONLY = Deno.env.get("KAKEHI_FUZZ_CASE");
const BLOCKS_MAX = 12;

/** Wide bounds; bounds that many lists go beyond; and little room. */
const OPTIONS: readonly DecoderOptions[] = [
  {},
  { sizeMax: 600, sizeHardMax: 1 << 20 },
  { room: 200, entriesMax: 4, sizeHardMax: 1 << 20 },
  { capacity: 65536, sizeMax: 900, sizeHardMax: 2000 },
];

interface Bench {
  hpack: Hpack;
  decoder: Decoder;
  options: DecoderOptions;
  faults: Map<number, Fault>;
}

function makeBench(options: DecoderOptions): Bench {
  const hpack = new Hpack();
  const { exports } = hpack;
  const faults = new Map<number, Fault>();
  const names: Fault[] = [
    "BLOCK_CUT",
    "NUMBER_TOO_LARGE",
    "INDEX_UNKNOWN",
    "STRING_BAD",
    "SIZE_LATE",
    "SIZE_TOO_LARGE",
    "SIZE_MISSING",
  ];
  for (const name of names) faults.set(exports[name].value, name);
  return { hpack, decoder: new Decoder(hpack, options), options, faults };
}

const benches = OPTIONS.map(makeBench);
const seen = new Map<string, number>();

function checkList(bench: Bench, fields: readonly ReferenceField[], code: number): void {
  const { decoder, hpack, options } = bench;
  const list = decoder.list().map(({ name, value, flags }) => ({ name, value, never: (flags & NEVER_INDEXED) !== 0 }));
  assertEquals(list, fields.slice(0, list.length), "the fields");
  const size = fields.reduce((sum, field) => sum + sizeOf(field), 0);
  assertEquals(hpack.exports.listSize.value, size, "the size of the list");
  const { entriesMax = 2000, sizeMax = 1 << 17 } = options;
  if (code === 0) assertEquals(list.length, fields.length);
  if (size > sizeMax || fields.length > entriesMax) assertEquals(code, 1, "too large");
}

/** One block; whether the connection goes on. */
function runBlock(bench: Bench, reference: ReferenceDecoder, block: Uint8Array): boolean {
  const code = bench.decoder.run(block);
  const { exports } = bench.hpack;
  const word = bench.faults.get(code) ?? String(code);
  seen.set(word, (seen.get(word) ?? 0) + 1);
  let fields: ReferenceField[];
  try {
    fields = reference.decode(block);
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    // beyond the hard bound nothing is looked at any more
    if (code !== exports.LIST_FAR_TOO_LARGE.value) assertEquals(word, error.fault);
    return false;
  }
  if (code === exports.LIST_FAR_TOO_LARGE.value) {
    const size = fields.reduce((sum, field) => sum + sizeOf(field), 0);
    assertEquals(size > bench.options.sizeHardMax!, true, "refused below the hard bound");
    return false;
  }
  assertEquals(code === 0 || code === 1, true, `decodeBlock() gave ${word}, the reference no fault`);
  checkList(bench, fields, code);
  const { size, sizeMax, table } = reference;
  assertEquals(bench.decoder.state(), { size, sizeMax, count: table.length }, "the table");
  return true;
}

function changeSettings(bench: Bench, reference: ReferenceDecoder, maker: BlockMaker, random: Random): void {
  const size = random.below(3) === 0 ? random.below(300) : random.below(4097);
  bench.hpack.exports.allowSize(bench.decoder.table, size);
  reference.allow(size);
  maker.allowed = size;
  maker.least = Math.min(maker.least, size);
}

/** Blocks of connection `number`; how many. */
function runConnection(number: number): number {
  const random = createRandom(number);
  const bench = benches[random.below(benches.length)]!;
  const reference = new ReferenceDecoder();
  const maker = new BlockMaker(random, random.below(3) === 0 ? 200 : 40);
  bench.decoder.restart();
  for (let blocks = 1; blocks <= BLOCKS_MAX; blocks++) {
    if (random.below(10) === 0) changeSettings(bench, reference, maker, random);
    const { bytes } = maker.make();
    if (random.below(2) === 0) mutate(bytes, random);
    const block = Uint8Array.from(bytes);
    try {
      if (!runBlock(bench, reference, block)) return blocks;
      bench.hpack.checkCanaries();
    } catch (error) {
      throw new AssertionError(`connection ${number}, block ${blocks}, ${toHex(block)}: ${error}`);
    }
    // a spoilt block may have moved the tables away from the maker's
    maker.table = reference.table.map(({ name, value }) => ({ name, value }));
    maker.size = reference.size;
    maker.sizeMax = reference.sizeMax;
  }
  return BLOCKS_MAX;
}

Deno.test("hpack: header blocks of every form, whole and spoilt, mean the same to a second decoder", () => {
  if (ONLY !== undefined) return void runConnection(Number(ONLY));
  let number = 0;
  for (let blocks = 0; blocks < CASES; number++) blocks += runConnection(number);
  console.log(`${number} connections: ${[...seen].sort().map(([code, count]) => `${code} ${count}`).join(", ")}`);
  if (CASES >= 10_000) assertEquals(seen.size, 2 + 7 + 1, "every verdict has been given");
});
