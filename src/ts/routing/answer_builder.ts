// How an answer becomes another: the rules that come are put among those that stay. One rule without conditions becomes a
// word, whatever was there before; everything else becomes a new list.

import {
  CANDIDATE,
  EXACT,
  fitsInWord,
  LIST_CANDIDATES,
  LIST_EXACT_COUNT,
  LIST_PREFIX_COUNT,
  listAnswer,
  listOf,
  listSize,
  PREFIX,
  ruleAnswer,
  ruleCount,
} from "./answers.ts";
import type { Candidates, CandidateWriter } from "./candidates.ts";
import type { GroupEdit } from "./edits.ts";
import type { PreparedChange } from "./prepared.ts";
import { type CanonicalRule, compareConditions, sortRules } from "./rule.ts";
import type { Tables } from "./tables.ts";

export class AnswerBuilder {
  constructor(
    private readonly tables: Tables,
    private readonly prepared: PreparedChange,
    private readonly writer: CandidateWriter,
  ) {}

  /** Number of rules that an answer will have. */
  countAfter(old: number, { added, removed }: GroupEdit): number {
    const { words } = this.tables.arena;
    return ruleCount(words, old, EXACT) + ruleCount(words, old, PREFIX) - removed.size + added.length;
  }

  /** What an answer becomes; 0 if no rule is left. */
  build(old: number, edit: GroupEdit): number {
    const { added, removed } = edit;
    if (added.length === 0 && removed.size === 0) return old;
    const isReplaced = this.countAfter(old, edit) === added.length;
    // A rule in a word holds nothing that would have to be given back.
    if (isReplaced && listOf(old) === 0) return this.answerOf(added);
    const before = this.listOf(old);
    const answer = isReplaced && added.length === 0 ? this.dropAll(before) : this.rewrite(before, edit);
    if (listOf(old) !== 0) this.prepared.release(before, listSize(this.tables.arena.words, before));
    return answer;
  }

  private answerOf(rules: CanonicalRule[]): number {
    if (rules.length === 0) return 0;
    return rules.length === 1 ? this.answerOfOne(rules[0]!) : this.rewrite(0, { added: rules, removed: NONE });
  }

  private answerOfOne(rule: CanonicalRule): number {
    const { writer, prepared, tables } = this;
    const isPlain = rule.methods.length === 0 && rule.headers.length === 0;
    if (isPlain && fitsInWord(rule.index)) return ruleAnswer(rule.index, kindOf(rule));
    const list = prepared.reserve(LIST_CANDIDATES + CANDIDATE);
    tables.arena.words[list + (kindOf(rule) === EXACT ? LIST_EXACT_COUNT : LIST_PREFIX_COUNT)] = 1;
    writer.writeNew(list + LIST_CANDIDATES, rule, CANDIDATE);
    return listAnswer(list);
  }

  /** The list of an answer; one that is in the word itself is written to a list that lasts until the commit. */
  private listOf(answer: number): number {
    const list = listOf(answer);
    if (list !== 0) return list;
    const size = LIST_CANDIDATES + CANDIDATE;
    const written = this.prepared.reserve(size);
    this.prepared.release(written, size);
    const { words } = this.tables.arena;
    words[written + ((answer & EXACT) !== 0 ? LIST_EXACT_COUNT : LIST_PREFIX_COUNT)] = 1;
    words[written + LIST_CANDIDATES] = answer >>> 2;
    return written;
  }

  private dropAll(list: number): number {
    this.writer.dropAll(this.exactOf(list));
    this.writer.dropAll(this.prefixOf(list));
    return 0;
  }

  private rewrite(list: number, { added, removed }: GroupEdit): number {
    const { writer, prepared, tables: { arena } } = this;
    const [exact, prefix] = [this.exactOf(list), this.prefixOf(list)];
    const newExact = sortRules(added.filter((rule) => kindOf(rule) === EXACT), compareConditions);
    const newPrefix = sortRules(added.filter((rule) => kindOf(rule) === PREFIX), compareConditions);
    const exactCount = newExact.length + writer.countKept(exact, removed);
    const prefixCount = newPrefix.length + writer.countKept(prefix, removed);
    const size = LIST_CANDIDATES + CANDIDATE * (exactCount + prefixCount);
    const written = prepared.reserve(size);
    arena.words[written + LIST_EXACT_COUNT] = exactCount;
    arena.words[written + LIST_PREFIX_COUNT] = prefixCount;
    const to = written + LIST_CANDIDATES;
    writer.write(to, exact, newExact, removed, compareConditions);
    writer.write(to + CANDIDATE * exactCount, prefix, newPrefix, removed, compareConditions);
    return exactCount + prefixCount === 1 ? this.shortened(written, size) : listAnswer(written);
  }

  /** A list of one rule as a word, if it can be one. */
  private shortened(list: number, size: number): number {
    const { words } = this.tables.arena;
    const [id, condition] = [words[list + LIST_CANDIDATES]!, words[list + LIST_CANDIDATES + 1]!];
    if (condition !== 0 || !fitsInWord(id)) return listAnswer(list);
    this.prepared.release(list, size);
    return ruleAnswer(id, words[list + LIST_EXACT_COUNT] === 1 ? EXACT : PREFIX);
  }

  private exactOf(list: number): Candidates {
    const { words } = this.tables.arena;
    return { at: list + LIST_CANDIDATES, count: list === 0 ? 0 : words[list + LIST_EXACT_COUNT]!, stride: CANDIDATE };
  }

  private prefixOf(list: number): Candidates {
    const { words } = this.tables.arena;
    const { at, count } = this.exactOf(list);
    const own = list === 0 ? 0 : words[list + LIST_PREFIX_COUNT]!;
    return { at: at + CANDIDATE * count, count: own, stride: CANDIDATE };
  }
}

const NONE: ReadonlySet<number> = new Set();

/** A rule for any path is one of the prefix that all paths have. */
function kindOf(rule: CanonicalRule): typeof EXACT | typeof PREFIX {
  return rule.pathKind === "exact" ? EXACT : PREFIX;
}
