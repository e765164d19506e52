// Addresses of backends as the kernel takes them, byte by byte.

import { parseEndpoint } from "../../../src/ts/net/endpoint.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

function hex(text: string): string {
  const { bytes } = parseEndpoint(text);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

Deno.test("parseEndpoint() makes a sockaddr_in of an IPv4 address", () => {
  assertEquals(hex("10.0.0.1:8080"), "02001f900a0000010000000000000000");
  assertEquals(hex("255.255.255.255:65535"), "0200ffffffffffff0000000000000000");
  assertEquals(parseEndpoint("10.0.0.1:8080").family, 2);
  assertEquals(parseEndpoint("10.0.0.1:8080").text, "10.0.0.1:8080");
});

/** family, port, flow, address, scope */
function ipv6(port: string, address: string): string {
  return `0a00${port}00000000${address}00000000`;
}

Deno.test("parseEndpoint() makes a sockaddr_in6 of an IPv6 address, however it is spelled", () => {
  assertEquals(hex("[::]:80"), ipv6("0050", "0".repeat(32)));
  assertEquals(hex("[::1]:80"), ipv6("0050", "0".repeat(31) + "1"));
  assertEquals(hex("[1::]:80"), ipv6("0050", "0001" + "0".repeat(28)));
  assertEquals(hex("[2001:db8::a:1]:443"), ipv6("01bb", "20010db8000000000000000000" + "0a0001"));
  assertEquals(hex("[2001:0DB8:0:0:0:0:A:1]:443"), hex("[2001:db8::a:1]:443"));
  assertEquals(hex("[1:2:3:4:5:6:7:8]:1"), ipv6("0001", "00010002000300040005000600070008"));
  assertEquals(hex("[::ffff:192.0.2.1]:80"), ipv6("0050", "00000000000000000000ffffc0000201"));
  assertEquals(hex("[1::2:3:4:5:6:7]:80"), ipv6("0050", "00010000000200030004000500060007"));
  assertEquals(parseEndpoint("[::1]:80").family, 10);
});

Deno.test("parseEndpoint() makes a sockaddr_un of a path", () => {
  assertEquals(hex("unix:/a"), "01002f6100");
  assertEquals(parseEndpoint("unix:/run/ä").bytes.length, 2 + 7 + 1);
  assertEquals(parseEndpoint(`unix:/${"a".repeat(106)}`).bytes.length, 2 + 107 + 1);
  assertThrows(() => parseEndpoint(`unix:/${"a".repeat(107)}`), /at most 107 bytes/);
});

Deno.test("parseEndpoint() names what it cannot take", () => {
  for (const text of ["", "a.test:80", "10.0.0.1", "10.0.0.1:", "::1:80", "[::1]", "[::1]:x", ":80", "10.0.0.1:80x"]) {
    assertThrows(() => parseEndpoint(text), /expected ip:port, \[ipv6\]:port or unix:\/path/);
  }
});
