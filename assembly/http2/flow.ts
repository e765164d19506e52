// Flow control of what we receive (RFC 9113 §5.2, §6.9). A window is what the peer may still send; what the caller has used
// up is announced again when it makes half of the whole window, so that small reads do not cause a frame each.

import { Record } from "../memory";
import { Connection, reply } from "./connection";
import { put32, putFrameHeader, WINDOW_MAX, WINDOW_UPDATE } from "./frame";
import { HALF_LOCAL, OPEN } from "./states";
import { hasRoom } from "./streams";

const UPDATE_BYTES: u32 = 13;

/** Bytes of DATA frames that nobody will hear of: padding, and what belongs to streams that are gone. */
export function creditConnection(connection: Connection, bytes: u32): void {
  connection.owed += bytes;
  announceConnection(connection);
}

/** The caller has used `bytes` of a stream's body. */
export function creditStream(connection: Connection, record: Record, bytes: u32): void {
  const used = min(bytes, record.held);
  record.held -= used;
  addOwed(connection, record, used);
  creditConnection(connection, used);
}

/** The caller has put `bytes` of a stream's body where they are counted against that stream alone. */
export function creditStored(connection: Connection, record: Record, bytes: u32): void {
  const used = min(bytes, record.held);
  record.held -= used;
  creditConnection(connection, used);
}

/** What was stored has been passed on. */
export function creditPassed(connection: Connection, record: Record, bytes: u32): void {
  if (record.streamId != 0) addOwed(connection, record, bytes);
}

/** Padding of a stream's body. */
export function creditPadding(connection: Connection, record: Record, bytes: u32): void {
  addOwed(connection, record, bytes);
  creditConnection(connection, bytes);
}

function addOwed(connection: Connection, record: Record, bytes: u32): void {
  record.owed += bytes;
  announceStream(connection, record);
}

function announceConnection(connection: Connection): void {
  if (connection.owed == 0 || connection.owed < connection.connectionWindow >> 1) return;
  if (!hasRoom(connection, UPDATE_BYTES)) {
    connection.owes = 1;
    return;
  }
  putUpdate(connection, 0, connection.owed);
  connection.recvWindow += connection.owed;
  connection.owed = 0;
}

/** Nothing is announced to a peer that has ended its side. */
function announceStream(connection: Connection, record: Record): void {
  if (record.state != OPEN && record.state != HALF_LOCAL) return;
  if (record.owed == 0 || record.owed < connection.streamWindow >> 1) return;
  if (!hasRoom(connection, UPDATE_BYTES)) {
    connection.owes = 1;
    return;
  }
  putUpdate(connection, record.streamId, record.owed);
  record.recvWindow += record.owed;
  record.owed = 0;
}

/** Tries again; null: for the connection. */
export function writeOwedUpdates(connection: Connection, record: Record): void {
  if (changetype<usize>(record) == 0) announceConnection(connection);
  else announceStream(connection, record);
}

function putUpdate(connection: Connection, id: u32, increment: u32): void {
  put32(putFrameHeader(reply(connection, UPDATE_BYTES), 4, WINDOW_UPDATE, 0, id), increment);
}

/** A window and what it is to grow by; -1 when that is too much (§6.9.1). */
@inline
export function grown(window: i32, by: u32): i64 {
  const sum = i64(window) + i64(by);
  return sum > i64(WINDOW_MAX) ? i64.MIN_VALUE : sum;
}
