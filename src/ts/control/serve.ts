// The main process from its first worker to its last: supervisor, control socket and signals put together.
//
//   TERM, INT   stop gracefully; a second one at once         HUP    read the configuration again
//   USR1        open the access log anew                      stop   the same as TERM, by the control socket

import type { State } from "../config/mod.ts";
import type { Log } from "../observe/log.ts";
import type { Poller } from "../sys/poll.ts";
import type { Listening } from "./listeners.ts";
import { ServiceManager } from "./notify.ts";
import type { ControlRequest } from "./protocol.ts";
import { claimSocketPath, ControlServer, type Progress } from "./server.ts";
import { controlSocketPath } from "./socket_path.ts";
import { proxyStatus } from "./status.ts";
import { Supervisor, type SupervisorOptions } from "./supervisor.ts";
import { VERSION } from "./version.ts";

export interface ServeOptions extends SupervisorOptions {
  /** Configuration file; "" for a state that is not read from a file. */
  source: string;
  /** Reads the state; throws with everything that is wrong with it. */
  load: () => Promise<State>;
  /** Path of the control socket, before that of the state. */
  socket: string;
  onReady?: (listeners: readonly Listening[]) => void;
}

const PROGRESS_MS = 1_000;

/** Serves until it is told to stop; resolves when all workers are gone. Throws when it cannot start. */
export async function serve(options: ServeOptions): Promise<void> {
  const main = new Main(options);
  await main.run();
}

class Main {
  readonly #supervisor: Supervisor;
  readonly #manager: ServiceManager;
  readonly #log: Log;
  readonly #poller: Poller;
  #socket = "";
  #server: ControlServer | undefined;
  readonly #stopped = Promise.withResolvers<void>();
  #reloading = false;
  #reloadAgain = false;
  #stopRequested = false;

  constructor(private readonly options: ServeOptions) {
    this.#log = options.log;
    this.#poller = options.poller;
    this.#supervisor = new Supervisor(options);
    this.#manager = new ServiceManager(options.log);
  }

  async run(): Promise<void> {
    const unlisten = this.#listenToSignals();
    try {
      await this.#start();
      await this.#stopped.promise;
    } catch (error) {
      await this.#supervisor.stop(true);
      // Told to stop while it was starting: that is no failure.
      if (!this.#stopRequested) throw error;
    } finally {
      unlisten();
      await this.#server?.close();
    }
    this.#log.info("stopped");
  }

  async #start(): Promise<void> {
    const state = await this.options.load();
    this.#log.level = state.log.level;
    this.#socket = controlSocketPath(this.options.socket || state.control.socket);
    await claimSocketPath(this.#socket);
    await this.#supervisor.apply(state);
    this.#server = new ControlServer(
      this.#socket,
      this.#poller,
      (request, progress) => this.#answer(request, progress),
    );
    this.#sayReady();
    const afterMs = Date.now() - this.#supervisor.startedAtMs;
    this.#log.info("serving", { version: VERSION, pid: Deno.pid, control: this.#socket, after_ms: afterMs });
    this.options.onReady?.(this.#supervisor.listeners);
  }

  #sayReady(): void {
    const { listeners, slots, revision } = this.#supervisor;
    for (const { name, address } of listeners) this.#log.info("listening", { listener: name, address });
    for (const { index, worker } of slots) {
      if (worker?.state !== "serving") continue;
      this.#log.info("worker is ready", { slot: index, pid: worker.pid, sandbox: worker.sandbox.join(", ") || "none" });
    }
    this.#manager.ready(`serving with ${slots.length} workers, revision ${revision}`);
  }

  /** A person who asks twice means at once. */
  #stopBySignal(signal: string): void {
    this.#stop(this.#stopRequested, signal);
  }

  #stop(atOnce: boolean, why: string): Promise<void> {
    this.#log.info(atOnce ? "stopping at once" : "stopping: finishing what is carried", { why });
    if (!this.#stopRequested) this.#manager.stopping();
    this.#stopRequested = true;
    const stopped = this.#supervisor.stop(atOnce);
    stopped.then(this.#stopped.resolve, this.#stopped.reject);
    return stopped;
  }

  /** One reload at a time; asked for during one, another follows, because the file may have changed since it was read. */
  async #reload(): Promise<void> {
    if (this.options.source === "") return this.#log.warn("there is no file to read again: this is the demonstration");
    this.#reloadAgain = true;
    if (this.#reloading) return;
    this.#reloading = true;
    while (this.#reloadAgain && !this.#stopRequested) {
      this.#reloadAgain = false;
      this.#manager.reloading();
      await this.#reloadOnce();
    }
    this.#reloading = false;
  }

  async #reloadOnce(): Promise<void> {
    const { source } = this.options;
    const before = this.#supervisor.revision;
    try {
      const state = await this.options.load();
      await this.#supervisor.apply(state);
      this.#log.level = state.log.level;
      this.#log.info("configuration applied", { file: source, revision: this.#supervisor.revision });
      this.#sayReady();
    } catch (error) {
      for (const line of (error as Error).message.split("\n")) this.#log.error(line);
      this.#log.error("the configuration was not applied, nothing has changed", { file: source, revision: before });
      this.#manager.ready(`the last reload failed, serving revision ${before}`);
    }
  }

  #reopenAccessLog(): void {
    try {
      this.#supervisor.reopenAccessLog();
      this.#log.info("access log opened anew");
    } catch (error) {
      this.#log.error("the access log cannot be opened anew", { reason: (error as Error).message });
    }
  }

  async #answer(request: ControlRequest, progress: Progress): Promise<object> {
    switch (request.verb) {
      case "version":
        return { version: VERSION, deno: Deno.version.deno, v8: Deno.version.v8, pid: Deno.pid };
      case "status":
        return await proxyStatus(this.#supervisor, this.options.source, this.#socket);
      case "stop": {
        const say = () => progress({ workers: this.#supervisor.live, revision: this.#supervisor.revision });
        const timer = setInterval(say, PROGRESS_MS);
        try {
          await this.#stop(request.now === true, "asked by the control socket");
        } finally {
          clearInterval(timer);
        }
        return {};
      }
    }
  }

  /** Gives the function that stops listening. */
  #listenToSignals(): () => void {
    const actions: [Deno.Signal, () => void][] = [
      ["SIGTERM", () => this.#stopBySignal("SIGTERM")],
      ["SIGINT", () => this.#stopBySignal("SIGINT")],
      ["SIGHUP", () => void this.#reload()],
      ["SIGUSR1", () => this.#reopenAccessLog()],
    ];
    for (const [signal, action] of actions) Deno.addSignalListener(signal, action);
    return () => actions.forEach(([signal, action]) => Deno.removeSignalListener(signal, action));
  }
}
