// Durations and sizes as people write them. A duration always carries a unit, since a bare "10" is read as seconds by
// one person and as milliseconds by the next; a size may be a bare number of bytes. Values are whole milliseconds and
// whole bytes, below 2^53.

import { FormatError } from "./format_error.ts";

const DURATION_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const SIZE_BYTES: Record<string, number> = {
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Sixteen digits hold every number below 2^53; six after the point are exact enough to tell whole results. */
const QUANTITY = /^(\d{1,16}(?:\.\d{1,6})?)(\s*)([A-Za-z]*)$/;

const DURATION = 'a duration such as "500ms", "10s", "5m" or "1h"';
const SIZE = 'a size such as "16KiB", "1MiB" or "10MB"';

/** Regular expressions of what the two parsers accept, for the JSON Schema. */
export const DURATION_PATTERN = "^\\d{1,16}(\\.\\d{1,6})?(ms|s|m|h|d)$";
export const SIZE_PATTERN = "^\\d{1,16}(\\.\\d{1,6})?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$";

/** Milliseconds of a text such as "1.5s"; throws a FormatError. */
export function parseDuration(text: string): number {
  const { amount, unit } = split(text, DURATION, DURATION_MS);
  if (unit === "") throw new FormatError(DURATION, text, `write a unit: "${amount}s" or "${amount}ms"`);
  return whole(amount, DURATION_MS[unit]!, text, "a whole number of milliseconds");
}

/** Bytes of a text such as "16KiB", or of digits alone; throws a FormatError. */
export function parseSize(text: string): number {
  const { amount, unit } = split(text, SIZE, SIZE_BYTES);
  return whole(amount, SIZE_BYTES[unit || "B"]!, text, "a whole number of bytes");
}

function split(text: string, expected: string, units: Record<string, number>): { amount: string; unit: string } {
  const [, amount, space, unit] = QUANTITY.exec(text) ?? [];
  if (amount === undefined || space === undefined || unit === undefined) throw new FormatError(expected, text);
  if (unit !== "" && !Object.hasOwn(units, unit)) {
    const meant = nearestUnit(unit, units);
    throw new FormatError(expected, text, meant ? `did you mean "${amount}${meant}"?` : "");
  }
  if (space !== "") throw new FormatError(expected, text, `write it without space: "${amount}${unit}"`);
  return { amount, unit };
}

/** The unit that somebody meant who wrote it in another case, by its first letter, or as a word. */
function nearestUnit(unit: string, units: Record<string, number>): string | undefined {
  const lower = unit.toLowerCase();
  const names = Object.keys(units);
  const sameLetters = names.find((name) => name.toLowerCase() === lower);
  if (sameLetters) return sameLetters;
  const words: Record<string, string> = { k: "KiB", g: "GiB", t: "TiB", sec: "s", min: "m", hour: "h", day: "d" };
  const word = words[lower.replace(/s$/, "")] ?? (lower === "m" ? "MiB" : lower.startsWith("milli") ? "ms" : undefined);
  return word !== undefined && names.includes(word) ? word : names.find((name) => name === lower[0]);
}

function whole(amount: string, factor: number, text: string, expected: string): number {
  const value = Number(amount) * factor;
  const rounded = Math.round(value);
  // A decimal fraction has no exact double; what is nearer to a whole number than a millionth was written as one.
  if (Math.abs(value - rounded) > 1e-6 * Math.max(1, value * 1e-6)) throw new FormatError(expected, text);
  if (rounded > Number.MAX_SAFE_INTEGER) throw new FormatError("a value below 2^53", text);
  return rounded;
}

/** The shortest text without a fraction that `parseDuration` reads as `ms`. */
export function formatDuration(ms: number): string {
  return ms === 0 ? "0s" : largestUnit(ms, DURATION_MS, ["d", "h", "m", "s", "ms"]);
}

/** The shortest text without a fraction that `parseSize` reads as `bytes`; plain digits below 1 KiB. */
export function formatSize(bytes: number): string {
  return bytes === 0 ? "0" : largestUnit(bytes, SIZE_BYTES, ["TiB", "GiB", "MiB", "KiB"]);
}

function largestUnit(value: number, units: Record<string, number>, names: string[]): string {
  const unit = names.find((name) => value % units[name]! === 0);
  return unit === undefined ? String(value) : `${value / units[unit]!}${unit}`;
}
