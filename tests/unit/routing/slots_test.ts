// Tables of slots beside a map: whatever is put in, put in another's place and taken out, each record is found from its key.

import {
  copySlots,
  eraseSlot,
  insertSlot,
  nextSlotCount,
  replaceSlot,
  slotCount,
  SlotTable,
} from "../../../src/ts/routing/slots.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";
import { pick } from "./support.ts";

/** What is found from a key, up to the first free slot. */
function probe({ words, mask }: SlotTable, key: number): number[] {
  const found: number[] = [];
  for (let slot = key & mask; words[2 * slot + 1] !== 0; slot = (slot + 1) & mask) {
    if (words[2 * slot] === key) found.push(words[2 * slot + 1]!);
  }
  return found.sort((a, b) => a - b);
}

function compare(table: SlotTable, keys: Map<number, number>): void {
  const byKey = Map.groupBy(keys.keys(), (record) => keys.get(record)!);
  for (const [key, records] of byKey) assertEquals(probe(table, key), records.toSorted((a, b) => a - b));
  assertEquals(table.words.filter((word, at) => at % 2 === 1 && word !== 0).length, keys.size);
}

Deno.test("insertSlot(), replaceSlot(), eraseSlot() and copySlots() keep each record to be found", () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = createRandom(seed);
    // From keys that are all alike to keys that are all different, of both signs.
    const bound = pick(random, [1, 3, 20, 2 ** 32]);
    let table = new SlotTable(pick(random, [8, 64]));
    const keys = new Map<number, number>();
    for (let step = 1; step <= 400; step++) {
      const record = keys.size > 0 ? pick(random, [...keys.keys()]) : 0;
      const isFull = 3 * (keys.size + 1) > 2 * (table.mask + 1);
      if (keys.size > 0 && (isFull || random.below(2) === 0)) {
        const key = keys.get(record)!;
        keys.delete(record);
        if (random.below(3) > 0) eraseSlot(table, 0, table.mask, key, record);
        else {
          replaceSlot(table, 0, table.mask, key, record, step);
          keys.set(step, key);
        }
      } else {
        const key = (random.below(bound) - (bound >>> 1)) | 0;
        keys.set(step, key);
        insertSlot(table, 0, table.mask, key, step);
      }
      if (random.below(50) === 0) {
        const going = new Set([...keys.keys()].filter(() => random.below(8) === 0));
        for (const gone of going) keys.delete(gone);
        const resized = new SlotTable(slotCount(keys.size + 1));
        copySlots(table, 0, table.mask, going, resized, 0, resized.mask);
        table = resized;
      }
      compare(table, keys);
    }
  }
});

Deno.test("nextSlotCount() grows when a third is no longer free, and shrinks only when the table is far too large", () => {
  assertEquals([0, 1, 2, 3, 10, 11].map(slotCount), [1, 2, 4, 8, 16, 32]);
  assertEquals(nextSlotCount(10, 16), 16);
  assertEquals(nextSlotCount(11, 16), 32);
  assertEquals(nextSlotCount(10, 32), 32);
  assertEquals(nextSlotCount(10, 64), 16);
  // One more and one less, again and again, does not resize a table each time.
  for (let records = 1; records < 3000; records++) {
    const slots = nextSlotCount(records, slotCount(records - 1));
    assert(nextSlotCount(records - 1, slots) === slots, `${records} records`);
  }
});
