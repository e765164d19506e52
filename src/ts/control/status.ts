// What `status` answers: main, its listeners, every worker with its counters, and their sums.

import { ownMemoryBytes } from "../sys/process.ts";
import type { ProxyStatus, WorkerReport } from "./protocol.ts";
import type { Supervisor } from "./supervisor.ts";
import { VERSION } from "./version.ts";
import type { WorkerProcess } from "./worker_process.ts";

/** A worker that is busier than this is reported without counters. */
const COUNTERS_LIMIT_MS = 1_000;

export async function proxyStatus(supervisor: Supervisor, source: string, socket: string): Promise<ProxyStatus> {
  const { slots, spare } = supervisor;
  const workers = await Promise.all([
    ...slots.flatMap(({ worker, restarts }) => worker ? [workerReport(worker, restarts)] : []),
    ...supervisor.draining.filter((old) => !slots.some(({ worker }) => worker === old)).map((old) =>
      workerReport(old, 0)
    ),
  ]);
  return {
    version: VERSION,
    pid: Deno.pid,
    uptime_ms: Date.now() - supervisor.startedAtMs,
    source,
    socket,
    revision: supervisor.revision,
    stopping: supervisor.stopping,
    memory_bytes: ownMemoryBytes(Deno.pid),
    listeners: supervisor.listeners.map(({ name, address }) => ({ name, address })),
    workers,
    spare: spare?.state === "waiting" ? { pid: spare.pid, memory_bytes: spare.memoryBytes() } : null,
    counters: sums(workers.map(({ counters }) => counters ?? {})),
  };
}

async function workerReport(worker: WorkerProcess, restarts: number): Promise<WorkerReport> {
  const status = await worker.status(COUNTERS_LIMIT_MS);
  return {
    slot: worker.slot,
    pid: worker.pid,
    state: worker.state,
    uptime_ms: worker.readyAtMs === 0 ? 0 : Date.now() - worker.readyAtMs,
    restarts,
    revision: worker.revision,
    memory_bytes: worker.memoryBytes(),
    sandbox: worker.sandbox,
    counters: status?.counters ?? null,
  };
}

function sums(all: Record<string, number>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const counters of all) {
    for (const [name, value] of Object.entries(counters)) total[name] = (total[name] ?? 0) + value;
  }
  return total;
}
