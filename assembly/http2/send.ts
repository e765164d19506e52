// What we send on streams (RFC 9113 §6.1, §6.2, §6.4): frames are written where the caller wants them, within what state and
// windows allow. What the state does not allow is not written; then the length is 0.

import { ABUSE_PINGS, ABUSE_SMALL_FRAMES, ABUSE_WINDOW_UPDATES, H2_NO_ERROR, H2_SMALL_FRAME } from "../abi";
import { DynamicTable } from "../hpack/mod";
import { h2StreamsMax, Record } from "../memory";
import { encoderOf } from "./compression";
import { Connection, discount, GOAWAY_NONE, isAbused, noteReset, PHASE_FAILED, PHASE_OPEN, putReset } from "./connection";
import {
  CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_HEADER, HEADERS, putFrameHeader, STREAM_ID_MAX,
} from "./frame";
import {
  FORBIDDEN, SEND_DATA, SEND_DATA_ES, SEND_HEADERS, SEND_HEADERS_ES, SEND_RST_STREAM, transition,
} from "./states";
import { beginStream, forgetStream, hasRoom, oweReset } from "./streams";

/** WINDOW_UPDATEs that a DATA frame pays for: one of its stream, one of the connection. */
const UPDATES_PER_DATA: i32 = 2;
/** PINGs that it pays for: peers that measure the path as they receive, as gRPC does, send one each round trip. */
const PINGS_PER_DATA: i32 = 1;

// ---- streams of ours ----

/** How many streams may be opened now (client). */
export function openable(connection: Connection): u32 {
  if (connection.isServer || connection.phase > PHASE_OPEN || connection.goawaySeen != GOAWAY_NONE) return 0;
  if (connection.lastOurs >= STREAM_ID_MAX - 1) return 0;
  const most = min(connection.peerStreamsMax, h2StreamsMax);
  return most > connection.streams ? most - connection.streams : 0;
}

/** Begins a stream of ours in `record`: its id, or 0. Its HEADERS are to be sent before another stream is begun (§5.1.1). */
export function openStream(connection: Connection, record: Record): u32 {
  if (openable(connection) == 0) return 0;
  const id = connection.lastOurs == 0 ? 1 : connection.lastOurs + 2;
  connection.lastOurs = id;
  beginStream(connection, record, id);
  return id;
}

/** The caller is done with the stream: with one that has not ended, RST_STREAM says so. */
export function endStream(connection: Connection, record: Record): void {
  if (record.streamId == 0) return;
  if (transition(record.state, SEND_RST_STREAM) != FORBIDDEN) return resetStream(connection, record, H2_NO_ERROR);
  forgetStream(connection, record);
}

/** RST_STREAM, now or as soon as there is room; the stream is forgotten. */
export function resetStream(connection: Connection, record: Record, code: u32): void {
  const id = record.streamId;
  if (id == 0) return;
  const isAlive = transition(record.state, SEND_RST_STREAM) != FORBIDDEN;
  forgetStream(connection, record);
  // behind the GOAWAY of a connection error, the end says the rest (§5.4.1)
  if (!isAlive || connection.phase == PHASE_FAILED) return;
  noteReset(connection, id);
  if (hasRoom(connection, 13)) putReset(connection, id, code);
  else oweReset(connection, id, code);
}

// ---- DATA ----

/** Bytes of a body that may be sent in one frame now. */
export function sendable(connection: Connection, record: Record): u32 {
  if (record.streamId == 0 || transition(record.state, SEND_DATA) >= FORBIDDEN) return 0;
  const window = min(connection.sendWindow, record.sendWindow);
  return window <= 0 ? 0 : min(u32(window), connection.peerFrameMax);
}

/** Writes the header of a DATA frame of `length` bytes, which are sendable, and charges both windows. */
export function putData(connection: Connection, record: Record, to: usize, length: u32, ends: bool): u32 {
  if (record.streamId == 0 || length > (length == 0 ? 0 : sendable(connection, record))) return 0;
  const next = transition(record.state, ends ? SEND_DATA_ES : SEND_DATA);
  if (next >= FORBIDDEN) return 0;
  record.state = next;
  connection.sendWindow -= length;
  record.sendWindow -= length;
  discount(connection, ABUSE_WINDOW_UPDATES, UPDATES_PER_DATA);
  discount(connection, ABUSE_PINGS, PINGS_PER_DATA);
  // a fast body ends each window in a small frame, behind longer ones; whether they are too many is asked when the peer opens its
  // window again by as little
  if (length >= u32(H2_SMALL_FRAME)) discount(connection, ABUSE_SMALL_FRAMES, 1);
  else if (!ends && length > 0 && min(connection.sendWindow, record.sendWindow) <= 0) isAbused(connection, ABUSE_SMALL_FRAMES);
  putFrameHeader(to, length, DATA, ends ? END_STREAM : 0, record.streamId);
  return FRAME_HEADER;
}

// ---- HEADERS ----

/** Whether HEADERS may be sent on the stream now: ask before a block is encoded, which cannot be taken back. */
@inline
export function maySendHeaders(record: Record, ends: bool): bool {
  return record.streamId != 0 && transition(record.state, ends ? SEND_HEADERS_ES : SEND_HEADERS) < FORBIDDEN;
}

@inline
export function encoder(connection: Connection): DynamicTable { return encoderOf(connection); }

/**
 * Makes frames of the block that was written at `to` + FRAME_HEADER and ends at `end`: HEADERS, and CONTINUATION as
 * often as the peer's frame size asks for. Returns the length of all.
 */
export function frameBlock(connection: Connection, record: Record, to: usize, end: usize, ends: bool): u32 {
  record.state = transition(record.state, ends ? SEND_HEADERS_ES : SEND_HEADERS);
  const bytes = u32(end - to) - FRAME_HEADER;
  const most = connection.peerFrameMax;
  const first = min(bytes, most);
  let flags = ends ? END_STREAM : 0;
  if (first == bytes) flags |= END_HEADERS;
  putFrameHeader(to, first, HEADERS, flags, record.streamId);
  return first == bytes ? u32(end - to) : frameRest(connection, record, to + FRAME_HEADER + first, bytes - first) + FRAME_HEADER + first;
}

/** Puts headers into the rest of a block, which moves up for each; the length of it with them. */
function frameRest(connection: Connection, record: Record, at: usize, bytes: u32): u32 {
  const start = at;
  while (bytes > 0) {
    const part = min(bytes, connection.peerFrameMax);
    memory.copy(at + FRAME_HEADER, at, bytes);
    putFrameHeader(at, part, CONTINUATION, part == bytes ? END_HEADERS : 0, record.streamId);
    at += FRAME_HEADER + part;
    bytes -= part;
  }
  return u32(at - start);
}
