// Which known name somebody meant who wrote another one: the nearest by edits of single characters (insert, delete,
// replace, swap of neighbours: the optimal string alignment distance), if it is near enough to be worth saying.

/** The nearest of `known` within a third of the word's length, else undefined. O(known × length²). */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const lower = word.slice(0, WORD_LENGTH_MAX).toLowerCase();
  let allowed = Math.max(1, Math.floor(lower.length / 3));
  let best: string | undefined;
  for (const name of known) {
    if (Math.abs(name.length - lower.length) > allowed) continue;
    const edits = distance(lower, name.toLowerCase());
    if (edits > allowed || (edits === allowed && best !== undefined)) continue;
    best = name;
    allowed = edits;
    if (edits === 0) break;
  }
  return best;
}

const WORD_LENGTH_MAX = 64;

function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let least = Math.min(row[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, before[j - 2]! + 1);
      row.push(least);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length]!;
}
