// PING (RFC 9113 §6.7): answered with the same eight octets; an answer to ours is told.

import { ABUSE_IGNORED_FRAMES, ABUSE_PINGS, EV_PING_ACK, H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR } from "../abi";
import { abuseError, Connection, connectionError, isAbused, reply } from "./connection";
import { ACK, FRAME_HEADER, frameFlags, frameLength, frameStream, PING, putFrameHeader } from "./frame";
import { NEXT } from "./input";
import { hasRoom } from "./streams";

const PING_BYTES: u32 = 8;

export function recvPing(connection: Connection, at: usize): i32 {
  if (frameStream(at) != 0) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (frameLength(at) != PING_BYTES) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  if (frameFlags(at) & ACK) return isAbused(connection, ABUSE_IGNORED_FRAMES) ? abuseError(connection, ABUSE_IGNORED_FRAMES) : EV_PING_ACK;
  if (isAbused(connection, ABUSE_PINGS)) return abuseError(connection, ABUSE_PINGS);
  replyPing(connection, ACK, load<u64>(at + FRAME_HEADER));
  return NEXT;
}

function replyPing(connection: Connection, flags: u32, opaque: u64): void {
  const to = reply(connection, FRAME_HEADER + PING_BYTES);
  store<u64>(putFrameHeader(to, PING_BYTES, PING, flags, 0), opaque);
}

/** Asks whether the peer is there. False: the replies have to be sent first. */
export function sendPing(connection: Connection): bool {
  if (!hasRoom(connection, FRAME_HEADER + PING_BYTES)) return false;
  replyPing(connection, 0, 0);
  return true;
}
