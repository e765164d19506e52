// One worker process as main sees it: its channel, its pidfd, and where it is in its life:
//
//   waiting ──start──▶ starting ──ready──▶ serving ──drain──▶ draining ──▶ ended        (any state ──▶ ended)
//
// A process is started first and told what to serve later: a waiting one has loaded all its code and blocks on its channel, so
// that it replaces a dead worker at once. Whoever waits for something here gets an answer: from the worker, from its end, or
// from a time limit.

import type { LogLevel } from "../observe/log.ts";
import { closeFd } from "../sys/fds.ts";
import type { LinesUnderWay } from "../sys/line_socket.ts";
import type { Poller } from "../sys/poll.ts";
import {
  CHILD_FD,
  type Command,
  describeExit,
  type ExitStatus,
  openPidFd,
  ownMemoryBytes,
  reap,
  sendSignal,
  SIGKILL,
  spawnConnected,
} from "../sys/process.ts";
import type { Explained, WorkerEvent, WorkerOrder, WorkerStatus } from "../worker/protocol.ts";
import { ChangeRefused } from "./errors.ts";
import type { NamedFd } from "./listeners.ts";
import { workerEnvironment } from "./self.ts";
import { type News, WorkerChannel } from "./worker_channel.ts";

/** After the deadline of its drain a worker gets this long to be gone. */
const DRAIN_GRACE_MS = 1_000;
/** How long a worker that is told to exit at once may take to write out its access log. */
const STOP_GRACE_MS = 300;

export type WorkerState = "waiting" | "starting" | "serving" | "draining" | "ended";

/** A worker that did not become ready, and why. */
export class WorkerFailure extends Error {
  override name = "WorkerFailure";
}

export interface StartOrder {
  slot: number;
  /** Memfd with the snapshot; stays main's. */
  snapshot: number;
  /** Descriptor with the material of certificates; stays main's. */
  certificates?: number | undefined;
  revision: number;
  accessLog: number | undefined;
  listeners: NamedFd[];
}

/** A process as one main hands it over to the next. */
export interface HandedWorker {
  pid: number;
  /** Main's end of the channel, and what is under way on it. */
  channel: number;
  underWay: LinesUnderWay;
  state: "serving" | "draining";
  slot: number;
  revision: number;
  launchedAtMs: number;
  readyAtMs: number;
  sandbox: string[];
  holds: [fd: number, name: string][];
  /** When it is killed if it still drains then; 0: it does not drain. */
  killAtMs: number;
}

type OnLog = (level: LogLevel, message: string, worker: WorkerProcess) => void;

/** What a worker says when it serves by a change. */
export type Committed = Extract<WorkerEvent, { event: "committed" }>;
export type BackendEvent = Extract<WorkerEvent, { cluster: string; address: string }>;

interface Pending<T> {
  resolve: (value: T) => void;
  reject: (reason: Error) => void;
}

export class WorkerProcess {
  launchedAtMs = Date.now();
  readonly ended: Promise<ExitStatus>;
  state: WorkerState = "waiting";
  slot = -1;
  revision = 0;
  /** Since when it serves; 0 before. */
  readyAtMs = 0;
  sandbox: string[] = [];
  /** Main's descriptors of the listening sockets that it serves, and under which names. */
  readonly holds = new Map<number, string>();
  onBackend: (event: BackendEvent) => void = () => {};

  readonly #pidFd: number;
  readonly #channel: WorkerChannel;
  #ready: Pending<void> | undefined;
  #prepared: Pending<void> | undefined;
  #committed: Pending<Committed> | undefined;
  #refusal: string | undefined;
  #killTimer: ReturnType<typeof setTimeout> | undefined;
  #killAtMs = 0;
  #resolveEnded!: (status: ExitStatus) => void;
  readonly #loaded = Promise.withResolvers<void>();

  /** Throws SystemError when there is no such process. */
  private constructor(
    private readonly poller: Poller,
    readonly pid: number,
    channel: number,
    private readonly onLog: OnLog,
    underWay?: LinesUnderWay,
  ) {
    this.#pidFd = openPidFd(pid);
    const owner = {
      onNews: (news: News) => this.#onNews(news),
      onFault: (reason: string) => this.#fail(reason),
    };
    this.#channel = new WorkerChannel(channel, poller, owner, underWay);
    this.ended = new Promise((resolve) => this.#resolveEnded = resolve);
    poller.add(this.#pidFd, () => this.#end());
  }

  /** Starts the process: it runs, and waits for its orders. */
  static launch(poller: Poller, command: (fd: number) => Command, onLog: OnLog): WorkerProcess {
    const { pid, fd } = spawnConnected(command(CHILD_FD), workerEnvironment());
    try {
      const worker = new WorkerProcess(poller, pid, fd, onLog);
      worker.listen();
      return worker;
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /**
   * Takes over a process that another main has started. Nothing is read from its channel before `listen`, so that it can
   * still be handed back. Throws SystemError when it is gone.
   */
  static adopt(poller: Poller, handed: HandedWorker, onLog: OnLog): WorkerProcess {
    const worker = new WorkerProcess(poller, handed.pid, handed.channel, onLog, handed.underWay);
    const { state, slot, revision, launchedAtMs, readyAtMs, sandbox } = handed;
    Object.assign(worker, { state, slot, revision, launchedAtMs, readyAtMs, sandbox });
    for (const [fd, name] of handed.holds) worker.holds.set(fd, name);
    if (handed.killAtMs > 0) worker.#killAt(handed.killAtMs);
    worker.#loaded.resolve();
    return worker;
  }

  /** Hears what the process says. */
  listen(): void {
    this.#channel.listen();
  }

  /** For `adopt` in another main. Throws LineError when it does not take what it was told. */
  handOver(): HandedWorker {
    const { pid, slot, revision, launchedAtMs, readyAtMs, sandbox } = this;
    return {
      ...this.#channel.handOver(),
      pid,
      state: this.state === "draining" ? "draining" : "serving",
      slot,
      revision,
      launchedAtMs,
      readyAtMs,
      sandbox,
      holds: [...this.holds],
      killAtMs: this.#killAtMs,
    };
  }

  /** Resolves when it has loaded its code, has ended, or the time is over. */
  async whenLoaded(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => this.#loaded.resolve(), timeoutMs);
    await this.#loaded.promise;
    clearTimeout(timer);
  }

  /** Tells a waiting process what to serve. Resolves when it serves; rejects with WorkerFailure, and then the process ends. */
  async start(order: StartOrder, timeoutMs: number): Promise<void> {
    if (this.state !== "waiting") {
      throw new WorkerFailure(`the process ended before its start: ${this.#refusal ?? "dead"}`);
    }
    this.state = "starting";
    this.slot = order.slot;
    this.revision = order.revision;
    const named: NamedFd[] = [{ name: "snapshot", fd: order.snapshot }];
    if (order.accessLog !== undefined) named.push({ name: "access_log", fd: order.accessLog });
    if (order.certificates !== undefined) named.push({ name: "certificates", fd: order.certificates });
    named.push(...order.listeners.map(({ name, fd }) => ({ name: `listener:${name}`, fd })));
    for (const { name, fd } of order.listeners) this.holds.set(fd, name);
    const ready = new Promise<void>((resolve, reject) => this.#ready = { resolve, reject });
    this.#sendWith(named, (fds) => ({ order: "start", slot: order.slot, fds }));
    const timer = setTimeout(() => this.#fail(`it is not ready after ${timeoutMs} ms`), timeoutMs);
    try {
      await ready;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Has it get a change ready; `change` is a memfd with a WorkerChange, `listeners` begin with it. Rejects with
   * ChangeRefused when it cannot serve the change, with WorkerFailure when it ends; it is ended when it does not answer in
   * time. The descriptors may be closed once there is an answer.
   */
  prepare(
    revision: number,
    change: number,
    listeners: readonly NamedFd[],
    timeoutMs: number,
    certificates?: number,
  ): Promise<void> {
    const named = [
      { name: "change", fd: change },
      ...listeners.map(({ name, fd }) => ({ name: `listener:${name}`, fd })),
    ];
    if (certificates !== undefined) named.push({ name: "certificates", fd: certificates });
    return this.#within(timeoutMs, "prepare a change", (pending) => {
      this.#prepared = pending;
      this.#sendWith(named, (fds) => ({ order: "prepare", revision, fds }));
    });
  }

  tellTicketKeys(keys: readonly string[]): void {
    if (this.state !== "ended" && this.state !== "waiting") {
      this.#channel.send({ order: "ticket_keys", keys: [...keys] });
    }
  }

  /** Has it serve by the prepared change. Rejects with WorkerFailure when it ends; it is ended when it does not answer in time. */
  async commit(revision: number, timeoutMs: number): Promise<Committed> {
    const committed = await this.#within<Committed>(timeoutMs, "commit a change", (pending) => {
      this.#committed = pending;
      this.#channel.send({ order: "commit", revision });
    });
    this.revision = revision;
    return committed;
  }

  /** Has it forget the prepared change. */
  abort(revision: number): void {
    if (this.state === "serving") this.#channel.send({ order: "abort", revision });
  }

  async #within<T>(timeoutMs: number, what: string, begin: (pending: Pending<T>) => void): Promise<T> {
    if (this.state !== "serving") throw new WorkerFailure(`process ${this.pid} does not serve: it is ${this.state}`);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => this.#fail(`it did not ${what} within ${timeoutMs} ms`), timeoutMs);
    begin({ resolve, reject });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Its counters; undefined when it does not answer in time or is no longer there. */
  async status(timeoutMs: number): Promise<WorkerStatus | undefined> {
    if (this.state !== "serving" && this.state !== "draining") return undefined;
    return await this.#channel.ask((id) => ({ order: "status", id }), timeoutMs);
  }

  /** Which route answers a request, and how; undefined when it does not answer in time. */
  async explain(
    request: Omit<Extract<WorkerOrder, { order: "explain" }>, "order" | "id">,
    timeoutMs: number,
  ): Promise<Explained | undefined> {
    if (this.state !== "serving") return undefined;
    return await this.#channel.ask((id) => ({ order: "explain", id, ...request }), timeoutMs);
  }

  reopenAccessLog(fd: number): void {
    if (this.state !== "ended" && this.state !== "waiting") {
      this.#channel.send({ order: "access_log", fds: ["access_log"] }, [fd]);
    }
  }

  /** Stops accepting, finishes what it carries; killed when it is not gone a moment after the deadline. */
  drain(deadlineMs: number): void {
    if (this.state === "ended" || this.state === "draining") return;
    if (this.state !== "serving") return this.kill();
    this.state = "draining";
    this.#channel.send({ order: "drain", deadlineMs });
    this.#killAt(Date.now() + deadlineMs + DRAIN_GRACE_MS);
  }

  /** Exits without finishing what it carries; killed when it takes longer than a moment. */
  stop(): void {
    if (this.state !== "serving" && this.state !== "draining") return this.kill();
    this.#channel.send({ order: "stop" });
    this.#killAt(Date.now() + STOP_GRACE_MS);
  }

  #killAt(timeMs: number): void {
    clearTimeout(this.#killTimer);
    this.#killAtMs = timeMs;
    this.#killTimer = setTimeout(() => this.kill(), Math.max(0, timeMs - Date.now()));
  }

  /** Ends it without a word. */
  kill(): void {
    if (this.state !== "ended") sendSignal(this.pid, SIGKILL);
  }

  memoryBytes(): number {
    return this.state === "ended" ? 0 : ownMemoryBytes(this.pid);
  }

  /** An order with descriptors, which it names. */
  #sendWith(named: readonly NamedFd[], order: (names: string[]) => WorkerOrder): void {
    this.#channel.send(order(named.map(({ name }) => name)), named.map(({ fd }) => fd));
  }

  #onNews(news: News): void {
    switch (news.event) {
      case "loaded":
        return this.#loaded.resolve();
      case "ready":
        if (this.state !== "starting") return;
        this.state = "serving";
        this.readyAtMs = Date.now();
        this.sandbox = news.sandbox;
        return this.#ready?.resolve();
      case "prepared":
        return this.#prepared?.resolve();
      case "change_refused":
        return this.#prepared?.reject(new ChangeRefused(news.object, news.reason));
      case "committed":
        return this.#committed?.resolve(news);
      case "backend_drained":
      case "backend_down":
      case "backend_up":
        return this.onBackend(news);
      case "log":
        return this.onLog(news.level, news.message, this);
      case "refused":
        this.#refusal = news.reason;
        this.#ready?.reject(new WorkerFailure(news.reason));
        return;
    }
  }

  #fail(reason: string): void {
    this.#refusal ??= reason;
    this.kill();
  }

  #end(): void {
    const status = reap(this.pid);
    if (status === undefined) return;
    this.#channel.close();
    this.state = "ended";
    clearTimeout(this.#killTimer);
    this.poller.remove(this.#pidFd);
    closeFd(this.#pidFd);
    this.#refusal ??= describeExit(status);
    const failure = new WorkerFailure(this.#refusal);
    for (const pending of [this.#ready, this.#prepared, this.#committed]) pending?.reject(failure);
    this.#loaded.resolve();
    this.#resolveEnded(status);
  }
}
