// A place for one worker: slots are numbered from 0, there are as many as the state wants, and each has its share of the
// listening sockets, whichever process is in it.

import type { State } from "../config/mod.ts";
import type { HandedWorker, WorkerProcess } from "./worker_process.ts";

const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 10_000;

export interface Slot {
  readonly index: number;
  /** The process that serves or is about to; undefined while the next try waits. */
  worker: WorkerProcess | undefined;
  restarts: number;
  /** Deaths in a row that came right after a start. */
  earlyDeaths: number;
  retry: ReturnType<typeof setTimeout> | undefined;
  /** While a process starts. */
  filling: Promise<void> | undefined;
}

/** A slot as one main hands it over to the next. */
export interface HandedSlot {
  worker: HandedWorker | null;
  restarts: number;
  earlyDeaths: number;
}

export function newSlot(index: number, worker: WorkerProcess | undefined, restarts: number): Slot {
  return { index, worker, restarts, earlyDeaths: 0, retry: undefined, filling: undefined };
}

/** How many workers a state wants. */
export function slotCount({ workers }: State): number {
  return workers === "auto" ? navigator.hardwareConcurrency : workers;
}

/** No wait for the first early death, then doubling up to a bound. */
export function backoffMs(earlyDeaths: number): number {
  return earlyDeaths < 2 ? 0 : Math.min(BACKOFF_FIRST_MS * 2 ** (earlyDeaths - 2), BACKOFF_MAX_MS);
}
