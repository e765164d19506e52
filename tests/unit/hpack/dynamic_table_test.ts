// Tables of both sides that wrap, fill and empty: each offset of the ring of bytes, sizes next to those of entries.

import { assertEquals } from "../../support/assert.ts";
import { Decoder, Encoder, type Field, Hpack } from "../../support/hpack.ts";

const CAPACITY = 4096;
const PROBE: Field = { name: "x-a-name-of-some-length", value: "and a value that is a bit longer than that" };

/** Fields that together move the ring on by `bytes`. */
function fillers(bytes: number): Field[] {
  const fields: Field[] = [];
  for (let number = 0; bytes > 0; number++) {
    const length = Math.min(bytes, 1200);
    const name = length < 2 ? "" : `${String.fromCharCode(97 + number)}`;
    fields.push({ name, value: "v".repeat(length - name.length) });
    bytes -= length;
  }
  return fields;
}

function plain(list: readonly Field[]): Field[] {
  return list.map(({ name, value }) => ({ name, value }));
}

Deno.test("a field that wraps at any offset is found by the encoder, and is the same to the decoder", () => {
  const hpack = new Hpack();
  const encoder = new Encoder(hpack, CAPACITY);
  const decoder = new Decoder(hpack, { capacity: CAPACITY });
  for (let offset = 0; offset < CAPACITY; offset++) {
    encoder.restart();
    decoder.restart();
    const before = fillers(offset);
    assertEquals(plain(decoder.decode(encoder.encode(before))), before, `${offset}`);
    assertEquals(plain(decoder.decode(encoder.encode([PROBE]))), [PROBE], `${offset}`);
    const again = encoder.encode([PROBE]);
    assertEquals([...again], [0xbe], `found at ${offset}`);
    assertEquals(plain(decoder.decode(again)), [PROBE], `${offset}`);
    const other = { name: PROBE.name, value: "another value" };
    const named = encoder.encode([other]);
    assertEquals(named[0], 0x7e, `the name found at ${offset}`);
    assertEquals(plain(decoder.decode(named)), [other], `${offset}`);
  }
  hpack.checkCanaries();
});

Deno.test("what is in a table of any size is found, what is not is not, and both sides count the same", () => {
  const hpack = new Hpack();
  const encoder = new Encoder(hpack, CAPACITY);
  const decoder = new Decoder(hpack, { capacity: CAPACITY });
  const fields = Array.from({ length: 9 }, (_, index) => ({ name: `n${index}`, value: "v".repeat(index * 7) }));
  const total = fields.reduce((sum, { name, value }) => sum + name.length + value.length + 32, 0);
  for (let sizeMax = 0; sizeMax <= total + 40; sizeMax++) {
    encoder.restart();
    decoder.restart();
    hpack.exports.allowSize(encoder.table, sizeMax);
    hpack.exports.allowSize(decoder.table, sizeMax);
    const forms = [...fields, ...fields.toReversed()].map((field) => {
      const block = encoder.encode([field]);
      assertEquals(plain(decoder.decode(block)), [field], `${sizeMax}`);
      assertEquals(encoder.state(), decoder.state(), `${sizeMax}`);
      return block[0]! & 0x80;
    });
    const found = forms.slice(fields.length).filter((form) => form !== 0).length;
    assertEquals(found === fields.length, sizeMax >= total, `${found} found in ${sizeMax}`);
    assertEquals(encoder.state().size <= sizeMax, true);
  }
  hpack.checkCanaries();
});

Deno.test("tables keep in step over more entries than their numbers have bits for", () => {
  const hpack = new Hpack();
  const encoder = new Encoder(hpack, 512);
  const decoder = new Decoder(hpack);
  hpack.exports.allowSize(encoder.table, 512);
  let found = 0;
  for (let number = 0; number < 70_000; number++) {
    const field = { name: "n", value: String(number % 65_536 === 3 ? 2 : number) };
    const block = encoder.encode([field]);
    if (block.length === 1) found++;
    const [entry] = decoder.decode(block);
    if (entry?.value !== field.value) assertEquals(entry?.value, field.value, `${number}`);
  }
  assertEquals(found, 1, "3 was 2, which was in the table; 65539 was not");
  hpack.checkCanaries();
});

Deno.test("tableBytes() and encoderTableBytes() are what the heads of their files say", () => {
  const { tableBytes, encoderTableBytes } = new Hpack().exports;
  assertEquals([tableBytes(4096), tableBytes(65536), tableBytes(0)], [5184, 81984, 64]);
  assertEquals([encoderTableBytes(4096), encoderTableBytes(65536), encoderTableBytes(0)], [6464, 98624, 336]);
});
