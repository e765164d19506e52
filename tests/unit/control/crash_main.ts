// Main as crash tests need it: with the workers of the tests, starting from its state file if there is one.
// Arguments: FOLDER, which has kakehi.yaml.

import { loadStateFile } from "../../../src/ts/config/parse.ts";
import { serve } from "../../../src/ts/control/serve.ts";
import { Log } from "../../../src/ts/observe/log.ts";
import { Poller } from "../../../src/ts/sys/poll.ts";
import { runTestWorker } from "../../support/test_worker.ts";

const [first = "", channel] = Deno.args;
if (first === "worker") await runTestWorker(Number(channel));

await serve({
  poller: new Poller(),
  log: new Log(),
  command: (fd) => ({
    path: "/proc/self/exe",
    args: ["deno", "run", "-A", "--no-prompt", Deno.mainModule, "worker", String(fd)],
  }),
  source: `${first}/kakehi.yaml`,
  socket: `${first}/control.sock`,
  fromState: true,
  earlyDeathMs: 0, // workers are killed much more often than they die
  load: async () => {
    const loaded = await loadStateFile(`${first}/kakehi.yaml`);
    if (!loaded.state) throw new Error(JSON.stringify(loaded.errors));
    return loaded.state;
  },
});
Deno.exit(0);
