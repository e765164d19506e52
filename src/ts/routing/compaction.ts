// Regains the gaps that changes leave in the arena: a pass goes through all paths and all hosts and moves the records that lie
// in sparse regions. It is made in small steps between lookups and changes; after each step every record is in its place.
//
// Changes may move hosts and paths to slots that the pass has gone by, so a pass may leave records behind. Nothing depends
// on it: a region is free when nothing in it is in use, and what is left waits for the next pass.

import { listAnswer, listOf, listSize } from "./answers.ts";
import { pathSize } from "./paths.ts";
import {
  HOST_ANY,
  HOST_REGEXES,
  HOST_TABLE,
  HOST_TABLE_MASK,
  hostSize,
  regexListSize,
  type Tables,
  tableSize,
} from "./tables.ts";

/** Steps between two looks at the clock: a few microseconds. */
const STEPS = 16;

/** Passes in a row, of which each makes room for the next one; more would be for nothing. */
const PASSES_MAX = 16;

export class Compaction {
  private isRunning = false;
  /** The next slot of the table of the paths; they come before the hosts. */
  private pathSlot = 0;
  /** The next host, by its slot; -1 is any host. */
  private hostSlot = -1;
  /** The next slot of that host's table; -1 before the host's own record. */
  private answerSlot = -1;
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
    this.pathSlot = 0;
    this.hostSlot = -1;
    this.answerSlot = -1;
  }

  private end(): void {
    const { arena } = this.tables;
    this.isRunning = false;
    arena.acquit();
    if (this.hasMoved && arena.isWasteful && ++this.passes < PASSES_MAX) return;
    this.passes = 0;
    this.waitsFor = arena.releasedWords + (arena.words.length >> 3);
  }

  /** Goes on by a path, a host or an answer; false at the end, and where there is no room to move to. */
  private moveNext(): boolean {
    const { tables: { arena, paths, hosts, anyHost }, hostSlot } = this;
    if (this.pathSlot <= paths.slots.mask) return this.movePath(2 * this.pathSlot++ + 1);
    if (hostSlot > hosts.mask) return false;
    const host = hostSlot < 0 ? anyHost : hosts.words[2 * hostSlot + 1]!;
    if (host !== 0 && this.answerSlot < 0) {
      this.answerSlot = 0;
      return this.moveHost(host);
    }
    if (host !== 0 && this.answerSlot <= arena.words[host + HOST_TABLE_MASK]!) {
      return this.moveAnswer(arena.words[host + HOST_TABLE]! + 2 * this.answerSlot++ + 1);
    }
    this.hostSlot++;
    this.answerSlot = -1;
    return true;
  }

  private movePath(pointer: number): boolean {
    const { arena: { words }, paths: { slots } } = this.tables;
    const record = slots.get(pointer);
    if (record === 0) return true;
    const to = this.move(record, pathSize(words, record));
    if (to !== 0) slots.set(pointer, to);
    return to !== 0;
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
    return this.moveChild(to + HOST_TABLE, tableSize(words[to + HOST_TABLE_MASK]!)) &&
      this.moveAnswer(to + HOST_ANY) &&
      this.moveChild(to + HOST_REGEXES, regexListSize(words, words[to + HOST_REGEXES]!));
  }

  /** Moves the list of an answer, if it has one. */
  private moveAnswer(pointer: number): boolean {
    const { arena } = this.tables;
    const list = listOf(arena.words[pointer]!);
    if (list === 0) return true;
    const to = this.move(list, listSize(arena.words, list));
    if (to !== 0 && to !== list) arena.patch(pointer, listAnswer(to));
    return to !== 0;
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
