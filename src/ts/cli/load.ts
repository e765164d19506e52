// The state that `start` serves, from its file or from the demonstration's text. Whoever imports this loads the checker of the
// configuration, which is the larger half of starting up.

import { type Loaded, loadState, loadStateFile } from "../config/parse.ts";
import { formatErrors } from "../config/problem.ts";
import type { State } from "../config/mod.ts";

/** Reads a file; throws with all errors, a line each. */
export async function loadFile(file: string): Promise<State> {
  return stateOf(await loadStateFile(file));
}

/** Reads a configuration that is part of the program. */
export function loadText(text: string, name: string): State {
  return stateOf(loadState(text, name));
}

function stateOf(loaded: Loaded): State {
  if (loaded.errors) throw new Error(formatErrors(loaded.errors));
  return loaded.state;
}
