// HEADERS (RFC 9113 §6.2) and the header block that it begins. The block is decoded in one piece, where it lies: its fragment
// stays at the front of the input until CONTINUATION frames have made it whole (continuation.ts), and until the caller
// has a place for what is decoded (EV_HEADERS).
//
//    9  padLength  u8, with PADDED | dependency u32, weight u8, with PRIORITY: deprecated, ignored | fragment | padding

import {
  ABUSE_EMPTY_FRAMES, ABUSE_IGNORED_FRAMES, ABUSE_REFUSED_STREAMS, EV_HEADERS, EV_STREAM_ERROR, EV_TRAILERS,
  H2_CONNECTION_FAILED, H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR, H2_REFUSED_STREAM,
  H2_STREAM_CLOSED, H2_STREAM_FAILED, HEAD_DONE, HEADER_TOO_LARGE, R_CONSUMED, R_END_STREAM,
  RESPONSE_HEADER_TOO_LARGE,
} from "../abi";
import { Record, setResult } from "../memory";
import { decodeHeaders, decodeUnheard } from "./compression";
import {
  absentState, abuseError, BLOCK_GROWS, BLOCK_NONE, BLOCK_READY, Connection, connectionError, isAbused, replyReset,
  streamError, tellStream,
} from "./connection";
import {
  END_HEADERS, END_STREAM, FRAME_HEADER, frameFlags, frameLength, frameStream, PADDED, WITH_PRIORITY,
} from "./frame";
import { NEXT, take } from "./input";
import {
  CONNECTION_ERROR_PROTOCOL, IDLE_THEIRS, IGNORE, RECV_HEADERS, RECV_HEADERS_ES, STREAM_ERROR_CLOSED, transition,
} from "./states";
import { beginStream, CONTENT_TUNNEL, findStream, MESSAGE_BODY, MESSAGE_HEAD } from "./streams";

const PRIORITY_BYTES: u32 = 5;

/** The frame is whole. */
export function recvHeaders(connection: Connection, at: usize): i32 {
  const bytes = frameLength(at);
  const flags = frameFlags(at);
  const id = frameStream(at);
  if (id == 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  let before: u32 = 0;
  let padding: u32 = 0;
  if (flags & PADDED) before = 1;
  if (flags & WITH_PRIORITY) before += PRIORITY_BYTES;
  if (before > bytes) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  if (flags & PADDED) padding = load<u8>(at, FRAME_HEADER);
  if (before + padding > bytes) return connectionError(connection, H2_PROTOCOL_ERROR);
  take(FRAME_HEADER + before);
  connection.blockStream = id;
  connection.blockEnds = u8((flags & END_STREAM) != 0);
  connection.blockBytes = bytes - before - padding;
  connection.blockGap = padding;
  connection.continuations = 0;
  if (flags & END_HEADERS) return endBlock(connection, at + FRAME_HEADER + before);
  connection.block = BLOCK_GROWS;
  const isAbuse = connection.blockBytes == 0 && isAbused(connection, ABUSE_EMPTY_FRAMES);
  return isAbuse ? abuseError(connection, ABUSE_EMPTY_FRAMES) : NEXT;
}

/** The block is whole and lies at `at`: what becomes of it depends on its stream. */
export function endBlock(connection: Connection, at: usize): i32 {
  const id = connection.blockStream;
  connection.block = BLOCK_NONE;
  connection.blockAt = u32(at);
  const record = findStream(connection, id);
  const isKnown = changetype<usize>(record) != 0;
  const state = isKnown ? record.state : absentState(connection, id);
  const next = transition(state, connection.blockEnds ? RECV_HEADERS_ES : RECV_HEADERS);
  if (next < IGNORE) return state == IDLE_THEIRS ? newStream(connection, id) : knownStream(connection, record);
  if (next == IGNORE) {
    if (isAbused(connection, ABUSE_IGNORED_FRAMES)) return abuseError(connection, ABUSE_IGNORED_FRAMES);
    return passOver(connection);
  }
  if (next == STREAM_ERROR_CLOSED && isKnown) return failUnheard(connection, record, H2_STREAM_CLOSED);
  return connectionError(connection, next == CONNECTION_ERROR_PROTOCOL ? H2_PROTOCOL_ERROR : H2_STREAM_CLOSED);
}

/** §5.1.1: ids only rise, and those that were left out are closed. §5.1.2: what is too much is refused. */
function newStream(connection: Connection, id: u32): i32 {
  connection.lastTheirs = id;
  if (connection.streams < connection.streamsMax) return tellBlock(connection, changetype<Record>(0), EV_HEADERS);
  const result = passOver(connection);
  if (result != NEXT) return result;
  replyReset(connection, id, H2_REFUSED_STREAM);
  return isAbused(connection, ABUSE_REFUSED_STREAMS) ? abuseError(connection, ABUSE_REFUSED_STREAMS) : NEXT;
}

function knownStream(connection: Connection, record: Record): i32 {
  if (record.message == MESSAGE_HEAD) return tellBlock(connection, record, EV_HEADERS);
  // §8.1: the second block is the trailers, which end the stream, and the content must have been whole; §8.5: a tunnel has none
  const isTunnel = record.contentLeft == CONTENT_TUNNEL;
  if (!connection.blockEnds || record.contentLeft > 0 || isTunnel) return failUnheard(connection, record, H2_PROTOCOL_ERROR);
  return tellBlock(connection, record, EV_TRAILERS);
}

function tellBlock(connection: Connection, record: Record, event: i32): i32 {
  connection.block = BLOCK_READY;
  connection.blockIsNew = u8(changetype<usize>(record) == 0);
  tellStream(connection.blockStream, record);
  setResult(R_END_STREAM, u32(connection.blockEnds));
  return event;
}

/** Tells again of a block that the caller could not take; it lies at `at` now. */
export function retellBlock(connection: Connection, at: usize): i32 {
  connection.blockAt = u32(at);
  const record = findStream(connection, connection.blockStream);
  if (changetype<usize>(record) != 0) return tellBlock(connection, record, record.message == MESSAGE_HEAD ? EV_HEADERS : EV_TRAILERS);
  if (connection.blockIsNew) return tellBlock(connection, record, EV_HEADERS);
  // the caller has given the stream up meanwhile
  connection.block = BLOCK_NONE;
  return passOver(connection);
}

/** Decodes a block that nobody wants. */
function passOver(connection: Connection): i32 {
  take(connection.blockBytes + connection.blockGap);
  const failed = decodeUnheard(connection);
  return failed != 0 ? failed : NEXT;
}

function failUnheard(connection: Connection, record: Record, code: u32): i32 {
  const result = passOver(connection);
  return result != NEXT ? result : streamError(connection, record, code);
}

// ---- what the caller does about EV_HEADERS and EV_TRAILERS ----

/**
 * Decodes the block at hand: entries from `tableAt` on, text in `room` bytes at `bytesAt`. `record` is the stream's; for a
 * stream that begins, one that nobody uses. HEAD_DONE: the fields are there and nothing is known of them yet.
 * R_CONSUMED: what of the input the block was.
 */
export function takeBlock(connection: Connection, record: Record, tableAt: u32, bytesAt: u32, room: u32): i32 {
  if (connection.blockIsNew) {
    beginStream(connection, record, connection.blockStream);
    record.takePeer(changetype<Record>(usize(connection.record)));
  }
  record.state = transition(record.state, connection.blockEnds ? RECV_HEADERS_ES : RECV_HEADERS);
  endTaking(connection);
  const result = decodeHeaders(connection, record, tableAt, bytesAt, room);
  if (result == 0) return HEAD_DONE;
  if (result > 0) return tooLarge(connection, record);
  return H2_CONNECTION_FAILED;
}

/** The stream lives on for an answer to be given, or for the caller to reset it; what comes of its body is taken. */
function tooLarge(connection: Connection, record: Record): i32 {
  record.message = MESSAGE_BODY;
  return connection.isServer ? HEADER_TOO_LARGE : RESPONSE_HEADER_TOO_LARGE;
}

function endTaking(connection: Connection): void {
  connection.block = BLOCK_NONE;
  setResult(R_CONSUMED, connection.blockBytes + connection.blockGap);
}

/** The caller has no place for the stream: REFUSED_STREAM says that nothing was done (§8.7). */
export function refuseBlock(connection: Connection): i32 {
  endTaking(connection);
  if (decodeUnheard(connection) != 0) return H2_CONNECTION_FAILED;
  if (connection.blockIsNew) replyReset(connection, connection.blockStream, H2_REFUSED_STREAM);
  return HEAD_DONE;
}

/** A message that is malformed (§8.1.1). */
export function failBlock(connection: Connection, record: Record): i32 {
  const consumed = connection.blockBytes + connection.blockGap;
  const event = streamError(connection, record, H2_PROTOCOL_ERROR);
  setResult(R_CONSUMED, consumed);
  return event == EV_STREAM_ERROR ? H2_STREAM_FAILED : H2_CONNECTION_FAILED;
}
