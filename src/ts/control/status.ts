// What `status` and `workers` answer: main, its listeners, every worker with its counters, and their sums.

import { ownMemoryBytes } from "../sys/process.ts";
import type { ProxyStatus, WorkerReport } from "./protocol.ts";
import type { Supervisor } from "./supervisor.ts";
import { VERSION } from "./version.ts";
import type { WorkerProcess } from "./worker_process.ts";

/** A worker that is busier than this is reported without counters. */
const COUNTERS_LIMIT_MS = 1_000;

export interface StatusOptions {
  supervisor: Supervisor;
  /** Configuration file, or "". */
  source: string;
  socket: string;
  hash: string;
  servedHash: string;
}

export async function proxyStatus(options: StatusOptions): Promise<ProxyStatus> {
  const { supervisor, source, socket, hash, servedHash } = options;
  const { spare, revision } = supervisor;
  const workers = await workerReports(supervisor, servedHash);
  return {
    version: VERSION,
    pid: Deno.pid,
    uptime_ms: Date.now() - supervisor.startedAtMs,
    source,
    socket,
    revision,
    hash,
    served_hash: servedHash,
    stopping: supervisor.stopping,
    memory_bytes: ownMemoryBytes(Deno.pid),
    listeners: supervisor.listeners.map(({ name, address }) => ({ name, address })),
    workers,
    spare: spare?.state === "waiting" ? { pid: spare.pid, memory_bytes: spare.memoryBytes() } : null,
    counters: sums(workers.map(({ counters }) => counters ?? {})),
  };
}

/** Those that serve, by slot, then those that finish what they carry. */
export async function workerReports(supervisor: Supervisor, servedHash: string): Promise<WorkerReport[]> {
  const { slots, revision } = supervisor;
  const serving = slots.flatMap(({ worker, restarts }) => worker ? [{ worker, restarts }] : []);
  const old = supervisor.draining.filter((worker) => !slots.some((slot) => slot.worker === worker));
  const reports = [...serving, ...old.map((worker) => ({ worker, restarts: 0 }))].map(({ worker, restarts }) =>
    workerReport(worker, restarts)
  );
  // Those that drain serve what they served; a change since the question is no difference either.
  const differs = ({ state, revision: of, hash }: WorkerReport) =>
    state === "serving" && of === revision && supervisor.revision === revision && hash !== null && hash !== servedHash;
  return (await Promise.all(reports)).map((report) => ({ ...report, differs: differs(report) }));
}

async function workerReport(worker: WorkerProcess, restarts: number): Promise<WorkerReport> {
  const status = await worker.status(COUNTERS_LIMIT_MS);
  return {
    slot: worker.slot,
    pid: worker.pid,
    state: worker.state,
    uptime_ms: worker.readyAtMs === 0 ? 0 : Date.now() - worker.readyAtMs,
    restarts,
    revision: status?.revision ?? worker.revision,
    hash: status?.hash ?? null,
    differs: false,
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
