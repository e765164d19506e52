// start [-c FILE] [--from-state] [--socket PATH]: serves until it is told to stop. The first worker process starts before the
// configuration is read, so that both happen at the same time; that is why what reads it is imported late. What a service
// manager has passed is taken before that: no child may inherit it.

import { demoConfiguration, demoInstructions, startDemoBackend } from "../control/demo.ts";
import { selfCommand } from "../control/self.ts";
import { WorkerProcess } from "../control/worker_process.ts";
import { Log } from "../observe/log.ts";
import { Poller } from "../sys/poll.ts";
import { parseOptions, refuseOperands } from "./options.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const options = parseOptions(args, {
    values: ["config", "socket"],
    flags: ["from-state"],
    aliases: { "-c": "config" },
  });
  refuseOperands(options);
  const activated = Deno.env.has("LISTEN_FDS") ? (await import("../control/activation.ts")).takeActivated() : [];
  const log = new Log();
  const poller = new Poller();
  const command = (fd: number) => selfCommand(["worker", String(fd)]);
  const first = WorkerProcess.launch(poller, command, (level, message) => log.log(level, message));
  const file = options.values["config"] ?? "";
  const demo = file === "" ? startDemoBackend() : undefined;
  try {
    const { serve } = await import("../control/serve.ts");
    const { loadFile, loadValue } = await import("./load.ts");
    await serve({
      poller,
      log,
      command,
      first,
      activated,
      source: file,
      fromState: options.flags.has("from-state"),
      socket: options.values["socket"] ?? "",
      demo: demo?.address ?? "",
      load: async () => demo ? loadValue(demoConfiguration(demo.address), "demonstration") : await loadFile(file),
      onReady: (listeners) => {
        if (json) printJson({ listening: listeners.map(({ name, address }) => ({ name, address })), pid: Deno.pid });
        else if (demo) print(demoInstructions(listeners[0]!.address));
      },
    });
    return EXIT_DONE;
  } finally {
    await poller.close();
    await demo?.close();
  }
}
