// Heads and trailers from a header block, of whichever protocol, into HTTP/2 frames (RFC 9113 §8). What of the other side
// goes on, and what the proxy adds, is decided by http1/request_head.ts and http1/response.ts for both protocols; here the names
// become small, the line becomes pseudo-header fields, and cookies are cut into pieces, which compress better (§8.2.3).
//
// As with writeRequestHead(), the source is the message that was finished last. The caller has headBytesMax() bytes of room.

import { F_CONNECT, F_HTTP_2, F_WEBSOCKET, H2_FRAME_HEADER, HEADROOM, TEXT_DATE, W_ADD_DATE } from "../abi";
import { intern, isBlank, lower } from "../bytes";
import {
  beginBlock, encodeField, encodeStaticName, encodeStatus, DynamicTable, FIELD_BYTES_MAX, S_AUTHORITY, S_METHOD,
  S_PATH, S_SCHEME,
} from "../hpack/mod";
import { putAdded } from "../http1/added_fields";
import { isTrailer } from "../http1/chunked";
import { K_OTHER, K_SEC_WEBSOCKET_ACCEPT, K_SEC_WEBSOCKET_KEY, K_TE, K_UPGRADE } from "../http1/fields";
import { hasToken } from "../http1/framing";
import * as request from "../http1/request";
import * as requestHead from "../http1/request_head";
import * as response from "../http1/response";
import { dropFields, noteKeyOf } from "../http1/websocket";
import { Connection, encoder, frameBlock, maySendHeaders } from "../http2/mod";
import { DROP, Header, headerBytesMax, headersMax, Record, textAt, trailerScratchAt } from "../memory";

const HTTP = intern("http");
const HTTPS = intern("https");
const CONNECT = intern("CONNECT");
const PROTOCOL = intern(":protocol");
const WEBSOCKET = intern("websocket");
const TE = intern("te");
const TRAILERS = intern("trailers");

/** Pieces of one cookie field; the last has the rest. */
const CRUMBS_MAX: u32 = 64;
/** A frame's header for each part of the block. */
const FRAMES_BYTES_MAX: u32 = 256;

/** What a head may take where it is written. */
export function headBytesMax(): u32 {
  return headerBytesMax + HEADROOM + (headersMax + CRUMBS_MAX) * FIELD_BYTES_MAX + FRAMES_BYTES_MAX;
}

/**
 * The request at hand as HEADERS of `stream`; its length, or 0 when the stream's state does not allow it, or when it asks for
 * a WebSocket and the peer takes none (RFC 8441 §3). `secure`: of the client's connection, `scheme`: of the backend's; the
 * others as for writeRequestHead(). `ends`: no body follows, nor a tunnel.
 */
export function putRequest(
  connection: Connection,
  stream: Record,
  source: Record,
  port: u32,
  secure: bool,
  idAt: u32,
  identityAt: u32,
  identityLength: u32,
  scheme: bool,
  ends: bool,
  to: usize,
): u32 {
  const flags = request.flags;
  if (!maySendHeaders(stream, ends) || (flags & F_WEBSOCKET && !connection.peerConnectProtocol)) return 0;
  const table = encoder(connection);
  stream.exchange = flags;
  if ((flags & (F_WEBSOCKET | F_HTTP_2)) == F_WEBSOCKET) noteKeyOf(stream, source);
  requestHead.setIdentified(identityLength > 0);
  let at = putLine(table, beginBlock(table, to + H2_FRAME_HEADER), flags, scheme);
  let takesTrailers = false;
  const count = source.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = source.entry(i);
    if (header.known == K_TE) takesTrailers = takesTrailers || hasToken(header, TRAILERS + 2, load<u16>(TRAILERS));
    else if (isPassed(source, header, flags)) at = putField(table, at, header);
  }
  // §8.2.2: of all that TE can say, this alone goes on, and once; gRPC asks for it
  if (takesTrailers) at = encodeField(table, at, TE + 2, load<u16>(TE), TRAILERS + 2, load<u16>(TRAILERS), 0);
  const lines = trailerScratchAt;
  const end = putAdded(lines, source, port, secure, idAt, identityAt, identityLength);
  at = putLines(table, at, lines, end);
  return frameBlock(connection, stream, to, at, ends);
}

/** §8.2.2: nothing is upgraded here; for WebSockets there is extended CONNECT, which has no keys (RFC 8441 §5). */
@inline
function isPassed(source: Record, header: Header, flags: u32): bool {
  if (header.known == K_UPGRADE || (header.known == K_SEC_WEBSOCKET_KEY && flags & F_WEBSOCKET)) return false;
  return requestHead.isPassed(source, header);
}

/** §8.3.1, §8.5, RFC 8441 §4 */
function putLine(table: DynamicTable, to: usize, flags: u32, scheme: bool): usize {
  const isTunnel = (flags & F_CONNECT) != 0;
  if (flags & F_WEBSOCKET) {
    to = encodeStaticName(table, to, S_METHOD, CONNECT + 2, load<u16>(CONNECT), 0);
    to = encodeField(table, to, PROTOCOL + 2, load<u16>(PROTOCOL), WEBSOCKET + 2, load<u16>(WEBSOCKET), 0);
  } else to = encodeStaticName(table, to, S_METHOD, request.methodAt, request.methodLength, 0);
  if (!isTunnel) {
    const text = scheme ? HTTPS : HTTP;
    to = encodeStaticName(table, to, S_SCHEME, text + 2, load<u16>(text), 0);
    const end = requestHead.putTarget(trailerScratchAt);
    to = encodeStaticName(table, to, S_PATH, trailerScratchAt, u32(end - trailerScratchAt), 0);
  }
  // a request of HTTP/1.0 may say none, and then none is made up
  const length = request.hostLength;
  return length == 0 ? to : encodeStaticName(table, to, S_AUTHORITY, request.hostAt, length, 0);
}

/** The response at hand as HEADERS of `stream`; W_ bits and Strict-Transport-Security as for writeResponseHead(). */
export function putResponse(
  connection: Connection,
  stream: Record,
  source: Record,
  how: u32,
  transportAt: u32,
  transportLength: u32,
  ends: bool,
  to: usize,
): u32 {
  if (!maySendHeaders(stream, ends)) return 0;
  const table = encoder(connection);
  // RFC 8441 §5: what switches protocols in HTTP/1.1 is a success here
  const switches = response.responseStatus() == 101;
  if (switches) dropFields(source, K_SEC_WEBSOCKET_ACCEPT);
  const status = switches ? 200 : response.responseStatus();
  let at = encodeStatus(table, beginBlock(table, to + H2_FRAME_HEADER), status);
  const withoutLength = response.isWithoutLength(how);
  const count = source.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = source.entry(i);
    if (!response.isPassed(header, how, withoutLength, transportLength)) continue;
    if (!(header.flags & DROP)) at = putField(table, at, header);
  }
  at = putLines(table, at, transportAt, usize(transportAt) + transportLength);
  if (how & W_ADD_DATE) at = putLines(table, at, textAt + TEXT_DATE + 4, usize(textAt + TEXT_DATE + 4) + load<u32>(textAt + TEXT_DATE));
  return frameBlock(connection, stream, to, at, ends);
}

/** A head of the proxy's own: `status` (0: trailers, which have none), and whole lines of fields at `linesAt`. */
export function putLinesAsHead(
  connection: Connection,
  stream: Record,
  status: u32,
  linesAt: u32,
  linesLength: u32,
  ends: bool,
  to: usize,
): u32 {
  if (!maySendHeaders(stream, ends)) return 0;
  const table = encoder(connection);
  let at = beginBlock(table, to + H2_FRAME_HEADER);
  if (status != 0) at = encodeStatus(table, at, status);
  return frameBlock(connection, stream, to, putLines(table, at, linesAt, usize(linesAt) + linesLength), ends);
}

/** The trailers of `source`, which end the stream; 0 when none of them goes on: then DATA has to end it. */
export function putTrailers(connection: Connection, stream: Record, source: Record, to: usize): u32 {
  if (!maySendHeaders(stream, true) || !hasTrailers(source)) return 0;
  const table = encoder(connection);
  let at = beginBlock(table, to + H2_FRAME_HEADER);
  const count = source.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = source.entry(i);
    if (isTrailer(header)) at = putField(table, at, header);
  }
  return frameBlock(connection, stream, to, at, true);
}

export function hasTrailers(source: Record): bool {
  const count = source.headerCount;
  for (let i: u32 = 0; i < count; i++) if (isTrailer(source.entry(i))) return true;
  return false;
}

function putField(table: DynamicTable, to: usize, header: Header): usize {
  trim(header);
  const name = lowered(header.nameAt, header.nameLength);
  if (header.known == K_OTHER && isCookieName(name, header.nameLength)) return putCookie(table, to, name, header);
  return encodeField(table, to, name, header.nameLength, header.valueAt, header.valueLength, header.flags);
}

/** §8.2.1: a value has no blanks around; trailers of HTTP/1 still may. */
@inline
function trim(header: Header): void {
  while (header.valueLength > 0 && isBlank(load<u8>(usize(header.valueAt) + header.valueLength - 1))) header.valueLength--;
}

/** The name in small letters: where it is, if they are, or in the scratch. */
function lowered(at: usize, length: u32): usize {
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(at + i);
    if (lower(byte) != byte) return copyLowered(at, length);
  }
  return at;
}

function copyLowered(at: usize, length: u32): usize {
  for (let i: u32 = 0; i < length; i++) store<u8>(usize(trailerScratchAt) + i, lower(load<u8>(at + i)));
  return trailerScratchAt;
}

const COOKIE = intern("cookie");

@inline
function isCookieName(at: usize, length: u32): bool {
  return length == load<u16>(COOKIE) && memory.compare(at, COOKIE + 2, length) == 0;
}

function putCookie(table: DynamicTable, to: usize, name: usize, header: Header): usize {
  let at = usize(header.valueAt);
  const end = at + header.valueLength;
  for (let crumbs: u32 = 1; crumbs < CRUMBS_MAX; crumbs++) {
    const stop = crumbEnd(at, end);
    if (stop == end) break;
    if (stop > at) to = encodeField(table, to, name, header.nameLength, at, u32(stop - at), header.flags);
    at = stop + 2;
  }
  return encodeField(table, to, name, header.nameLength, at, u32(end - at), header.flags);
}

/** Where the next "; " is that something follows. */
function crumbEnd(at: usize, end: usize): usize {
  for (; at + 2 < end; at++) if (load<u16>(at) == 0x203b) return at;
  return end;
}

/** Lines "Name: value" and CRLF, as HTTP/1 has them; the proxy's own, so their form is known. */
function putLines(table: DynamicTable, to: usize, at: usize, end: usize): usize {
  while (at < end) {
    let colon = at;
    while (load<u8>(colon) != 0x3a) colon++;
    let stop = colon;
    while (load<u8>(stop) != 0x0d) stop++;
    const length = u32(colon - at);
    to = encodeField(table, to, nameOfLine(at, length), length, colon + 2, u32(stop - colon) - 2, 0);
    at = stop + 2;
  }
  return to;
}

const lineName: usize = memory.data(64);

function nameOfLine(at: usize, length: u32): usize {
  assert(length <= 64);
  for (let i: u32 = 0; i < length; i++) store<u8>(lineName + i, lower(load<u8>(at + i)));
  return lineName;
}
