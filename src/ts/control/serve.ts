// The main process from its first worker to its last: supervisor, control socket and signals put together.
//
//   TERM, INT   stop gracefully; a second one at once         HUP    read the configuration again
//   USR1        open the access log anew                      stop   the same as TERM, by the control socket

import type { State } from "../config/mod.ts";
import type { Log } from "../observe/log.ts";
import type { Poller } from "../sys/poll.ts";
import type { Listening } from "./listeners.ts";
import type { Live } from "./live.ts";
import { ServiceManager } from "./notify.ts";
import { resolveBackends, type Resolved } from "./resolve.ts";
import { claimSocketPath, ControlServer } from "./server.ts";
import { Serving } from "./serving.ts";
import { controlSocketPath } from "./socket_path.ts";
import { Supervisor, type SupervisorOptions } from "./supervisor.ts";
import { VERSION } from "./version.ts";

export interface ServeOptions extends SupervisorOptions {
  /** Configuration file; "" for a state that is not read from a file. */
  source: string;
  /** Reads the state; throws with everything that is wrong with it. */
  load: () => Promise<State>;
  /** Begin with the state in the state file that the configuration names, if there is one, instead of the file's. */
  fromState?: boolean;
  /** Path of the control socket, before that of the state. */
  socket: string;
  onReady?: (listeners: readonly Listening[]) => void;
}

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
  #live: Promise<Live> | undefined;
  #resolved: Resolved = {};
  #loadedAtMs = 0;
  readonly #stopped = Promise.withResolvers<void>();
  #reloading = false;
  #reloadAgain = "";
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
      const live = await this.#live?.catch(() => undefined);
      await live?.close();
      await this.#server?.close();
    }
    this.#log.info("stopped");
  }

  async #start(): Promise<void> {
    this.#loadedAtMs = Date.now();
    const { state, revision } = await this.#load();
    this.#log.level = state.log.level;
    this.#socket = controlSocketPath(this.options.socket || state.control.socket);
    await claimSocketPath(this.#socket);
    this.#resolved = await resolveBackends(Object.values(state.clusters), {}, (text) => this.#log.warn(text));
    await this.#supervisor.roll(Serving.first(revision, state, this.#resolved));
    this.#server = new ControlServer(this.#socket, this.#poller, async (request, asking) => {
      return await (await this.#makeLive()).answer(request, asking);
    });
    this.#sayReady();
    const afterMs = Date.now() - this.#supervisor.startedAtMs;
    this.#log.info("serving", { version: VERSION, pid: Deno.pid, control: this.#socket, after_ms: afterMs });
    this.options.onReady?.(this.#supervisor.listeners);
    this.#makeLive().catch((error) => this.#log.error("changes cannot be taken", { reason: error.message }));
  }

  /** The state to begin with, and its number. */
  async #load(): Promise<{ state: State; revision: number }> {
    const state = await this.options.load();
    if (!this.options.fromState) return { state, revision: 1 };
    const path = state.control.state_file;
    if (path === "") throw new Error("control.state_file: expected the path of a state file to start from, got none");
    const { readStateFile } = await import("./state_file.ts");
    const stored = await readStateFile(path);
    if (!stored) this.#log.warn("there is no state file yet: starting with the configuration file", { path });
    return stored ?? { state, revision: 1 };
  }

  /** What main can do beyond keeping workers alive; loaded once, when the first worker serves. */
  #makeLive(): Promise<Live> {
    return this.#live ??= (async () => {
      const { Live } = await import("./live.ts");
      const { source, load } = this.options;
      return new Live({
        supervisor: this.#supervisor,
        log: this.#log,
        source,
        socket: this.#socket,
        load,
        loadedAtMs: this.#loadedAtMs,
        resolved: this.#resolved,
        startedBy: { who: { uid: Deno.uid() ?? 0, pid: Deno.pid }, why: "", source: "start" },
        stop: (atOnce) => this.#stop(atOnce, "asked by the control socket"),
        reload: (why) => void this.#reload(why),
        onUids: (uids) => this.#server?.setUids(uids),
      });
    })();
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
  async #reload(why: string): Promise<void> {
    if (this.options.source === "") return this.#log.warn("there is no file to read again: this is the demonstration");
    this.#reloadAgain = why;
    if (this.#reloading) return;
    this.#reloading = true;
    while (this.#reloadAgain !== "" && !this.#stopRequested) {
      const because = this.#reloadAgain;
      this.#reloadAgain = "";
      this.#manager.reloading();
      await this.#reloadOnce(because);
    }
    this.#reloading = false;
  }

  async #reloadOnce(why: string): Promise<void> {
    const { source } = this.options;
    const before = this.#supervisor.revision;
    try {
      const changed = await (await this.#makeLive()).reload(why);
      const { revision } = this.#supervisor;
      this.#log.info(changed ? "configuration applied" : "the configuration is what is served", {
        file: source,
        revision,
      });
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

  /** Gives the function that stops listening. */
  #listenToSignals(): () => void {
    const actions: [Deno.Signal, () => void][] = [
      ["SIGTERM", () => this.#stopBySignal("SIGTERM")],
      ["SIGINT", () => this.#stopBySignal("SIGINT")],
      ["SIGHUP", () => void this.#reload("HUP")],
      ["SIGUSR1", () => this.#reopenAccessLog()],
    ];
    for (const [signal, action] of actions) Deno.addSignalListener(signal, action);
    return () => actions.forEach(([signal, action]) => Deno.removeSignalListener(signal, action));
  }
}
