// The two halves of a change that the processes which serve take over: all of them get it ready, then all of them serve by
// it. Between the halves it is decided: before, any refusal leaves everything as it was; after, whoever does not follow is
// ended, and its successor begins with the state that was decided.

import { closeFd, memoryFile } from "../sys/fds.ts";
import type { WorkerChange } from "../worker/protocol.ts";
import { ChangeRefused } from "./errors.ts";
import type { NamedFd } from "./listeners.ts";
import type { WorkerProcess } from "./worker_process.ts";

/** A worker that needs longer for a half of a change hangs. */
export const CHANGE_TIMEOUT_MS = 5_000;

/**
 * Has all workers get the change ready. Rejects when one of them cannot, with ChangeRefused if it said why, and then all
 * others have forgotten it; comes back only when each has answered or ended.
 */
export async function prepareAll(
  workers: readonly WorkerProcess[],
  change: WorkerChange,
  listenersFor: (worker: WorkerProcess) => readonly NamedFd[],
  timeoutMs = CHANGE_TIMEOUT_MS,
  certificates?: number,
): Promise<void> {
  const fd = memoryFile("kakehi-change", new TextEncoder().encode(JSON.stringify(change)));
  try {
    const { revision } = change;
    const results = await Promise.allSettled(
      workers.map((worker) => worker.prepare(revision, fd, listenersFor(worker), timeoutMs, certificates)),
    );
    const reasons = results.flatMap((result) => result.status === "rejected" ? [result.reason as Error] : []);
    if (reasons.length === 0) return;
    for (const worker of workers) worker.abort(revision);
    throw reasons.find((reason) => reason instanceof ChangeRefused) ?? reasons[0];
  } finally {
    closeFd(fd);
  }
}

/**
 * Has all workers serve by the change. Whoever ends meanwhile is none of them any more, and whoever then serves something
 * else than `hash` says is ended. Gives the longest pause of a loop, in microseconds.
 */
export async function commitAll(
  workers: readonly WorkerProcess[],
  revision: number,
  hash: string,
  onFault: (worker: WorkerProcess, reason: string) => void,
  timeoutMs = CHANGE_TIMEOUT_MS,
): Promise<number> {
  const pauses = await Promise.all(workers.map(async (worker) => {
    try {
      const committed = await worker.commit(revision, timeoutMs);
      if (committed.hash !== hash) {
        onFault(worker, `it serves ${committed.hash}, and should serve ${hash}`);
        worker.kill();
      }
      return committed.pausedUs;
    } catch (error) {
      onFault(worker, (error as Error).message);
      return 0;
    }
  }));
  return Math.max(0, ...pauses);
}
