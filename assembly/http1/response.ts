// A finished response head from a backend (RFC 9112 §4, §6.3), and the head that goes to the client. What is doubtful
// is BAD_RESPONSE: the client gets 502 and the connection is not used again. finishResponse() and writeResponseHead()
// belong to one message, as in request.ts.

import {
  BAD_RESPONSE, BODY_CHUNKED, BODY_LENGTH, BODY_NONE, BODY_STREAM, F_CONNECT, F_CONTENT_LENGTH, F_DATE, F_HEAD, F_HTTP_1_0, F_HTTP_2, F_KEEP_ALIVE, F_UPGRADE, F_WEBSOCKET, H2_STREAM_FAILED, HEAD_DONE, R_BODY_MODE,
  R_FLAGS, R_HEAD_END, R_HEADER_COUNT, R_STATUS, TEXT_DATE, W_ADD_DATE, W_CHUNKED, W_CLOSE, W_KEEP_ALIVE, W_TUNNEL, W_UPGRADE,
} from "../abi";
import { intern, put, putByte, putCrlf, putDecimal, putText } from "../bytes";
import { DROP, Header, headScratchAt, Record, setResult, textAt } from "../memory";
import { K_CONTENT_LENGTH, K_OTHER, K_SEC_WEBSOCKET_ACCEPT, K_STRICT_TRANSPORT_SECURITY, K_UPGRADE } from "./fields";
import {
  collect, contentLength, hasDate, hasTransferEncoding, hasUpgrade, responseFraming, saysClose, saysKeepAlive, setContentLength,
} from "./framing";
import { keptIn, useTable } from "./kept";
import { CHUNKED_FIELD, NO_CONTENT, putField, UPGRADE_FIELD } from "./lines";
import { errorPosition, HTTP_1_0, HTTP_1_1, statusCode } from "./llhttp";
import { reasonOf } from "./reasons";
import { dropFields, putAccept } from "./websocket";

const STATUS_LINE = intern("HTTP/1.1 ");
const CLOSE_FIELD = intern("Connection: close\r\n");
const KEEP_ALIVE_FIELD = intern("Connection: keep-alive\r\n");

/** "HTTP/1.1 200" */
const STATUS_LINE_BYTES: usize = 12;

// The message at hand.
let status: u32 = 0;
let bodyMode: i32 = 0;
let flags: u32 = 0;
/** It has ended without a body, and only HTTP/2 has said so. */
let saysNoContent: bool = false;

/**
 * Checks the head that feedHead() found complete. `request`: F_ bits of the request that it answers. HEAD_DONE or
 * BAD_RESPONSE; fills the result area.
 */
export function finishResponse(record: Record, request: u32): i32 {
  const version = load<u64>(record.headAt);
  const isHttp10 = version == HTTP_1_0;
  if (version != HTTP_1_1 && !isHttp10) return BAD_RESPONSE;
  status = statusCode(changetype<usize>(record));
  if (status < 100 || status > 599 || !isStatusLine(record) || !collect(record)) return BAD_RESPONSE;
  if (status == 101 && (!(request & F_UPGRADE) || !hasUpgrade || isHttp10)) return BAD_RESPONSE;
  const toHead = (request & F_HEAD) != 0;
  const connected = (request & F_CONNECT) != 0 && status >= 200 && status < 300;
  bodyMode = connected ? BODY_NONE : responseFraming(status, toHead, isHttp10);
  if (bodyMode < 0) return BAD_RESPONSE;
  flags = connected ? F_UPGRADE : 0;
  saysNoContent = false;
  if (isHttp10) flags |= F_HTTP_1_0;
  if (isHttp10 ? saysKeepAlive && !saysClose : !saysClose) flags |= F_KEEP_ALIVE;
  if (status == 101) flags |= F_UPGRADE;
  if (hasDate) flags |= F_DATE;
  if (contentLength >= 0) flags |= F_CONTENT_LENGTH;
  // a length or coding where no body can be: whatever follows is not to be trusted as the next response
  if (bodyMode == 0 && !toHead && status != 304 && (hasTransferEncoding || contentLength > 0)) flags &= ~F_KEEP_ALIVE;
  fillResult(record, errorPosition(changetype<usize>(record)));
  return HEAD_DONE;
}

/**
 * The same for a head that came in HTTP/2 and whose fields are well-formed. `ends`: no body follows. HEAD_DONE, or
 * H2_STREAM_FAILED: malformed (RFC 9113 §8.1.1).
 */
export function finishFields(record: Record, statusGiven: u32, request: u32, ends: bool): i32 {
  status = statusGiven;
  record.targetAt = record.targetLength = 0;
  if (!collect(record)) return H2_STREAM_FAILED;
  const connected = (request & (F_CONNECT | F_WEBSOCKET)) != 0 && status >= 200 && status < 300;
  const never = (request & F_HEAD) != 0 || status < 200 || status == 204 || status == 304;
  if (ends && !never && contentLength > 0) return H2_STREAM_FAILED;
  const none = connected || never || ends || contentLength == 0;
  bodyMode = none ? BODY_NONE : contentLength > 0 ? BODY_LENGTH : BODY_STREAM;
  saysNoContent = ends && !connected && !never && contentLength < 0;
  flags = F_HTTP_2 | F_KEEP_ALIVE;
  if (connected) flags |= F_UPGRADE;
  if (hasDate) flags |= F_DATE;
  if (contentLength >= 0) flags |= F_CONTENT_LENGTH;
  if (connected && (request & (F_WEBSOCKET | F_HTTP_2)) == F_WEBSOCKET) switchProtocols(record);
  fillResult(record, record.headAt);
  return HEAD_DONE;
}

/** RFC 8441 §5: what is a success in HTTP/2 is a switch for the client of HTTP/1.1 that has asked for a WebSocket. */
function switchProtocols(record: Record): void {
  status = 101;
  dropFields(record, K_SEC_WEBSOCKET_ACCEPT);
}

function fillResult(record: Record, headEnd: u32): void {
  setResult(R_HEAD_END, headEnd);
  setResult(R_BODY_MODE, bodyMode);
  setResult(R_FLAGS, flags);
  setResult(R_STATUS, status);
  setResult(R_HEADER_COUNT, record.headerCount);
}

/** As keepRequest(), of an answer that came in HTTP/2. */
export function keepResponse(record: Record, buffer: u32): void {
  const kept = keptIn(buffer);
  kept.contentLength = contentLength;
  kept.flags = flags;
  kept.bodyMode = bodyMode;
  kept.saysNoContent = saysNoContent;
  kept.headerCount = record.headerCount;
  kept.status = status;
  kept.headEnd = record.headAt;
}

/** The answer that was kept in `buffer` is at hand again; fills the result area. */
export function restoreResponse(record: Record, buffer: u32): void {
  const kept = keptIn(buffer);
  useTable(record, buffer, kept);
  setContentLength(kept.contentLength);
  flags = kept.flags;
  bodyMode = kept.bodyMode;
  saysNoContent = kept.saysNoContent;
  status = kept.status;
  fillResult(record, kept.headEnd);
}

/** RFC 9112 §4: a reason of blanks, visible characters and obs-text, and CRLF. llhttp lets others pass, and CR CR. */
function isStatusLine(record: Record): bool {
  let end = usize(record.headAt) + STATUS_LINE_BYTES;
  if (load<u8>(end) == 0x20) end++;
  if (record.targetLength) end = usize(record.targetAt + record.targetLength);
  if (load<u16>(end) != 0x0a0d) return false;
  for (let i: u32 = 0; i < record.targetLength; i++) {
    const byte = load<u8>(usize(record.targetAt) + i);
    if ((byte < 0x20 && byte != 0x09) || byte == 0x7f) return false;
  }
  return true;
}

export function responseContentLength(): f64 {
  return bodyMode == BODY_CHUNKED || contentLength < 0 ? 0 : contentLength;
}

/** RFC 9110 §8.6: no Content-Length in 1xx and 204, nor (§9.3.6) in front of a tunnel. */
@inline
export function isWithoutLength(how: u32): bool {
  return status < 200 || status == 204 || (how & (W_CHUNKED | W_TUNNEL)) != 0;
}

/** Whether a field of the backend goes on to the client. */
@inline
export function isPassed(header: Header, how: u32, withoutLength: bool, transportLength: u32): bool {
  return header.known == K_OTHER ? (header.flags & DROP) == 0 : isKnownPassed(header, how, withoutLength, transportLength);
}

@inline
function isKnownPassed(header: Header, how: u32, withoutLength: bool, transportLength: u32): bool {
  if (header.known == K_UPGRADE ? !(how & W_UPGRADE) : (header.flags & DROP) != 0) return false;
  if (header.known == K_CONTENT_LENGTH && withoutLength) return false;
  return header.known != K_STRICT_TRANSPORT_SECURITY || transportLength == 0;
}

@inline
export function responseStatus(): u32 { return status; }

/** RFC 9113 §8.3.2: HTTP/2 carries none. */
function putReason(to: usize): usize {
  const reason = reasonOf(status);
  return reason ? putText(to, reason) : to;
}

/**
 * Writes the head for the client, as the W_ bits say, to the head scratch; returns its length. `transportAt`: a whole
 * Strict-Transport-Security field that takes the place of the backend's (clients read the first alone), or none.
 */
export function writeResponseHead(record: Record, how: u32, transportAt: u32, transportLength: u32): u32 {
  let to = putText(headScratchAt, STATUS_LINE);
  to = putByte(putDecimal(to, status), 0x20);
  const switches = status == 101 && (flags & F_HTTP_2) != 0;
  to = putCrlf(flags & F_HTTP_2 ? putReason(to) : put(to, record.targetAt, record.targetLength));
  const withoutLength = isWithoutLength(how);
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (isPassed(header, how, withoutLength, transportLength)) to = putField(to, header);
  }
  to = put(to, transportAt, transportLength);
  if (how & W_CHUNKED) to = putText(to, CHUNKED_FIELD);
  if (saysNoContent) to = putText(to, NO_CONTENT);
  if (how & W_ADD_DATE) to = put(to, textAt + TEXT_DATE + 4, load<u32>(textAt + TEXT_DATE));
  if (how & W_CLOSE) to = putText(to, CLOSE_FIELD);
  if (how & W_KEEP_ALIVE) to = putText(to, KEEP_ALIVE_FIELD);
  if (how & W_UPGRADE) to = putText(to, UPGRADE_FIELD);
  if (switches) to = putAccept(to, record);
  return u32(putCrlf(to) - headScratchAt);
}
