// The Huffman code (RFC 7541 §5.2, Appendix B) beside one that takes bits one by one.

import { Buffer } from "node:buffer";
import { assert, assertEquals } from "../../support/assert.ts";
import { Hpack, toHex } from "../../support/hpack.ts";
import { decodeHuffman, encodeHuffman, huffmanBits, octetsOf } from "../../support/hpack_reference.ts";
import { createRandom, type Random } from "../../support/random.ts";

const hpack = new Hpack();
const { exports, u8, buffer } = hpack;
const input = hpack.place(4096);
const output = hpack.place(8192);
const BAD = "bad";

/** The text, or BAD. */
function decode(code: Uint8Array, room = output.bytes): string {
  u8.set(code, input.at);
  // what lies behind must not matter
  u8.fill(code.length & 1 ? 255 : 0, input.at + code.length, input.at + code.length + 8);
  const length = exports.decodeHuffman(input.at, code.length, output.at, room);
  return length < 0 ? BAD : hpack.text(output.at, length);
}

function expectedOf(code: Uint8Array): string {
  try {
    return decodeHuffman(code);
  } catch {
    return BAD;
  }
}

function encode(text: string): Uint8Array {
  buffer.write(text, input.at, "latin1");
  return u8.slice(output.at, exports.putHuffman(output.at, input.at, text.length));
}

function check(text: string): void {
  const code = encodeHuffman(text);
  assertEquals(toHex(encode(text)), toHex(code), JSON.stringify(text));
  assertEquals(exports.huffmanLength(input.at, text.length), code.length);
  assertEquals(decode(code), text);
  assertEquals(decode(code, text.length), text);
}

function randomText(random: Random, length: number): string {
  const wild = random.below(4) === 0;
  let text = "";
  for (let i = 0; i < length; i++) text += String.fromCharCode(wild ? random.below(256) : random.between(32, 126));
  return text;
}

Deno.test("Huffman: each symbol, each two, and each between others, there and back", () => {
  for (let first = 0; first < 256; first++) {
    const one = String.fromCharCode(first);
    check(one);
    check(`0123456${one}789:abcdefgh`);
    for (let second = 0; second < 256; second++) check(one + String.fromCharCode(second));
  }
  hpack.checkCanaries();
});

Deno.test("Huffman: random texts of all lengths, there and back", () => {
  const random = createRandom(7541);
  for (let round = 0; round < 20_000; round++) check(randomText(random, random.below(80)));
  for (let length = 0; length < 1000; length += 7) check(randomText(random, length));
  hpack.checkCanaries();
});

Deno.test("Huffman: each code of one and two octets, and many random ones, mean the same to both", () => {
  for (let value = 0; value < 65536; value++) {
    const two = Uint8Array.of(value >> 8, value & 255);
    assertEquals(decode(two), expectedOf(two), toHex(two));
    if (value < 256) assertEquals(decode(two.subarray(1)), expectedOf(two.subarray(1)));
  }
  const random = createRandom(1951);
  let good = 0;
  const count = Number(Deno.env.get("KAKEHI_FUZZ_CASES") ?? 100_000);
  for (let round = 0; round < count; round++) {
    // ones are what long codes and the padding begin with
    const code = random.bytes(random.below(24)).map((byte) => random.below(3) === 0 ? 255 : byte);
    if (random.below(2) === 0 && code.length > 0) code[code.length - 1]! |= 2 ** random.below(8) - 1;
    const expected = expectedOf(code);
    if (expected !== BAD) good++;
    if (decode(code) !== expected) assertEquals(decode(code), expected, toHex(code));
  }
  assert(good > count / 50, `only ${good} were well-formed`);
  hpack.checkCanaries();
});

Deno.test("Huffman: padding of other bits than ones, of 8 bits and more, and the end of the string are refused", () => {
  // "a" is 00011, "?" is 1111111100
  assertEquals(decode(Uint8Array.of(0b00011_111)), "a");
  for (let padding = 0; padding < 7; padding++) assertEquals(decode(Uint8Array.of(0b00011_000 | padding)), BAD);
  assertEquals(decode(Uint8Array.of(0b00011_111, 0xff)), BAD);
  for (let length = 1; length < 24; length++) assertEquals(decode(new Uint8Array(length).fill(255)), BAD, `${length}`);
  for (const text of ["", "a", "Zz", "0123456789abcdefghijklmnop", "\0\xff"]) {
    const ended = octetsOf(huffmanBits(text) + "1".repeat(30));
    assertEquals(decode(ended), BAD, `the end behind ${JSON.stringify(text)}`);
    assertEquals(decode(Uint8Array.of(...ended, ...encodeHuffman("and on"))), BAD);
  }
});

Deno.test("decodeHuffman() counts and checks what it has no room for, and does not write it", () => {
  const random = createRandom(5);
  for (let round = 0; round < 3000; round++) {
    const text = randomText(random, random.below(60));
    const code = encodeHuffman(text);
    const room = random.below(text.length + 1);
    u8.set(code, input.at);
    u8.fill(0x5a, output.at, output.at + 100);
    assertEquals(exports.decodeHuffman(input.at, code.length, output.at, room), text.length);
    assertEquals(hpack.text(output.at, room), text.slice(0, room));
    const behind = Buffer.from(u8.subarray(output.at + room + 4, output.at + 100));
    assert(behind.every((byte) => byte === 0x5a), `${behind.toString("hex")} behind ${room} of ${text.length}`);
  }
});
