// What a request line and a Host field may be, and what of them reaches the router and the backend.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { CodecDriver } from "../../support/codec.ts";
import { type Events, runRequest, runSplit } from "../../support/codec_events.ts";
import { createRandom } from "../../support/random.ts";

const { BAD_REQUEST, HEAD_MORE, METHOD_UNKNOWN, URI_TOO_LONG, HEADER_TOO_LARGE, VERSION_NOT_SUPPORTED } = abi;
const driver = new CodecDriver();

function read(text: string): Events {
  return runSplit(text, (cuts) => runRequest(driver, text, cuts));
}

/** The first bytes of a request up to its Host line, and the refusal; 1: accepted. */
const LINES: [line: string, expected: number][] = [
  ["GET / HTTP/1.1", 1],
  ["GET / HTTP/1.0", 1],
  ["\r\nGET / HTTP/1.1", 1],
  ["M-SEARCH / HTTP/1.1", 1],
  ["\r\n\r\nGET / HTTP/1.1", BAD_REQUEST],
  ["\nGET / HTTP/1.1", BAD_REQUEST],
  [" GET / HTTP/1.1", BAD_REQUEST],
  ["GET  / HTTP/1.1", BAD_REQUEST],
  ["GET /  HTTP/1.1", BAD_REQUEST],
  ["GET\t/ HTTP/1.1", BAD_REQUEST],
  ["GET / HTTP/1.1 ", BAD_REQUEST],
  ["GET / HTTP/1.1\r", BAD_REQUEST],
  ["GET / HTTP/1.1\r\rX-A: b", BAD_REQUEST],
  ["GET / HTTP/1.1\nX-A: b", BAD_REQUEST],
  ["\r\rGET / HTTP/1.1", BAD_REQUEST],
  ["\n\rGET / HTTP/1.1", BAD_REQUEST],
  ["GET /\0 HTTP/1.1", BAD_REQUEST],
  ["G\0T / HTTP/1.1", BAD_REQUEST],
  ["GE(T / HTTP/1.1", BAD_REQUEST],
  ["/ HTTP/1.1", BAD_REQUEST],
  ["get / HTTP/1.1", METHOD_UNKNOWN],
  ["GETT / HTTP/1.1", METHOD_UNKNOWN],
  ["BREW / HTTP/1.1", METHOD_UNKNOWN],
  ["GET /", VERSION_NOT_SUPPORTED],
  ["GET / HTTP/0.9", VERSION_NOT_SUPPORTED],
  ["GET / HTTP/1.2", VERSION_NOT_SUPPORTED],
  ["GET / HTTP/2.0", VERSION_NOT_SUPPORTED],
  ["GET / HTTP/1.10", BAD_REQUEST],
];

Deno.test("request line is METHOD SP TARGET SP VERSION CRLF (RFC 9112 §3)", () => {
  const got = LINES.map(([line]) => [line, read(`${line}\r\nHost: a.test\r\n\r\n`).code] as [string, number]);
  assertEquals(got, LINES);
});

/** Method, target, Host; then the target as sent, the path and the host for the router. */
const TARGETS: [method: string, target: string, host: string, sent: string, path: string, routed: string][] = [
  ["GET", "/", "a.test", "/", "/", "a.test"],
  ["GET", "/a/b;c=d?e=f&g=/?h", "a.test", "/a/b;c=d?e=f&g=/?h", "/a/b;c=d", "a.test"],
  ["GET", "//a//b", "a.test", "//a//b", "//a//b", "a.test"],
  ["GET", "/?", "a.test", "/?", "/", "a.test"],
  ["GET", "/%41%7e%c3%A4", "a.test", "/%41%7e%c3%A4", "/%41%7e%c3%A4", "a.test"],
  ["GET", "/-._~!$&'()*+,;=:@[]", "a.test", "/-._~!$&'()*+,;=:@[]", "/-._~!$&'()*+,;=:@[]", "a.test"],
  ["OPTIONS", "*", "a.test", "*", "*", "a.test"],
  ["GET", "http://a.test/x?y", "a.test", "/x?y", "/x", "a.test"],
  ["GET", "HTTP://A.Test/x", "a.test", "/x", "/x", "A.Test"],
  ["GET", "http://a.test", "a.test", "/", "/", "a.test"],
  ["GET", "http://a.test?y", "a.test", "/?y", "/", "a.test"],
  ["OPTIONS", "http://a.test", "a.test", "*", "/", "a.test"],
  ["OPTIONS", "http://a.test?y", "a.test", "/?y", "/", "a.test"],
  ["GET", "http://a.test:80/x", "a.test", "/x", "/x", "a.test:80"],
  ["GET", "http://a.test/x", "a.test:80", "/x", "/x", "a.test"],
  ["GET", "https://a.test:443/x", "a.test", "/x", "/x", "a.test:443"],
  ["GET", "http://[::1]:8080/x", "[::1]:8080", "/x", "/x", "[::1]:8080"],
  ["CONNECT", "a.test:443", "a.test:443", "a.test:443", "/", "a.test:443"],
];

Deno.test("request target is written in the form that the backend takes (RFC 9112 §3.2)", () => {
  for (const [method, target, host, sent, path, routed] of TARGETS) {
    const events = read(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const line = events.head.split("\r\n")[0];
    assertEquals([line, events.path, events.host], [`${method} ${sent} HTTP/1.1`, path, routed], target);
    assertEquals(events.head.split("\r\n")[1], `Host: ${routed}`);
  }
});

const BAD_TARGETS: [method: string, target: string][] = [
  ...['"', "<", ">", "\\", "^", "`", "{", "|", "}", "\x7f", "\x80", "\xff", "#", "#a", "%", "%4", "%4g", "%g4", "%%41"]
    .map((char): [string, string] => ["GET", `/a${char}`]),
  ["GET", "*"],
  ["OPTIONS", "*a"],
  ["OPTIONS", "**"],
  ["GET", "a.test"],
  ["GET", "a.test:80"],
  ["GET", "?a"],
  ["GET", "http:/a.test/"],
  ["GET", "http:///x"],
  ["GET", "http://b.test/"],
  ["GET", "http://a.test:81/"],
  ["GET", "https://a.test:80/"],
  ["GET", "http://a.test:443/"],
  ["GET", "http://u@a.test/"],
  ["GET", "http://u:p@a.test/"],
  ["GET", "http://a.test:/"],
  ["GET", "http://a.test#x"],
  ["GET", "ftp://a.test/"],
  ["GET", "urn:a.test"],
  ["CONNECT", "/"],
  ["CONNECT", "a.test"],
  ["CONNECT", "a.test:"],
  ["CONNECT", "a.test:0"],
  ["CONNECT", "b.test:443"],
  ["CONNECT", "http://a.test:443"],
];

Deno.test("request target with anything else is refused", () => {
  const accepted = BAD_TARGETS.filter(([method, target]) =>
    read(`${method} ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`).code !== BAD_REQUEST
  );
  assertEquals(accepted, []);
});

const HOSTS = [
  "a",
  "a.test",
  "A.TEST",
  "a.test.",
  "a_b.test",
  "a-b.test:1",
  "a.test:65535",
  "a.test:080",
  "127.0.0.1",
  "127.0.0.1:8080",
  "[::1]",
  "[2001:db8::a:1]:443",
  "[::ffff:192.0.2.1]",
  "[::]",
  "[1::]",
  "[1:2:3:4:5:6:7:8]",
  "[1:2:3:4:5:6:7::]",
  "[::2:3:4:5:6:7:8]",
  "[1:2:3:4:5:6:192.0.2.1]",
  "[ABCD:ef01::]:1",
  "xn--hosting-9ya.test",
  "%61.test",
  "a!$&'()*+,;=.test",
  "x".repeat(253),
  "x".repeat(253) + ":65535",
];

const BAD_HOSTS = [
  "",
  " ",
  "a b",
  "a/b",
  "a\\b",
  "a?b",
  "a#b",
  "a@b",
  "u:p@b",
  "http://a.test",
  "a.test:",
  "a.test:x",
  "a.test:+1",
  "a.test:-1",
  "a.test:0",
  "a.test:65536",
  "a.test:99999",
  "a.test:000080",
  "a.test:80:80",
  ":80",
  "::1",
  "[",
  "[]",
  "[:]",
  "[1]",
  "[12]",
  "[:::]",
  "[1:2]",
  "[1::2::3]",
  "[12345::]",
  "[1:2:3:4:5:6:7]",
  "[1:2:3:4:5:6:7:8:9]",
  "[1:2:3:4:5:6:7:8::]",
  "[1:2:3:4:5:6:7:]",
  "[:1:2:3:4:5:6:7]",
  "[192.0.2.1]",
  "[::192.0.2]",
  "[::192.0.2.256]",
  "[::192.0.2.01]",
  "[::192.0.2.1.1]",
  "[::192.0.2.1:1]",
  "[::192..2.1]",
  "[::1.]",
  "[::1",
  "::1]",
  "[::1]x",
  "[::1]:",
  "[::g]",
  "[a.test]",
  "[v1.a]",
  "[fe80::1%25eth0]",
  "%",
  "%4",
  "%zz",
  '"a"',
  "<a>",
  "a{b}",
  "a|b",
  "a^b",
  "a`b",
  "\xe4.test",
  "a\x7fb",
  "a.test, b.test:1 ",
  "x".repeat(262),
];

Deno.test("Host is a name or an address, perhaps with a port (RFC 3986 §3.2.2)", () => {
  const code = (host: string) => read(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).code;
  assertEquals(HOSTS.filter((host) => code(host) !== 1), []);
  assertEquals(BAD_HOSTS.filter((host) => code(host) !== BAD_REQUEST), []);
});

Deno.test("Host takes the IPv6 addresses that the URL parser takes", () => {
  const random = createRandom(3986);
  const parts = [":", "::", "1", "ab:", "0", "ffff:", "12345", "192.0.2.1", ".", "1:2:3:4:5:6:", ":7", "255.", "01"];
  let valid = 0;
  for (let i = 0; i < 5000; i++) {
    const text = Array.from({ length: random.between(1, 6) }, () => parts[random.below(parts.length)]).join("");
    valid += URL.canParse(`http://[${text}]/`) ? 1 : 0;
    const { code } = runRequest(driver, `GET / HTTP/1.1\r\nHost: [${text}]\r\n\r\n`);
    assertEquals(code === 1, URL.canParse(`http://[${text}]/`), text);
  }
  assertEquals(valid > 200, true, `only ${valid} of the addresses were valid`);
});

Deno.test("Host is there once, but for HTTP/1.0 (RFC 9112 §3.2)", () => {
  const host = "Host: a.test\r\n";
  assertEquals(read("GET / HTTP/1.1\r\n\r\n").code, BAD_REQUEST);
  assertEquals(read(`GET / HTTP/1.1\r\n${host}${host}\r\n`).code, BAD_REQUEST);
  assertEquals(read(`GET / HTTP/1.1\r\n${host}X-A: b\r\nhost:a.test\r\n\r\n`).code, BAD_REQUEST);
  assertEquals(read(`GET / HTTP/1.0\r\n${host}${host}\r\n`).code, BAD_REQUEST);
  assertEquals(read("GET / HTTP/1.0\r\n\r\n").head.split("\r\n")[1], "Host: ");
  assertEquals(read("GET http://b.test/ HTTP/1.0\r\n\r\n").head.split("\r\n")[1], "Host: b.test");
});

// ---- limits ----

const small = new CodecDriver({ bufferBytes: 4096, headersMax: 16, headerBytesMax: 1024, targetBytesMax: 64 });

/** A head of exactly so many bytes. */
function headOf(bytes: number): string {
  const rest = "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: \r\n\r\n";
  return rest.replace("X-A: ", `X-A: ${"x".repeat(bytes - rest.length)}`);
}

Deno.test("a head as large as the limits allow is accepted, one byte more is not", () => {
  const code = (text: string) => runSplit(text, (cuts) => runRequest(small, text, cuts)).code;
  assertEquals([code(headOf(1024)), code(headOf(1025))], [1, HEADER_TOO_LARGE]);
  const target = (length: number) => code(`GET /${"x".repeat(length - 1)} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
  assertEquals([target(64), target(65)], [1, URI_TOO_LONG]);
  const fields = (count: number) => code(`GET / HTTP/1.1\r\nHost: a.test\r\n${"a:b\r\n".repeat(count - 1)}\r\n`);
  assertEquals([fields(16), fields(17)], [1, HEADER_TOO_LARGE]);
  assertEquals(code(`GET / HTTP/1.1\r\nX-A: ${"x".repeat(1024)}`), HEADER_TOO_LARGE);
  assertEquals(code(`GET /${"x".repeat(63)}`), HEAD_MORE);
});

Deno.test("a method is waited for no longer than 64 bytes", () => {
  const code = (text: string) => runSplit(text, (cuts) => runRequest(driver, text, cuts)).code;
  assertEquals(code("X".repeat(63)), HEAD_MORE);
  assertEquals(code("X".repeat(64)), METHOD_UNKNOWN);
  assertEquals(code("X".repeat(20) + "\r"), BAD_REQUEST);
});

Deno.test("the preface of HTTP/2 is a version that is not spoken here", () => {
  assertEquals(runRequest(driver, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").code, VERSION_NOT_SUPPORTED);
});

// ---- flags ----

const FLAGS: [method: string, version: string, fields: string, expected: number][] = [
  ["GET", "1.1", "", abi.F_KEEP_ALIVE | abi.F_IDEMPOTENT],
  ["GET", "1.1", "Connection: close", abi.F_IDEMPOTENT],
  ["GET", "1.1", "Connection: Keep-Alive, CLOSE", abi.F_IDEMPOTENT],
  ["POST", "1.1", "", abi.F_KEEP_ALIVE],
  ["PATCH", "1.1", "", abi.F_KEEP_ALIVE],
  ["HEAD", "1.1", "", abi.F_KEEP_ALIVE | abi.F_IDEMPOTENT | abi.F_HEAD],
  ["PUT", "1.1", "Content-Length: 0", abi.F_KEEP_ALIVE | abi.F_IDEMPOTENT | abi.F_CONTENT_LENGTH],
  ["DELETE", "1.1", "", abi.F_KEEP_ALIVE | abi.F_IDEMPOTENT],
  ["TRACE", "1.1", "", abi.F_KEEP_ALIVE | abi.F_IDEMPOTENT],
  ["OPTIONS", "1.1", "", abi.F_KEEP_ALIVE | abi.F_IDEMPOTENT | abi.F_OPTIONS],
  ["GET", "1.0", "", abi.F_HTTP_1_0 | abi.F_IDEMPOTENT],
  [
    "GET",
    "1.0",
    "Connection: keep-alive",
    abi.F_HTTP_1_0 | abi.F_IDEMPOTENT | abi.F_KEEP_ALIVE | abi.F_KEEP_ALIVE_1_0,
  ],
  ["GET", "1.0", "Connection: keep-alive, close", abi.F_HTTP_1_0 | abi.F_IDEMPOTENT],
  ["POST", "1.1", "Expect: 100-Continue|Content-Length: 5", 1 | abi.F_EXPECT_CONTINUE | abi.F_CONTENT_LENGTH],
  ["POST", "1.1", "Expect: 100-continue|Transfer-Encoding: chunked", 1 | abi.F_EXPECT_CONTINUE],
  ["POST", "1.1", "Expect: 100-continue", 1],
  ["POST", "1.1", "Expect: something|Content-Length: 5", 1 | abi.F_CONTENT_LENGTH],
  ["POST", "1.0", "Expect: 100-continue|Content-Length: 5", abi.F_HTTP_1_0 | abi.F_CONTENT_LENGTH],
  ["GET", "1.1", "Connection: upgrade|Upgrade: websocket", 1 | abi.F_IDEMPOTENT | abi.F_UPGRADE],
  ["GET", "1.1", "Connection: upgrade", 1 | abi.F_IDEMPOTENT],
  ["GET", "1.1", "Upgrade: websocket", 1 | abi.F_IDEMPOTENT],
  ["GET", "1.1", "Connection: upgrade|Upgrade: h2c", 1 | abi.F_IDEMPOTENT],
  ["GET", "1.0", "Connection: upgrade|Upgrade: websocket", abi.F_HTTP_1_0 | abi.F_IDEMPOTENT],
  ["POST", "1.1", "Connection: upgrade|Upgrade: websocket|Content-Length: 5", 1 | abi.F_CONTENT_LENGTH],
];

Deno.test("a request's flags say what the session has to know", () => {
  const got = FLAGS.map(([method, version, fields]) => {
    const lines = fields.split("|").filter((line) => line).map((line) => line + "\r\n").join("");
    const { flags } = read(`${method} / HTTP/${version}\r\nHost: a.test\r\n${lines}\r\n`);
    return [method, version, fields, flags] as [string, string, string, number];
  });
  assertEquals(got, FLAGS);
});
