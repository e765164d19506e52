// A finished request head: what it asks for and whether it may (RFC 9112 §3, §6; RFC 9110 §7). It stays at hand until another
// one is finished or restored: what writes it (request_head.ts, translate/to_h2.ts) comes before anything else is parsed,
// since all of them share what collect() found.

import {
  BAD_REQUEST, BODY_CHUNKED, BODY_LENGTH, BODY_NONE, BODY_STREAM, F_CONNECT, F_CONTENT_LENGTH, F_EXPECT_CONTINUE, F_GRPC,
  F_HEAD, F_HTTP_1_0, F_HTTP_2, F_IDEMPOTENT, F_KEEP_ALIVE, F_KEEP_ALIVE_1_0, F_OPTIONS, F_UPGRADE, F_WEBSOCKET,
  H2_STREAM_FAILED, HEAD_DONE, R_BODY_MODE, R_FLAGS, R_HEAD_END, R_HEADER_COUNT, R_HOST_AT, R_HOST_LENGTH, R_METHOD_AT,
  R_METHOD_LENGTH, R_PATH_AT, R_PATH_LENGTH, R_TARGET_AT, R_TARGET_LENGTH, VERSION_NOT_SUPPORTED,
} from "../abi";
import { CLASS_TOKEN, equalsIgnoreCase, intern, isClass, textLength } from "../bytes";
import { Header, Record, setResult } from "../memory";
import { K_SEC_WEBSOCKET_KEY } from "./fields";
import {
  collect, contentLength, expectsContinue, hasTransferEncoding, hasUpgrade, hostCount, hostEntry, requestFraming, saysClose,
  saysKeepAlive, saysUpgrade, setContentLength,
} from "./framing";
import { isGrpcCall } from "./grpc";
import { keptIn, useTable } from "./kept";
import { errorPosition, HTTP_1_0, HTTP_1_1, methodNumber } from "./llhttp";
import { hasPort, isHost, isTarget, withoutPort } from "./uri";
import { asksForWebSocket, dropFields } from "./websocket";

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

const HTTP_SCHEME = intern("http://");
const HTTPS_SCHEME = intern("https://");
const GET_TEXT = intern("GET");
const ROOT = intern("/");

// The message at hand, also for those who write it.
export let methodAt: usize = 0;
export let methodLength: u32 = 0;
export let targetAt: usize = 0;
export let targetLength: u32 = 0;
export let hostAt: usize = 0;
export let hostLength: u32 = 0;
export let flags: u32 = 0;
export let bodyMode: i32 = 0;
/** Content-Length: 0 is written though it was not received. */
export let saysNoContent: bool = false;

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
  if (method == POST && isGrpcCall(record)) flags |= F_GRPC;
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
  if (!isHost(targetAt, targetLength) || !hasPort(targetAt, targetLength)) return false;
  if (hostCount && (hostLength != targetLength || !equalsIgnoreCase(hostAt, targetAt, hostLength))) return false;
  hostAt = targetAt;
  hostLength = targetLength;
  return contentLength <= 0 && !hasTransferEncoding;
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
export function hasPath(): bool {
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
