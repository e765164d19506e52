// Addresses, networks and the IP addresses in them. What the canonical text should be is written out; that it is read
// back as the same thing is checked for all of them.

import {
  formatAddress,
  formatIp,
  formatNetwork,
  networkContains,
  parseAddress,
  parseBoundAddress,
  parseIp,
  parseNetwork,
} from "../../../src/ts/config/mod.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";

Deno.test("parseIp() reads both families and formatIp() writes them by RFC 5952", () => {
  const texts: [string, string][] = [
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8::1", "2001:db8::1"],
    ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:3:0:0:4", "1::2:3:0:0:4"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:1.2.3.4", "1.2.3.4"],
    ["::ffff:102:304", "1.2.3.4"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ];
  for (const [text, canonical] of texts) {
    const bytes = parseIp(text);
    assert(bytes, text);
    assertEquals(formatIp(bytes), canonical, text);
    assertEquals(parseIp(canonical), bytes, text);
  }
});

Deno.test("parseIp() refuses what is no address", () => {
  const refused = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "0x1.2.3.4",
    "1",
    ":",
    ":::",
    "1:",
    ":1",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "12345::",
    "g::",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "fe80::1%eth0",
    "[::1]",
  ];
  for (const text of refused) assertEquals(parseIp(text), null, text);
});

Deno.test("formatIp() and parseIp() agree on random addresses", () => {
  const random = createRandom(7);
  for (let round = 0; round < 2000; round++) {
    const bytes = random.bytes(16);
    for (let at = 0; at < 16; at += 2) if (random.below(2) === 0) bytes.fill(0, at, at + 2);
    assertEquals(parseIp(formatIp(bytes)), bytes);
  }
});

Deno.test("parseAddress() reads each kind, and formatAddress() writes it canonically", () => {
  const texts: [string, string][] = [
    ["10.0.0.1:8080", "10.0.0.1:8080"],
    ["10.0.0.1:1", "10.0.0.1:1"],
    ["10.0.0.1:65535", "10.0.0.1:65535"],
    ["[::1]:80", "[::1]:80"],
    ["[0:0::1]:80", "[::1]:80"],
    ["[::ffff:10.0.0.1]:80", "10.0.0.1:80"],
    ["Host.Name.:80", "host.name:80"],
    ["localhost:80", "localhost:80"],
    ["my_app-1:80", "my_app-1:80"],
    ["bücher.example:80", "xn--bcher-kva.example:80"],
    ["unix:/run/App.sock", "unix:/run/App.sock"],
    [`unix:/${"a".repeat(106)}`, `unix:/${"a".repeat(106)}`],
  ];
  for (const [text, canonical] of texts) {
    assertEquals(formatAddress(parseAddress(text)), canonical, text);
    assertEquals(formatAddress(parseAddress(canonical)), canonical, canonical);
  }
  assertEquals(parseAddress("[::1]:80"), {
    kind: "ip",
    family: 6,
    ip: "::1",
    bytes: new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    port: 80,
  });
  assertEquals(parseAddress("a:1"), { kind: "name", name: "a", port: 1 });
  assertEquals(parseAddress("unix:/a"), { kind: "unix", path: "/a" });
});

Deno.test("parseAddress() and parseBoundAddress() refuse the rest", () => {
  const refused = [
    "",
    ":",
    "a",
    "a:",
    "a:b",
    "a:65536",
    "a:00",
    "a:-1",
    "10.0.0.1:0",
    "a:0",
    "1.2.3:80",
    "[::1]",
    "::1:80",
  ];
  const more = ["[::1]80", "[a]:80", "[1.2.3.4]:80", "a b:80", "a..b:80", "unix:", "unix:a", "unix:/\0", "http://a:80"];
  for (const text of [...refused, ...more, `unix:/${"a".repeat(107)}`, `${"a".repeat(254)}:80`]) {
    assertThrows(() => parseAddress(text), /^FormatError: expected/);
  }
  assertEquals(parseBoundAddress("0.0.0.0:0").port, 0);
  for (const text of ["localhost:80", "unix:/a", "*:80", ":80"]) assertThrows(() => parseBoundAddress(text), /to bind/);
});

Deno.test("parseNetwork() gives 16 bytes and a prefix of 128 bits", () => {
  const texts: [string, string, number][] = [
    ["0.0.0.0/0", "0.0.0.0/0", 96],
    ["10.0.0.0/8", "10.0.0.0/8", 104],
    ["10.1.2.3", "10.1.2.3/32", 128],
    ["192.168.1.128/25", "192.168.1.128/25", 121],
    ["::/0", "::/0", 0],
    ["fd00::/8", "fd00::/8", 8],
    ["2001:DB8::1", "2001:db8::1/128", 128],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8", 104],
    ["::ffff:0:0/96", "0.0.0.0/0", 96],
  ];
  for (const [text, canonical, prefix] of texts) {
    const network = parseNetwork(text);
    assertEquals(network.bytes.length, 16, text);
    assertEquals(network.prefix, prefix, text);
    assertEquals(formatNetwork(network), canonical, text);
    assertEquals(parseNetwork(canonical), network, text);
  }
  for (
    const text of [
      "10.0.0.1/8",
      "10.0.0.0/33",
      "10.0.0.0/-1",
      "10.0.0.0/ 8",
      "10.0.0.0/8/8",
      "10.0.0/8",
      "::/129",
      "a/8",
      "",
    ]
  ) {
    assertThrows(() => parseNetwork(text), /^FormatError: expected/);
  }
});

Deno.test("networkContains() compares the bits of the prefix and no others", () => {
  const cases: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["192.168.1.128/25", "192.168.1.128", true],
    ["192.168.1.128/25", "192.168.1.127", false],
    ["10.0.0.1", "10.0.0.1", true],
    ["10.0.0.1", "10.0.0.0", false],
    ["0.0.0.0/0", "255.1.2.3", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "2001:db8::1", true],
    ["::/0", "10.0.0.1", false],
    ["fd00::/8", "fdff::1", true],
    ["fd00::/8", "fe00::1", false],
    ["fc00::/7", "fd00::1", true],
    ["fc00::/7", "fe00::1", false],
  ];
  for (const [network, address, isIn] of cases) {
    const padded = new Uint8Array([...new Uint8Array(3), ...parseIp(address)!]);
    assertEquals(networkContains(parseNetwork(network), padded, 3), isIn, `${address} in ${network}`);
  }
});
