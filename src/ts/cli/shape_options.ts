// Options for the fields of an object, derived from the schema of the configuration: a key is an option, `pool.idle_timeout`
// is `--pool-idle-timeout`, and a list or a map is an option for one element, which may be given more than once:
// `--backend 10.0.0.1:80=2`, `--header 'X-Beta: 1'`. So the command line can say whatever the file can, and a new key
// of the schema is an option without a word here. Values are checked here as they are in a file.

import { quote } from "../config/format_error.ts";
import { Checker } from "../config/check.ts";
import type { Fields } from "../config/orders.ts";
import { boundsOf } from "../config/reference.ts";
import type { Key, ObjectShape, Shape, ShorthandShape } from "../config/shape.ts";
import type { Arguments, Option } from "./command.ts";
import { UsageError } from "./output.ts";

export interface ShapeOption {
  /** Without the dashes. */
  name: string;
  /** The keys that lead to the field. */
  path: readonly string[];
  key: Key<unknown>;
  /** What one value of the option is. */
  shape: Shape;
  form: "one" | "list" | "map";
  /** What documents call its value. */
  value: string;
}

/** The options of an object, in the order of its keys. */
export function shapeOptions({ keys }: ObjectShape, path: readonly string[] = []): ShapeOption[] {
  return Object.entries(keys).flatMap(([name, key]) => fieldOptions([...path, name], key, key.shape));
}

function fieldOptions(path: readonly string[], key: Key<unknown>, shape: Shape): ShapeOption[] {
  const name = path.join("-").replaceAll("_", "-");
  switch (shape.kind) {
    case "object":
      return shapeOptions(shape, path);
    case "list":
      return [{ name: singular(name), path, key, shape: shape.of, form: "list", value: valueName(shape.of) }];
    case "map":
      return [{ name: singular(name), path, key, shape, form: "map", value: `${shape.label}=${valueName(shape.of)}` }];
    case "word":
      if (shape.or.kind !== "object") break;
      return [
        { name, path, key, shape, form: "one", value: String(shape.word) },
        ...fieldOptions(path, key, shape.or),
      ];
  }
  return [{ name, path, key, shape, form: "one", value: valueName(shape) }];
}

function singular(name: string): string {
  return name.endsWith("ies") ? `${name.slice(0, -3)}y` : name.replace(/s$/, "");
}

function valueName(shape: Shape): string {
  switch (shape.kind) {
    case "count":
      return "N";
    case "duration":
      return "TIME";
    case "size":
      return "SIZE";
    case "flag":
      return "true|false";
    case "choice":
      return shape.words.join("|");
    case "word":
      return `${shape.word}|${valueName(shape.or)}`;
    case "shorthand":
      return `${shape.key.toUpperCase()}${secondKeys(shape).map((key) => `[=${key.toUpperCase()}]`).join("")}`;
    default:
      return "TEXT";
  }
}

/** What may be written behind the key of a shorthand, which is one number. */
function secondKeys({ key, of }: ShorthandShape): string[] {
  return Object.keys(of.keys).filter((name) => name !== key && of.keys[name]!.shape.kind === "count").slice(0, 1);
}

/** As a command declares them. */
export function declared(options: readonly ShapeOption[], withDefaults = true): Record<string, Option> {
  return Object.fromEntries(options.map((option) => [option.name, declaredOption(option, withDefaults)]));
}

function declaredOption({ key, shape, form, value, path }: ShapeOption, withDefault: boolean): Option {
  const option: Option = { value, about: aboutOf(key, form, withDefault) };
  const inner = shape.kind === "word" ? shape.or : shape;
  if (form !== "one") option.repeated = true;
  if (inner.kind === "text" && form === "one") option.empty = true;
  if (inner.kind === "choice") option.words = inner.words;
  else if (inner.kind === "flag") option.words = ["true", "false"];
  else if (shape.kind === "word") option.words = wordsOf(shape);
  else if (path.at(-1) === "cluster") option.words = "cluster";
  return option;
}

function wordsOf(shape: Shape): string[] {
  return shape.kind === "word" ? [String(shape.word), ...wordsOf(shape.or)] : [];
}

/** The first sentence of the schema, and what may be given. */
function aboutOf(key: Key<unknown>, form: ShapeOption["form"], withDefault: boolean): string {
  const sentence = /^.*?[.;:](?=\s|$)/s.exec(key.about)?.[0].slice(0, -1) ?? key.about;
  const notes = [];
  const bounds = key.shape.kind === "choice" || key.shape.kind === "flag" ? "" : boundsOf(key).replaceAll("`", "");
  if (bounds !== "") notes.push(bounds);
  if (form !== "one") notes.push("may be repeated");
  if (withDefault && key.inherits !== undefined) notes.push(`default: that of ${key.inherits}`);
  if (withDefault && ["string", "number", "boolean"].includes(typeof key.default)) {
    notes.push(`default: ${key.default}`);
  }
  return notes.length === 0 ? sentence : `${sentence} (${notes.join("; ")})`;
}

/** The fields that were given, nested as in the file. Throws a UsageError for a value that the schema refuses. */
export function fieldsFrom(options: readonly ShapeOption[], { values, lists }: Arguments): Fields {
  const fields: Record<string, unknown> = {};
  for (const option of options) {
    const given = option.form === "one" ? values[option.name] : lists[option.name];
    if (given !== undefined) put(fields, option, fieldValue(option, given));
  }
  return fields;
}

function fieldValue(option: ShapeOption, given: string | string[]): unknown {
  if (typeof given === "string") return checked(option, option.shape, given);
  if (option.form === "list") return given.map((text) => checked(option, option.shape, text));
  return Object.fromEntries(given.map((text) => mapEntry(option, text)));
}

/** `NAME=VALUE`, or as header fields are written: `NAME: VALUE`. */
function mapEntry(option: ShapeOption, text: string): [string, unknown] {
  const [, name, value] = /^([^:=\s]+)(?::\s*|=)(.*)$/s.exec(text) ?? [];
  if (name === undefined) {
    throw new UsageError(`--${option.name}: expected ${option.value}, got ${quote(text)}`);
  }
  check(option, option.shape, { [name]: value }, text);
  return [name, value];
}

function checked(option: ShapeOption, shape: Shape, text: string): unknown {
  const value = fromText(shape, text);
  check(option, shape, value, text);
  return value;
}

function check({ name }: ShapeOption, shape: Shape, value: unknown, text: string): void {
  const checker = new Checker();
  checker.check(shape, value);
  const [problem] = checker.problems;
  if (!problem) return;
  const { expected, hint } = problem;
  throw new UsageError(`--${name}: expected ${expected}, got ${quote(text)}${hint && `; ${hint}`}`);
}

/** A word of the command line as the file would have it. */
function fromText(shape: Shape, text: string): unknown {
  switch (shape.kind) {
    case "count":
    case "size":
      return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
    case "flag":
      return text === "true" ? true : text === "false" ? false : text;
    case "word":
      return text === String(shape.word) ? shape.word : fromText(shape.or, text);
    case "shorthand":
      return shorthandFrom(shape, text);
    default:
      return text;
  }
}

/** `10.0.0.1:80=2`: only digits behind the last equals sign are another key; a path may have such a sign, too. */
function shorthandFrom(shape: ShorthandShape, text: string): unknown {
  const [second] = secondKeys(shape);
  const [, first, count] = /^(.*)=(\d{1,15})$/s.exec(text) ?? [];
  return second === undefined || first === undefined ? text : { [shape.key]: first, [second]: Number(count) };
}

function put(fields: Record<string, unknown>, { name, path }: ShapeOption, value: unknown): void {
  let at = fields;
  for (const step of path.slice(0, -1)) {
    const inner = at[step] ??= {};
    if (typeof inner !== "object") {
      throw new UsageError(`--${name} and --${step.replaceAll("_", "-")} exclude each other`);
    }
    at = inner as Record<string, unknown>;
  }
  at[path.at(-1)!] = value;
}

/** Puts null, which brings back the default, in the place of fields that are named as their options are. */
export function putDefaults(fields: Fields, options: readonly ShapeOption[], names: readonly string[]): Fields {
  const all = structuredClone(fields) as Record<string, unknown>;
  for (const name of names) {
    const option = options.find((option) => option.name === name.replace(/^--/, ""));
    if (!option) {
      throw new UsageError(
        `--default: expected one of ${options.map(({ name }) => name).join(", ")}, got ${JSON.stringify(name)}`,
      );
    }
    put(all, option, null);
  }
  return all;
}
