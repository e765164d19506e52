// The static table (RFC 7541 Appendix A): for the decoder as finished entries of a header block, that are only copied;
// for the encoder with a way from a name to its index in constant time. Behind the 61 entries stand names that have no
// index but that the encoder treats in a way of their own.

import { equals, intern, textLength } from "../bytes";
import { HEADER_ENTRY } from "../abi";
import { Header, PSEUDO } from "../memory";
import { knownName } from "../http1/fields";

/** Indexes above this one are the dynamic table's. */
export const STATIC_COUNT: u32 = 61;

// Indexes that the encoder and those who write heads name.
export const S_AUTHORITY: u32 = 1;
export const S_METHOD: u32 = 2;
export const S_PATH: u32 = 4;
export const S_SCHEME: u32 = 6;
export const S_STATUS: u32 = 8;
export const S_CONTENT_LENGTH: u32 = 28;
export const S_DATE: u32 = 33;

// How the encoder treats a name; see encoder.ts.
export const INDEXED: u8 = 0;
export const INDEXED_WHEN_REPEATED: u8 = 1;
export const NEVER: u8 = 2;
export const NEVER_WHEN_SHORT: u8 = 3;

const ENTRIES_MAX: u32 = 80;
/** Places of `byName`: a power of two, few enough taken that a search ends soon. */
const PLACES: u32 = 256;

const entries: usize = memory.data(1280);
/** Per entry: hash of the name u64 | policy u8 | entries of the same name from here on u8. */
const traits: usize = memory.data(1280);
const TRAIT_BYTES: u32 = 16;
/**
 * Index of the first entry with a name, by the name's hash and the place after it if that is taken; 0 ends the search.
 */
const byName: usize = memory.data(256);
let count: u32 = 0;

@inline
function traitsOf(index: u32): usize { return traits + index * TRAIT_BYTES; }

/** Entry `index`, 1 … STATIC_COUNT, complete; its texts stay where they are. */
@inline
export function staticEntry(index: u32): Header { return changetype<Header>(entries + index * HEADER_ENTRY); }
@inline
export function policyOf(index: u32): u8 { return load<u8>(traitsOf(index), 8); }
@inline
export function nameHashOf(index: u32): u64 { return load<u64>(traitsOf(index)); }

const HASH_FACTOR: u64 = 0x9e3779b97f4a7c15;

@inline
function mix(value: u64): u64 {
  const product = value * HASH_FACTOR;
  return product ^ product >> 32;
}

/**
 * A hash in constant time: of a long text its length, beginning, middle and end. Not against intent: whoever makes two
 * collide has one of them found less often.
 */
export function hashOf(at: usize, length: u32, seed: u64): u64 {
  let hash = seed ^ u64(length) << 56;
  if (length >= 8) {
    const last = at + length - 8;
    if (length > 16) {
      const middle = at + (length >> 1) - 4;
      // two chains, since a multiplication waits for the one before
      const other = mix(hash ^ load<u64>(middle)) + rotr(mix(hash ^ load<u64>(last - 8)), 17);
      hash = mix(hash ^ load<u64>(at + 8)) ^ other;
    }
    return mix(mix(hash ^ load<u64>(at)) ^ load<u64>(last));
  }
  let word: u64 = 0;
  if (length >= 4) word = u64(load<u32>(at)) << 32 | u64(load<u32>(at + length - 4));
  else for (let i: u32 = 0; i < length; i++) word = word << 8 | load<u8>(at + i);
  return mix(hash ^ word);
}

/** Index of the first entry of that name, or of a name above STATIC_COUNT; 0 for any other. */
export function findStaticName(at: usize, length: u32, hash: u64): u32 {
  let place = u32(hash) & (PLACES - 1);
  while (true) {
    const index = u32(load<u8>(byName + place));
    if (index == 0) return 0;
    if (nameHashOf(index) == hash) {
      const entry = staticEntry(index);
      return entry.nameLength == length && equals(entry.nameAt, at, length) ? index : 0;
    }
    place = (place + 1) & (PLACES - 1);
  }
}

/** Index of the entry with that value among those of one name, which begin at `first`; or 0. */
export function findStaticValue(first: u32, at: usize, length: u32): u32 {
  const end = first + load<u8>(traitsOf(first), 9);
  for (let index = first; index < end; index++) {
    const entry = staticEntry(index);
    if (entry.valueLength == length && equals(entry.valueAt, at, length)) return index;
  }
  return 0;
}

function add(name: string, value: string): u32 {
  const index = ++count;
  assert(index < ENTRIES_MAX);
  const nameText = intern(name);
  const hash = hashOf(nameText + 2, textLength(nameText), 0);
  const first = findStaticName(nameText + 2, textLength(nameText), hash);
  const valueText = intern(value);
  const entry = staticEntry(index);
  entry.nameAt = u32((first ? usize(staticEntry(first).nameAt) : nameText + 2));
  entry.nameLength = u16(name.length);
  entry.valueAt = u32(valueText + 2);
  entry.valueLength = value.length;
  entry.known = knownName(nameText + 2, name.length);
  entry.flags = name.charCodeAt(0) == 0x3a ? PSEUDO : 0;
  store<u64>(traitsOf(index), hash);
  if (first != 0) {
    assert(first + load<u8>(traitsOf(first), 9) == index, "entries of one name follow each other");
    store<u8>(traitsOf(first), load<u8>(traitsOf(first), 9) + 1, 9);
    return index;
  }
  store<u8>(traitsOf(index), 1, 9);
  let place = u32(hash) & (PLACES - 1);
  while (load<u8>(byName + place)) place = (place + 1) & (PLACES - 1);
  store<u8>(byName + place, u8(index));
  return index;
}

add(":authority", "");
add(":method", "GET");
add(":method", "POST");
add(":path", "/");
add(":path", "/index.html");
add(":scheme", "http");
add(":scheme", "https");
add(":status", "200");
add(":status", "204");
add(":status", "206");
add(":status", "304");
add(":status", "400");
add(":status", "404");
add(":status", "500");
add("accept-charset", "");
add("accept-encoding", "gzip, deflate");
add("accept-language", "");
add("accept-ranges", "");
add("accept", "");
add("access-control-allow-origin", "");
add("age", "");
add("allow", "");
add("authorization", "");
add("cache-control", "");
add("content-disposition", "");
add("content-encoding", "");
add("content-language", "");
add("content-length", "");
add("content-location", "");
add("content-range", "");
add("content-type", "");
add("cookie", "");
add("date", "");
add("etag", "");
add("expect", "");
add("expires", "");
add("from", "");
add("host", "");
add("if-match", "");
add("if-modified-since", "");
add("if-none-match", "");
add("if-range", "");
add("if-unmodified-since", "");
add("last-modified", "");
add("link", "");
add("location", "");
add("max-forwards", "");
add("proxy-authenticate", "");
add("proxy-authorization", "");
add("range", "");
add("referer", "");
add("refresh", "");
add("retry-after", "");
add("server", "");
add("set-cookie", "");
add("strict-transport-security", "");
add("transfer-encoding", "");
add("user-agent", "");
add("vary", "");
add("via", "");
add("www-authenticate", "");
assert(count == STATIC_COUNT);

function setPolicy(name: string, policy: u8): void {
  const text = intern(name);
  const found = findStaticName(text + 2, textLength(text), hashOf(text + 2, textLength(text), 0));
  const index = found != 0 ? found : add(name, "");
  // a name without an index has no value that could be found either
  if (index > STATIC_COUNT) store<u8>(traitsOf(index), 0, 9);
  store<u8>(traitsOf(index), policy, 8);
}

setPolicy("authorization", NEVER);
setPolicy("proxy-authorization", NEVER);
setPolicy("set-cookie", NEVER);
setPolicy("cookie", NEVER_WHEN_SHORT);
// what differs from message to message, unless it turns out not to
setPolicy(":path", INDEXED_WHEN_REPEATED);
setPolicy("age", INDEXED_WHEN_REPEATED);
setPolicy("content-length", INDEXED_WHEN_REPEATED);
setPolicy("content-range", INDEXED_WHEN_REPEATED);
setPolicy("etag", INDEXED_WHEN_REPEATED);
setPolicy("expires", INDEXED_WHEN_REPEATED);
setPolicy("if-modified-since", INDEXED_WHEN_REPEATED);
setPolicy("if-none-match", INDEXED_WHEN_REPEATED);
setPolicy("last-modified", INDEXED_WHEN_REPEATED);
setPolicy("location", INDEXED_WHEN_REPEATED);
setPolicy("range", INDEXED_WHEN_REPEATED);
setPolicy("x-request-id", INDEXED_WHEN_REPEATED);
setPolicy("traceparent", INDEXED_WHEN_REPEATED);
