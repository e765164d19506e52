// copy() of the codec: exactly the bytes that it was told, wherever the two places lie to each other, whichever way it takes.

import { assertEquals } from "../../support/assert.ts";
import { CodecDriver } from "../../support/codec.ts";

const ROOM = 2048;
/** Around the steps in which short pieces are copied, and the length from which the engine does it. */
const LENGTHS = [...Array.from({ length: 50 }, (_, length) => length), 255, 256, 511, 512, 513, 900];
/** Of the destination from the source: apart, one behind the other, overlapping either way, the same. */
const distancesOf = (
  length: number,
) => [-1000, -length, -17, -16, -15, -8, -3, -1, 0, 1, 3, 8, 15, 16, 17, length, 1000];

Deno.test("copy() copies as if by way of another place", () => {
  const { core } = new CodecDriver();
  const at = core.buffersAt;
  const bytes = core.u8.subarray(at, at + ROOM);
  const expected = new Uint8Array(ROOM);
  for (const length of LENGTHS) {
    for (const distance of distancesOf(length)) {
      const from = 1000;
      if (from + Math.max(distance, 0) + length > ROOM) continue;
      for (let i = 0; i < ROOM; i++) bytes[i] = i * 7 + (i >> 8);
      expected.set(bytes);
      expected.copyWithin(from + distance, from, from + length);
      core.codec.copy(at + from + distance, at + from, length);
      assertEquals(bytes, expected, `${length} bytes, ${distance} away`);
    }
  }
});
