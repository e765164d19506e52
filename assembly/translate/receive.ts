// A header block of HTTP/2, from the frames to a message that the rest of the proxy knows: decoded by http2, checked and
// understood here. A malformed one costs its stream (RFC 9113 §8.1.1).

import { F_GRPC, H2_STREAM_FAILED, HEAD_DONE, R_FLAGS, R_REPLY_LENGTH } from "../abi";
import { isGrpcCall } from "../http1/grpc";
import { Connection, failBlock, MESSAGE_BODY, MESSAGE_HEAD, takeBlock } from "../http2/mod";
import { Record, setResult } from "../memory";
import { requestFromH2 } from "./request_from_h2";
import { responseFromH2, trailersFromH2 } from "./response_from_h2";

/** For EV_HEADERS and EV_TRAILERS; see h2Headers in codec.ts. */
export function receiveHeaders(connection: Connection, record: Record, tableAt: u32, bytesAt: u32, room: u32): i32 {
  const code = receive(connection, record, tableAt, bytesAt, room);
  if (code < 0 && code > H2_STREAM_FAILED) setResult(R_FLAGS, isGrpcCall(record) ? F_GRPC : 0);
  setResult(R_REPLY_LENGTH, connection.replyLength);
  return code;
}

function receive(connection: Connection, record: Record, tableAt: u32, bytesAt: u32, room: u32): i32 {
  const taken = takeBlock(connection, record, tableAt, bytesAt, room);
  if (taken != HEAD_DONE) return taken;
  const code = record.message != MESSAGE_HEAD
    ? trailersFromH2(record)
    : connection.isServer ? requestFromH2(connection, record) : responseFromH2(connection, record);
  if (code == H2_STREAM_FAILED) return failBlock(connection, record);
  // a refused request is answered, and its body may still come
  if (code != HEAD_DONE && record.message == MESSAGE_HEAD) record.message = MESSAGE_BODY;
  return code;
}
