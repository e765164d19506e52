// What is said to somebody who asks for a command that does not exist.

import { nearest } from "../config/nearest.ts";
import { EXIT_USAGE, fail } from "./output.ts";

/** Names the command that was probably meant, or all of them. */
export function refuseCommand(name: string, known: string[], json: boolean): number {
  const near = nearest(name, known);
  const advice = near ? `did you mean ${near}?` : `the commands are ${known.join(", ")}`;
  fail(`unknown command ${JSON.stringify(name)}; ${advice}`, json);
  return EXIT_USAGE;
}
