// SHA-1 (FIPS 180-4 §6.1), for the one place that asks for it: the answer to the key of a WebSocket (RFC 6455 §4.2.2), where
// it is a checksum and protects nothing.

/** Bytes of a digest. */
export const SHA1_BYTES: u32 = 20;
const BLOCK: u32 = 64;
const ROUNDS: u32 = 80;

/** The five words of the hash at hand. */
const hash: usize = memory.data(20);
/** The message schedule of one block (§6.1.2, step 1). */
const schedule: usize = memory.data(320);
/** The last bytes, padded to one block or two (§5.1.1). */
const tail: usize = memory.data(128);

/** Writes the digest of `length` bytes at `at` to `to`. */
export function sha1(at: usize, length: u32, to: usize): void {
  begin();
  const whole = length & ~(BLOCK - 1);
  for (let done: u32 = 0; done < whole; done += BLOCK) addBlock(at + done);
  addTail(at + whole, length);
  for (let i: u32 = 0; i < SHA1_BYTES; i += 4) store<u32>(to + i, bswap<u32>(load<u32>(hash + i)));
}

/** §5.3.1 */
function begin(): void {
  store<u32>(hash, 0x67452301);
  store<u32>(hash, 0xefcdab89, 4);
  store<u32>(hash, 0x98badcfe, 8);
  store<u32>(hash, 0x10325476, 12);
  store<u32>(hash, 0xc3d2e1f0, 16);
}

/** The rest of the message, a one, zeros, and the length of all of it in bits. */
function addTail(at: usize, length: u32): void {
  const rest = length & (BLOCK - 1);
  const end = rest < BLOCK - 8 ? BLOCK : 2 * BLOCK;
  memory.copy(tail, at, rest);
  store<u8>(tail + rest, 0x80);
  memory.fill(tail + rest + 1, 0, end - rest - 1);
  store<u64>(tail + end - 8, bswap<u64>(u64(length) << 3));
  for (let done: u32 = 0; done < end; done += BLOCK) addBlock(tail + done);
}

@inline
function word(t: u32): u32 { return load<u32>(schedule + (t << 2)); }

/** §6.1.2, step 1 */
function fillSchedule(block: usize): void {
  for (let t: u32 = 0; t < 16; t++) store<u32>(schedule + (t << 2), bswap<u32>(load<u32>(block + (t << 2))));
  for (let t: u32 = 16; t < ROUNDS; t++) {
    store<u32>(schedule + (t << 2), rotl<u32>(word(t - 3) ^ word(t - 8) ^ word(t - 14) ^ word(t - 16), 1));
  }
}

/** §6.1.2, steps 2 to 4 */
function addBlock(block: usize): void {
  fillSchedule(block);
  let a = load<u32>(hash);
  let b = load<u32>(hash, 4);
  let c = load<u32>(hash, 8);
  let d = load<u32>(hash, 12);
  let e = load<u32>(hash, 16);
  for (let t: u32 = 0; t < ROUNDS; t++) {
    const next = rotl<u32>(a, 5) + mixed(t, b, c, d) + e + word(t);
    e = d;
    d = c;
    c = rotl<u32>(b, 30);
    b = a;
    a = next;
  }
  store<u32>(hash, load<u32>(hash) + a);
  store<u32>(hash, load<u32>(hash, 4) + b, 4);
  store<u32>(hash, load<u32>(hash, 8) + c, 8);
  store<u32>(hash, load<u32>(hash, 12) + d, 12);
  store<u32>(hash, load<u32>(hash, 16) + e, 16);
}

/** The function of a round and its constant (§4.1.1, §4.2.1). */
function mixed(t: u32, b: u32, c: u32, d: u32): u32 {
  if (t < 20) return ((b & c) ^ (~b & d)) + 0x5a827999;
  if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (t < 60) return ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}
