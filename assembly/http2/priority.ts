// PRIORITY (RFC 9113 §6.3) is deprecated: its form is checked, its content ignored. PRIORITY_UPDATE (RFC 9218 §7.1) tells a
// server how urgent a stream is, perhaps before the stream comes. The same value stands in the `priority` field (§5).
//
//    9  prioritized stream  u32 | field value

import { ABUSE_PRIORITIES, EV_PRIORITY, H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR, R_PRIORITY } from "../abi";
import { setResult } from "../memory";
import {
  absentState, abuseError, Connection, connectionError, isAbused, keepEarlyPriority, PRIORITY_AT_FIRST, streamError,
  tellStream,
} from "./connection";
import { FRAME_HEADER, frameLength, frameStream, load31 } from "./frame";
import { NEXT } from "./input";
import { IDLE_THEIRS } from "./states";
import { findStream } from "./streams";

const PRIORITY_BYTES: u32 = 5;
const INCREMENTAL: u8 = 8;
const URGENCY: u8 = 7;

export function recvPriority(connection: Connection, at: usize): i32 {
  const id = frameStream(at);
  if (id == 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (frameLength(at) != PRIORITY_BYTES) {
    const record = findStream(connection, id);
    // a stream that is not there cannot be reset (§5.4.1 lets us choose)
    if (changetype<usize>(record) == 0) return connectionError(connection, H2_FRAME_SIZE_ERROR);
    return streamError(connection, record, H2_FRAME_SIZE_ERROR);
  }
  return isAbused(connection, ABUSE_PRIORITIES) ? abuseError(connection, ABUSE_PRIORITIES) : NEXT;
}

export function recvPriorityUpdate(connection: Connection, at: usize): i32 {
  const bytes = frameLength(at);
  if (frameStream(at) != 0 || !connection.isServer) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (bytes < 4) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  const id = load31(at + FRAME_HEADER);
  // RFC 9218 §7.1: only what the client opens has a priority
  if (id == 0 || (id & 1) == 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (isAbused(connection, ABUSE_PRIORITIES)) return abuseError(connection, ABUSE_PRIORITIES);
  const priority = parsePriority(at + FRAME_HEADER + 4, bytes - 4);
  const record = findStream(connection, id);
  if (changetype<usize>(record) == 0) {
    if (absentState(connection, id) == IDLE_THEIRS) keepEarlyPriority(connection, id, priority);
    return NEXT;
  }
  record.priority = priority;
  record.hasPriority = true;
  tellStream(id, record);
  setResult(R_PRIORITY, priority);
  return EV_PRIORITY;
}

/**
 * RFC 9218 §4: a dictionary (RFC 8941 §3.2) of which `u` (0 to 7) and `i` (a boolean) are understood; whatever else it holds,
 * or that it is malformed, changes nothing. `priority`: by the lines before, which are one dictionary with this one.
 */
export function parsePriority(at: usize, length: u32, priority: u8 = PRIORITY_AT_FIRST): u8 {
  const end = at + length;
  while (at < end) {
    while (at < end && isSeparator(load<u8>(at))) at++;
    const stop = memberEnd(at, end);
    priority = withMember(priority, at, u32(stop - at));
    at = stop + 1;
  }
  return priority;
}

/** The next comma that is not within a string (RFC 8941 §3.3.3), or `end`. */
function memberEnd(at: usize, end: usize): usize {
  let isString = false;
  for (; at < end; at++) {
    const byte = load<u8>(at);
    if (byte == 0x22) isString = !isString;
    else if (byte == 0x2c && !isString) return at;
    else if (byte == 0x5c && isString) at++;
  }
  return end;
}

@inline
function isSeparator(byte: u8): bool { return byte == 0x20 || byte == 0x09; }

function withMember(priority: u8, at: usize, length: u32): u8 {
  while (length > 0 && isSeparator(load<u8>(at + length - 1))) length--;
  for (let i: u32 = 0; i < length; i++) if (load<u8>(at + i) == 0x3b) length = i;
  const first = length > 0 ? load<u8>(at) : 0;
  if (first == 0x75 && length == 3 && load<u8>(at, 1) == 0x3d) {
    const urgency = load<u8>(at, 2) - 0x30;
    return urgency <= URGENCY ? (priority & INCREMENTAL) | urgency : priority;
  }
  if (first != 0x69) return priority;
  if (length == 1) return priority | INCREMENTAL;
  if (length != 4 || load<u8>(at, 1) != 0x3d || load<u8>(at, 2) != 0x3f) return priority;
  const value = load<u8>(at, 3);
  return value == 0x31 ? priority | INCREMENTAL : value == 0x30 ? priority & ~INCREMENTAL : priority;
}
