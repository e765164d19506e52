// Which fields go through, which end here, and how they are spelled afterwards.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { CodecDriver, DATE } from "../../support/codec.ts";
import { runRequest, runResponse, runSplit } from "../../support/codec_events.ts";

const driver = new CodecDriver();

/** The lines of a request's fields as they are sent, without Host and without what the proxy adds. */
function passed(lines: readonly string[]): string[] {
  const text = `GET / HTTP/1.1\r\nHost: a.test\r\n${lines.map((line) => line + "\r\n").join("")}\r\n`;
  const { head, code } = runSplit(text, (cuts) => runRequest(driver, text, cuts));
  if (code !== abi.HEAD_DONE) return [`refused: ${code}`];
  const sent = head.split("\r\n").slice(2);
  return sent.slice(0, sent.indexOf("X-Forwarded-For: 192.0.2.1"));
}

function passedBack(lines: readonly string[], request = 0): string[] {
  const text = `HTTP/1.1 200 OK\r\n${DATE}Content-Length: 0\r\n${lines.map((line) => line + "\r\n").join("")}\r\n`;
  const { head, code } = runSplit(text, (cuts) => runResponse(driver, text, { request }, cuts));
  return code === abi.HEAD_DONE ? head.split("\r\n").slice(3, -2) : [`refused: ${code}`];
}

const HOP_BY_HOP = [
  "Connection: close",
  "Connection:",
  "Keep-Alive: timeout=5",
  "Proxy-Connection: keep-alive",
  "TE: trailers",
  "Upgrade: websocket",
  "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
];

Deno.test("fields of one hop end here (RFC 9110 §7.6.1)", () => {
  for (const line of [...HOP_BY_HOP, ...HOP_BY_HOP.map((line) => line.toUpperCase())]) {
    assertEquals(passed(["A: 1", line, "B: 2"]), ["A: 1", "B: 2"], line);
    assertEquals(passedBack(["A: 1", line, "B: 2"]), ["A: 1", "B: 2"], line);
  }
});

Deno.test("fields that Connection names end here", () => {
  assertEquals(passed(["X-A: 1", "Connection: x-a", "x-a: 2", "X-AB: 3"]), ["X-AB: 3"]);
  assertEquals(passed(["Connection: ,, X-A ,close,\tX-B", "X-A: 1", "X-B: 2", "X-C: 3"]), ["X-C: 3"]);
  assertEquals(passed(["Connection: x-a", "Connection: x-b", "X-A: 1", "X-B: 2"]), []);
  assertEquals(passed(["Connection: x", "X-A: 1"]), ["X-A: 1"]);
  assertEquals(passedBack(["Connection: X-A", "X-A: 1", "X-B: 2"]), ["X-B: 2"]);
});

Deno.test("fields that frame, route or tell of the client cannot be named away", () => {
  const names = ["Via", "User-Agent", "Referer", "Expect"];
  const lines = names.map((name) => `${name}: 1`);
  assertEquals(passed([`Connection: ${names.join(", ")}, host, x-forwarded-for`, ...lines]), lines);
  assertEquals(passed(["Connection: content-length", "Content-Length: 5"]), ["Content-Length: 5"]);
});

Deno.test("more than 32 connection options are refused", () => {
  const options = (count: number) => `Connection: ${new Array(count).fill("a").join(",")}`;
  assertEquals(passed([options(32), "X-A: 1"]), ["X-A: 1"]);
  assertEquals(passed([options(33)]), [`refused: ${abi.BAD_REQUEST}`]);
  assertEquals(passedBack([options(33)]), [`refused: ${abi.BAD_RESPONSE}`]);
});

const KNOWN = [
  "Content-Length",
  "Transfer-Encoding",
  "Keep-Alive",
  "Proxy-Connection",
  "X-Forwarded-For",
  "X-Forwarded-Proto",
  "X-Forwarded-Host",
  "X-Forwarded-Port",
  "X-Forwarded-Ssl",
  "X-Real-IP",
  "X-Request-Id",
  "User-Agent",
  "HTTP2-Settings",
];

Deno.test("known names spelled with an underscore end here", () => {
  for (const name of KNOWN) {
    const spelled = name.replaceAll("-", "_");
    for (const odd of [spelled, spelled.toLowerCase(), spelled.toUpperCase(), name.replace("-", "_")]) {
      assertEquals(passed([`${odd}: 1`, "A: 1"]), ["A: 1"], odd);
    }
  }
  assertEquals(passed(["X_A: 1", "my_host: 2", "_: 3"]), ["X_A: 1", "my_host: 2", "_: 3"]);
});

Deno.test("names that are almost known are carried like any other", () => {
  const lines = [
    "Hos: 1",
    "Hostt: 1",
    "Connectio: 1",
    "Contentlength: 1",
    "Content-Lengths: 1",
    "T: 1",
    "Tee: 1",
    "Vix: 1",
  ];
  lines.push(
    "Xx-Forwarded-For: 1",
    "Forwardee: 1",
    "Datf: 1",
    "X-Forwarded: 1",
    "Trailers: 1",
    "Upgrade-Insecure-Requests: 1",
  );
  assertEquals(passed(lines), lines);
});

Deno.test("other fields keep order, spelling and bytes; blanks around values do not", () => {
  const lines = [
    "b: 1",
    "A: 2",
    "b: 3",
    "X-Obs: \xe4\xff",
    "X-Inner: a  b\tc",
    'X-Q: "a;b"',
    "!#$%&'*+-.^_`|~0aZ: ok",
    "X-None: ",
  ];
  assertEquals(passed(lines), lines);
  assertEquals(passed(["A:1", "B:\t2\t ", "C:   3   ", "D:", "E: \t "]), ["A: 1", "B: 2", "C: 3", "D: ", "E: "]);
});

/** Field lines that make a message malformed. */
const BAD_LINES = [
  "X-A : 1",
  "X-A\t: 1",
  " X-A: 1",
  "\tX-A: 1",
  "X-A",
  ": 1",
  "X A: 1",
  "X(A): 1",
  "X-A\0: 1",
  "X-\xe4: 1",
  "X-A: 1\r\n folded",
  "X-A: 1\r\n\tfolded",
  "X-A:\r\n 1",
  "X-A: 1\nX-B: 2",
  "X-A: 1\rX-B: 2",
  "X-A: 1\r",
  "X-A: 1\r\rX-B: 2",
  "X-A: 1\n\rX-B: 2",
  "X-A:\r\rX-B: 2",
  "X-A:\nX-B: 2",
  "X-A:\rX-B: 2",
  "X-A: \0",
  "X-A: a\x01b",
  "X-A: a\x0bb",
  "X-A: a\x1fb",
  "X-A: a\x7fb",
];

Deno.test("malformed lines are refused in both directions (RFC 9112 §5)", () => {
  for (const line of BAD_LINES) {
    assertEquals(passed([line]), [`refused: ${abi.BAD_REQUEST}`], line);
    assertEquals(passed(["A: 1", line, "B: 2"]), [`refused: ${abi.BAD_REQUEST}`], line);
    assertEquals(passedBack(["A: 1", line, "B: 2"]), [`refused: ${abi.BAD_RESPONSE}`], line);
  }
});

Deno.test("Upgrade passes only where the switch is asked for", () => {
  assertEquals(passed(["Upgrade: websocket", "Connection: upgrade", "A: 1"]), [
    "Upgrade: websocket",
    "A: 1",
    "Connection: Upgrade",
  ]);
  assertEquals(passed(["Upgrade: h2c, websocket", "Connection: upgrade, http2-settings"]), []);
  const text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81";
  const { head, leftover } = runResponse(driver, text, { request: abi.F_UPGRADE });
  assertEquals(head, `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n${DATE}Connection: Upgrade\r\n\r\n`);
  assertEquals(leftover, "\x81");
});

Deno.test("Content-Length ends where no content can be (RFC 9110 §8.6)", () => {
  const head = (line: string, request = 0) =>
    runResponse(driver, `HTTP/1.1 ${line}\r\n${DATE}Content-Length: 5\r\nA: 1\r\n\r\n`, { request }).head;
  for (const line of ["204 No Content", "103 Early Hints"]) {
    assertEquals(head(line), `HTTP/1.1 ${line}\r\n${DATE}A: 1\r\n\r\n`);
  }
  assertEquals(head("200 OK", abi.F_CONNECT), `HTTP/1.1 200 OK\r\n${DATE}A: 1\r\n\r\n`);
  assertEquals(head("200 OK", abi.F_HEAD), `HTTP/1.1 200 OK\r\n${DATE}Content-Length: 5\r\nA: 1\r\n\r\n`);
});

Deno.test("Connection of a response is the proxy's own", () => {
  const text = `HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n${DATE}Content-Length: 0\r\n\r\n`;
  const last = (how: number) => runResponse(driver, text, { how }).head.split("\r\n").at(-3);
  assertEquals(last(abi.W_CLOSE), "Connection: close");
  assertEquals(last(abi.W_KEEP_ALIVE), "Connection: keep-alive");
  assertEquals(last(0), "Content-Length: 0");
});

Deno.test("hasField() finds names in any case and values as they are", () => {
  const text = "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\nx-a:\t2 \r\nX-Empty:\r\n\r\n";
  const found: boolean[] = [];
  const { codec, u8, textAt } = driver.core;
  const has = (name: string, value: string | null) => {
    const at = textAt + abi.TEXT_ANSWERS + 1024;
    u8.set(new TextEncoder().encode(name + (value ?? "")), at);
    return codec.hasField(driver.record, at, name.length, at + name.length, value === null ? -1 : value.length) !== 0;
  };
  driver.onBlock = () => {
    found.push(has("x-a", null), has("x-a", "1"), has("x-a", "2"), has("x-empty", ""), has("x-empty", null));
    found.push(has("x-a", "3"), has("x-a", ""), has("x-", null), has("x-ab", null), has("x-a", "12"));
  };
  runRequest(driver, text);
  driver.onBlock = null;
  assertEquals(found, [true, true, true, true, true, false, false, false, false, false]);
});
