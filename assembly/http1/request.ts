// A finished request head: what it asks for and whether it may (RFC 9112 §3, §6; RFC 9110 §7), and the head that goes
// to the backend, written anew from the block. finishRequest() and writeRequestHead() belong to one message: nothing
// else may be parsed between them, since they share what collect() found.

import {
  BAD_REQUEST, BODY_CHUNKED, BODY_LENGTH, BODY_NONE, BODY_STREAM, F_CONNECT, F_CONTENT_LENGTH, F_EXPECT_CONTINUE, F_HEAD, F_HTTP_1_0,
  F_HTTP_2, F_IDEMPOTENT, F_KEEP_ALIVE, F_KEEP_ALIVE_1_0, F_OPTIONS, F_UPGRADE, F_WEBSOCKET, H2_STREAM_FAILED, HEAD_DONE, PEER_TRUSTED, R_BODY_MODE, R_FLAGS, R_HEAD_END,
  R_HEADER_COUNT, R_HOST_AT, R_HOST_LENGTH, R_METHOD_AT, R_METHOD_LENGTH, R_PATH_AT, R_PATH_LENGTH, R_TARGET_AT,
  R_TARGET_LENGTH, REQUEST_ID_BYTES, VERSION_NOT_SUPPORTED,
} from "../abi";
import {
  CLASS_HEX, CLASS_HOST, CLASS_ID, CLASS_TARGET, CLASS_TOKEN, equalsIgnoreCase, hexDigit, intern, isClass, put,
  putBase64, putByte, putCrlf, putDecimal, putText, textLength,
} from "../bytes";
import { DROP, Header, headScratchAt, Record, setResult } from "../memory";
import {
  K_EXPECT, K_FORWARDED, K_HOST, K_OTHER, K_UPGRADE, K_X_CLIENT_CERT, K_X_FORWARDED_FOR, K_X_FORWARDED_HOST, K_X_FORWARDED_PORT,
  K_SEC_WEBSOCKET_KEY, K_X_FORWARDED_OTHER, K_X_FORWARDED_PROTO, K_X_REAL_IP, K_X_REQUEST_ID,
} from "./fields";
import {
  collect, contentLength, expectsContinue, hasTransferEncoding, hasUpgrade, hostCount, hostEntry, requestFraming, saysClose, saysKeepAlive,
  saysUpgrade, setContentLength,
} from "./framing";
import { isIpv6 } from "./ipv6";
import { keptIn, useTable } from "./kept";
import { errorPosition, HTTP_1_0, HTTP_1_1, methodNumber } from "./llhttp";
import { asksForWebSocket, dropFields, noteKey } from "./websocket";

// llhttp's numbers of the methods that matter here
export const DELETE: u32 = 0;
export const GET: u32 = 1;
export const HEAD: u32 = 2;
export const POST: u32 = 3;
export const PUT: u32 = 4;
export const CONNECT: u32 = 5;
export const OPTIONS: u32 = 6;
export const TRACE: u32 = 7;

/** "HTTP/" as it lies in memory. */
const HTTP_NAME: u64 = 0x2f50545448;

/** 253 bytes of name, and a port; "[…]" of an IPv6 address is shorter. */
const HOST_BYTES_MAX: u32 = 261;
const REQUEST_ID_MAX: u32 = 128;

const HTTP_SCHEME = intern("http://");
const HTTPS_SCHEME = intern("https://");
const VERSION_END = intern(" HTTP/1.1\r\nHost: ");
const CHUNKED_FIELD = intern("Transfer-Encoding: chunked\r\n");
const UPGRADE_FIELD = intern("Connection: Upgrade\r\n");
const FORWARDED_FOR = intern("X-Forwarded-For: ");
const FORWARDED_PROTO = intern("X-Forwarded-Proto: ");
const FORWARDED_HOST = intern("X-Forwarded-Host: ");
const FORWARDED_PORT = intern("X-Forwarded-Port: ");
const REQUEST_ID = intern("X-Request-Id: ");
const VIA_1_1 = intern("Via: 1.1 kakehi\r\n");
const VIA_1_0 = intern("Via: 1.0 kakehi\r\n");
const VIA_2 = intern("Via: 2.0 kakehi\r\n");
export const NO_CONTENT = intern("Content-Length: 0\r\n");
const WEBSOCKET_KEY = intern("Upgrade: websocket\r\nSec-WebSocket-Key: ");
const GET_TEXT = intern("GET");
const ROOT = intern("/");
const HTTP = intern("http");
const HTTPS = intern("https");

// The message at hand.
let methodAt: usize = 0;
let methodLength: u32 = 0;
let targetAt: usize = 0;
let targetLength: u32 = 0;
let hostAt: usize = 0;
let hostLength: u32 = 0;
let flags: u32 = 0;
let bodyMode: i32 = 0;

/** Checks the head that feedHead() found complete and fills the result area. HEAD_DONE or a refusal. */
export function finishRequest(record: Record): i32 {
  targetAt = record.targetAt;
  targetLength = record.targetLength;
  flags = 0;
  const line = checkRequestLine(record);
  if (line != HEAD_DONE) return line;
  if (!collect(record) || hostCount > 1 || (hostCount == 0 && !(flags & F_HTTP_1_0))) return BAD_REQUEST;
  hostAt = hostCount ? usize(hostEntry.valueAt) : targetAt;
  hostLength = hostCount ? hostEntry.valueLength : 0;
  if (hostCount && !isHost(hostAt, hostLength)) return BAD_REQUEST;
  const method = methodNumber(changetype<usize>(record));
  if (method == CONNECT ? !checkAuthority() : !checkTarget(method)) return BAD_REQUEST;
  bodyMode = requestFraming((flags & F_HTTP_1_0) != 0);
  if (bodyMode < 0) return bodyMode;
  addFlags(method);
  if (flags & F_UPGRADE && method == GET && asksForWebSocket(record)) flags |= F_WEBSOCKET;
  saysNoContent = false;
  fillResult(record);
  return HEAD_DONE;
}

/**
 * The same for a head that came in HTTP/2 and whose fields are well-formed: `line`, `target` and `authority` (null: none) are
 * the pseudo-header fields. `kind`: F_WEBSOCKET or 0; `ends`: no body follows. H2_STREAM_FAILED: malformed (RFC 9113 §8.1.1).
 */
export function finishFields(
  record: Record,
  method: u32,
  line: Header,
  target: Header,
  authority: Header,
  defaultPort: u32,
  kind: u32,
  ends: bool,
): i32 {
  flags = F_HTTP_2 | kind;
  methodAt = kind ? GET_TEXT + 2 : usize(line.valueAt);
  methodLength = kind ? textLength(GET_TEXT) : line.valueLength;
  targetAt = target.valueAt;
  targetLength = target.valueLength;
  if (!collect(record) || hostCount > 1) return H2_STREAM_FAILED;
  if (!useAuthority(authority, defaultPort)) return H2_STREAM_FAILED;
  if (!isHost(hostAt, hostLength)) return BAD_REQUEST;
  if (method == CONNECT && !kind ? !checkAuthority() : !isTarget(targetAt, targetLength)) return BAD_REQUEST;
  if (ends && contentLength > 0) return H2_STREAM_FAILED;
  bodyMode = ends || method == CONNECT || contentLength == 0 ? BODY_NONE : contentLength > 0 ? BODY_LENGTH : BODY_STREAM;
  addFlags(kind ? GET : method);
  if (kind) {
    flags |= F_UPGRADE;
    dropFields(record, K_SEC_WEBSOCKET_KEY);
  }
  // what an HTTP/1.1 client would say of a request that usually has content (RFC 9110 §8.6)
  saysNoContent = bodyMode == BODY_NONE && contentLength < 0 && (method == POST || method == PUT);
  fillResult(record);
  return HEAD_DONE;
}

/** RFC 9113 §8.3.1: :authority is what Host would say, and the two must not differ. */
function useAuthority(authority: Header, defaultPort: u32): bool {
  const from = changetype<usize>(authority) ? authority : hostEntry;
  hostAt = changetype<usize>(authority) || hostCount ? usize(from.valueAt) : targetAt;
  hostLength = changetype<usize>(authority) || hostCount ? from.valueLength : 0;
  if (changetype<usize>(authority) == 0 || hostCount == 0) return true;
  const bare = withoutPort(hostAt, hostLength, defaultPort);
  return bare == withoutPort(hostEntry.valueAt, hostEntry.valueLength, defaultPort) && equalsIgnoreCase(hostAt, hostEntry.valueAt, bare);
}

/** Content-Length: 0 is written though it was not received. */
let saysNoContent: bool = false;

/** RFC 9112 §3: method SP target SP version CRLF, one blank each, at most one empty line before it (§2.2). */
function checkRequestLine(record: Record): i32 {
  let start = usize(record.headAt);
  if (load<u16>(start) == 0x0a0d) start += 2;
  let at = start;
  while (isClass(load<u8>(at), CLASS_TOKEN)) at++;
  methodAt = start;
  methodLength = u32(at - start);
  if (methodLength == 0 || load<u8>(at) != 0x20 || at + 1 != targetAt) return BAD_REQUEST;
  const end = targetAt + targetLength;
  const version = load<u64>(end + 1);
  if (load<u8>(end) != 0x20) return load<u8>(end) == 0x0d ? VERSION_NOT_SUPPORTED : BAD_REQUEST;
  if (load<u8>(end + 9) != 0x0d || load<u8>(end + 10) != 0x0a) {
    return (version & 0xffffffffff) == HTTP_NAME ? VERSION_NOT_SUPPORTED : BAD_REQUEST;
  }
  if (version == HTTP_1_1) return HEAD_DONE;
  flags = F_HTTP_1_0;
  return version == HTTP_1_0 ? HEAD_DONE : VERSION_NOT_SUPPORTED;
}

/** RFC 9112 §3.2: origin-form, absolute-form (cut down to origin-form here), asterisk-form for OPTIONS. */
function checkTarget(method: u32): bool {
  if (!isTarget(targetAt, targetLength)) return false;
  const first = load<u8>(targetAt);
  if (first == 0x2f) return true;
  if (first == 0x2a && targetLength == 1) return method == OPTIONS;
  return cutAuthority(HTTP_SCHEME, 80) || cutAuthority(HTTPS_SCHEME, 443);
}

/** RFC 9112 §3.2.3: the target of CONNECT is host and port, and the Host field says the same. There is no body (§6.3). */
function checkAuthority(): bool {
  if (!isHost(targetAt, targetLength) || !isPort(portAt(targetAt, targetLength), portLength)) return false;
  if (hostCount && (hostLength != targetLength || !equalsIgnoreCase(hostAt, targetAt, hostLength))) return false;
  hostAt = targetAt;
  hostLength = targetLength;
  return contentLength <= 0 && !hasTransferEncoding;
}

let portLength: u32 = 0;

/** Where the digits behind the last colon begin; `portLength` is how many bytes are left there. */
function portAt(at: usize, length: u32): usize {
  portLength = 0;
  while (portLength < length && load<u8>(at + length - portLength - 1) != 0x3a) portLength++;
  return at + length - portLength;
}

function isTarget(at: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(at + i);
    if (isClass(byte, CLASS_TARGET)) continue;
    if (byte != 0x25 || i + 2 >= length || !isHexPair(at + i + 1)) return false;
  }
  return length > 0;
}

@inline
function isHexPair(at: usize): bool {
  return isClass(load<u8>(at), CLASS_HEX) && isClass(load<u8>(at + 1), CLASS_HEX);
}

/** The authority of an absolute-form target must be the Host (RFC 9112 §3.2.2 would replace; we refuse). */
function cutAuthority(scheme: usize, defaultPort: u32): bool {
  const skipped = textLength(scheme);
  if (targetLength <= skipped || !equalsIgnoreCase(targetAt, scheme + 2, skipped)) return false;
  const at = targetAt + skipped;
  const end = targetAt + targetLength;
  let stop = at;
  while (stop < end && load<u8>(stop) != 0x2f && load<u8>(stop) != 0x3f) stop++;
  const length = u32(stop - at);
  if (!isHost(at, length)) return false;
  if (hostCount) {
    const bare = withoutPort(at, length, defaultPort);
    if (bare != withoutPort(hostAt, hostLength, defaultPort) || !equalsIgnoreCase(at, hostAt, bare)) return false;
  }
  hostAt = at;
  hostLength = length;
  targetAt = stop;
  targetLength = u32(end - stop);
  return true;
}

/** Length of a host without the port that goes without saying. */
function withoutPort(at: usize, length: u32, defaultPort: u32): u32 {
  const digits: u32 = defaultPort == 80 ? 2 : 3;
  if (length <= digits + 1 || load<u8>(at + length - digits - 1) != 0x3a) return length;
  let port: u32 = 0;
  for (let i: u32 = 0; i < digits; i++) port = port * 10 + load<u8>(at + length - digits + i) - 0x30;
  return port == defaultPort ? length - digits - 1 : length;
}

/** RFC 3986 §3.2.2 and §3.2.3: a name or an IP address, and perhaps a port. No user information. */
function isHost(at: usize, length: u32): bool {
  if (length == 0 || length > HOST_BYTES_MAX) return false;
  const end = at + length;
  let stop = at;
  if (load<u8>(at) == 0x5b) {
    stop++;
    while (stop < end && (isClass(load<u8>(stop), CLASS_HEX) || load<u8>(stop) == 0x3a || load<u8>(stop) == 0x2e)) stop++;
    if (stop == end || load<u8>(stop) != 0x5d || !isIpv6(at + 1, u32(stop - at - 1))) return false;
    stop++;
  } else {
    while (stop < end && load<u8>(stop) != 0x3a) {
      const byte = load<u8>(stop);
      if (byte == 0x25) {
        if (stop + 2 >= end || !isHexPair(stop + 1)) return false;
      } else if (!isClass(byte, CLASS_HOST)) return false;
      stop++;
    }
    if (stop == at) return false;
  }
  return stop == end || (load<u8>(stop) == 0x3a && isPort(stop + 1, u32(end - stop - 1)));
}

function isPort(at: usize, length: u32): bool {
  if (length == 0 || length > 5) return false;
  let port: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const digit = load<u8>(at + i) - 0x30;
    if (digit > 9) return false;
    port = port * 10 + digit;
  }
  return port > 0 && port < 65536;
}

function addFlags(method: u32): void {
  const isHttp10 = (flags & F_HTTP_1_0) != 0;
  if (isHttp10 ? saysKeepAlive && !saysClose : !saysClose) flags |= isHttp10 ? F_KEEP_ALIVE | F_KEEP_ALIVE_1_0 : F_KEEP_ALIVE;
  if (method == HEAD) flags |= F_HEAD;
  if (method == OPTIONS) flags |= F_OPTIONS;
  if (method == CONNECT) flags |= F_CONNECT;
  if (method == GET || method == HEAD || method == PUT || method == DELETE || method == OPTIONS || method == TRACE) {
    flags |= F_IDEMPOTENT;
  }
  if (contentLength >= 0) flags |= F_CONTENT_LENGTH;
  // RFC 9110 §10.1.1: an expectation in HTTP/1.0, or without a body, is ignored
  if (expectsContinue && !isHttp10 && bodyMode != 0) flags |= F_EXPECT_CONTINUE;
  // RFC 9110 §7.8: ignored in HTTP/1.0; with a body we would have to read it before the switch
  if (saysUpgrade && hasUpgrade && !isHttp10 && bodyMode == 0 && method != CONNECT) flags |= F_UPGRADE;
}

function fillResult(record: Record): void {
  setResult(R_HEAD_END, errorPosition(changetype<usize>(record)));
  setResult(R_BODY_MODE, bodyMode);
  setResult(R_FLAGS, flags);
  setResult(R_METHOD_AT, u32(methodAt));
  setResult(R_METHOD_LENGTH, methodLength);
  setResult(R_TARGET_AT, u32(targetAt));
  setResult(R_TARGET_LENGTH, targetLength);
  let length: u32 = 0;
  while (length < targetLength && load<u8>(targetAt + length) != 0x3f) length++;
  const routed = hasPath() && !(flags & F_CONNECT);
  setResult(R_PATH_AT, u32(routed ? targetAt : ROOT + 2));
  setResult(R_PATH_LENGTH, routed ? length : 1);
  setResult(R_HOST_AT, u32(hostAt));
  setResult(R_HOST_LENGTH, hostLength);
  setResult(R_HEADER_COUNT, record.headerCount);
}

/** An absolute-form target may have none (RFC 9112 §3.2.2): then it is "/", or "*" for OPTIONS (§3.2.4). */
@inline
function hasPath(): bool {
  return targetLength > 0 && load<u8>(targetAt) != 0x3f;
}

/** Value of Content-Length, or 0: for src/wasm, which has to count it down. */
export function requestContentLength(): f64 {
  return bodyMode == BODY_CHUNKED || contentLength < 0 ? 0 : contentLength;
}

/** The request at hand may be written later: what is not in the table of `buffer`, where its fields lie, is kept there, too. */
export function keepRequest(record: Record, buffer: u32): void {
  const kept = keptIn(buffer);
  kept.contentLength = contentLength;
  kept.flags = flags;
  kept.bodyMode = bodyMode;
  kept.headerCount = record.headerCount;
  kept.methodAt = u32(methodAt);
  kept.methodLength = methodLength;
  kept.targetAt = u32(targetAt);
  kept.targetLength = targetLength;
  kept.hostAt = u32(hostAt);
  kept.hostLength = hostLength;
  kept.saysNoContent = saysNoContent;
}

/** The request that was kept in `buffer` is at hand again, for being written. */
export function restoreRequest(record: Record, buffer: u32): void {
  const kept = keptIn(buffer);
  useTable(record, buffer, kept);
  setContentLength(kept.contentLength);
  flags = kept.flags;
  bodyMode = kept.bodyMode;
  methodAt = kept.methodAt;
  methodLength = kept.methodLength;
  targetAt = kept.targetAt;
  targetLength = kept.targetLength;
  hostAt = kept.hostAt;
  hostLength = kept.hostLength;
  saysNoContent = kept.saysNoContent;
  fillResult(record);
  if (flags & F_HTTP_2) setResult(R_HEAD_END, record.headAt);
}

/** The proxy itself says which certificate the client has shown: nobody else's word passes. */
let identified: bool = false;

/**
 * Writes the head for the backend to the head scratch and returns its length. `idAt`: REQUEST_ID_BYTES random bytes
 * for a request id. `identityAt`: whole fields about the client's certificate, IDENTITY_MAX bytes at most, or none. At
 * most HEADROOM longer than what was received: host (twice), address, port, id, identity and the names.
 */
export function writeRequestHead(
  record: Record,
  port: u32,
  secure: bool,
  idAt: u32,
  identityAt: u32,
  identityLength: u32,
): u32 {
  identified = identityLength > 0;
  let to = put(headScratchAt, methodAt, methodLength);
  to = putText(putTarget(putByte(to, 0x20)), VERSION_END);
  to = putCrlf(put(to, hostAt, hostLength));
  to = putFields(to, record);
  if (bodyMode == BODY_CHUNKED || bodyMode == BODY_STREAM) to = putText(to, CHUNKED_FIELD);
  if (flags & F_UPGRADE) to = putText(to, UPGRADE_FIELD);
  if (flags & F_HTTP_2) to = putMissing(to, record, idAt);
  to = putAdded(to, record, port, secure, idAt, identityAt, identityLength);
  return u32(putCrlf(to) - headScratchAt);
}

/** What HTTP/1.1 needs to be told and HTTP/2 does not say. */
function putMissing(to: usize, record: Record, idAt: u32): usize {
  if (saysNoContent) to = putText(to, NO_CONTENT);
  return flags & F_WEBSOCKET ? putKey(to, record, idAt) : to;
}

/** A key for the backend; what has to answer it is noted in the record of the client's stream. */
function putKey(to: usize, record: Record, idAt: u32): usize {
  const key = putText(to, WEBSOCKET_KEY);
  const end = putBase64(key, idAt, REQUEST_ID_BYTES);
  noteKey(record, key);
  return putCrlf(end);
}

/** Fields that the proxy itself adds to a request, each a line; the same to backends of either protocol. */
@inline
export function putAdded(
  to: usize,
  record: Record,
  port: u32,
  secure: bool,
  idAt: u32,
  identityAt: u32,
  identityLength: u32,
): usize {
  to = putForwarded(to, record, port, secure);
  to = putRequestId(to, record, idAt);
  to = put(to, identityAt, identityLength);
  return putText(to, flags & F_HTTP_1_0 ? VIA_1_0 : flags & F_HTTP_2 ? VIA_2 : VIA_1_1);
}

/** The client's own fields, in their order and spelling. */
function putFields(to: usize, record: Record): usize {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (isPassed(record, header)) to = putField(to, header);
  }
  return to;
}

/** Before isPassed(): whether the proxy itself says who the client is. */
@inline
export function setIdentified(is: bool): void { identified = is; }

/** Whether a field of the client goes on to the backend. */
@inline
export function isPassed(record: Record, header: Header): bool {
  return header.known == K_OTHER ? (header.flags & DROP) == 0 : isKnownPassed(record, header);
}

@inline
function isKnownPassed(record: Record, header: Header): bool {
  const known = header.known;
  if (known == K_UPGRADE ? !(flags & F_UPGRADE) : (header.flags & DROP) != 0) return false;
  if (known == K_HOST || (isForwarded(known) && !isKept(record, known))) return false;
  return known != K_EXPECT || !(flags & F_HTTP_1_0);
}

/** The message at hand, for those who write it in another form. */
@inline
export function requestFlags(): u32 { return flags; }
@inline
export function requestMethodAt(): usize { return methodAt; }
@inline
export function requestMethodLength(): u32 { return methodLength; }
@inline
export function requestHostAt(): usize { return hostAt; }
@inline
export function requestHostLength(): u32 { return hostLength; }

/** The target as origin-form or asterisk-form (RFC 9112 §3.2). */
@inline
export function putTarget(to: usize): usize {
  if (!hasPath()) to = putByte(to, targetLength == 0 && flags & F_OPTIONS ? 0x2a : 0x2f);
  return put(to, targetAt, targetLength);
}

/** Fields that tell of the client. */
@inline
function isForwarded(known: u8): bool {
  return (known >= K_X_FORWARDED_FOR && known <= K_X_REQUEST_ID) || known == K_X_FORWARDED_OTHER ||
    known == K_X_CLIENT_CERT;
}

/** What putForwarded() does not write passes when the peer is trusted. */
@inline
function isKept(record: Record, known: u8): bool {
  return (known == K_FORWARDED || known == K_X_REAL_IP || known == K_X_FORWARDED_OTHER ||
    (known == K_X_CLIENT_CERT && !identified)) && (record.peerFlags & PEER_TRUSTED) != 0;
}

@inline
export function putField(to: usize, header: Header): usize {
  to = put(to, header.nameAt, header.nameLength);
  store<u16>(to, 0x203a);
  return putCrlf(put(to + 2, header.valueAt, header.valueLength));
}

function putForwarded(to: usize, record: Record, port: u32, secure: bool): usize {
  const trusted = (record.peerFlags & PEER_TRUSTED) != 0;
  to = putText(to, FORWARDED_FOR);
  if (trusted) to = putAllValues(to, record, K_X_FORWARDED_FOR);
  to = putCrlf(put(to, record.peerTextAt, record.peerTextLength));
  to = putText(to, FORWARDED_PROTO);
  let kept = trusted ? valueOf(record, K_X_FORWARDED_PROTO) : changetype<Header>(0);
  to = changetype<usize>(kept) ? put(to, kept.valueAt, kept.valueLength) : putText(to, secure ? HTTPS : HTTP);
  to = putText(putCrlf(to), FORWARDED_HOST);
  kept = trusted ? valueOf(record, K_X_FORWARDED_HOST) : changetype<Header>(0);
  to = changetype<usize>(kept) ? put(to, kept.valueAt, kept.valueLength) : put(to, hostAt, hostLength);
  to = putText(putCrlf(to), FORWARDED_PORT);
  kept = trusted ? valueOf(record, K_X_FORWARDED_PORT) : changetype<Header>(0);
  to = changetype<usize>(kept) ? put(to, kept.valueAt, kept.valueLength) : putDecimal(to, port);
  return putCrlf(to);
}

/** All values of a field, each with ", " behind it. */
function putAllValues(to: usize, record: Record, known: u8): usize {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known != known || header.valueLength == 0) continue;
    to = put(to, header.valueAt, header.valueLength);
    store<u16>(to, 0x202c);
    to += 2;
  }
  return to;
}

function valueOf(record: Record, known: u8): Header {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known == known && header.valueLength > 0) return header;
  }
  return changetype<Header>(0);
}

function putRequestId(to: usize, record: Record, idAt: u32): usize {
  to = putText(to, REQUEST_ID);
  const kept = record.peerFlags & PEER_TRUSTED ? valueOf(record, K_X_REQUEST_ID) : changetype<Header>(0);
  if (changetype<usize>(kept) && isRequestId(kept)) return putCrlf(put(to, kept.valueAt, kept.valueLength));
  for (let i = 0; i < REQUEST_ID_BYTES; i++) {
    const byte = load<u8>(usize(idAt) + i);
    store<u8>(to + 2 * i, hexDigit(byte >> 4));
    store<u8>(to + 2 * i, hexDigit(byte & 15), 1);
  }
  return putCrlf(to + 2 * REQUEST_ID_BYTES);
}

function isRequestId(header: Header): bool {
  if (header.valueLength > REQUEST_ID_MAX) return false;
  for (let i: u32 = 0; i < header.valueLength; i++) {
    if (!isClass(load<u8>(usize(header.valueAt) + i), CLASS_ID)) return false;
  }
  return true;
}

/**
 * For routing: whether the request has a field of this (lower-case) name and, unless `valueLength` is negative, of
 * exactly this value.
 */
export function hasField(record: Record, nameAt: u32, nameLength: u32, valueAt: u32, valueLength: i32): bool {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.nameLength != nameLength || !equalsIgnoreCase(header.nameAt, nameAt, nameLength)) continue;
    if (valueLength < 0) return true;
    if (header.valueLength == u32(valueLength) && memory.compare(header.valueAt, valueAt, valueLength) == 0) return true;
  }
  return false;
}
