// A program that takes the place of another one, or comes back to it: what it is given, and how it puts workers of its own in
// the place of those that serve. If that fails, the program that left comes back.

import type { Log } from "../observe/log.ts";
import { sendSignal, SIGHUP } from "../sys/process.ts";
import type { Handover } from "./handover.ts";
import { keepSignalsForNext } from "./signals.ts";
import type { Supervisor } from "./supervisor.ts";
import type { Transactions } from "./transactions.ts";
import { VERSION } from "./version.ts";

export interface Arrival {
  handed: Handover;
  /** Where `handed` was read from. */
  memfd: number;
  /** Why another program came back to this one; "" if this one is to take over. */
  failure: string;
  /** Signals that came in between. */
  signals: readonly number[];
}

/** A program that does not serve by then comes back to the one that left. */
const ARRIVAL_LIMIT_MS = 30_000;

export interface Arriving {
  supervisor: Supervisor;
  transactions: Transactions;
  log: Log;
  isStopping: () => boolean;
  /** Whether the configuration file is being read again. */
  isReloading: () => boolean;
}

/** Comes back when workers of this program serve; otherwise the program that left goes on, in this process. */
export async function replaceWorkers(arriving: Arriving, { handed, memfd }: Arrival): Promise<void> {
  const { supervisor, transactions, isStopping } = arriving;
  const late = Promise.withResolvers<never>();
  const limit = () => late.reject(new Error(`its workers do not serve after ${ARRIVAL_LIMIT_MS} ms`));
  const timer = setTimeout(limit, ARRIVAL_LIMIT_MS);
  try {
    await Promise.race([transactions.rollWorkers(), late.promise]);
  } catch (error) {
    if (isStopping()) throw error;
    await supervisor.forsake();
    await giveUp(arriving, handed, memfd, `version ${VERSION}: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
  }
}

async function giveUp({ isStopping, isReloading }: Arriving, handed: Handover, memfd: number, why: string) {
  const { comeBack } = await import("./upgrade.ts");
  const release = await keepSignalsForNext();
  try {
    if (isStopping()) throw new Error("the proxy is stopping");
    // What is read here is forgotten: the other program is asked to read it.
    if (isReloading()) sendSignal(Deno.pid, SIGHUP);
    comeBack(memfd, handed, why);
  } finally {
    release();
  }
}

/** What the main that ended has told the workers, nobody knows: they may be about to end. */
export async function renewWorkers({ transactions, log }: Arriving, failure: string): Promise<void> {
  log.error("the new program failed, the guard goes on in its stead", { reason: failure, pid: Deno.pid });
  try {
    await transactions.rollWorkers();
  } catch (error) {
    log.error("the workers cannot be renewed", { reason: (error as Error).message });
  }
}
