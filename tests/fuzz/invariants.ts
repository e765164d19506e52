// What must hold of every message that the codec accepts, whatever it was made from. The checks are written for their own
// sake, in the slowest and plainest way that a million of them allow: nothing of the codec's own tables is used, and
// what it writes is given to it again, to see whether it means the same.

import * as abi from "../../assembly/abi.ts";
import { TRAILERS_TOO_LARGE } from "../../src/ts/proxy/answers.ts";
import { fromText, show, toText } from "../support/bytes.ts";
import { BUFFER_INDEX, type CodecDriver, DATE, PORT, REQUEST_ID, type ResponseOptions } from "../support/codec.ts";

const CR = 13;
const LF = 10;
const COLON = 0x3a;
const SPACE = 0x20;
const ZERO = 0x30;

const TOKEN = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  TOKEN[char.charCodeAt(0)] = 1;
}
const TARGET = new Uint8Array(256);
for (const char of "-._~:/?[]@!$&'()*+,;=%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
  TARGET[char.charCodeAt(0)] = 1;
}

const VERSION = fromText(" HTTP/1.1\r\n");
const HOST = fromText("host");
const CONTENT_LENGTH = fromText("content-length");
const TRANSFER_ENCODING = fromText("transfer-encoding");
const CONNECTION = fromText("connection");

/** A broken invariant. */
export class Broken extends Error {}

function must(holds: boolean, words: string): asserts holds {
  if (!holds) throw new Broken(words);
}

function isName(bytes: Uint8Array, at: number, end: number, name: Uint8Array): boolean {
  if (end - at !== name.length) return false;
  for (let i = 0; i < name.length; i++) if ((bytes[at + i]! | 0x20) !== name[i]) return false;
  return true;
}

/** Counts of the fields that matter, in the head read last. */
const counts = { host: 0, length: 0, coding: 0, connection: 0, fields: 0 };

function countName(bytes: Uint8Array, at: number, end: number): void {
  counts.fields++;
  if (isName(bytes, at, end, HOST)) counts.host++;
  else if (isName(bytes, at, end, CONTENT_LENGTH)) counts.length++;
  else if (isName(bytes, at, end, TRANSFER_ENCODING)) counts.coding++;
  else if (isName(bytes, at, end, CONNECTION)) counts.connection++;
}

/** Reads field lines up to an empty one and returns where that ends. Throws at the first byte that should not be. */
function readFields(bytes: Uint8Array, from: number, end: number): number {
  counts.host =
    counts.length =
    counts.coding =
    counts.connection =
    counts.fields =
      0;
  let at = from;
  while (bytes[at] !== CR) {
    const name = at;
    while (TOKEN[bytes[at]!]) at++;
    must(at > name && bytes[at] === COLON && bytes[at + 1] === SPACE, "a field is not `name: value`");
    countName(bytes, name, at);
    at += 2;
    const value = at;
    while (bytes[at]! >= SPACE ? bytes[at] !== 0x7f : bytes[at] === 9) at++;
    must(at < end && bytes[at] === CR && bytes[at + 1] === LF, "a control byte in a value");
    const trimmed = at === value || (bytes[value]! > SPACE && bytes[at - 1]! > SPACE);
    must(trimmed, "a value begins or ends with a blank");
    at += 2;
  }
  must(bytes[at + 1] === LF, "the head does not end with an empty line");
  return at + 2;
}

/**
 * Counts the fields of a head as it came, whose lines end with CRLF, and holds them against what must not be together in
 * it whatever is written afterwards.
 */
function checkInput(driver: CodecDriver, input: Uint8Array): void {
  counts.host =
    counts.length =
    counts.coding =
    counts.connection =
    counts.fields =
      0;
  let lineAt = 0;
  for (let at = 0; at + 3 < driver.headBytes; at++) {
    if (input[at] !== CR || input[at + 1] !== LF) continue;
    if (lineAt > 0) countName(input, lineAt, input.indexOf(COLON, lineAt));
    // the empty line that may stand before the request line is none
    if (at > 0) lineAt = at + 2;
  }
  must(counts.fields === driver.headerCount, `${driver.headerCount} fields are read where ${counts.fields} stand`);
  // RFC 9110 §9.3.6: both are ignored in a 2xx answer to CONNECT
  const tunnels = (driver.flags & abi.F_UPGRADE) !== 0 && driver.status >= 200;
  must(tunnels || counts.coding === 0 || counts.coding + counts.length === 1, "framed in two ways, and accepted");
}

function readRequestLine(bytes: Uint8Array, connects: boolean): number {
  let at = 0;
  while (TOKEN[bytes[at]!]) at++;
  must(at > 0 && bytes[at] === SPACE, "no method");
  const target = ++at;
  while (TARGET[bytes[at]!]) at++;
  const asterisk = bytes[target] === 0x2a && at === target + 1;
  must(connects ? at > target : bytes[target] === 0x2f || asterisk, "the target is not in origin-form");
  for (let i = 0; i < VERSION.length; i++) must(bytes[at + i] === VERSION[i], "no version behind the target");
  return at + VERSION.length;
}

function readStatusLine(bytes: Uint8Array): number {
  for (let i = 0; i < 8; i++) must(bytes[i] === VERSION[i + 1], "the status line has no version");
  let at = 13;
  must(bytes[8] === SPACE && bytes[12] === SPACE, "the status line has no status");
  while (bytes[at]! >= SPACE ? bytes[at] !== 0x7f : bytes[at] === 9) at++;
  must(bytes[at] === CR && bytes[at + 1] === LF, "a control byte in the reason");
  return at + 2;
}

/** What unframing found. */
const unframed = { body: 0, whole: false };

/** Takes our own chunks apart: sizes in small hexadecimal without zeros in front, no extensions. */
function unframe(bytes: Uint8Array, from: number, end: number): void {
  let at = from;
  unframed.body = 0;
  unframed.whole = false;
  while (at < end) {
    let size = 0;
    const line = at;
    for (; bytes[at] !== CR; at++) {
      const byte = bytes[at]!;
      const digit = byte >= 0x61 ? byte - 0x57 : byte - ZERO;
      must(digit >= 0 && digit < 16 && at < end, "a chunk's size is no number");
      size = size * 16 + digit;
    }
    must(at > line && bytes[at + 1] === LF, "a chunk's size is not followed by CRLF");
    must(bytes[line] !== ZERO || at === line + 1, "a chunk's size begins with a zero");
    at += 2;
    if (size === 0) {
      must(readFields(bytes, at, end) === end, "bytes follow the last chunk");
      must(counts.host + counts.length + counts.coding + counts.connection === 0, "framing in a trailer");
      unframed.whole = true;
      return;
    }
    unframed.body += size;
    at += size;
    must(bytes[at] === CR && bytes[at + 1] === LF, "a chunk is not followed by CRLF");
    at += 2;
  }
}

/** What is sent lies where heads and frames may be put. */
function checkPlace(driver: CodecDriver): void {
  const { core } = driver;
  const buffer = core.buffersAt + BUFFER_INDEX * core.bufferStride;
  const bytesAt = buffer + core.bytesOffset;
  must(
    driver.lowestAt >= bytesAt - abi.HEADROOM,
    `the head is ${bytesAt - driver.lowestAt} bytes too long for its room`,
  );
  must(driver.highestAt <= bytesAt + core.limits.bufferBytes + abi.TAILROOM, "the framing ends behind the buffer");
}

function checkBody(driver: CodecDriver, inputBytes: number, framed: boolean): void {
  const bytes = driver.sentBytes - driver.writtenBytes;
  must(driver.used >= driver.headBytes && driver.used <= inputBytes, "more was used than came");
  if (framed) {
    unframe(driver.sent, driver.writtenBytes, driver.sentBytes);
    must(unframed.whole === driver.done, "the last chunk and the body's end are not the same");
    if (driver.bodyMode === abi.BODY_CHUNKED) {
      must(unframed.body === driver.bodyBytes, "decoded bytes are lost or made");
    }
    return;
  }
  switch (driver.bodyMode) {
    case abi.BODY_NONE:
      must(bytes === 0 && driver.done && driver.used === driver.headBytes, "a body where there is none");
      return;
    case abi.BODY_LENGTH: {
      const here = Math.min(driver.contentLength, inputBytes - driver.headBytes);
      must(driver.contentLength > 0 && bytes === here, "the body is not as long as its length");
      must(driver.done === (here === driver.contentLength), "the body ends elsewhere than its length says");
      return;
    }
    case abi.BODY_CLOSE:
      must(bytes === inputBytes - driver.headBytes, "bytes before the end of the connection are lost");
  }
}

function compare(got: Uint8Array, expected: string): void {
  if (toText(got) !== expected) {
    throw new Broken(`written again, it is\n${show(got)}\nexpected\n${show(fromText(expected))}`);
  }
}

function checkMirror(driver: CodecDriver, mirror: CodecDriver): void {
  must(mirror.code === abi.HEAD_DONE, `what was written is refused: ${mirror.code}`);
  must(mirror.fault === 0, `the body that was written is refused: ${mirror.fault}`);
  must(mirror.done === driver.done, "read again, the message ends elsewhere");
  must(!driver.done || mirror.used === driver.sentBytes, "read again, bytes are left over");
  must(mirror.bodyMode !== abi.BODY_LENGTH || mirror.contentLength === driver.contentLength, "the length has changed");
}

const KEPT_FLAGS = abi.F_UPGRADE | abi.F_EXPECT_CONTINUE | abi.F_HEAD | abi.F_IDEMPOTENT |
  abi.F_CONTENT_LENGTH | abi.F_OPTIONS | abi.F_CONNECT;

/** `mirror`: another codec. */
export function checkRequest(driver: CodecDriver, mirror: CodecDriver, input: Uint8Array): void {
  if (driver.code !== abi.HEAD_DONE || driver.writtenBytes === 0) return;
  const chunked = driver.bodyMode === abi.BODY_CHUNKED;
  checkPlaceAndBody(driver, input.length, chunked);
  if (driver.sentBytes === 0) return;
  const { sent, writtenBytes } = driver;
  const fieldsAt = readRequestLine(sent, (driver.flags & abi.F_CONNECT) !== 0);
  must(isName(sent, fieldsAt, fieldsAt + 4, HOST), "Host is not the first field");
  must(readFields(sent, fieldsAt, writtenBytes) === writtenBytes, "the head ends before its end");
  must(counts.host === 1, `${counts.host} Host fields`);
  must(counts.length <= 1 && counts.length === (driver.flags & abi.F_CONTENT_LENGTH ? 1 : 0), "Content-Length");
  must(counts.coding === (chunked ? 1 : 0) && counts.coding + counts.length <= 1, "Transfer-Encoding");
  must(counts.connection === (driver.flags & abi.F_UPGRADE ? 1 : 0), "Connection");
  checkInput(driver, input);
  must(counts.host === 1 || (counts.host === 0 && (driver.flags & abi.F_HTTP_1_0) !== 0), "Host, as it came");
  if (driver.fault !== 0) return;
  mirrorRequest(driver, mirror, fieldsAt);
}

function checkPlaceAndBody(driver: CodecDriver, inputBytes: number, framed: boolean): void {
  if (driver.sentBytes === 0) return;
  checkPlace(driver);
  if (driver.fault === 0) checkBody(driver, inputBytes, framed);
}

/** Reads what was written: it must mean the same, and be written the same but for another Via. */
function mirrorRequest(driver: CodecDriver, mirror: CodecDriver, fieldsAt: number): void {
  const { sent, sentBytes, writtenBytes } = driver;
  // HTTP/1.0 without a host goes on as HTTP/1.1 with an empty Host (RFC 9112 §3.2), which is not taken from clients
  if (sent[fieldsAt + 6] === CR) return;
  mirror.request(sent.subarray(0, sentBytes), []);
  checkMirror(driver, mirror);
  must(mirror.bodyMode === driver.bodyMode, "read again, the body is framed otherwise");
  must((mirror.flags & KEPT_FLAGS) === (driver.flags & KEPT_FLAGS), "read again, it asks for something else");
  const head = toText(sent.subarray(0, writtenBytes));
  const host = head.slice(fieldsAt + 6, head.indexOf("\r", fieldsAt));
  const old = (driver.flags & abi.F_HTTP_1_0) !== 0;
  const own = (driver.bodyMode === abi.BODY_CHUNKED ? "Transfer-Encoding: chunked\r\n" : "") +
    (driver.flags & abi.F_UPGRADE ? "Connection: Upgrade\r\n" : "") +
    `X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ${host}\r\n` +
    `X-Forwarded-Port: ${PORT}\r\nX-Request-Id: ${REQUEST_ID}\r\n`;
  const via = `Via: ${old ? "1.0" : "1.1"} kakehi\r\n`;
  must(head.endsWith(`${own}${via}\r\n`), "what the proxy adds is not at the end");
  const theirs = head.slice(0, -(own.length + via.length + 2));
  compare(mirror.sent.subarray(0, mirror.writtenBytes), `${theirs}${via}${own}Via: 1.1 kakehi\r\n\r\n`);
}

export function checkResponse(
  driver: CodecDriver,
  mirror: CodecDriver,
  input: Uint8Array,
  options: ResponseOptions,
): void {
  if (driver.code !== abi.HEAD_DONE || driver.writtenBytes === 0) return;
  const unknownLength = driver.bodyMode === abi.BODY_CHUNKED || driver.bodyMode === abi.BODY_CLOSE;
  const framed = unknownLength && !options.toOld;
  if (driver.bodyMode === abi.BODY_CHUNKED && !framed) {
    must(driver.fault !== 0 || driver.sentBytes - driver.writtenBytes === driver.bodyBytes, "decoded bytes are lost");
    checkPlace(driver);
  } else checkPlaceAndBody(driver, input.length, framed);
  if (driver.sentBytes === 0) return;
  const { sent, writtenBytes } = driver;
  must(readFields(sent, readStatusLine(sent), writtenBytes) === writtenBytes, "the head ends before its end");
  must(counts.length <= 1 && counts.coding <= 1 && counts.length + counts.coding <= 1, "two ways of framing");
  must(counts.coding === (framed ? 1 : 0), "Transfer-Encoding");
  must(driver.bodyMode !== abi.BODY_LENGTH || counts.length === 1, "a length that is not told");
  must(counts.length === 0 || (driver.status >= 200 && driver.status !== 204), "a length where there can be none");
  must(counts.connection === (driver.status === 101 ? 1 : 0), "Connection");
  checkInput(driver, input);
  if (driver.fault === 0 && !options.toOld) mirrorResponse(driver, mirror, framed, options);
}

function mirrorResponse(driver: CodecDriver, mirror: CodecDriver, framed: boolean, options: ResponseOptions): void {
  const { sent, sentBytes, writtenBytes } = driver;
  mirror.response(sent.subarray(0, sentBytes), [], options);
  checkMirror(driver, mirror);
  must(mirror.status === driver.status, "read again, the status has changed");
  must(mirror.bodyMode === (framed ? abi.BODY_CHUNKED : driver.bodyMode), "read again, the body is framed otherwise");
  const head = toText(sent.subarray(0, writtenBytes));
  const coding = framed ? "Transfer-Encoding: chunked\r\n" : "";
  const final = driver.status >= 200 || driver.status === 101;
  const date = final && (driver.flags & abi.F_DATE) === 0 ? DATE : "";
  const upgrade = driver.status === 101 ? "Connection: Upgrade\r\n" : "";
  const own = `${coding}${date}${upgrade}\r\n`;
  must(head.endsWith(own), "what the proxy adds is not at the end");
  const again = `${head.slice(0, -own.length)}${date}${coding}${upgrade}\r\n`;
  compare(mirror.sent.subarray(0, mirror.writtenBytes), again);
}

const LIMIT_REFUSALS: readonly number[] = [
  abi.URI_TOO_LONG,
  abi.HEADER_TOO_LARGE,
  abi.RESPONSE_HEADER_TOO_LARGE,
  TRAILERS_TOO_LARGE,
];

function isLimit(refusal: number): boolean {
  return LIMIT_REFUSALS.includes(refusal);
}

/**
 * The same bytes, cut in another way, must come to the same. Only what is both too large and malformed may be refused for
 * the one or the other: which is met first depends on how much is looked at once.
 */
export function checkSame(driver: CodecDriver, twin: CodecDriver): void {
  if (driver.code < 0 && twin.code < 0) {
    must(
      driver.code === twin.code || isLimit(driver.code) || isLimit(twin.code),
      "cut otherwise, the refusal is another",
    );
    return;
  }
  must(driver.code === twin.code, `cut otherwise, the head gives ${twin.code} and not ${driver.code}`);
  const fault = driver.fault === twin.fault || (driver.fault !== 0 && twin.fault !== 0 && isLimit(driver.fault));
  must(fault, `cut otherwise, the body gives ${twin.fault} and not ${driver.fault}`);
  if (driver.fault !== 0) return;
  const numbers = driver.done === twin.done && driver.used === twin.used && driver.bodyBytes === twin.bodyBytes &&
    driver.bodyMode === twin.bodyMode && driver.flags === twin.flags && driver.contentLength === twin.contentLength;
  must(numbers, "cut otherwise, the message is another");
  must(driver.writtenBytes === twin.writtenBytes, "cut otherwise, the head is written otherwise");
  for (let at = 0; at < driver.writtenBytes; at++) {
    must(driver.sent[at] === twin.sent[at], "cut otherwise, the head is written otherwise");
  }
}
