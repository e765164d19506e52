// A head that is kept while others are read is written as if it had been written at once: the same bytes in HTTP/1 and in
// HTTP/2, and the same results. Keeping touches KEPT_BYTES in front of the message and nothing else.

import * as abi from "../../../assembly/abi.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type Bytes, fromText, toText } from "../../support/bytes.ts";
import { H2Driver, POST, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const driver = new H2Driver();
const { core } = driver;
const { codec, result, u8 } = core;
const view = new DataView(u8.buffer);

/** Records and buffers that the driver has not taken: of a message in HTTP/1, of one that comes between, of a stream. */
const [MINE, OTHERS, FAR_STREAM] = [36, 37, 38];
/** A second connection, on which the message goes on. */
const farH2 = core.h2RecordsAt + core.h2RecordBytes;
const idAt = core.textAt + abi.TEXT_REQUEST_IDS;
const CANARY = 0xc5;

function bufferOf(record: number): number {
  return core.buffersAt + ((record - core.recordsAt) / abi.RECORD) * core.bufferStride;
}

/** Reads a request of HTTP/1 into the record and buffer `index`; its record. */
function read(index: number, text: string): number {
  const record = core.recordAt(index);
  const at = bufferOf(record) + core.bytesOffset;
  codec.beginConnection(record, core.textAt + abi.TEXT_ANSWERS, 0);
  u8.set(fromText(text), at);
  codec.beginRequest(record, at, bufferOf(record));
  assertEquals(codec.feedRequest(record, text.length), abi.HEAD_DONE);
  return record;
}

function begin(role: number, first: Uint8Array): void {
  driver.begin(role);
  driver.preface();
  if (role === abi.H2_ROLE_SERVER) driver.receive(f.MAGIC);
  driver.receive(f.settings());
  if (role === abi.H2_ROLE_CLIENT) { for (let i = 0; i < 2; i++) driver.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); }
  driver.receive(first);
}

/** What later heads and trailers of the same stream do to its record. */
function forgetTable(record: number): void {
  view.setUint32(record + 72, core.buffersAt, true);
  view.setUint16(record + 76, 0, true);
}

/** Keeps, lets something come between, and restores; looks at what was written to meanwhile. */
function detour(record: number, keep: () => void, between: () => void, restore: () => void): void {
  const buffer = bufferOf(record);
  const front = u8.subarray(buffer + codec.tableBytes(), buffer + core.bytesOffset);
  front.fill(CANARY);
  const before = u8.slice(buffer, buffer + core.bufferStride);
  keep();
  const first = core.bytesOffset - abi.KEPT_BYTES;
  const after = u8.slice(buffer, buffer + core.bufferStride);
  for (const [at, byte] of after.entries()) {
    if (byte !== before[at]) assert(at >= first && at < core.bytesOffset, `byte ${at} of the buffer has changed`);
  }
  assert(after.some((byte, at) => byte !== before[at]), "nothing was kept");
  between();
  forgetTable(record);
  restore();
}

const OTHER_REQUEST = "PUT /other?x HTTP/1.0\r\nContent-Length: 77\r\nX-Other: 1\r\n\r\n";

interface Written {
  http1: string;
  http2: Bytes;
  contentLength: number;
}

function writeRequest(record: number): Written {
  const contentLength = codec.requestContentLength();
  const length = codec.writeRequestHead(record, 80, 0, idAt, 0, 0);
  const http1 = toText(u8.subarray(codec.headScratchAt(), codec.headScratchAt() + length));
  codec.h2Begin(farH2, abi.H2_ROLE_CLIENT, abi.H2_CLIENT_PROFILE, core.recordAt(OTHERS));
  const stream = core.recordAt(FAR_STREAM);
  const settings = f.settings([8, 1]);
  u8.set(settings, bufferOf(stream) + core.bytesOffset);
  assertEquals(codec.h2Feed(farH2, bufferOf(stream) + core.bytesOffset, settings.length), abi.EV_SETTINGS);
  assertEquals(codec.h2Open(farH2, stream), 1);
  assertEquals(view.getUint32(stream + abi.RECORD_STREAM_ID, true), 1);
  const to = codec.headScratchAt();
  const bytes = codec.h2PutRequest(farH2, stream, record, 80, 0, idAt, 0, 0, 1, 1, to);
  return { http1, http2: u8.slice(to, to + bytes), contentLength };
}

function throughRequest(makes: () => number, detours: boolean): Written {
  const record = makes();
  const buffer = bufferOf(record);
  const keep = () => codec.keepRequest(record, buffer);
  const between = () => void read(OTHERS, OTHER_REQUEST);
  if (detours) detour(record, keep, between, () => codec.restoreRequest(record, buffer));
  return writeRequest(record);
}

const FROM_HTTP1 = [
  "GET /a?b HTTP/1.1\r\nHost: example.com\r\nX-Yes: 1\r\nConnection: X-No\r\nX-No: 2\r\nCookie: a=b; c=d\r\n\r\n",
  "POST http://a.example?q HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
  "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 12345\r\nExpect: 100-continue\r\n\r\n",
  "GET / HTTP/1.0\r\n\r\n",
  "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
  "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
];

const CONNECT: f.Field = [":method", "CONNECT"];
const FROM_HTTP2: [string, Uint8Array][] = [
  ["GET with cookies", f.headers(1, [...REQUEST, ["cookie", "a=b"], ["x-y", "z"], ["cookie", "c=d"]])],
  ["POST without content", f.headers(1, POST)],
  ["POST of unknown length", f.headers(1, POST, f.END_HEADERS)],
  ["POST of known length", f.headers(1, [...POST, ["content-length", "9"]], f.END_HEADERS)],
  ["CONNECT", f.headers(1, [CONNECT, [":authority", "a:443"]], f.END_HEADERS)],
  ["a WebSocket", f.headers(1, [CONNECT, [":protocol", "websocket"], ...REQUEST.slice(1)], f.END_HEADERS)],
];

for (const text of FROM_HTTP1) {
  Deno.test(`keepRequest() HTTP/1: ${text.slice(0, text.indexOf("\r"))}`, () => {
    begin(abi.H2_ROLE_SERVER, new Uint8Array());
    const [atOnce, later] = [false, true].map((detours) => throughRequest(() => read(MINE, text), detours));
    assertEquals(later, atOnce);
    assert(atOnce!.http1.length > 0 && atOnce!.http2.length > 9, "nothing was written");
  });
}

for (const [name, bytes] of FROM_HTTP2) {
  Deno.test(`keepRequest() HTTP/2: ${name}`, () => {
    const make = () => {
      driver.setProfile(abi.P_CONNECT_PROTOCOL, 1);
      begin(abi.H2_ROLE_SERVER, bytes);
      return driver.streams.get(1)!;
    };
    const [atOnce, later] = [false, true].map((detours) => throughRequest(make, detours));
    assertEquals(later, atOnce);
    assert(atOnce!.http1.length > 0 && atOnce!.http2.length > 9, "nothing was written");
  });
}

// ---- answers ----

/** A stream of a client on the second connection; its record. */
function farClient(): number {
  codec.h2Begin(farH2, abi.H2_ROLE_SERVER, 0, core.recordAt(OTHERS));
  const at = bufferOf(core.recordAt(FAR_STREAM)) + core.bytesOffset;
  const bytes = f.concat(f.MAGIC, f.settings(), f.headers(1, REQUEST));
  u8.set(bytes, at);
  let event = abi.EV_MORE;
  let done = 0;
  while (event !== abi.EV_HEADERS) {
    event = codec.h2Feed(farH2, at + done, bytes.length - done);
    done += result[abi.R_CONSUMED]!;
  }
  const stream = core.recordAt(FAR_STREAM);
  const buffer = bufferOf(core.recordAt(OTHERS));
  assertEquals(
    codec.h2Headers(farH2, stream, buffer, buffer + core.bytesOffset, core.limits.bufferBytes),
    abi.HEAD_DONE,
  );
  return stream;
}

const RESULTS = [abi.R_STATUS, abi.R_BODY_MODE, abi.R_FLAGS, abi.R_HEADER_COUNT, abi.R_HEAD_END];

function throughResponse(bytes: Uint8Array, how: number, detours: boolean): unknown {
  begin(abi.H2_ROLE_CLIENT, new Uint8Array());
  const client = farClient();
  driver.receive(bytes);
  const record = driver.streams.get(1)!;
  const buffer = bufferOf(record);
  const between = () => {
    driver.receive(f.headers(3, [[":status", "404"], ["content-length", "777"], ["x", "y"]], f.END_HEADERS));
    result.fill(-1);
  };
  const restore = () => codec.restoreResponse(record, buffer);
  if (detours) detour(record, () => codec.keepResponse(record, buffer), between, restore);
  const results = [...RESULTS.map((word) => result[word]!), codec.responseContentLength()];
  const to = codec.headScratchAt();
  const http1 = toText(u8.subarray(to, to + codec.writeResponseHead(record, how, 0, 0)));
  const length = codec.h2PutResponse(farH2, client, record, how, 0, 0, 0, to);
  assert(http1.length > 0 && length > 9, "nothing was written");
  return { results, http1, http2: u8.slice(to, to + length) };
}

const ANSWERS: [string, f.Field[], number][] = [
  ["of unknown length", [[":status", "200"], ["content-type", "a/b"], ["date", "today"]], abi.W_CHUNKED],
  ["of known length", [[":status", "201"], ["content-length", "5"], ["connection-like", "x"]], abi.W_CLOSE],
  ["without content", [[":status", "204"]], 0],
  ["interim", [[":status", "103"], ["link", "</a>"]], 0],
];

for (const [name, fields, how] of ANSWERS) {
  Deno.test(`keepResponse() ${name}`, () => {
    const bytes = f.headers(1, fields, f.END_HEADERS);
    assertEquals(throughResponse(bytes, how, true), throughResponse(bytes, how, false));
  });
}

// ---- trailers ----

function throughTrailers(detours: boolean): unknown {
  begin(abi.H2_ROLE_CLIENT, new Uint8Array());
  const client = farClient();
  driver.receive(f.headers(1, [[":status", "200"]], f.END_HEADERS));
  const record = driver.streams.get(1)!;
  const buffer = bufferOf(record);
  const to = codec.headScratchAt();
  codec.h2PutResponse(farH2, client, record, 0, 0, 0, 0, to);
  driver.receive(f.headers(1, [["grpc-status", "0"], ["content-length", "0"], ["grpc-message", "fine"]]));
  const between = () => driver.receive(f.headers(3, [[":status", "404"], ["x", "y"]], f.END_HEADERS));
  const restore = () => codec.restoreTrailers(record, buffer);
  if (detours) detour(record, () => codec.keepTrailers(record, buffer), between, restore);
  assertEquals(codec.h2HasTrailers(record), 1);
  codec.frameChunk(to, 0, 1, record);
  const http1 = toText(u8.subarray(result[abi.R_OUT_AT]!, result[abi.R_OUT_AT]! + result[abi.R_OUT_LENGTH]!));
  const http2 = u8.slice(to, to + codec.h2PutTrailers(farH2, client, record, to));
  assertEquals(http1, "0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n");
  assert(http2.length > 9, "no trailers were written");
  return { http1, http2 };
}

Deno.test("keepTrailers()", () => assertEquals(throughTrailers(true), throughTrailers(false)));

// ---- what the peer has announced ----

Deno.test("h2PeerTakesWebSockets() follows SETTINGS_ENABLE_CONNECT_PROTOCOL", () => {
  driver.begin(abi.H2_ROLE_CLIENT);
  driver.preface();
  assertEquals(codec.h2PeerTakesWebSockets(driver.h2), 0);
  driver.receive(f.settings([3, 9]));
  assertEquals(codec.h2PeerTakesWebSockets(driver.h2), 0);
  driver.receive(f.settings([8, 1]));
  assertEquals(codec.h2PeerTakesWebSockets(driver.h2), 1);
});
