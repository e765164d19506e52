// DATA (RFC 9113 §6.1). The frame's header is looked at once, and charged to both windows as a whole; its bytes are handed
// on as they come, padding left out.
//
//    9  padLength  u8, with PADDED | data | padding

import {
  ABUSE_EMPTY_FRAMES, ABUSE_IGNORED_FRAMES, EV_DATA, EV_END, EV_MORE, H2_FLOW_CONTROL_ERROR, H2_FRAME_SIZE_ERROR,
  H2_PROTOCOL_ERROR, H2_STREAM_CLOSED, R_DATA_AT, R_DATA_LENGTH, R_END_STREAM,
} from "../abi";
import { Record, setResult } from "../memory";
import { absentState, abuseError, Connection, connectionError, isAbused, streamError, tellStream } from "./connection";
import { creditConnection, creditPadding } from "./flow";
import { END_STREAM, FRAME_HEADER, frameFlags, frameLength, frameStream, PADDED } from "./frame";
import { need, NEXT, take } from "./input";
import { CONNECTION_ERROR_PROTOCOL, IGNORE, RECV_DATA, RECV_DATA_ES, STREAM_ERROR_CLOSED, transition } from "./states";
import { findStream, MESSAGE_BODY } from "./streams";

export function recvData(connection: Connection, at: usize, length: u32): i32 {
  const bytes = frameLength(at);
  const flags = frameFlags(at);
  const id = frameStream(at);
  if (id == 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  let overhead: u32 = 0;
  if (flags & PADDED) {
    if (bytes == 0) return connectionError(connection, H2_FRAME_SIZE_ERROR);
    if (length <= FRAME_HEADER) return need();
    overhead = 1 + load<u8>(at, FRAME_HEADER);
    if (overhead > bytes) return connectionError(connection, H2_PROTOCOL_ERROR);
  }
  take(FRAME_HEADER);
  if (i64(bytes) > i64(connection.recvWindow)) return connectionError(connection, H2_FLOW_CONTROL_ERROR);
  connection.recvWindow -= bytes;
  const record = findStream(connection, id);
  const isKnown = changetype<usize>(record) != 0;
  const ends = (flags & END_STREAM) != 0;
  const next = transition(isKnown ? record.state : absentState(connection, id), ends ? RECV_DATA_ES : RECV_DATA);
  if (next < IGNORE) return recvBody(connection, record, next, bytes, overhead, ends);
  if (next == IGNORE) {
    if (isAbused(connection, ABUSE_IGNORED_FRAMES)) return abuseError(connection, ABUSE_IGNORED_FRAMES);
    return skip(connection, bytes);
  }
  if (next == STREAM_ERROR_CLOSED && isKnown) return refuse(connection, record, bytes, H2_STREAM_CLOSED);
  return connectionError(connection, next == CONNECTION_ERROR_PROTOCOL ? H2_PROTOCOL_ERROR : H2_STREAM_CLOSED);
}

/** Passes over the payload, which only the connection's window hears of. */
function skip(connection: Connection, bytes: u32): i32 {
  connection.skipLeft = bytes;
  creditConnection(connection, bytes);
  return NEXT;
}

function refuse(connection: Connection, record: Record, bytes: u32, code: u32): i32 {
  skip(connection, bytes);
  return streamError(connection, record, code);
}

function recvBody(connection: Connection, record: Record, next: u8, bytes: u32, overhead: u32, ends: bool): i32 {
  const data = bytes - overhead;
  if (i64(bytes) > i64(record.recvWindow)) return refuse(connection, record, bytes, H2_FLOW_CONTROL_ERROR);
  // §8.1: content in front of the head
  if (record.message != MESSAGE_BODY) return refuse(connection, record, bytes, H2_PROTOCOL_ERROR);
  if (!charge(record, data, ends)) return refuse(connection, record, bytes, H2_PROTOCOL_ERROR);
  record.recvWindow -= bytes;
  record.state = next;
  if (overhead) {
    take(1);
    creditPadding(connection, record, overhead);
  }
  connection.skipLeft = overhead ? overhead - 1 : 0;
  connection.dataLeft = data;
  connection.dataStream = record.streamId;
  connection.dataEnds = u8(ends);
  if (data > 0) return NEXT;
  if (!ends) return isAbused(connection, ABUSE_EMPTY_FRAMES) ? abuseError(connection, ABUSE_EMPTY_FRAMES) : NEXT;
  tellStream(record.streamId, record);
  return EV_END;
}

/** §8.1.1: the DATA frames must make the announced length. */
function charge(record: Record, data: u32, ends: bool): bool {
  if (record.contentLeft < 0) return true;
  if (i64(data) > record.contentLeft) return false;
  record.contentLeft -= i64(data);
  return !ends || record.contentLeft == 0;
}

/** Hands on what has come of the data at hand. */
export function recvDataPart(connection: Connection, at: usize, length: u32): i32 {
  const part = min(length, connection.dataLeft);
  if (part == 0) return EV_MORE;
  connection.dataLeft -= part;
  take(part);
  const record = findStream(connection, connection.dataStream);
  if (changetype<usize>(record) == 0) {
    creditConnection(connection, part);
    return NEXT;
  }
  record.held += part;
  tellStream(connection.dataStream, record);
  setResult(R_DATA_AT, u32(at));
  setResult(R_DATA_LENGTH, part);
  setResult(R_END_STREAM, connection.dataLeft == 0 ? u32(connection.dataEnds) : 0);
  return EV_DATA;
}
