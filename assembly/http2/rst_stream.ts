// RST_STREAM (RFC 9113 §6.4): the stream is over at once. The peer may do so freely, but not endlessly: each stream that is
// begun and reset has made work (CVE-2023-44487).
//
//    9  error code  u32

import { ABUSE_IGNORED_FRAMES, ABUSE_RESETS, EV_RESET, H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR, R_ERROR_CODE } from "../abi";
import { setResult } from "../memory";
import { absentState, abuseError, Connection, connectionError, isAbused, tellStream } from "./connection";
import { FRAME_HEADER, frameLength, frameStream, load32 } from "./frame";
import { NEXT } from "./input";
import { CONNECTION_ERROR_PROTOCOL, RECV_RST_STREAM, transition } from "./states";
import { findStream, forgetStream } from "./streams";

export function recvRstStream(connection: Connection, at: usize): i32 {
  const id = frameStream(at);
  if (id == 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (frameLength(at) != 4) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  const record = findStream(connection, id);
  if (changetype<usize>(record) == 0) {
    const next = transition(absentState(connection, id), RECV_RST_STREAM);
    if (next == CONNECTION_ERROR_PROTOCOL) return connectionError(connection, H2_PROTOCOL_ERROR);
    return isAbused(connection, ABUSE_IGNORED_FRAMES) ? abuseError(connection, ABUSE_IGNORED_FRAMES) : NEXT;
  }
  tellStream(id, record);
  setResult(R_ERROR_CODE, load32(at + FRAME_HEADER));
  forgetStream(connection, record);
  return isAbused(connection, ABUSE_RESETS) ? abuseError(connection, ABUSE_RESETS) : EV_RESET;
}
