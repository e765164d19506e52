// Waiting for the last request of a backend that is removed. Each worker says for itself when it carries none any more; one
// that has ended carries none either, which is looked for from time to time, as is a backend that was added again meanwhile.

import { canonicalAddress } from "../config/names.ts";
import type { ControlEvent, GetAnswer, ProxyStatus } from "../control/protocol.ts";
import type { Connection } from "./connection.ts";
import { print, printJson } from "./output.ts";

const LOOK_MS = 1_000;

/** Begins to listen: to be called before the backend is removed. What it gives waits for the end, and says so. */
export async function listenForDrained(
  connection: Connection,
  cluster: string,
  address: string,
): Promise<(json: boolean) => Promise<void>> {
  const name = canonical(address);
  const drained = new Set<number>();
  let wake = () => {};
  const onProgress = (fields: Record<string, unknown>) => {
    const event = fields["event"] as ControlEvent;
    if (event["cluster"] === cluster && event["address"] === name) drained.add(Number(event["worker"]));
    wake();
  };
  const listening = { onProgress, quietLimitMs: Infinity };
  const stopped = connection.request("subscribe", { events: ["backend.drained"] }, listening).then(() => {
    throw new Error("the proxy stopped before the backend was drained");
  });
  // Whoever never comes to wait for it has failed for a reason of its own.
  stopped.catch(() => {});
  let waiting = (await connection.request<ProxyStatus>("status")).workers.filter(({ state }) => state === "serving");
  return async (json) => {
    const began = performance.now();
    while (waiting.some(({ slot }) => !drained.has(slot))) {
      const event = new Promise<"event">((resolve) => wake = () => resolve("event"));
      if (await Promise.race([stopped, event, passed(LOOK_MS)]) === "event") continue;
      const { workers } = await connection.request<ProxyStatus>("status");
      waiting = waiting.filter((worker) => workers.some(({ pid }) => pid === worker.pid));
      await refuseReturned(connection, cluster, name);
    }
    const ms = Math.round(performance.now() - began);
    if (json) printJson({ drained: name, cluster, after_ms: ms });
    else print(`backend ${name} of cluster ${cluster} carries nothing any more, ${ms} ms later`);
  };
}

async function refuseReturned(connection: Connection, cluster: string, name: string): Promise<void> {
  const { values } = await connection.request<GetAnswer>("get", { object: "backend" });
  const all = values as { cluster: string; address: string }[];
  if (all.some((backend) => backend.cluster === cluster && backend.address === name)) {
    throw new Error(`backend ${name} of cluster ${cluster} was added again before it was drained`);
  }
}

function passed(ms: number): Promise<"time"> {
  return new Promise((resolve) => {
    // A timer that is left over keeps no command from ending.
    Deno.unrefTimer(setTimeout(() => resolve("time"), ms));
  });
}

/** As events have it; the proxy says what is wrong with an address that is none. */
function canonical(address: string): string {
  try {
    return canonicalAddress(address);
  } catch {
    return address;
  }
}
