// The vocabulary in which the schema is written. A shape says what a value in the file may be and what it becomes in the
// state; a key is a shape with its documentation and its default. Everything else is derived by walking shapes: checking
// (check.ts), the JSON Schema (json_schema.ts) and CONFIGURATION.md (reference.ts).
//
// Shapes are plain data and not a general-purpose schema library, for three reasons: durations, sizes and addresses are
// kinds of their own here, so that errors, bounds and documents speak of them in their own notation; nothing has to be
// loaded for it when a process starts; and the type of the checked value is still inferred, so that a schema which
// disagrees with `State` does not compile.

export interface CountShape {
  kind: "count";
  min: number;
  max: number;
}

/** Milliseconds in the state, "10s" in the file. */
export interface DurationShape {
  kind: "duration";
  min: number;
  max: number;
}

/** Bytes in the state, "16KiB" or a plain number in the file. */
export interface SizeShape {
  kind: "size";
  min: number;
  max: number;
}

export interface FlagShape {
  kind: "flag";
}

export interface ChoiceShape {
  kind: "choice";
  words: readonly string[];
}

/** Text that `parse` turns into its canonical form; it throws a FormatError for what it refuses. */
export interface TextShape {
  kind: "text";
  /** Completes "expected …" where the value is no text at all. */
  expected: string;
  parse: (text: string) => string;
  /** What the JSON Schema says of it, where a pattern can say something. */
  pattern?: string;
  /** How the file writes what is "" in the state, if it is written otherwise. */
  empty?: string;
  /** Never shown, not even to say what is wrong with it. */
  secret?: true;
}

export interface ListShape {
  kind: "list";
  of: Shape;
  /** "set" sorts the list and drops repeats; "any" keeps the order, which means nothing when states are compared. */
  order: "kept" | "set" | "any";
}

/** Objects by name. */
export interface MapShape {
  kind: "map";
  name: TextShape;
  of: Shape;
  /** What stands for the name in documents, e.g. NAME. */
  label: string;
  order: "kept" | "sorted";
}

export interface ObjectShape {
  kind: "object";
  keys: Readonly<Record<string, Key<unknown>>>;
}

/** Objects that the file has as a list, each with its name in it, and the state by name. */
export interface TableShape {
  kind: "table";
  name: TextShape;
  /** What the state has. */
  of: ObjectShape;
  /** What the file has: the same, and `name`. */
  item: ObjectShape;
  /** The name of an item that says none; undefined if it must say one. */
  nameOf: (item: Record<string, unknown>) => string | undefined;
}

/** A word (or truth value) that may stand instead of the rest, and what it means in the state. */
export interface WordShape {
  kind: "word";
  word: string | boolean;
  means: unknown;
  or: Shape;
  /** An empty value is the word, too, and states are compared key by key where both have an object. */
  optional?: true;
}

/** An object that may be written as the text of one of its keys alone. */
export interface ShorthandShape {
  kind: "shorthand";
  key: string;
  of: ObjectShape;
}

/** Some keys of an object, for a change: what is not there stays as it is, and null is the default. */
export interface PatchShape {
  kind: "patch";
  of: ObjectShape;
}

export type Shape =
  | CountShape
  | FlagShape
  | DurationShape
  | SizeShape
  | ChoiceShape
  | TextShape
  | ListShape
  | MapShape
  | TableShape
  | ObjectShape
  | WordShape
  | ShorthandShape
  | PatchShape;

/** A shape whose checked value is a T. The field exists for the compiler only. */
export type Of<T> = Shape & { readonly checked?: T };

export interface Documentation {
  /** Sentences. */
  about: string;
  /** What a number counts, where the notation does not say it. */
  unit?: string;
  /** A value as the file has it. */
  example: unknown;
  /** Dotted names of keys. */
  seeAlso?: readonly string[];
  /** A value as the file has it; without it (and without `inherits`) the key must be there. */
  default?: unknown;
  /** The dotted name of the key whose value stands in for this one, which is null then. */
  inherits?: string;
  /** What holds without it, in words, where that depends on other keys of the object: the object's checks fill it in. */
  derived?: string;
  /** Bounds that the shape does not say. */
  bounds?: string;
}

export interface Key<T> extends Documentation {
  shape: Of<T>;
}

/** The upper bound of counts that have no nearer one: far beyond what one worker can hold, and an exact product with any size. */
export const COUNT_MAX = 1_000_000;

export function count(min: number, max: number): Of<number> {
  return { kind: "count", min, max };
}

export function duration(min: number, max: number): Of<number> {
  return { kind: "duration", min, max };
}

export function size(min: number, max: number): Of<number> {
  return { kind: "size", min, max };
}

export function flag(): Of<boolean> {
  return { kind: "flag" };
}

export function choice<const W extends readonly string[]>(...words: W): Of<W[number]> {
  return { kind: "choice", words };
}

export function text(expected: string, parse: (text: string) => string, pattern?: string): TextShape & Of<string> {
  return pattern === undefined ? { kind: "text", expected, parse } : { kind: "text", expected, parse, pattern };
}

/** A text whose canonical form "" is written as `empty`. */
export function textOrEmpty(expected: string, parse: (text: string) => string, empty: string): TextShape & Of<string> {
  return { kind: "text", expected, parse, empty };
}

export function list<T>(of: Of<T>, order: ListShape["order"] = "kept"): Of<T[]> {
  return { kind: "list", of, order };
}

export function map<T>(
  label: string,
  name: TextShape,
  of: Of<T>,
  order: MapShape["order"] = "kept",
): Of<Record<string, T>> {
  return { kind: "map", name, of, label, order };
}

type Checked<K> = { -readonly [P in keyof K]: K[P] extends Key<infer T> ? T : never };

export function object<K extends Record<string, Key<unknown>>>(keys: K): ObjectShape & Of<Checked<K>> {
  return { kind: "object", keys };
}

export function wordOr<const M, T>(word: string | boolean, means: M, or: Of<T>): Of<M | T> {
  return { kind: "word", word, means, or };
}

/** An object that may be missing as a whole, which is null in the state. */
export function optional<T>(word: string, or: ObjectShape & Of<T>): Of<T | null> {
  return { kind: "word", word, means: null, or, optional: true };
}

export function table<T>(
  name: Key<string> & { shape: TextShape },
  of: ObjectShape & Of<T>,
  nameOf: TableShape["nameOf"],
): Of<Record<string, T>> {
  return { kind: "table", name: name.shape, of, item: { kind: "object", keys: { name, ...of.keys } }, nameOf };
}

export function shorthand<T>(key: string, of: ObjectShape & Of<T>): Of<T> {
  return { kind: "shorthand", key, of };
}

export function patch<T>(of: ObjectShape & Of<T>): PatchShape & Of<Partial<T>> {
  return { kind: "patch", of };
}

export function key<T>(shape: Of<T>, documentation: Documentation): Key<T> {
  return { shape, ...documentation };
}
