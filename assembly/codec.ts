// The codec's only entry: everything that TypeScript may call, and the callbacks that llhttp imports. The functions
// here translate addresses to records and say what holds; the work is in the modules.

import {
  ABI_VERSION, HEAD_DONE, BAD_RESPONSE, HEADER_TOO_LARGE, RESPONSE_HEADER_TOO_LARGE, URI_TOO_LONG,
} from "./abi";
import { intern, move } from "./bytes";
import { putAddress } from "./address";
import * as chunked from "./http1/chunked";
import { beginHead, feedHead } from "./http1/head";
import * as kept from "./http1/kept";
import { allocateTemplates, errorPosition, provesLayout, resetRequest, resetResponse } from "./http1/llhttp";
import * as request from "./http1/request";
import * as requestHead from "./http1/request_head";
import * as response from "./http1/response";
import { isAccepted } from "./http1/websocket";
import * as h2 from "./http2/mod";
import * as map from "./memory";
import { Record } from "./memory";
import { receiveHeaders } from "./translate/receive";
import * as toH2 from "./translate/to_h2";

export {
  wasm_on_body, wasm_on_header_field, wasm_on_header_value, wasm_on_headers_complete, wasm_on_message_begin,
  wasm_on_message_complete, wasm_on_status, wasm_on_url,
} from "./http1/head";
export { logBegin, logEnd } from "./access_log";

export function abiVersion(): i32 {
  return ABI_VERSION;
}

const PROBE = intern("POST /probe HTTP/1.1\r\nContent-Length: 7\r\n\r\n");

/** As layout() of memory.ts; `h2Records` connections of HTTP/2 (0: none), each of up to `h2Streams` streams. */
export function layout(
  records: u32,
  logRecords: u32,
  logBytes: u32,
  buffers: u32,
  bytesPerBuffer: u32,
  headers: u32,
  headerBytes: u32,
  targetBytes: u32,
  h2Records: u32,
  h2Streams: u32,
): f64 {
  return map.layout(
    records, logRecords, logBytes, buffers, bytesPerBuffer, headers, headerBytes, targetBytes, h2Records, h2Streams, h2.decoderBytes(),
    h2.encoderBytes(), h2.spareBytes(),
  );
}

/** Once, after layout() and the growth of memory. False: this llhttp is not the one whose layout we know. */
export function start(): bool {
  if (!allocateTemplates()) return false;
  if (map.h2RecordsAt) h2.beginProfiles();
  // the probe runs in the first record and buffer, which nobody uses yet
  const record = changetype<Record>(usize(map.recordsAt));
  resetRequest(map.recordsAt);
  beginHead(record, u32(PROBE + 2), map.buffersAt);
  return provesLayout(map.recordsAt, PROBE + 2, load<u16>(PROBE));
}

// ---- the map ----

export function resultAt(): u32 { return map.resultAt; }
export function systemAt(): u32 { return map.systemAt; }
export function textAt(): u32 { return map.textAt; }
export function logBatchAt(): u32 { return map.logBatchAt; }
export function recordsAt(): u32 { return map.recordsAt; }
export function logRecordsAt(): u32 { return map.logRecordsAt; }
export function buffersAt(): u32 { return map.buffersAt; }
export function bufferStride(): u32 { return map.bufferStride; }
export function tableBytes(): u32 { return map.tableBytes; }
export function headScratchAt(): u32 { return map.headScratchAt; }

// ---- connections ----

/** Notes who the peer of a new connection is, from the socket address that accept4 wrote. */
export function beginConnection(record: u32, socketAddressAt: u32, peerFlags: u32): void {
  const connection = changetype<Record>(usize(record));
  connection.peerFlags = peerFlags;
  connection.peerTextLength = u32(putAddress(connection.peerTextAt, socketAddressAt) - connection.peerTextAt);
}

// ---- heads ----

export function beginRequest(record: u32, at: u32, tableAt: u32): void {
  resetRequest(record);
  beginHead(changetype<Record>(usize(record)), at, tableAt);
}

/** Feeds `length` further bytes; HEAD_MORE, HEAD_DONE (the result area is filled) or a refusal. */
export function feedRequest(record: u32, length: u32): i32 {
  const connection = changetype<Record>(usize(record));
  const code = feedHead(connection, length);
  if (code != HEAD_DONE) return code;
  return headLength(connection) > map.headerBytesMax ? HEADER_TOO_LARGE : request.finishRequest(connection);
}

export function beginResponse(record: u32, at: u32, tableAt: u32): void {
  resetResponse(record);
  beginHead(changetype<Record>(usize(record)), at, tableAt);
}

/** `request`: F_ bits of the request that is being answered. */
export function feedResponse(record: u32, length: u32, request: u32): i32 {
  const connection = changetype<Record>(usize(record));
  const code = feedHead(connection, length);
  if (code == HEAD_DONE) {
    return headLength(connection) > map.headerBytesMax
      ? RESPONSE_HEADER_TOO_LARGE
      : response.finishResponse(connection, request);
  }
  if (code == 0) return code;
  return code == HEADER_TOO_LARGE || code == URI_TOO_LONG ? RESPONSE_HEADER_TOO_LARGE : BAD_RESPONSE;
}

@inline
function headLength(record: Record): u32 {
  return errorPosition(changetype<usize>(record)) - record.headAt;
}

export { requestContentLength } from "./http1/request";

export function hasField(record: u32, nameAt: u32, nameLength: u32, valueAt: u32, valueLength: i32): bool {
  return request.hasField(changetype<Record>(usize(record)), nameAt, nameLength, valueAt, valueLength);
}

export function writeRequestHead(
  record: u32,
  port: u32,
  secure: bool,
  idAt: u32,
  identityAt: u32,
  identityLength: u32,
): u32 {
  return requestHead.writeRequestHead(changetype<Record>(usize(record)), port, secure, idAt, identityAt, identityLength);
}

export { responseContentLength } from "./http1/response";

export function writeResponseHead(record: u32, how: u32, transportAt: u32, transportLength: u32): u32 {
  return response.writeResponseHead(changetype<Record>(usize(record)), how, transportAt, transportLength);
}

/**
 * A head that is at hand may be written later than now, when others have been read: before that it is kept, in the last
 * KEPT_BYTES of the headroom of `buffer`, whose header table and bytes are the message's and have to stay as they are.
 * Restored, it is at hand again: writeRequestHead, h2PutRequest and requestContentLength mean it.
 */
export function keepRequest(record: u32, buffer: u32): void { request.keepRequest(recordAt(record), buffer); }
export function restoreRequest(record: u32, buffer: u32): void { request.restoreRequest(recordAt(record), buffer); }

/** The same for an answer that came in HTTP/2; restored, it fills the result area again, as h2Headers did. */
export function keepResponse(record: u32, buffer: u32): void { response.keepResponse(recordAt(record), buffer); }
export function restoreResponse(record: u32, buffer: u32): void { response.restoreResponse(recordAt(record), buffer); }

/** The same for trailers, which frameChunk, h2HasTrailers and h2PutTrailers take from the table of `record`. */
export function keepTrailers(record: u32, buffer: u32): void { kept.keepTrailers(recordAt(record), buffer); }
export function restoreTrailers(record: u32, buffer: u32): void { kept.restoreTrailers(recordAt(record), buffer); }

/**
 * Of a 101 answer at hand, in the record of a backend of HTTP/1.1, to a request with F_HTTP_2 and F_WEBSOCKET that was written
 * by writeRequestHead with the record `client`: whether it answers the key that the backend was given (RFC 6455 §4.1).
 */
export function isWebSocketAccepted(record: u32, client: u32): bool {
  return isAccepted(recordAt(record), recordAt(client));
}

/** Puts the head that was written last, `length` bytes, so that it ends where `end` is. */
export function placeHead(end: u32, length: u32): void {
  move(end - length, map.headScratchAt, length);
}

// ---- bodies ----

export function beginChunks(record: u32): void {
  chunked.beginChunks(changetype<Record>(usize(record)));
}

export function decodeChunks(record: u32, at: u32, length: u32, tableAt: u32): i32 {
  return chunked.decodeChunks(changetype<Record>(usize(record)), at, length, tableAt);
}

/** `record`: whose trailers follow the last chunk, or 0. */
export function frameChunk(at: u32, length: u32, last: bool, record: u32): void {
  chunked.frameChunk(at, length, last, changetype<Record>(usize(record)));
}

export function copy(to: u32, from: u32, length: u32): void {
  move(to, from, length);
}

// ---- HTTP/2 ----
//
// `h2`: address of a connection's record, from h2RecordsAt() on; `stream`: address of a stream's record, which is one of the
// records that sockets have. Functions on a stream that has been forgotten do nothing.

export function h2RecordsAt(): u32 { return map.h2RecordsAt; }
export function h2RecordBytes(): u32 { return map.h2RecordBytes; }
/** The words of a profile (P_ and ABUSE_). */
export function h2ProfileAt(number: u32): u32 { return h2.profileAt(number); }

@inline
function session(at: u32): h2.Connection { return changetype<h2.Connection>(usize(at)); }
@inline
function recordAt(at: u32): Record { return changetype<Record>(usize(at)); }

/** `role`: H2_ROLE_; `record`: of the socket, which tells who the peer is. Writes nothing. */
export function h2Begin(at: u32, role: u32, profile: u32, record: u32): void {
  h2.begin(session(at), u8(role), profile, record);
}

/** Writes what we send first; its length (80 at most). */
export function h2Preface(at: u32, to: u32): u32 {
  return u32(h2.putPreface(session(at), to) - to);
}

/** Looks at `length` bytes at `from`: an EV_. R_CONSUMED of them are done with; the rest comes again. */
export function h2Feed(at: u32, from: u32, length: u32): i32 {
  return h2.feed(session(at), from, length);
}

/**
 * Takes the header block that EV_HEADERS or EV_TRAILERS told of, as long as it lies where h2Feed found it: HEAD_DONE and the
 * result area as feedRequest or feedResponse fill it, a refusal (the stream lives), H2_STREAM_FAILED or
 * H2_CONNECTION_FAILED. R_CONSUMED: how much of the input the block was. Up to TAILROOM bytes behind `room` may be written.
 */
export function h2Headers(at: u32, stream: u32, tableAt: u32, bytesAt: u32, room: u32): i32 {
  return receiveHeaders(session(at), recordAt(stream), tableAt, bytesAt, room);
}

/** Refuses the stream that EV_HEADERS told of; HEAD_DONE or H2_CONNECTION_FAILED, and R_CONSUMED. */
export function h2Refuse(at: u32): i32 {
  return h2.refuseBlock(session(at));
}

/** Bytes of replies that wait at h2 + H2_REPLIES_AT. */
export function h2Replies(at: u32): u32 { return session(at).replyLength; }
/** The first `bytes` of them have been sent; how many wait now. */
export function h2RepliesSent(at: u32, bytes: u32): u32 { return h2.repliesSent(session(at), bytes); }

/** The peer may send so many bytes of a stream's body again. */
export function h2Consumed(at: u32, stream: u32, bytes: u32): void { h2.consumed(session(at), recordAt(stream), bytes); }
/** The same in two steps: they lie where they are counted against their stream alone; and they have been passed on. */
export function h2Stored(at: u32, stream: u32, bytes: u32): void { h2.creditStored(session(at), recordAt(stream), bytes); }
export function h2Passed(at: u32, stream: u32, bytes: u32): void { h2.creditPassed(session(at), recordAt(stream), bytes); }
/** What all streams together may send now; below 0 after a change of settings. */
export function h2Window(at: u32): i32 { return session(at).sendWindow; }
/** Bytes that may be sent in one DATA frame now. */
export function h2Sendable(at: u32, stream: u32): u32 { return h2.sendable(session(at), recordAt(stream)); }
/** Writes the header of a DATA frame; H2_FRAME_HEADER, or 0: not allowed. */
export function h2PutData(at: u32, stream: u32, to: u32, length: u32, end: bool): u32 {
  return h2.putData(session(at), recordAt(stream), to, length, end);
}

/** Room that the functions below need where they write. */
export function h2HeadBytesMax(): u32 { return toH2.headBytesMax(); }

export function h2PutRequest(
  at: u32,
  stream: u32,
  source: u32,
  port: u32,
  secure: bool,
  idAt: u32,
  identityAt: u32,
  identityLength: u32,
  scheme: bool,
  end: bool,
  to: u32,
): u32 {
  const from = recordAt(source);
  return toH2.putRequest(session(at), recordAt(stream), from, port, secure, idAt, identityAt, identityLength, scheme, end, to);
}

export function h2PutResponse(
  at: u32,
  stream: u32,
  source: u32,
  how: u32,
  transportAt: u32,
  transportLength: u32,
  end: bool,
  to: u32,
): u32 {
  return toH2.putResponse(session(at), recordAt(stream), recordAt(source), how, transportAt, transportLength, end, to);
}

/** A head of the proxy's own, or with status 0 trailers: whole lines of HTTP/1 fields, names of up to 64 bytes. */
export function h2PutLines(at: u32, stream: u32, status: u32, linesAt: u32, linesLength: u32, end: bool, to: u32): u32 {
  return toH2.putLinesAsHead(session(at), recordAt(stream), status, linesAt, linesLength, end, to);
}

/** Whether h2PutTrailers would write any. */
export function h2HasTrailers(source: u32): bool { return toH2.hasTrailers(recordAt(source)); }

/** 0: none of them goes on, and DATA has to end the stream. */
export function h2PutTrailers(at: u32, stream: u32, source: u32, to: u32): u32 {
  return toH2.putTrailers(session(at), recordAt(stream), recordAt(source), to);
}

/** Client: whether extended CONNECT may be asked for (RFC 8441 §3), from EV_SETTINGS on. */
export function h2PeerTakesWebSockets(at: u32): bool { return session(at).peerConnectProtocol != 0; }

/** Client: how many streams may be opened now; and opens one: its id, or 0. Its request has to be put next. */
export function h2Openable(at: u32): u32 { return h2.openable(session(at)); }
/** How many streams of ours the peer takes at once, as its SETTINGS say. */
export function h2PeerStreamsMax(at: u32): u32 { return min(session(at).peerStreamsMax, map.h2StreamsMax); }
export function h2Open(at: u32, stream: u32): u32 { return h2.openStream(session(at), recordAt(stream)); }

/** RST_STREAM becomes a reply, when there is room for it; the stream is forgotten. */
export function h2Reset(at: u32, stream: u32, code: u32): void { h2.resetStream(session(at), recordAt(stream), code); }
/** The exchange is over; what the peer has not ended is reset with NO_ERROR (RFC 9113 §8.1). */
export function h2EndStream(at: u32, stream: u32): void { h2.endStream(session(at), recordAt(stream)); }
/** False: the replies have to be sent first. `last`: 2^31-1 to announce the end, or the last stream that was taken. */
export function h2Goaway(at: u32, last: u32, code: u32): bool { return h2.sendGoaway(session(at), last, code); }
/** The highest stream of the peer's that was seen. */
export function h2LastStream(at: u32): u32 { return session(at).lastTheirs; }
export function h2Ping(at: u32): bool { return h2.sendPing(session(at)); }
/** Once a second: what was counted against the limits of the profile is forgotten. */
export function h2Tick(at: u32): void { h2.tick(session(at)); }
