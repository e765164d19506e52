// apply FILE [--if-revision N] [--why TEXT]: the proxy serves what the file says, or goes on as it was.

import { carryOut, changeOptions, readChange } from "./change.ts";
import { type Command, readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { openConnection } from "./connection.ts";
import { EXIT_DONE } from "./output.ts";

export function run(args: string[], json: boolean): Promise<number> {
  return applyFile("apply", COMMANDS.apply, args, json);
}

/** For whichever command takes a file and applies it. */
export async function applyFile(name: string, command: Command, args: string[], json: boolean): Promise<number> {
  const read = readArguments(name, command, args);
  const options = changeOptions(read);
  const change = await readChange(read.operands[0]!);
  using connection = await openConnection(read.socket);
  await carryOut(connection, { apply: { ...change, ...options } }, json);
  return EXIT_DONE;
}
