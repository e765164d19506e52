// The examples of RFC 7541, Appendix C. All are decoded, with the table after each block. Encoded are those that follow our
// rules: without a path or password that would be indexed at once, and without strings that are longer in Huffman code.

import { assertEquals } from "../../support/assert.ts";
import { Decoder, Encoder, type Field, fromHex, Hpack, NEVER_INDEXED, PSEUDO, toHex } from "../../support/hpack.ts";

/** Field lines as "name: value". */
interface Block {
  hex: string;
  lines: string[];
  tableSize: number;
  tableCount: number;
}

const FIRST = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const SECOND = [...FIRST, "cache-control: no-cache"];
const THIRD = [
  ":method: GET",
  ":scheme: https",
  ":path: /index.html",
  ":authority: www.example.com",
  "custom-key: custom-value",
];

const REDIRECT = [
  ":status: 302",
  "cache-control: private",
  "date: Mon, 21 Oct 2013 20:13:21 GMT",
  "location: https://www.example.com",
];
const TEMPORARY = [":status: 307", ...REDIRECT.slice(1)];
const OK = [
  ":status: 200",
  "cache-control: private",
  "date: Mon, 21 Oct 2013 20:13:22 GMT",
  "location: https://www.example.com",
  "content-encoding: gzip",
  "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

const REQUESTS: Block[] = [
  { hex: "828684410f7777772e6578616d706c652e636f6d", lines: FIRST, tableSize: 57, tableCount: 1 },
  { hex: "828684be58086e6f2d6361636865", lines: SECOND, tableSize: 110, tableCount: 2 },
  {
    hex: "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    lines: THIRD,
    tableSize: 164,
    tableCount: 3,
  },
];

const REQUESTS_HUFFMAN: Block[] = [
  { ...REQUESTS[0]!, hex: "828684418cf1e3c2e5f23a6ba0ab90f4ff" },
  { ...REQUESTS[1]!, hex: "828684be5886a8eb10649cbf" },
  { ...REQUESTS[2]!, hex: "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf" },
];

const RESPONSES: Block[] = [
  {
    hex: `4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f
      7777772e6578616d706c652e636f6d`,
    lines: REDIRECT,
    tableSize: 222,
    tableCount: 4,
  },
  { hex: "4803333037c1c0bf", lines: TEMPORARY, tableSize: 222, tableCount: 4 },
  {
    hex:
      `88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a
      584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31`,
    lines: OK,
    tableSize: 215,
    tableCount: 3,
  },
];

const RESPONSES_HUFFMAN: Block[] = [
  {
    ...RESPONSES[0]!,
    hex: "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
  },
  { ...RESPONSES[1]!, hex: "4883640effc1c0bf" },
  {
    ...RESPONSES[2]!,
    hex:
      `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f36
      72c1ab270fb5291f9587316065c003ed4ee5b1063d5007`,
  },
];

function toField(line: string): Field {
  const colon = line.indexOf(": ", 1);
  return { name: line.slice(0, colon), value: line.slice(colon + 2) };
}

function checkDecoded(blocks: readonly Block[], sizeMax = 4096): void {
  const hpack = new Hpack();
  const decoder = new Decoder(hpack);
  if (sizeMax !== 4096) {
    // the example's table is that small without a word of it in the blocks
    hpack.exports.allowSize(decoder.table, sizeMax);
    decoder.decode(fromHex("3fe101"));
  }
  for (const { hex, lines, tableSize, tableCount } of blocks) {
    assertEquals(decoder.decode(fromHex(hex)).map(({ name, value }) => `${name}: ${value}`), lines);
    assertEquals(decoder.state(), { size: tableSize, sizeMax, count: tableCount });
  }
  hpack.checkCanaries();
}

/** C.2: a block of one field, its line, whether it is never indexed, and the size of the table behind it. */
const FIELDS: [hex: string, line: string, flags: number, tableSize: number][] = [
  ["400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", 0, 55],
  ["040c2f73616d706c652f70617468", ":path: /sample/path", PSEUDO, 0],
  ["100870617373776f726406736563726574", "password: secret", NEVER_INDEXED, 0],
  ["82", ":method: GET", PSEUDO, 0],
];

Deno.test("RFC 7541 C.2: the forms of a field are decoded", () => {
  for (const [hex, line, flags, tableSize] of FIELDS) {
    const decoder = new Decoder(new Hpack());
    const [entry, ...more] = decoder.decode(fromHex(hex));
    assertEquals([`${entry?.name}: ${entry?.value}`, entry?.flags, more.length], [line, flags, 0]);
    assertEquals(decoder.state().size, tableSize);
  }
});

Deno.test("RFC 7541 C.3 and C.4: requests are decoded", () => {
  checkDecoded(REQUESTS);
  checkDecoded(REQUESTS_HUFFMAN);
});

Deno.test("RFC 7541 C.5 and C.6: responses are decoded with a table of 256 bytes", () => {
  checkDecoded(RESPONSES, 256);
  checkDecoded(RESPONSES_HUFFMAN, 256);
});

Deno.test("RFC 7541 C.4: requests are encoded to the same bytes", () => {
  const encoder = new Encoder(new Hpack());
  for (const { hex, lines, tableSize, tableCount } of REQUESTS_HUFFMAN) {
    assertEquals(toHex(encoder.encode(lines.map(toField))), hex);
    assertEquals(encoder.state(), { size: tableSize, sizeMax: 4096, count: tableCount });
  }
});

Deno.test("RFC 7541 C.6.1, C.6.2: responses are encoded to the same bytes but for the location, which has not come twice", () => {
  const encoder = new Encoder(new Hpack(), 256);
  assertEquals(toHex(encoder.encode([])), "3fe101");
  const first = RESPONSES_HUFFMAN[0]!;
  // 6e: indexed from now on; 0f1f: not
  assertEquals(toHex(encoder.encode(REDIRECT.map(toField))), first.hex.replace("6e919d", "0f1f919d"));
  // the table has 63 bytes less in it, so nothing is evicted, and the location is indexed now
  const location = first.hex.slice(first.hex.indexOf("919d"));
  // 307 is as long in Huffman code as without
  assertEquals(toHex(encoder.encode(TEMPORARY.map(toField))), `4803333037c0bf6e${location}`);
});

Deno.test("RFC 7541 C.2.2, C.2.3: a field is encoded to the form of the example", () => {
  const encoder = new Encoder(new Hpack());
  const path = toHex(encoder.encode([{ name: ":path", value: "/sample/path" }]));
  assertEquals(path.slice(0, 2), "04");
  const secret = toHex(encoder.encode([{ name: "password", value: "secret", flags: NEVER_INDEXED }]));
  assertEquals(secret.slice(0, 2), "10");
  assertEquals(encoder.state().count, 0);
});
