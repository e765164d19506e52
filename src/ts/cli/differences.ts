// What differs between two states, as lines for people: `+ ~ -`, an object a line, and its fields below it.

import type { Difference, FieldDifference } from "../config/difference.ts";
import { paint, shown, visible } from "./output.ts";

const COLORS = { "+": "green", "~": "yellow", "-": "red" } as const;

/** "" for no differences. */
export function differenceText(differences: readonly Difference[]): string {
  return differences.map(lines).join("\n");
}

function lines({ sign, object, name, cluster, fields }: Difference): string {
  const title = [sign, object, visible(name), cluster && `of cluster ${cluster}`].filter((word) => word !== "").join(
    " ",
  );
  return [paint(COLORS[sign], title), ...fields.map((field) => `    ${fieldText(sign, field)}`)].join("\n");
}

function fieldText(sign: Difference["sign"], { field, before, after }: FieldDifference): string {
  if (sign === "+") return `${field}: ${valueText(after)}`;
  if (sign === "-") return `${field}: ${valueText(before)}`;
  return `${field}: ${paint("red", valueText(before))} -> ${paint("green", valueText(after))}`;
}

function valueText(value: unknown): string {
  if (value === null) return "nothing";
  if (!Array.isArray(value)) return shown(value);
  return value.length === 0 ? "[]" : value.map(shown).join(", ");
}

/** `2 added, 1 changed, 1 removed`. */
export function differenceCounts(differences: readonly Difference[]): string {
  const words = { "+": "added", "~": "changed", "-": "removed" } as const;
  const counts = (Object.keys(words) as Difference["sign"][]).map((sign) => {
    const count = differences.filter((difference) => difference.sign === sign).length;
    return count === 0 ? "" : `${count} ${words[sign]}`;
  });
  return counts.filter((count) => count !== "").join(", ");
}
