// The main process from its first worker to its last: supervisor, control socket and signals put together.
//
//   TERM, INT   stop gracefully; a second one at once         HUP    read the configuration again
//   USR1        open the access log anew                      USR2   go on as the file that this was started from is now
//   stop        the same as TERM, by the control socket

import type { State } from "../config/mod.ts";
import type { Credentials } from "./credentials.ts";
import { credentialsOf } from "./credentials_at_start.ts";
import { ControlError } from "./errors.ts";
import type { Handover } from "./handover.ts";
import type { UpgradeAnswer } from "./protocol.ts";
import type { HandedTransactions } from "./transactions.ts";
import type { Upgrade } from "./upgrade.ts";
import type { Log } from "../observe/log.ts";
import type { Poller } from "../sys/poll.ts";
import type { Listening } from "./listeners.ts";
import type { Live } from "./live.ts";
import { ServiceManager } from "./notify.ts";
import { resolveBackends, type Resolved } from "./resolve.ts";
import { claimSocketPath, ControlServer, type Handler } from "./server.ts";
import { Serving } from "./serving.ts";
import { controlSocketPath } from "./socket_path.ts";
import { Supervisor, type SupervisorOptions } from "./supervisor.ts";
import { VERSION } from "./version.ts";

export interface ServeOptions extends SupervisorOptions {
  /** Configuration file; "" for a state that is not read from a file. */
  source: string;
  /** Reads the state; throws with everything that is wrong with it. */
  load: () => Promise<State>;
  /** Address of the demonstration's backend, if it is the demonstration. */
  demo?: string;
  /** Begin with the state in the state file that the configuration names, if there is one, instead of the file's. */
  fromState?: boolean;
  /** Path of the control socket, before that of the state. */
  socket: string;
  onReady?: (listeners: readonly Listening[]) => void;
  /** Take over from the program whose place this one has taken, instead of starting. */
  arrival?: Arrival;
}

export interface Arrival {
  handed: Handover;
  /** Where `handed` was read from. */
  memfd: number;
  /** Why another program came back to this one; "" if this one is to take over. */
  failure: string;
}

/** A program that does not serve by then comes back to the one that left. */
const ARRIVAL_LIMIT_MS = 30_000;

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
  /** Undefined: the state that it began with needs none. */
  #credentials: Credentials | undefined;
  #loadedAtMs = 0;
  readonly #stopped = Promise.withResolvers<void>();
  #reloading = false;
  #reloadAgain = "";
  #stopRequested = false;
  #upgrade: Upgrade | undefined;
  #upgrades = 0;
  /** While this program takes over: what whoever asked for it is waiting for. */
  #arriving: PromiseWithResolvers<UpgradeAnswer> | undefined;

  constructor(private readonly options: ServeOptions) {
    this.#log = options.log;
    this.#poller = options.poller;
    this.#supervisor = new Supervisor(options);
    this.#manager = new ServiceManager(options.log, this.#supervisor);
  }

  async run(): Promise<void> {
    const unlisten = this.#listenToSignals();
    try {
      const { arrival } = this.options;
      await (arrival ? this.#arrive(arrival) : this.#start());
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
      this.#manager.close();
    }
    this.#log.info("stopped");
  }

  async #start(): Promise<void> {
    this.#loadedAtMs = Date.now();
    const loaded = await this.#load();
    const { revision } = loaded;
    const { state, credentials } = await credentialsOf(loaded.state, this.#log);
    this.#credentials = credentials;
    this.#log.level = state.log.level;
    this.#socket = controlSocketPath(this.options.socket || state.control.socket);
    await claimSocketPath(this.#socket);
    this.#resolved = await resolveBackends(Object.values(state.clusters), {}, (text) => this.#log.warn(text));
    await this.#supervisor.roll(Serving.first(revision, state, this.#resolved, credentials));
    this.#server = ControlServer.open(this.#socket, this.#poller, this.#answer);
    this.#sayReady();
    const afterMs = Date.now() - this.#supervisor.startedAtMs;
    this.#log.info("serving", { version: VERSION, pid: Deno.pid, control: this.#socket, after_ms: afterMs });
    this.options.onReady?.(this.#supervisor.listeners);
    this.#makeLive().catch((error) => this.#log.error("changes cannot be taken", { reason: error.message }));
  }

  readonly #answer: Handler = async (request, asking) => (await this.#makeLive()).answer(request, asking);

  /** Takes over what another main served, and puts workers of this program in the place of its workers. */
  async #arrive({ handed, memfd, failure }: Arrival): Promise<void> {
    const { revision, state, resolved, supervisor: { accessLog }, transactions: { routeIds } } = handed;
    this.#loadedAtMs = handed.loadedAtMs;
    this.#upgrades = handed.upgrades;
    this.#log.level = handed.logLevel;
    this.#socket = handed.socket;
    this.#resolved = resolved;
    const arriving = this.#arriving = Promise.withResolvers<UpgradeAnswer>();
    arriving.promise.catch(() => {}); // Nobody may be waiting for it.
    const { credentials } = await credentialsOf(state, this.#log, handed.credentials);
    this.#credentials = credentials;
    const describe = () => ({ routeIds, resolved, credentials: credentials?.describe() });
    const serving = Serving.takeOver(revision, state, describe, accessLog ?? undefined);
    this.#supervisor.adopt(handed.supervisor, serving);
    const making = this.#makeLive(handed.transactions);
    this.#server = ControlServer.adopt(this.#socket, handed.server, this.#poller, this.#answer);
    const live = await making;
    if (failure === "") await this.#replaceWorkers(live, memfd, handed);
    else if (handed.guard === null) await this.#renewWorkers(live, failure);
    await this.#supervisor.listen();
    const { closeWayBack } = await import("./handover.ts");
    closeWayBack(memfd, handed.back);
    this.#settleArrival(arriving, handed, failure);
    this.#arriving = undefined;
    this.#server.release();
    this.#sayReady();
    // Not before the service manager counts this process as main again.
    if (handed.guard) (await import("./guard.ts")).Guard.adopt(this.#poller, handed.guard).dismiss();
  }

  /** If it cannot be done, the program that left comes back. */
  async #replaceWorkers({ transactions }: Live, memfd: number, handed: Handover): Promise<void> {
    const late = Promise.withResolvers<never>();
    const limit = () => late.reject(new Error(`its workers do not serve after ${ARRIVAL_LIMIT_MS} ms`));
    const timer = setTimeout(limit, ARRIVAL_LIMIT_MS);
    try {
      await Promise.race([transactions.rollWorkers(), late.promise]);
    } catch (error) {
      if (this.#stopRequested) throw error;
      await this.#supervisor.forsake();
      const { comeBack } = await import("./upgrade.ts");
      comeBack(memfd, handed, `version ${VERSION}: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the main that ended has told the workers, nobody knows: they may be about to end. */
  async #renewWorkers({ transactions }: Live, failure: string): Promise<void> {
    this.#log.error("the new program failed, the guard goes on in its stead", { reason: failure, pid: Deno.pid });
    try {
      await transactions.rollWorkers();
    } catch (error) {
      this.#log.error("the workers cannot be renewed", { reason: (error as Error).message });
    }
  }

  #settleArrival({ resolve, reject }: PromiseWithResolvers<UpgradeAnswer>, handed: Handover, failure: string): void {
    if (failure !== "") {
      const reason = `the new program could not take over (${failure}); version ${VERSION} serves on`;
      reject(new ControlError("failed", reason));
      return this.#noteFailedUpgrade(reason);
    }
    this.#upgrades++;
    const took_ms = Date.now() - handed.beganAtMs;
    const answer = { from_version: handed.version, version: VERSION, took_ms };
    resolve(answer);
    this.#log.info("upgraded", { ...answer, pid: Deno.pid });
    void this.#live?.then(({ events }) => events.emit("upgrade.done", answer));
  }

  #noteFailedUpgrade(reason: string): void {
    this.#log.error("the upgrade failed", { reason });
    void this.#live?.then(({ events }) => events.emit("upgrade.failed", { reason }));
  }

  /** Goes on as another program; comes back with what that one answers, or by throwing. */
  async #upgradeTo(binary: string | undefined, say: (doing: string) => void): Promise<UpgradeAnswer> {
    if (this.#arriving) return await this.#arriving.promise;
    const { transactions, events } = await this.#makeLive();
    const { Upgrade } = await import("./upgrade.ts");
    this.#upgrade ??= new Upgrade({
      supervisor: this.#supervisor,
      transactions,
      server: this.#server!,
      poller: this.#poller,
      log: this.#log,
      circumstances: () => ({
        source: this.options.source,
        socket: this.#socket,
        demo: this.options.demo ?? "",
        loadedAtMs: this.#loadedAtMs,
        upgrades: this.#upgrades,
      }),
      isReloading: () => this.#reloading,
      onDeparture: (guard) => this.#manager.departing(guard),
      onReturn: () => this.#manager.ready("the last upgrade failed"),
    });
    events.emit("upgrade.started", binary === undefined ? {} : { binary });
    try {
      return await this.#upgrade.run(binary, say);
    } catch (error) {
      this.#noteFailedUpgrade((error as Error).message);
      this.#manager.ready("the last upgrade failed");
      throw error;
    }
  }

  /** The state to begin with, and its number. */
  async #load(): Promise<{ state: State; revision: number }> {
    const state = await this.options.load();
    if (!this.options.fromState) return { state, revision: 1 };
    const path = state.control.state_file;
    if (path === "") throw new Error("control.state_file: expected the path of a state file to start from, got none");
    const { readStateFile } = await import("./state_file.ts");
    const stored = await readStateFile(path);
    if (!stored) {
      this.#log.warn("there is no state file yet: starting with the configuration file", { path });
      return { state, revision: 1 };
    }
    const { revision, at, warning } = stored;
    if (warning !== "") this.#log.warn(warning);
    this.#log.info("starting with the state file, not with the configuration file", { path, revision, saved: at });
    return stored;
  }

  /** What main can do beyond keeping workers alive; loaded once, when the first worker serves. */
  #makeLive(handed?: HandedTransactions): Promise<Live> {
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
        credentials: this.#credentials,
        begin: handed ?? { who: { uid: Deno.uid() ?? 0, pid: Deno.pid }, why: "", source: "start" },
        upgrade: (binary, say) => this.#upgradeTo(binary, say),
        upgrades: () => this.#upgrades,
        stop: (atOnce) => this.#stop(atOnce, "asked by the control socket"),
        reload: (why) => void this.#reload(why),
        onUids: (uids) => this.#server?.setUids(uids),
      });
    })();
  }

  #sayReady(): void {
    const { listeners, slots } = this.#supervisor;
    for (const { name, address } of listeners) this.#log.info("listening", { listener: name, address });
    for (const { index, worker } of slots) {
      if (worker?.state !== "serving") continue;
      this.#log.info("worker is ready", { slot: index, pid: worker.pid, sandbox: worker.sandbox.join(", ") || "none" });
    }
    this.#manager.ready();
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
      this.#manager.ready("the last reload failed");
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
      ["SIGUSR2", () => void this.#upgradeTo(undefined, (doing) => this.#log.info(doing)).catch(() => {})],
    ];
    for (const [signal, action] of actions) Deno.addSignalListener(signal, action);
    // The program that left held them back until somebody listens.
    if (this.options.arrival) void import("../sys/exec.ts").then(({ holdSignalsOfMain }) => holdSignalsOfMain(false));
    return () => actions.forEach(([signal, action]) => Deno.removeSignalListener(signal, action));
  }
}
