// One text for each state: two files that mean the same have the same text and the same hash, whatever their spelling,
// the order of their keys and the order of their routes (which does not matter to the router). The order of backends is
// kept, since it is the order in which they are asked.

import { createHash } from "node:crypto";
import type { State } from "./state.ts";

/** JSON without space, with the keys of all objects in order. O(n log n). */
export function canonicalJson(state: State): string {
  return objectText(state, (name, value) => {
    const isRoutes = name === "routes" && Array.isArray(value);
    return isRoutes ? `[${value.map(ordered).sort().join(",")}]` : ordered(value);
  });
}

/** SHA-256 of the canonical text, in hexadecimal. */
export function hashState(state: State): string {
  return createHash("sha256").update(canonicalJson(state)).digest("hex");
}

function ordered(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(ordered).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return objectText(value, (_, item) => ordered(item));
}

function objectText(value: object, textOf: (name: string, value: unknown) => string): string {
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([name, item]) => `${JSON.stringify(name)}:${textOf(name, item)}`).join(",")}}`;
}
