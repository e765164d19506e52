// When a client's connection is too old to take further requests (timeouts.connection_age), so that clients which keep theirs
// for ever come to other workers and hosts now and then.

/** What the oldest may become less than the limit: those that came together shall not come again together. */
const SPREAD = 1 / 8;
/** 2^32 divided by the golden ratio: neighbouring slots fall far from each other. */
const GOLDEN = 0x9e3779b1;

/** Infinity without a limit. */
export function tooOldMs(beganMs: number, ageMs: number, slot: number): number {
  if (ageMs === 0) return Infinity;
  const share = (Math.imul(slot, GOLDEN) >>> 0) / 2 ** 32;
  return beganMs + ageMs * (1 - SPREAD * share);
}
