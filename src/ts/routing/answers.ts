// What a host has for a path, in one word: nearly always one rule without conditions, whose id stands in the word itself, so
// that a lookup has nothing else to read; otherwise the place of a list of candidates in the arena. 0 is no answer.
//
//   one rule   [ id · 4 + EXACT or PREFIX ]
//   list       [ record · 4 ]  → [ exact count | prefix count | exact candidates… | prefix candidates… ]
//
// The rules for any path of a host are an answer, too, as those of a prefix.

/** What rules an answer has: the path itself, or the path and all below it. */
export const EXACT = 1;
export const PREFIX = 2;

export const LIST_EXACT_COUNT = 0;
export const LIST_PREFIX_COUNT = 1;
export const LIST_CANDIDATES = 2;

/** Words of a candidate in a list. */
export const CANDIDATE = 2;

/** Greater ids have no room in the word. */
const ID_IN_WORD_MAX = 2 ** 30 - 1;

/** Whether a rule with this id can be an answer without a list, if it asks nothing else. */
export function fitsInWord(id: number): boolean {
  return id <= ID_IN_WORD_MAX;
}

export function ruleAnswer(id: number, kind: typeof EXACT | typeof PREFIX): number {
  return (id << 2) | kind;
}

export function listAnswer(list: number): number {
  return list << 2;
}

/** The list of an answer, or 0 if it is one rule, or none. */
export function listOf(answer: number): number {
  return (answer & (EXACT | PREFIX)) === 0 ? answer >>> 2 : 0;
}

/** Words of a list. */
export function listSize(words: Int32Array, list: number): number {
  return LIST_CANDIDATES + CANDIDATE * (words[list + LIST_EXACT_COUNT]! + words[list + LIST_PREFIX_COUNT]!);
}

/** How many rules an answer has of one kind. */
export function ruleCount(words: Int32Array, answer: number, kind: typeof EXACT | typeof PREFIX): number {
  const list = listOf(answer);
  if (list === 0) return (answer & kind) === 0 ? 0 : 1;
  return words[list + (kind === EXACT ? LIST_EXACT_COUNT : LIST_PREFIX_COUNT)]!;
}
