// The fields of a message that came in HTTP/2, checked before anybody takes them for those of HTTP/1 (RFC 9113 §8.2, §10.3):
// what cannot be written as a line there, or would mean something about the connection, makes the message malformed. Cookies
// that came in pieces are joined, since HTTP/1 has one field for them (§8.2.3).

import { CLASS_NAME, intern, isBlank, isClass, isText, put } from "../bytes";
import { K_CONNECTION, K_KEEP_ALIVE, K_PROXY_CONNECTION, K_TE, K_TRANSFER_ENCODING, K_UPGRADE } from "../http1/fields";
import { DROP, Header, headerBytesMax, PSEUDO, Record } from "../memory";

const TRAILERS = intern("trailers");
/** "cook", "ie" */
const COOK: u32 = 0x6b6f6f63;
const IE: u16 = 0x6569;
const SEPARATOR: u16 = 0x203b;

/** Whether all fields are well-formed, from the first that is no pseudo-header field on. */
export function areFields(record: Record, first: u32): bool {
  const count = record.headerCount;
  for (let i = first; i < count; i++) {
    if (!isField(record.entry(i))) return false;
  }
  return true;
}

/** §8.2.1, §8.2.2. A pseudo-header field here would be a late one (§8.3). */
function isField(header: Header): bool {
  if (header.flags & PSEUDO || !isName(header.nameAt, header.nameLength) || !isValue(header)) return false;
  switch (header.known) {
    case K_CONNECTION:
    case K_KEEP_ALIVE:
    case K_PROXY_CONNECTION:
    case K_TRANSFER_ENCODING:
    case K_UPGRADE:
      return false;
    case K_TE:
      return isText(header.valueAt, header.valueLength, TRAILERS);
    default:
      return true;
  }
}

function isName(at: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    if (!isClass(load<u8>(at + i), CLASS_NAME)) return false;
  }
  return length > 0;
}

/** No control characters but tabs (what HTTP/1 refuses), no blanks around. */
export function isValue(header: Header): bool {
  const at = usize(header.valueAt);
  const length = header.valueLength;
  if (length == 0) return true;
  if (isBlank(load<u8>(at)) || isBlank(load<u8>(at + length - 1))) return false;
  let i: u32 = 0;
  for (; i + 16 <= length; i += 16) {
    if (v128.any_true(controls(v128.load(at + i)))) return false;
  }
  for (; i < length; i++) {
    const byte = load<u8>(at + i);
    if ((byte < 0x20 && byte != 0x09) || byte == 0x7f) return false;
  }
  return true;
}

@inline
function controls(bytes: v128): v128 {
  const low = v128.lt<u8>(bytes, i8x16.splat(0x20));
  const tab = v128.eq<u8>(bytes, i8x16.splat(0x09));
  return v128.or(v128.andnot(low, tab), v128.eq<u8>(bytes, i8x16.splat(0x7f)));
}

@inline
export function isCookie(header: Header): bool {
  return header.nameLength == 6 && load<u32>(header.nameAt) == COOK && load<u16>(header.nameAt, 4) == IE;
}

/** Makes one field of all cookies, written behind `end`. False: there is no room. */
export function joinCookies(record: Record, end: u32): bool {
  const count = record.headerCount;
  let first = changetype<Header>(0);
  let to = usize(end);
  const limit = usize(record.headAt) + headerBytesMax;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (!isCookie(header)) continue;
    if (changetype<usize>(first) == 0) {
      first = header;
      continue;
    }
    // the first one is copied when there turns out to be another
    const starts = to == usize(end);
    if (to + (starts ? first.valueLength : 0) + 2 + header.valueLength > limit) return false;
    if (starts) to = put(to, first.valueAt, first.valueLength);
    store<u16>(to, SEPARATOR);
    to = put(to + 2, header.valueAt, header.valueLength);
    header.flags |= DROP;
    first.flags |= header.flags & ~DROP;
  }
  if (to == usize(end)) return true;
  first.valueAt = end;
  first.valueLength = u32(to - end);
  return true;
}
