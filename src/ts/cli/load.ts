// The state that `start` serves, from its file or from the demonstration. Checking one is half of what starting up costs, the
// YAML parser more than half of that: it is loaded for a file only.

import { checkState, type Loaded } from "../config/check_state.ts";
import { formatErrors } from "../config/problem.ts";
import type { State } from "../config/state.ts";

/** Reads a file; throws with all errors, a line each. */
export async function loadFile(file: string): Promise<State> {
  const { loadStateFile } = await import("../config/parse.ts");
  return stateOf(await loadStateFile(file));
}

/** Checks a configuration that is part of the program, in the form of the file. */
export function loadValue(value: unknown, name: string): State {
  return stateOf(checkState(value, name));
}

function stateOf(loaded: Loaded): State {
  if (loaded.errors) throw new Error(formatErrors(loaded.errors));
  return loaded.state;
}
