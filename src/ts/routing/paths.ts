// The paths that rules name: each is there once, however many hosts have it, since the hosts of a platform have much the
// same paths. So a hundred thousand routes take a table of some paths, which stays in the cache, and a slot each.
//
//   path       [ length | key | number of hosts | path… ]
//
// A path is found by the hash of its text, which is compared. Its key is what the tables of hosts are made of: no other path
// has it, so nothing needs to be compared there. It is the class of the path's depth and a number, spread over 27 bits by
// a secret, so that nobody can choose paths that fill one slot of a host.

import type { Arena } from "./arena.ts";
import { extended, hashPath, isText, mix, type RandomWords, textWords, writeText } from "./hash.ts";
import { copySlots, eraseSlot, insertSlot, nextSlotCount, SlotTable } from "./slots.ts";

export const PATH_LENGTH = 0;
export const PATH_KEY = 1;
export const PATH_HOSTS = 2;
export const PATH_TEXT = 3;

/** Bits of a key below the class of the depth: more paths than memory has room for. */
const NUMBER_BITS = 27;
const NUMBER_MASK = (1 << NUMBER_BITS) - 1;

/** Depths from this one on are of one class. */
export const DEPTH_CLASS_MAX = 31;

export class Paths {
  /** Secret words for the positions of a path: one more than the longest had, and as many. */
  weights: Int32Array;
  /** From the hash of a path to its record. */
  slots = new SlotTable(1);
  count = 0;
  /** Secrets that numbers are spread by. */
  private readonly spreading: Int32Array;
  /** Spread numbers of paths that are gone. */
  private readonly free: number[] = [];

  constructor(private readonly arena: Arena, private readonly random: RandomWords) {
    this.weights = random(1);
    this.spreading = random(3);
  }

  /** Makes sure that paths of this length can be hashed. */
  hashUpTo(length: number): void {
    this.weights = extended(this.weights, length + 1, this.random);
  }

  /** The record of a path, or 0. */
  find(path: string): number {
    return this.findByHash(path, mix(hashPath(path, this.weights)));
  }

  private findByHash(path: string, hash: number): number {
    const { slots: { words: slots, mask }, arena: { words } } = this;
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const record = slots[2 * slot + 1]!;
      if (record === 0) return 0;
      if (slots[2 * slot] !== hash || words[record + PATH_LENGTH] !== path.length) continue;
      if (isText(words, record + PATH_TEXT, path)) return record;
    }
  }

  /** The record of a path, for one more host; for each call there is one `release`. */
  acquire(path: string): number {
    const { arena } = this;
    const hash = mix(hashPath(path, this.weights));
    const known = this.findByHash(path, hash);
    if (known === 0) return this.add(path, hash);
    arena.patch(known + PATH_HOSTS, arena.words[known + PATH_HOSTS]! + 1);
    return known;
  }

  private add(path: string, hash: number): number {
    const record = this.arena.reserve(PATH_TEXT + textWords(path.length));
    const { words } = this.arena;
    words[record + PATH_LENGTH] = path.length;
    words[record + PATH_KEY] = this.newKey(depthOf(path));
    words[record + PATH_HOSTS] = 1;
    writeText(words, record + PATH_TEXT, path);
    this.fit(this.count + 1);
    insertSlot(this.slots, 0, this.slots.mask, hash, record);
    this.count++;
    return record;
  }

  private newKey(depth: number): number {
    // Without free numbers, those of the paths that are there are all that have been given.
    const number = this.free.pop() ?? this.spread(this.count);
    return (Math.min(depth, DEPTH_CLASS_MAX) << NUMBER_BITS) | number;
  }

  /** Gives each number another one of as many bits. Each step can be undone, so no two become the same. */
  private spread(number: number): number {
    const { spreading } = this;
    number = Math.imul((number ^ spreading[0]!) & NUMBER_MASK, spreading[1]! | 1) & NUMBER_MASK;
    number = Math.imul(number ^ (number >>> 14), spreading[2]! | 1) & NUMBER_MASK;
    return number ^ (number >>> 13);
  }

  /** Takes a host from a path; the last one takes the path with it. */
  release(record: number): void {
    const { arena, slots } = this;
    const hosts = arena.words[record + PATH_HOSTS]! - 1;
    if (hosts > 0) return arena.patch(record + PATH_HOSTS, hosts);
    eraseSlot(slots, 0, slots.mask, this.hashOf(record), record);
    this.free.push(arena.words[record + PATH_KEY]! & NUMBER_MASK);
    arena.release(record, pathSize(arena.words, record));
    this.count--;
  }

  private hashOf(record: number): number {
    const { arena: { words, chars }, weights } = this;
    const at = 4 * (record + PATH_TEXT);
    let hash = 0;
    for (let i = 0; i < words[record + PATH_LENGTH]!; i++) hash += Math.imul(chars[at + i]!, weights[i]!);
    return mix(hash | 0);
  }

  /** Gives the table the size for so many paths. */
  fit(count: number): void {
    const { slots } = this;
    const size = nextSlotCount(count, slots.mask + 1);
    if (size === slots.mask + 1) return;
    this.slots = new SlotTable(size);
    copySlots(slots, 0, slots.mask, NONE, this.slots, 0, size - 1);
  }

  get bytesUsed(): number {
    return this.slots.words.byteLength + 4 * this.weights.length + 8 * this.free.length;
  }
}

const NONE: ReadonlySet<number> = new Set();

/** Words of a path's record. */
export function pathSize(words: Int32Array, path: number): number {
  return PATH_TEXT + textWords(words[path + PATH_LENGTH]!);
}

/** Number of slashes in a path. */
export function depthOf(path: string): number {
  let depth = 0;
  for (let i = 0; i < path.length; i++) if (path.charCodeAt(i) === SLASH) depth++;
  return depth;
}

/** The bit that stands for the depth of the path with this key. */
export function depthBitOf(key: number): number {
  return 1 << (key >>> NUMBER_BITS);
}

const SLASH = 0x2f;
