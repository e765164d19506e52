// GOAWAY (RFC 9113 §6.8): the peer takes no streams beyond the last one that it names, which never rises. Ours comes in two
// steps when we mean to leave: first with 2^31-1, so that streams under way are not lost, then with the last one taken.
//
//    9  last stream  u32 | 13  error code  u32 | debug data, passed over

import { ABUSE_IGNORED_FRAMES, EV_GOAWAY, H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR, R_ERROR_CODE, R_LAST_STREAM } from "../abi";
import { setResult } from "../memory";
import { abuseError, Connection, connectionError, isAbused, replyGoaway } from "./connection";
import { FRAME_HEADER, frameLength, frameStream, load31, load32 } from "./frame";
import { hasRoom } from "./streams";

export const GOAWAY_BYTES: u32 = 8;

/** The first GOAWAY_BYTES of the content are there. */
export function recvGoaway(connection: Connection, at: usize): i32 {
  if (frameStream(at) != 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (frameLength(at) < GOAWAY_BYTES) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  const last = load31(at + FRAME_HEADER);
  if (last > connection.goawaySeen) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (isAbused(connection, ABUSE_IGNORED_FRAMES)) return abuseError(connection, ABUSE_IGNORED_FRAMES);
  connection.goawaySeen = last;
  setResult(R_LAST_STREAM, last);
  setResult(R_ERROR_CODE, load32(at + FRAME_HEADER + 4));
  return EV_GOAWAY;
}

/** False: the replies have to be sent first. */
export function sendGoaway(connection: Connection, last: u32, code: u32): bool {
  if (!hasRoom(connection, FRAME_HEADER + GOAWAY_BYTES)) return false;
  replyGoaway(connection, last, code);
  return true;
}
