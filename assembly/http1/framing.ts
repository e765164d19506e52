// Where a message ends: RFC 9112 §6.3, in its steps, for both directions, and the checks that keep two parsers from
// seeing two messages in the same bytes (§6.1, §6.2, §11.2). Whatever is doubtful is refused, not repaired.
//
// collect() walks the header block once and gathers what framing and the connection need to know; requestFraming()
// and responseFraming() decide.

import {
  BAD_REQUEST, BODY_CHUNKED, BODY_CLOSE, BODY_LENGTH, BODY_NONE, TRANSFER_CODING_UNKNOWN,
} from "../abi";
import { equalsIgnoreCase, intern, isBlank, isText, parseLength } from "../bytes";
import { DROP, Header, Record } from "../memory";
import {
  isHopByHop, K_CONNECTION, K_CONTENT_LENGTH, K_DATE, K_EXPECT, K_HOST, K_OTHER, K_TRANSFER_ENCODING, K_UPGRADE,
  knownName,
} from "./fields";
import { trimValue } from "./head";
import { decodesChunks } from "./llhttp";

const CHUNKED = intern("chunked");
const CLOSE = intern("close");
const KEEP_ALIVE = intern("keep-alive");
const UPGRADE = intern("upgrade");
const CONTINUE = intern("100-continue");
const H2C = intern("h2c");

/** Connection options beyond this are an attack on the comparisons they cause. */
const CONNECTION_OPTIONS_MAX: i32 = 32;

// What collect() found in the message at hand.
export let contentLength: f64 = -1;
export let hasTransferEncoding: bool = false;
export let codingIsChunked: bool = false;
export let codingIsUnknown: bool = false;
export let hostCount: i32 = 0;
export let hostEntry: Header = changetype<Header>(0);
export let saysClose: bool = false;
export let saysKeepAlive: bool = false;
export let saysUpgrade: bool = false;
export let hasUpgrade: bool = false;
export let hasExpect: bool = false;
export let expectsContinue: bool = false;
export let hasDate: bool = false;
let transferEncodings: i32 = 0;
let connectionOptions: i32 = 0;
let namesFields: bool = false;

/** Of a message that was kept (kept.ts) and is at hand again. */
@inline
export function setContentLength(value: f64): void { contentLength = value; }

/** One walk over the block: numbers the names, trims the values, marks what is not passed on. False: malformed. */
export function collect(record: Record): bool {
  contentLength = -1;
  hasTransferEncoding = codingIsChunked = codingIsUnknown = false;
  hostCount = transferEncodings = connectionOptions = 0;
  saysClose = saysKeepAlive = saysUpgrade = hasUpgrade = hasExpect = expectsContinue = hasDate = namesFields = false;
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    trimValue(header);
    const known = knownName(header.nameAt, header.nameLength);
    header.known = known;
    if (known == K_OTHER) continue;
    if (isHopByHop(known)) header.flags = DROP;
    if (!collectKnown(header, known)) return false;
  }
  // llhttp trims other blanks than we do: where it takes the coding for another one, it would not decode the chunks
  if (codingIsChunked && !decodesChunks(changetype<usize>(record))) return false;
  return !namesFields || dropNamed(record);
}

function collectKnown(header: Header, known: u8): bool {
  switch (known) {
    case K_HOST:
      hostCount++;
      hostEntry = header;
      return true;
    case K_CONTENT_LENGTH:
      return addContentLength(header);
    case K_TRANSFER_ENCODING:
      return addTransferEncoding(header);
    case K_CONNECTION:
      return addConnectionOptions(header);
    case K_UPGRADE:
      // RFC 9113 §3.1 has dropped the upgrade to h2c; passing it on would let requests through that nobody sees
      hasUpgrade = header.valueLength > 0 && !hasToken(header, H2C + 2, 3);
      return true;
    case K_EXPECT:
      hasExpect = true;
      expectsContinue = isText(header.valueAt, header.valueLength, CONTINUE);
      return true;
    case K_DATE:
      hasDate = true;
      return true;
    default:
      return true;
  }
}

/** RFC 9112 §6.3 step 5: equal repeats are one; anything but digits, and different repeats, are refused. */
function addContentLength(header: Header): bool {
  const value = parseLength(header.valueAt, header.valueLength);
  if (value < 0) return false;
  if (contentLength >= 0) {
    header.flags = DROP;
    return contentLength == value;
  }
  contentLength = value;
  return true;
}

/** RFC 9112 §6.1: the only coding that is understood is `chunked`, exactly once. */
function addTransferEncoding(header: Header): bool {
  hasTransferEncoding = true;
  transferEncodings++;
  codingIsChunked = isText(header.valueAt, header.valueLength, CHUNKED);
  if (codingIsChunked) return transferEncodings == 1;
  codingIsUnknown = isOneToken(header) && transferEncodings == 1;
  return codingIsUnknown;
}

/**
 * A value that names one coding which is not "chunked" and does not try to look like it: that one is merely unknown
 * (501); lists, parameters and everything with "chunked" in it are malformed for us (400).
 */
function isOneToken(header: Header): bool {
  const at = usize(header.valueAt);
  const length = header.valueLength;
  if (length == 0) return false;
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(at + i);
    if (byte == 0x2c || byte == 0x3b || byte == 0x22 || isBlank(byte)) return false;
    if (i + 7 <= length && equalsIgnoreCase(at + i, CHUNKED + 2, 7)) return false;
  }
  return true;
}

function addConnectionOptions(header: Header): bool {
  let at = usize(header.valueAt);
  const end = at + header.valueLength;
  while (at < end) {
    while (at < end && (isBlank(load<u8>(at)) || load<u8>(at) == 0x2c)) at++;
    let stop = at;
    while (stop < end && load<u8>(stop) != 0x2c) stop++;
    let length = u32(stop - at);
    while (length > 0 && isBlank(load<u8>(at + length - 1))) length--;
    if (length > 0) {
      if (++connectionOptions > CONNECTION_OPTIONS_MAX) return false;
      addConnectionOption(at, length);
    }
    at = stop;
  }
  return true;
}

function addConnectionOption(at: usize, length: u32): void {
  if (isText(at, length, CLOSE)) saysClose = true;
  else if (isText(at, length, KEEP_ALIVE)) saysKeepAlive = true;
  else if (isText(at, length, UPGRADE)) saysUpgrade = true;
  else namesFields = true;
}

/**
 * RFC 9110 §7.6.1: fields that Connection names end here. Not those that the proxy knows: by naming, a client could
 * otherwise take away what frames the message or tells the backend who asks.
 */
function dropNamed(record: Record): bool {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known == K_OTHER && isNamed(record, header)) header.flags = DROP;
  }
  return true;
}

function isNamed(record: Record, field: Header): bool {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known == K_CONNECTION && hasToken(header, field.nameAt, field.nameLength)) return true;
  }
  return false;
}

/** Whether the comma-separated value of `header` holds this token. */
export function hasToken(header: Header, token: usize, length: u32): bool {
  let at = usize(header.valueAt);
  const end = at + header.valueLength;
  while (at + length <= end) {
    while (at < end && (isBlank(load<u8>(at)) || load<u8>(at) == 0x2c)) at++;
    if (at + length <= end && equalsIgnoreCase(at, token, length)) {
      const behind = at + length;
      if (behind == end || isBlank(load<u8>(behind)) || load<u8>(behind) == 0x2c) return true;
    }
    while (at < end && load<u8>(at) != 0x2c) at++;
  }
  return false;
}

/** Body mode of a request, or a refusal. RFC 9112 §6.3 (the steps that concern requests keep their numbers). */
export function requestFraming(isHttp10: bool): i32 {
  // 3. both: an attempt at smuggling
  if (hasTransferEncoding && contentLength >= 0) return BAD_REQUEST;
  // 4. Transfer-Encoding
  if (hasTransferEncoding) {
    if (isHttp10) return BAD_REQUEST;
    return codingIsChunked ? BODY_CHUNKED : TRANSFER_CODING_UNKNOWN;
  }
  // 6. Content-Length (5., its faults, was addContentLength)
  if (contentLength > 0) return BODY_LENGTH;
  // 7. neither
  return BODY_NONE;
}

/** Body mode of a response, or -1 when it is malformed. RFC 9112 §6.3. */
export function responseFraming(status: u32, toHead: bool, isHttp10: bool): i32 {
  // 3. both: malformed, even where no body follows
  if (hasTransferEncoding && contentLength >= 0) return -1;
  // 1. never a body
  if (toHead || status < 200 || status == 204 || status == 304) return BODY_NONE;
  // 2. a 2xx answer to CONNECT does not come here
  // 4. Transfer-Encoding
  if (hasTransferEncoding) return isHttp10 || !codingIsChunked ? -1 : BODY_CHUNKED;
  // 6. Content-Length
  if (contentLength >= 0) return contentLength > 0 ? BODY_LENGTH : BODY_NONE;
  // 8. neither
  return BODY_CLOSE;
}
