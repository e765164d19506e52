// What main can do once it serves: changes, their history and durable state, events, the verbs of the control socket, and
// the files it reads again. It is loaded when the first worker serves, so that nobody waits for it before.

import type { State } from "../config/state.ts";
import type { Log } from "../observe/log.ts";
import { CertificateWatch } from "./certificate_watch.ts";
import type { Credentials } from "./credentials.ts";
import type { EarlyWork } from "./early_work.ts";
import { Events, watcherFor } from "./events.ts";
import { Expiry } from "./expiry.ts";
import type { Authorship } from "./history.ts";
import { keysPath, keysText } from "./key_store.ts";
import type { ControlRequest } from "./protocol.ts";
import type { Resolved } from "./resolve.ts";
import { RefusalCounts } from "./refusals.ts";
import type { Asking } from "./server.ts";
import { replaceFile, StateFile } from "./state_file.ts";
import { pathsOf } from "./tls_files.ts";
import type { Supervisor } from "./supervisor.ts";
import { type HandedTransactions, Transactions } from "./transactions.ts";
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
  /** Undefined: the state needs none so far. */
  credentials?: Credentials | undefined;
  /** What has been made of the state already. */
  early?: EarlyWork | undefined;
  /** Who started it, or what another main handed over. */
  begin: Authorship | HandedTransactions;
  upgrade: (binary: string | undefined, say: (doing: string) => void) => Promise<object>;
  /** How often another program has taken the place of the one that was started. */
  upgrades: () => number;
  stop: (atOnce: boolean) => Promise<void>;
  /** Reads the file again, now or when a reading that is under way has ended. */
  reload: (why: string) => void;
  onUids: (uids: readonly number[]) => void;
}

interface KeptKeys {
  path: string;
  digests: string;
  inode: number | null;
}

export class Live {
  readonly events = new Events();
  readonly transactions: Transactions;
  readonly #stateFile: StateFile;
  readonly #verbs: Verbs;
  readonly #refusals: RefusalCounts;
  readonly #expiry: Expiry;
  #watch: FileWatch | undefined;
  #certificateWatch: CertificateWatch | undefined;
  /** The file of keys as it was written last; undefined: there is none. */
  #kept: KeptKeys | undefined;

  constructor(private readonly options: LiveOptions) {
    const { supervisor, log, resolved, begin, credentials, early } = options;
    this.#stateFile = new StateFile(log, (path) => this.#keepKeys(path));
    const onCommitted = (before: State, after: State) => this.#onCommitted(before, after);
    const { events } = this;
    const parts = {
      supervisor,
      log,
      events,
      stateFile: this.#stateFile,
      onCommitted,
      ...(credentials ? { credentials } : {}),
      ...(early ? { early } : {}),
    };
    this.transactions = new Transactions(parts, resolved, begin);
    const setLogLevel = (level: State["log"]["level"]) => log.level = level;
    this.#verbs = new Verbs({ ...options, transactions: this.transactions, events, setLogLevel });
    this.#refusals = new RefusalCounts(supervisor, events);
    this.#expiry = new Expiry(() => this.transactions.credentials.known, events, log);
    supervisor.watcher = watcherFor(events);
    const { state, revision, hash } = this.transactions;
    options.onUids(state.control.uids);
    this.#setWatch(state);
    void this.#stateFile.save(state, revision, hash);
    // Not before the workers have got their share of the processor.
    setTimeout(() => this.transactions.warmUp(), 0);
    setTimeout(() => this.#expiry.look(), 0);
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
    await this.transactions.apply({ state }, { who, why, source: "file", resolveAgain: true, readAgain: true });
    return this.transactions.revision !== before;
  }

  /** Before a state file is written: the keys that its state names, unless they are there already. */
  async #keepKeys(stateFile: string): Promise<void> {
    const { keys } = this.transactions.credentials;
    if (keys.size === 0 && !this.#kept) return;
    const path = keysPath(stateFile);
    // A digest stands for its key.
    const digests = [...keys.keys()].join();
    const isThere = this.#kept?.path === path && this.#kept.digests === digests;
    if (isThere && await inodeOf(path) === this.#kept!.inode) return;
    await replaceFile(path, new TextEncoder().encode(keysText(keys)));
    this.#kept = { path, digests, inode: await inodeOf(path) };
  }

  /** A file of a certificate has changed. */
  async #readCertificatesAnew(path: string): Promise<void> {
    const { log } = this.options;
    const who = { uid: Deno.uid() ?? 0, pid: Deno.pid };
    const why = `${path} has changed`;
    try {
      await this.transactions.apply({ orders: [] }, { who, why, source: "file", readAgain: true });
    } catch (error) {
      for (const line of (error as Error).message.split("\n")) log.error(line);
      log.error("certificates were not read anew, nothing has changed", { file: path });
    }
  }

  async close(): Promise<void> {
    this.#watch?.close();
    this.#certificateWatch?.close();
    this.#expiry.close();
    this.transactions.credentials.close();
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
    setTimeout(() => this.#expiry.look(), 0);
    const isSame = before.certificates === after.certificates && before.listeners === after.listeners &&
      before.clusters === after.clusters;
    if (!isSame) this.#followCertificates(after);
    if (before.control === after.control) return;
    if (before.control.socket !== after.control.socket) {
      log.warn("the control socket moves with the next start", { socket: after.control.socket });
    }
    onUids(after.control.uids);
    this.#setWatch(after);
  }

  #setWatch(state: State): void {
    const { control } = state;
    const { source, loadedAtMs, reload } = this.options;
    const wanted = control.watch && source !== "";
    if (wanted && !this.#watch) this.#watch = new FileWatch(source, loadedAtMs, () => reload("the file has changed"));
    if (!wanted) this.#watch?.close();
    if (!wanted) this.#watch = undefined;
    this.#certificateWatch?.close();
    this.#certificateWatch = undefined;
    if (control.watch) this.#certificateWatch = new CertificateWatch((path) => void this.#readCertificatesAnew(path));
    this.#followCertificates(state);
  }

  #followCertificates({ certificates, listeners, clusters }: State): void {
    if (!this.#certificateWatch) return;
    const own = Object.values(certificates).flatMap(({ cert, key, ocsp }) => [cert, key, ocsp]);
    const options = [...Object.values(listeners), ...Object.values(clusters)].flatMap(pathsOf);
    this.#certificateWatch.follow(new Set([...own, ...options].filter((path) => path.startsWith("/"))));
  }
}

/** Null: there is no such file. */
async function inodeOf(path: string): Promise<number | null> {
  try {
    return (await Deno.stat(path)).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
