// What an encoder's table has besides the entries: from a field to its index in constant time. Two sets of buckets, for
// whole fields and for names, hold the numbers of the last four entries that fell into them. Like the table itself they
// forget what is oldest, so they are never cleaned: a number is looked up, found to be evicted or of another text, and
// then it is not that one. What collides more often is found less often, which costs some bytes, and nobody can make a
// search longer. A filter remembers the fields that were sent once, for names that are only indexed when a value comes
// again.
//
// A table of N bytes takes encoderTableBytes(N) = tableBytes(N) + 256 + 16 × B bytes, B the power of two from N / 64
// up: 6,464 for 4,096.

import { beginSmallTable, beginTable, DynamicTable, insert, ringEquals, tableBytes } from "./dynamic_table";

const SEEN_PLACES: u32 = 128;
const SEEN_BYTES: u32 = 2 * SEEN_PLACES;
/** Four numbers of 16 bits, the newest lowest. */
const BUCKET_BYTES: u32 = 8;

/** Half as many as there may be entries, rounded up to a power of two. */
function bucketCount(capacity: u32): u32 {
  return 1 << (32 - clz(max<u32>(capacity >> 6, 1) - 1));
}

export function encoderTableBytes(capacity: u32): u32 {
  return tableBytes(capacity) + lookupBytes(capacity);
}

/** What lies behind the table. */
export function lookupBytes(capacity: u32): u32 {
  return 2 * bucketCount(capacity) * BUCKET_BYTES + SEEN_BYTES;
}

/** An empty table of an encoder at `at`; the capacity as for beginTable(), or less than SIZE_AT_FIRST. */
export function beginEncoderTable(at: usize, capacity: u32): DynamicTable {
  return beginLookup(beginTable(at, capacity), at + tableBytes(capacity));
}

/** As beginSmallTable; what is looked up by has its whole size from the beginning. */
export function beginSmallEncoderTable(at: usize, capacity: u32, small: u32, spareAt: u32): DynamicTable {
  return beginLookup(beginSmallTable(at, capacity, small, spareAt), at + tableBytes(small));
}

function beginLookup(table: DynamicTable, at: usize): DynamicTable {
  table.bucketsAt = u32(at);
  table.bucketMask = bucketCount(table.capacity) - 1;
  memory.fill(table.bucketsAt, 0, lookupBytes(table.capacity));
  return table;
}

@inline
function pairBucket(table: DynamicTable, hash: u64): usize {
  return usize(table.bucketsAt + (u32(hash) & table.bucketMask) * BUCKET_BYTES);
}

@inline
function nameBucket(table: DynamicTable, hash: u64): usize {
  return usize(table.bucketsAt + (table.bucketMask + 1 + (u32(hash) & table.bucketMask)) * BUCKET_BYTES);
}

/** How many entries are newer than the lowest one in `numbers`; `count` or more: it is gone. */
@inline
function ageOf(table: DynamicTable, numbers: u64): u32 {
  return (table.inserted - u32(numbers)) & 0xffff;
}

/** Age of an entry with this name, 0 for the newest, or -1. `hash`: of the name. */
export function findName(table: DynamicTable, hash: u64, nameAt: usize, nameLength: u32): i32 {
  let numbers = load<u64>(nameBucket(table, hash));
  for (let left = 4; left > 0; left--, numbers >>= 16) {
    const age = ageOf(table, numbers);
    if (age >= table.count) return -1;
    const entry = table.entry(age);
    if (entry.nameLength == nameLength && ringEquals(table, entry.at, nameAt, nameLength)) return age;
  }
  return -1;
}

/**
 * Age of the entry with this name and value, or -1. `hash`: of both; `found`: what findStaticName() gives for the name,
 * which an entry has noted too: unless it is 0, the name need not be compared.
 */
export function findPair(
  table: DynamicTable,
  hash: u64,
  found: u32,
  nameAt: usize,
  nameLength: u32,
  valueAt: usize,
  valueLength: u32,
): i32 {
  let numbers = load<u64>(pairBucket(table, hash));
  for (let left = 4; left > 0; left--, numbers >>= 16) {
    const age = ageOf(table, numbers);
    if (age >= table.count) return -1;
    const entry = table.entry(age);
    if (entry.known != found || entry.nameLength != nameLength || entry.valueLength != valueLength) continue;
    const at = u32(entry.at);
    if (!ringEquals(table, at + nameLength, valueAt, valueLength)) continue;
    if (found != 0 || ringEquals(table, at, nameAt, nameLength)) return age;
  }
  return -1;
}

/** Inserts a field that will be looked for. `nameHash`, `hash`: of the name, and of both; `found` as for findPair(). */
export function insertFindable(
  table: DynamicTable,
  nameHash: u64,
  hash: u64,
  found: u32,
  nameAt: usize,
  nameLength: u32,
  valueAt: usize,
  valueLength: u32,
): void {
  insert(table, nameAt, nameLength, valueAt, valueLength, u8(found), 0);
  const number = u64(table.inserted & 0xffff);
  const pair = pairBucket(table, hash);
  store<u64>(pair, load<u64>(pair) << 16 | number);
  const name = nameBucket(table, nameHash);
  store<u64>(name, load<u64>(name) << 16 | number);
}

/** Whether that field has been sent before, as far as is remembered; it is from now on. */
export function wasSeen(table: DynamicTable, hash: u64): bool {
  const filterAt = table.bucketsAt + 2 * (table.bucketMask + 1) * BUCKET_BYTES;
  const place = usize(filterAt + (u32(hash >> 16) & (SEEN_PLACES - 1)) * 2);
  const tag = u16(hash >> 32) | 1;
  if (load<u16>(place) == tag) return true;
  store<u16>(place, tag);
  return false;
}
