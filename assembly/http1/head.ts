// The head of a message into its header block: llhttp's callbacks fill the table while bytes arrive; what a finished
// head means is said by request.ts and response.ts. The bytes of a head lie in one piece in one buffer, so a span that
// arrives in parts only grows.

import {
  BAD_REQUEST, HEAD_DONE, HEAD_MORE, HEADER_TOO_LARGE, METHOD_UNKNOWN, URI_TOO_LONG, VERSION_NOT_SUPPORTED,
} from "../abi";
import { CLASS_TOKEN, isBlank, isClass } from "../bytes";
import {
  Header, headerBytesMax, headersMax, PHASE_BODY, PHASE_HEAD, PHASE_HEAD_DONE, PHASE_DONE, PHASE_METHOD_UNKNOWN, PHASE_TRAILERS, Record,
  SPAN_NAME, SPAN_NONE, SPAN_VALUE, targetBytesMax,
} from "../memory";
import {
  chunkRemaining, forgetContentLength, HPE_INVALID_METHOD, HPE_INVALID_VERSION, HPE_PAUSED_H2_UPGRADE, HTTP_1_0, HTTP_1_1, llhttp_execute, PAUSED,
} from "./llhttp";
import { OVERHEAD_MAX, TRAILERS_MAX } from "./chunked";

/** What looks like a method and does not end is not waited for any longer. */
const METHOD_BYTES_MAX: usize = 64;
/** 2^53 - 1: sizes beyond it are not exact in JavaScript, and nobody sends such a chunk. */
const CHUNK_BYTES_MAX: u64 = 9007199254740991;

/** Begins a message whose first byte will lie at `at`; `tableAt` is the header table of the same buffer. */
@inline
export function beginHead(record: Record, at: u32, tableAt: u32): void {
  record.headAt = at;
  record.seen = 0;
  record.tableAt = tableAt;
  record.headerCount = 0;
  record.span = SPAN_NONE;
  record.phase = PHASE_HEAD;
  record.targetAt = 0;
  record.targetLength = 0;
  record.overhead = 0;
  record.fault = 0;
}

/** Feeds the next `length` bytes of the head, which lie behind those fed before. HEAD_MORE, HEAD_DONE or a refusal. */
export function feedHead(record: Record, length: u32): i32 {
  const at = record.headAt + record.seen;
  record.seen += length;
  if (record.phase == PHASE_METHOD_UNKNOWN) return unknownMethod(record);
  const code = llhttp_execute(changetype<usize>(record), at, length);
  if (record.fault) return record.fault;
  if (record.phase == PHASE_HEAD_DONE && code == PAUSED) return HEAD_DONE;
  if (code == 0) return record.seen < headerBytesMax ? HEAD_MORE : tooLarge(record);
  if (code == HPE_INVALID_METHOD) return unknownMethod(record);
  if (code == HPE_PAUSED_H2_UPGRADE) return VERSION_NOT_SUPPORTED;
  return code == HPE_INVALID_VERSION && !endsInKnownVersion(record) ? VERSION_NOT_SUPPORTED : BAD_REQUEST;
}

/**
 * llhttp refuses a method that it does not know at the first character that differs. Whether it is a method at all (501)
 * or something else (400) shows at its end, which is waited for.
 */
function unknownMethod(record: Record): i32 {
  const end = usize(record.headAt + record.seen);
  let at = usize(record.headAt);
  if (record.seen >= 2 && load<u16>(at) == 0x0a0d) at += 2;
  const start = at;
  while (at < end && isClass(load<u8>(at), CLASS_TOKEN)) at++;
  if (at == end && at - start < METHOD_BYTES_MAX) {
    record.phase = PHASE_METHOD_UNKNOWN;
    return HEAD_MORE;
  }
  return at > start && (at == end || load<u8>(at) == 0x20) ? METHOD_UNKNOWN : BAD_REQUEST;
}

/** Whether " HTTP/1.1" or " HTTP/1.0" follows the target: then it was the end of the line that llhttp refused. */
function endsInKnownVersion(record: Record): bool {
  const version = load<u64>(usize(record.targetAt + record.targetLength) + 1);
  return version == HTTP_1_1 || version == HTTP_1_0;
}

/** The name of what is too large: the target, as long as no field has begun. */
export function tooLarge(record: Record): i32 {
  return record.headerCount == 0 ? URI_TOO_LONG : HEADER_TOO_LARGE;
}

/** Cuts the blanks behind a value; llhttp has skipped those before it. */
@inline
export function trimValue(header: Header): void {
  let length = header.valueLength;
  while (length > 0 && isBlank(load<u8>(usize(header.valueAt) + length - 1))) length--;
  header.valueLength = length;
}

// ---- llhttp's callbacks: 0 goes on; anything else stops the parser ----

export function wasm_on_message_begin(_parser: usize): i32 {
  return 0;
}

export function wasm_on_url(parser: usize, at: usize, length: usize): i32 {
  return growTarget(changetype<Record>(parser), at, length);
}

/** The reason phrase takes the place of the target. */
export function wasm_on_status(parser: usize, at: usize, length: usize): i32 {
  return growTarget(changetype<Record>(parser), at, length);
}

function growTarget(record: Record, at: usize, length: usize): i32 {
  if (record.targetAt == 0) record.targetAt = u32(at);
  record.targetLength += u32(length);
  if (record.targetLength <= targetBytesMax) return 0;
  record.fault = URI_TOO_LONG;
  return 1;
}

export function wasm_on_header_field(parser: usize, at: usize, length: usize): i32 {
  const record = changetype<Record>(parser);
  const count = record.headerCount;
  if (record.span == SPAN_NAME) {
    const last = record.entry(count - 1);
    if (last.nameAt + last.nameLength == u32(at)) return grownName(record, last, length);
  }
  if (record.phase == PHASE_BODY) {
    if (isTooMuchFraming(record, at)) return 1;
    record.phase = PHASE_TRAILERS;
  } else {
    forgetContentLength(parser);
  }
  const most = record.phase == PHASE_TRAILERS ? min(TRAILERS_MAX, headersMax) : headersMax;
  if (count >= most) {
    record.fault = HEADER_TOO_LARGE;
    return 1;
  }
  const header = record.entry(count);
  header.nameAt = u32(at);
  header.valueAt = u32(at + length);
  header.valueLength = 0;
  header.nameLength = 0;
  header.known = 0;
  header.flags = 0;
  record.headerCount = count + 1;
  record.span = SPAN_NAME;
  return grownName(record, header, length);
}

@inline
function grownName(record: Record, header: Header, length: usize): i32 {
  const total = u32(header.nameLength) + u32(length);
  if (total > 0xffff) {
    record.fault = HEADER_TOO_LARGE;
    return 1;
  }
  header.nameLength = u16(total);
  return 0;
}

export function wasm_on_header_value(parser: usize, at: usize, length: usize): i32 {
  const record = changetype<Record>(parser);
  const header = record.entry(record.headerCount - 1);
  if (record.span == SPAN_NAME) header.valueAt = u32(at);
  header.valueLength = u32(at + length) - header.valueAt;
  record.span = SPAN_VALUE;
  return 0;
}

export function wasm_on_headers_complete(parser: usize, _status: i32, _upgrade: i32, _keepAlive: i32): i32 {
  const record = changetype<Record>(parser);
  record.phase = PHASE_HEAD_DONE;
  return PAUSED;
}

export function wasm_on_body(parser: usize, at: usize, length: usize): i32 {
  const record = changetype<Record>(parser);
  if (isTooMuchFraming(record, at)) return 1;
  if (chunkRemaining(parser) + length > CHUNK_BYTES_MAX) {
    record.fault = BAD_REQUEST;
    return 1;
  }
  const to = usize(record.outAt);
  if (to != at) memory.copy(to, at, length);
  record.outAt = u32(to + length);
  record.overhead = 0 - u32(at + length);
  return 0;
}

/** Whether more than OVERHEAD_MAX bytes of framing lie between the last data and `at`: then the body is malformed. */
@inline
function isTooMuchFraming(record: Record, at: usize): bool {
  if (record.overhead + u32(at) <= OVERHEAD_MAX) return false;
  record.fault = BAD_REQUEST;
  return true;
}

export function wasm_on_message_complete(parser: usize): i32 {
  changetype<Record>(parser).phase = PHASE_DONE;
  return PAUSED;
}
