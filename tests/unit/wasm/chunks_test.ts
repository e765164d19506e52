// Bodies in chunks: what is taken for one, how they are framed anew, trailers and their limits. Each body is sent whole, byte
// by byte and cut at random.

import * as abi from "../../../assembly/abi.ts";
import { TRAILERS_TOO_LARGE } from "../../../src/ts/proxy/answers.ts";
import { assertEquals } from "../../support/assert.ts";
import { CodecDriver } from "../../support/codec.ts";
import { type Events, runRequest, runSplit, unframe } from "../../support/codec_events.ts";
import { createRandom } from "../../support/random.ts";

const { BAD_REQUEST } = abi;
const driver = new CodecDriver();
const HEAD = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";

function read(body: string, by = driver): Events {
  return runSplit(HEAD + body, (cuts) => runRequest(by, HEAD + body, cuts));
}

/** Bytes behind the head; then what is decoded of them, or a refusal. */
const BODIES: [bytes: string, expected: string | number][] = [
  ["5\r\nhello\r\n0\r\n\r\n", "hello"],
  ["05\r\nhello\r\n000\r\n\r\n", "hello"],
  ["a\r\n0123456789\r\n0\r\n\r\n", "0123456789"],
  ["A\r\n0123456789\r\n0\r\n\r\n", "0123456789"],
  ["5;x\r\nhello\r\n0;y\r\n\r\n", "hello"],
  ["5;x=y;z\r\nhello\r\n0\r\n\r\n", "hello"],
  ['5;x="y;\tz"\r\nhello\r\n0\r\n\r\n', "hello"],
  ["5\r\n\r\n\r\n\r\r\n0\r\n\r\n", "\r\n\r\n\r"],
  ["1fffffffffffff\r\nx", "x"],
  // sizes
  ["20000000000000\r\nx", BAD_REQUEST],
  ["ffffffffffffffff\r\nx", BAD_REQUEST],
  ["10000000000000000\r\nx", BAD_REQUEST],
  ["10000000000000005\r\nhello\r\n0\r\n\r\n", BAD_REQUEST],
  ["+5\r\nhello\r\n", BAD_REQUEST],
  ["-5\r\nhello\r\n", BAD_REQUEST],
  ["0x5\r\nhello\r\n", BAD_REQUEST],
  ["5h\r\nhello\r\n", BAD_REQUEST],
  [" 5\r\nhello\r\n", BAD_REQUEST],
  ["5 \r\nhello\r\n", BAD_REQUEST],
  ["5\t\r\nhello\r\n", BAD_REQUEST],
  ["\r\n", BAD_REQUEST],
  [";x\r\n", BAD_REQUEST],
  // ends of lines
  ["5\nhello\r\n", BAD_REQUEST],
  ["5\rhello\r\n", BAD_REQUEST],
  ["5\r\nhello\n0\r\n\r\n", BAD_REQUEST],
  ["5\r\nhello0\r\n\r\n", BAD_REQUEST],
  ["5\r\nhell\r\n0\r\n\r\n", BAD_REQUEST],
  ["5\r\nhello!\r\n0\r\n\r\n", BAD_REQUEST],
  ["5;x\nhello\r\n", BAD_REQUEST],
  ["5;x\rhello\r\n", BAD_REQUEST],
  ["0\r\n\n", BAD_REQUEST],
  ["0\n\n", BAD_REQUEST],
  ["5\r\rhello\r\n", BAD_REQUEST],
  ["5\r\r\nhello\r\n", BAD_REQUEST],
  ["5;x\r\rhello\r\n", BAD_REQUEST],
  ["5\r\nhello\r\r0\r\n\r\n", BAD_REQUEST],
  ["5\r\nhello\n\r0\r\n\r\n", BAD_REQUEST],
  ["0\r\r\r\n", BAD_REQUEST],
  ["0\r\n\r\r", BAD_REQUEST],
  ["0\r\nX-T: 1\r\r\r\n", BAD_REQUEST],
  ["0\r\nX-T: 1\r\n\r\r", BAD_REQUEST],
  ["0\r\nX-T: 1\r\n\n", BAD_REQUEST],
  // extensions
  ["5;\0\r\nhello\r\n", BAD_REQUEST],
  ['5;x="\r\nhello\r\n', BAD_REQUEST],
];

Deno.test("chunks are taken apart as RFC 9112 §7.1 has them", () => {
  const got = BODIES.map(([bytes]): [string, string | number] => {
    const { fault, body } = read(bytes);
    return [bytes, fault === 0 ? body : fault];
  });
  assertEquals(got, BODIES);
});

Deno.test("chunks go out as one for all that came in one piece", () => {
  const body = "5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n";
  assertEquals(runRequest(driver, HEAD + body).framed, "b\r\nhello world\r\n");
  assertEquals(runRequest(driver, HEAD + body + "0\r\n\r\n").framed, "b\r\nhello world\r\n0\r\n\r\n");
  assertEquals(runRequest(driver, HEAD + "0\r\n\r\n").framed, "0\r\n\r\n");
  assertEquals(runRequest(driver, HEAD + "5\r\n").framed, "");
});

Deno.test("chunks of any sizes, cut anywhere, give the bytes that went in", () => {
  const random = createRandom(7);
  for (let round = 0; round < 150; round++) {
    let body = "";
    let text = HEAD;
    for (let left = random.below(6); left > 0; left--) {
      const piece = "abcdefghij".repeat(400).slice(0, random.between(1, random.below(2) ? 10 : 4000));
      body += piece;
      text += `${piece.length.toString(16)}${random.below(2) ? ";e=1" : ""}\r\n${piece}\r\n`;
    }
    const trailer = random.below(2) ? "X-T: 1\r\n" : "";
    text += `0\r\n${trailer}\r\nnext`;
    const cuts = Array.from({ length: random.below(20) }, () => random.between(1, text.length - 1)).sort((a, b) =>
      a - b
    );
    const events = runRequest(driver, text, cuts);
    assertEquals([events.done, events.body, events.trailers, events.leftover], [true, body, trailer, "next"]);
  }
});

Deno.test("a body larger than a buffer goes through it piece by piece", () => {
  const piece = "x".repeat(0x8000);
  const text = HEAD + `8000\r\n${piece}\r\n`.repeat(5) + "0\r\n\r\n";
  const events = runRequest(driver, text);
  assertEquals([events.done, events.body.length], [true, 5 * 0x8000]);
});

// ---- trailers ----

Deno.test("trailers are passed on, without blanks and without what has no place there", () => {
  const trailer = (lines: string) => read(`5\r\nhello\r\n0\r\n${lines}\r\nGET`);
  assertEquals(trailer("X-T: 1\r\nx-u:2\r\n").trailers, "X-T: 1\r\nx-u: 2\r\n");
  assertEquals(trailer("X-T:\t1 \t\r\nX-Empty:\r\n").trailers, "X-T: 1\r\nX-Empty: \r\n");
  assertEquals(trailer("Date: now\r\n").trailers, "Date: now\r\n");
  assertEquals(trailer("X-T: 1\r\n").leftover, "GET");
  const forbidden = [
    "Host: b",
    "Connection: close",
    "Upgrade: x",
    "TE: x",
    "Trailer: x",
    "Keep-Alive: 1",
    "Expect: 100-continue",
    "X-Forwarded-For: 1.2.3.4",
    "X-Forwarded-Prefix: /",
    "X-Real-IP: 1.2.3.4",
    "Forwarded: for=x",
    "X-Request-Id: 1",
    "Via: 1.1 x",
    "content_length: 3",
  ];
  for (const line of forbidden) assertEquals(trailer(`A: 1\r\n${line}\r\nB: 2\r\n`).trailers, "A: 1\r\nB: 2\r\n", line);
});

Deno.test("trailers that are malformed, or frame the message once more, are refused", () => {
  const lines = ["X-T : 1", " X-T: 1", "X-T", ": 1", "X-T: \0", "X-T: 1\r\n folded", "X-T: 1\nX-U: 2", "X-T: 1\rx"];
  for (const line of [...lines, "Content-Length: 3", "Transfer-Encoding: chunked"]) {
    assertEquals(read(`0\r\n${line}\r\n\r\n`).fault, BAD_REQUEST, JSON.stringify(line));
  }
});

Deno.test("trailers are at most 32 fields, and no larger than a head", () => {
  assertEquals(read(`0\r\n${"a:b\r\n".repeat(32)}\r\n`).trailers, "a: b\r\n".repeat(32));
  assertEquals(read(`0\r\n${"a:b\r\n".repeat(33)}\r\n`).fault, TRAILERS_TOO_LARGE);
  const small = new CodecDriver({ bufferBytes: 16384, headersMax: 16, headerBytesMax: 1024, targetBytesMax: 64 });
  const sized = (bytes: number) => read(`0\r\nX-T: ${"x".repeat(bytes)}\r\n\r\n`, small);
  assertEquals(sized(1000).trailers.length, 1007);
  assertEquals([sized(1024).fault, sized(1100).fault, sized(9000).fault], new Array(3).fill(TRAILERS_TOO_LARGE));
});

Deno.test("trailers never overwrite what lies behind their scratch", () => {
  const small = new CodecDriver({ bufferBytes: 1 << 20, headersMax: 100, headerBytesMax: 1024, targetBytesMax: 64 });
  const { u8, textAt } = small.core;
  const text = u8.slice(textAt, textAt + 65536);
  const long = `0\r\n${`X-T: ${"x".repeat(30_000)}\r\n`.repeat(30)}\r\n`;
  assertEquals(runRequest(small, HEAD + long).fault, TRAILERS_TOO_LARGE);
  assertEquals(u8.slice(textAt, textAt + 65536), text);
});

// ---- framing without data ----

Deno.test("framing of one body may be 16 KiB between two bytes of data, in buffers of any size", () => {
  const wide = new CodecDriver({ bufferBytes: 1 << 20 });
  const tiny = "1\r\nx\r\n".repeat(20_000) + "0\r\n\r\n";
  for (const cuts of [[], [100_000], [3, 60_001, 60_002]]) {
    const events = runRequest(wide, HEAD + tiny, cuts);
    assertEquals([events.fault, events.done, events.body.length], [0, true, 20_000]);
  }
  const extended = (bytes: number) => `1\r\nx\r\n1;${"e".repeat(bytes)}\r\ny\r\n0\r\n\r\n`;
  for (const cuts of [[], [1000, 10_000]]) {
    assertEquals(runRequest(wide, HEAD + extended(16_000), cuts).body, "xy");
    assertEquals(runRequest(wide, HEAD + extended(17_000), cuts).fault, BAD_REQUEST);
    assertEquals(runRequest(wide, `${HEAD}1\r\nx\r\n0;${"e".repeat(17_000)}\r\n\r\n`, cuts).fault, BAD_REQUEST);
  }
});

Deno.test("frameChunk() writes sizes of any length", () => {
  const { codec, u8, result } = driver.core;
  const at = driver.buffer + driver.core.bytesOffset;
  for (const length of [1, 15, 16, 255, 256, 4095, 4096, 16384]) {
    u8.fill(0x61, at, at + length);
    codec.frameChunk(at, length, 1, 0);
    const from = result[abi.R_OUT_AT]!;
    const framed = new TextDecoder().decode(u8.slice(from, from + result[abi.R_OUT_LENGTH]!));
    assertEquals(unframe(framed, true), { body: "a".repeat(length), trailers: "" });
  }
});
