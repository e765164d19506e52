// stop [--now]: comes back when the proxy has ended. Without --now it first finishes what it carries, for as long as the
// drain time of its configuration lets it.

import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask } from "./connection.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { flags, socket } = readArguments("stop", COMMANDS.stop, args);
  const onProgress = (progress: Record<string, unknown>) => {
    if (!json) print(`${progress["workers"]} processes still finish what they carry`);
  };
  await ask(socket, "stop", { now: flags.has("now") }, { onProgress });
  if (json) printJson({ stopped: true });
  else print("stopped");
  return EXIT_DONE;
}
