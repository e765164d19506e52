// The workers: a slot for each, a process in each slot, and a new process for a slot whose process ended. The supervisor owns
// the listening sockets, the snapshot that the workers serve, and the access log they write.
//
// One waiting process is kept beside those that serve. It has loaded everything and blocks, so it costs no CPU, and it takes
// the place of a dead worker within a few milliseconds, whatever else the host is doing; a process started only then would
// need several times as long.
//
// The first state is served by one worker before the others have loaded, and each listening socket is opened when the worker
// it is for is about to serve it: whoever the kernel led to it before would have to wait.
//
// A new state never touches a process that serves the old one: new processes start on the same sockets, and only when all of
// them are ready do the old ones drain. If one refuses, all new ones end and nothing has changed.

import type { State } from "../config/mod.ts";
import type { Log } from "../observe/log.ts";
import { closeFd, memoryFile, openForAppend } from "../sys/fds.ts";
import type { Poller } from "../sys/poll.ts";
import { allowOpenFiles, CHILD_FD, type Command, describeExit, type ExitStatus } from "../sys/process.ts";
import type { WorkerSnapshot } from "../worker/protocol.ts";
import { Listeners, type Listening, type Preparation } from "./listeners.ts";
import { resolveBackends, type Resolved } from "./resolve.ts";
import { WorkerFailure, WorkerProcess } from "./worker_process.ts";

/** Far above what a worker takes on a busy host (about 60 ms); a worker that needs longer hangs. */
const READY_TIMEOUT_MS = 10_000;
/** A worker that ends sooner after its start died of it. */
const EARLY_DEATH_MS = 1_000;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_MAX_MS = 10_000;
/** Descriptors of a worker besides connections and pipes: listeners, epoll, log, libraries, the runtime's own. */
const OTHER_FDS = 256;
const STDOUT = 1;

export interface Slot {
  readonly index: number;
  /** The process that serves or is about to; undefined while the next try waits. */
  worker: WorkerProcess | undefined;
  restarts: number;
  /** Deaths in a row that came right after a start. */
  earlyDeaths: number;
  retry: ReturnType<typeof setTimeout> | undefined;
}

/** What a revision of the state needs besides itself. */
interface Serving {
  revision: number;
  state: State;
  resolved: Resolved;
  snapshot: number;
  accessLog: number | undefined;
}

export interface SupervisorOptions {
  poller: Poller;
  log: Log;
  /** The command that becomes a worker with its channel at the given descriptor. */
  command: (fd: number) => Command;
  /** A process that waits already. */
  first?: WorkerProcess;
  readyTimeoutMs?: number;
}

export class Supervisor {
  readonly startedAtMs = Date.now();
  #slots: Slot[] = [];
  readonly #listeners = new Listeners();
  readonly #draining = new Set<WorkerProcess>();
  #spare: WorkerProcess | undefined;
  #serving: Serving | undefined;
  #lastRevision = 0;
  #stopping = false;
  #warnedOfFiles = 0;
  #change: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  /** Resolved when a stop must not wait for what the workers carry. */
  readonly #hurry = Promise.withResolvers<void>();

  constructor(private readonly options: SupervisorOptions) {
    this.#spare = options.first;
  }

  get #readyTimeoutMs(): number {
    return this.options.readyTimeoutMs ?? READY_TIMEOUT_MS;
  }

  get slots(): readonly Slot[] {
    return this.#slots;
  }

  get listeners(): readonly Listening[] {
    return this.#listeners.all();
  }

  get revision(): number {
    return this.#serving?.revision ?? 0;
  }

  get state(): State | undefined {
    return this.#serving?.state;
  }

  get spare(): WorkerProcess | undefined {
    return this.#spare;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** How many processes serve or finish what they carry. */
  get live(): number {
    return this.#processes().length;
  }

  /** Processes of earlier revisions that finish what they carry. */
  get draining(): readonly WorkerProcess[] {
    return [...this.#draining];
  }

  /**
   * Serves a state, the first or the next one; changes come one after another. Resolves when all its workers are ready.
   * Rejects with the reason when it cannot be served; what was served before is then served on.
   */
  apply(state: State): Promise<void> {
    const applied = this.#change.then(() => this.#apply(state));
    this.#change = applied.catch(() => {});
    return applied;
  }

  /** Opens the access log anew (after it was renamed) and hands it to all workers. Throws when it cannot be opened. */
  reopenAccessLog(): void {
    const serving = this.#serving;
    if (!serving || serving.accessLog === undefined || serving.accessLog === STDOUT) return;
    const old = serving.accessLog;
    serving.accessLog = openAccessLog(serving.state);
    for (const worker of this.#processes()) worker.reopenAccessLog(serving.accessLog!);
    closeFd(old);
  }

  /**
   * Ends all workers: gracefully (what waits in the listening sockets is accepted, what is carried is finished, within the
   * drain time) or at once. Asking again for at once cuts a graceful stop short. Resolves when all are gone.
   */
  stop(now: boolean): Promise<void> {
    const first = !this.#stopping;
    this.#stopping = true;
    for (const slot of this.#slots) clearTimeout(slot.retry);
    this.#spare?.kill();
    if (now) this.#hurry.resolve();
    if (first) this.#stopped = this.#stop();
    return this.#stopped!;
  }

  async #stop(): Promise<void> {
    this.#hurry.promise.then(() => this.#processes().forEach((worker) => worker.stop()));
    await this.#change;
    await Promise.race([this.#listeners.retire(this.listeners), this.#hurry.promise]);
    for (const slot of this.#slots) if (slot.worker) this.#drain(slot.worker);
    // A change that was under way may have brought new workers since.
    this.#hurry.promise.then(() => this.#processes().forEach((worker) => worker.stop()));
    await Promise.all(this.#processes().map((worker) => worker.ended));
    this.#listeners.close(this.listeners);
  }

  async #apply(state: State): Promise<void> {
    this.#refuseWhenStopping();
    const before = this.#serving;
    const warn = (text: string) => this.options.log.warn(text);
    const resolved = await resolveBackends(state, before?.resolved ?? {}, warn);
    const slots = slotCount(state);
    const prepared = this.#listeners.prepare(state.listeners, before ? slots : 1);
    let next: Serving | undefined;
    let workers: WorkerProcess[];
    try {
      next = this.#makeServing(state, resolved);
      workers = await this.#startAll(next, prepared, before ? Math.min(slots, this.#slots.length) : 1, slots);
    } catch (error) {
      this.#listeners.abandon(prepared);
      if (next) closeServing(next);
      throw error;
    }
    await this.#commit(next, prepared, workers, slots);
  }

  /** New processes for slots 0…count-1 on the prepared sockets: all ready, or none left. */
  async #startAll(next: Serving, prepared: Preparation, count: number, slots: number): Promise<WorkerProcess[]> {
    const workers: WorkerProcess[] = [];
    try {
      // One after the other: if the first refuses the state, no other needs to be told.
      for (let slot = 0; slot < count; slot++) {
        const worker = this.#takeProcess();
        workers.push(worker);
        await this.#startWorker(worker, slot, slots, next, prepared);
      }
      const dead = workers.find((worker) => worker.state !== "serving");
      if (dead) throw new WorkerFailure(`process ${dead.pid} ended right after it was ready`);
      this.#refuseWhenStopping();
      return workers;
    } catch (error) {
      for (const worker of workers) worker.kill();
      await Promise.all(workers.map((worker) => worker.ended));
      throw error instanceof WorkerFailure ? new Error(`a worker cannot serve this state: ${error.message}`) : error;
    }
  }

  async #commit(next: Serving, prepared: Preparation, workers: WorkerProcess[], slots: number): Promise<void> {
    const before = this.#serving;
    this.#serving = next;
    const removed = this.#listeners.commit(prepared);
    const old = this.#slots;
    this.#slots = Array.from(
      { length: slots },
      (_, index) => newSlot(index, workers[index], old[index]?.restarts ?? 0),
    );
    for (const slot of this.#slots) if (slot.worker) this.#watch(slot, slot.worker);
    await this.#fillEmpty();
    // The old workers still accept: those who wait at a removed listener are served before it closes.
    await this.#listeners.retire(removed);
    for (const slot of old) {
      clearTimeout(slot.retry);
      if (slot.worker) this.#drain(slot.worker);
    }
    this.#listeners.close(removed);
    if (before) closeServing(before);
    this.#keepSpare();
  }

  /** Processes for the slots that have none, all at a time, and sockets for them. */
  async #fillEmpty(): Promise<void> {
    const slots = this.#slots;
    const empty = slots.filter((slot) => slot.worker === undefined);
    const workers = empty.map((slot) => slot.worker = this.#takeProcess());
    await Promise.all(workers.map((worker) => worker.whenLoaded(this.#readyTimeoutMs)));
    this.#addSeats(slots.length);
    await Promise.all(empty.map((slot, i) => this.#fill(slot, workers[i])));
  }

  /** Without a seat of its own a slot is idle, which is no reason to give up what serves already. */
  #addSeats(slots: number): void {
    try {
      this.#listeners.addSeats(slots);
    } catch (error) {
      this.options.log.error("some workers have no listening socket of their own", {
        reason: (error as Error).message,
      });
    }
  }

  #startWorker(worker: WorkerProcess, slot: number, slots: number, serving: Serving, prepared?: Preparation) {
    this.#allowFiles(worker, serving.state);
    return worker.start({
      slot,
      snapshot: serving.snapshot,
      revision: serving.revision,
      accessLog: serving.accessLog,
      listeners: this.#listeners.ofSlot(slot, slots, prepared?.next),
    }, this.#readyTimeoutMs);
  }

  #drain(worker: WorkerProcess): void {
    this.#draining.add(worker);
    worker.drain(this.#serving!.state.timeouts.drain);
    worker.ended.then(() => this.#draining.delete(worker));
  }

  #watch(slot: Slot, worker: WorkerProcess): void {
    worker.ended.then((status) => this.#onEnded(slot, worker, status));
  }

  #onEnded(slot: Slot, worker: WorkerProcess, status: ExitStatus): void {
    if (this.#stopping || slot.worker !== worker || this.#slots[slot.index] !== slot) return;
    const livedMs = Date.now() - worker.readyAtMs;
    this.options.log.error("worker died", {
      slot: slot.index,
      pid: worker.pid,
      by: describeExit(status),
      after_ms: livedMs,
    });
    slot.restarts++;
    slot.earlyDeaths = livedMs < EARLY_DEATH_MS ? slot.earlyDeaths + 1 : 0;
    this.#refill(slot);
  }

  /** At once, unless the last ones died of their start. */
  #refill(slot: Slot): void {
    const delayMs = backoffMs(slot.earlyDeaths);
    slot.worker = undefined;
    if (delayMs === 0) return void this.#fill(slot);
    this.options.log.warn("the next try waits", {
      slot: slot.index,
      early_deaths: slot.earlyDeaths,
      delay_ms: delayMs,
    });
    slot.retry = setTimeout(() => this.#fill(slot), delayMs);
  }

  /** A process for an empty slot. Never rejects: what goes wrong is logged and tried again. */
  async #fill(slot: Slot, worker = this.#takeProcess()): Promise<void> {
    const begin = performance.now();
    slot.worker = worker;
    try {
      await this.#startWorker(worker, slot.index, this.#slots.length, this.#serving!);
    } catch (error) {
      await worker.ended;
      if (this.#stopping || slot.worker !== worker || this.#slots[slot.index] !== slot) return;
      this.options.log.error("worker did not start", { slot: slot.index, reason: (error as Error).message });
      slot.earlyDeaths++;
      return this.#refill(slot);
    }
    this.#watch(slot, worker);
    const tookMs = Math.round(performance.now() - begin);
    this.options.log.info("worker is ready", { slot: slot.index, pid: worker.pid, took_ms: tookMs });
    this.#keepSpare();
  }

  /** The waiting process if it still lives, or a new one. */
  #takeProcess(): WorkerProcess {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare?.state === "waiting" ? spare : this.#launch();
  }

  #launch(): WorkerProcess {
    return new WorkerProcess(this.options.poller, this.options.command, CHILD_FD, (level, message, worker) => {
      this.options.log.log(level, message, { slot: worker.slot, pid: worker.pid });
    });
  }

  #keepSpare(): void {
    if (this.#stopping || this.#spare?.state === "waiting") return;
    this.#spare = this.#launch();
  }

  #processes(): WorkerProcess[] {
    const current = this.#slots.flatMap((slot) => slot.worker ?? []);
    return [...new Set([...current, ...this.#draining])].filter((worker) => worker.state !== "ended");
  }

  #makeServing(state: State, resolved: Resolved): Serving {
    const revision = ++this.#lastRevision;
    const snapshot: WorkerSnapshot = { revision, state, routeIds: state.routes.map((_, index) => index), resolved };
    const accessLog = openAccessLog(state);
    const content = new TextEncoder().encode(JSON.stringify(snapshot));
    return { revision, state, resolved, accessLog, snapshot: memoryFile("kakehi-snapshot", content) };
  }

  #allowFiles(worker: WorkerProcess, { limits }: State): void {
    const wanted = limits.connections + limits.upstream_connections + 2 * limits.pipes + OTHER_FDS;
    const allowed = allowOpenFiles(worker.pid, wanted);
    if (allowed >= wanted || this.#warnedOfFiles === wanted) return;
    this.#warnedOfFiles = wanted;
    this.options.log.warn("a worker may open fewer files than the limits of the configuration need", {
      allowed,
      wanted,
    });
  }

  #refuseWhenStopping(): void {
    if (this.#stopping) throw new Error("the proxy is stopping");
  }
}

function newSlot(index: number, worker: WorkerProcess | undefined, restarts: number): Slot {
  return { index, worker, restarts, earlyDeaths: 0, retry: undefined };
}

function slotCount({ workers }: State): number {
  return workers === "auto" ? navigator.hardwareConcurrency : workers;
}

/** No wait for the first early death, then doubling up to a bound. */
export function backoffMs(earlyDeaths: number): number {
  return earlyDeaths < 2 ? 0 : Math.min(BACKOFF_FIRST_MS * 2 ** (earlyDeaths - 2), BACKOFF_MAX_MS);
}

function openAccessLog({ access_log }: State): number | undefined {
  if (access_log === null) return undefined;
  return access_log.path === "stdout" ? STDOUT : openForAppend(access_log.path);
}

function closeServing({ snapshot, accessLog }: Serving): void {
  closeFd(snapshot);
  if (accessLog !== undefined && accessLog !== STDOUT) closeFd(accessLog);
}
