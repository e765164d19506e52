// workers [list | set N | restart].

import type { WorkerReport, WorkersAnswer } from "../control/protocol.ts";
import { type Command, readArguments, readVerb, wholeNumber } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask, CHANGE_LIMIT_MS } from "./connection.ts";
import { duration, EXIT_DONE, print, printJson, size, table } from "./output.ts";

const WORKERS = COMMANDS.workers;

export async function run(args: string[], json: boolean): Promise<number> {
  const isPlain = args[0] === undefined || args[0].startsWith("-");
  const { verb, rest } = readVerb("workers", WORKERS, isPlain ? ["list", ...args] : args);
  const command: Command = WORKERS.verbs[verb as keyof typeof WORKERS.verbs];
  const { operands, socket } = readArguments(`workers ${verb}`, command, rest);
  const wanted = verb === "set"
    ? { set: wholeNumber("N", operands[0]!, 1) }
    : verb === "restart"
    ? { restart: true }
    : {};
  const answer = await ask<WorkersAnswer>(socket, "workers", wanted, { quietLimitMs: CHANGE_LIMIT_MS });
  if (json) printJson(answer);
  else print(workerTable(answer.workers));
  return EXIT_DONE;
}

/** With the process that waits to replace one, if there is one. */
export function workerTable(
  workers: readonly WorkerReport[],
  spare: { pid: number; memory_bytes: number } | null = null,
): string {
  const rows = workers.map((worker) => [
    String(worker.slot),
    String(worker.pid),
    worker.differs ? `${worker.state}, differs` : worker.state,
    duration(worker.uptime_ms),
    String(worker.restarts),
    String(worker.revision),
    size(worker.memory_bytes),
    worker.sandbox.join(", ") || "none",
  ]);
  if (spare) rows.push(["-", String(spare.pid), "spare", "-", "-", "-", size(spare.memory_bytes), "-"]);
  return table(["WORKER", "PID", "STATE", "UP", "RESTARTS", "REVISION", "MEMORY", "SANDBOX"], rows);
}
