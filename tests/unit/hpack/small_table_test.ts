// Tables that begin with small rings (dynamic_table.ts) against such as have all of them from the beginning: the same fields, the
// same bytes, the same counts, whatever the small ones hold when they move, and not a byte written beside either.

import { assert, assertEquals } from "../../support/assert.ts";
import { Decoder, Encoder, type Field, Hpack } from "../../support/hpack.ts";
import { createRandom, type Random } from "../../support/random.ts";

const CAPACITY = 4096;
const SMALL = [32, 64, 256, 1024, 2048];
const SEED = Number(Deno.env.get("KAKEHI_SEED") ?? 1);

/** Names and values of a few kinds, so that some come again; now and then one that no small table has room for. */
function field(random: Random): Field {
  const name = `x-${"n".repeat(random.below(4))}${random.below(6)}`;
  const length = random.below(12) === 0 ? random.below(CAPACITY + 100) : random.below(60);
  return { name, value: `${random.below(5)}`.repeat(length) };
}

/** Where the head of its table says that the rings for everything still are; 0: they are in use. */
function spareOf(hpack: Hpack, table: number): number {
  return hpack.view.getUint32(table + 44, true);
}

Deno.test("tables with small rings are as those with large ones, before and after they have moved", () => {
  const hpack = new Hpack();
  const encoder = new Encoder(hpack, CAPACITY);
  const small = new Encoder(hpack, CAPACITY);
  const decoder = new Decoder(hpack, { capacity: CAPACITY });
  const other = new Decoder(hpack, { capacity: CAPACITY });
  const { exports } = hpack;
  for (const bytes of SMALL) {
    const rings = exports.ringsBytes(bytes);
    const head = exports.tableBytes(bytes) - rings;
    const spares = [0, 1].map(() => hpack.place(exports.ringsBytes(CAPACITY)).at);
    const places = [hpack.place(head + rings + exports.lookupBytes(CAPACITY)), hpack.place(head + rings)];
    let moved = 0;
    for (let round = 0; round < 40; round++) {
      const random = createRandom(SEED + round + 1000 * bytes);
      encoder.restart();
      decoder.restart();
      small.table = exports.beginSmallEncoderTable(places[0]!.at, CAPACITY, bytes, spares[0]!);
      other.table = exports.beginSmallTable(places[1]!.at, CAPACITY, bytes, spares[1]!);
      for (let block = 0; block < 30; block++) {
        if (random.below(15) === 0) {
          const size = random.below(CAPACITY + 1);
          for (const { table } of [encoder, small, decoder, other]) exports.allowSize(table, size);
        }
        const fields = Array.from({ length: 1 + random.below(5) }, () => field(random));
        const wanted = Uint8Array.from(encoder.encode(fields));
        const why = `KAKEHI_SEED=${SEED}, rings of ${bytes}, round ${round}, block ${block}`;
        assertEquals([...small.encode(fields)], [...wanted], why);
        assertEquals(other.decode(wanted), decoder.decode(wanted), why);
        assertEquals([small.state(), other.state()], [encoder.state(), decoder.state()], why);
      }
      if (spareOf(hpack, other.table) === 0) moved++;
    }
    hpack.checkCanaries();
    assert(moved > 0, `rings of ${bytes}: no table has moved`);
  }
});
