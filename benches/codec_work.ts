// What codec_bench.ts measures: messages as browsers and backends send them, and one step of the codec on each. Every step
// returns a number that says whether it did its work, so that a test can run it once.

import * as abi from "../assembly/abi.ts";
import { type Core, instantiateCore } from "../src/wasm/core.ts";

const encoder = new TextEncoder();
const PORT = 8080;
const STATUS = 200;
const BODY_BYTES = 1234;

const SHORT = "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n";

const BROWSER = "GET /articles/2026/11/kakehi?utm_source=feed HTTP/1.1\r\nHost: www.example.com\r\n" +
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n" +
  "Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://www.example.com/articles/\r\n" +
  "Cookie: session=9f86d081884c7d659a2feaa0c55ad015; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\n" +
  "Sec-Fetch-Mode: navigate\r\nConnection: keep-alive\r\n\r\n";

const MANY = "POST /v1/items HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 0\r\n" +
  Array.from({ length: 38 }, (_, index) => `X-Field-${index}: value number ${index}\r\n`).join("") + "\r\n";

const RESPONSE = `HTTP/1.1 ${STATUS} OK\r\nServer: app\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n` +
  "Content-Type: text/html; charset=utf-8\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\n" +
  `ETag: "33a64df551425fcc55e4d42a148795d9f25f89d4"\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`;

const CHUNKED_HEAD = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
const CHUNK_BYTES = 4000;
const CHUNKS = 4;
const CHUNKED = CHUNKED_HEAD + `${CHUNK_BYTES.toString(16)}\r\n${"x".repeat(CHUNK_BYTES)}\r\n`.repeat(CHUNKS) +
  "0\r\n\r\n";

export interface Work {
  group: string;
  name: string;
  run(): number;
  /** What run() returns when it works. */
  expected: number;
}

/** A message lying in a buffer of its own, with a record of its own. */
interface Message {
  record: number;
  buffer: number;
  at: number;
  length: number;
}

/** Puts a message into buffer and record `index`. */
function place(core: Core, index: number, text: string): Message {
  const buffer = core.buffersAt + index * core.bufferStride;
  const at = buffer + core.bytesOffset;
  const bytes = encoder.encode(text);
  core.u8.set(bytes, at);
  const record = core.recordAt(index);
  const address = core.systemAt;
  core.u8.set([2, 0, 0, 0, 192, 0, 2, 1], address);
  core.codec.beginConnection(record, address, 0);
  return { record, buffer, at, length: bytes.length };
}

function makeCore(): Core {
  return instantiateCore({
    records: 16,
    logRecords: 16,
    logRecordBytes: 2048,
    buffers: 16,
    bufferBytes: 16384 + 512,
    headersMax: 100,
    headerBytesMax: 12288,
    targetBytesMax: 8192,
    h2Connections: 0,
    h2Streams: 0,
  });
}

/** All steps, on a codec of their own. */
export function makeWork(): Work[] {
  const core = makeCore();
  const { codec, result: r } = core;
  const idAt = core.textAt + abi.TEXT_REQUEST_IDS;
  const requests = [SHORT, BROWSER, MANY].map((text, index) => place(core, index, text));
  const [short, browser, many] = requests as [Message, Message, Message];
  const response = place(core, 3, RESPONSE);
  const chunked = place(core, 4, CHUNKED);
  const pristineAt = place(core, 5, CHUNKED).at;

  const parseRequest = ({ record, at, buffer, length }: Message) => {
    codec.beginRequest(record, at, buffer);
    return codec.feedRequest(record, length);
  };
  const parseResponse = ({ record, at, buffer, length }: Message) => {
    codec.beginResponse(record, at, buffer);
    return codec.feedResponse(record, length, 0);
  };
  // writing belongs to the message that was parsed last
  let last: Message | null = null;
  const writeRequest = (message: Message) => {
    if (last !== message) parseRequest(last = message);
    return codec.writeRequestHead(message.record, PORT, 0, idAt, 0, 0);
  };
  const writeResponse = () => {
    if (last !== response) parseResponse(last = response);
    return codec.writeResponseHead(response.record, 0, 0, 0);
  };
  // what is written goes in front of a body, so it is put elsewhere here, where no message is
  const exchange = () => {
    const asked = parseRequest(browser);
    codec.placeHead(pristineAt - 16, codec.writeRequestHead(browser.record, PORT, 0, idAt, 0, 0));
    const answered = parseResponse(last = response);
    codec.placeHead(pristineAt - 16, codec.writeResponseHead(response.record, 0, 0, 0));
    return asked + answered;
  };
  const decodeAndFrame = () => {
    const { record, at, buffer } = last = chunked;
    codec.copy(at, pristineAt, chunked.length);
    parseRequest(chunked);
    codec.beginChunks(record);
    const bodyAt = r[abi.R_HEAD_END]!;
    codec.decodeChunks(record, bodyAt, at + chunked.length - bodyAt, buffer);
    const decoded = r[abi.R_DECODED]!;
    codec.frameChunk(bodyAt, decoded, 1, record);
    return decoded;
  };
  const logLine = (format: number) => {
    if (last !== browser) parseRequest(last = browser);
    const { record } = browser;
    const at = core.logRecordsAt;
    const [flags, methodAt, methodLength] = [r[abi.R_FLAGS]!, r[abi.R_METHOD_AT]!, r[abi.R_METHOD_LENGTH]!];
    const [targetAt, targetLength] = [r[abi.R_TARGET_AT]!, r[abi.R_TARGET_LENGTH]!];
    const [hostAt, hostLength] = [r[abi.R_HOST_AT]!, r[abi.R_HOST_LENGTH]!];
    codec.logBegin(
      record,
      at,
      format,
      flags,
      methodAt,
      methodLength,
      targetAt,
      targetLength,
      hostAt,
      hostLength,
    );
    return codec.logEnd(record, at, core.logBatchAt, format, STATUS, BODY_BYTES, 3, 0, 0, 0, 0, 0, 0) > core.logBatchAt
      ? 1
      : 0;
  };

  const parse = (name: string, message: Message): Work => {
    return { group: "parse", name, run: () => parseRequest(last = message), expected: abi.HEAD_DONE };
  };
  const write = (name: string, run: () => number): Work => ({ group: "write", name, run, expected: run() });
  return [
    parse(`request, 3 fields, ${short.length} bytes`, short),
    parse(`request, 10 fields, ${browser.length} bytes`, browser),
    parse(`request, 40 fields, ${many.length} bytes`, many),
    { group: "parse", name: "response, 7 fields", run: () => parseResponse(last = response), expected: abi.HEAD_DONE },
    write("request head, 3 fields", () => writeRequest(short)),
    write("request head, 10 fields", () => writeRequest(browser)),
    write("request head, 40 fields", () => writeRequest(many)),
    write("response head, 7 fields", writeResponse),
    { group: "exchange", name: "request and response, heads read and written", run: exchange, expected: 2 },
    {
      group: "body",
      name: "16 KiB in 4 chunks decoded and framed",
      run: decodeAndFrame,
      expected: CHUNKS * CHUNK_BYTES,
    },
    { group: "log", name: "line, common", run: () => logLine(abi.LOG_COMMON), expected: 1 },
    { group: "log", name: "line, combined", run: () => logLine(abi.LOG_COMBINED), expected: 1 },
    { group: "log", name: "line, JSON", run: () => logLine(abi.LOG_JSON), expected: 1 },
  ];
}
