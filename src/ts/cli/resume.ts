// What main runs as when another program left its place to it, and what a program runs as that is asked beforehand whether
// it could. Nobody types these.

import type { Arrival } from "../control/arrival.ts";
import { answerCheck } from "../control/candidate.ts";
import { startDemoBackend } from "../control/demo.ts";
import { handedFds, type Handover, readHandover } from "../control/handover.ts";
import { selfCommand, setOwnPath } from "../control/self.ts";
import { standBy } from "../control/guard.ts";
import { serve } from "../control/serve.ts";
import { comeBack } from "../control/upgrade.ts";
import { WorkerProcess } from "../control/worker_process.ts";
import { Log } from "../observe/log.ts";
import { setInherited } from "../sys/exec.ts";
import { readWhole } from "../sys/fds.ts";
import { Poller } from "../sys/poll.ts";
import { keptSignals } from "../sys/signals.ts";
import { loadFile } from "./load.ts";
import { EXIT_DONE } from "./output.ts";

export async function run([name, memfd, failure = ""]: readonly string[]): Promise<number> {
  if (name === "resume") return await resume(Number(memfd), failure);
  if (name === "guard") return await guard();
  await answerCheck();
  return EXIT_DONE;
}

/** Waits for a new main that fails, to go on in its stead. */
async function guard(): Promise<number> {
  const rescue = await standBy();
  return rescue ? await goOn({ ...rescue, handed: { ...rescue.handed, guard: null } }) : EXIT_DONE;
}

/** Takes over what lies in `memfd`; with a `failure`, this is the program that left, and another one came back to it. */
async function resume(memfd: number, failure: string): Promise<number> {
  const handed = read(memfd);
  const { guard } = handed;
  for (const fd of [memfd, ...(guard ? [guard.channel] : []), ...handedFds(handed)]) setInherited(fd, false);
  return await goOn({ handed, memfd, failure });
}

async function goOn(found: Omit<Arrival, "signals">): Promise<number> {
  const arrival = { ...found, signals: keptSignals() };
  const { handed, failure } = arrival;
  const log = new Log();
  const poller = new Poller();
  const command = (fd: number) => selfCommand(["worker", String(fd)]);
  const first = WorkerProcess.launch(poller, command, (level, message) => log.log(level, message));
  const demo = handed.demo === "" ? undefined : startDemoBackend(Number(handed.demo.split(":")[1]));
  if (failure !== "") setOwnPath(handed.back.path);
  try {
    await serve({
      poller,
      log,
      command,
      first,
      source: handed.source,
      socket: handed.socket,
      demo: handed.demo,
      load: () => loadFile(handed.source),
      arrival,
    });
    return EXIT_DONE;
  } finally {
    await poller.close();
    await demo?.close();
  }
}

function read(memfd: number): Handover {
  try {
    return readHandover(memfd);
  } catch (error) {
    return comeBack(memfd, JSON.parse(new TextDecoder().decode(readWhole(memfd))), (error as Error).message);
  }
}
