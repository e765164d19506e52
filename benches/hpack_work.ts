// What hpack_bench.ts measures: stories of requests and responses, decoded and encoded by ours and by npm's hpack.js. Every
// step goes through whole stories, each on a table of its own, and returns a number that says whether it did its work.
// Ours includes the way from JavaScript into the module: once a block to decode, once a field to encode.

import hpackJs from "hpack.js";
import { Buffer } from "node:buffer";
import { Encoder, fromHex, Hpack, toHex } from "../tests/support/hpack.ts";
import { loadStories, RAW, type Story } from "../tests/support/stories.ts";

export interface HpackWork {
  group: string;
  name: string;
  run(): number;
  /** What run() returns when it works. */
  expected: number;
  /** Fields that one run() goes through. */
  fields: number;
}

const CAPACITY = 4096;
const BOUND = 1 << 20;

/** A text or block in the module's memory. */
interface Place {
  at: number;
  length: number;
}

function placeBytes(hpack: Hpack, bytes: Uint8Array): Place {
  const { at } = hpack.place(bytes.length);
  hpack.u8.set(bytes, at);
  return { at, length: bytes.length };
}

function countOf(stories: readonly Story[]): number {
  return stories.reduce((sum, { cases }) => sum + cases.reduce((all, { fields }) => all + fields.length, 0), 0);
}

function decodeOurs(stories: readonly Story[]): () => number {
  const hpack = new Hpack();
  const { exports } = hpack;
  const blocks = stories.map(({ cases }) => cases.map(({ wire }) => placeBytes(hpack, fromHex(wire))));
  const table = hpack.place(exports.tableBytes(CAPACITY)).at;
  const entries = hpack.place(256 * 16).at;
  const bytes = hpack.place(65536).at;
  const scratch = hpack.place(CAPACITY).at;
  return () => {
    let count = 0;
    exports.decodeInto(entries, 256, bytes, 65536, scratch);
    for (const story of blocks) {
      exports.beginTable(table, CAPACITY);
      for (const { at, length } of story) {
        if (exports.decodeBlock(table, at, length, BOUND, BOUND) === 0) count += exports.listCount.value;
      }
    }
    return count;
  };
}

function decodeTheirs(stories: readonly Story[]): () => number {
  const blocks = stories.map(({ cases }) => cases.map(({ wire }) => Buffer.from(wire, "hex")));
  return () => {
    let count = 0;
    for (const story of blocks) {
      const decompressor = hpackJs.decompressor.create({ table: { maxSize: CAPACITY } });
      for (const block of story) {
        decompressor.write(block);
        decompressor.execute();
        while (decompressor.read()) count++;
      }
    }
    return count;
  };
}

function encodeOurs(stories: readonly Story[]): () => number {
  const hpack = new Hpack();
  const { exports } = hpack;
  const encoder = new TextEncoder();
  const place = (text: string) => placeBytes(hpack, encoder.encode(text));
  const lists = stories.map(({ cases }) =>
    cases.map(({ fields }) => fields.map(({ name, value }) => ({ name: place(name), value: place(value) })))
  );
  const table = hpack.place(exports.encoderTableBytes(CAPACITY)).at;
  const out = hpack.place(65536).at;
  return () => {
    let bytes = 0;
    for (const story of lists) {
      exports.beginEncoderTable(table, CAPACITY);
      for (const fields of story) {
        let to = exports.beginBlock(table, out);
        for (const { name, value } of fields) {
          to = exports.encodeField(table, to, name.at, name.length, value.at, value.length, 0);
        }
        bytes += to - out;
      }
    }
    return bytes;
  };
}

function encodeTheirs(stories: readonly Story[]): () => number {
  const lists = stories.map(({ cases }) =>
    cases.map(({ fields }) =>
      fields.map(({ name, value }) => ({ name, value, huffman: true, incremental: true, neverIndex: false }))
    )
  );
  return () => {
    let bytes = 0;
    for (const story of lists) {
      const compressor = hpackJs.compressor.create({ table: { maxSize: CAPACITY } });
      for (const fields of story) {
        compressor.write(fields);
        bytes += compressor.read().length;
      }
    }
    return bytes;
  };
}

/** What the encoder makes of the stories, in bytes. */
function encodedBytes(stories: readonly Story[]): number {
  let bytes = 0;
  for (const { cases } of stories) {
    const encoder = new Encoder(new Hpack(), CAPACITY);
    for (const { fields } of cases) bytes += encoder.encode(fields).length;
  }
  return bytes;
}

const REPEATS = 100;

/** The last list of a story over and over on one connection: what a table makes of it, once it has all. */
function repeated({ name, cases }: Story): Story {
  const encoder = new Encoder(new Hpack(), CAPACITY);
  const { fields } = cases.at(-1)!;
  const again = Array.from({ length: REPEATS }, () => ({
    fields,
    wire: toHex(encoder.encode(fields)),
    tableSize: undefined,
  }));
  return { name, cases: again };
}

/** All steps, over the stories among the fixtures, or over some of the whole collection. */
export function makeHpackWork(from: "collection" | "fixtures", numbers: readonly string[] = ["02", "09"]): HpackWork[] {
  const chosen = (encoder: string) =>
    loadStories(encoder, from).filter(({ name }) => numbers.some((number) => name.endsWith(`_${number}.json`)));
  const raw = chosen(RAW);
  const wire = chosen("nghttp2");
  const fields = countOf(raw);
  const theirBytes = encodeTheirs(raw)();
  const again = raw.map(repeated);
  const sameFields = countOf(again);
  const same = `${sameFields} fields, the same ones each time`;
  const of = `${fields} fields of stories ${numbers.join(", ")}`;
  return [
    { group: "decode", name: `ours, ${of}`, run: decodeOurs(wire), expected: fields, fields },
    { group: "decode", name: `hpack.js, ${of}`, run: decodeTheirs(wire), expected: fields, fields },
    { group: "decode again", name: `ours, ${same}`, run: decodeOurs(again), expected: sameFields, fields: sameFields },
    { group: "encode", name: `ours, ${of}`, run: encodeOurs(raw), expected: encodedBytes(raw), fields },
    { group: "encode", name: `hpack.js, ${of}`, run: encodeTheirs(raw), expected: theirBytes, fields },
    {
      group: "encode again",
      name: `ours, ${same}`,
      run: encodeOurs(again),
      expected: encodedBytes(again),
      fields: sameFields,
    },
  ];
}
