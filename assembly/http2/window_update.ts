// WINDOW_UPDATE (RFC 9113 §6.9): more may be sent, on a stream or on the connection. Updates that go with data are bought by
// sending it; those beyond are counted as abuse.
//
//    9  increment  u32

import {
  ABUSE_SMALL_FRAMES, ABUSE_WINDOW_UPDATES, EV_WINDOW, H2_FLOW_CONTROL_ERROR, H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR,
} from "../abi";
import { Record } from "../memory";
import {
  absentState, abuseError, Connection, connectionError, isAbused, isOver, streamError, tellStream,
} from "./connection";
import { grown } from "./flow";
import { FRAME_HEADER, frameLength, frameStream, load31 } from "./frame";
import { NEXT } from "./input";
import { CONNECTION_ERROR_PROTOCOL, IGNORE, RECV_WINDOW_UPDATE, transition } from "./states";
import { findStream } from "./streams";

export function recvWindowUpdate(connection: Connection, at: usize): i32 {
  if (frameLength(at) != 4) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  const id = frameStream(at);
  const increment = load31(at + FRAME_HEADER);
  if (isAbused(connection, ABUSE_WINDOW_UPDATES)) return abuseError(connection, ABUSE_WINDOW_UPDATES);
  if (isOver(connection, ABUSE_SMALL_FRAMES)) return abuseError(connection, ABUSE_SMALL_FRAMES);
  if (id == 0) return growConnection(connection, increment);
  const record = findStream(connection, id);
  if (changetype<usize>(record) != 0) return growStream(connection, record, increment);
  const next = transition(absentState(connection, id), RECV_WINDOW_UPDATE);
  return next == CONNECTION_ERROR_PROTOCOL ? connectionError(connection, H2_PROTOCOL_ERROR) : NEXT;
}

function growConnection(connection: Connection, increment: u32): i32 {
  if (increment == 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  const window = grown(connection.sendWindow, increment);
  if (window == i64.MIN_VALUE) return connectionError(connection, H2_FLOW_CONTROL_ERROR);
  connection.sendWindow = i32(window);
  tellStream(0, changetype<Record>(0));
  return EV_WINDOW;
}

function growStream(connection: Connection, record: Record, increment: u32): i32 {
  const next = transition(record.state, RECV_WINDOW_UPDATE);
  if (next == CONNECTION_ERROR_PROTOCOL) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (next == IGNORE) return NEXT;
  if (increment == 0) return streamError(connection, record, H2_PROTOCOL_ERROR);
  const window = grown(record.sendWindow, increment);
  if (window == i64.MIN_VALUE) return streamError(connection, record, H2_FLOW_CONTROL_ERROR);
  record.sendWindow = i32(window);
  tellStream(record.streamId, record);
  return EV_WINDOW;
}
