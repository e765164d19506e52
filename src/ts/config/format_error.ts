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
/** What a key looks like without the lines around it; paths have more slashes. */
const BASE64_RUN = /[A-Za-z0-9+\/]{32,}/g;
const SLASHES_SHARE_MAX = 0.1;

/**
 * What stands for a text that may be a private key, or a part of one, and is never shown; "" for any other text. A line of a
 * key looks like any long text in base64.
 */
export function secretWord(text: string): string {
  if (text.includes("PRIVATE KEY")) return "a private key";
  if (text.includes("-----BEGIN ")) return "PEM";
  return (text.match(BASE64_RUN) ?? []).some(looksEncoded) ? "a long text in base64" : "";
}

function looksEncoded(run: string): boolean {
  if (!/[a-z]/.test(run) || !/[A-Z]/.test(run) || !/[0-9]/.test(run)) return false;
  return run.split("/").length - 1 <= run.length * SLASHES_SHARE_MAX;
}

/** A text as errors show it: in quotes, with escapes, and cut where it is long. What may be a key is only named. */
export function quote(text: string): string {
  const secret = secretWord(text);
  if (secret !== "") return secret;
  return JSON.stringify(text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}…` : text);
}
