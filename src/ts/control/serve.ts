// The main process from its first worker to its last: supervisor, control socket and signals put together.
//
//   TERM, INT   stop gracefully; a second one at once         HUP    read the configuration again
//   USR1        open the access log anew                      USR2   go on as the file that this was started from is now
//   stop        the same as TERM, by the control socket

import type { State } from "../config/mod.ts";
import type { Log } from "../observe/log.ts";
import type { Arrival } from "./arrival.ts";
import type { Credentials } from "./credentials.ts";
import { credentialsOf } from "./credentials_at_start.ts";
import type { EarlyWork } from "./early_work.ts";
import type { Listening } from "./listeners.ts";
import type { Live } from "./live.ts";
import { ServiceManager } from "./notify.ts";
import { Reloads } from "./reloads.ts";
import { resolveBackends, type Resolved } from "./resolve.ts";
import { ControlServer, type Handler } from "./server.ts";
import { Serving } from "./serving.ts";
import { slotCount } from "./slot.ts";
import { listenToSignals } from "./signals.ts";
import { claimSocketPath } from "./socket_file.ts";
import { controlSocketPath } from "./socket_path.ts";
import { firstState } from "./state_at_start.ts";
import { Succession } from "./succession.ts";
import { Supervisor, type SupervisorOptions } from "./supervisor.ts";
import type { HandedTransactions } from "./transactions.ts";
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

/** With fewer routes the first change needs no time that anybody feels. */
const EARLY_ROUTES_MIN = 2_000;

/** Serves until it is told to stop; resolves when all workers are gone. Throws when it cannot start. */
export async function serve(options: ServeOptions): Promise<void> {
  const main = new Main(options);
  await main.run();
}

class Main {
  readonly #log: Log;
  readonly #supervisor: Supervisor;
  readonly #manager: ServiceManager;
  readonly #reloads: Reloads;
  readonly #succession: Succession;
  #socket = "";
  #server: ControlServer | undefined;
  #live: Promise<Live> | undefined;
  #resolved: Resolved = {};
  /** Undefined: the state that it began with needs none. */
  #credentials: Credentials | undefined;
  #early: Promise<EarlyWork | undefined> | undefined;
  #loadedAtMs = 0;
  readonly #stopped = Promise.withResolvers<void>();
  #stopRequested = false;

  constructor(private readonly options: ServeOptions) {
    const { log, source, poller } = options;
    const live = () => this.#makeLive();
    const isStopping = () => this.#stopRequested;
    const onApplied = () => this.#sayReady();
    const supervisor = this.#supervisor = new Supervisor(options);
    const manager = this.#manager = new ServiceManager(log, supervisor);
    this.#log = log;
    this.#reloads = new Reloads({ source, log, manager, supervisor, live, isStopping, onApplied });
    this.#succession = new Succession({
      log,
      manager,
      live,
      parts: () => ({
        supervisor,
        poller,
        server: this.#server!,
        circumstances: () => this.#circumstances(),
        isReloading: () => this.#reloads.underWay,
      }),
    });
  }

  async run(): Promise<void> {
    const { arrival } = this.options;
    const unlisten = this.#listenToSignals();
    try {
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
    const { poller, load, fromState = false, onReady } = this.options;
    this.#loadedAtMs = Date.now();
    const first = await firstState(await load(), fromState, this.#log);
    const { state, credentials } = await credentialsOf(first.state, this.#log);
    this.#credentials = credentials;
    this.#log.level = state.log.level;
    this.#socket = controlSocketPath(this.options.socket || state.control.socket);
    await claimSocketPath(this.#socket);
    this.#resolved = await resolveBackends(Object.values(state.clusters), {}, (text) => this.#log.warn(text));
    const isFree = Promise.withResolvers<void>();
    this.#early = isFree.promise.then(() => this.#workEarly(state));
    const serving = Serving.first(first.revision, state, this.#resolved, credentials);
    const hasOwnProcessor = navigator.hardwareConcurrency > slotCount(state);
    const begun = hasOwnProcessor ? isFree.resolve : undefined;
    await this.#supervisor.roll(serving, undefined, begun).finally(isFree.resolve);
    this.#server = ControlServer.open(this.#socket, poller, this.#answer);
    this.#sayReady();
    const afterMs = Date.now() - this.#supervisor.startedAtMs;
    this.#log.info("serving", { version: VERSION, pid: Deno.pid, control: this.#socket, after_ms: afterMs });
    onReady?.(this.#supervisor.listeners);
    this.#makeLive().catch((error) => this.#log.error("changes cannot be taken", { reason: error.message }));
  }

  /** What the first change needs of a large state. */
  async #workEarly(state: State): Promise<EarlyWork | undefined> {
    if (state.routes.length < EARLY_ROUTES_MIN) return undefined;
    const { earlyWork } = await import("./early_work.ts");
    return await earlyWork(state, this.#credentials?.known ?? new Map());
  }

  readonly #answer: Handler = async (request, asking) => (await this.#makeLive()).answer(request, asking);

  /** Takes over what another main served, and puts workers of this program in the place of its workers. */
  async #arrive(arrival: Arrival): Promise<void> {
    const { handed, memfd, failure } = arrival;
    const { poller } = this.options;
    this.#succession.arrive(handed);
    await this.#adopt(handed);
    const making = this.#makeLive(handed.transactions);
    this.#server = ControlServer.adopt(handed.socket, handed.server, poller, this.#answer);
    const { transactions } = await making;
    const { renewWorkers, replaceWorkers } = await import("./arrival.ts");
    const arriving = {
      supervisor: this.#supervisor,
      transactions,
      log: this.#log,
      isStopping: () => this.#stopRequested,
      isReloading: () => this.#reloads.underWay,
    };
    if (failure === "") await replaceWorkers(arriving, arrival);
    else if (handed.guard === null) await renewWorkers(arriving, failure);
    await this.#supervisor.listen();
    const { closeWayBack } = await import("./handover.ts");
    closeWayBack(memfd, handed.back);
    this.#succession.arrived(handed, failure);
    this.#server.release();
    this.#sayReady();
    // Not before the service manager counts this process as main again.
    if (handed.guard) (await import("./guard.ts")).Guard.adopt(poller, handed.guard).dismiss();
  }

  /** From now on what the other main knew is this one's. */
  async #adopt(handed: Arrival["handed"]): Promise<void> {
    const { revision, state, resolved, supervisor, transactions } = handed;
    this.#loadedAtMs = handed.loadedAtMs;
    this.#log.level = handed.logLevel;
    this.#socket = handed.socket;
    this.#resolved = resolved;
    const { credentials } = await credentialsOf(state, this.#log, handed.credentials);
    this.#credentials = credentials;
    const describe = () => ({ routeIds: transactions.routeIds, resolved, credentials: credentials?.describe() });
    const serving = Serving.takeOver(revision, state, describe, supervisor.accessLog ?? undefined);
    this.#supervisor.adopt(supervisor, serving);
  }

  #circumstances() {
    const { source, demo = "" } = this.options;
    const { upgrades } = this.#succession;
    return { source, socket: this.#socket, demo, loadedAtMs: this.#loadedAtMs, upgrades };
  }

  /** What main can do beyond keeping workers alive; loaded once, when the first worker serves. */
  #makeLive(handed?: HandedTransactions): Promise<Live> {
    return this.#live ??= (async () => {
      const early = await this.#early;
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
        early,
        begin: handed ?? { who: { uid: Deno.uid() ?? 0, pid: Deno.pid }, why: "", source: "start" },
        upgrade: (binary, say) => this.#succession.upgradeTo(binary, say),
        upgrades: () => this.#succession.upgrades,
        stop: (atOnce) => this.#stop(atOnce, "asked by the control socket"),
        reload: (why) => void this.#reloads.ask(why),
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
    const actions = {
      SIGTERM: () => this.#stopBySignal("SIGTERM"),
      SIGINT: () => this.#stopBySignal("SIGINT"),
      SIGHUP: () => void this.#reloads.ask("HUP"),
      SIGUSR1: () => this.#reopenAccessLog(),
      SIGUSR2: () => void this.#succession.upgradeTo(undefined, (doing) => this.#log.info(doing)).catch(() => {}),
    };
    return listenToSignals(actions, this.options.arrival?.signals);
  }
}
