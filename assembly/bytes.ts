// Bytes and text: copying, comparing, classes of characters, numbers to and from text. Everything takes addresses and
// lengths in linear memory, checks nothing it is not told to check, and knows no protocol.

/** Room for the constant texts that intern() copies out of AssemblyScript's UTF-16 strings, at start only. */
const TEXTS_MAX: i32 = 8192;
const texts: usize = memory.data(8192);
let textsUsed: i32 = 0;

/** A constant text as bytes: u16 length, then the bytes. Called at module start only; traps when the room is used up. */
export function intern(text: string): usize {
  const length = text.length;
  assert(textsUsed + length + 2 + 16 <= TEXTS_MAX);
  const at = texts + textsUsed;
  store<u16>(at, u16(length));
  for (let i = 0; i < length; i++) store<u8>(at + 2 + i, u8(text.charCodeAt(i)));
  textsUsed += length + 2;
  return at;
}

@inline
export function textLength(text: usize): u32 {
  return load<u16>(text);
}

/**
 * Copies in steps of 16, so up to 15 bytes behind both ends are read and written: the destination needs slack, and the
 * two must not overlap. Faster than memory.copy for the 10–100 bytes of a header.
 */
@inline
export function put(to: usize, from: usize, length: u32): usize {
  for (let i: u32 = 0; i < length; i += 16) v128.store(to + i, v128.load(from + i));
  return to + length;
}

/** Copies nothing but the bytes themselves, for places with others right behind them. The two must not overlap. */
export function putExactly(to: usize, from: usize, length: u32): usize {
  if (length >= 16) {
    for (let i: u32 = 0; i + 16 <= length; i += 16) v128.store(to + i, v128.load(from + i));
    v128.store(to + length - 16, v128.load(from + length - 16));
  } else if (length >= 8) {
    store<u64>(to, load<u64>(from));
    store<u64>(to + length - 8, load<u64>(from + length - 8));
  } else if (length >= 4) {
    store<u32>(to, load<u32>(from));
    store<u32>(to + length - 4, load<u32>(from + length - 4));
  } else {
    for (let i: u32 = 0; i < length; i++) store<u8>(to + i, load<u8>(from + i));
  }
  return to + length;
}

/** From here on the engine's own copying is faster, though it is a call out of WebAssembly. */
const MOVED_BYTES_MIN: u32 = 512;

/** Copies nothing but the bytes themselves, however many there are; the two may overlap. */
export function move(to: usize, from: usize, length: u32): void {
  const areApart = to + length <= from || from + length <= to;
  if (length < MOVED_BYTES_MIN && areApart) putExactly(to, from, length);
  else memory.copy(to, from, length);
}

/** Whether two pieces of `length` bytes are the same; reads nothing else. */
export function equals(a: usize, b: usize, length: u32): bool {
  if (length >= 16) {
    for (let i: u32 = 0; i + 16 <= length; i += 16) {
      if (!i8x16.all_true(i8x16.eq(v128.load(a + i), v128.load(b + i)))) return false;
    }
    return i8x16.all_true(i8x16.eq(v128.load(a + length - 16), v128.load(b + length - 16)));
  }
  if (length >= 8) return load<u64>(a) == load<u64>(b) && load<u64>(a + length - 8) == load<u64>(b + length - 8);
  if (length >= 4) return load<u32>(a) == load<u32>(b) && load<u32>(a + length - 4) == load<u32>(b + length - 4);
  for (let i: u32 = 0; i < length; i++) {
    if (load<u8>(a + i) != load<u8>(b + i)) return false;
  }
  return true;
}

@inline
export function putText(to: usize, text: usize): usize {
  return put(to, text + 2, load<u16>(text));
}

@inline
export function putByte(to: usize, byte: u8): usize {
  store<u8>(to, byte);
  return to + 1;
}

@inline
export function putCrlf(to: usize): usize {
  store<u16>(to, 0x0a0d);
  return to + 2;
}

/** Decimal digits of `value`. */
export function putDecimal(to: usize, value: u64): usize {
  let digits = 1;
  for (let rest = value; rest >= 10; rest /= 10) digits++;
  let rest = value;
  for (let i = digits - 1; i >= 0; i--) {
    store<u8>(to + i, u8(0x30 + rest % 10));
    rest /= 10;
  }
  return to + digits;
}

@inline
export function hexDigit(value: u32): u8 {
  return u8(value < 10 ? 0x30 + value : 0x57 + value);
}

/** Digits that `value` takes in hexadecimal, at least one. */
@inline
export function hexLength(value: u32): u32 {
  return value == 0 ? 1 : (35 - clz(value)) >> 2;
}

/** Base64 (RFC 4648 §4) of `length` bytes. */
export function putBase64(to: usize, from: usize, length: u32): usize {
  for (let i: u32 = 0; i < length; i += 3) {
    const left = length - i;
    let bits = u32(load<u8>(from + i)) << 16;
    if (left > 1) bits |= u32(load<u8>(from + i + 1)) << 8;
    if (left > 2) bits |= u32(load<u8>(from + i + 2));
    to = putByte(putByte(to, base64Digit(bits >> 18)), base64Digit(bits >> 12 & 63));
    to = putByte(to, left > 1 ? base64Digit(bits >> 6 & 63) : 0x3d);
    to = putByte(to, left > 2 ? base64Digit(bits & 63) : 0x3d);
  }
  return to;
}

function base64Digit(value: u32): u8 {
  if (value < 26) return u8(0x41 + value);
  if (value < 52) return u8(0x61 - 26 + value);
  if (value < 62) return u8(0x30 - 52 + value);
  return value == 62 ? 0x2b : 0x2f;
}

export function putHex(to: usize, value: u32): usize {
  const digits = hexLength(value);
  for (let i: u32 = 0; i < digits; i++) store<u8>(to + i, hexDigit((value >> ((digits - 1 - i) << 2)) & 15));
  return to + digits;
}

@inline
export function lower(byte: u8): u8 {
  return byte - 0x41 < 26 ? byte | 0x20 : byte;
}

/** Equal but for the case of ASCII letters. */
export function equalsIgnoreCase(a: usize, b: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    if (lower(load<u8>(a + i)) != lower(load<u8>(b + i))) return false;
  }
  return true;
}

/** Whether the bytes are a constant text in lower case, whatever their own case. */
export function isText(at: usize, length: u32, text: usize): bool {
  return length == load<u16>(text) && equalsIgnoreCase(at, text + 2, length);
}

// ---- classes of characters ----

/** May stand in a request target (RFC 3986 §2): unreserved, gen-delims but "#", sub-delims; "%" is checked apart. */
export const CLASS_TARGET: u8 = 1;
/** May stand in a host that is a name: unreserved, sub-delims; "%" apart (RFC 3986 §3.2.2). */
export const CLASS_HOST: u8 = 2;
export const CLASS_HEX: u8 = 4;
/** May stand in a token (RFC 9110 §5.6.2). */
export const CLASS_TOKEN: u8 = 8;
/** May stand in a request id that is believed: what is safe in logs and headers. */
export const CLASS_ID: u8 = 16;

/** May stand in a field name of HTTP/2: a token without capital letters (RFC 9113 §8.2.1). */
export const CLASS_NAME: u8 = 32;

/** A digit of base64 (RFC 4648 §4). */
export const CLASS_BASE64: u8 = 64;

const classes: usize = memory.data(256);

@inline
export function isClass(byte: u8, mask: u8): bool {
  return (load<u8>(classes + byte) & mask) != 0;
}

function addClass(chars: string, mask: u8): void {
  for (let i = 0; i < chars.length; i++) {
    const at = classes + chars.charCodeAt(i);
    store<u8>(at, load<u8>(at) | mask);
  }
}

function fillClasses(): void {
  const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  addClass(letters + "-._~:/?[]@!$&'()*+,;=", CLASS_TARGET);
  addClass(letters + "-._~!$&'()*+,;=", CLASS_HOST);
  addClass("0123456789abcdefABCDEF", CLASS_HEX);
  addClass(letters + "!#$%&'*+-.^_`|~", CLASS_TOKEN);
  addClass(letters + "-_.:+/=@", CLASS_ID);
  addClass("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~", CLASS_NAME);
  addClass(letters + "+/", CLASS_BASE64);
}

fillClasses();

/** Optional white space (RFC 9110 §5.6.3). */
@inline
export function isBlank(byte: u8): bool {
  return byte == 0x20 || byte == 0x09;
}

/** A decimal number without sign or blanks, at most 2^53 - 1; -1 for anything else. */
export function parseLength(at: usize, length: u32): f64 {
  if (length == 0 || length > 16) return -1;
  let value: u64 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const digit = load<u8>(at + i) - 0x30;
    if (digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value > 9007199254740991 ? -1 : f64(value);
}
