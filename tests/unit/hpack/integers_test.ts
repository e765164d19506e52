// Integers of every prefix at every boundary (RFC 7541 §5.1).

import { assertEquals } from "../../support/assert.ts";
import { fromHex, Hpack, toHex } from "../../support/hpack.ts";

const hpack = new Hpack();
const { exports, u8 } = hpack;
const CUT = 0xffffffff;
const TOO_LARGE = 0xfffffffe;
const at = hpack.place(64).at;

function read(bytes: Uint8Array, prefix: number): { value: number; used: number } {
  u8.set(bytes, at);
  const value = exports.readInteger(at, at + bytes.length, 2 ** prefix - 1) >>> 0;
  return { value, used: exports.integerEnd.value - at };
}

function write(prefix: number, value: number): Uint8Array {
  // the bits above the prefix are all set, and must not be read as part of the number
  const pattern = 255 & ~(2 ** prefix - 1);
  return u8.slice(at, exports.putInteger(at, pattern, 2 ** prefix - 1, value));
}

/** The octets, by the algorithm of §5.1 in numbers without bounds. */
function expected(prefix: number, value: number): number[] {
  const mask = 2 ** prefix - 1;
  const pattern = 255 & ~mask;
  if (value < mask) return [pattern | value];
  const octets = [pattern | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push(rest % 128 + 128);
  return [...octets, rest];
}

Deno.test("integers: the examples of Appendix C.1", () => {
  assertEquals(read(fromHex("0a"), 5), { value: 10, used: 1 });
  assertEquals(read(fromHex("1f9a0a"), 5), { value: 1337, used: 3 });
  assertEquals(read(fromHex("2a"), 8), { value: 42, used: 1 });
  assertEquals(toHex(write(5, 10)), "ea");
  assertEquals(toHex(write(5, 1337)), "ff9a0a");
  assertEquals(toHex(write(8, 42)), "2a");
});

Deno.test("integers: each prefix, around each number where the octets change, read and written", () => {
  let cases = 0;
  for (let prefix = 1; prefix <= 8; prefix++) {
    const mask = 2 ** prefix - 1;
    const edges = [0, mask, ...[7, 14, 21, 28].map((bits) => mask + 2 ** bits), 65536, 2 ** 31 - 2];
    for (const edge of edges) {
      for (let value = Math.max(0, edge - 2); value <= Math.min(edge + 2, 2 ** 31 - 1); value++, cases++) {
        const octets = write(prefix, value);
        assertEquals([...octets], expected(prefix, value), `${value} with ${prefix} bits`);
        assertEquals(read(octets, prefix), { value, used: octets.length }, `${value} with ${prefix} bits`);
        for (let length = 1; length < octets.length; length++) {
          assertEquals(read(octets.subarray(0, length), prefix).value, CUT, `${value}, ${length} octets of it`);
        }
      }
    }
  }
  assertEquals(cases > 250, true, `${cases} cases`);
});

Deno.test("integers: 2^31 and more, and more than five octets, are too large", () => {
  for (let prefix = 1; prefix <= 8; prefix++) {
    const all = 2 ** prefix - 1;
    const read5 = (...octets: number[]) => read(Uint8Array.of(all, ...octets), prefix).value;
    assertEquals(read(Uint8Array.from(expected(prefix, 2 ** 31 - 1)), prefix).value, 2 ** 31 - 1);
    for (const value of [2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 34]) {
      assertEquals(read(Uint8Array.from(expected(prefix, value)), prefix).value, TOO_LARGE, `${value}`);
    }
    assertEquals(read5(0xff, 0xff, 0xff, 0xff, 0x7f), TOO_LARGE);
    // written longer than it need be: five octets will do, six never
    assertEquals(read5(0x80, 0x80, 0x80, 0x80, 0x00), all);
    assertEquals(read5(0x81, 0x80, 0x80, 0x80, 0x00), all + 1);
    assertEquals(read5(0x80, 0x80, 0x80, 0x80, 0x80, 0x00), TOO_LARGE);
    assertEquals(read5(0x80, 0x80, 0x80, 0x80, 0x80), TOO_LARGE);
    assertEquals(read5(0x80, 0x80, 0x80, 0x80), CUT);
  }
});
