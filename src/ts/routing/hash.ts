// Hashing of names and paths in bytes: the sum of the bytes, each times a secret random word of its position (multilinear
// hashing; Carter and Wegman 1979). Whoever does not know the words finds two names with the same hash with probability
// 2^-25 at most, so those who may add routes cannot fill one slot (hash flooding); the words are drawn anew for each
// router. The hash of each prefix falls out on the way, and no step waits for the multiplication of another.
//
// A found hash is a hint only: bytes are always compared.

/** Gives so many random words. */
export type RandomWords = (count: number) => Int32Array;

export function randomWords(count: number): Int32Array {
  const words = new Int32Array(count);
  // The most that one call may fill is 64 KiB.
  for (let at = 0; at < count; at += 16_384) crypto.getRandomValues(words.subarray(at, at + 16_384));
  return words;
}

/** The words, or so many with them at the beginning: what is hashed already stays as it is. */
export function extended(weights: Int32Array, length: number, random: RandomWords): Int32Array {
  if (length <= weights.length) return weights;
  const longer = new Int32Array(length);
  longer.set(weights);
  longer.set(random(length - weights.length), weights.length);
  return longer;
}

/** Spreads a hash over all bits (the finaliser of MurmurHash3), since tables take the low ones. */
export function mix(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Hash of a name, whose positions count from its right end, so that the hash of each shorter suffix falls out. */
export function hashName(name: string, weights: Int32Array): number {
  const last = name.length - 1;
  let hash = 0;
  for (let i = 0; i <= last; i++) hash += Math.imul(name.charCodeAt(last - i) | CASE_BIT, weights[i]!);
  return hash | 0;
}

/** Set in all bytes that are hashed as part of a name, so that capitals count as small letters. */
export const CASE_BIT = 0x20;

/** Hash of a path, whose positions count from its left end, so that the hash of each prefix falls out. */
export function hashPath(path: string, weights: Int32Array): number {
  let hash = 0;
  for (let i = 0; i < path.length; i++) hash += Math.imul(path.charCodeAt(i), weights[i]!);
  return hash | 0;
}

/** What names are found by: the name's hash and its kind (1 for a wildcard). */
export function nameKey(hash: number, kind: number): number {
  return mix(hash ^ kind);
}

/**
 * True if the bytes are those that begin at the word `known`, padded with zeros; four at a time, which halves the cost
 * of a lookup's comparisons. The byte order is that of WebAssembly and of every machine this runs on.
 */
export function sameBytes(words: Int32Array, known: number, bytes: Uint8Array, at: number, length: number): boolean {
  const end = at + length;
  const lastWhole = end - 4;
  for (; at <= lastWhole; at += 4, known++) {
    const word = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
    if (word !== words[known]) return false;
  }
  if (at === end) return true;
  let word = bytes[at]!;
  if (at + 1 < end) word |= bytes[at + 1]! << 8;
  if (at + 2 < end) word |= bytes[at + 2]! << 16;
  return word === words[known];
}

/** Words that so many bytes take. */
export function textWords(length: number): number {
  return (length + 3) >> 2;
}

/** Writes ASCII text into the words from `at` on, padded with zeros. */
export function writeText(words: Int32Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i += 4) words[at++] = packed(text, i);
}

/** True if ASCII text is what begins at the word `at`; the length is known to be the same. */
export function isText(words: Int32Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i += 4) {
    if (words[at++] !== packed(text, i)) return false;
  }
  return true;
}

/** Up to four characters as a word. */
function packed(text: string, i: number): number {
  let word = text.charCodeAt(i);
  if (i + 1 < text.length) word |= text.charCodeAt(i + 1) << 8;
  if (i + 2 < text.length) word |= text.charCodeAt(i + 2) << 16;
  if (i + 3 < text.length) word |= text.charCodeAt(i + 3) << 24;
  return word;
}
