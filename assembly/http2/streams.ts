// The streams of a connection, found by their id: a table with open addressing. It is at least twice as large as the number
// of streams, so a search is short, whatever ids the peer chooses. Few streams have a small table in the connection's
// record; when they become more they move to a large one, and back when all have ended.
//
// An entry is id u32 | record u32. Instead of a record's address (all lie far above) there may be an error code: the stream
// is gone, and RST_STREAM with it is owed until there is room in the replies. Such a stream still counts.

import { H2_REPLIES, H2_REPLIES_AT, H2_ROLE_CLIENT } from "../abi";
import { H2_PLACES_SMALL, h2StreamSlots, Record } from "../memory";
import { Connection, PRIORITY_AT_FIRST, putReset, REPLY_RESERVE, takeEarlyPriority } from "./connection";
import { creditConnection, writeOwedUpdates } from "./flow";
import { IDLE_OURS, IDLE_THEIRS } from "./states";

/** What a record's message waits for. */
export const MESSAGE_HEAD: u8 = 0;
export const MESSAGE_BODY: u8 = 1;
export const MESSAGE_OVER: u8 = 2;

/** What contentLeft says that is no number: any content may come; and it is a tunnel, in which nothing but DATA does (§8.5). */
export const CONTENT_ANY: i64 = -1;
export const CONTENT_TUNNEL: i64 = -2;

/** Below it, an entry holds a code. */
const CODES_END: u32 = 256;

@inline
function tableAt(connection: Connection): usize {
  return usize(connection.placesAt);
}

/** Where an id belongs; what is beyond the table's mask is left out. */
@inline
function placeOf(id: u32): u32 {
  return (id >> 1) * 0x9e3779b1 >> 7;
}

/** No streams. */
export function beginStreams(connection: Connection): void {
  useTable(connection, u32(changetype<usize>(connection)) + H2_REPLIES_AT + H2_REPLIES, H2_PLACES_SMALL);
}

/** An empty table. */
function useTable(connection: Connection, at: u32, places: u32): void {
  connection.placesAt = at;
  connection.placesMask = places - 1;
  memory.fill(at, 0, places << 3);
}

/** Room for one more, with as many places free as taken. */
function makeRoom(connection: Connection): void {
  const places = connection.placesMask + 1;
  if ((connection.streams + 1) << 1 <= places || places >= h2StreamSlots) return;
  const from = tableAt(connection);
  useTable(connection, connection.spareAt, h2StreamSlots);
  for (let at = from; at < from + (places << 3); at += 8) {
    if (load<u32>(at) != 0) store<u64>(find(connection, load<u32>(at)), load<u64>(at));
  }
}

/** Place of the entry, or of the free one where it would be. */
function find(connection: Connection, id: u32): usize {
  const table = tableAt(connection);
  const mask = connection.placesMask;
  let at = table + ((placeOf(id) & mask) << 3);
  while (load<u32>(at) != id && load<u32>(at) != 0) at = table + (((u32(at - table) >> 3) + 1 & mask) << 3);
  return at;
}

/** The record of a stream, or null. Unchecked: id > 0. */
export function findStream(connection: Connection, id: u32): Record {
  const at = find(connection, id);
  const record = load<u32>(at) == id ? load<u32>(at, 4) : 0;
  return changetype<Record>(usize(record < CODES_END ? 0 : record));
}

/** Begins a stream in `record`. Unchecked: there are fewer than the most that there may be. */
export function beginStream(connection: Connection, record: Record, id: u32): void {
  makeRoom(connection);
  const at = find(connection, id);
  store<u32>(at, id);
  store<u32>(at, u32(changetype<usize>(record)), 4);
  connection.streams++;
  record.streamId = id;
  record.contentLeft = CONTENT_ANY;
  record.sendWindow = connection.peerWindow;
  record.recvWindow = connection.streamWindow;
  record.held = record.owed = record.exchange = 0;
  record.message = MESSAGE_HEAD;
  record.state = connection.role == H2_ROLE_CLIENT ? IDLE_OURS : IDLE_THEIRS;
  const early = takeEarlyPriority(connection, id);
  record.priority = early < 0 ? PRIORITY_AT_FIRST : u8(early);
  record.hasPriority = early >= 0;
}

/** What the caller still holds of its body counts as used: nobody will say so later. */
export function forgetStream(connection: Connection, record: Record): void {
  const id = record.streamId;
  if (id == 0) return;
  creditConnection(connection, record.held);
  record.held = 0;
  record.streamId = 0;
  remove(connection, id);
}

/** Backward shift: entries behind that were pushed away from their place move up, so that no search ends early. */
function remove(connection: Connection, id: u32): void {
  const table = tableAt(connection);
  const mask = connection.placesMask;
  let hole = u32(find(connection, id) - table) >> 3;
  if (load<u32>(table + (hole << 3)) != id) return;
  connection.streams--;
  let next = hole;
  for (;;) {
    next = (next + 1) & mask;
    const other = load<u32>(table + (next << 3));
    if (other == 0) break;
    if (((next - placeOf(other)) & mask) < ((next - hole) & mask)) continue;
    store<u64>(table + (hole << 3), load<u64>(table + (next << 3)));
    hole = next;
  }
  store<u64>(table + (hole << 3), 0);
  if (connection.streams == 0 && mask + 1 > H2_PLACES_SMALL) beginStreams(connection);
}

export function oweReset(connection: Connection, id: u32, code: u32): void {
  makeRoom(connection);
  const at = find(connection, id);
  if (load<u32>(at) != id) connection.streams++;
  store<u32>(at, id);
  store<u32>(at, code, 4);
  connection.owes = 1;
}

/** Writes what did not fit into the replies before, as far as it fits now. */
export function writeOwed(connection: Connection): void {
  if (connection.owes == 0) return;
  connection.owes = 0;
  const table = tableAt(connection);
  const places = connection.placesMask + 1;
  let place: u32 = 0;
  while (place < places) {
    const id = load<u32>(table + (place << 3));
    const value = load<u32>(table + (place << 3), 4);
    if (id != 0 && value < CODES_END) {
      if (!hasRoom(connection, 13)) break;
      putReset(connection, id, value);
      // another entry may have moved here
      remove(connection, id);
      continue;
    }
    if (id != 0) writeOwedUpdates(connection, changetype<Record>(usize(value)));
    place++;
  }
  writeOwedUpdates(connection, changetype<Record>(0));
  if (place < places) connection.owes = 1;
}

/** Room for what the caller asks for, beside what a frame may need. */
@inline
export function hasRoom(connection: Connection, length: u32): bool {
  return connection.replyRoom >= length + REPLY_RESERVE;
}

/** Changes the windows of all streams (§6.9.2). False: one became larger than allowed. */
export function shiftWindows(connection: Connection, by: i64): bool {
  const table = tableAt(connection);
  for (let place: u32 = 0; place <= connection.placesMask; place++) {
    const value = load<u32>(table + (place << 3), 4);
    if (load<u32>(table + (place << 3)) == 0 || value < CODES_END) continue;
    const record = changetype<Record>(usize(value));
    const window = i64(record.sendWindow) + by;
    if (window > i64(i32.MAX_VALUE)) return false;
    record.sendWindow = i32(max(window, i64(i32.MIN_VALUE)));
  }
  return true;
}
