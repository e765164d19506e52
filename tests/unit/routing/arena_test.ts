// The memory of the records beside a list of what has been written: records never overlap and keep their words, while the
// array grows and shrinks under them in steps; and it is as small as what is in use lets it be.

import { Arena } from "../../../src/ts/routing/arena.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { pick } from "./support.ts";

const REGION_BITS = 6;

class Model {
  readonly arena = new Arena(1, REGION_BITS);
  /** By record: its words. */
  records = new Map<number, number[]>();
  constructor(readonly random: Random) {}

  add(count: number): void {
    const record = this.arena.reserve(count);
    assert(record > 0, "0 is no record");
    assertEquals([...this.arena.words.subarray(record, record + count)], new Array(count).fill(0));
    const words = Array.from({ length: count }, () => this.random.below(2 ** 31));
    this.arena.words.set(words, record);
    this.records.set(record, words);
  }

  remove(): void {
    if (this.records.size === 0) return;
    const record = pick(this.random, [...this.records.keys()]);
    this.arena.release(record, this.records.get(record)!.length);
    this.records.delete(record);
  }

  patch(): void {
    if (this.records.size === 0) return;
    const [record, words] = pick(this.random, [...this.records]);
    const at = this.random.below(words.length);
    this.arena.patch(record + at, words[at] = this.random.below(2 ** 31));
  }

  /** What compaction does, without tables: each record that is in the way is moved. */
  compact(): void {
    const { arena } = this;
    arena.condemn();
    for (const [record, words] of [...this.records]) {
      if (!arena.isCondemned(record, words.length)) continue;
      const to = arena.tryReserve(words.length);
      if (to === 0) break;
      arena.words.copyWithin(to, record, record + words.length);
      arena.release(record, words.length);
      this.records.delete(record);
      this.records.set(to, words);
    }
    arena.acquit();
  }

  get words(): number {
    return [...this.records.values()].reduce((sum, words) => sum + words.length, 4);
  }

  check(about: string): void {
    const { arena, records } = this;
    assertEquals([...arena.words.subarray(0, 4)], [0, 0, 0, 0], about);
    for (const [record, words] of records) {
      assertEquals([...arena.words.subarray(record, record + words.length)], words, about);
    }
    assertEquals(arena.chars.buffer, arena.words.buffer);
    assertEquals(Reflect.get(arena, "liveWords"), this.words, about);
  }
}

Deno.test("reserve() and release() keep the words of records while the array is resized in steps", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = createRandom(seed);
    const model = new Model(random);
    const sizes = pick(random, [[1, 7, 20], [3, 64, 65, 200], [1, 2, 1000]]);
    for (let step = 0; step < 600; step++) {
      const isGrowing = step % 300 < 150;
      const what = random.below(8);
      if (what < (isGrowing ? 4 : 1)) model.add(pick(random, sizes));
      else if (what < 5) model.remove();
      else if (what === 5) model.patch();
      else if (what === 6) model.arena.advance(1);
      else if (random.below(2) === 0) model.arena.keepRoom();
      else if (model.arena.isWasteful) model.compact();
      if (step % 10 === 0) model.check(`seed ${seed}, step ${step}`);
    }
    while (model.records.size > 0) model.remove();
    model.check(`seed ${seed}, end`);
  }
});

Deno.test("compaction brings the array down to a few times what is in use", () => {
  const random = createRandom(1);
  const model = new Model(random);
  for (let count = 0; count < 4000; count++) model.add(1 + random.below(30));
  while (model.words > 2000) model.remove();
  for (let passes = 0; passes < 50 && (model.arena.isWasteful || model.arena.isResizing); passes++) {
    if (model.arena.isResizing) model.arena.advance(Infinity);
    else model.compact();
  }
  model.check("compacted");
  assert(!model.arena.isWasteful, `${model.arena.wastedWords} words wasted of ${model.arena.words.length}`);
  assert(model.arena.words.length < 8 * model.words, `${model.arena.words.length} words for ${model.words}`);
});

Deno.test("keepRoom() begins to grow in time, so that small records never wait for a whole copy", () => {
  const arena = new Arena(2 ** 16, REGION_BITS);
  let largest = 0;
  for (let count = 0; count < 20_000; count++) {
    const before = arena.words;
    arena.keepRoom();
    assertEquals(arena.words, before);
    arena.advance(8);
    const words = arena.words;
    arena.reserve(20);
    assert(arena.words === words, `the array was replaced by reserve() at record ${count}`);
    largest = Math.max(largest, arena.words.length);
  }
  assert(largest > 4 * 2 ** 16, `${largest} words`);
});
