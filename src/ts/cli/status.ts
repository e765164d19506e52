// status: what runs, for how long, and what it counted.

import type { ProxyStatus } from "../control/protocol.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask } from "./connection.ts";
import { duration, EXIT_DONE, print, printJson, table } from "./output.ts";
import { workerTable } from "./workers.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { socket } = readArguments("status", COMMANDS.status, args);
  const status = await ask<ProxyStatus>(socket, "status");
  if (json) printJson(status);
  else print(describe(status));
  return EXIT_DONE;
}

function describe(status: ProxyStatus): string {
  const stopping = status.stopping ? ", stopping" : "";
  const head = [
    `kakehi ${status.version}, pid ${status.pid}, up ${duration(status.uptime_ms)}${stopping}`,
    `serves ${status.source || "the demonstration"}, revision ${status.revision}`,
    ...status.listeners.map(({ name, address }) => `listens on ${address} (${name})`),
  ];
  const differing = status.workers.filter(({ differs }) => differs).map(({ slot }) => slot);
  if (differing.length > 0) {
    head.push(`worker ${differing.join(", ")} serves something else than revision ${status.revision}`);
  }
  const counters = Object.entries(status.counters).filter(([, value]) => value !== 0);
  const counted = table(["COUNTER", "VALUE"], counters.sort().map(([name, value]) => [name, String(value)]));
  return [head.join("\n"), workerTable(status.workers, status.spare), ...(counters.length > 0 ? [counted] : [])].join(
    "\n\n",
  );
}
