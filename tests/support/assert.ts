// The few assertions that the tests need. A failure says what was got and what was expected, whole.

import { isDeepStrictEqual } from "node:util";

export class AssertionError extends Error {
  override name = "AssertionError";
}

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 8, strAbbreviateSize: 10_000, iterableLimit: 1_000, sorted: true });
}

export function assert(condition: unknown, message = "the condition does not hold"): asserts condition {
  if (!condition) throw new AssertionError(message);
}

export function assertEquals<T>(got: T, expected: T, message = ""): void {
  if (isDeepStrictEqual(got, expected)) return;
  throw new AssertionError(`${message && message + ": "}got\n  ${show(got)}\nexpected\n  ${show(expected)}`);
}

export function assertMatch(got: string, pattern: RegExp, message = ""): void {
  if (!pattern.test(got)) {
    throw new AssertionError(`${message && message + ": "}got\n  ${show(got)}\nexpected a match of ${pattern}`);
  }
}

/** Runs `body`, which must throw; gives the error. */
export function assertThrows(body: () => unknown, pattern?: RegExp): Error {
  try {
    body();
  } catch (error) {
    if (pattern) assertMatch(String(error), pattern);
    return error as Error;
  }
  throw new AssertionError("nothing was thrown");
}

/** Awaits `body()`, which must reject; gives the error. */
export async function assertRejects(body: () => Promise<unknown>, pattern?: RegExp): Promise<Error> {
  try {
    await body();
  } catch (error) {
    if (pattern) assertMatch(String(error), pattern);
    return error as Error;
  }
  throw new AssertionError("nothing was rejected");
}
