// What the encoder indexes, what it never does, and the sizes that it signals.

import { assert, assertEquals } from "../../support/assert.ts";
import { Decoder, Encoder, type Field, Hpack, NEVER_INDEXED, toHex } from "../../support/hpack.ts";

const INDEX = "an index";
const INSERTED = "inserted";
const PLAIN = "plain";
const NEVER = "never";

function formOf(first: number): string {
  if (first & 0x80) return INDEX;
  if (first & 0x40) return INSERTED;
  return first & 0x10 ? NEVER : PLAIN;
}

/** The forms in which the field is sent, time after time. */
function formsOf(name: string, value: string, flags = 0): string[] {
  const encoder = new Encoder(new Hpack());
  return [1, 2, 3].map(() => formOf(encoder.encode([{ name, value, flags }])[0]!));
}

Deno.test("encodeField() indexes most fields at once", () => {
  for (const name of ["user-agent", "accept", ":authority", "date", "server", "x-anything", "via"]) {
    assertEquals(formsOf(name, "a value"), [INSERTED, INDEX, INDEX], name);
  }
  assertEquals(formsOf("cookie", "a=0123456789abcdef01"), [INSERTED, INDEX, INDEX], "20 bytes");
});

Deno.test("encodeField() takes what the static table has", () => {
  const encoder = new Encoder(new Hpack());
  const fields = [
    [":method", "POST", "83"],
    [":path", "/index.html", "85"],
    [":scheme", "https", "87"],
    [":status", "500", "8e"],
    ["accept-encoding", "gzip, deflate", "90"],
    ["age", "", "95"],
    [":authority", "", "81"],
    ["www-authenticate", "", "bd"],
  ] as const;
  for (const [name, value, hex] of fields) assertEquals(toHex(encoder.encode([{ name, value }])), hex, name);
  assertEquals(encoder.state().count, 0);
});

Deno.test("encodeField() indexes what differs each time when it comes again", () => {
  const names = [":path", "content-length", "etag", "last-modified", "location", "age", "x-request-id", "traceparent"];
  for (const name of names) assertEquals(formsOf(name, "a value"), [PLAIN, INSERTED, INDEX], name);
  const encoder = new Encoder(new Hpack());
  for (let length = 100; length < 1100; length++) {
    encoder.encode([{ name: "content-length", value: String(length) }]);
  }
  assertEquals(encoder.state().count, 0, "a thousand lengths drive nothing out");
});

Deno.test("encodeField() never indexes secrets, nor what came never indexed", () => {
  const never = [NEVER, NEVER, NEVER];
  assertEquals(formsOf("authorization", "Bearer 0123456789abcdef0123456789abcdef"), never);
  assertEquals(formsOf("proxy-authorization", "Basic abc"), never);
  assertEquals(formsOf("set-cookie", "session=0123456789abcdef0123456789abcdef; HttpOnly"), never);
  assertEquals(formsOf("cookie", "a=0123456789abcdef0"), never, "19 bytes");
  assertEquals(formsOf("x-anything", "a value", NEVER_INDEXED), never);
  assertEquals(formsOf(":method", "GET", NEVER_INDEXED), never, "though the static table has it");
  const hpack = new Hpack();
  const encoder = new Encoder(hpack);
  const field: Field = { name: "x-token", value: "a value" };
  encoder.encode([field]);
  assertEquals(formOf(encoder.encode([{ ...field, flags: NEVER_INDEXED }])[0]!), NEVER, "though our table has it");
  const list = new Decoder(hpack).decode(encoder.encode([{ name: "password", value: "secret", flags: NEVER_INDEXED }]));
  assertEquals(list.map(({ flags }) => flags), [NEVER_INDEXED], "and it arrives so");
});

Deno.test("encodeField() does not let one field drive out most others", () => {
  assertEquals(formsOf("x", "v".repeat(3039)), [INSERTED, INDEX, INDEX], "3072 = 3/4 of the table");
  assertEquals(formsOf("x", "v".repeat(3040)), [PLAIN, PLAIN, PLAIN]);
  assertEquals(formsOf("x".repeat(70_000), "v".repeat(70_000)), [PLAIN, PLAIN, PLAIN]);
});

Deno.test("encodeField() writes a string in Huffman code only when that is shorter", () => {
  const encoder = new Encoder(new Hpack());
  assertEquals(toHex(encoder.encode([{ name: "\x01", value: "\xff\xfe" }])), "4001" + "01" + "02fffe");
  assertEquals(toHex(encoder.encode([{ name: "aa", value: "" }])), "40" + "02" + "6161" + "00", "as long: 10 bits");
  assertEquals(toHex(encoder.encode([{ name: "aaa", value: "000" }])), "40" + "82" + "18c7" + "82" + "0001");
});

Deno.test("encodeStatus() and encodeNumber() write what encodeField() does", () => {
  for (let status = 100; status < 600; status++) {
    const one = new Encoder(sharedHpack);
    const other = new Encoder(sharedHpack);
    const field = { name: ":status", value: String(status) };
    for (let time = 0; time < 2; time++) {
      const fast = one.raw((to) => sharedHpack.exports.encodeStatus(one.table, to, status));
      assertEquals(toHex(fast), toHex(other.encode([field])), field.value);
    }
    sharedHpack.forget();
  }
  for (const length of [0n, 9n, 1234n, 2n ** 53n - 1n]) {
    const encoder = new Encoder(sharedHpack);
    const fast = encoder.raw((to) => sharedHpack.exports.encodeNumber(encoder.table, to, CONTENT_LENGTH, length));
    const field = { name: "content-length", value: String(length) };
    assertEquals(toHex(fast), toHex(new Encoder(sharedHpack).encode([field])));
    sharedHpack.forget();
  }
});

const CONTENT_LENGTH = 28;
const sharedHpack = new Hpack();

Deno.test("encodeStaticName() writes what encodeField() does", () => {
  const authority = "www.example.com";
  const at = sharedHpack.place(64).at;
  sharedHpack.buffer.write(authority, at, "latin1");
  const { exports } = sharedHpack;
  const encoder = new Encoder(sharedHpack);
  const expected = new Encoder(sharedHpack);
  for (const flags of [0, 0, NEVER_INDEXED]) {
    const block = encoder.raw((to) => exports.encodeStaticName(encoder.table, to, 1, at, authority.length, flags));
    assertEquals(toHex(block), toHex(expected.encode([{ name: ":authority", value: authority, flags }])));
  }
});

// ---- sizes of the table ----

Deno.test("beginBlock() signals the sizes that the peer's settings ask for, once", () => {
  const check = (capacity: number, ...steps: [sizes: number[], hex: string][]) => {
    const encoder = new Encoder(new Hpack(), capacity);
    for (const [sizes, hex] of steps) {
      for (const size of sizes) encoder.hpack.exports.allowSize(encoder.table, size);
      assertEquals(toHex(encoder.encode([])), hex, `${sizes}`);
      assertEquals(toHex(encoder.encode([])), "", "and not again");
    }
  };
  check(4096, [[], ""], [[4096], ""], [[65536], ""]);
  check(4096, [[100], "3f45"], [[100], ""], [[4096], "3fe11f"]);
  check(4096, [[0], "20"], [[30], "3e"], [[31], "3f00"]);
  check(4096, [[100, 4096], "3f453fe11f"], [[0, 300, 200], "203fa901"], [[300, 250], "3fdb01"]);
  check(16384, [[], ""], [[8192], "3fe13f"], [[65536], "3fe17f"], [[100, 1 << 30], "3f453fe17f"]);
  check(0, [[], "20"], [[4096], ""], [[0], ""]);
  check(1024, [[], "3fe107"], [[512], "3fe103"]);
});

Deno.test("a table that the peer makes smaller keeps what fits, and a decoder goes along", () => {
  const hpack = new Hpack();
  const encoder = new Encoder(hpack);
  const decoder = new Decoder(hpack);
  const fields = Array.from({ length: 20 }, (_, index) => ({ name: `name-${index}`, value: "v".repeat(50) }));
  decoder.decode(encoder.encode(fields));
  for (const size of [1000, 500, 90, 4096, 0, 200]) {
    hpack.exports.allowSize(encoder.table, size);
    hpack.exports.allowSize(decoder.table, size);
    for (let time = 0; time < 2; time++) {
      const list = decoder.decode(encoder.encode(fields)).map(({ name, value }) => ({ name, value }));
      assertEquals(list, fields);
      assertEquals(encoder.state(), decoder.state());
      assert(encoder.state().size <= size);
    }
  }
  hpack.checkCanaries();
});
