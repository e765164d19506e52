// How the paths of a host change: each path that an edit names gets a new record, or none, and the table of the paths is
// changed in its place when its size still fits, as a list of words to patch. So one more path among thousands costs what
// one among ten does.

import type { CandidateWriter } from "./candidates.ts";
import type { GroupEdit } from "./edits.ts";
import { textWords, writeText } from "./hash.ts";
import type { PreparedChange } from "./prepared.ts";
import { type CanonicalRule, compareConditions, sortRules } from "./rule.ts";
import { copySlots, eraseSlot, insertSlot, nextSlotCount, replaceSlot, type SlotWords } from "./slots.ts";
import {
  CANDIDATE,
  depthBit,
  HOST_EXACT_DEPTHS,
  HOST_PATH_COUNT,
  HOST_PATH_MASK,
  HOST_PATHS,
  HOST_PREFIX_DEPTHS,
  PATH_CANDIDATES,
  PATH_EXACT_COUNT,
  PATH_LENGTH,
  PATH_PREFIX_COUNT,
  pathSize,
  pathTextAt,
  type Tables,
  tableSize,
} from "./tables.ts";

/** Slots that are looked through for another path as deep as one that goes: some 50 µs. */
const SEARCHED_SLOTS_MAX = 2048;

/** A path that an edit names. */
interface Target {
  path: string;
  edit: GroupEdit;
  key: number;
  /** Its record in force, or 0. */
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
    private readonly writer: CandidateWriter,
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
    fields[HOST_PATHS] = table.at;
    fields[HOST_PATH_MASK] = table.mask;
    fields[HOST_PATH_COUNT] = count;
  }

  /** The paths that the edits name; those that go come first, so that the others find room. */
  private targetsOf(fields: Int32Array, edits: Map<string, GroupEdit>): Target[] {
    const { tables } = this;
    const { words } = tables.arena;
    const targets: Target[] = [];
    const going: Target[] = [];
    for (const [path, edit] of edits) {
      const key = tables.keyOfPath(path);
      const old = tables.findPath(fields[HOST_PATHS]!, fields[HOST_PATH_MASK]!, key, path);
      const had = old === 0 ? 0 : words[old + PATH_EXACT_COUNT]! + words[old + PATH_PREFIX_COUNT]!;
      const stays = had - edit.removed.size + edit.added.length > 0;
      (stays ? targets : going).push({ path, edit, key, old, stays });
    }
    return going.length === 0 ? targets : [...going, ...targets];
  }

  /** The table in force, or a new one of the size that so many paths need, which has all that stay. */
  private openTable(fields: Int32Array, count: number, targets: readonly Target[]): PathTable {
    const { prepared, fresh } = this;
    const at = fields[HOST_PATHS]!;
    const mask = fields[HOST_PATH_MASK]!;
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

  private change(table: PathTable, target: Target): void {
    const { path, key, old, stays } = target;
    const { words, at, mask } = table;
    const record = this.recordOf(target);
    if (!stays) { if (words === this.prepared) eraseSlot(words, at, mask, key, old); }
    else if (old === 0) insertSlot(words, at, mask, key, record);
    else replaceSlot(words, at, mask, key, old, record);
    this.noteDepths(depthOf(path), old, record);
    if (old !== 0) this.prepared.release(old, pathSize(this.tables.arena.words, old));
  }

  /** The new record of a path, or 0 if no rule is left. */
  private recordOf({ path, edit: { added, removed }, old, stays }: Target): number {
    if (old === 0 && added.length === 1) return this.recordOfOne(path, added[0]!);
    const { writer, tables: { arena } } = this;
    const at = old + PATH_CANDIDATES;
    const exact = { at, count: old === 0 ? 0 : arena.words[old + PATH_EXACT_COUNT]!, stride: CANDIDATE } as const;
    const prefix = {
      at: at + CANDIDATE * exact.count,
      count: old === 0 ? 0 : arena.words[old + PATH_PREFIX_COUNT]!,
      stride: CANDIDATE,
    } as const;
    if (!stays) {
      writer.dropAll(exact);
      writer.dropAll(prefix);
      return 0;
    }
    const newExact = sortRules(added.filter(isExact), compareConditions);
    const newPrefix = newExact.length === added.length ? [] : sortRules(added.filter(isPrefix), compareConditions);
    const exactCount = newExact.length + writer.countKept(exact, removed);
    const prefixCount = newPrefix.length + writer.countKept(prefix, removed);
    const candidates = CANDIDATE * (exactCount + prefixCount);
    const record = this.prepared.reserve(PATH_CANDIDATES + candidates + textWords(path.length));
    const { words } = arena;
    words[record + PATH_LENGTH] = path.length;
    words[record + PATH_EXACT_COUNT] = exactCount;
    words[record + PATH_PREFIX_COUNT] = prefixCount;
    const to = record + PATH_CANDIDATES;
    writer.write(to, exact, newExact, removed, compareConditions);
    writer.write(to + CANDIDATE * exactCount, prefix, newPrefix, removed, compareConditions);
    writeText(words, to + candidates, path);
    return record;
  }

  /** The record of a path with one rule: nearly all of them when a table is compiled. */
  private recordOfOne(path: string, rule: CanonicalRule): number {
    const record = this.prepared.reserve(PATH_CANDIDATES + CANDIDATE + textWords(path.length));
    const { words } = this.tables.arena;
    words[record + PATH_LENGTH] = path.length;
    words[record + (isExact(rule) ? PATH_EXACT_COUNT : PATH_PREFIX_COUNT)] = 1;
    this.writer.writeNew(record + PATH_CANDIDATES, rule, CANDIDATE);
    writeText(words, record + PATH_CANDIDATES + CANDIDATE, path);
    return record;
  }

  // ---- depths ----

  private noteDepths(depth: number, old: number, record: number): void {
    const { words } = this.tables.arena;
    const bit = depthBit(depth);
    if (old === 0) this.prepared.countPath(depth, 1);
    else {
      if (words[old + PATH_EXACT_COUNT] !== 0) this.had.exact |= bit;
      if (words[old + PATH_PREFIX_COUNT] !== 0) this.had.prefix |= bit;
    }
    if (record === 0) this.prepared.countPath(depth, -1);
    else {
      if (words[record + PATH_EXACT_COUNT] !== 0) this.have.exact |= bit;
      if (words[record + PATH_PREFIX_COUNT] !== 0) this.have.prefix |= bit;
    }
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
    const countAt = kind === "exact" ? PATH_EXACT_COUNT : PATH_PREFIX_COUNT;
    const end = at + 2 * Math.min(mask + 1, SEARCHED_SLOTS_MAX);
    let left = 0;
    for (let slot = at; slot < end && left !== lost; slot += 2) {
      const record = table.get(slot + 1);
      if (record !== 0 && words[record + countAt] !== 0) left |= lost & depthBit(this.depthAt(record));
    }
    return mask < SEARCHED_SLOTS_MAX ? left : lost;
  }

  /** Depth of the path of a record. */
  private depthAt(record: number): number {
    const { words, chars } = this.tables.arena;
    const at = 4 * pathTextAt(words, record);
    let depth = 0;
    for (let i = at; i < at + words[record + PATH_LENGTH]!; i++) if (chars[i] === SLASH) depth++;
    return depth;
  }
}

const SLASH = 0x2f;

function isExact(rule: CanonicalRule): boolean {
  return rule.pathKind === "exact";
}

function isPrefix(rule: CanonicalRule): boolean {
  return rule.pathKind === "prefix";
}

function depthOf(path: string): number {
  let depth = 0;
  for (let i = 0; i < path.length; i++) if (path.charCodeAt(i) === SLASH) depth++;
  return depth;
}
