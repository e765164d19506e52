// version: of this program and of what it runs on.

import { VERSION } from "../control/version.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export function run(args: string[], json: boolean): Promise<number> {
  readArguments("version", COMMANDS.version, args);
  const { deno, v8 } = Deno.version;
  const target = Deno.build.target;
  if (json) printJson({ version: VERSION, deno, v8, target });
  else print(`kakehi ${VERSION} (deno ${deno}, v8 ${v8}, ${target})`);
  return Promise.resolve(EXIT_DONE);
}
