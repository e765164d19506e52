// log LEVEL: what the running proxy writes to its log from now on.

import { oneOf, readArguments } from "./command.ts";
import { LOG_LEVELS } from "../observe/log.ts";
import { COMMANDS } from "./commands.ts";
import { ask } from "./connection.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { operands, socket } = readArguments("log", COMMANDS.log, args);
  const level = oneOf("LEVEL", operands[0]!, LOG_LEVELS);
  await ask(socket, "log", { level });
  if (json) printJson({ level });
  else print(`the log has ${level === "error" ? "errors only" : `${level} and more important`} from now on`);
  return EXIT_DONE;
}
