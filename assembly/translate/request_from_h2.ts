// A request that came in HTTP/2 (RFC 9113 §8.3.1; extended CONNECT: RFC 8441 §4): its pseudo-header fields and fields checked,
// then what http1/request.ts makes of any request, so that routing and writing know one kind of request only.

import {
  BAD_REQUEST, F_WEBSOCKET, H2_STREAM_FAILED, HEAD_DONE, HEADER_TOO_LARGE, METHOD_UNKNOWN, R_HEAD_END, R_PRIORITY,
  URI_TOO_LONG,
} from "../abi";
import { CLASS_TOKEN, intern, isClass, isText } from "../bytes";
import { contentLength } from "../http1/framing";
import { CONNECT, finishFields, flags as requestFlags, OPTIONS } from "../http1/request";
import { Connection, CONTENT_TUNNEL, listBytesEnd, MESSAGE_BODY, MESSAGE_OVER, parsePriority } from "../http2/mod";
import { DROP, Header, PSEUDO, Record, setResult, targetBytesMax } from "../memory";
import { areFields, isValue, joinCookies } from "./fields_from_h2";
import { METHOD_OTHER, methodNumberOf } from "./methods";

const METHOD = intern(":method");
const SCHEME = intern(":scheme");
const PATH = intern(":path");
const AUTHORITY = intern(":authority");
const PROTOCOL = intern(":protocol");
const WEBSOCKET = intern("websocket");
const HTTP = intern("http");
const HTTPS = intern("https");
const PRIORITY = intern("priority");

const NONE = changetype<Header>(0);

// The request at hand.
let method: Header = NONE;
let scheme: Header = NONE;
let path: Header = NONE;
let authority: Header = NONE;
let protocol: Header = NONE;

@inline
function has(header: Header): bool { return changetype<usize>(header) != 0; }

/** Checks the head whose fields have been decoded. HEAD_DONE and the result area, a refusal, or H2_STREAM_FAILED. */
export function requestFromH2(connection: Connection, record: Record): i32 {
  const ends = connection.blockEnds != 0;
  record.message = ends ? MESSAGE_OVER : MESSAGE_BODY;
  const first = takePseudo(record);
  if (first < 0 || !areFields(record, first)) return H2_STREAM_FAILED;
  const kind = isExtended(connection) ? F_WEBSOCKET : 0;
  const line = checkLine(kind, connection.connectProtocol != 0);
  if (line != HEAD_DONE) return line;
  if (!joinCookies(record, listBytesEnd)) return HEADER_TOO_LARGE;
  const number = methodNumberOf(method.valueAt, method.valueLength);
  if (number == METHOD_OTHER) return METHOD_UNKNOWN;
  const target = has(path) ? path : authority;
  const port = has(scheme) && isText(scheme.valueAt, scheme.valueLength, HTTP) ? 80 : 443;
  const code = finishFields(record, number, method, target, authority, port, kind, ends);
  if (code != HEAD_DONE) return code;
  record.exchange = requestFlags;
  if (number == CONNECT) record.contentLeft = CONTENT_TUNNEL;
  else if (contentLength >= 0) record.contentLeft = i64(contentLength);
  takePriority(record);
  setResult(R_HEAD_END, record.headAt);
  return HEAD_DONE;
}

/** Finds the pseudo-header fields, which stand first (§8.3); where the others begin, or -1: repeated, unknown, malformed. */
function takePseudo(record: Record): i32 {
  method = scheme = path = authority = protocol = NONE;
  const count = record.headerCount;
  let i: u32 = 0;
  for (; i < count; i++) {
    const header = record.entry(i);
    if (!(header.flags & PSEUDO)) break;
    header.flags |= DROP;
    if (!isValue(header) || !notePseudo(header)) return -1;
  }
  return i;
}

function notePseudo(header: Header): bool {
  if (isNamed(header, METHOD)) {
    if (has(method)) return false;
    method = header;
  } else if (isNamed(header, PATH)) {
    if (has(path)) return false;
    path = header;
  } else if (isNamed(header, SCHEME)) {
    if (has(scheme)) return false;
    scheme = header;
  } else if (isNamed(header, AUTHORITY)) {
    if (has(authority)) return false;
    authority = header;
  } else {
    if (has(protocol) || !isNamed(header, PROTOCOL)) return false;
    protocol = header;
  }
  return true;
}

@inline
function isNamed(header: Header, name: usize): bool {
  return header.nameLength == load<u16>(name) && memory.compare(header.nameAt, name + 2, header.nameLength) == 0;
}

/** RFC 8441 §4, as far as we have offered it. */
@inline
function isExtended(connection: Connection): bool {
  return has(protocol) && connection.connectProtocol != 0 && isConnect() && isText(protocol.valueAt, protocol.valueLength, WEBSOCKET);
}

@inline
function isConnect(): bool {
  return method.valueLength == 7 && methodNumberOf(method.valueAt, 7) == CONNECT;
}

/** §8.3.1, §8.5: what has to be there, and what must not. */
function checkLine(kind: u32, connectProtocol: bool): i32 {
  if (!has(method) || !isToken(method)) return H2_STREAM_FAILED;
  // RFC 9220 §3, which speaks for RFC 8441 too: a protocol that nobody here knows is 501
  if (has(protocol) && !kind) return connectProtocol && isConnect() ? METHOD_UNKNOWN : H2_STREAM_FAILED;
  if (isConnect() && !kind) {
    return has(scheme) || has(path) || !has(authority) ? H2_STREAM_FAILED : HEAD_DONE;
  }
  if (!has(scheme) || !has(path) || path.valueLength == 0) return H2_STREAM_FAILED;
  if (has(protocol) && !has(authority)) return H2_STREAM_FAILED;
  if (!isPathForm()) return H2_STREAM_FAILED;
  if (path.valueLength > targetBytesMax) return URI_TOO_LONG;
  const known = isText(scheme.valueAt, scheme.valueLength, HTTP) || isText(scheme.valueAt, scheme.valueLength, HTTPS);
  return known ? HEAD_DONE : BAD_REQUEST;
}

/** It begins with "/", or is "*" for OPTIONS. */
function isPathForm(): bool {
  if (load<u8>(path.valueAt) == 0x2f) return true;
  return path.valueLength == 1 && load<u8>(path.valueAt) == 0x2a && methodNumberOf(method.valueAt, method.valueLength) == OPTIONS;
}

function isToken(header: Header): bool {
  for (let i: u32 = 0; i < header.valueLength; i++) {
    if (!isClass(load<u8>(usize(header.valueAt) + i), CLASS_TOKEN)) return false;
  }
  return header.valueLength > 0;
}

/** RFC 9218 §5, unless a frame has come first (§7). */
function takePriority(record: Record): void {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.nameLength != 8 || !isNamed(header, PRIORITY)) continue;
    if (!record.hasPriority) record.priority = parsePriority(header.valueAt, header.valueLength, record.priority);
  }
  setResult(R_PRIORITY, record.priority);
}
