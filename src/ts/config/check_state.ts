// From a plain value to a state, or to everything that is wrong with it: the schema, then what involves several keys.
// The value may come from anywhere; who has it already, as a literal or from JSON, needs no YAML parser.

import { Checker, type Draft } from "./check.ts";
import { crossCheck, type Origin } from "./cross_check.ts";
import { type ConfigurationError, formatPath, type Path, type Problem } from "./problem.ts";
import { STATE } from "./schema.ts";
import type { State } from "./state.ts";

export type Loaded = { state: State; errors?: never } | { errors: ConfigurationError[]; state?: never };

/**
 * Checks a plain value in the form of the file (durations as "10s", …); `name` stands for the file in errors, which
 * have no lines. Never throws.
 */
export function checkState(value: unknown, name: string): Loaded {
  const { draft, problems, problemsLeftOut } = draftOf(value, formatPath);
  if (problems.length === 0) return { state: draft as State };
  const errors = problems.map(({ path, expected, got, hint }) => {
    return { file: name, line: 0, column: 0, key: formatPath(path), expected, got, hint };
  });
  return { errors: inOrder(errors, problemsLeftOut, name) };
}

export interface Checked {
  draft: Draft<State> | undefined;
  problems: Problem[];
  problemsLeftOut: number;
}

/** The draft of a state, which is a whole one if there are no problems. */
export function draftOf(value: unknown, nameOf: Origin["nameOf"]): Checked {
  const checker = new Checker();
  const draft = checker.check(STATE, value);
  if (draft) crossCheck(draft, checker, { nameOf, isGiven: (path) => has(value, path) });
  return { draft, problems: checker.problems, problemsLeftOut: checker.problemsLeftOut };
}

function has(value: unknown, path: Path): boolean {
  let at = value;
  for (const step of path) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return false;
    at = (at as Record<string | number, unknown>)[step];
  }
  return true;
}

/** Errors in the order of the file, and how many there are beyond them. */
export function inOrder(errors: ConfigurationError[], leftOut: number, file: string): ConfigurationError[] {
  const sorted = [...errors].sort((a, b) => a.line - b.line || a.column - b.column);
  if (leftOut === 0) return sorted;
  return [...sorted, { file, line: 0, column: 0, key: "", expected: "fewer errors", got: `${leftOut} more`, hint: "" }];
}
