// One text for each state: two files that mean the same have the same text, whatever their spelling, the order of their
// keys, of their routes (which does not matter to the router) and of the backends in a cluster (each of which has a name
// of its own, its address). The schema says what has no order.

import { STATE } from "./schema.ts";
import type { ListShape, MapShape, ObjectShape, Shape, TableShape } from "./shape.ts";
import type { State } from "./state.ts";

/** JSON without space, with the keys of all objects in order. O(n log n). */
export function canonicalJson(state: State): string {
  return canonicalText(STATE, state);
}

/** The canonical text of a value of this shape. */
export function canonicalText(shape: Shape, value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  switch (shape.kind) {
    case "object":
      return objectText(shape, value as Record<string, unknown>);
    case "map":
    case "table":
      return mapText(shape, value as Record<string, unknown>);
    case "list":
      return listText(shape, value as unknown[]);
    case "word":
      return canonicalText(shape.or, value);
    case "shorthand":
      return canonicalText(shape.of, value);
    default:
      return JSON.stringify(value);
  }
}

/** True if two values of this shape mean the same. */
export function isSame(shape: Shape, a: unknown, b: unknown): boolean {
  return a === b || canonicalText(shape, a) === canonicalText(shape, b);
}

/** The keys of each object of the schema in order, each with its quotes and colon. */
const sortedKeys = new WeakMap<ObjectShape, (readonly [name: string, text: string, shape: Shape])[]>();

function keysOf(shape: ObjectShape) {
  let keys = sortedKeys.get(shape);
  if (!keys) {
    const entries = Object.entries(shape.keys).sort(([a], [b]) => (a < b ? -1 : 1));
    keys = entries.map(([name, key]) => [name, `${JSON.stringify(name)}:`, key.shape] as const);
    sortedKeys.set(shape, keys);
  }
  return keys;
}

function objectText(shape: ObjectShape, value: Record<string, unknown>): string {
  let text = "";
  for (const [name, prefix, inner] of keysOf(shape)) {
    text += `${text === "" ? "" : ","}${prefix}${canonicalText(inner, value[name])}`;
  }
  return `{${text}}`;
}

function mapText(shape: MapShape | TableShape, value: Record<string, unknown>): string {
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalText(shape.of, value[name])}`).join(",")}}`;
}

function listText(shape: ListShape, value: unknown[]): string {
  const texts = value.map((item) => canonicalText(shape.of, item));
  return `[${(shape.order === "any" ? texts.sort() : texts).join(",")}]`;
}
