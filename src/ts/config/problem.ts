// What is wrong with a configuration. The checker finds problems by the path of keys that leads to them; once they are
// located in a file they are errors that people and editors can read.

import { quote, secretWord } from "./format_error.ts";

/** A file that is wrong everywhere is told so this often and no more. */
export const ERRORS_MAX = 1000;

export type Path = readonly (string | number)[];

export interface Problem {
  path: Path;
  /** What is to be pointed at: the name of the last key, or its value. */
  on: "key" | "value";
  /** Completes "expected …". */
  expected: string;
  /** Completes "got …". */
  got: string;
  /** A clause of its own, or "". */
  hint: string;
}

export interface ConfigurationError {
  file: string;
  /** From 1; 0 where the file as a whole is meant. */
  line: number;
  /** From 1, in UTF-16 units; 0 where the file as a whole is meant. */
  column: number;
  /** Dotted path of keys, e.g. `clusters.app.backends[0].weight`; "" where no key is concerned. */
  key: string;
  expected: string;
  got: string;
  /** What to do about it, or "". */
  hint: string;
}

/** A dotted path; names that would be misread are quoted. */
export function formatPath(path: Path): string {
  let out = "";
  for (const step of path) {
    if (typeof step === "number") out += `[${step}]`;
    else if (/^[\w-]+$/.test(step) && secretWord(step) === "") out += out === "" ? step : `.${step}`;
    else out += `[${quote(step)}]`;
  }
  return out;
}

/** One line: `file:line:column: key: expected …, got …; hint`. */
export function formatError(error: ConfigurationError): string {
  const place = error.line > 0 ? `${error.file}:${error.line}:${error.column}` : error.file;
  const key = error.key === "" ? "" : `${error.key}: `;
  return `${place}: ${key}expected ${error.expected}, got ${error.got}${error.hint && `; ${error.hint}`}`;
}

/** A line for each error, without a newline at the end. */
export function formatErrors(errors: readonly ConfigurationError[]): string {
  return errors.map(formatError).join("\n");
}

/** How errors name the words or keys that may stand in a place. */
export function oneOf(words: readonly string[]): string {
  return words.length === 1 ? `"${words[0]}"` : `one of ${words.join(", ")}`;
}

/** How errors name a value of any type. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a map" : String(value);
}
