// A dynamic table (RFC 7541 §2.3.2, §4): a region of memory that somebody else has placed, known by its address. The
// same for both directions; what the encoder needs to find entries by their content lies behind it (lookup.ts).
//
//        0  capacity, sizes, places   64 bytes, drawn in DynamicTable
//       64  entries                   ring of capacity / 32, 8 bytes each
//           bytes                     ring of `capacity` bytes: name and value of each entry, one behind the other
//
// A table of N bytes takes tableBytes(N) = 64 + N / 4 + N: 5,184 for 4,096. An entry counts for 32 bytes more than its
// text (§4.1), so neither ring can be full before the table is. Both wrap anywhere, also within a name.

import { equals, put, putExactly } from "../bytes";

/** What each entry counts for besides its name and value (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD: u32 = 32;
/** The size that holds before anything else was said (RFC 9113 §6.5.2). */
export const SIZE_AT_FIRST: u32 = 4096;
/** Offsets into the ring of bytes, and lengths, are kept in 16 bits. */
export const CAPACITY_MAX: u32 = 65536;

const HEAD_BYTES: u32 = 64;
const ENTRY_BYTES: u32 = 8;

@unmanaged
export class TableEntry {
  /** Where the name begins in the ring of bytes; the value follows it. */
  at: u16;
  nameLength: u16;
  valueLength: u16;
  /** Decoder: knownName() of the name. Encoder: its place in the static table, or 0. */
  known: u8;
  flags: u8;
}

@unmanaged
export class DynamicTable {
  /** What the region was made for. */
  capacity: u32;
  /** What the table may grow to: the receiver's SETTINGS_HEADER_TABLE_SIZE, or capacity when that is less. */
  allowed: u32;
  /** What it may grow to now, by the last size update (§6.3). */
  sizeMax: u32;
  /** Of all entries together (§4.1). */
  size: u32;
  count: u32;
  /** Place of the newest entry in the ring of entries. */
  newest: u32;
  /** Places in that ring. */
  places: u32;
  /** Offset in the ring of bytes where the next entry begins. */
  nextAt: u32;
  /** Address of the ring of bytes. */
  bytesAt: u32;
  /** Entries inserted since the beginning. */
  inserted: u32;
  /** The least that `allowed` has been since the last header block. */
  allowedLeast: u32;
  /** Encoder only, see lookup.ts: where its buckets are, and their number less one. */
  bucketsAt: u32;
  bucketMask: u32;

  /** §4.2: what is smaller now has to be signalled, at its smallest, before the next field. */
  @inline get isUpdateDue(): bool { return this.allowedLeast < this.sizeMax; }

  /** Entry `index`, 0 for the newest; unchecked: index < count. */
  @inline entry(index: u32): TableEntry {
    let place = this.newest - index;
    if (i32(place) < 0) place += this.places;
    return changetype<TableEntry>(changetype<usize>(this) + HEAD_BYTES + place * ENTRY_BYTES);
  }
}

/** Bytes of memory that a table of `capacity` takes. */
export function tableBytes(capacity: u32): u32 {
  return HEAD_BYTES + (capacity >> 5) * ENTRY_BYTES + capacity;
}

/**
 * An empty table at `at`, of a size that is a multiple of 32 and at most CAPACITY_MAX. A decoder's capacity is
 * SIZE_AT_FIRST at least: before a peer has read our settings it goes by that.
 */
export function beginTable(at: usize, capacity: u32): DynamicTable {
  assert(capacity <= CAPACITY_MAX && (capacity & 31) == 0);
  const table = changetype<DynamicTable>(at);
  table.capacity = capacity;
  table.allowed = table.allowedLeast = min(capacity, SIZE_AT_FIRST);
  table.sizeMax = SIZE_AT_FIRST;
  table.size = table.count = table.newest = table.nextAt = table.inserted = 0;
  table.places = capacity >> 5;
  table.bytesAt = u32(at) + HEAD_BYTES + table.places * ENTRY_BYTES;
  return table;
}

/**
 * The receiver's SETTINGS_HEADER_TABLE_SIZE is another one now: told to the decoder's table when the peer has
 * acknowledged ours, to the encoder's when the peer's has come.
 */
export function allowSize(table: DynamicTable, size: u32): void {
  table.allowed = min(size, table.capacity);
  table.allowedLeast = min(table.allowedLeast, table.allowed);
}

/** §4.3: a size update has come or is sent. */
export function resize(table: DynamicTable, sizeMax: u32): void {
  table.sizeMax = sizeMax;
  evictTo(table, sizeMax);
}

/** Throws out the oldest entries until `size` is left. */
function evictTo(table: DynamicTable, size: u32): void {
  while (table.size > size) {
    const oldest = table.entry(table.count - 1);
    table.size -= u32(oldest.nameLength) + u32(oldest.valueLength) + ENTRY_OVERHEAD;
    table.count--;
  }
}

/**
 * §4.4: makes room and inserts; an entry larger than the table leaves it empty. Name and value lie outside of the
 * table.
 */
export function insert(
  table: DynamicTable,
  nameAt: usize,
  nameLength: u32,
  valueAt: usize,
  valueLength: u32,
  known: u8,
  flags: u8,
): void {
  const size = u64(nameLength) + u64(valueLength) + ENTRY_OVERHEAD;
  if (size > table.sizeMax) return evictTo(table, 0);
  evictTo(table, table.sizeMax - u32(size));
  table.newest = table.newest + 1 == table.places ? 0 : table.newest + 1;
  table.size += u32(size);
  table.count++;
  table.inserted++;
  const entry = table.entry(0);
  entry.at = u16(table.nextAt);
  entry.nameLength = u16(nameLength);
  entry.valueLength = u16(valueLength);
  entry.known = known;
  entry.flags = flags;
  putIntoRing(table, nameAt, nameLength);
  putIntoRing(table, valueAt, valueLength);
}

function putIntoRing(table: DynamicTable, from: usize, length: u32): void {
  const at = usize(table.bytesAt);
  const first = min(length, table.capacity - table.nextAt);
  putExactly(at + table.nextAt, from, first);
  if (first < length) putExactly(at, from + first, length - first);
  const next = table.nextAt + length;
  table.nextAt = next >= table.capacity ? next - table.capacity : next;
}

/** Copies `length` bytes of the ring from `offset` on; up to 15 bytes behind them at `to` are written too. */
@inline
export function copyFromRing(table: DynamicTable, offset: u32, to: usize, length: u32): void {
  const first = min(length, table.capacity - offset);
  put(to, usize(table.bytesAt) + offset, first);
  if (first < length) put(to + first, table.bytesAt, length - first);
}

/** Whether the ring has these bytes from `offset` on, which may be up to `capacity` too large. */
export function ringEquals(table: DynamicTable, offset: u32, at: usize, length: u32): bool {
  if (offset >= table.capacity) offset -= table.capacity;
  const first = table.capacity - offset;
  if (length <= first) return equals(usize(table.bytesAt) + offset, at, length);
  return equals(usize(table.bytesAt) + offset, at, first) && equals(table.bytesAt, at + first, length - first);
}
