// What the backend is told of the client: from whom a word is believed, what stands there otherwise, and how addresses are
// spelled.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { CodecDriver, PORT, REQUEST_ID } from "../../support/codec.ts";
import { runRequest, runSplit } from "../../support/codec_events.ts";
import { createRandom } from "../../support/random.ts";

const driver = new CodecDriver();

function ipv4(...octets: number[]): Uint8Array {
  return Uint8Array.of(2, 0, 0x1f, 0x90, ...octets);
}

function ipv6(groups: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(28);
  bytes[0] = 10;
  groups.forEach((group, index) => bytes.set([group >> 8, group & 255], 8 + 2 * index));
  return bytes;
}

const PEER = ipv4(192, 0, 2, 1);

/** The lines from the client's own fields on, without Host. */
function sent(lines: readonly string[], version = "1.1", host = "a.test"): string[] {
  const hosts = host === "" ? "" : `Host: ${host}\r\n`;
  const text = `GET / HTTP/${version}\r\n${hosts}${lines.map((line) => line + "\r\n").join("")}\r\n`;
  return runSplit(text, (cuts) => runRequest(driver, text, cuts)).head.split("\r\n").slice(2, -2);
}

const OWN = [
  "X-Forwarded-For: 192.0.2.1",
  "X-Forwarded-Proto: http",
  "X-Forwarded-Host: a.test",
  `X-Forwarded-Port: ${PORT}`,
  `X-Request-Id: ${REQUEST_ID}`,
  "Via: 1.1 kakehi",
];

const CLAIMS = [
  "X-Forwarded-For: 198.51.100.7",
  "X-Forwarded-Proto: https",
  "X-Forwarded-Host: b.test",
  "X-Forwarded-Port: 443",
  "X-Request-Id: abc-123",
  "X-Real-IP: 198.51.100.7",
  "Forwarded: for=198.51.100.7",
  "X-Forwarded-Prefix: /b",
];

Deno.test("a stranger is told of as he is seen", () => {
  driver.setPeer(PEER, false);
  assertEquals(sent([]), OWN);
  assertEquals(sent(CLAIMS), OWN);
  assertEquals(sent(CLAIMS.map((line) => line.toLowerCase())), OWN);
  assertEquals(sent([...CLAIMS, "A: 1", ...CLAIMS]), ["A: 1", ...OWN]);
});

Deno.test("a trusted proxy is believed", () => {
  driver.setPeer(PEER, true);
  assertEquals(sent([]), OWN);
  assertEquals(sent(CLAIMS), [
    "X-Real-IP: 198.51.100.7",
    "Forwarded: for=198.51.100.7",
    "X-Forwarded-Prefix: /b",
    "X-Forwarded-For: 198.51.100.7, 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: b.test",
    "X-Forwarded-Port: 443",
    "X-Request-Id: abc-123",
    "Via: 1.1 kakehi",
  ]);
});

Deno.test("a trusted proxy may list addresses in several fields, and leave fields empty", () => {
  driver.setPeer(PEER, true);
  const lines = ["X-Forwarded-For: 198.51.100.7, 203.0.113.9", "X-Forwarded-For:", "x-forwarded-for:\t2001:db8::1 "];
  assertEquals(sent(lines)[0], "X-Forwarded-For: 198.51.100.7, 203.0.113.9, 2001:db8::1, 192.0.2.1");
  assertEquals(sent(["X-Forwarded-Proto:", "X-Forwarded-Host: ", "X-Forwarded-Port:", "X-Request-Id:"]), OWN);
  assertEquals(sent(["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"])[1], "X-Forwarded-Proto: https");
});

Deno.test("a request identifier is kept only if it is safe in logs", () => {
  driver.setPeer(PEER, true);
  const id = (value: string) => sent([`X-Request-Id: ${value}`])[4]!.slice("X-Request-Id: ".length);
  const safe = ["a", "abc-123_.:+/=@", "x".repeat(128)];
  const unsafe = ["x".repeat(129), "a b", "a,b", '"a"', "a\\b", "<a>", "\xe4", "a\tb"];
  assertEquals(safe.map(id), safe);
  assertEquals(unsafe.map(id), unsafe.map(() => REQUEST_ID));
});

Deno.test("Via names the version that was received, behind those of others (RFC 9110 §7.6.3)", () => {
  driver.setPeer(PEER, false);
  assertEquals(sent(["Via: 1.0 other"])[0], "Via: 1.0 other");
  assertEquals(sent([], "1.0").at(-1), "Via: 1.0 kakehi");
  assertEquals(sent(["Via: 1.0 other"]).at(-1), "Via: 1.1 kakehi");
});

Deno.test("X-Forwarded-Host is the host that the request is for", () => {
  driver.setPeer(PEER, false);
  assertEquals(sent([], "1.1", "A.Test:8443")[2], "X-Forwarded-Host: A.Test:8443");
  assertEquals(sent([], "1.0", "")[2], "X-Forwarded-Host: ");
  const { head } = runRequest(driver, "GET http://b.test/ HTTP/1.0\r\n\r\n");
  assertEquals(head.includes("\r\nX-Forwarded-Host: b.test\r\n"), true);
});

Deno.test("Expect is not passed on for HTTP/1.0", () => {
  driver.setPeer(PEER, false);
  assertEquals(sent(["Expect: 100-continue"]).slice(0, 1), ["Expect: 100-continue"]);
  assertEquals(sent(["Expect: 100-continue"], "1.0"), [...OWN.slice(0, 5), "Via: 1.0 kakehi"]);
});

// ---- addresses ----

function textOf(address: Uint8Array): string {
  driver.setPeer(address, false);
  return sent([])[0]!.slice("X-Forwarded-For: ".length);
}

const ADDRESSES: [address: Uint8Array, text: string][] = [
  [ipv4(0, 0, 0, 0), "0.0.0.0"],
  [ipv4(1, 20, 30, 4), "1.20.30.4"],
  [ipv4(255, 255, 255, 255), "255.255.255.255"],
  [ipv6([0, 0, 0, 0, 0, 0, 0, 0]), "::"],
  [ipv6([0, 0, 0, 0, 0, 0, 0, 1]), "::1"],
  [ipv6([1, 0, 0, 0, 0, 0, 0, 0]), "1::"],
  [ipv6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]), "2001:db8::1"],
  [ipv6([0x2001, 0xdb8, 0, 0, 1, 0, 0, 1]), "2001:db8::1:0:0:1"],
  [ipv6([0x2001, 0xdb8, 0, 1, 1, 1, 1, 1]), "2001:db8:0:1:1:1:1:1"],
  [ipv6([0x2001, 0, 0, 1, 0, 0, 0, 1]), "2001:0:0:1::1"],
  [ipv6([0, 0, 1, 0, 0, 1, 0, 0]), "::1:0:0:1:0:0"],
  [ipv6([0, 1, 0, 1, 0, 1, 0, 1]), "0:1:0:1:0:1:0:1"],
  [ipv6([1, 2, 3, 4, 5, 6, 0, 0]), "1:2:3:4:5:6::"],
  [ipv6([0, 0, 3, 4, 5, 6, 7, 8]), "::3:4:5:6:7:8"],
  [ipv6([0xfe80, 0, 0, 0, 0xabcd, 0xef, 0xa0b, 0xc]), "fe80::abcd:ef:a0b:c"],
  [ipv6(new Array(8).fill(0xffff)), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  [ipv6([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x201]), "192.0.2.1"],
  [ipv6([0, 0, 0, 0, 0xffff, 0, 0xc000, 0x201]), "::ffff:0:c000:201"],
  [ipv6([0, 0, 0, 0, 0, 0, 0xc000, 0x201]), "::c000:201"],
  [Uint8Array.of(1, 0), "unix"],
];

Deno.test("addresses are written as RFC 5952 has them", () => {
  assertEquals(ADDRESSES.map(([address]) => textOf(address)), ADDRESSES.map(([, text]) => text));
});

Deno.test("addresses are written as the URL parser writes them", () => {
  const random = createRandom(5952);
  for (let i = 0; i < 2000; i++) {
    const groups = Array.from({ length: 8 }, () => random.below(3) === 0 ? random.below(0x1_0000) : 0);
    const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
    if (isMapped) continue;
    const spelled = new URL(`http://[${groups.map((group) => group.toString(16)).join(":")}]/`).hostname.slice(1, -1);
    assertEquals(textOf(ipv6(groups)), spelled);
  }
});

// ---- room ----

Deno.test("the longest head that the proxy may write fits into its room", () => {
  const wide = new CodecDriver({ bufferBytes: 65536, headersMax: 1000, headerBytesMax: 49152, targetBytesMax: 8192 });
  wide.setPeer(ipv6(new Array(8).fill(0xffff)), false);
  const host = "x".repeat(255) + ":65535";
  const chunked = "Transfer-Encoding:chunked\r\n";
  const text = `GET / HTTP/1.1\r\nHost:${host}\r\n${chunked}${"a:\r\n".repeat(998)}\r\n1\r\nx\r\n0\r\n\r\nGET`;
  const { head, done } = runRequest(wide, text);
  const room = wide.buffer + wide.core.bytesOffset - wide.lowestAt;
  assertEquals([done, head.split("\r\n").length], [true, 998 + 11]);
  assertEquals(room > 1000 && room <= abi.HEADROOM, true, `the head needs ${room} bytes more than it came with`);
});
