// upgrade [--binary FILE]: comes back when the workers of the new program serve, or says why the old one serves on.

import type { UpgradeAnswer } from "../control/protocol.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask, CHANGE_LIMIT_MS } from "./connection.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { values, socket } = readArguments("upgrade", COMMANDS.upgrade, args);
  const given = values["binary"];
  const binary = given === undefined || given.startsWith("/") ? given : `${Deno.cwd()}/${given}`;
  const onProgress = ({ doing }: Record<string, unknown>) => {
    if (!json) print(String(doing));
  };
  const fields = binary === undefined ? {} : { binary };
  const answer = await ask<UpgradeAnswer>(socket, "upgrade", fields, { onProgress, quietLimitMs: CHANGE_LIMIT_MS });
  if (json) printJson(answer);
  else print(`version ${answer.version} has taken over from ${answer.from_version} in ${answer.took_ms} ms`);
  return EXIT_DONE;
}
