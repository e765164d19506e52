// A hash of texts whose values can be added up, so that the hash of many texts can follow the coming and going of one.
// Each text becomes four numbers of 32 bits by the rounds of MurmurHash3 (x86, 128 bits); the hash of a set of texts is
// the sum of theirs, number by number. It tells apart what differs by accident, such as a lost order, with 128 bits; it
// is no signature, and need not be one: whoever may choose what goes in may set the state anyway. A cryptographic hash
// takes ten times as long, which for 100,000 routes is a pause that a worker's loop would feel.

const HEX_LENGTH = 32;

/** The sum of the hashes of a set of texts. */
export class HashSum {
  private readonly sum = new Uint32Array(4);

  /** From what `toString` gave; throws a RangeError for anything else. */
  static from(hex: string): HashSum {
    if (!/^[0-9a-f]{32}$/.test(hex)) throw new RangeError(`expected a hash of ${HEX_LENGTH} hexadecimal digits`);
    const hash = new HashSum();
    for (let at = 0; at < 4; at++) hash.sum[at] = parseInt(hex.slice(8 * at, 8 * at + 8), 16);
    return hash;
  }

  add(text: string): void {
    hash128(text);
    for (let at = 0; at < 4; at++) this.sum[at]! += lanes[at]!;
  }

  remove(text: string): void {
    hash128(text);
    for (let at = 0; at < 4; at++) this.sum[at]! -= lanes[at]!;
  }

  toString(): string {
    return Array.from(this.sum, (lane) => lane.toString(16).padStart(8, "0")).join("");
  }
}

/** The result of `hash128`, so that it need not make an array each time. */
const lanes = new Uint32Array(4);

/** Blocks of eight UTF-16 units; the last one is filled up with zeros, which the length at the end tells from others. */
function hash128(text: string): void {
  let h1 = 0, h2 = 0, h3 = 0, h4 = 0;
  for (let at = 0; at < text.length; at += 8) {
    h1 = Math.imul(rotated(h1 ^ mixed(pair(text, at), 0x239b961b, 15, 0xab0e9789), 19) + h2, 5) + 0x561ccd1b | 0;
    h2 = Math.imul(rotated(h2 ^ mixed(pair(text, at + 2), 0xab0e9789, 16, 0x38b34ae5), 17) + h3, 5) + 0x0bcaa747 | 0;
    h3 = Math.imul(rotated(h3 ^ mixed(pair(text, at + 4), 0x38b34ae5, 17, 0xa1e38b93), 15) + h4, 5) + 0x96cd1c35 | 0;
    h4 = Math.imul(rotated(h4 ^ mixed(pair(text, at + 6), 0xa1e38b93, 18, 0x239b961b), 13) + h1, 5) + 0x32ac3b17 | 0;
  }
  h1 ^= text.length, h2 ^= text.length, h3 ^= text.length, h4 ^= text.length;
  h1 = h1 + h2 + h3 + h4 | 0;
  h2 = avalanche(h2 + h1 | 0), h3 = avalanche(h3 + h1 | 0), h4 = avalanche(h4 + h1 | 0), h1 = avalanche(h1);
  h1 = h1 + h2 + h3 + h4 | 0;
  lanes[0] = h1, lanes[1] = h2 + h1, lanes[2] = h3 + h1, lanes[3] = h4 + h1;
}

/** Two units as one number; beyond the end, `charCodeAt` is NaN, which counts as 0. */
function pair(text: string, at: number): number {
  return text.charCodeAt(at) | text.charCodeAt(at + 1) << 16;
}

function mixed(block: number, first: number, bits: number, second: number): number {
  return Math.imul(rotated(Math.imul(block, first), bits), second);
}

function rotated(value: number, bits: number): number {
  return value << bits | value >>> (32 - bits);
}

function avalanche(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}
