// Stories decoded, and encoded: what an independent decoder (npm's hpack.js) makes of our blocks must be what went in.

import hpackJs from "hpack.js";
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "../../support/assert.ts";
import { Decoder, Encoder, type Field, fromHex, Hpack } from "../../support/hpack.ts";
import { ENCODERS, hasCollection, loadStories, RAW, type Story } from "../../support/stories.ts";

function decodeStory({ name, cases }: Story): void {
  const hpack = new Hpack();
  const decoder = new Decoder(hpack);
  for (const [index, { fields, wire, tableSize }] of cases.entries()) {
    if (tableSize !== undefined) hpack.exports.allowSize(decoder.table, tableSize);
    const list = decoder.decode(fromHex(wire)).map(({ name, value }) => ({ name, value }));
    assertEquals(list, fields, `${name}, case ${index}`);
  }
  hpack.checkCanaries();
}

/** Bytes of the blocks. */
function encodeStory({ name, cases }: Story, tableSize: number): number {
  const hpack = new Hpack();
  const encoder = new Encoder(hpack, tableSize);
  hpack.exports.allowSize(encoder.table, tableSize);
  const other = hpackJs.decompressor.create({ table: { maxSize: 4096 } });
  let bytes = 0;
  for (const [index, { fields }] of cases.entries()) {
    const block = Buffer.from(encoder.encode(fields));
    bytes += block.length;
    other.write(block);
    other.execute();
    const list: Field[] = [];
    for (let field = other.read(); field; field = other.read()) list.push({ name: field.name, value: field.value });
    assertEquals(list, fields, `${name}, case ${index}`);
  }
  hpack.checkCanaries();
  return bytes;
}

/** Bytes that our encoder and another one make of the same stories. */
function compare(from: "collection" | "fixtures"): { ours: number; theirs: number } {
  const theirs = loadStories("nghttp2", from).flatMap(({ cases }) => cases);
  return {
    ours: loadStories(RAW, from).reduce((sum, story) => sum + encodeStory(story, 4096), 0),
    theirs: theirs.reduce((sum, { wire }) => sum + wire.length / 2, 0),
  };
}

/** The collection is no part of the project: where it is absent, its tests are left out, and the two stories stand for it. */
const isComplete = hasCollection();

for (const encoder of ENCODERS) {
  Deno.test(`stories: two by ${encoder} are decoded`, () => loadStories(encoder, "fixtures").forEach(decodeStory));
  if (!isComplete) continue;
  Deno.test(`stories: the whole collection by ${encoder} is decoded`, () => {
    loadStories(encoder, "collection").forEach(decodeStory);
  });
}

Deno.test("stories: two are encoded, no longer than nghttp2 does, and hpack.js reads them", () => {
  const { ours, theirs } = compare("fixtures");
  assert(ours <= theirs * 1.02, `${ours} bytes, nghttp2 ${theirs}`);
});

if (isComplete) {
  Deno.test("stories: the whole collection is encoded, shorter than nghttp2 does, and hpack.js reads it", () => {
    const { ours, theirs } = compare("collection");
    console.log(`${ours} bytes, nghttp2 ${theirs}: ${(ours / theirs).toFixed(4)}`);
    assert(ours < theirs, `${ours} bytes, nghttp2 ${theirs}`);
  });
}

Deno.test("stories: encoded with tables of all sizes", () => {
  for (const story of loadStories(RAW, "fixtures")) {
    for (const size of [0, 32, 64, 96, 224, 512, 1024, 2048]) encodeStory(story, size);
  }
});
