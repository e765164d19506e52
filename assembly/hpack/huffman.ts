// The Huffman code of header strings (RFC 7541 §5.2, Appendix B). It is canonical: codes of one length are consecutive
// in the order of their symbols, and the lengths follow each other. So the lengths alone are the code; all tables here
// are made from them when the module starts.
//
// Decoding looks at 12 bits at a time, in a table that tells the one or two symbols which they begin with: nearly all
// that headers are written in has codes of 5 to 8 bits. Longer codes, which only odd bytes have, are found by their
// length. A string that ends in anything but up to 7 bits of ones, or contains the end-of-string symbol, is refused.

/** Bits of each symbol's code, the end of the string last. */
const LENGTHS: StaticArray<u8> = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const SYMBOLS: u32 = 257;
const END_OF_STRING: u32 = 256;
const CODE_BITS_MAX: u32 = 30;

/** What decodeHuffman() gives for a string that is no Huffman code, or a malformed one. */
export const HUFFMAN_BAD: i32 = -1;

const PAIR_BITS: u32 = 12;
const COUNT_SHIFT: u32 = 24;
const BITS_SHIFT: u32 = 16;

/** For each symbol: code u32 | length u32. */
const codes: usize = memory.data(2056);
/**
 * By the next 12 bits: symbol u8 | symbol u8 | bits of all of them u8 | how many symbols u8, 0 when the first code is
 * longer.
 */
const pairs: usize = memory.data(16384);
/**
 * By length, as 32 bits from the left: the first value that no code of this length or a shorter one begins. u64 each.
 */
const limits: usize = memory.data(256);
/** By length: what has to be taken from a code to get the place of its symbol in `order`. */
const offsets: usize = memory.data(128);
/** The symbols by length and value, u16 each. */
const order: usize = memory.data(516);

function fillCodes(): void {
  let code: u32 = 0;
  let place: u32 = 0;
  for (let bits: u32 = 1; bits <= CODE_BITS_MAX; bits++) {
    code <<= 1;
    store<u32>(offsets + (bits << 2), code - place);
    for (let symbol: u32 = 0; symbol < SYMBOLS; symbol++) {
      if (LENGTHS[symbol] != bits) continue;
      store<u32>(codes + (symbol << 3), code++);
      store<u32>(codes + (symbol << 3), bits, 4);
      store<u16>(order + (place++ << 1), u16(symbol));
    }
    store<u64>(limits + (bits << 3), u64(code) << (32 - bits));
  }
  assert(code == 1 << CODE_BITS_MAX && place == SYMBOLS, "the lengths are those of no complete code");
}

@inline
function bitsOf(symbol: u32): u32 { return load<u32>(codes + (symbol << 3), 4); }

/** The symbol that the 32 bits of `window` begin with. */
function symbolOf(window: u32): u32 {
  let bits: u32 = 5;
  while (u64(window) >= load<u64>(limits + (bits << 3))) bits++;
  return load<u16>(order + (((window >>> (32 - bits)) - load<u32>(offsets + (bits << 2))) << 1));
}

function fillPairs(): void {
  for (let key: u32 = 0; key < 1 << PAIR_BITS; key++) {
    const first = symbolOf(key << (32 - PAIR_BITS));
    const firstBits = bitsOf(first);
    if (firstBits > PAIR_BITS) continue;
    const second = symbolOf(key << (32 - PAIR_BITS + firstBits));
    const bits = firstBits + bitsOf(second);
    const both = bits <= PAIR_BITS;
    const symbols = both ? first | second << 8 | 2 << COUNT_SHIFT : first | 1 << COUNT_SHIFT;
    store<u32>(pairs + (key << 2), symbols | (both ? bits : firstBits) << BITS_SHIFT);
  }
}

fillCodes();
fillPairs();

/** Bytes that `length` bytes of code decode to at most: the shortest codes have 5 bits. */
@inline
export function decodedBytesMax(length: u32): u32 {
  return u32((u64(length) << 3) / 5);
}

/**
 * Decodes the `length` bytes at `at`; returns the length of the text, or HUFFMAN_BAD. Of a text longer than `room` only
 * the beginning is written, yet all is counted and checked. Up to 4 bytes behind the text are written too, and 8 behind
 * the code read.
 */
export function decodeHuffman(at: usize, length: u32, to: usize, room: u32): i32 {
  const end = at + length;
  const start = to;
  const stop = to + room;
  // the next bits, from the left; `have` of them count as taken from `at`, and those behind are what will come again
  let window: u64 = 0;
  let have: u32 = 0;
  if (length >= 8 && decodedBytesMax(length) <= room) {
    const last = end - 8;
    while (at <= last) {
      window |= bswap<u64>(load<u64>(at)) >> have;
      at += (63 - have) >> 3;
      have |= 56;
      // 56 bits are enough for four times twelve
      let found = load<u32>(pairs + usize(window >> (64 - PAIR_BITS) << 2));
      for (let times = 0; times < 4 && found >> COUNT_SHIFT != 0; times++) {
        store<u16>(to, u16(found));
        to += found >> COUNT_SHIFT;
        const bits = found >> BITS_SHIFT & 15;
        window <<= bits;
        have -= bits;
        found = load<u32>(pairs + usize(window >> (64 - PAIR_BITS) << 2));
      }
      if (found >> COUNT_SHIFT != 0 || have < CODE_BITS_MAX) continue;
      const symbol = symbolOf(u32(window >> 32));
      if (symbol == END_OF_STRING) return HUFFMAN_BAD;
      store<u8>(to++, u8(symbol));
      window <<= bitsOf(symbol);
      have -= bitsOf(symbol);
    }
  }
  while (true) {
    for (; have < 56 && at < end; have += 8) window |= u64(load<u8>(at++)) << (56 - have);
    if (have == 0) return i32(to - start);
    const padded = window | (u64.MAX_VALUE >> have);
    const symbol = symbolOf(u32(padded >> 32));
    const bits = bitsOf(symbol);
    if (bits > have) return have < 8 && padded == u64.MAX_VALUE ? i32(to - start) : HUFFMAN_BAD;
    if (symbol == END_OF_STRING) return HUFFMAN_BAD;
    if (to < stop) store<u8>(to, u8(symbol));
    to++;
    window <<= bits;
    have -= bits;
  }
}

/** Bytes that the text takes in Huffman code. */
export function huffmanLength(at: usize, length: u32): u32 {
  let bits: u32 = 7;
  const lengths = changetype<usize>(LENGTHS);
  for (let i: u32 = 0; i < length; i++) bits += load<u8>(lengths + load<u8>(at + i));
  return bits >> 3;
}

/** Writes the text in Huffman code; up to 4 bytes behind it are written too. Returns the address behind it. */
export function putHuffman(to: usize, at: usize, length: u32): usize {
  let window: u64 = 0;
  let have: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const both = load<u64>(codes + (u32(load<u8>(at + i)) << 3));
    const bits = u32(both >> 32);
    window = window << bits | both & 0xffffffff;
    have += bits;
    if (have < 32) continue;
    have -= 32;
    store<u32>(to, bswap<u32>(u32(window >> have)));
    to += 4;
  }
  // §5.2: ones up to the end of the octet
  store<u32>(to, bswap<u32>(u32(window << (32 - have) | (u64(u32.MAX_VALUE) >> have))));
  return to + ((have + 7) >> 3);
}
