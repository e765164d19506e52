// The way back from a state to what a file says: durations and sizes as text, and what is the default left out. Loading
// the result gives the same state again. Derived from the schema, as the way in is.

import { Checker } from "./check.ts";
import { STATE } from "./schema.ts";
import type { Key, ObjectShape, Shape, ShorthandShape, TableShape } from "./shape.ts";
import type { State } from "./state.ts";
import { formatDuration, formatSize } from "./units.ts";

/** A state as plain values that can be written as YAML or JSON; what is the default is left out. O(size of the state). */
export function toFile(state: State): Record<string, unknown> {
  return shortForm(STATE, state) as Record<string, unknown>;
}

/** A value of this shape as the file has it, without what is the default. */
export function shortForm(shape: Shape, value: unknown): unknown {
  return new Writer(false).write(shape, value);
}

/** A value of this shape as the file has it, with everything; null where it takes something from elsewhere. */
export function fullForm(shape: Shape, value: unknown): unknown {
  return new Writer(true).write(shape, value);
}

class Writer {
  /** `isFull`: nothing is left out. */
  constructor(private readonly isFull: boolean) {}

  write(shape: Shape, value: unknown): unknown {
    if (value === null && shape.kind !== "word") return null;
    switch (shape.kind) {
      case "duration":
        return formatDuration(value as number);
      case "size":
        return sizeForm(value as number);
      case "text":
        return value === "" ? shape.empty ?? value : value;
      case "list":
        return (value as unknown[]).map((item) => this.write(shape.of, item));
      case "map":
        return this.record(Object.entries(value as object).map(([name, item]) => [name, this.write(shape.of, item)]));
      case "table":
        return Object.entries(value as object).map(([name, item]) => this.tableItem(shape, name, item));
      case "object":
        return this.object(shape, value as Record<string, unknown>);
      case "word":
        return value === shape.means ? shape.word : this.write(shape.or, value);
      case "shorthand":
        return this.shorthand(shape, value as Record<string, unknown>);
      default:
        return value;
    }
  }

  private object(shape: ObjectShape, value: Record<string, unknown>): Record<string, unknown> {
    const entries: [string, unknown][] = [];
    for (const [name, key] of Object.entries(shape.keys)) {
      const written = this.key(key, value[name]);
      if (written !== undefined) entries.push([name, written]);
    }
    return this.record(entries);
  }

  /** `undefined` for what is left out. */
  private key(key: Key<unknown>, value: unknown): unknown {
    if (value === undefined) return undefined;
    const written = this.write(key.shape, value);
    if (this.isFull) return written;
    if (key.inherits !== undefined && value === null) return undefined;
    if (key.derived !== undefined && (value === null || isEmpty(written))) return undefined;
    return key.default !== undefined && isSameForm(written, defaultForm(key)) ? undefined : written;
  }

  /** Its name is left out where it goes without saying. */
  private tableItem(shape: TableShape, name: string, item: Record<string, unknown>): Record<string, unknown> {
    const isImplied = !this.isFull && shape.nameOf(item) === name;
    return { ...(isImplied ? {} : { name }), ...this.object(shape.of, item) };
  }

  /** The text alone, if there is nothing beside it. */
  private shorthand(shape: ShorthandShape, value: Record<string, unknown>): unknown {
    const written = this.object(shape.of, value);
    const names = Object.keys(written);
    return names.length === 1 && names[0] === shape.key ? written[shape.key] : written;
  }

  /** Names of header fields may be any, even `__proto__`. */
  private record(entries: [string, unknown][]): Record<string, unknown> {
    return Object.fromEntries(entries);
  }
}

/** A number of bytes without a unit is a number in the file, too. */
function sizeForm(bytes: number): string | number {
  const text = formatSize(bytes);
  return text === String(bytes) ? bytes : text;
}

function isEmpty(form: unknown): boolean {
  return typeof form === "object" && form !== null && Object.keys(form).length === 0;
}

function isSameForm(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && JSON.stringify(a) === JSON.stringify(b));
}

/** The default of each key in the form in which it would be written. */
const defaults = new WeakMap<Key<unknown>, { form: unknown }>();

function defaultForm(key: Key<unknown>): unknown {
  let known = defaults.get(key);
  if (!known) {
    const value = new Checker().check(key.shape, key.default);
    defaults.set(key, known = { form: new Writer(false).write(key.shape, value) });
  }
  return known.form;
}
