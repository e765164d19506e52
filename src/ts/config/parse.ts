// From a file or its text to a state, or to everything that is wrong with it. This is what loads the YAML parser.
//
// Nearly every text is plain YAML without a fault, and is read by plain_yaml.ts, which knows nothing of places. Whatever it
// does not take, and whatever turns out to be wrong, is read by source.ts, with the places that errors need.

import { checkState, draftOf, inOrder, type Loaded } from "./check_state.ts";
import { readPlainYaml } from "./plain_yaml.ts";
import { Source, SOURCE_LENGTH_MAX, VALUES_MAX } from "./source.ts";
import type { State } from "./state.ts";

export type { Loaded };

/**
 * Reads a configuration in YAML (of which JSON is a part). Gives the state, or all errors in the order of the file.
 * Never throws; linear in the length of the text.
 */
export function loadState(text: string, fileName: string): Loaded {
  return loadPlain(text, fileName) ?? loadWithPlaces(text, fileName);
}

function loadPlain(text: string, fileName: string): Loaded | undefined {
  const value = text.length > SOURCE_LENGTH_MAX ? undefined : readPlainYaml(text, VALUES_MAX);
  const loaded = value && checkState(value, fileName);
  return loaded?.state && loaded;
}

function loadWithPlaces(text: string, fileName: string): Loaded {
  const source = new Source(text, fileName);
  if (source.value === undefined) return { errors: inOrder(source.errors, source.errorsLeftOut, fileName) };
  const { draft, problems, problemsLeftOut } = draftOf(source.value, (path) => source.nameOf(path));
  for (const problem of problems) source.add(problem);
  if (source.errors.length === 0) return { state: draft as State };
  return { errors: inOrder(source.errors, source.errorsLeftOut + problemsLeftOut, fileName) };
}

/** Reads and checks a file. Not being able to read it is one of the errors, too. */
export async function loadStateFile(fileName: string): Promise<Loaded> {
  const refused = (expected: string, got: string): Loaded => {
    return { errors: [{ file: fileName, line: 0, column: 0, key: "", expected, got, hint: "" }] };
  };
  try {
    const { size } = await Deno.stat(fileName);
    // A character of UTF-8 is up to four bytes; what is longer than this is too long in any case.
    if (size > 4 * SOURCE_LENGTH_MAX) return refused(`at most ${SOURCE_LENGTH_MAX >> 20} MiB`, `${size} bytes`);
    const text = decoded(await Deno.readFile(fileName));
    return text === null ? refused("text in UTF-8", "other bytes") : loadState(text, fileName);
  } catch (error) {
    return refused("a file that can be read", reasonOf(error));
  }
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "none of this name";
  if (error instanceof Deno.errors.PermissionDenied) return "one without permission";
  if (error instanceof Deno.errors.IsADirectory) return "a directory";
  return error instanceof Error ? error.message : String(error);
}
