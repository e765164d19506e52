// Where two values of one shape differ, down to single keys and entries; and, from that, the `value` of an update that
// leads from one to the other.

import { isSame } from "./canonical.ts";
import { fullForm } from "./file_form.ts";
import type { ObjectShape, Shape } from "./shape.ts";

export interface FieldChange {
  /** From the object to the key or entry. */
  path: readonly string[];
  shape: Shape;
  /** In canonical form; `undefined` for an entry of a map that is not there. */
  before: unknown;
  after: unknown;
}

/** All keys in which `after` differs from `before`. Lists, and words that stand for a whole object, are not looked into. */
export function fieldChanges(shape: ObjectShape, before: object, after: object): FieldChange[] {
  const changes: FieldChange[] = [];
  collect(shape, before, after, [], changes);
  return changes;
}

function collect(shape: Shape, before: unknown, after: unknown, path: readonly string[], into: FieldChange[]): void {
  if (before === after) return;
  if (shape.kind === "word" && shape.optional && before && after) return collect(shape.or, before, after, path, into);
  if (shape.kind === "object" || (shape.kind === "map" && before !== undefined && after !== undefined)) {
    const [from, to] = [before as Record<string, unknown>, after as Record<string, unknown>];
    const names = shape.kind === "object"
      ? Object.keys(shape.keys)
      : new Set([...Object.keys(from), ...Object.keys(to)]);
    for (const name of names) {
      const inner = shape.kind === "object" ? shape.keys[name]!.shape : shape.of;
      collect(inner, own(from, name), own(to, name), [...path, name], into);
    }
  } else if (before === undefined || after === undefined || !isSame(shape, before, after)) {
    into.push({ path, shape, before, after });
  }
}

function own(value: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** The changes as the value of an update, in the form of the file; null ends an entry. */
export function patchOf(changes: readonly FieldChange[]): Record<string, unknown> {
  return nested(changes.map(({ path, shape, after }) => [path, after === undefined ? null : fullForm(shape, after)]));
}

function nested(leaves: (readonly [path: readonly string[], value: unknown])[]): Record<string, unknown> {
  const groups = new Map<string, (readonly [readonly string[], unknown])[]>();
  for (const [[first, ...rest], value] of leaves) {
    const group = groups.get(first!);
    if (group) group.push([rest, value]);
    else groups.set(first!, [[rest, value]]);
  }
  return Object.fromEntries(
    [...groups].map(([name, group]) => [name, group[0]![0].length === 0 ? group[0]![1] : nested(group)]),
  );
}
