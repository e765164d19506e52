// What the decoder refuses, how it bounds what it gives, and what it says of each field.

import { assert, assertEquals } from "../../support/assert.ts";
import {
  Decoder,
  type DecoderOptions,
  fromHex,
  Hpack,
  type HpackExports,
  NEVER_INDEXED,
  PSEUDO,
} from "../../support/hpack.ts";
import { encodeHuffman } from "../../support/hpack_reference.ts";

type Result = {
  [K in keyof HpackExports]: HpackExports[K] extends WebAssembly.Global ? K : never;
}[keyof HpackExports];

/** Blocks in hex, that are read one after the other, and what the last one gives; those before it give DECODED. */
const REFUSED: [why: string, blocks: string[], result: Result][] = [
  ["index 0", ["80"], "INDEX_UNKNOWN"],
  ["the first index of an empty dynamic table", ["be"], "INDEX_UNKNOWN"],
  ["one index too far", ["4001610162bebf"], "INDEX_UNKNOWN"],
  ["an index that was evicted by a size update", ["4001610162be", "20be"], "INDEX_UNKNOWN"],
  ["a name's index too far, inserted", ["7f0001"], "INDEX_UNKNOWN"],
  ["a name's index too far, plain", ["0f2f0161"], "INDEX_UNKNOWN"],
  ["a name's index too far, never indexed", ["1f2f0161"], "INDEX_UNKNOWN"],
  ["an index of 2^31", ["ffffffffff07"], "NUMBER_TOO_LARGE"],
  ["an index of six octets", ["ff808080808000"], "NUMBER_TOO_LARGE"],
  ["a length of 2^32", ["007fffffffff0f"], "NUMBER_TOO_LARGE"],
  ["a table size of 2^35", ["3fffffffff7f"], "NUMBER_TOO_LARGE"],
  ["a number without its end", ["ff"], "BLOCK_CUT"],
  ["a size update without its end", ["3f"], "BLOCK_CUT"],
  ["a literal without a name", ["40"], "BLOCK_CUT"],
  ["a name that is cut", ["4002"], "BLOCK_CUT"],
  ["a name with one octet less than it says", ["400261"], "BLOCK_CUT"],
  ["a literal without a value", ["400161"], "BLOCK_CUT"],
  ["a literal with an indexed name without a value", ["44"], "BLOCK_CUT"],
  ["a value with one octet less than it says", ["440161", "44022f"], "BLOCK_CUT"],
  ["a coded value with one octet less than it says", ["44828c"], "BLOCK_CUT"],
  ["padding with a zero", ["0081180161"], "STRING_BAD"],
  ["padding of eight bits", ["00821fff0161"], "STRING_BAD"],
  ["padding of an octet and nothing else", ["0081ff0161"], "STRING_BAD"],
  ["the end of the string, in the name", ["0084ffffffff0161"], "STRING_BAD"],
  ["the end of the string, in the value", ["0484ffffffff"], "STRING_BAD"],
  ["a size update behind a field", ["8220"], "SIZE_LATE"],
  ["a size update behind a size update and a field", ["208220"], "SIZE_LATE"],
  ["a size of 4097", ["3fe21f"], "SIZE_TOO_LARGE"],
  ["a size of 4097 behind one that is allowed", ["203fe21f"], "SIZE_TOO_LARGE"],
];

function resultOf(hpack: Hpack, name: Result): number {
  return hpack.exports[name].value;
}

Deno.test("decodeBlock() refuses each of the errors of RFC 7541 by its name", () => {
  for (const [why, blocks, result] of REFUSED) {
    const hpack = new Hpack();
    const decoder = new Decoder(hpack);
    for (const block of blocks.slice(0, -1)) decoder.decode(fromHex(block));
    assertEquals(decoder.run(fromHex(blocks.at(-1)!)), resultOf(hpack, result), why);
    assert(resultOf(hpack, result) < 0);
  }
});

Deno.test("decodeBlock() takes an empty block, empty names and values, and size updates alone", () => {
  const decoder = new Decoder(new Hpack());
  assertEquals(decoder.decode(new Uint8Array()), []);
  assertEquals(decoder.decode(fromHex("2020 3fe11f 20 3fe11f")), []);
  const empty = { name: "", value: "", known: 0, flags: 0 };
  assertEquals(decoder.decode(fromHex("000000 008080 400000 be")), [empty, empty, empty, empty]);
  assertEquals(decoder.state(), { size: 32, sizeMax: 4096, count: 1 });
});

Deno.test("decodeBlock() marks pseudo-header fields and what is never indexed, and numbers known names", () => {
  const decoder = new Decoder(new Hpack());
  const HOST = 1;
  const CONTENT_LENGTH = 3;
  const UNDERSCORE = 23;
  const underscored = "content_length";
  const block = fromHex(
    // :path by index; content-length never indexed; host inserted; content_length plain; ":x" inserted, then both by index
    `84 1f0d0130 660161 000e${toHexText(underscored)}0130 40023a780131 be bf 10023a780132 1f2f0133`,
  );
  assertEquals(decoder.decode(block).map(({ name, value, known, flags }) => [name, value, known, flags]), [
    [":path", "/", 0, PSEUDO],
    ["content-length", "0", CONTENT_LENGTH, NEVER_INDEXED],
    ["host", "a", HOST, 0],
    [underscored, "0", UNDERSCORE, 0],
    [":x", "1", 0, PSEUDO],
    [":x", "1", 0, PSEUDO],
    ["host", "a", HOST, 0],
    [":x", "2", 0, PSEUDO | NEVER_INDEXED],
    [":x", "3", 0, PSEUDO | NEVER_INDEXED],
  ]);
});

function toHexText(text: string): string {
  return [...text].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

// ---- sizes of the table ----

Deno.test("a table that we make smaller has to be followed by a size update, its least size first", () => {
  const make = (...sizes: number[]) => {
    const decoder = new Decoder(new Hpack());
    decoder.decode(fromHex("4001610162"));
    for (const size of sizes) decoder.hpack.exports.allowSize(decoder.table, size);
    return decoder;
  };
  const missing = resultOf(new Hpack(), "SIZE_MISSING");
  const tooLarge = resultOf(new Hpack(), "SIZE_TOO_LARGE");
  assertEquals(make(100).run(fromHex("82")), missing);
  assertEquals(make(100).run(new Uint8Array()), missing);
  assertEquals(make(100).run(fromHex("3f4582")), 0, "100");
  assertEquals(make(100).run(fromHex("3f4682")), tooLarge, "101");
  assertEquals(make(0, 4096).run(fromHex("3fe11f82")), tooLarge, "4096 without the 0 before");
  assertEquals(make(0, 4096).run(fromHex("203fe11f82")), 0, "0, then 4096");
  assertEquals(make(100, 0, 200).run(fromHex("203fa90182")), 0, "0, then 200");
  assertEquals(make(100, 0, 200).run(fromHex("203faa0182")), tooLarge, "0, then 201");
  // larger or the same again: nothing has to be said
  assertEquals(make(4096).run(fromHex("be")), 0);
  assertEquals(make(8192).run(fromHex("be")), 0);
  // what a connection was told once is not asked for again
  const decoder = make(100);
  assertEquals([decoder.run(fromHex("20")), decoder.run(fromHex("82"))], [0, 0]);
  decoder.hpack.exports.allowSize(decoder.table, 4096);
  assertEquals(decoder.run(fromHex("82")), 0);
  assertEquals(decoder.run(fromHex("3fe11f")), 0);
});

Deno.test("a table can grow to its capacity, and not beyond", () => {
  const hpack = new Hpack();
  const decoder = new Decoder(hpack, { capacity: 65536 });
  assertEquals(decoder.run(fromHex("3fe21f")), resultOf(hpack, "SIZE_TOO_LARGE"), "4097 before we allow it");
  decoder.restart();
  hpack.exports.allowSize(decoder.table, 1 << 20);
  assertEquals(decoder.run(fromHex("3fe1ff03")), 0, "65536");
  assertEquals(decoder.state().sizeMax, 65536);
  assertEquals(decoder.run(fromHex("3fe2ff03")), resultOf(hpack, "SIZE_TOO_LARGE"), "65537");
});

// ---- bounds ----

function makeDecoder(options: DecoderOptions): Decoder {
  return new Decoder(new Hpack(), options);
}

/** A literal: inserted (0x40), plain (0x00) or never indexed (0x10). */
function literal(form: number, name: string, value: string): number[] {
  const length = (text: string): number[] => {
    if (text.length < 127) return [text.length];
    const rest = text.length - 127;
    return [127, rest & 127 | 128, rest >> 7 & 127 | 128, rest >> 14];
  };
  const octets = (text: string) => [...text].map((char) => char.charCodeAt(0));
  return [form, ...length(name), ...octets(name), ...length(value), ...octets(value)];
}

Deno.test("a list is too large from one byte beyond its bound; what came before stays, and the table is in step", () => {
  for (const value of ["1234567", "12345678"]) {
    // 3 × (1 + 7 + 32) = 120
    const decoder = makeDecoder({ sizeMax: 120, sizeHardMax: 10_000 });
    const block = [literal(0x40, "a", "1234567"), literal(0x40, "b", "1234567"), literal(0x40, "c", value)].flat();
    const fits = value.length === 7;
    assertEquals(decoder.run(Uint8Array.from(block)), fits ? 0 : 1);
    assertEquals(decoder.list().map(({ name }) => name), fits ? ["a", "b", "c"] : ["a", "b"]);
    assertEquals(decoder.hpack.exports.listSize.value, 113 + value.length);
    assertEquals(decoder.decode(fromHex("be")).map(({ name, value }) => [name, value]), [["c", value]]);
    assertEquals(decoder.state().count, 3);
  }
});

Deno.test("a list has no more entries, and no more bytes, than there is room for", () => {
  const few = makeDecoder({ entriesMax: 3 });
  assertEquals([few.run(fromHex("828486")), few.run(fromHex("82848682"))], [0, 1]);
  assertEquals(few.list().length, 3);
  for (const form of [0x00, 0x40]) {
    for (const coded of [false, true]) {
      const narrow = makeDecoder({ room: 40 });
      const field = (name: string, value: string) =>
        coded
          ? [form, ...[name, value].flatMap((text) => [0x80 | encodeHuffman(text).length, ...encodeHuffman(text)])]
          : literal(form, name, value);
      const exact = field("name", "v".repeat(36));
      assertEquals(narrow.run(Uint8Array.from(exact)), 0, "all the room");
      assertEquals(narrow.run(Uint8Array.from(field("name", "v".repeat(37)))), 1, "a byte of the value too much");
      assertEquals(narrow.run(Uint8Array.from(field("n".repeat(41), ""))), 1, "a byte of the name too much");
      assertEquals(narrow.run(Uint8Array.from([...exact, ...field("x", "")])), 1, "the next one");
      assertEquals(narrow.list().map(({ value }) => value), ["v".repeat(36)]);
      assertEquals(narrow.state().count, form === 0x40 ? 5 : 0);
      narrow.hpack.checkCanaries();
    }
  }
});

Deno.test("an entry as large as the table is inserted though the list has no room for it; a larger one empties it", () => {
  const decoder = makeDecoder({ room: 100, sizeHardMax: 1 << 19 });
  const fill = literal(0x40, "a".repeat(64), "b".repeat(4000));
  assertEquals(decoder.run(Uint8Array.from(fill)), 1);
  assertEquals(decoder.state(), { size: 4096, sizeMax: 4096, count: 1 });
  // its name is taken from the table, whose entry the new one drives out: 64 + 3999 + 32
  assertEquals(decoder.run(Uint8Array.from([0x7e, ...literal(0, "", "c".repeat(3999)).slice(2)])), 1);
  assertEquals(decoder.state(), { size: 4095, sizeMax: 4096, count: 1 });
  assertEquals(decoder.run(fromHex("be")), 1);
  assertEquals(decoder.run(Uint8Array.from([0x7e, ...literal(0, "", "d").slice(2)])), 0, "and the name alone has room");
  assertEquals(decoder.list().map(({ name, value }) => [name, value]), [["a".repeat(64), "d"]]);
  for (const [name, value] of [["a", "b".repeat(4064)], ["a".repeat(4065), ""], ["a".repeat(70_000), "b"]] as const) {
    assertEquals(decoder.run(Uint8Array.from(literal(0x40, name, value))), 1);
    assertEquals(decoder.state(), { size: 0, sizeMax: 4096, count: 0 });
  }
  decoder.hpack.checkCanaries();
});

Deno.test("a name of more than 65535 bytes makes the list too large, whatever the room", () => {
  const decoder = makeDecoder({ room: 1 << 17, sizeMax: 1 << 20, sizeHardMax: 1 << 21 });
  assertEquals(decoder.run(Uint8Array.from(literal(0, "a".repeat(65535), "b"))), 0);
  assertEquals(decoder.list()[0]!.name.length, 65535);
  assertEquals(decoder.run(Uint8Array.from(literal(0, "a".repeat(65536), "b"))), 1);
});

Deno.test("a bomb of indexes is added up and no more: nothing is copied, and beyond the hard bound it is refused", () => {
  const hpack = new Hpack();
  const bomb = new Uint8Array(100_000).fill(0xbe);
  const decoder = new Decoder(hpack, { sizeMax: 16384, sizeHardMax: 0x7fffffff });
  const insert = Uint8Array.from(literal(0x40, "a", "b".repeat(4063)));
  assertEquals(decoder.run(insert), 0);
  assertEquals(decoder.run(bomb), 1);
  assertEquals(hpack.exports.listSize.value, 409_600_000);
  assertEquals(decoder.list().length, 4);
  const began = performance.now();
  for (let round = 0; round < 10; round++) decoder.run(bomb);
  const ms = performance.now() - began;
  // a million indexes of 4 KiB: copied, they would take a second or so
  assert(ms < 400, `${ms} ms`);
  const bounded = new Decoder(hpack, { sizeMax: 16384, sizeHardMax: 65536 });
  assertEquals(bounded.run(insert), 0);
  assertEquals(bounded.run(bomb.subarray(0, 16)), 1);
  assertEquals(bounded.run(bomb.subarray(0, 17)), resultOf(hpack, "LIST_FAR_TOO_LARGE"));
  hpack.checkCanaries();
});

Deno.test("what is beyond the bound is held to the same rules", () => {
  const beyond = literal(0, "a", "b".repeat(300));
  const cases: [hex: string, result: Result][] = [
    ["80", "INDEX_UNKNOWN"],
    ["be", "INDEX_UNKNOWN"],
    ["20", "SIZE_LATE"],
    ["0081180161", "STRING_BAD"],
    ["4002", "BLOCK_CUT"],
    ["ffffffffff07", "NUMBER_TOO_LARGE"],
  ];
  for (const [hex, result] of cases) {
    const decoder = makeDecoder({ sizeMax: 100 });
    const block = Uint8Array.from([...beyond, ...fromHex(hex)]);
    assertEquals(decoder.run(block), resultOf(decoder.hpack, result), hex);
  }
});
