// Where requests end: RFC 9112 §6.3 once more, written as a table by hand. Each row is sent whole, byte by byte and cut at
// random.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { CodecDriver } from "../../support/codec.ts";
import { runRequest, runSplit } from "../../support/codec_events.ts";

const { BODY_CHUNKED, BODY_LENGTH, BODY_NONE, BAD_REQUEST, TRANSFER_CODING_UNKNOWN } = abi;
const REFUSED = -100;

type Row = [fields: string, expected: number, length?: number];

/** Field lines of a POST, and how its body is delimited or why it is refused. */
const ROWS_1_1: Row[] = [
  // 3. both
  ["Transfer-Encoding: chunked|Content-Length: 5", BAD_REQUEST],
  ["Content-Length: 5|Transfer-Encoding: chunked", BAD_REQUEST],
  ["Content-Length: 0|Transfer-Encoding: chunked", BAD_REQUEST],
  ["Content-Length: 5|Transfer-Encoding: gzip", BAD_REQUEST],
  ["Content-Length: 5|X-A: b|Transfer-Encoding: chunked|X-C: d", BAD_REQUEST],
  // 4. Transfer-Encoding
  ["Transfer-Encoding: chunked", BODY_CHUNKED],
  ["transfer-encoding: CHUNKED", BODY_CHUNKED],
  ["Transfer-Encoding:chunked", BODY_CHUNKED],
  ["Transfer-Encoding:\tchunked", BODY_CHUNKED],
  ["Transfer-Encoding: chunked  ", BODY_CHUNKED],
  ["Transfer-Encoding: chunked\t", BAD_REQUEST],
  ["Transfer-Encoding: gzip", TRANSFER_CODING_UNKNOWN],
  ["Transfer-Encoding: identity", TRANSFER_CODING_UNKNOWN],
  ["Transfer-Encoding: xchunked", BAD_REQUEST],
  ["Transfer-Encoding: chunkedx", BAD_REQUEST],
  ["Transfer-Encoding: chunked, identity", BAD_REQUEST],
  ["Transfer-Encoding: gzip, chunked", BAD_REQUEST],
  ["Transfer-Encoding: gzip, deflate", BAD_REQUEST],
  ["Transfer-Encoding: chunked, chunked", BAD_REQUEST],
  ["Transfer-Encoding: chunked|Transfer-Encoding: chunked", BAD_REQUEST],
  ["Transfer-Encoding: gzip|Transfer-Encoding: chunked", BAD_REQUEST],
  ["Transfer-Encoding: chunked|Transfer-Encoding: gzip", BAD_REQUEST],
  ["Transfer-Encoding: chunked;q=1", BAD_REQUEST],
  ['Transfer-Encoding: "chunked"', BAD_REQUEST],
  ["Transfer-Encoding: chun ked", BAD_REQUEST],
  ["Transfer-Encoding: ,chunked", BAD_REQUEST],
  ["Transfer-Encoding: chunked,", BAD_REQUEST],
  ["Transfer-Encoding:", BAD_REQUEST],
  ["Transfer-Encoding : chunked", BAD_REQUEST],
  ["Transfer_Encoding: chunked", BODY_NONE],
  // 5. a Content-Length that is none
  ["Content-Length: +5", BAD_REQUEST],
  ["Content-Length: -5", BAD_REQUEST],
  ["Content-Length: 5x", BAD_REQUEST],
  ["Content-Length: 0x5", BAD_REQUEST],
  ["Content-Length: 5 5", BAD_REQUEST],
  ["Content-Length: 5, 5", BAD_REQUEST],
  ["Content-Length: 5, 6", BAD_REQUEST],
  ["Content-Length: 5.0", BAD_REQUEST],
  ["Content-Length:", BAD_REQUEST],
  ["Content-Length: 5|Content-Length: 6", BAD_REQUEST],
  ["Content-Length: 5|Content-Length: 5|Content-Length: 6", BAD_REQUEST],
  ["Content-Length: 5|Content-Length:", BAD_REQUEST],
  ["Content-Length: 9007199254740992", BAD_REQUEST],
  ["Content-Length: 18446744073709551616", BAD_REQUEST],
  ["Content-Length: 00000000000000005", BAD_REQUEST],
  // 6. Content-Length
  ["Content-Length: 5", BODY_LENGTH, 5],
  ["content-length:5", BODY_LENGTH, 5],
  ["Content-Length:\t5  ", BODY_LENGTH, 5],
  ["Content-Length: 5\t", BAD_REQUEST],
  ["Content-Length: 005", BODY_LENGTH, 5],
  ["Content-Length: 5|Content-Length: 5", BODY_LENGTH, 5],
  ["Content-Length: 5|X-A: b|content-length: 5|Content-Length: 05", BODY_LENGTH, 5],
  ["Content-Length: 9007199254740991", BODY_LENGTH, 9007199254740991],
  ["Content-Length: 0", BODY_NONE],
  // 7. neither
  ["X-A: b", BODY_NONE],
  ["Content_Length: 5", BODY_NONE],
];

const ROWS_1_0: Row[] = [
  ["Transfer-Encoding: chunked", BAD_REQUEST],
  ["Transfer-Encoding: gzip", BAD_REQUEST],
  ["Content-Length: 5|Transfer-Encoding: chunked", BAD_REQUEST],
  ["Content-Length: 5", BODY_LENGTH, 5],
  ["X-A: b", BODY_NONE],
];

const driver = new CodecDriver();

function outcome(version: string, fields: string): Row {
  const lines = fields.split("|").map((line) => line + "\r\n").join("");
  const text = `POST / HTTP/${version}\r\nHost: a.test\r\n${lines}\r\n`;
  const events = runSplit(text, (cuts) => runRequest(driver, text, cuts));
  if (events.code !== abi.HEAD_DONE) return [fields, events.code === 0 ? REFUSED : events.code];
  return events.contentLength > 0 ? [fields, events.bodyMode, events.contentLength] : [fields, events.bodyMode];
}

Deno.test("request framing follows RFC 9112 §6.3 in HTTP/1.1", () => {
  assertEquals(ROWS_1_1.map(([fields]) => outcome("1.1", fields)), ROWS_1_1);
});

Deno.test("request framing knows no transfer codings in HTTP/1.0", () => {
  assertEquals(ROWS_1_0.map(([fields]) => outcome("1.0", fields)), ROWS_1_0);
});

Deno.test("request framing writes one Content-Length, and never beside Transfer-Encoding", () => {
  for (const [fields, expected] of ROWS_1_1) {
    if (expected < 0) continue;
    const lines = fields.split("|").map((line) => line + "\r\n").join("");
    const { head } = runRequest(driver, `POST / HTTP/1.1\r\nHost: a.test\r\n${lines}\r\n`);
    const lengths = head.match(/\r\nContent-Length:/gi)?.length ?? 0;
    const codings = head.match(/\r\nTransfer-Encoding: chunked\r\n/gi)?.length ?? 0;
    assertEquals(codings, expected === BODY_CHUNKED ? 1 : 0, fields);
    assertEquals(lengths, expected === BODY_LENGTH || fields.startsWith("Content-Length") ? 1 : 0, fields);
  }
});

/** Bytes behind the head of a request with `Content-Length: 5`, or in chunks, and what becomes of them. */
const BODIES: [fields: string, bytes: string, body: string, done: boolean, leftover: string][] = [
  ["Content-Length: 5", "", "", false, ""],
  ["Content-Length: 5", "hell", "hell", false, ""],
  ["Content-Length: 5", "hello", "hello", true, ""],
  ["Content-Length: 5", "helloGET /", "hello", true, "GET /"],
  ["Content-Length: 0", "GET /", "", true, "GET /"],
  ["X-A: b", "GET /", "", true, "GET /"],
  ["Transfer-Encoding: chunked", "5\r\nhel", "hel", false, ""],
  ["Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n", "hello", false, ""],
  ["Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", "hello", true, ""],
  ["Transfer-Encoding: chunked", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET /", "hello", true, "GET /"],
  ["Transfer-Encoding: chunked", "0\r\n\r\nGET /", "", true, "GET /"],
];

Deno.test("request framing finds the end of the body, and what follows it", () => {
  for (const [fields, bytes, body, done, leftover] of BODIES) {
    const text = `POST / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n\r\n${bytes}`;
    const events = runSplit(text, (cuts) => runRequest(driver, text, cuts));
    assertEquals([events.fault, events.body, events.done, events.leftover], [0, body, done, leftover], text);
  }
});
