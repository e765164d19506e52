// Where responses end: RFC 9112 §6.3 once more, written as a table by hand. Each row is sent whole, byte by byte and cut at
// random.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { CodecDriver } from "../../support/codec.ts";
import { runResponse, runSplit } from "../../support/codec_events.ts";

const { BAD_RESPONSE, BODY_CHUNKED, BODY_CLOSE, BODY_LENGTH, BODY_NONE, F_CONNECT, F_HEAD, F_UPGRADE } = abi;

/** Status, field lines, F_ bits of the request; then body mode or refusal, and whether the connection is kept. */
type Row = [status: number, fields: string, request: number, expected: number, kept: boolean];

const ROWS: Row[] = [
  // 1. never a body
  [200, "Content-Length: 5", F_HEAD, BODY_NONE, true],
  [200, "Transfer-Encoding: chunked", F_HEAD, BODY_NONE, true],
  [200, "X-A: b", F_HEAD, BODY_NONE, true],
  [204, "X-A: b", 0, BODY_NONE, true],
  [204, "Content-Length: 0", 0, BODY_NONE, true],
  [204, "Content-Length: 5", 0, BODY_NONE, false],
  [204, "Transfer-Encoding: chunked", 0, BODY_NONE, false],
  [304, "Content-Length: 5", 0, BODY_NONE, true],
  [304, "X-A: b", 0, BODY_NONE, true],
  [100, "X-A: b", 0, BODY_NONE, true],
  [103, "Link: </a.css>", 0, BODY_NONE, true],
  [103, "Content-Length: 5", 0, BODY_NONE, false],
  [199, "Transfer-Encoding: chunked", 0, BODY_NONE, false],
  [101, "Upgrade: websocket|Connection: upgrade", F_UPGRADE, BODY_NONE, true],
  [101, "Upgrade: websocket|Connection: upgrade", 0, BAD_RESPONSE, false],
  [101, "Connection: upgrade", F_UPGRADE, BAD_RESPONSE, false],
  // 2. a tunnel
  [200, "X-A: b", F_CONNECT, BODY_NONE, true],
  [200, "Content-Length: 5", F_CONNECT, BODY_NONE, false],
  [403, "Content-Length: 5", F_CONNECT, BODY_LENGTH, true],
  // 3. both
  [200, "Transfer-Encoding: chunked|Content-Length: 5", 0, BAD_RESPONSE, false],
  [200, "Content-Length: 5|Transfer-Encoding: chunked", 0, BAD_RESPONSE, false],
  [200, "Content-Length: 5|Transfer-Encoding: chunked", F_HEAD, BAD_RESPONSE, false],
  [304, "Content-Length: 5|Transfer-Encoding: chunked", 0, BAD_RESPONSE, false],
  // 4. Transfer-Encoding
  [200, "Transfer-Encoding: chunked", 0, BODY_CHUNKED, true],
  [200, "Transfer-Encoding: CHUNKED", 0, BODY_CHUNKED, true],
  [404, "transfer-encoding:chunked|Connection: close", 0, BODY_CHUNKED, false],
  [200, "Transfer-Encoding: chunked\t", 0, BAD_RESPONSE, false],
  [200, "Transfer-Encoding: gzip", 0, BAD_RESPONSE, false],
  [200, "Transfer-Encoding: gzip, chunked", 0, BAD_RESPONSE, false],
  [200, "Transfer-Encoding: chunked, gzip", 0, BAD_RESPONSE, false],
  [200, "Transfer-Encoding: chunked|Transfer-Encoding: chunked", 0, BAD_RESPONSE, false],
  [200, "Transfer-Encoding: identity", 0, BAD_RESPONSE, false],
  [200, "Transfer-Encoding:", 0, BAD_RESPONSE, false],
  // 5. a Content-Length that is none
  [200, "Content-Length: 5, 5", 0, BAD_RESPONSE, false],
  [200, "Content-Length: 5|Content-Length: 6", 0, BAD_RESPONSE, false],
  [200, "Content-Length: -1", 0, BAD_RESPONSE, false],
  [200, "Content-Length:", 0, BAD_RESPONSE, false],
  [200, "Content-Length: x", F_HEAD, BAD_RESPONSE, false],
  // 6. Content-Length
  [200, "Content-Length: 5", 0, BODY_LENGTH, true],
  [200, "Content-Length: 5|content-length: 05", 0, BODY_LENGTH, true],
  [500, "Content-Length: 5|Connection: close", 0, BODY_LENGTH, false],
  [205, "Content-Length: 0", 0, BODY_NONE, true],
  // 8. neither
  [200, "X-A: b", 0, BODY_CLOSE, true],
  [404, "Connection: close", 0, BODY_CLOSE, false],
];

const ROWS_1_0: Row[] = [
  [200, "Transfer-Encoding: chunked", 0, BAD_RESPONSE, false],
  [200, "Content-Length: 5", 0, BODY_LENGTH, false],
  [200, "Content-Length: 5|Connection: keep-alive", 0, BODY_LENGTH, true],
  [200, "Content-Length: 5|Connection: keep-alive, close", 0, BODY_LENGTH, false],
  [200, "X-A: b", 0, BODY_CLOSE, false],
  [101, "Upgrade: x|Connection: upgrade", F_UPGRADE, BAD_RESPONSE, false],
];

const driver = new CodecDriver();

function outcome(version: string, [status, fields, request]: Row): Row {
  const lines = fields.split("|").map((line) => line + "\r\n").join("");
  const text = `HTTP/${version} ${status} Words\r\n${lines}\r\n`;
  const events = runSplit(text, (cuts) => runResponse(driver, text, { request }, cuts));
  const accepted = events.code === abi.HEAD_DONE;
  const kept = accepted && (events.flags & abi.F_KEEP_ALIVE) !== 0;
  return [status, fields, request, accepted ? events.bodyMode : events.code, kept];
}

Deno.test("response framing follows RFC 9112 §6.3 in HTTP/1.1", () => {
  assertEquals(ROWS.map((row) => outcome("1.1", row)), ROWS);
});

Deno.test("response framing in HTTP/1.0 has no codings, and keeps only what says so", () => {
  assertEquals(ROWS_1_0.map((row) => outcome("1.0", row)), ROWS_1_0);
});

const STATUS_LINES: [line: string, status: number][] = [
  ["HTTP/1.1 200 OK", 200],
  ["HTTP/1.1 200 ", 200],
  ["HTTP/1.1 200", 200],
  ["HTTP/1.0 299 a b\tc", 299],
  ["HTTP/1.1 599 \xe4", 599],
  ["HTTP/1.1 100 Continue", 100],
  ["HTTP/1.1 099 x", BAD_RESPONSE],
  ["HTTP/1.1 600 x", BAD_RESPONSE],
  ["HTTP/1.1 20 x", BAD_RESPONSE],
  ["HTTP/1.1 2000 x", BAD_RESPONSE],
  ["HTTP/1.1 abc x", BAD_RESPONSE],
  ["HTTP/1.1  200 OK", BAD_RESPONSE],
  ["HTTP/1.1\t200 OK", BAD_RESPONSE],
  ["HTTP/1.1 200\tOK", BAD_RESPONSE],
  ["HTTP/1.1 200 a\0b", BAD_RESPONSE],
  ["HTTP/1.1 200 a\x7fb", BAD_RESPONSE],
  ["HTTP/1.1 200 a\rb", BAD_RESPONSE],
  ["HTTP/1.1 200 OK\r", BAD_RESPONSE],
  ["HTTP/1.1 200 OK\r\rX-A: b", BAD_RESPONSE],
  ["HTTP/1.1 200\r\rX-A: b", BAD_RESPONSE],
  ["HTTP/1.1 200 \r\rX-A: b", BAD_RESPONSE],
  ["HTTP/1.1 200\nX-A: b", BAD_RESPONSE],
  ["HTTP/1.1 200 \nX-A: b", BAD_RESPONSE],
  ["HTTP/1.1 200 OK\nX-A: b", BAD_RESPONSE],
  ["HTTP/1.2 200 OK", BAD_RESPONSE],
  ["HTTP/2.0 200 OK", BAD_RESPONSE],
  ["HTTP/0.9 200 OK", BAD_RESPONSE],
  ["http/1.1 200 OK", BAD_RESPONSE],
  ["\r\nHTTP/1.1 200 OK", BAD_RESPONSE],
  [" HTTP/1.1 200 OK", BAD_RESPONSE],
  ["ICY 200 OK", BAD_RESPONSE],
  ["GET / HTTP/1.1", BAD_RESPONSE],
  ["", BAD_RESPONSE],
];

Deno.test("response framing begins with a status line as RFC 9112 §4 has it", () => {
  const outcomes = STATUS_LINES.map(([line]): [string, number] => {
    const text = `${line}\r\nContent-Length: 0\r\n\r\n`;
    const events = runSplit(text, (cuts) => runResponse(driver, text, {}, cuts));
    return [line, events.code === abi.HEAD_DONE ? events.status : events.code];
  });
  assertEquals(outcomes, STATUS_LINES);
});

Deno.test("response framing lets a body without length last until the end, and frames it anew", () => {
  const text = "HTTP/1.1 200 OK\r\n\r\nhello";
  const chunked = runSplit(text, (cuts) => runResponse(driver, text, { ends: true }, cuts));
  assertEquals([chunked.body, chunked.done, chunked.leftover], ["hello", true, ""]);
  assertEquals(/\r\nTransfer-Encoding: chunked\r\n/.test(chunked.head), true);
  const old = runSplit(text, (cuts) => runResponse(driver, text, { ends: true, toOld: true }, cuts));
  assertEquals([old.body, old.done, old.head.includes("Transfer-Encoding")], ["hello", true, false]);
});

Deno.test("response framing unpacks chunks for a client of HTTP/1.0", () => {
  const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nX-T: 1\r\n\r\nrest";
  const events = runSplit(text, (cuts) => runResponse(driver, text, { toOld: true }, cuts));
  assertEquals([events.framed, events.done, events.leftover], ["hello", true, "rest"]);
  assertEquals(events.head.includes("Transfer-Encoding"), false);
});
