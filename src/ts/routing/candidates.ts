// Lists of candidates: the rules that come are put among those that stay, in the order in which rules are tried. The list
// that is in force is in order already, so a place is found by halving, and a list of thousands costs a copy of its words
// and a dozen comparisons.

import type { CANDIDATE } from "./answers.ts";
import type { GroupEdit } from "./edits.ts";
import { PathRegex } from "./path_regex.ts";
import type { PreparedChange } from "./prepared.ts";
import { type CanonicalRule, canonicalRule, saysTheSame } from "./rule.ts";
import { REGEX_CANDIDATE, type Tables } from "./tables.ts";

type Compare = (a: CanonicalRule, b: CanonicalRule) => number;

/** Candidates that are in force: where they begin, how many they are, and how many words each has. */
export interface Candidates {
  at: number;
  count: number;
  stride: typeof CANDIDATE | typeof REGEX_CANDIDATE;
}

export class CandidateWriter {
  private readonly canonical = new Map<number, CanonicalRule>();

  constructor(private readonly tables: Tables, private readonly prepared: PreparedChange) {}

  /** How many of the candidates stay. */
  countKept({ at, count, stride }: Candidates, removed: GroupEdit["removed"]): number {
    if (removed.size === 0) return count;
    const { words } = this.tables.arena;
    let kept = 0;
    for (let i = 0; i < count; i++) if (!removed.has(words[at + stride * i]!)) kept++;
    return kept;
  }

  /**
   * Writes what a list becomes to the word `to` and what follows, which is reserved; `added` is in order. Throws a
   * RouteError if a rule says the same as one that stays.
   */
  write(
    to: number,
    old: Candidates,
    added: readonly CanonicalRule[],
    removed: GroupEdit["removed"],
    compare: Compare,
  ): void {
    let done = 0;
    for (const rule of added) {
      const place = old.count === 0 ? 0 : this.placeOf(rule, old, done, removed, compare);
      to = this.copyKept(to, old, done, place, removed);
      done = place;
      this.writeNew(to, rule, old.stride);
      to += old.stride;
    }
    this.copyKept(to, old, done, old.count, removed);
  }

  /** Number of the first candidate from `first` on that does not come before a rule. */
  private placeOf(
    rule: CanonicalRule,
    { at, count, stride }: Candidates,
    first: number,
    removed: GroupEdit["removed"],
    compare: Compare,
  ): number {
    const { words } = this.tables.arena;
    let end = count;
    while (first < end) {
      const middle = (first + end) >> 1;
      if (compare(this.canonicalOf(words[at + stride * middle]!), rule) < 0) first = middle + 1;
      else end = middle;
    }
    if (first === count) return first;
    const next = this.canonicalOf(words[at + stride * first]!);
    if (compare(next, rule) === 0 && !removed.has(next.index)) throw saysTheSame(rule, next);
    return first;
  }

  private canonicalOf(id: number): CanonicalRule {
    let rule = this.canonical.get(id);
    if (!rule) this.canonical.set(id, rule = canonicalRule(this.tables.rules.get(id)!, id));
    return rule;
  }

  /** Copies the candidates from `first` to before `end` that stay; gives where the next one goes. */
  private copyKept(to: number, old: Candidates, first: number, end: number, removed: GroupEdit["removed"]): number {
    const { at, stride } = old;
    const { words } = this.tables.arena;
    if (removed.size === 0) {
      words.copyWithin(to, at + stride * first, at + stride * end);
      return to + stride * (end - first);
    }
    for (let from = at + stride * first; from < at + stride * end; from += stride) {
      const regex = stride === REGEX_CANDIDATE ? words[from + 2]! : 0;
      if (removed.has(words[from]!)) {
        this.prepared.drop(words[from + 1]!, regex);
        continue;
      }
      words[to] = words[from]!;
      words[to + 1] = words[from + 1]!;
      if (regex !== 0) words[to + 2] = regex;
      to += stride;
    }
    return to;
  }

  /** Writes the candidate of a rule that comes. */
  writeNew(to: number, rule: CanonicalRule, stride: number): void {
    const { arena: { words }, conditions, regexes } = this.tables;
    const condition = conditions.of(rule);
    this.prepared.acquire(condition, 0);
    words[to] = rule.index;
    words[to + 1] = condition;
    if (stride !== REGEX_CANDIDATE) return;
    const regex = regexes.acquire(rule.path, () => PathRegex.compile(rule.path, rule.index));
    this.prepared.acquire(0, regex);
    words[to + 2] = regex;
  }

  /** Gives back what the candidates of a list hold that goes as a whole. */
  dropAll({ at, count, stride }: Candidates): void {
    const { words } = this.tables.arena;
    for (let i = 0; i < count; i++, at += stride) {
      this.prepared.drop(words[at + 1]!, stride === REGEX_CANDIDATE ? words[at + 2]! : 0);
    }
  }
}
