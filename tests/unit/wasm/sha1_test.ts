// SHA-1 against another implementation: every length around the ends of blocks, and beyond; and the vectors of FIPS 180.

import { createHash } from "node:crypto";
import { compileAlone } from "../../support/assembly.ts";
import { assertEquals } from "../../support/assert.ts";
import { fromText } from "../../support/bytes.ts";
import { createRandom } from "../../support/random.ts";

const PAGE = 65536;
/** Behind the statics of the module. */
const DIGEST_AT = 8 * PAGE;
const MESSAGE_AT = DIGEST_AT + 64;
const DIGEST_BYTES = 20;

const memory = new WebAssembly.Memory({ initial: 16 });
const instance = new WebAssembly.Instance(compileAlone("assembly/sha1.ts", []), { env: { memory } });
const sha1 = instance.exports.sha1 as (at: number, length: number, to: number) => void;
const u8 = new Uint8Array(memory.buffer);

function digest(message: Uint8Array): string {
  u8.fill(0xc5, DIGEST_AT, MESSAGE_AT);
  u8.set(message, MESSAGE_AT);
  sha1(MESSAGE_AT, message.length, DIGEST_AT);
  assertEquals(u8[DIGEST_AT + DIGEST_BYTES], 0xc5, "bytes behind the digest");
  return u8.slice(DIGEST_AT, DIGEST_AT + DIGEST_BYTES).toHex();
}

Deno.test("sha1() gives the digests of FIPS 180", () => {
  assertEquals(digest(fromText("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
  const two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  assertEquals(digest(fromText(two)), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  assertEquals(digest(new Uint8Array()), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
});

Deno.test("sha1() gives what node:crypto gives, for every length up to three blocks and some beyond", () => {
  const random = createRandom(1);
  const lengths = [...Array.from({ length: 200 }, (_, length) => length), 1023, 1024, 4096 + 55, 4096 + 56, 100_000];
  for (const length of lengths) {
    const message = Uint8Array.from(random.bytes(length));
    assertEquals(digest(message), createHash("sha1").update(message).digest("hex"), `${length} bytes`);
  }
});
