// SETTINGS (RFC 9113 §6.5): the peer's are applied and acknowledged; ours are said once, in the preface (§3.4), and hold from
// when they are said, which is kinder to the peer than the acknowledgement: none of them is less than what holds before.
// What we allow in HTTP/2 but not by default: extended CONNECT (RFC 8441 §3), no priorities of RFC 7540 (RFC 9218 §2.1).
//
//    9  identifier  u16 | value  u32 | …

import {
  ABUSE_SETTINGS, ABUSE_SETTINGS_SIZE, EV_SETTINGS, EV_SETTINGS_ACK, H2_FLOW_CONTROL_ERROR, H2_FRAME_SIZE_ERROR,
  H2_PROTOCOL_ERROR, P_CONNECT_PROTOCOL, P_CONNECTION_WINDOW, P_HEADER_LIST, P_STREAM_WINDOW, P_STREAMS,
} from "../abi";
import { intern, put } from "../bytes";
import { allowSize } from "../hpack/mod";
import { h2StreamsMax, headerBytesMax } from "../memory";
import { encoderOf } from "./compression";
import {
  abuseError, Connection, connectionError, isAbused, PHASE_OPEN, PHASE_SETTINGS, profileWord, reply,
} from "./connection";
import {
  ACK, FRAME_HEADER, FRAME_SIZE_AT_FIRST, FRAME_SIZE_MAX, frameFlags, frameLength, frameStream, load32, put16, put32,
  putFrameHeader, SETTINGS, WINDOW_AT_FIRST, WINDOW_MAX, WINDOW_UPDATE,
} from "./frame";
import { shiftWindows } from "./streams";

const HEADER_TABLE_SIZE: u32 = 1;
const ENABLE_PUSH: u32 = 2;
const MAX_CONCURRENT_STREAMS: u32 = 3;
const INITIAL_WINDOW_SIZE: u32 = 4;
const MAX_FRAME_SIZE: u32 = 5;
const MAX_HEADER_LIST_SIZE: u32 = 6;
const ENABLE_CONNECT_PROTOCOL: u32 = 8;
const NO_RFC7540_PRIORITIES: u32 = 9;

const ENTRY_BYTES: u32 = 6;
/** There are nine settings; a few more may be unknown ones. */
const ENTRIES_MAX: u32 = 64;

const MAGIC = intern("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const MAGIC_BYTES: u32 = 24;

// ---- ours ----

/** What holds before the first SETTINGS of either side. */
export function beginSettings(connection: Connection): void {
  connection.peerWindow = u32(WINDOW_AT_FIRST);
  connection.peerFrameMax = FRAME_SIZE_AT_FIRST;
  connection.peerStreamsMax = WINDOW_MAX;
  connection.sendWindow = connection.recvWindow = WINDOW_AT_FIRST;
  connection.streamsMax = min(profileWord(connection, P_STREAMS), h2StreamsMax);
  connection.streamWindow = clampWindow(profileWord(connection, P_STREAM_WINDOW));
  connection.connectionWindow = clampWindow(profileWord(connection, P_CONNECTION_WINDOW));
  connection.headerList = min(profileWord(connection, P_HEADER_LIST), headerBytesMax);
  connection.connectProtocol = connection.isServer ? min(profileWord(connection, P_CONNECT_PROTOCOL), 1) : 0;
}

/** Never less than what the peer may believe before it has read our SETTINGS. */
@inline
function clampWindow(bytes: u32): u32 { return max(u32(WINDOW_AT_FIRST), min(bytes, WINDOW_MAX)); }

/** §3.4: what each side sends first. At most 24 + 9 + 6 × 5 + 13 bytes. */
export function putPreface(connection: Connection, to: usize): usize {
  if (!connection.isServer) to = put(to, MAGIC + 2, MAGIC_BYTES);
  const header = to;
  to += FRAME_HEADER;
  to = putSetting(to, INITIAL_WINDOW_SIZE, connection.streamWindow);
  to = putSetting(to, MAX_HEADER_LIST_SIZE, connection.headerList);
  if (connection.isServer) {
    to = putSetting(to, MAX_CONCURRENT_STREAMS, connection.streamsMax);
    to = putSetting(to, NO_RFC7540_PRIORITIES, 1);
    if (connection.connectProtocol) to = putSetting(to, ENABLE_CONNECT_PROTOCOL, 1);
  } else to = putSetting(to, ENABLE_PUSH, 0);
  putFrameHeader(header, u32(to - header) - FRAME_HEADER, SETTINGS, 0, 0);
  connection.settingsSent = 1;
  const more = connection.connectionWindow - u32(WINDOW_AT_FIRST);
  if (more == 0) return to;
  connection.recvWindow += more;
  return put32(putFrameHeader(to, 4, WINDOW_UPDATE, 0, 0), more);
}

function putSetting(to: usize, id: u32, value: u32): usize {
  return put32(put16(to, id), value);
}

/** Whether the first bytes of a client are the magic, as far as they are there. */
export function isMagic(at: usize, length: u32): bool {
  return memory.compare(at, MAGIC + 2, min(length, MAGIC_BYTES)) == 0;
}

// ---- theirs ----

/** The frame is whole. */
export function recvSettings(connection: Connection, at: usize): i32 {
  const bytes = frameLength(at);
  if (frameStream(at) != 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (frameFlags(at) & ACK) return recvAck(connection, bytes);
  if (bytes % ENTRY_BYTES != 0) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  if (bytes > ENTRIES_MAX * ENTRY_BYTES) return abuseError(connection, ABUSE_SETTINGS_SIZE);
  if (isAbused(connection, ABUSE_SETTINGS)) return abuseError(connection, ABUSE_SETTINGS);
  const end = at + FRAME_HEADER + bytes;
  for (let entry = at + FRAME_HEADER; entry < end; entry += ENTRY_BYTES) {
    const fault = apply(connection, bswap<u16>(load<u16>(entry)), load32(entry + 2));
    if (fault != 0) return connectionError(connection, fault);
  }
  if (connection.phase == PHASE_SETTINGS) connection.phase = PHASE_OPEN;
  connection.settingsSeen = 1;
  putFrameHeader(reply(connection, FRAME_HEADER), 0, SETTINGS, ACK, 0);
  return EV_SETTINGS;
}

function recvAck(connection: Connection, bytes: u32): i32 {
  if (bytes != 0) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  if (connection.settingsSent == 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  connection.settingsSent--;
  return EV_SETTINGS_ACK;
}

/** §6.5.2. 0, or the code of a connection error. */
function apply(connection: Connection, id: u32, value: u32): u32 {
  switch (id) {
    case HEADER_TABLE_SIZE:
      allowSize(encoderOf(connection), value);
      return 0;
    case ENABLE_PUSH:
      // a server has nothing to be pushed to
      return value > (connection.isServer ? 1 : 0) ? H2_PROTOCOL_ERROR : 0;
    case MAX_CONCURRENT_STREAMS:
      connection.peerStreamsMax = value;
      return 0;
    case INITIAL_WINDOW_SIZE:
      return applyWindow(connection, value);
    case MAX_FRAME_SIZE:
      if (value < FRAME_SIZE_AT_FIRST || value > FRAME_SIZE_MAX) return H2_PROTOCOL_ERROR;
      connection.peerFrameMax = value;
      return 0;
    case ENABLE_CONNECT_PROTOCOL:
      // RFC 8441 §3: what was offered is not taken back
      if (value > 1 || value < connection.peerConnectProtocol) return H2_PROTOCOL_ERROR;
      connection.peerConnectProtocol = u8(value);
      return 0;
    case NO_RFC7540_PRIORITIES:
      return applyNoPriorities(connection, value);
    default:
      // MAX_HEADER_LIST_SIZE is advice: a head is what the other side made it, and the peer's to refuse
      return 0;
  }
}

/** §6.9.2: the windows of all streams change by the difference, and may become negative. */
function applyWindow(connection: Connection, value: u32): u32 {
  if (value > WINDOW_MAX) return H2_FLOW_CONTROL_ERROR;
  const by = i64(value) - i64(connection.peerWindow);
  connection.peerWindow = value;
  return by == 0 || shiftWindows(connection, by) ? 0 : H2_FLOW_CONTROL_ERROR;
}

/** RFC 9218 §2.1: it does not change after the first SETTINGS. */
function applyNoPriorities(connection: Connection, value: u32): u32 {
  if (value > 1 || (connection.settingsSeen && value != connection.peerNoPriorities)) return H2_PROTOCOL_ERROR;
  connection.peerNoPriorities = u8(value);
  return 0;
}
