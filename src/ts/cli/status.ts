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

export function opensslText({ version, from }: NonNullable<ProxyStatus["openssl"]>): string {
  return from === "host" ? version : `${version}, which this binary carries`;
}

/** What clusters speak to their backends, where it is not HTTP/1.1 that all speak. */
function clustersText(clusters: ProxyStatus["clusters"]): string {
  const parts = Object.entries(clusters).flatMap(([protocol, count]) => count > 0 ? [`${count} in ${protocol}`] : []);
  return `asks clusters: ${parts.join(", ")}`;
}

function describe(status: ProxyStatus): string {
  const stopping = status.stopping ? ", stopping" : "";
  const head = [
    `kakehi ${status.version}, pid ${status.pid}, up ${duration(status.uptime_ms)}${stopping}`,
    `serves ${status.source || "the demonstration"}, revision ${status.revision}`,
    ...status.listeners.map(({ name, address }) => `listens on ${address} (${name})`),
  ];
  if (status.clusters.h2 + status.clusters.h2c > 0) head.push(clustersText(status.clusters));
  if (status.openssl) head.push(`TLS by ${opensslText(status.openssl)}`);
  const { count, expired, next } = status.certificates;
  if (next) {
    const gone = expired > 0 ? `, ${expired} expired` : "";
    head.push(`${count} certificate${count === 1 ? "" : "s"}${gone}; ${next.name} has ${next.days_left} days left`);
  }
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
