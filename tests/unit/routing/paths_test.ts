// The paths that hosts share, beside a map: each is there as long as a host has it, and no two have the same key.

import { Arena } from "../../../src/ts/routing/arena.ts";
import { randomWords } from "../../../src/ts/routing/hash.ts";
import { depthBitOf, PATH_KEY, Paths } from "../../../src/ts/routing/paths.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";
import { pick } from "./support.ts";

function randomPath(random: Random): string {
  const count = pick(random, [1, 1, 2, 3, 30, 31, 40]);
  return Array.from({ length: count }, () => `/${pick(random, ["", "a", "bc", "long-segment"])}`).join("");
}

class Model {
  readonly arena = new Arena(64, 6);
  readonly paths: Paths;
  /** By path: how many hosts have it, and its record. */
  readonly known = new Map<string, { hosts: number; record: number }>();

  constructor(readonly random: Random, isHashed: boolean) {
    this.paths = new Paths(this.arena, isHashed ? randomWords : (count) => new Int32Array(count));
    this.paths.hashUpTo(1000);
  }

  acquire(path: string): void {
    const hosts = (this.known.get(path)?.hosts ?? 0) + 1;
    const record = this.paths.acquire(path);
    assertEquals(record, this.known.get(path)?.record ?? record);
    this.known.set(path, { hosts, record });
  }

  release(path: string): void {
    const { hosts, record } = this.known.get(path)!;
    this.paths.release(record);
    if (hosts === 1) this.known.delete(path);
    else this.known.set(path, { hosts: hosts - 1, record });
  }

  check(about: string): void {
    const { known, paths, arena } = this;
    assertEquals(paths.count, known.size, about);
    const keys = new Set([...known.values()].map(({ record }) => arena.words[record + PATH_KEY]));
    assertEquals(keys.size, known.size, `${about}: a key for each`);
    for (const [path, { record }] of known) {
      assertEquals(paths.find(path), record, `${about}: ${path}`);
      const depth = path.split("/").length - 1;
      assertEquals(depthBitOf(arena.words[record + PATH_KEY]!), 1 << Math.min(depth, 31), path);
    }
    assertEquals(paths.find("/there/is/none"), 0);
  }
}

Deno.test("acquire() and release() keep each path as long as a host has it, whatever the hashes are", () => {
  for (let seed = 0; seed < 30; seed++) {
    const random = createRandom(seed);
    const model = new Model(random, seed % 3 > 0);
    for (let step = 0; step < 500; step++) {
      const isGrowing = step % 250 < 150;
      const paths = [...model.known.keys()];
      if (paths.length === 0 || random.below(3) < (isGrowing ? 2 : 1)) model.acquire(randomPath(random));
      else model.release(pick(random, paths));
      if (step % 20 === 0) model.check(`seed ${seed}, step ${step}`);
    }
    for (const [path, { hosts }] of [...model.known]) for (let left = hosts; left > 0; left--) model.release(path);
    model.paths.fit(0);
    assertEquals([Reflect.get(model.arena, "liveWords"), model.paths.count, model.paths.slots.mask], [4, 0, 0]);
  }
});

Deno.test("keys of many paths spread over few slots, and differ from router to router", () => {
  const keysOf = () => {
    const arena = new Arena(1 << 16);
    const paths = new Paths(arena, randomWords);
    paths.hashUpTo(10);
    return Array.from({ length: 4096 }, (_, i) => arena.words[paths.acquire(`/${i}`) + PATH_KEY]!);
  };
  const [one, other] = [keysOf(), keysOf()];
  const counts = new Array(16).fill(0);
  for (const key of one) counts[key & 15]++;
  // 256 are expected for each slot, give or take 16.
  assert(counts.every((count) => count > 128 && count < 512), counts.join());
  assert(one.filter((key, i) => key === other[i]).length < 16, "the keys are the same in both");
});
