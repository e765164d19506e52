// The slots and who is in them: a process for each, and another one when it ends; at once, or after a while if those before it
// died of their start. Processes that have left their slot finish what they carry, and are known here until they are gone.

import type { Log } from "../observe/log.ts";
import { closeFd } from "../sys/fds.ts";
import { describeExit, type ExitStatus } from "../sys/process.ts";
import type { Launcher } from "./launcher.ts";
import type { Listeners, Preparation } from "./listeners.ts";
import { readyLimitMs, type Serving } from "./serving.ts";
import { backoffMs, type HandedSlot, newSlot, type Slot } from "./slot.ts";
import { settledWithin } from "./waiting.ts";
import type { BackendEvent, HandedWorker, WorkerProcess } from "./worker_process.ts";

/** Loading its code takes a process some 50 ms. */
const LOADED_LIMIT_MS = 10_000;
/** A worker that ends sooner after its start died of it. */
const EARLY_DEATH_MS = 1_000;
/** How long a change waits for workers that are just starting. */
const SETTLE_LIMIT_MS = 2_000;

/** What happens to workers, for whoever wants to know. */
export interface WorkerWatcher {
  workerStarted(slot: number, pid: number): void;
  workerDied(slot: number, pid: number, by: string): void;
  backend(event: BackendEvent, slot: number): void;
}

export interface SlotLimits {
  readyTimeoutMs?: number;
  earlyDeathMs?: number;
}

export interface SlotsOptions extends SlotLimits {
  log: Log;
  launcher: Launcher;
  listeners: Listeners;
  /** What a process that starts by itself serves, and how long one that leaves may take. */
  serving: () => Serving;
  watcher: () => WorkerWatcher | undefined;
}

/** The processes of a main, as it hands them over to the next. */
export interface HandedSlots {
  slots: HandedSlot[];
  draining: HandedWorker[];
}

export class Slots {
  #all: Slot[] = [];
  readonly #draining = new Set<WorkerProcess>();
  #stopping = false;
  /** While workers get a change ready: who starts now waits until it is known which state holds. */
  #undecided: Promise<void> | undefined;

  constructor(private readonly options: SlotsOptions) {}

  get all(): readonly Slot[] {
    return this.#all;
  }

  /** Processes that have left their slots and finish what they carry. */
  get draining(): readonly WorkerProcess[] {
    return [...this.#draining];
  }

  /** All that serve or finish what they carry. */
  processes(): WorkerProcess[] {
    const current = this.#all.flatMap((slot) => slot.worker ?? []);
    return [...new Set([...current, ...this.#draining])].filter((worker) => worker.state !== "ended");
  }

  // ---- processes for slots ----

  /** Starts a process for a slot; with `prepared`, on the sockets of a change that is not decided. */
  start(worker: WorkerProcess, slot: number, slots: number, serving: Serving, prepared?: Preparation): Promise<void> {
    const { launcher, listeners } = this.options;
    launcher.allowFiles(worker, serving.state);
    worker.onBackend = (event) => this.options.watcher()?.backend(event, slot);
    const { snapshot, certificates, revision, accessLog } = serving;
    const order = { slot, snapshot, certificates, revision, accessLog };
    return worker.start({ ...order, listeners: listeners.ofSlot(slot, slots, prepared?.next) }, this.#limitMs(serving));
  }

  /** From now on there are `count` slots with these processes in the first of them; gives the slots of before. */
  occupy(workers: readonly WorkerProcess[], count: number): Slot[] {
    const before = this.#all;
    this.#all = Array.from(
      { length: count },
      (_, index) => newSlot(index, workers[index], before[index]?.restarts ?? 0),
    );
    for (const slot of this.#all) if (slot.worker) this.#watch(slot, slot.worker);
    return before;
  }

  async resize(count: number): Promise<void> {
    // By now the others serve their sockets, too.
    for (const slot of this.#all.splice(count)) this.leave(slot);
    if (this.#all.length >= count) return;
    while (this.#all.length < count) this.#all.push(newSlot(this.#all.length, undefined, 0));
    await this.fillEmpty();
  }

  /** Processes for the slots that have none, all at a time, and sockets for them. */
  async fillEmpty(): Promise<void> {
    const slots = this.#all;
    const empty = slots.filter((slot) => slot.worker === undefined && slot.retry === undefined);
    const workers = empty.map((slot) => slot.worker = this.options.launcher.take());
    await Promise.all(workers.map((worker) => worker.whenLoaded(LOADED_LIMIT_MS)));
    this.#addSeats(slots.length);
    await Promise.all(empty.map((slot, i) => this.#fill(slot, workers[i])));
  }

  /** Waits until no worker is just starting, but not for one that hangs. */
  async settled(): Promise<void> {
    const filling = this.#all.flatMap(({ filling }) => filling ?? []);
    if (filling.length > 0) await settledWithin(filling, SETTLE_LIMIT_MS);
  }

  /** Nobody who waits for his start is told what to serve before `decide` has come back. */
  async whileUndecided<T>(decide: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#undecided = promise;
    try {
      return await decide();
    } finally {
      this.#undecided = undefined;
      resolve();
    }
  }

  // ---- processes that leave ----

  /** Nobody fills this slot any more. */
  leave(slot: Slot): void {
    clearTimeout(slot.retry);
    if (slot.worker) this.#drain(slot.worker);
  }

  /** Nobody fills any slot any more; who is in one stays there until it leaves. */
  close(): void {
    this.#stopping = true;
    for (const slot of this.#all) clearTimeout(slot.retry);
  }

  #drain(worker: WorkerProcess): void {
    worker.drain(this.options.serving().state.timeouts.drain);
    this.#addDraining(worker);
  }

  #addDraining(worker: WorkerProcess): void {
    this.#draining.add(worker);
    worker.ended.then(() => this.#draining.delete(worker));
  }

  // ---- from one main to the next ----

  handOver(): HandedSlots {
    return {
      slots: this.#all.map(({ worker, restarts, earlyDeaths }) => ({
        worker: worker?.state === "serving" ? worker.handOver() : null,
        restarts,
        earlyDeaths,
      })),
      draining: this.draining.filter(({ state }) => state === "draining").map((worker) => worker.handOver()),
    };
  }

  /** Nothing is heard from them before they are told to listen; who has died meanwhile is replaced. */
  adopt({ slots, draining }: HandedSlots): void {
    this.#all = slots.map(({ worker, restarts, earlyDeaths }, index) => ({
      ...newSlot(index, worker ? this.#adoptWorker(worker) : undefined, restarts),
      earlyDeaths,
    }));
    for (const slot of this.#all) if (slot.worker) this.#follow(slot, slot.worker);
    for (const worker of draining.flatMap((worker) => this.#adoptWorker(worker) ?? [])) this.#addDraining(worker);
  }

  #adoptWorker(handed: HandedWorker): WorkerProcess | undefined {
    const { launcher, log, watcher } = this.options;
    const { slot, pid, channel } = handed;
    try {
      const worker = launcher.adopt(handed);
      worker.onBackend = (event) => watcher()?.backend(event, slot);
      return worker;
    } catch (error) {
      log.error("worker ended during the upgrade", { slot, pid, reason: (error as Error).message });
      closeFd(channel);
      return undefined;
    }
  }

  // ---- replacing who ends ----

  #limitMs({ state }: Serving): number {
    return this.options.readyTimeoutMs ?? readyLimitMs(state);
  }

  /** Without a seat of its own a slot is idle, which is no reason to give up what serves already. */
  #addSeats(slots: number): void {
    const { listeners, log } = this.options;
    try {
      listeners.addSeats(slots);
    } catch (error) {
      log.error("some workers have no listening socket of their own", { reason: (error as Error).message });
    }
  }

  #watch(slot: Slot, worker: WorkerProcess): void {
    this.options.watcher()?.workerStarted(slot.index, worker.pid);
    this.#follow(slot, worker);
  }

  #follow(slot: Slot, worker: WorkerProcess): void {
    worker.ended.then((status) => this.#onEnded(slot, worker, status));
  }

  #isIn(slot: Slot, worker: WorkerProcess): boolean {
    return !this.#stopping && slot.worker === worker && this.#all[slot.index] === slot;
  }

  #onEnded(slot: Slot, worker: WorkerProcess, status: ExitStatus): void {
    if (!this.#isIn(slot, worker)) return;
    const { log, watcher, earlyDeathMs = EARLY_DEATH_MS } = this.options;
    const livedMs = Date.now() - worker.readyAtMs;
    const by = describeExit(status);
    log.error("worker died", { slot: slot.index, pid: worker.pid, by, after_ms: livedMs });
    watcher()?.workerDied(slot.index, worker.pid, by);
    slot.restarts++;
    slot.earlyDeaths = livedMs < earlyDeathMs ? slot.earlyDeaths + 1 : 0;
    this.#refill(slot);
  }

  /** At once, unless the last ones died of their start. */
  #refill(slot: Slot): void {
    const { index, earlyDeaths } = slot;
    const delayMs = backoffMs(earlyDeaths);
    slot.worker = undefined;
    if (delayMs === 0) return void this.#fill(slot);
    this.options.log.warn("the next try waits", { slot: index, early_deaths: earlyDeaths, delay_ms: delayMs });
    slot.retry = setTimeout(() => {
      slot.retry = undefined;
      void this.#fill(slot);
    }, delayMs);
  }

  /** A process for an empty slot. Never rejects: what goes wrong is logged and tried again. */
  #fill(slot: Slot, worker = this.options.launcher.take()): Promise<void> {
    const filling = this.#fillWith(slot, worker).finally(() => {
      if (slot.filling === filling) slot.filling = undefined;
    });
    return slot.filling = filling;
  }

  async #fillWith(slot: Slot, worker: WorkerProcess): Promise<void> {
    const { log, launcher, serving } = this.options;
    const begin = performance.now();
    slot.worker = worker;
    // Who starts in the middle of a change starts with what comes of it.
    while (this.#undecided) await this.#undecided;
    try {
      await this.start(worker, slot.index, this.#all.length, serving());
    } catch (error) {
      await worker.ended;
      if (!this.#isIn(slot, worker)) return;
      log.error("worker did not start", { slot: slot.index, reason: (error as Error).message });
      slot.earlyDeaths++;
      return this.#refill(slot);
    }
    this.#watch(slot, worker);
    const tookMs = Math.round(performance.now() - begin);
    log.info("worker is ready", { slot: slot.index, pid: worker.pid, took_ms: tookMs });
    launcher.keepSpare();
  }
}
