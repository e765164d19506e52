// Why a piece of text was refused: what was expected of it, and what could be written instead. The small formats
// (durations, sizes, addresses, networks, hosts, paths) throw it; the checker adds the place and the key.

export class FormatError extends Error {
  override name = "FormatError";
  /** `expected` completes "expected …"; `hint` is a clause of its own, or "" if there is nothing to advise. */
  constructor(readonly expected: string, readonly text: string, readonly hint = "") {
    super(`expected ${expected}, got ${quote(text)}${hint && `; ${hint}`}`);
  }
}

const QUOTED_MAX = 60;

/** A text as errors show it: in quotes, with escapes, and cut where it is long. A private key is never shown. */
export function quote(text: string): string {
  if (text.includes("PRIVATE KEY")) return "a private key";
  return JSON.stringify(text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text);
}
