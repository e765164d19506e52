// The codec's only entry: everything that TypeScript may call, and the callbacks that llhttp imports. The functions
// here translate addresses to records and say what holds; the work is in the modules.

import {
  ABI_VERSION, HEAD_DONE, BAD_RESPONSE, HEADER_TOO_LARGE, RESPONSE_HEADER_TOO_LARGE, URI_TOO_LONG,
} from "./abi";
import { intern } from "./bytes";
import { putAddress } from "./address";
import * as chunked from "./http1/chunked";
import { beginHead, feedHead } from "./http1/head";
import { allocateTemplates, errorPosition, provesLayout, resetRequest, resetResponse } from "./http1/llhttp";
import * as request from "./http1/request";
import * as response from "./http1/response";
import * as map from "./memory";
import { Record } from "./memory";

export {
  wasm_on_body, wasm_on_header_field, wasm_on_header_value, wasm_on_headers_complete, wasm_on_message_begin,
  wasm_on_message_complete, wasm_on_status, wasm_on_url,
} from "./http1/head";
export { layout } from "./memory";
export { logBegin, logEnd } from "./access_log";

export function abiVersion(): i32 {
  return ABI_VERSION;
}

const PROBE = intern("POST /probe HTTP/1.1\r\nContent-Length: 7\r\n\r\n");

/** Once, after layout() and the growth of memory. False: this llhttp is not the one whose layout we know. */
export function start(): bool {
  if (!allocateTemplates()) return false;
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

export function writeRequestHead(record: u32, port: u32, secure: bool, idAt: u32): u32 {
  return request.writeRequestHead(changetype<Record>(usize(record)), port, secure, idAt);
}

export { responseContentLength } from "./http1/response";

export function writeResponseHead(record: u32, how: u32): u32 {
  return response.writeResponseHead(changetype<Record>(usize(record)), how);
}

/** Puts the head that was written last, `length` bytes, so that it ends where `end` is. */
export function placeHead(end: u32, length: u32): void {
  memory.copy(end - length, map.headScratchAt, length);
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
  memory.copy(to, from, length);
}
