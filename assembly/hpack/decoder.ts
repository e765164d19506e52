// A header block (RFC 7541 §6) into the neutral header block of memory.ts: entries, and the bytes of their names and
// values. The block is whole and in one piece; CONTINUATION frames have been joined.
//
// The list is bounded while it comes out (RFC 9113 §6.5.2: 32 bytes more than its text for each field), by its size, by
// the number of its entries and by the room for its bytes. A list that goes beyond is not refused at once, since the
// dynamic table has to stay in step (RFC 9113 §4.3, §10.5.1): the rest is decoded only as far as the table needs it,
// into scratch, and an index then costs no more than adding up. The entries that had come by then stay. Beyond the hard
// bound, or when the block is malformed, the connection cannot go on: every negative result is COMPRESSION_ERROR.
//
// Names and values lie in the given area, except for those of the static table, which stay where they are.

import { HEADER_ENTRY } from "../abi";
import { put } from "../bytes";
import { K_OTHER, knownName } from "../http1/fields";
import { Header, NEVER_INDEXED, PSEUDO } from "../memory";
import { copyFromRing, DynamicTable, ENTRY_OVERHEAD, insert, resize } from "./dynamic_table";
import { decodeHuffman, HUFFMAN_BAD } from "./huffman";
import { INTEGER_CUT, INTEGER_FAULT, integerEnd, readInteger } from "./integers";
import { STATIC_COUNT, staticEntry } from "./static_table";

// ---- results ----

export const DECODED: i32 = 0;
/** The table is in step; what came of the list within the bounds is there. */
export const LIST_TOO_LARGE: i32 = 1;
/** The block ends within a field. */
export const BLOCK_CUT: i32 = -1;
export const NUMBER_TOO_LARGE: i32 = -2;
/** Index 0, or one that neither table has. */
export const INDEX_UNKNOWN: i32 = -3;
export const STRING_BAD: i32 = -4;
/** A size update behind a field (§4.2). */
export const SIZE_LATE: i32 = -5;
/** Larger than what we allow. */
export const SIZE_TOO_LARGE: i32 = -6;
/** We allow less than before, and no size update has said so. */
export const SIZE_MISSING: i32 = -7;
export const LIST_FAR_TOO_LARGE: i32 = -8;

/** An entry of the header block has 16 bits for it. */
const NAME_BYTES_MAX: u32 = 0xffff;
/** Bytes behind the area, the scratch, and each piece copied, that may be read or written too. */
export const DECODER_SLACK: u32 = 16;

// ---- where the list goes ----

let tableAt: usize = 0;
let entriesMax: u32 = 0;
let bytesAt: usize = 0;
let bytesEnd: usize = 0;
let scratchAt: usize = 0;

// ---- what has come of it ----

export let listCount: u32 = 0;
/** By the measure of RFC 9113 §6.5.2. */
export let listSize: u32 = 0;
/** Behind the last byte of the area that is in use. */
export let listEnd: usize = 0;

let isOver: bool = false;
let fault: i32 = 0;
let listSizeMax: u32 = 0;
let listSizeHardMax: u32 = 0;

// the field at hand
let nameAt: usize = 0;
let nameLength: u32 = 0;
let nameKnown: u8 = 0;
let nameFlags: u8 = 0;
let stringLength: u32 = 0;

/**
 * Where the next list goes: up to `count` entries from `entries` on, `room` bytes of text from `bytes` on. `scratch`:
 * as many bytes as the table's capacity, for what is decoded for the table alone. DECODER_SLACK behind both.
 */
export function decodeInto(entries: usize, count: u32, bytes: usize, room: u32, scratch: usize): void {
  tableAt = entries;
  entriesMax = count;
  bytesAt = bytes;
  bytesEnd = bytes + room;
  scratchAt = scratch;
}

/**
 * Decodes the block of `length` bytes at `at`. A list of more than `sizeMax` is LIST_TOO_LARGE, of more than
 * `sizeHardMax` LIST_FAR_TOO_LARGE.
 */
export function decodeBlock(table: DynamicTable, at: usize, length: u32, sizeMax: u32, sizeHardMax: u32): i32 {
  const end = at + length;
  listCount = listSize = 0;
  listEnd = bytesAt;
  isOver = false;
  listSizeMax = sizeMax;
  listSizeHardMax = sizeHardMax;
  at = takeSizeUpdates(table, at, end);
  while (at != 0 && at < end) at = takeField(table, at, end);
  if (at == 0) return fault;
  return isOver ? LIST_TOO_LARGE : DECODED;
}

/** Notes the fault; the address that no further byte is at. */
@inline
function refuse(code: i32): usize {
  fault = code;
  return 0;
}

@inline
function refuseNumber(number: u32): usize {
  return refuse(number == INTEGER_CUT ? BLOCK_CUT : NUMBER_TOO_LARGE);
}

/** §4.2: they stand at the beginning, and the first says the least that we have allowed since the last block. */
function takeSizeUpdates(table: DynamicTable, at: usize, end: usize): usize {
  while (at < end && (load<u8>(at) & 0xe0) == 0x20) {
    const size = readInteger(at, end, 31);
    if (size >= INTEGER_FAULT) return refuseNumber(size);
    if (size > (table.isUpdateDue ? table.allowedLeast : table.allowed)) return refuse(SIZE_TOO_LARGE);
    resize(table, size);
    table.allowedLeast = table.allowed;
    at = integerEnd;
  }
  if (table.isUpdateDue) return refuse(SIZE_MISSING);
  table.allowedLeast = table.allowed;
  return at;
}

/** One field; the address behind it, or 0. */
@inline
function takeField(table: DynamicTable, at: usize, end: usize): usize {
  const first = load<u8>(at);
  if (first & 0x80) return takeIndexed(table, at, end);
  if (first & 0x40) return takeLiteral(table, at, end, 63, 0, true);
  if (first & 0x20) return refuse(SIZE_LATE);
  return takeLiteral(table, at, end, 15, first & 0x10 ? NEVER_INDEXED : 0, false);
}

// ---- §6.1 ----

function takeIndexed(table: DynamicTable, at: usize, end: usize): usize {
  const index = readInteger(at, end, 127);
  if (index - 1 < STATIC_COUNT) {
    const entry = staticEntry(index);
    if (!count(entry.nameLength, entry.valueLength)) return refuse(LIST_FAR_TOO_LARGE);
    if (isOver) return integerEnd;
    v128.store(tableAt + listCount * HEADER_ENTRY, v128.load(changetype<usize>(entry)));
    listCount++;
    return integerEnd;
  }
  if (index >= INTEGER_FAULT) return refuseNumber(index);
  if (index == 0 || index - STATIC_COUNT > table.count) return refuse(INDEX_UNKNOWN);
  return takeDynamic(table, index - STATIC_COUNT - 1);
}

@inline
function takeDynamic(table: DynamicTable, age: u32): usize {
  const entry = table.entry(age);
  const name = u32(entry.nameLength);
  const value = u32(entry.valueLength);
  if (!count(name, value)) return refuse(LIST_FAR_TOO_LARGE);
  if (name + value > u32(bytesEnd - listEnd)) isOver = true;
  if (isOver) return integerEnd;
  const to = listEnd;
  copyFromRing(table, entry.at, to, name + value);
  addEntry(to, name, to + name, value, entry.known, entry.flags);
  listEnd = to + name + value;
  return integerEnd;
}

/**
 * Adds a field's size to the list's; false beyond the hard bound. Notes when the list, or its entries, are too many.
 */
@inline
function count(name: u32, value: u32): bool {
  listSize += name + value + ENTRY_OVERHEAD;
  if (listSize > listSizeMax || listCount == entriesMax) isOver = true;
  return listSize <= listSizeHardMax;
}

@inline
function addEntry(name: usize, nameBytes: u32, value: usize, valueBytes: u32, known: u8, flags: u8): void {
  const header = changetype<Header>(tableAt + listCount * HEADER_ENTRY);
  header.nameAt = u32(name);
  header.valueAt = u32(value);
  header.valueLength = valueBytes;
  header.nameLength = u16(nameBytes);
  header.known = known;
  header.flags = flags;
  listCount++;
}

// ---- §6.2 ----

/** `mask`: of the index of the name; `flags`: of the entry; `inserts`: whether the table gets it (§6.2.1). */
function takeLiteral(table: DynamicTable, at: usize, end: usize, mask: u32, flags: u8, inserts: bool): usize {
  if (!isOver) {
    const next = takeStrings(table, at, end, mask, listEnd, u32(bytesEnd - listEnd));
    if (next == 0) return 0;
    if (!isOver) return endLiteral(table, next, flags, inserts);
    // what has no room is decoded again for the table alone
  }
  const next = takeStrings(table, at, end, mask, scratchAt, table.capacity);
  return next == 0 ? 0 : endLiteral(table, next, flags, inserts);
}

let valueAt: usize = 0;

/**
 * Name and value of a literal into `room` bytes at `to`; isOver when they do not fit. The address behind the field, or
 * 0.
 */
function takeStrings(table: DynamicTable, at: usize, end: usize, mask: u32, to: usize, room: u32): usize {
  const index = readInteger(at, end, mask);
  if (index >= INTEGER_FAULT) return refuseNumber(index);
  at = integerEnd;
  if (index == 0) {
    at = takeString(at, end, to, room);
    if (at == 0) return 0;
    useName(to, stringLength, room);
  } else if (!takeName(table, index, to, room)) return 0;
  const used: u32 = index - 1 < STATIC_COUNT ? 0 : nameLength;
  if (used > min(room, NAME_BYTES_MAX)) isOver = true;
  const rest = room - min(used, room);
  valueAt = to + (room - rest);
  at = takeString(at, end, valueAt, rest);
  if (stringLength > rest) isOver = true;
  return at;
}

@inline
function useName(at: usize, length: u32, room: u32): void {
  nameAt = at;
  nameLength = length;
  nameKnown = length <= room ? knownName(at, length) : K_OTHER;
  nameFlags = length > 0 && load<u8>(at) == 0x3a ? PSEUDO : 0;
}

/**
 * The name of entry `index`, copied to `to` if it is a dynamic one, since the entry may have to go; false: there is
 * none.
 */
function takeName(table: DynamicTable, index: u32, to: usize, room: u32): bool {
  if (index <= STATIC_COUNT) {
    const entry = staticEntry(index);
    nameAt = entry.nameAt;
    nameLength = entry.nameLength;
    nameKnown = entry.known;
    nameFlags = entry.flags;
    return true;
  }
  if (index - STATIC_COUNT > table.count) return refuse(INDEX_UNKNOWN) != 0;
  const entry = table.entry(index - STATIC_COUNT - 1);
  nameAt = to;
  nameLength = entry.nameLength;
  nameKnown = entry.known;
  nameFlags = entry.flags;
  copyFromRing(table, entry.at, to, min(nameLength, room));
  return true;
}

/** §5.2: a string into `room` bytes at `to`, as far as it fits; its whole length in stringLength. */
function takeString(at: usize, end: usize, to: usize, room: u32): usize {
  if (at >= end) return refuse(BLOCK_CUT);
  const coded = (load<u8>(at) & 0x80) != 0;
  const length = readInteger(at, end, 127);
  if (length >= INTEGER_FAULT) return refuseNumber(length);
  at = integerEnd;
  if (length > u32(end - at)) return refuse(BLOCK_CUT);
  if (coded) {
    const decoded = decodeHuffman(at, length, to, room);
    if (decoded == HUFFMAN_BAD) return refuse(STRING_BAD);
    stringLength = decoded;
  } else {
    put(to, at, min(length, room));
    stringLength = length;
  }
  return at + length;
}

@inline
function endLiteral(table: DynamicTable, next: usize, flags: u8, inserts: bool): usize {
  if (!count(nameLength, stringLength)) return refuse(LIST_FAR_TOO_LARGE);
  if (inserts) insert(table, nameAt, nameLength, valueAt, stringLength, nameKnown, nameFlags);
  if (isOver) return next;
  addEntry(nameAt, nameLength, valueAt, stringLength, nameKnown, nameFlags | flags);
  listEnd = valueAt + stringLength;
  return next;
}
