// stop [--now] [--socket PATH]: comes back when the proxy has ended. Without --now it first finishes what it carries, for as
// long as the drain time of its configuration lets it.

import { request } from "../control/client.ts";
import { controlSocketPath } from "../control/socket_path.ts";
import { parseOptions, refuseOperands } from "./options.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const options = parseOptions(args, { values: ["socket"], flags: ["now"] });
  refuseOperands(options);
  const say = (progress: Record<string, unknown>) => {
    if (!json) print(`${progress["workers"]} processes still finish what they carry`);
  };
  await request(controlSocketPath(options.values["socket"]), "stop", { now: options.flags.has("now") }, say);
  if (json) printJson({ stopped: true });
  else print("stopped");
  return EXIT_DONE;
}
