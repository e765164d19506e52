// plan FILE: what the file would change.

import { readChange, showPlan } from "./change.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { operands, socket } = readArguments("plan", COMMANDS.plan, args);
  return await showPlan(socket, await readChange(operands[0]!), json);
}
