// Fields into a header block (RFC 7541 §6), one after the other: beginBlock(), then encodeField() for each. What a
// table has is one index. Of the rest (static_table.ts holds the list of names):
//
//   always indexed from now on   most fields: connections carry the same ones over and over
//   indexed when repeated        what tends to differ each time (paths, lengths, validators): sent without indexing at
//                                first, indexed when the same value comes a second time
//   never indexed (§7.1.3)       authorization, proxy-authorization, set-cookie, cookies shorter than 20 bytes, which
//                                could be guessed, and whatever came so from another hop
//
// Over the public stories this makes 0.98 of nghttp2's bytes; indexing everything but secrets at once would make 3 %
// more.
//
// Strings are in Huffman code when that is shorter. The caller has room for everything that it hands over:
// FIELD_BYTES_MAX more than the bytes of name and value for each field, BLOCK_BYTES_MAX for the block, and SLACK
// behind. Names are in lower case already (RFC 9113 §8.2). The table changes with each field, so a block that was begun
// has to be sent.

import { put, putDecimal } from "../bytes";
import { NEVER_INDEXED } from "../memory";
import { DynamicTable, ENTRY_OVERHEAD, resize } from "./dynamic_table";
import { huffmanLength, putHuffman } from "./huffman";
import { putInteger } from "./integers";
import { findName, findPair, insertFindable, wasSeen } from "./lookup";
import {
  findStaticName, findStaticValue, hashOf, INDEXED, INDEXED_WHEN_REPEATED, nameHashOf, NEVER, NEVER_WHEN_SHORT,
  policyOf, S_STATUS, STATIC_COUNT, staticEntry,
} from "./static_table";

/** What a field takes at most besides name and value: an octet, the lengths of both. */
export const FIELD_BYTES_MAX: u32 = 13;
/** Two size updates. */
export const BLOCK_BYTES_MAX: u32 = 12;
/** Bytes behind what is written that may be written too. */
export const SLACK: u32 = 16;

/** Cookies shorter than this can be found by guessing (RFC 7541 §7.1.3 leaves the number open). */
const COOKIE_BYTES_MIN: u32 = 20;

// The forms of a field: the bits above the index (§6.1, §6.2) and those of the index itself.
const FORM_INDEX: u32 = 0x80;
const FORM_INSERT: u32 = 0x40;
const FORM_PLAIN: u32 = 0x00;
const FORM_NEVER: u32 = 0x10;
const FORM_SIZE: u32 = 0x20;

/**
 * Begins a block at `to`: the size updates that are due (§4.2), the least size first. Returns the address behind them.
 */
export function beginBlock(table: DynamicTable, to: usize): usize {
  if (table.isUpdateDue) to = putSize(table, to, table.allowedLeast);
  if (table.allowed != table.sizeMax) to = putSize(table, to, table.allowed);
  table.allowedLeast = table.allowed;
  return to;
}

function putSize(table: DynamicTable, to: usize, size: u32): usize {
  resize(table, size);
  return putInteger(to, FORM_SIZE, 31, size);
}

/**
 * Writes one field; `flags`: those of a header entry, of which NEVER_INDEXED is looked at. Returns the address behind
 * it.
 */
export function encodeField(
  table: DynamicTable,
  to: usize,
  nameAt: usize,
  nameLength: u32,
  valueAt: usize,
  valueLength: u32,
  flags: u32,
): usize {
  const hash = hashOf(nameAt, nameLength, 0);
  const found = findStaticName(nameAt, nameLength, hash);
  return encode(table, to, found, hash, nameAt, nameLength, valueAt, valueLength, flags);
}

/** The same for a name by its index in the static table, which saves looking for it. */
export function encodeStaticName(
  table: DynamicTable,
  to: usize,
  index: u32,
  valueAt: usize,
  valueLength: u32,
  flags: u32,
): usize {
  const entry = staticEntry(index);
  return encode(table, to, index, nameHashOf(index), entry.nameAt, entry.nameLength, valueAt, valueLength, flags);
}

const digits: usize = memory.data(32);

/** The same for a value that is a number. */
export function encodeNumber(table: DynamicTable, to: usize, index: u32, value: u64): usize {
  return encodeStaticName(table, to, index, digits, u32(putDecimal(digits, value) - digits), 0);
}

/** `:status`; seven of them are one octet. */
export function encodeStatus(table: DynamicTable, to: usize, status: u32): usize {
  switch (status) {
    case 200: return putInteger(to, FORM_INDEX, 127, S_STATUS);
    case 204: return putInteger(to, FORM_INDEX, 127, S_STATUS + 1);
    case 206: return putInteger(to, FORM_INDEX, 127, S_STATUS + 2);
    case 304: return putInteger(to, FORM_INDEX, 127, S_STATUS + 3);
    case 404: return putInteger(to, FORM_INDEX, 127, S_STATUS + 5);
    default: return encodeNumber(table, to, S_STATUS, status);
  }
}

/** `found`: what findStaticName() gives for the name, `nameHash` its hash. */
function encode(
  table: DynamicTable,
  to: usize,
  found: u32,
  nameHash: u64,
  nameAt: usize,
  nameLength: u32,
  valueAt: usize,
  valueLength: u32,
  flags: u32,
): usize {
  const policy = found != 0 ? policyOf(found) : INDEXED;
  let form = FORM_NEVER;
  let hash: u64 = 0;
  const isSecret = (flags & NEVER_INDEXED) != 0 || policy == NEVER ||
    (policy == NEVER_WHEN_SHORT && valueLength < COOKIE_BYTES_MIN);
  if (!isSecret) {
    const same = found != 0 ? findStaticValue(found, valueAt, valueLength) : 0;
    if (same != 0) return putInteger(to, FORM_INDEX, 127, same);
    hash = hashOf(valueAt, valueLength, nameHash);
    const age = findPair(table, hash, found, nameAt, nameLength, valueAt, valueLength);
    if (age >= 0) return putInteger(to, FORM_INDEX, 127, STATIC_COUNT + 1 + age);
    form = paysToIndex(table, policy, hash, nameLength, valueLength) ? FORM_INSERT : FORM_PLAIN;
  }
  const index = found != 0 && found <= STATIC_COUNT ? found : nameIndex(table, nameHash, nameAt, nameLength);
  to = putInteger(to, form, form == FORM_INSERT ? 63 : 15, index);
  if (index == 0) to = putString(to, nameAt, nameLength);
  to = putString(to, valueAt, valueLength);
  if (form == FORM_INSERT) insertFindable(table, nameHash, hash, found, nameAt, nameLength, valueAt, valueLength);
  return to;
}

@inline
function nameIndex(table: DynamicTable, hash: u64, at: usize, length: u32): u32 {
  const age = findName(table, hash, at, length);
  return age < 0 ? 0 : STATIC_COUNT + 1 + age;
}

/** An entry that drives out most others does not pay; one that drives out all never does. */
@inline
function paysToIndex(table: DynamicTable, policy: u8, hash: u64, nameLength: u32, valueLength: u32): bool {
  const size = u64(nameLength) + u64(valueLength) + ENTRY_OVERHEAD;
  if (size > table.sizeMax - (table.sizeMax >> 2)) return false;
  return policy != INDEXED_WHEN_REPEATED || wasSeen(table, hash);
}

/** A string literal (§5.2). */
function putString(to: usize, at: usize, length: u32): usize {
  const coded = huffmanLength(at, length);
  if (coded >= length) return put(putInteger(to, 0, 127, length), at, length);
  return putHuffman(putInteger(to, 0x80, 127, coded), at, length);
}
