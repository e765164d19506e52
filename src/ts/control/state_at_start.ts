// The state that main begins with, and its number: that of the configuration, or with --from-state the one that the state file
// has kept, if there is one.

import type { State } from "../config/mod.ts";
import type { Log } from "../observe/log.ts";

export interface First {
  state: State;
  revision: number;
}

/** Throws when it is to begin with a state file and cannot. */
export async function firstState(configured: State, fromState: boolean, log: Log): Promise<First> {
  const first = { state: configured, revision: 1 };
  if (!fromState) return first;
  const path = configured.control.state_file;
  if (path === "") throw new Error("control.state_file: expected the path of a state file to start from, got none");
  const { readStateFile } = await import("./state_file.ts");
  const stored = await readStateFile(path);
  if (!stored) {
    log.warn("there is no state file yet: starting with the configuration file", { path });
    return first;
  }
  const { revision, at, warning } = stored;
  if (warning !== "") log.warn(warning);
  log.info("starting with the state file, not with the configuration file", { path, revision, saved: at });
  return stored;
}
