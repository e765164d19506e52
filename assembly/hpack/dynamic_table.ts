// A dynamic table (RFC 7541 §2.3.2, §4): a region of memory that somebody else has placed, known by its address. The
// same for both directions; what the encoder needs to find entries by their content lies behind it (lookup.ts).
//
//        0  capacity, sizes, places   64 bytes, drawn in DynamicTable
//       64  entries                   ring of capacity / 32, 8 bytes each
//           bytes                     ring of `capacity` bytes: name and value of each entry, one behind the other
//
// A table of N bytes takes tableBytes(N) = 64 + N / 4 + N: 5,184 for 4,096. An entry counts for 32 bytes more than its
// text (§4.1), so neither ring can be full before the table is. Both wrap anywhere, also within a name.
//
// Most tables never hold much. So one may begin with rings of a small table, and get those that it is entitled to, which
// somebody has placed elsewhere, when something does not fit: then everything moves there, once.

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
  /** Address of the ring of bytes, and its size: capacity, or less while the table is small. */
  bytesAt: u32;
  ringBytes: u32;
  /** Address of the ring of entries. */
  entriesAt: u32;
  /** Where the rings for all of the capacity are, while others are in use. */
  spareAt: u32;
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
    return changetype<TableEntry>(usize(this.entriesAt + place * ENTRY_BYTES));
  }
}

/** Bytes of memory that a table of `capacity` takes. */
export function tableBytes(capacity: u32): u32 {
  return HEAD_BYTES + ringsBytes(capacity);
}

/** Bytes of both rings. */
@inline
export function ringsBytes(capacity: u32): u32 {
  return (capacity >> 5) * ENTRY_BYTES + capacity;
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
  useRings(table, u32(at) + HEAD_BYTES, capacity);
  table.spareAt = 0;
  return table;
}

/** As beginTable, with rings for `small` bytes behind the head, and those for all of the capacity at `spareAt`. */
export function beginSmallTable(at: usize, capacity: u32, small: u32, spareAt: u32): DynamicTable {
  const table = beginTable(at, capacity);
  useRings(table, u32(at) + HEAD_BYTES, small);
  table.spareAt = spareAt;
  return table;
}

function useRings(table: DynamicTable, at: u32, bytes: u32): void {
  table.entriesAt = at;
  table.places = bytes >> 5;
  table.bytesAt = at + table.places * ENTRY_BYTES;
  table.ringBytes = bytes;
}

/** Moves everything to the rings that are large enough for whatever may come. */
function spread(table: DynamicTable): void {
  const entriesAt = table.entriesAt;
  const places = table.places;
  const bytesAt = table.bytesAt;
  const ringBytes = table.ringBytes;
  const count = table.count;
  let place = table.newest + places - (count - 1);
  useRings(table, table.spareAt, table.capacity);
  table.spareAt = table.nextAt = 0;
  for (let i: u32 = 0; i < count; i++, place++) {
    const from = changetype<TableEntry>(usize(entriesAt + (place % places) * ENTRY_BYTES));
    const to = changetype<TableEntry>(usize(table.entriesAt + i * ENTRY_BYTES));
    const length = u32(from.nameLength) + u32(from.valueLength);
    const first = min(length, ringBytes - u32(from.at));
    store<u64>(changetype<usize>(to), load<u64>(changetype<usize>(from)));
    to.at = u16(table.nextAt);
    putIntoRing(table, bytesAt + u32(from.at), first);
    putIntoRing(table, bytesAt, length - first);
  }
  table.newest = count == 0 ? 0 : count - 1;
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
  if (table.spareAt != 0 && !hasRoom(table, nameLength + valueLength)) spread(table);
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

/** Whether another entry, with `length` bytes of text, fits into rings that are small. */
@inline
function hasRoom(table: DynamicTable, length: u32): bool {
  return table.count < table.places && table.size - table.count * ENTRY_OVERHEAD + length <= table.ringBytes;
}

function putIntoRing(table: DynamicTable, from: usize, length: u32): void {
  const at = usize(table.bytesAt);
  const first = min(length, table.ringBytes - table.nextAt);
  putExactly(at + table.nextAt, from, first);
  if (first < length) putExactly(at, from + first, length - first);
  const next = table.nextAt + length;
  table.nextAt = next >= table.ringBytes ? next - table.ringBytes : next;
}

/** Copies `length` bytes of the ring from `offset` on; up to 15 bytes behind them at `to` are written too. */
@inline
export function copyFromRing(table: DynamicTable, offset: u32, to: usize, length: u32): void {
  const first = min(length, table.ringBytes - offset);
  put(to, usize(table.bytesAt) + offset, first);
  if (first < length) put(to + first, table.bytesAt, length - first);
}

/** Whether the ring has these bytes from `offset` on, which may be too large by up to its size. */
export function ringEquals(table: DynamicTable, offset: u32, at: usize, length: u32): bool {
  if (offset >= table.ringBytes) offset -= table.ringBytes;
  const first = table.ringBytes - offset;
  if (length <= first) return equals(usize(table.bytesAt) + offset, at, length);
  return equals(usize(table.bytesAt) + offset, at, first) && equals(table.bytesAt, at + first, length - first);
}
