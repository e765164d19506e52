// Integers with a prefix (RFC 7541 §5.1). A number takes five octets behind its prefix at most and stays below 2^31:
// everything that is counted here (indexes, lengths, table sizes) is far smaller, and what is longer is an attack.

/** The number does not end before the bytes do. */
export const INTEGER_CUT: u32 = 0xffffffff;
/** The number is larger, or written longer, than any that could be meant. */
export const INTEGER_TOO_LARGE: u32 = 0xfffffffe;
/** What readInteger() gives from here on is no number. */
export const INTEGER_FAULT: u32 = 0x80000000;

/** What putInteger() writes at most. */
export const INTEGER_BYTES_MAX: u32 = 6;
/** 7 bits each: five octets hold 35. */
const SHIFT_END: u32 = 35;

/** Address behind the number that readInteger() has read. */
export let integerEnd: usize = 0;

/** The number at `at`, whose first octet (at < end) holds the lowest bits in `mask` = 2^n - 1; or a fault. */
@inline
export function readInteger(at: usize, end: usize, mask: u32): u32 {
  const first = u32(load<u8>(at)) & mask;
  integerEnd = at + 1;
  return first < mask ? first : readLonger(at + 1, end, mask);
}

function readLonger(at: usize, end: usize, mask: u32): u32 {
  let value: u64 = mask;
  for (let shift: u32 = 0; shift < SHIFT_END; shift += 7) {
    if (at == end) return INTEGER_CUT;
    const octet = load<u8>(at++);
    value += u64(octet & 127) << shift;
    if (octet & 128) continue;
    integerEnd = at;
    return value < u64(INTEGER_FAULT) ? u32(value) : INTEGER_TOO_LARGE;
  }
  return INTEGER_TOO_LARGE;
}

/** Writes `value` into the bits of `mask` and further octets; `pattern`: the bits of the first octet above them. */
@inline
export function putInteger(to: usize, pattern: u32, mask: u32, value: u32): usize {
  if (value >= mask) return putLonger(to, pattern, mask, value);
  store<u8>(to, u8(pattern | value));
  return to + 1;
}

function putLonger(to: usize, pattern: u32, mask: u32, value: u32): usize {
  store<u8>(to++, u8(pattern | mask));
  value -= mask;
  for (; value > 127; value >>= 7) store<u8>(to++, u8(value & 127 | 128));
  store<u8>(to, u8(value));
  return to + 1;
}
