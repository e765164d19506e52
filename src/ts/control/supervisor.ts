// The workers: a slot for each, a process in each slot, and a new process for a slot whose process ended. The supervisor owns
// the listening sockets, the revision that the workers serve, and the access log they write.
//
// One waiting process is kept beside those that serve. It has loaded everything and blocks, so it costs no CPU, and it takes
// the place of a dead worker within a few milliseconds, whatever else the host is doing; a process started only then would
// need several times as long.
//
// There are two ways to the next revision. `changeLive`: the processes that serve take it over, all at once (live_change.ts).
// `roll`: new processes start on the same sockets, and only when all of them are ready do the old ones drain. Either way, if
// one refuses, nothing has changed.

import type { State } from "../config/mod.ts";
import { closeFd } from "../sys/fds.ts";
import { describeExit, type ExitStatus } from "../sys/process.ts";
import type { WorkerChange } from "../worker/protocol.ts";
import { type ActivatedSocket, describeActivated } from "./activation.ts";
import { ChangeRefused } from "./errors.ts";
import { Listeners, type Listening, type NamedFd, type Preparation } from "./listeners.ts";
import { Launcher, type LauncherOptions } from "./launcher.ts";
import { commitAll, prepareAll } from "./live_change.ts";
import type { Serving } from "./serving.ts";
import { backoffMs, type HandedSlot, newSlot, type Slot, slotCount } from "./slot.ts";
import { type BackendEvent, type HandedWorker, WorkerFailure, WorkerProcess } from "./worker_process.ts";

/** Far above what a worker takes on a busy host (about 60 ms); a worker that needs longer hangs. */
const READY_TIMEOUT_MS = 10_000;
/** A worker that ends sooner after its start died of it. */
const EARLY_DEATH_MS = 1_000;
/** How long a change waits for workers that are just starting. */
const SETTLE_LIMIT_MS = 2_000;

/** What happens to workers and listeners, for whoever wants to know. */
export interface SupervisorWatcher {
  workerStarted(slot: number, pid: number): void;
  workerDied(slot: number, pid: number, by: string): void;
  backend(event: BackendEvent, slot: number): void;
  listenerAdded(listening: Listening): void;
  listenerRemoved(listening: Listening): void;
}

export interface SupervisorOptions extends LauncherOptions {
  readyTimeoutMs?: number;
  changeTimeoutMs?: number;
  earlyDeathMs?: number;
  /** Sockets that a service manager has opened. */
  activated?: readonly ActivatedSocket[];
}

/** What one main hands over to the next. */
export interface HandedSupervisor {
  startedAtMs: number;
  slots: HandedSlot[];
  draining: HandedWorker[];
  listeners: Listening[];
  /** Sockets that a service manager has passed, whether a listener has them now or not. */
  activated: ActivatedSocket[];
  /** Descriptor of the access log; null: there is none. */
  accessLog: number | null;
}

export class Supervisor {
  startedAtMs = Date.now();
  #slots: Slot[] = [];
  readonly #listeners: Listeners;
  readonly #draining = new Set<WorkerProcess>();
  readonly #launcher: Launcher;
  #serving: Serving | undefined;
  #stopping = false;
  #change: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  /** While workers get a change ready: who starts now waits until it is known which state holds. */
  #undecided: Promise<void> | undefined;
  watcher: SupervisorWatcher | undefined;
  /** Resolved when a stop must not wait for what the workers carry. */
  readonly #hurry = Promise.withResolvers<void>();

  constructor(private readonly options: SupervisorOptions) {
    this.#launcher = new Launcher(options);
    this.#listeners = new Listeners(options.activated);
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

  get serving(): Serving | undefined {
    return this.#serving;
  }

  get revision(): number {
    return this.#serving?.revision ?? 0;
  }

  get state(): State | undefined {
    return this.#serving?.state;
  }

  get spare(): WorkerProcess | undefined {
    return this.#launcher.spare;
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
   * Serves a revision, the first or the next one, with new processes. Resolves when all of them are ready. Rejects with
   * the reason when they cannot serve it; what was served before is then served on. `decided` is called when that can no
   * longer happen.
   */
  roll(next: Serving, decided: () => void = () => {}): Promise<void> {
    return this.#inTurn(() => this.#roll(next, decided));
  }

  /**
   * Serves the next revision with the processes that there are, and as many more or less as it wants. `decided` is called
   * when nothing can be refused any more, and gives the hash of what every worker should then serve. `certificates` is the
   * descriptor with the material of those that the change has, and stays whose it is. Gives the longest
   * pause of a worker's loop in microseconds; rejects as `roll`.
   */
  changeLive(
    next: Serving,
    change: Omit<WorkerChange, "listenersRemoved">,
    decided: () => string,
    certificates?: number,
  ): Promise<number> {
    return this.#inTurn(() => this.#changeLive(next, change, decided, certificates));
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#change.then(change);
    this.#change = done.catch(() => {});
    return done;
  }

  /**
   * Has `go` put another program in the place of this one, with no change under way and no process that waits or starts.
   * Comes back only by rejecting, and then everything goes on.
   */
  handOver(go: (handed: HandedSupervisor) => never): Promise<never> {
    return this.#inTurn(async () => {
      this.#refuseWhenStopping();
      await this.#settled();
      await this.#launcher.dismiss();
      try {
        await heard();
        this.#refuseWhenStopping();
        return go(this.#handed());
      } finally {
        this.#launcher.keepSpare();
      }
    });
  }

  #handed(): HandedSupervisor {
    return {
      startedAtMs: this.startedAtMs,
      slots: this.#slots.map(({ worker, restarts, earlyDeaths }) => ({
        worker: worker?.state === "serving" ? worker.handOver() : null,
        restarts,
        earlyDeaths,
      })),
      draining: this.draining.filter(({ state }) => state === "draining").map((worker) => worker.handOver()),
      listeners: [...this.listeners],
      activated: [...this.#listeners.activated],
      accessLog: this.#serving!.accessLog ?? null,
    };
  }

  /**
   * Takes over from another main what it served: its sockets, and the processes that still live. Nothing is heard from them
   * before `listen`; those that died meanwhile are replaced.
   */
  adopt(handed: HandedSupervisor, serving: Serving): void {
    this.#serving = serving;
    this.startedAtMs = handed.startedAtMs;
    this.#listeners.adopt(handed.listeners, handed.activated);
    this.#slots = handed.slots.map(({ worker, restarts, earlyDeaths }, index) => ({
      ...newSlot(index, worker ? this.#adoptWorker(worker) : undefined, restarts),
      earlyDeaths,
    }));
    for (const slot of this.#slots) {
      const { worker } = slot;
      worker?.ended.then((status) => this.#onEnded(slot, worker, status));
    }
    for (const worker of handed.draining.flatMap((worker) => this.#adoptWorker(worker) ?? [])) {
      this.#draining.add(worker);
      worker.ended.then(() => this.#draining.delete(worker));
    }
  }

  #adoptWorker(handed: HandedWorker): WorkerProcess | undefined {
    try {
      const worker = this.#launcher.adopt(handed);
      worker.onBackend = (event) => this.watcher?.backend(event, handed.slot);
      return worker;
    } catch (error) {
      const reason = (error as Error).message;
      this.options.log.error("worker ended during the upgrade", { slot: handed.slot, pid: handed.pid, reason });
      closeFd(handed.channel);
      return undefined;
    }
  }

  /** Hears the processes that were adopted, and fills the slots that have none. */
  async listen(): Promise<void> {
    for (const worker of this.#processes()) worker.listen();
    await this.#inTurn(() => this.#fillEmpty());
    this.#launcher.keepSpare();
  }

  /** Ends the processes of this main, which hands everything back; those that it adopted go on. */
  async forsake(): Promise<void> {
    await this.#launcher.dismiss();
  }

  /** Opens the access log anew (after it was renamed) and hands it to all workers. Throws when it cannot be opened. */
  reopenAccessLog(): void {
    const serving = this.#serving;
    const old = serving?.reopenAccessLog();
    if (old === undefined) return;
    for (const worker of this.#processes()) worker.reopenAccessLog(serving!.accessLog!);
    closeFd(old);
  }

  /** Hands the keys of session tickets to all workers, and to those that start later. */
  tellTicketKeys(keys: readonly string[]): void {
    this.#serving?.describeAnew();
    for (const worker of this.#processes()) worker.tellTicketKeys(keys);
  }

  /**
   * Ends all workers: gracefully (what waits in the listening sockets is accepted, what is carried is finished, within the
   * drain time) or at once. Asking again for at once cuts a graceful stop short. Resolves when all are gone.
   */
  stop(now: boolean): Promise<void> {
    const first = !this.#stopping;
    this.#stopping = true;
    for (const slot of this.#slots) clearTimeout(slot.retry);
    this.#launcher.close();
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

  async #roll(next: Serving, decided: () => void): Promise<void> {
    this.#refuseWhenStopping();
    const { state } = next;
    const before = this.#serving;
    const slots = slotCount(state);
    const prepared = this.#listeners.prepare(state.listeners, before ? slots : 1);
    let workers: WorkerProcess[];
    try {
      workers = await this.#startAll(next, prepared, before ? Math.min(slots, this.#slots.length) : 1, slots);
    } catch (error) {
      this.#listeners.abandon(prepared);
      throw error;
    }
    decided();
    await this.#takeOver(next, prepared, workers, slots);
  }

  /** New processes for slots 0…count-1 on the prepared sockets: all ready, or none left. */
  async #startAll(next: Serving, prepared: Preparation, count: number, slots: number): Promise<WorkerProcess[]> {
    const workers: WorkerProcess[] = [];
    try {
      // They load their code at the same time.
      while (workers.length < count) workers.push(this.#launcher.take());
      // One after the other: if the first refuses the state, no other needs to be told.
      for (const [slot, worker] of workers.entries()) await this.#startWorker(worker, slot, slots, next, prepared);
      const dead = workers.find((worker) => worker.state !== "serving");
      if (dead) throw new WorkerFailure(`process ${dead.pid} ended right after it was ready`);
      this.#refuseWhenStopping();
      return workers;
    } catch (error) {
      for (const worker of workers) worker.kill();
      await Promise.all(workers.map((worker) => worker.ended));
      throw error instanceof WorkerFailure
        ? new ChangeRefused("", `a worker cannot serve this state: ${error.message}`)
        : error;
    }
  }

  async #takeOver(next: Serving, prepared: Preparation, workers: WorkerProcess[], slots: number): Promise<void> {
    const before = this.#serving;
    this.#serving = next;
    const removed = this.#commitListeners(prepared);
    const old = this.#slots;
    this.#slots = Array.from(
      { length: slots },
      (_, index) => newSlot(index, workers[index], old[index]?.restarts ?? 0),
    );
    for (const slot of this.#slots) if (slot.worker) this.#watch(slot, slot.worker);
    if (!before) this.#sayActivated();
    await this.#fillEmpty();
    // The old workers still accept: those who wait at a removed listener are served before it closes.
    await this.#listeners.retire(removed);
    old.forEach((slot) => this.#leave(slot));
    this.#listeners.close(removed);
    before?.close(next);
    this.#launcher.keepSpare();
  }

  /** At the first start: where we listen instead of where the configuration says, and what we have no use for. */
  #sayActivated(): void {
    const { log } = this.options;
    for (const { name, configured, address, activated } of this.listeners) {
      if (!activated) continue;
      const instead = address === configured ? {} : { instead_of: configured };
      log.info("the socket is the service manager's", {
        listener: name,
        descriptor: activated.fd,
        address,
        ...instead,
      });
    }
    for (const socket of this.#listeners.closeUnused()) {
      log.warn("no listener has the name or the address of a socket of the service manager: it is closed", {
        socket: describeActivated(socket),
      });
    }
  }

  /** Nobody fills this slot any more. */
  #leave(slot: Slot): void {
    clearTimeout(slot.retry);
    if (slot.worker) this.#drain(slot.worker);
  }

  #commitListeners(prepared: Preparation): Listening[] {
    const before = new Set(this.listeners.map(({ seats }) => seats));
    const removed = this.#listeners.commit(prepared);
    for (const listening of this.listeners) if (!before.has(listening.seats)) this.watcher?.listenerAdded(listening);
    for (const listening of removed) this.watcher?.listenerRemoved(listening);
    return removed;
  }

  async #changeLive(
    next: Serving,
    change: Omit<WorkerChange, "listenersRemoved">,
    decided: () => string,
    certificates: number | undefined,
  ): Promise<number> {
    this.#refuseWhenStopping();
    await this.#settled();
    const slots = slotCount(next.state);
    const prepared = this.#listeners.prepare(next.state.listeners, slots);
    const workers = this.#slots.slice(0, slots).flatMap(({ worker }) => worker?.state === "serving" ? [worker] : []);
    const joining = new Map(workers.map((worker) => [worker, this.#joining(worker, slots, prepared)]));
    const listenersRemoved = this.#listeners.leftBy(prepared);
    const undecided = Promise.withResolvers<void>();
    this.#undecided = undecided.promise;
    try {
      const forWorkers = { ...change, listenersRemoved };
      const { changeTimeoutMs } = this.options;
      await prepareAll(workers, forWorkers, (worker) => joining.get(worker)!, changeTimeoutMs, certificates);
    } catch (error) {
      this.#listeners.abandon(prepared);
      throw error;
    } finally {
      this.#undecided = undefined;
      undecided.resolve();
    }
    const hash = decided();
    return await this.#followThrough(next, prepared, workers, joining, hash);
  }

  /** The second half of a live change, in which nothing is refused any more. */
  async #followThrough(
    next: Serving,
    prepared: Preparation,
    workers: readonly WorkerProcess[],
    joining: ReadonlyMap<WorkerProcess, NamedFd[]>,
    hash: string,
  ): Promise<number> {
    const before = this.#serving!;
    this.#serving = next;
    const removed = this.#commitListeners(prepared);
    for (const { worker } of this.#slots) {
      // It is still starting with the state before, and has served nobody.
      if (worker?.state === "starting" && worker.revision !== next.revision) worker.kill();
    }
    await this.#listeners.retire(removed);
    const onFault = (worker: WorkerProcess, reason: string) => {
      this.options.log.error("worker did not follow a change", { slot: worker.slot, pid: worker.pid, reason });
    };
    const paused = await commitAll(workers, next.revision, hash, onFault, this.options.changeTimeoutMs);
    for (const [worker, listeners] of joining) for (const { fd, name } of listeners) worker.holds.set(fd, name);
    for (const { seats } of removed) for (const fd of seats) for (const worker of workers) worker.holds.delete(fd);
    await this.#resize(slotCount(next.state));
    this.#listeners.close(removed);
    before.close(next);
    return paused;
  }

  /** The sockets that a worker is to serve as one of `slots`, and does not serve yet. */
  #joining(worker: WorkerProcess, slots: number, { next }: Preparation): NamedFd[] {
    return this.#listeners.ofSlot(worker.slot, slots, next).filter(({ fd, name }) => worker.holds.get(fd) !== name);
  }

  async #resize(slots: number): Promise<void> {
    // By now the others serve their sockets, too.
    for (const slot of this.#slots.splice(slots)) this.#leave(slot);
    if (this.#slots.length >= slots) return;
    while (this.#slots.length < slots) this.#slots.push(newSlot(this.#slots.length, undefined, 0));
    await this.#fillEmpty();
  }

  /** Waits until no worker is just starting, but not for one that hangs. */
  async #settled(): Promise<void> {
    const filling = this.#slots.flatMap(({ filling }) => filling ?? []);
    if (filling.length === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, SETTLE_LIMIT_MS));
    await Promise.race([Promise.all(filling), limit]);
    clearTimeout(timer);
  }

  /** Processes for the slots that have none, all at a time, and sockets for them. */
  async #fillEmpty(): Promise<void> {
    const slots = this.#slots;
    const empty = slots.filter((slot) => slot.worker === undefined && slot.retry === undefined);
    const workers = empty.map((slot) => slot.worker = this.#launcher.take());
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
    this.#launcher.allowFiles(worker, serving.state);
    worker.onBackend = (event) => this.watcher?.backend(event, slot);
    return worker.start({
      slot,
      snapshot: serving.snapshot,
      certificates: serving.certificates,
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
    this.watcher?.workerStarted(slot.index, worker.pid);
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
    this.watcher?.workerDied(slot.index, worker.pid, describeExit(status));
    slot.restarts++;
    slot.earlyDeaths = livedMs < (this.options.earlyDeathMs ?? EARLY_DEATH_MS) ? slot.earlyDeaths + 1 : 0;
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
    slot.retry = setTimeout(() => {
      slot.retry = undefined;
      void this.#fill(slot);
    }, delayMs);
  }

  /** A process for an empty slot. Never rejects: what goes wrong is logged and tried again. */
  #fill(slot: Slot, worker = this.#launcher.take()): Promise<void> {
    const filling = this.#fillWith(slot, worker).finally(() => {
      if (slot.filling === filling) slot.filling = undefined;
    });
    return slot.filling = filling;
  }

  async #fillWith(slot: Slot, worker: WorkerProcess): Promise<void> {
    const begin = performance.now();
    slot.worker = worker;
    // Who starts in the middle of a change starts with what comes of it.
    while (this.#undecided) await this.#undecided;
    try {
      await this.#startWorker(worker, slot.index, this.#slots.length, this.#serving!);
    } catch (error) {
      await worker.ended;
      if (this.#stopping || slot.worker !== worker || this.#slots[slot.index] !== slot) return;
      this.options.log.error("worker did not start", { slot: slot.index, reason: (error as Error).message });
      slot.earlyDeaths++;
      return void this.#refill(slot);
    }
    this.#watch(slot, worker);
    const tookMs = Math.round(performance.now() - begin);
    this.options.log.info("worker is ready", { slot: slot.index, pid: worker.pid, took_ms: tookMs });
    this.#launcher.keepSpare();
  }

  #processes(): WorkerProcess[] {
    const current = this.#slots.flatMap((slot) => slot.worker ?? []);
    return [...new Set([...current, ...this.#draining])].filter((worker) => worker.state !== "ended");
  }

  #refuseWhenStopping(): void {
    if (this.#stopping) throw new Error("the proxy is stopping");
  }
}

/** Signals that have come are heard by then: the runtime looks for them once a turn of its loop. */
async function heard(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}
