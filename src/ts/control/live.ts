// What main can do once it serves: changes, their history and durable state, events, the verbs of the control socket, and
// the files it reads again. It is loaded when the first worker serves, so that nobody waits for it before.

import type { State } from "../config/state.ts";
import type { Log } from "../observe/log.ts";
import { Events, watcherFor } from "./events.ts";
import type { Authorship } from "./history.ts";
import type { ControlRequest } from "./protocol.ts";
import type { Resolved } from "./resolve.ts";
import { RefusalCounts } from "./refusals.ts";
import type { Asking } from "./server.ts";
import { StateFile } from "./state_file.ts";
import type { Supervisor } from "./supervisor.ts";
import { Transactions } from "./transactions.ts";
import { Verbs } from "./verbs.ts";
import { FileWatch } from "./watch.ts";

export interface LiveOptions {
  supervisor: Supervisor;
  log: Log;
  /** Configuration file; "" if there is none. */
  source: string;
  socket: string;
  /** Reads the file; throws with everything that is wrong with it. */
  load: () => Promise<State>;
  /** When the file was read that is served. */
  loadedAtMs: number;
  /** Of the state that is served. */
  resolved: Resolved;
  startedBy: Authorship;
  stop: (atOnce: boolean) => Promise<void>;
  /** Reads the file again, now or when a reading that is under way has ended. */
  reload: (why: string) => void;
  onUids: (uids: readonly number[]) => void;
}

export class Live {
  readonly events = new Events();
  readonly transactions: Transactions;
  readonly #stateFile: StateFile;
  readonly #verbs: Verbs;
  readonly #refusals: RefusalCounts;
  #watch: FileWatch | undefined;

  constructor(private readonly options: LiveOptions) {
    const { supervisor, log, resolved, startedBy } = options;
    this.#stateFile = new StateFile(log);
    const onCommitted = (before: State, after: State) => this.#onCommitted(before, after);
    const { events } = this;
    const parts = { supervisor, log, events, stateFile: this.#stateFile, onCommitted };
    this.transactions = new Transactions(parts, resolved, startedBy);
    const setLogLevel = (level: State["log"]["level"]) => log.level = level;
    this.#verbs = new Verbs({ ...options, transactions: this.transactions, events, setLogLevel });
    this.#refusals = new RefusalCounts(supervisor, events);
    supervisor.watcher = watcherFor(events);
    const { state, revision, hash } = this.transactions;
    options.onUids(state.control.uids);
    this.#setWatch(state);
    void this.#stateFile.save(state, revision, hash);
    // Not before the workers have got their share of the processor.
    setTimeout(() => this.transactions.warmUp(), 0);
  }

  answer(request: ControlRequest, asking: Asking): Promise<object> {
    return this.#verbs.answer(request, asking);
  }

  /**
   * Reads the configuration file and applies it as one transaction, names of backends resolved anew. Gives whether
   * anything changed; throws with everything that is wrong, and then nothing has.
   */
  async reload(why: string): Promise<boolean> {
    const state = await this.options.load();
    const before = this.transactions.revision;
    const who = { uid: Deno.uid() ?? 0, pid: Deno.pid };
    await this.transactions.apply({ state }, { who, why, source: "file", resolveAgain: true });
    return this.transactions.revision !== before;
  }

  async close(): Promise<void> {
    this.#watch?.close();
    this.#refusals.close();
    this.events.close();
    await this.#stateFile.idle();
  }

  #onCommitted(before: State, after: State): void {
    const { log, onUids } = this.options;
    if (before.log.level !== after.log.level) {
      log.level = after.log.level;
      this.events.emit("log.level", { level: after.log.level });
    }
    if (before.control === after.control) return;
    if (before.control.socket !== after.control.socket) {
      log.warn("the control socket moves with the next start", { socket: after.control.socket });
    }
    onUids(after.control.uids);
    this.#setWatch(after);
  }

  #setWatch({ control }: State): void {
    const { source, loadedAtMs, reload } = this.options;
    const wanted = control.watch && source !== "";
    if (wanted && !this.#watch) this.#watch = new FileWatch(source, loadedAtMs, () => reload("the file has changed"));
    if (!wanted) this.#watch?.close();
    if (!wanted) this.#watch = undefined;
  }
}
