// The normal form of a path, in which rules and requests are compared (RFC 3986 §6.2.2). Owned here: which bytes may
// stand as they are, how the others are written, and the text that regular expressions see.
//
// Normal form: percent-encoded unreserved characters are decoded, once ("%2e" is ".", "%252e" stays); other
// percent-encodings have upper-case digits; what a path may not carry raw is percent-encoded; then repeated slashes are
// merged, and then dot segments are resolved, never above the root. Merging comes first because that is how a file
// system, and so nearly every backend, reads the path: "/a//../b" is "/b". A "%2F" stays: it is data, not a boundary.
//
// The scratch is shared by all routers of the process: a lookup is done before the next one begins.

export const SLASH = 0x2f;
export const DOT = 0x2e;
const PERCENT = 0x25;

/** Classes of bytes in a path. `ODD` sends the path to normalisation: "%" and all that must be percent-encoded. */
export const PLAIN = 0;
export const BOUNDARY = 1;
export const PERIOD = 2;
export const ODD = 3;

const UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
const SUB_DELIMS = "!$&'()*+,;=";

/** Class of each byte; pchar of RFC 3986 §3.3 is plain. */
export const CLASSES: Uint8Array = classes();

/** 1 for the bytes whose percent-encoding is decoded. */
const IS_UNRESERVED: Uint8Array = members(UNRESERVED);

/** Value of each hexadecimal digit, 255 for other bytes. */
const DIGITS: Uint8Array = digits();

/** The digits in upper case, by value. */
const HEX: Uint8Array = new TextEncoder().encode("0123456789ABCDEF");

/** Room for paths of the default limits, each byte percent-encoded; it grows when the limits are set higher. */
let scratch = new Uint8Array(3 * 12 * 1024);

const decoder = new TextDecoder();

/** The bytes that `normalise` wrote last; another array may come into force with each call. */
export function normalBytes(): Uint8Array {
  return scratch;
}

/** True if the segment that begins with the dot at `at` is "." or "..". */
export function isDotSegment(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + 1 === end || bytes[at + 1] === SLASH) return true;
  return bytes[at + 1] === DOT && (at + 2 === end || bytes[at + 2] === SLASH);
}

/** True if a path needs no normalisation from `at` on, which is not its first byte. */
export function isNormalFrom(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) {
    const kind = CLASSES[bytes[i]!]!;
    if (kind === PLAIN) continue;
    const afterSlash = bytes[i - 1] === SLASH;
    if (kind === BOUNDARY ? afterSlash : kind !== PERIOD || (afterSlash && isDotSegment(bytes, i, end))) return false;
  }
  return true;
}

/**
 * Writes the normal form of a path that begins with "/" into the scratch; gives its length. Linear in the path: a byte
 * is written once, and taken back at most once when ".." removes its segment.
 */
export function normalise(bytes: Uint8Array, at: number, length: number): number {
  if (scratch.length < 3 * length) scratch = new Uint8Array(3 * length);
  const out = scratch;
  const end = at + length;
  let segment = 1;
  let size = 1;
  out[0] = SLASH;
  for (let i = at + 1; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === SLASH) {
      segment = size = closeSegment(segment, size, true);
      continue;
    }
    const value = byte === PERCENT && i + 2 < end ? encodedByte(bytes[i + 1]!, bytes[i + 2]!) : -1;
    if (value >= 0) i += 2;
    if (value >= 0 ? IS_UNRESERVED[value] === 1 : CLASSES[byte] !== ODD) out[size++] = value >= 0 ? value : byte;
    else size = writeEncoded(size, value >= 0 ? value : byte);
  }
  return closeSegment(segment, size, false);
}

/** Ends the segment in `[segment, size)` of the scratch; gives where the next one begins. */
function closeSegment(segment: number, size: number, atSlash: boolean): number {
  const length = size - segment;
  if (length === 0) return size;
  if (length === 1 && scratch[segment] === DOT) return segment;
  if (length === 2 && scratch[segment] === DOT && scratch[segment + 1] === DOT) return parentOf(segment);
  if (atSlash) scratch[size++] = SLASH;
  return size;
}

/** Where the segment before the one at `segment` begins; the root's only segment begins at 1. */
function parentOf(segment: number): number {
  if (segment === 1) return 1;
  let at = segment - 1;
  while (scratch[at - 1] !== SLASH) at--;
  return at;
}

function writeEncoded(size: number, value: number): number {
  scratch[size] = PERCENT;
  scratch[size + 1] = HEX[value >> 4]!;
  scratch[size + 2] = HEX[value & 15]!;
  return size + 3;
}

/** The byte that two hexadecimal digits stand for, or -1. */
function encodedByte(high: number, low: number): number {
  const value = (DIGITS[high]! << 4) | DIGITS[low]!;
  return value > 255 || DIGITS[low] === 255 ? -1 : value;
}

/**
 * The text that a regular expression sees: the normal form, with percent-encoded UTF-8 beyond ASCII decoded, so that
 * `~/café/.*` can be written; malformed UTF-8 is seen as U+FFFD. Percent-encoded ASCII stays encoded: a "%2F" is never
 * taken for a "/".
 */
export function pathText(bytes: Uint8Array, at: number, length: number): string {
  const text = new Uint8Array(length);
  const end = at + length;
  let size = 0;
  for (let i = at; i < end; i++) {
    const byte = bytes[i]!;
    const value = byte === PERCENT && i + 2 < end ? encodedByte(bytes[i + 1]!, bytes[i + 2]!) : -1;
    text[size++] = value >= 128 ? value : byte;
    if (value >= 128) i += 2;
  }
  return decoder.decode(text.subarray(0, size));
}

/** True if each "%" is followed by two hexadecimal digits. */
export function isWellEncoded(path: string): boolean {
  return !/%(?![0-9A-Fa-f]{2})/.test(path);
}

// Segments of plain characters that begin with no dot: nothing to decode, merge or resolve.
const PLAINLY_NORMAL = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)*\/?$/;

/** The normal form of a rule's path, which begins with "/". */
export function normaliseText(path: string): string {
  if (PLAINLY_NORMAL.test(path)) return path;
  const bytes = new TextEncoder().encode(path);
  return decoder.decode(scratchCopy(normalise(bytes, 0, bytes.length)));
}

function scratchCopy(length: number): Uint8Array {
  return scratch.slice(0, length);
}

function members(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

function classes(): Uint8Array {
  const plain = members(UNRESERVED + SUB_DELIMS + ":@");
  const table = plain.map((isPlain) => isPlain === 1 ? PLAIN : ODD);
  table[SLASH] = BOUNDARY;
  table[DOT] = PERIOD;
  return table;
}

function digits(): Uint8Array {
  const table = new Uint8Array(256).fill(255);
  for (let value = 0; value < 16; value++) {
    const digit = value.toString(16);
    table[digit.charCodeAt(0)] = table[digit.toUpperCase().charCodeAt(0)] = value;
  }
  return table;
}
