// status [--socket PATH]: what runs, for how long, and what it counted.

import { request } from "../control/client.ts";
import type { ProxyStatus } from "../control/protocol.ts";
import { controlSocketPath } from "../control/socket_path.ts";
import { parseOptions, refuseOperands } from "./options.ts";
import { duration, EXIT_DONE, print, printJson, size, table } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const options = parseOptions(args, { values: ["socket"] });
  refuseOperands(options);
  const status = await request(controlSocketPath(options.values["socket"]), "status", {}) as unknown as ProxyStatus;
  if (json) printJson(status);
  else print(describe(status));
  return EXIT_DONE;
}

function describe(status: ProxyStatus): string {
  const head = [
    `kakehi ${status.version}, pid ${status.pid}, up ${duration(status.uptime_ms)}${
      status.stopping ? ", stopping" : ""
    }`,
    `serves ${status.source || "the demonstration"}, revision ${status.revision}`,
    ...status.listeners.map(({ name, address }) => `listens on ${address} (${name})`),
  ];
  const rows = status.workers.map((w) => [
    String(w.slot),
    String(w.pid),
    w.state,
    duration(w.uptime_ms),
    String(w.restarts),
    size(w.memory_bytes),
    w.sandbox.join(", ") || "none",
  ]);
  if (status.spare) rows.push(["-", String(status.spare.pid), "spare", "-", "-", size(status.spare.memory_bytes), "-"]);
  const workers = table(["WORKER", "PID", "STATE", "UP", "RESTARTS", "MEMORY", "SANDBOX"], rows);
  const counters = Object.entries(status.counters).filter(([, value]) => value !== 0);
  const counted = table(["COUNTER", "VALUE"], counters.sort().map(([name, value]) => [name, String(value)]));
  return [head.join("\n"), workers, ...(counters.length > 0 ? [counted] : [])].join("\n\n");
}
