// What `status` and `workers` answer: main, its listeners, every worker with its counters, and their sums.

import { namesOf } from "../config/records.ts";
import type { State } from "../config/state.ts";
import { opensslInUse } from "../sys/openssl_library.ts";
import { ownMemoryBytes } from "../sys/process.ts";
import type { Known } from "./credentials.ts";
import { daysLeft } from "./expiry.ts";
import type { CertificateDetails, CertificatesReport, ProxyStatus, WorkerReport } from "./protocol.ts";
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
  upgrades: number;
  hash: string;
  servedHash: string;
  clusters: State["clusters"];
  certificates: ReadonlyMap<string, Known>;
}

export async function proxyStatus(options: StatusOptions): Promise<ProxyStatus> {
  const { supervisor, source, socket, upgrades, hash, servedHash } = options;
  const { spare, revision } = supervisor;
  const workers = await workerReports(supervisor, servedHash);
  return {
    version: VERSION,
    pid: Deno.pid,
    uptime_ms: Date.now() - supervisor.startedAtMs,
    upgrades,
    source,
    socket,
    revision,
    hash,
    served_hash: servedHash,
    stopping: supervisor.stopping,
    memory_bytes: ownMemoryBytes(Deno.pid),
    openssl: opensslInUse() ?? null,
    listeners: supervisor.listeners.map(({ name, address }) => ({ name, address })),
    clusters: protocolsOf(options.clusters),
    certificates: certificatesReport(options.certificates),
    workers,
    spare: spare?.state === "waiting" ? { pid: spare.pid, memory_bytes: spare.memoryBytes() } : null,
    counters: sums(workers.map(({ counters }) => counters ?? {})),
  };
}

function protocolsOf(clusters: State["clusters"]): ProxyStatus["clusters"] {
  const counts = { "http/1.1": 0, h2: 0, h2c: 0 };
  for (const name of namesOf(clusters)) counts[clusters[name]!.protocol]++;
  return counts;
}

function certificatesReport(known: ReadonlyMap<string, Known>): CertificatesReport {
  let next: { name: string; notAfterMs: number } | undefined;
  let expired = 0;
  for (const [name, { report: { notAfterMs } }] of known) {
    if (daysLeft(notAfterMs) < 0) expired++;
    if (notAfterMs < (next?.notAfterMs ?? Infinity)) next = { name, notAfterMs };
  }
  const first = next && {
    name: next.name,
    not_after: new Date(next.notAfterMs).toISOString(),
    days_left: daysLeft(next.notAfterMs),
  };
  return { count: known.size, expired, next: first ?? null };
}

/** Of those among `names` that are served. */
export function certificateDetails(
  known: ReadonlyMap<string, Known>,
  names: readonly string[],
): Record<string, CertificateDetails> {
  const details = names.flatMap((name): [string, CertificateDetails][] => {
    const report = known.get(name)?.report;
    if (!report) return [];
    const { names, subject, issuer, fingerprint, notBeforeMs, notAfterMs, keyType } = report;
    return [[name, {
      names,
      subject,
      issuer,
      fingerprint,
      not_before: new Date(notBeforeMs).toISOString(),
      not_after: new Date(notAfterMs).toISOString(),
      days_left: daysLeft(notAfterMs),
      key_type: keyType,
    }]];
  });
  return Object.fromEntries(details);
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
