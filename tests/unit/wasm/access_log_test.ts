// Lines of the access log in their three formats: what stands where, what is escaped, what is cut, and that whatever a
// client sends, a line stays one line and JSON stays JSON.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { fromText, toText } from "../../support/bytes.ts";
import { CodecDriver, LIMITS } from "../../support/codec.ts";
import { createRandom } from "../../support/random.ts";
import { Mutant } from "../../fuzz/mutant.ts";

const driver = new CodecDriver();

interface Ending {
  status?: number;
  bytes?: number;
  durationMs?: number;
  backend?: string;
  refusal?: string;
}

const FORMATS = [abi.LOG_COMMON, abi.LOG_COMBINED, abi.LOG_JSON];

/** The line of a request; of one that could not be read if the codec refuses it. */
function logLine(format: number, request: string | Uint8Array, ending: Ending = {}): string {
  const { core } = driver;
  const { codec, u8, result: r } = core;
  const begin = (methodLength: number) =>
    codec.logBegin(
      driver.record,
      core.logRecordsAt,
      format,
      r[abi.R_FLAGS]!,
      r[abi.R_METHOD_AT]!,
      methodLength,
      r[abi.R_TARGET_AT]!,
      r[abi.R_TARGET_LENGTH]!,
      r[abi.R_HOST_AT]!,
      r[abi.R_HOST_LENGTH]!,
    );
  driver.onHead = () => begin(r[abi.R_METHOD_LENGTH]!);
  driver.request(typeof request === "string" ? fromText(request) : request, []);
  driver.onHead = null;
  if (driver.code !== abi.HEAD_DONE) begin(0);
  const { status = 200, bytes = 5, durationMs = 7, backend = "", refusal = "" } = ending;
  const textsAt = core.textAt + abi.TEXT_ANSWERS + 1024;
  u8.set(fromText(backend + refusal), textsAt);
  const to = core.logBatchAt;
  const end = codec.logEnd(
    driver.record,
    core.logRecordsAt,
    to,
    format,
    status,
    bytes,
    durationMs,
    textsAt,
    backend.length,
    textsAt + backend.length,
    refusal.length,
    0,
    0,
  );
  return toText(u8.slice(to, end));
}

const START = "192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] ";
const GET = 'GET /a?b HTTP/1.1\r\nHost: a.test\r\nReferer: http://r.test/\r\nUser-Agent: curl/8 "x"\r\n\r\n';
const BARE = "GET / HTTP/1.0\r\n\r\n";

Deno.test("log line in the common format", () => {
  assertEquals(logLine(abi.LOG_COMMON, GET), `${START}"GET /a?b HTTP/1.1" 200 5\n`);
  assertEquals(logLine(abi.LOG_COMMON, BARE, { status: 404, bytes: 0 }), `${START}"GET / HTTP/1.0" 404 0\n`);
  assertEquals(logLine(abi.LOG_COMMON, "nonsense\r\n\r\n", { status: 400 }), `${START}"-" 400 5\n`);
  const large = logLine(abi.LOG_COMMON, GET, { bytes: 2 ** 53 - 1, status: 599 });
  assertEquals(large, `${START}"GET /a?b HTTP/1.1" 599 9007199254740991\n`);
});

Deno.test("log line in the combined format", () => {
  const line = `${START}"GET /a?b HTTP/1.1" 200 5 "http://r.test/" "curl/8 \\x22x\\x22"\n`;
  assertEquals(logLine(abi.LOG_COMBINED, GET), line);
  assertEquals(logLine(abi.LOG_COMBINED, BARE), `${START}"GET / HTTP/1.0" 200 5 "-" "-"\n`);
  assertEquals(logLine(abi.LOG_COMBINED, "nonsense\r\n\r\n"), `${START}"-" 200 5 "-" "-"\n`);
});

Deno.test("log line in JSON", () => {
  const expected = {
    time: "01/Jan/2026:00:00:00 +0000",
    client: "192.0.2.1",
    method: "GET",
    target: "/a?b",
    host: "a.test",
    protocol: "HTTP/1.1",
    referer: "http://r.test/",
    user_agent: 'curl/8 "x"',
    status: 200,
    bytes: 5,
    duration_ms: 7,
  };
  assertEquals(JSON.parse(logLine(abi.LOG_JSON, GET)), expected);
  const ended = { status: 502, backend: "10.0.0.1:80", refusal: "backend_closed", durationMs: 4294967295 };
  assertEquals(JSON.parse(logLine(abi.LOG_JSON, GET, ended)), {
    ...expected,
    status: 502,
    duration_ms: 4294967295,
    backend: "10.0.0.1:80",
    refusal: "backend_closed",
  });
  const { method, target } = JSON.parse(logLine(abi.LOG_JSON, "nonsense\r\n\r\n", { refusal: "bad_request" }));
  assertEquals([method, target], [null, undefined]);
});

Deno.test("log line has no byte that could end a string or a line", () => {
  const odd = 'GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: a"b\\c\td\xe4e\r\n\r\n';
  assertEquals(logLine(abi.LOG_COMBINED, odd).slice(-29), ' "-" "a\\x22b\\x5cc\\x09d\\xe4e"\n');
  assertEquals(JSON.parse(logLine(abi.LOG_JSON, odd)).user_agent, 'a"b\\c\td\xe4e');
});

Deno.test("log line is cut where it would grow over its record, each part for itself", () => {
  const long = (target: number, agent: number, char = "x") =>
    `GET /${"y".repeat(target)} HTTP/1.1\r\nHost: a.test\r\nReferer: ${char.repeat(agent)}\r\n` +
    `User-Agent: ${char.repeat(agent)}\r\n\r\n`;
  for (const format of FORMATS) {
    for (const request of [long(8000, 10), long(10, 1800), long(6000, 1900), long(6000, 1900, "\xff")]) {
      const line = logLine(format, request);
      assertEquals(line.length <= LIMITS.logRecordBytes + 512, true, `${line.length} bytes`);
      assertEquals([line.indexOf("\n"), line.includes("y".repeat(10))], [line.length - 1, true]);
      if (format === abi.LOG_JSON) assertEquals(JSON.parse(line).status, 200);
    }
  }
  const line = logLine(abi.LOG_COMBINED, long(8000, 100));
  assertEquals(
    line.endsWith(` "${"x".repeat(100)}" "${"x".repeat(100)}"\n`),
    true,
    "a long target takes no other's room",
  );
  assertEquals(/"GET \/y{1000,1300} HTTP\/1.1" 200/.test(line), true);
});

Deno.test("log line stays inside its record, whatever is logged", () => {
  const { core } = driver;
  const next = core.logRecordsAt + LIMITS.logRecordBytes;
  core.u8.fill(0xc5, next, next + LIMITS.logRecordBytes);
  const field = '\xff"\\'.repeat(3000);
  for (const format of FORMATS) {
    logLine(
      format,
      `OPTIONS /${"%41".repeat(2600)} HTTP/1.1\r\nHost: ${"%41".repeat(80)}\r\nReferer: ${
        field.slice(0, 2000)
      }\r\n\r\n`,
    );
    logLine(
      format,
      `GET / HTTP/1.1\r\nHost: a.test\r\nReferer: ${field.slice(0, 4000)}\r\nUser-Agent: ${
        field.slice(0, 4000)
      }\r\n\r\n`,
    );
  }
  assertEquals(core.u8.subarray(next, next + LIMITS.logRecordBytes).every((byte) => byte === 0xc5), true);
});

Deno.test("log line of any mutant is one line, and one object in JSON", () => {
  const mutant = new Mutant();
  for (let seed = 0; seed < 20_000; seed++) {
    mutant.make("request", createRandom(seed));
    const format = FORMATS[seed % 3]!;
    const line = logLine(format, mutant.view());
    if (!/^[\x20-\x7e]+\n$/.test(line)) throw new Error(`seed ${seed}: ${JSON.stringify(line)}`);
    if (format === abi.LOG_JSON) JSON.parse(line);
    else if (line.split('"').length !== (format === abi.LOG_COMMON ? 3 : 7)) throw new Error(`seed ${seed}: ${line}`);
  }
});
