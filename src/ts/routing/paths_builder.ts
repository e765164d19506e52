// How the paths of a host change: each path that an edit names gets another answer, or none, and the table of the paths is
// changed in its place when its size still fits, as a list of words to patch. So one more path among thousands costs what
// one among ten does.

import type { AnswerBuilder } from "./answer_builder.ts";
import { EXACT, PREFIX, ruleCount } from "./answers.ts";
import type { GroupEdit } from "./edits.ts";
import { depthBitOf, depthOf, PATH_KEY } from "./paths.ts";
import type { PreparedChange } from "./prepared.ts";
import { copySlots, eraseSlot, insertSlot, nextSlotCount, replaceSlot, type SlotWords } from "./slots.ts";
import {
  HOST_EXACT_DEPTHS,
  HOST_PATH_COUNT,
  HOST_PREFIX_DEPTHS,
  HOST_TABLE,
  HOST_TABLE_MASK,
  type Tables,
  tableSize,
} from "./tables.ts";

/** Slots that are looked through for another path as deep as one that goes: some 50 µs. */
const SEARCHED_SLOTS_MAX = 2048;

/** A path that an edit names. */
interface Target {
  path: string;
  edit: GroupEdit;
  /** Its record, or 0 if no host has it. */
  record: number;
  /** Its answer in force, or 0. */
  old: number;
  stays: boolean;
}

/** A table as it will be, and the words that it is changed through. */
interface PathTable {
  words: SlotWords;
  at: number;
  mask: number;
}

export class PathsBuilder {
  /** The words of records that nothing points at yet. */
  private readonly fresh: SlotWords;
  // Depths, as sets, at which the paths being changed have had rules, and have some now.
  private had = { exact: 0, prefix: 0 };
  private have = { exact: 0, prefix: 0 };

  constructor(
    private readonly tables: Tables,
    private readonly prepared: PreparedChange,
    private readonly answers: AnswerBuilder,
  ) {
    const { arena } = tables;
    this.fresh = { get: (at) => arena.words[at]!, set: (at, value) => arena.words[at] = value };
  }

  /** Changes the words of a host's record that tell of its paths. */
  build(fields: Int32Array, edits: Map<string, GroupEdit>): void {
    if (edits.size === 0) return;
    const targets = this.targetsOf(fields, edits);
    const count = targets.reduce(
      (sum, { old, stays }) => sum + (stays ? 1 : 0) - (old !== 0 ? 1 : 0),
      fields[HOST_PATH_COUNT]!,
    );
    const table = this.openTable(fields, count, targets);
    this.had = { exact: 0, prefix: 0 };
    this.have = { exact: 0, prefix: 0 };
    for (const target of targets) this.change(table, target);
    fields[HOST_EXACT_DEPTHS] = this.depths(fields[HOST_EXACT_DEPTHS]!, table, "exact");
    fields[HOST_PREFIX_DEPTHS] = this.depths(fields[HOST_PREFIX_DEPTHS]!, table, "prefix");
    fields[HOST_TABLE] = table.at;
    fields[HOST_TABLE_MASK] = table.mask;
    fields[HOST_PATH_COUNT] = count;
  }

  /** The paths that the edits name; those that go come first, so that the others find room. */
  private targetsOf(fields: Int32Array, edits: Map<string, GroupEdit>): Target[] {
    const { tables } = this;
    const targets: Target[] = [];
    const going: Target[] = [];
    for (const [path, edit] of edits) {
      const record = tables.paths.find(path);
      const old = record === 0
        ? 0
        : tables.findAnswer(fields[HOST_TABLE]!, fields[HOST_TABLE_MASK]!, this.keyOf(record));
      const stays = this.answers.countAfter(old, edit) > 0;
      (stays ? targets : going).push({ path, edit, record, old, stays });
    }
    return going.length === 0 ? targets : [...going, ...targets];
  }

  private keyOf(record: number): number {
    return this.tables.arena.words[record + PATH_KEY]!;
  }

  /** The table in force, or a new one of the size that so many paths need, which has all that stay. */
  private openTable(fields: Int32Array, count: number, targets: readonly Target[]): PathTable {
    const { prepared, fresh } = this;
    const at = fields[HOST_TABLE]!;
    const mask = fields[HOST_TABLE_MASK]!;
    const before = at === 0 ? 0 : mask + 1;
    const slots = count === 0 ? 0 : nextSlotCount(count, before);
    if (slots === before) return { words: prepared, at, mask };
    if (before > 0) prepared.release(at, tableSize(mask));
    if (slots === 0) return { words: fresh, at: 0, mask: 0 };
    const table = { words: fresh, at: prepared.reserve(tableSize(slots - 1)), mask: slots - 1 };
    if (before > 0) {
      const going = new Set(targets.filter(({ stays }) => !stays).map(({ old }) => old));
      copySlots(fresh, at, mask, going, fresh, table.at, table.mask);
    }
    return table;
  }

  private change(table: PathTable, { path, edit, record, old, stays }: Target): void {
    const { words, at, mask } = table;
    if (old === 0) record = this.prepared.acquirePath(path);
    const key = this.keyOf(record);
    const answer = this.answers.build(old, edit);
    if (!stays) { if (words === this.prepared) eraseSlot(words, at, mask, key, old); }
    else if (old === 0) insertSlot(words, at, mask, key, answer);
    else replaceSlot(words, at, mask, key, old, answer);
    this.noteDepths(depthBitOf(key), old, answer);
    if (old === 0) this.prepared.countPath(depthOf(path), 1);
    if (!stays) this.prepared.countPath(depthOf(path), -1);
    if (!stays) this.prepared.dropPath(record);
  }

  // ---- depths ----

  private noteDepths(bit: number, old: number, answer: number): void {
    const { words } = this.tables.arena;
    if (ruleCount(words, old, EXACT) !== 0) this.had.exact |= bit;
    if (ruleCount(words, old, PREFIX) !== 0) this.had.prefix |= bit;
    if (ruleCount(words, answer, EXACT) !== 0) this.have.exact |= bit;
    if (ruleCount(words, answer, PREFIX) !== 0) this.have.prefix |= bit;
  }

  /** The set of depths of a host as it becomes. */
  private depths(before: number, table: PathTable, kind: "exact" | "prefix"): number {
    const have = this.have[kind];
    const lost = this.had[kind] & ~have;
    return lost === 0 ? before | have : (before & ~lost) | have | this.depthsLeft(table, kind, lost);
  }

  /**
   * Which of the depths other paths have. All of them are taken for there if the table is too large to look through, which
   * costs lookups a probe and nothing else.
   */
  private depthsLeft({ words: table, at, mask }: PathTable, kind: "exact" | "prefix", lost: number): number {
    const { words } = this.tables.arena;
    const end = at + 2 * Math.min(mask + 1, SEARCHED_SLOTS_MAX);
    let left = 0;
    for (let slot = at; slot < end && left !== lost; slot += 2) {
      const answer = table.get(slot + 1);
      if (ruleCount(words, answer, kind === "exact" ? EXACT : PREFIX) === 0) continue;
      left |= lost & depthBitOf(table.get(slot));
    }
    return mask < SEARCHED_SLOTS_MAX ? left : lost;
  }
}
