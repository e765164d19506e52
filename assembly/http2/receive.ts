// What has come from the peer, frame by frame (RFC 9113 §4): feed() looks at the input until there is something that the
// caller must hear of, or nothing whole is left. It keeps no bytes: what is not used up comes again, with more behind it.

import {
  ABUSE_HEADER_BLOCK, ABUSE_IGNORED_FRAMES, ABUSE_SETTINGS_SIZE, EV_CONNECTION_ERROR, EV_MORE, EV_REPLIES,
  H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR, R_CONSUMED, R_IN_BLOCK, R_REPLY_LENGTH,
} from "../abi";
import { bufferBytes, setResult } from "../memory";
import {
  abuseError, BLOCK_GROWS, BLOCK_READY, Connection, connectionError, isAbused, PHASE_FAILED, PHASE_MAGIC,
  PHASE_SETTINGS, REPLY_RESERVE,
} from "./connection";
import { recvContinuation } from "./continuation";
import { recvData, recvDataPart } from "./data";
import {
  ACK, CONTINUATION, DATA, FRAME_HEADER, FRAME_SIZE_AT_FIRST, frameFlags, frameLength, frameType, GOAWAY, HEADERS,
  PING, PRIORITY, PRIORITY_UPDATE, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
} from "./frame";
import { GOAWAY_BYTES, recvGoaway } from "./goaway";
import { recvHeaders, retellBlock } from "./headers";
import { beginTaking, need, NEXT, take, taken } from "./input";
import { recvPing } from "./ping";
import { recvPriority, recvPriorityUpdate } from "./priority";
import { recvRstStream } from "./rst_stream";
import { isMagic, MAGIC_BYTES, recvSettings } from "./settings";
import { recvWindowUpdate } from "./window_update";

/** Looks at [at, at + length): an EV_. Fills R_CONSUMED, R_REPLY_LENGTH and what the event has. */
export function feed(connection: Connection, at: usize, length: u32): i32 {
  beginTaking();
  let event: i32;
  do {
    const used = taken;
    event = step(connection, at + used, length - used);
  } while (event == NEXT);
  setResult(R_CONSUMED, event == EV_CONNECTION_ERROR ? length : taken);
  setResult(R_IN_BLOCK, u32(connection.block == BLOCK_GROWS));
  setResult(R_REPLY_LENGTH, connection.replyLength);
  return event;
}

function step(connection: Connection, at: usize, length: u32): i32 {
  if (connection.phase == PHASE_FAILED) return connectionError(connection, 0);
  if (connection.replyRoom < REPLY_RESERVE) return EV_REPLIES;
  if (connection.dataLeft > 0) return recvDataPart(connection, at, length);
  if (connection.skipLeft > 0) return skip(connection, length);
  if (connection.block == BLOCK_READY) return retellBlock(connection, at);
  if (connection.block == BLOCK_GROWS) return recvContinuation(connection, at, length);
  if (connection.phase == PHASE_MAGIC) return recvMagic(connection, at, length);
  if (length < FRAME_HEADER) return need();
  return recvFrame(connection, at, length);
}

function skip(connection: Connection, length: u32): i32 {
  const part = min(length, connection.skipLeft);
  if (part == 0) return EV_MORE;
  connection.skipLeft -= part;
  take(part);
  return NEXT;
}

/** §3.4 */
function recvMagic(connection: Connection, at: usize, length: u32): i32 {
  if (!isMagic(at, length)) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (length < MAGIC_BYTES) return need();
  take(MAGIC_BYTES);
  connection.phase = PHASE_SETTINGS;
  return NEXT;
}

/** A frame begins: its header is whole. */
function recvFrame(connection: Connection, at: usize, length: u32): i32 {
  const bytes = frameLength(at);
  const type = frameType(at);
  // §4.2: most frames concern the whole connection, and one that does not may be answered the same way
  if (bytes > FRAME_SIZE_AT_FIRST) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  if (connection.phase == PHASE_SETTINGS && (type != SETTINGS || frameFlags(at) & ACK)) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (type == DATA) return recvData(connection, at, length);
  if (type == PUSH_PROMISE || type == CONTINUATION) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (type > WINDOW_UPDATE && type != PRIORITY_UPDATE) return passOver(connection, bytes);
  if (type == GOAWAY) return recvFront(connection, at, length, bytes);
  const whole = FRAME_HEADER + bytes;
  if (whole > bufferBytes) return abuseError(connection, type == HEADERS ? ABUSE_HEADER_BLOCK : ABUSE_SETTINGS_SIZE);
  if (length < whole) return need();
  if (type == HEADERS) return recvHeaders(connection, at);
  take(whole);
  return recvWhole(connection, at, type);
}

/** Frames that are looked at when they are whole, and used up by that. */
function recvWhole(connection: Connection, at: usize, type: u32): i32 {
  switch (type) {
    case PRIORITY: return recvPriority(connection, at);
    case RST_STREAM: return recvRstStream(connection, at);
    case SETTINGS: return recvSettings(connection, at);
    case PING: return recvPing(connection, at);
    case WINDOW_UPDATE: return recvWindowUpdate(connection, at);
    default: return recvPriorityUpdate(connection, at);
  }
}

/** GOAWAY may carry any amount of debug data, which is not waited for. */
function recvFront(connection: Connection, at: usize, length: u32, bytes: u32): i32 {
  const front = FRAME_HEADER + min(bytes, GOAWAY_BYTES);
  if (length < front) return need();
  take(front);
  connection.skipLeft = FRAME_HEADER + bytes - front;
  return recvGoaway(connection, at);
}

/** §4.1, §5.5: types that we do not know are ignored, within reason. */
function passOver(connection: Connection, bytes: u32): i32 {
  take(FRAME_HEADER);
  connection.skipLeft = bytes;
  return isAbused(connection, ABUSE_IGNORED_FRAMES) ? abuseError(connection, ABUSE_IGNORED_FRAMES) : NEXT;
}
