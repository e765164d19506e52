// Header compression beside two independent implementations, both ways: npm's hpack.js, and nghttp2 inside node:http2, to which
// it is spoken over a socket. KAKEHI_DIFFERENTIAL_CASES=COUNT sets the number of lists.

import hpackJs from "hpack.js";
import { Buffer } from "node:buffer";
import { assert, assertEquals, AssertionError } from "../support/assert.ts";
import { Decoder, Encoder, type Field, Hpack, NEVER_INDEXED } from "../support/hpack.ts";
import { BlockMaker } from "../support/hpack_blocks.ts";
import { createRandom, type Random } from "../support/random.ts";
import { requireTools } from "../support/require_tool.ts";
import { Http2Echo, type Reply } from "./http2_echo.ts";

const CASES = Number(Deno.env.get("KAKEHI_DIFFERENTIAL_CASES") ?? 20_000);
const LISTS = 20;

const hpack = new Hpack();
const encoder = new Encoder(hpack);
const decoder = new Decoder(hpack);
/** Of blocks that neither of the two has made. */
const third = new Decoder(hpack);

function plain(list: readonly Field[]): Field[] {
  return list.map(({ name, value }) => ({ name, value }));
}

// ---- hpack.js ----

interface HpackJs {
  encode(fields: readonly Field[]): Uint8Array;
  decode(block: Uint8Array): Field[];
}

function makeHpackJs(random: Random): HpackJs {
  const compressor = hpackJs.compressor.create({ table: { maxSize: 4096 } });
  const decompressor = hpackJs.decompressor.create({ table: { maxSize: 4096 } });
  return {
    encode(fields) {
      const huffman = random.below(4) > 0;
      compressor.write(fields.map(({ name, value }) => {
        return { name, value, huffman, incremental: random.below(3) > 0, neverIndex: random.below(8) === 0 };
      }));
      return compressor.read() ?? new Uint8Array();
    },
    decode(block) {
      decompressor.write(Buffer.from(block));
      decompressor.execute();
      const list: Field[] = [];
      for (let field = decompressor.read(); field; field = decompressor.read()) {
        list.push({ name: field.name, value: field.value });
      }
      return list;
    },
  };
}

/** Our blocks to it, its blocks to us, and blocks of every form to both. */
function runHpackJs(number: number): void {
  const random = createRandom(number);
  const other = makeHpackJs(random);
  const reader = makeHpackJs(random);
  const maker = new BlockMaker(random, random.below(4) === 0 ? 300 : 40);
  for (const side of [encoder, decoder, third]) side.restart();
  for (let left = LISTS; left > 0; left--) {
    const { bytes, fields } = maker.make(6);
    assertEquals(plain(third.decode(Uint8Array.from(bytes))), plain(fields), "blocks of every form");
    assertEquals(reader.decode(Uint8Array.from(bytes)), plain(fields), "its reading of them");
    const size = random.below(4097);
    if (random.below(12) === 0) hpack.exports.allowSize(encoder.table, size);
    const flagged = fields.map((field) => ({ ...field, flags: field.never ? NEVER_INDEXED : 0 }));
    assertEquals(other.decode(encoder.encode(flagged)), plain(fields), "our block");
    assertEquals(plain(decoder.decode(other.encode(plain(fields)))), plain(fields), "its block");
  }
}

Deno.test("hpack: lists go through hpack.js's decoder and encoder as through ours", () => {
  for (let number = 0; number * LISTS < CASES; number++) {
    try {
      runHpackJs(number);
    } catch (error) {
      throw new AssertionError(`connection ${number}: ${error}`);
    }
  }
  hpack.checkCanaries();
});

// ---- node:http2 ----

const NAMES = [
  "accept",
  "user-agent",
  "cookie",
  "set-cookie",
  "etag",
  "x-a",
  "x-long-name-of-a-field",
  "authorization",
];
const CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789-/=;,%?&_.~";
const METHODS = ["GET", "POST", "PUT"];

function makeValue(random: Random, longest: number): string {
  let text = "";
  for (let left = random.below(longest); left > 0; left--) text += CHARS[random.below(CHARS.length)];
  return text;
}

/** A request that node:http2 takes, each name once. */
function makeRequest(random: Random): Field[] {
  const fields: Field[] = [
    { name: ":method", value: METHODS[random.below(3)]! },
    { name: ":scheme", value: "http" },
    { name: ":path", value: `/${makeValue(random, 5)}` },
    { name: ":authority", value: random.below(3) > 0 ? "example.com" : `${random.below(100)}.example` },
  ];
  for (const name of NAMES) {
    if (random.below(2) === 0) continue;
    const value = makeValue(random, random.below(4) === 0 ? 90 : 3);
    fields.push({ name, value, flags: random.below(6) === 0 ? NEVER_INDEXED : 0 });
  }
  for (let left = random.below(4); left > 0; left--) {
    fields.push({ name: `x-${left}-${random.below(300)}`, value: makeValue(random, 30) });
  }
  return fields;
}

/** What the echo says that it has read, and that we read in its answer, must be what we have sent. */
function checkReply(request: readonly Field[], reply: Reply): void {
  const expected = plain(request);
  assertEquals(reply.read, expected, "what nghttp2 read");
  const isEchoed = ({ name }: Field) => !name.startsWith(":") && name !== "date" && name !== "x-read";
  assertEquals(plain(reply.list.filter(isEchoed)), expected.filter(isEchoed), "what we read");
  for (const { name, flags } of request) {
    if (!flags || name.startsWith(":")) continue;
    assertEquals(reply.list.find((entry) => entry.name === name)?.flags, NEVER_INDEXED, `${name} there and back`);
  }
}

Deno.test({
  name: "hpack: requests go to node:http2 and come back, while both sides change the sizes of their tables",
  ignore: requireTools("node"),
  fn: async () => {
    await using echo = await Http2Echo.start();
    const lists = 50;
    let resizes = 0;
    for (let number = 0; number * lists * 10 < CASES; number++) {
      const random = createRandom(0x477_0000 + number);
      encoder.restart();
      decoder.restart();
      using connection = await echo.connect(encoder, decoder);
      for (let round = 0; round < 10; round++) {
        if (random.below(2) === 0) connection.allow(random.below(3) === 0 ? random.below(200) : random.below(4097));
        const resize = random.below(3) === 0 ? random.below(9000) : undefined;
        const requests = Array.from({ length: lists }, () => makeRequest(random));
        const replies = await connection.exchange(requests, resize);
        for (const [index, request] of requests.entries()) checkReply(request, replies[index]!);
      }
      resizes += connection.resizes;
    }
    assert(CASES < 1000 || resizes > 5, `the peer has changed its table ${resizes} times`);
    hpack.checkCanaries();
  },
});
