// A seeded generator of numbers for tests: a failure names its seed, and the same seed repeats it. mulberry32, which is
// enough for choosing where to split bytes and how long to wait; nothing here is for secrets.

export interface Random {
  /** A number from 0 (included) to `bound` (not included). */
  below(bound: number): number;
  /** A number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** `count` bytes. */
  bytes(count: number): Uint8Array<ArrayBuffer>;
}

export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (bound: number): number => Math.floor(next() / 0x1_0000_0000 * bound);
  return {
    below,
    between: (low, high) => low + below(high - low + 1),
    bytes(count) {
      const bytes = new Uint8Array(count);
      for (let at = 0; at < count; at++) bytes[at] = next() & 255;
      return bytes;
    },
  };
}

/** A seed that follows from a text, e.g. a vector's name (FNV-1a). */
export function seedOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** Cuts `bytes` into one to nine pieces at places that the generator chooses. */
export function splitAtRandom(bytes: Uint8Array, random: Random): Uint8Array[] {
  const cuts = new Set<number>();
  for (let left = random.below(9); left > 0; left--) cuts.add(random.below(bytes.length));
  cuts.delete(0);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    pieces.push(bytes.subarray(from, cut));
    from = cut;
  }
  pieces.push(bytes.subarray(from));
  return pieces;
}
