// HTTP/2 as those see it who are above: a connection's life, what it is fed, what it sends.

import { Record } from "../memory";
import { beginCompression } from "./compression";
import { beginConnection, Connection } from "./connection";
import { creditStream } from "./flow";
import { beginSettings } from "./settings";
import { writeOwed } from "./streams";

export { Connection, tick } from "./connection";
export { creditPassed, creditStored } from "./flow";
export { decoderBytes, encoderBytes, listBytesEnd, spareBytes } from "./compression";
export { failBlock, refuseBlock, takeBlock } from "./headers";
export { CONTENT_ANY, CONTENT_TUNNEL, MESSAGE_BODY, MESSAGE_HEAD, MESSAGE_OVER } from "./streams";
export { parsePriority } from "./priority";
export { sendGoaway } from "./goaway";
export { sendPing } from "./ping";
export { putPreface } from "./settings";
export { beginProfiles, profileAt } from "./profile";
export { feed } from "./receive";
export { encoder, endStream, frameBlock, maySendHeaders, openable, openStream, putData, resetStream, sendable } from "./send";

/** A connection that begins. `record`: of its socket, for who the peer is. */
export function begin(connection: Connection, role: u8, profile: u32, record: u32): void {
  beginConnection(connection, role, profile, record);
  beginCompression(connection);
  beginSettings(connection);
}

/** The caller has passed on `bytes` of a stream's body: the peer may send more. */
export function consumed(connection: Connection, record: Record, bytes: u32): void {
  creditStream(connection, record, bytes);
}

/** The first `bytes` of the replies have been sent; what did not fit before takes their place. Returns how many wait now. */
export function repliesSent(connection: Connection, bytes: u32): u32 {
  const rest = connection.replyLength - min(bytes, connection.replyLength);
  if (rest > 0) memory.copy(connection.repliesAt, connection.repliesAt + (connection.replyLength - rest), rest);
  connection.replyLength = rest;
  writeOwed(connection);
  return connection.replyLength;
}
