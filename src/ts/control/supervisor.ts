// What the workers serve, and on which sockets: from one revision to the next, and from one main to the next. The supervisor owns
// the listening sockets, the revision that the workers serve, and the access log they write; who is in which slot, and who
// comes when a worker ends, is with the slots (slots.ts), and where processes come from with the launcher.
//
// There are two ways to the next revision. `changeLive`: the processes that serve take it over, all at once (live_change.ts).
// `roll`: new processes start on the same sockets, and only when all of them are ready do the old ones drain. Either way, if
// one refuses, nothing has changed.

import type { State } from "../config/mod.ts";
import { closeFd } from "../sys/fds.ts";
import type { WorkerChange } from "../worker/protocol.ts";
import { type ActivatedSocket, sayActivated } from "./activation.ts";
import { ChangeRefused } from "./errors.ts";
import { Launcher, type LauncherOptions } from "./launcher.ts";
import { Listeners, type Listening, type NamedFd, type Preparation } from "./listeners.ts";
import { commitAll, prepareAll } from "./live_change.ts";
import type { Serving } from "./serving.ts";
import { keepSignalsForNext } from "./signals.ts";
import { type Slot, slotCount } from "./slot.ts";
import { type HandedSlots, type SlotLimits, Slots, type WorkerWatcher } from "./slots.ts";
import type { UnpreparedChange } from "./worker_change.ts";
import { WorkerFailure, type WorkerProcess } from "./worker_process.ts";

/** What happens to workers and listeners, for whoever wants to know. */
export interface SupervisorWatcher extends WorkerWatcher {
  listenerAdded(listening: Listening): void;
  listenerRemoved(listening: Listening): void;
}

export interface SupervisorOptions extends LauncherOptions, SlotLimits {
  changeTimeoutMs?: number;
  /** Sockets that a service manager has opened. */
  activated?: readonly ActivatedSocket[];
}

/** What one main hands over to the next. */
export interface HandedSupervisor extends HandedSlots {
  startedAtMs: number;
  listeners: Listening[];
  /** Sockets that a service manager has passed, whether a listener has them now or not. */
  activated: ActivatedSocket[];
  /** Descriptor of the access log; null: there is none. */
  accessLog: number | null;
}

export class Supervisor {
  startedAtMs = Date.now();
  readonly #slots: Slots;
  readonly #listeners: Listeners;
  readonly #launcher: Launcher;
  #serving: Serving | undefined;
  #stopping = false;
  #change: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  watcher: SupervisorWatcher | undefined;
  /** Resolved when a stop must not wait for what the workers carry. */
  readonly #hurry = Promise.withResolvers<void>();

  constructor(private readonly options: SupervisorOptions) {
    const launcher = this.#launcher = new Launcher(options);
    const listeners = this.#listeners = new Listeners(options.activated);
    const serving = () => this.#serving!;
    this.#slots = new Slots({ ...options, launcher, listeners, serving, watcher: () => this.watcher });
  }

  get slots(): readonly Slot[] {
    return this.#slots.all;
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
    return this.#slots.processes().length;
  }

  /** Processes of earlier revisions that finish what they carry. */
  get draining(): readonly WorkerProcess[] {
    return this.#slots.draining;
  }

  /**
   * Serves a revision, the first or the next one, with new processes. Resolves when all of them are ready. Rejects with
   * the reason when they cannot serve it; what was served before is then served on. `decided` is called when that can no
   * longer happen, `begun` when processes have been told what to serve and main waits for them.
   */
  roll(next: Serving, decided?: () => void, begun?: () => void): Promise<void> {
    return this.#inTurn(() => this.#roll(next, decided, begun));
  }

  /**
   * Serves the next revision with the processes that there are, and as many more or less as it wants. `decided` is called
   * when nothing can be refused any more, and gives the hash of what every worker should then serve. `certificates` is the
   * descriptor with the material of those that the change has, and stays whose it is. Gives the longest
   * pause of a worker's loop in microseconds; rejects as `roll`.
   */
  changeLive(
    next: Serving,
    change: UnpreparedChange,
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
      await this.#slots.settled();
      await this.#launcher.dismiss();
      const release = await keepSignalsForNext();
      try {
        this.#refuseWhenStopping();
        return go(this.#handed());
      } finally {
        release();
        this.#launcher.keepSpare();
      }
    });
  }

  #handed(): HandedSupervisor {
    return {
      ...this.#slots.handOver(),
      startedAtMs: this.startedAtMs,
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
    this.#slots.adopt(handed);
  }

  /** Hears the processes that were adopted, and fills the slots that have none. */
  async listen(): Promise<void> {
    for (const worker of this.#slots.processes()) worker.listen();
    await this.#inTurn(() => this.#slots.fillEmpty());
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
    for (const worker of this.#slots.processes()) worker.reopenAccessLog(serving!.accessLog!);
    closeFd(old);
  }

  /** Hands the keys of session tickets to all workers, and to those that start later. */
  tellTicketKeys(keys: readonly string[]): void {
    this.#serving?.describeAnew();
    for (const worker of this.#slots.processes()) worker.tellTicketKeys(keys);
  }

  /**
   * Ends all workers: gracefully (what waits in the listening sockets is accepted, what is carried is finished, within the
   * drain time) or at once. Asking again for at once cuts a graceful stop short. Resolves when all are gone.
   */
  stop(now: boolean): Promise<void> {
    const first = !this.#stopping;
    this.#stopping = true;
    this.#slots.close();
    this.#launcher.close();
    if (now) this.#hurry.resolve();
    if (first) this.#stopped = this.#stop();
    return this.#stopped!;
  }

  async #stop(): Promise<void> {
    const { promise: hurry } = this.#hurry;
    const stopAll = () => this.#slots.processes().forEach((worker) => worker.stop());
    hurry.then(stopAll);
    await this.#change;
    await Promise.race([this.#listeners.retire(this.listeners), hurry]);
    for (const slot of this.slots) this.#slots.leave(slot);
    // A change that was under way may have brought new workers since.
    hurry.then(stopAll);
    await Promise.all(this.#slots.processes().map((worker) => worker.ended));
    this.#listeners.close(this.listeners);
  }

  async #roll(next: Serving, decided = () => {}, begun = () => {}): Promise<void> {
    this.#refuseWhenStopping();
    const { state } = next;
    const before = this.#serving;
    const slots = slotCount(state);
    const count = before ? Math.min(slots, this.slots.length) : firstCount(state);
    const prepared = this.#listeners.prepare(state.listeners, before ? slots : count);
    let workers: WorkerProcess[];
    try {
      workers = await this.#startAll(next, prepared, count, slots, begun);
    } catch (error) {
      this.#listeners.abandon(prepared);
      throw error;
    }
    decided();
    await this.#takeOver(next, prepared, workers, slots);
  }

  /** New processes for slots 0…count-1 on the prepared sockets: all ready, or none left. */
  async #startAll(
    next: Serving,
    prepared: Preparation,
    count: number,
    slots: number,
    begun: () => void,
  ): Promise<WorkerProcess[]> {
    const workers = Array.from({ length: count }, () => this.#launcher.take());
    try {
      const ready = sideBySide(workers, (worker, slot) => this.#slots.start(worker, slot, slots, next, prepared));
      begun();
      await ready;
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

  async #takeOver(
    next: Serving,
    prepared: Preparation,
    workers: WorkerProcess[],
    slots: number,
  ): Promise<void> {
    const before = this.#serving;
    const removed = this.#commit(next, prepared);
    const old = this.#slots.occupy(workers, slots);
    if (!before) sayActivated(this.#listeners, this.options.log);
    await this.#slots.fillEmpty();
    // The old workers still accept: those who wait at a removed listener are served before it closes.
    await this.#listeners.retire(removed);
    old.forEach((slot) => this.#slots.leave(slot));
    this.#listeners.close(removed);
    before?.close(next);
    this.#launcher.keepSpare();
  }

  /** From now on it is served. Gives the listeners that are not in it any more. */
  #commit(next: Serving, prepared: Preparation): Listening[] {
    this.#serving = next;
    const before = new Set(this.listeners.map(({ seats }) => seats));
    const removed = this.#listeners.commit(prepared);
    for (const listening of this.listeners) if (!before.has(listening.seats)) this.watcher?.listenerAdded(listening);
    for (const listening of removed) this.watcher?.listenerRemoved(listening);
    return removed;
  }

  async #changeLive(
    next: Serving,
    change: UnpreparedChange,
    decided: () => string,
    certificates: number | undefined,
  ): Promise<number> {
    this.#refuseWhenStopping();
    await this.#slots.settled();
    const slots = slotCount(next.state);
    const prepared = this.#listeners.prepare(next.state.listeners, slots);
    const workers = this.slots.slice(0, slots).flatMap(({ worker }) => worker?.state === "serving" ? [worker] : []);
    const joining = new Map(workers.map((worker) => [worker, this.#joining(worker, slots, prepared)]));
    const before = this.#serving!;
    // Whoever starts meanwhile is told what to serve when that is known, and on which sockets.
    const { hash, removed } = await this.#slots.whileUndecided(async () => {
      const forWorkers = { ...change, listenersRemoved: this.#listeners.leftBy(prepared) };
      await this.#prepareAll(workers, forWorkers, joining, prepared, certificates);
      const hash = decided();
      return { hash, removed: this.#commit(next, prepared) };
    });
    for (const { worker } of this.slots) {
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
    await this.#slots.resize(slots);
    this.#listeners.close(removed);
    before.close(next);
    return paused;
  }

  async #prepareAll(
    workers: readonly WorkerProcess[],
    change: WorkerChange,
    joining: ReadonlyMap<WorkerProcess, NamedFd[]>,
    prepared: Preparation,
    certificates: number | undefined,
  ): Promise<void> {
    const joiningOf = (worker: WorkerProcess) => joining.get(worker)!;
    try {
      await prepareAll(workers, change, joiningOf, this.options.changeTimeoutMs, certificates);
    } catch (error) {
      this.#listeners.abandon(prepared);
      throw error;
    }
  }

  /** The sockets that a worker is to serve as one of `slots`, and does not serve yet. */
  #joining(worker: WorkerProcess, slots: number, { next }: Preparation): NamedFd[] {
    return this.#listeners.ofSlot(worker.slot, slots, next).filter(({ fd, name }) => worker.holds.get(fd) !== name);
  }

  #refuseWhenStopping(): void {
    if (this.#stopping) throw new Error("the proxy is stopping");
  }
}

/** With fewer routes one worker answers so soon that others would only take its time. */
const ALONE_ROUTES_MAX = 2_000;

/** How many workers begin a first start; the others follow when one of them serves. */
function firstCount(state: State): number {
  return state.routes.length > ALONE_ROUTES_MAX ? slotCount(state) : 1;
}

/** As many at a time as there are processors; rejects with the first that does. */
async function sideBySide<T>(all: readonly T[], start: (one: T, index: number) => Promise<void>): Promise<void> {
  const left = all.entries();
  const lanes = Array.from({ length: navigator.hardwareConcurrency }, async () => {
    for (const [index, one] of left) await start(one, index);
  });
  await Promise.all(lanes);
}
