// Regains the gaps that changes leave in the arena: a pass goes through all hosts and moves the records that lie in sparse
// regions. It is made in small steps between lookups and changes; after each step every record is in its place.
//
// Changes may move hosts and paths to slots that the pass has gone by, so a pass may leave records behind. Nothing depends
// on it: a region is free when nothing in it is in use, and what is left waits for the next pass.

import {
  CANDIDATE,
  HOST_ANY,
  HOST_PATH_MASK,
  HOST_PATHS,
  HOST_REGEXES,
  hostSize,
  listSize,
  pathSize,
  REGEX_CANDIDATE,
  type Tables,
  tableSize,
} from "./tables.ts";

/** Steps between two looks at the clock: a few microseconds. */
const STEPS = 16;

/** Passes in a row, of which each makes room for the next one; more would be for nothing. */
const PASSES_MAX = 16;

export class Compaction {
  private isRunning = false;
  /** The next host, by its slot; -1 is any host. */
  private hostSlot = -1;
  /** The next slot of that host's paths; -1 before the host's own record. */
  private pathSlot = -1;
  /** Whether the pass has moved anything, and how many there have been in a row. */
  private hasMoved = false;
  private passes = 0;
  /** The arena's count of words given back from which on a pass is worth its while. */
  private waitsFor = 0;

  constructor(private readonly tables: Tables) {}

  /** Whether there is something to do. */
  get isDue(): boolean {
    const { arena } = this.tables;
    return arena.isResizing || this.isRunning || (arena.isWasteful && arena.releasedWords >= this.waitsFor);
  }

  /** Works for so many milliseconds, and a few microseconds at least; true if there is more to do. */
  run(budgetMs: number): boolean {
    const end = performance.now() + budgetMs;
    while (this.isDue) {
      this.step();
      if (performance.now() >= end) return this.isDue;
    }
    return false;
  }

  private step(): void {
    const { arena } = this.tables;
    if (arena.isResizing) return arena.advance(1);
    if (!this.isRunning) return this.begin();
    for (let left = STEPS; left > 0; left--) {
      if (!this.moveNext()) return this.end();
    }
  }

  private begin(): void {
    this.tables.arena.condemn();
    this.isRunning = true;
    this.hasMoved = false;
    this.hostSlot = -1;
    this.pathSlot = -1;
  }

  private end(): void {
    const { arena } = this.tables;
    this.isRunning = false;
    arena.acquit();
    if (this.hasMoved && arena.isWasteful && ++this.passes < PASSES_MAX) return;
    this.passes = 0;
    this.waitsFor = arena.releasedWords + (arena.words.length >> 3);
  }

  /** Goes on by a host or by a path; false at the end, and where there is no room to move to. */
  private moveNext(): boolean {
    const { tables: { hosts, anyHost }, hostSlot } = this;
    if (hostSlot > hosts.mask) return false;
    const host = hostSlot < 0 ? anyHost : hosts.words[2 * hostSlot + 1]!;
    if (host !== 0 && this.pathSlot < 0) {
      this.pathSlot = 0;
      return this.moveHost(host);
    }
    if (host !== 0 && this.pathSlot <= this.tables.arena.words[host + HOST_PATH_MASK]!) {
      return this.movePath(this.tables.arena.words[host + HOST_PATHS]! + 2 * this.pathSlot++);
    }
    this.hostSlot++;
    this.pathSlot = -1;
    return true;
  }

  /** Moves the record of a host, its lists and its table. */
  private moveHost(host: number): boolean {
    const { tables, hostSlot } = this;
    const { arena } = tables;
    const to = this.move(host, hostSize(arena.words, host));
    if (to === 0) return false;
    if (hostSlot < 0) tables.anyHost = to;
    else tables.hosts.words[2 * hostSlot + 1] = to;
    const { words } = arena;
    return this.moveChild(to + HOST_PATHS, tableSize(words[to + HOST_PATH_MASK]!)) &&
      this.moveChild(to + HOST_ANY, listSize(words, words[to + HOST_ANY]!, CANDIDATE)) &&
      this.moveChild(to + HOST_REGEXES, listSize(words, words[to + HOST_REGEXES]!, REGEX_CANDIDATE));
  }

  private movePath(slot: number): boolean {
    const { words } = this.tables.arena;
    const record = words[slot + 1]!;
    return record === 0 || this.moveChild(slot + 1, pathSize(words, record));
  }

  /** Moves the record that a word points at, if it does. */
  private moveChild(pointer: number, size: number): boolean {
    const { arena } = this.tables;
    const record = arena.words[pointer]!;
    if (record === 0) return true;
    const to = this.move(record, size);
    if (to !== 0 && to !== record) arena.patch(pointer, to);
    return to !== 0;
  }

  /** Where a record is afterwards; 0 if there is no room for it elsewhere. */
  private move(record: number, size: number): number {
    const { arena } = this.tables;
    if (!arena.isCondemned(record, size)) return record;
    const to = arena.tryReserve(size);
    if (to === 0) return 0;
    arena.words.copyWithin(to, record, record + size);
    arena.release(record, size);
    this.hasMoved = true;
    return to;
  }
}
