// From one revision to the next: what is asked for becomes a plan, the plan a change for the workers, and only when all of
// them serve by it a revision in the history and, if there is one, in the state file. One transaction after another; each
// starts from what the one before it left. Whatever is refused before the workers commit leaves everything as it was.
//
// Nothing here grows with the size of the state, but a change of all of it: main keeps the hashes, the numbers of the
// routes and the addresses of the backends up to date with each change, and the snapshot for new workers waits until one is
// needed.

import type { Change } from "../config/changes.ts";
import { indexState } from "../config/route_index.ts";
import type { ServedDraft, ServedHash } from "../config/served_hash.ts";
import { hashState } from "../config/state_hash.ts";
import type { ClusterState, RouteState, State } from "../config/state.ts";
import type { Order } from "../config/orders.ts";
import type { Log } from "../observe/log.ts";
import { BackendAddresses } from "./backend_addresses.ts";
import { Credentials } from "./credentials.ts";
import { type EarlyWork, servedHashOf } from "./early_work.ts";
import { ChangeRefused, ControlError } from "./errors.ts";
import type { Events } from "./events.ts";
import { type Authorship, History, type HistoryEntry } from "./history.ts";
import { ordersWithoutKeys, stateWithoutKeys } from "./key_store.ts";
import { differencesOf, hashAfterPlan, LIVE_OBJECTS_MAX, objectsOf, type Plan, plan, type Wanted } from "./planning.ts";
import type { ApplyAnswer, PlanAnswer } from "./protocol.ts";
import type { Resolved } from "./resolve.ts";
import { RouteNumbers } from "./route_numbers.ts";
import { Serving } from "./serving.ts";
import type { StateFile } from "./state_file.ts";
import type { HandedSupervisor, Supervisor } from "./supervisor.ts";
import { turn } from "./waiting.ts";
import { type Parts, workerChange } from "./worker_change.ts";
import { WorkerFailure } from "./worker_process.ts";

export interface TransactionsOptions {
  supervisor: Supervisor;
  log: Log;
  events: Events;
  stateFile: StateFile;
  /** Of the state that is served; without them, of one that needs none. */
  credentials?: Credentials;
  /** Of the state that is served; otherwise it is made when it is needed. */
  early?: EarlyWork;
  /** What takes effect in main itself. */
  onCommitted?: (before: State, after: State) => void;
}

/** What one main hands over to the next. */
export interface HandedTransactions {
  /** Number of each route of the state. */
  routeIds: number[];
  history: readonly HistoryEntry[];
}

export interface ApplyOptions extends Authorship {
  ifRevision?: number;
  /** Ask for the addresses of all backends again, not only of those that are new. */
  resolveAgain?: boolean;
  /** Read the files of certificates and TLS options again, not only of those that change. */
  readAgain?: boolean;
}

/** What a transaction works with until it is decided. */
interface Draft extends Parts {
  /** The hashes after it, of the whole state and of what the workers serve; made while the workers get ready. */
  outcome?: { hash: string; served: ServedDraft };
}

export class Transactions {
  readonly credentials: Credentials;
  readonly history = new History();
  #state: State;
  #revision: number;
  #hash: string | undefined;
  #served: ServedHash | undefined;
  readonly #addresses: BackendAddresses;
  readonly #numbers: RouteNumbers;
  /** The change that was decided last has changed the keys of tickets, and not all workers know. */
  #ticketKeysMoved = false;
  #turn: Promise<unknown> = Promise.resolve();

  /** Takes over from what the supervisor serves at the start, with the addresses that its names have. */
  constructor(
    private readonly options: TransactionsOptions,
    resolved: Resolved,
    begin: Authorship | HandedTransactions,
  ) {
    const { state, revision } = options.supervisor.serving!;
    this.#state = state;
    this.#revision = revision;
    this.#addresses = new BackendAddresses(resolved, (text) => options.log.warn(text));
    const handed = "history" in begin ? begin : undefined;
    const { early } = options;
    this.#numbers = early?.numbers ?? new RouteNumbers(state.routes, handed?.routeIds);
    this.#hash = early?.hash;
    this.#served = early?.served;
    this.credentials = options.credentials ?? new Credentials((text, fields) => options.log.warn(text, fields));
    this.credentials.tickets.onRotated = (keys) => options.supervisor.tellTicketKeys(keys);
    if ("history" in begin) this.history.adopt(begin.history);
    else this.history.add(revision, this.hash, [], begin, state.control.history);
  }

  get state(): State {
    return this.#state;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Of the whole state. */
  get hash(): string {
    return this.#hash ??= hashState(this.#state);
  }

  /** Of what every worker should serve. */
  get servedHash(): string {
    return this.#servedHash.toString();
  }

  /** The route that has a number at the workers, for any number. */
  routesByNumber(): (id: number) => RouteState | undefined {
    return this.#numbers.reverse(this.#state.routes);
  }

  /** Makes ready what a first change would otherwise have to wait for. O(size of the state). */
  warmUp(): void {
    indexState(this.#state);
    void this.servedHash;
    // The engine lays out lists and records anew when they are first copied: better now than with the first change.
    const cluster = { order: "add", object: "cluster", name: "warm-up", value: { backends: ["127.0.0.1:1"] } };
    const route = { order: "add", object: "route", value: { host: "warm-up.invalid", cluster: "warm-up" } };
    try {
      const made = this.#plan({ orders: [cluster, route] });
      hashAfterPlan(this.hash, made);
      this.#numbers.draft(made.changes);
    } catch {
      // The state has these names already.
    }
  }

  /** Keys that came with it are forgotten again. */
  async plan(wanted: Wanted | ((state: State) => Wanted)): Promise<PlanAnswer> {
    const keys = new Map<string, string>();
    const made = this.#plan(wanted, keys);
    this.credentials.abandon(await this.credentials.draft(made.after, made.changes, keys));
    return {
      revision: this.#revision,
      differences: differencesOf(made),
      orders: [...made.orders],
      effects: made.effects,
      hash_before: this.hash,
      hash_after: hashAfterPlan(this.hash, made),
    };
  }

  /** Throws a ControlError when it is refused, and then nothing has changed. */
  apply(wanted: Wanted | ((state: State) => Wanted), options: ApplyOptions): Promise<ApplyAnswer> {
    return this.#inTurn(() => this.#apply(wanted, options));
  }

  /** Back to the state of an earlier revision, as a new one. */
  rollback(revision: number | undefined, options: ApplyOptions): Promise<ApplyAnswer> {
    return this.apply((state) => {
      const wanted = revision ?? this.history.previous;
      const earlier = wanted === undefined ? undefined : this.history.stateOf(wanted, state);
      if (earlier) return { state: earlier };
      const known = this.history.reports().map((report) => report.revision);
      const reason = wanted === undefined ? "there is no revision before this one" : `there is no revision ${wanted}`;
      throw new ControlError("missing", `${reason}; the history has ${known.at(-1)} to ${known[0]}`);
    }, options);
  }

  /** New processes in the place of all, with the same state. */
  rollWorkers(): Promise<void> {
    return this.#inTurn(async () => {
      const { supervisor } = this.options;
      const numbers = this.#numbers;
      const describe = () => ({
        routeIds: numbers.idsOf(this.#state.routes),
        resolved: this.resolved,
        credentials: this.credentials.describe(),
      });
      const next = Serving.open(this.#revision, this.#state, describe);
      try {
        await supervisor.roll(next);
      } catch (error) {
        next.close(supervisor.serving);
        throw refusal(error);
      }
    });
  }

  /**
   * Has `go` put another program in the place of this one, when no transaction is under way any more. Comes back only by
   * rejecting, and then everything goes on.
   */
  handOver(go: (transactions: HandedTransactions, supervisor: HandedSupervisor) => never): Promise<never> {
    return this.#inTurn(async () => {
      await this.options.stateFile.idle();
      const routeIds = this.#numbers.idsOf(this.#state.routes);
      const handed = { routeIds, history: this.history.entries };
      return await this.options.supervisor.handOver((supervisor) => go(handed, supervisor));
    });
  }

  get resolved(): Resolved {
    return this.#addresses.of(this.#state);
  }

  #inTurn<T>(transaction: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(transaction);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Keys that come with it go to `keys`; what is planned has their digests. */
  #plan(wanted: Wanted | ((state: State) => Wanted), keys = new Map<string, string>()): Plan {
    const { state, orders } = typeof wanted === "function" ? wanted(this.#state) : wanted;
    const bare = state ? { state: stateWithoutKeys(state, keys) } : { orders: ordersWithoutKeys(orders, keys) };
    return plan(this.#state, bare);
  }

  async #apply(wanted: Wanted | ((state: State) => Wanted), options: ApplyOptions): Promise<ApplyAnswer> {
    const began = performance.now();
    if (options.ifRevision !== undefined && options.ifRevision !== this.#revision) {
      const reason = `revision ${this.#revision} is served by now, not ${options.ifRevision}`;
      throw new ControlError("conflict", reason, { revision: this.#revision });
    }
    const keys = new Map<string, string>();
    const draft = await this.#draft(this.#plan(wanted, keys), keys, options);
    const made = draft.plan;
    const { certificates, files, readAnew } = draft.credentials;
    const isNothing = made.changes.length + draft.clusters.size + certificates.size + files.size === 0;
    if (isNothing) return this.#answer(began, [], [], 0);
    const [pausedUs, differences] = await Promise.all([this.#carryOut(draft), this.#meanwhile(draft)]);
    const about = certificates.size + files.size > 0 ? { about: READ_ANEW } : {};
    const durable = this.#record(draft, { ...about, ...options });
    if (readAnew.length > 0) {
      this.options.log.info(READ_ANEW, {
        certificates: readAnew.slice(0, NAMED_MAX).join(", "),
        count: readAnew.length,
      });
    }
    const anew = readAnew.length > 0 ? { read_anew: readAnew } : {};
    const answer = { ...this.#answer(began, differences, made.effects, pausedUs), ...anew };
    const notDurable = await durable;
    return notDurable === undefined ? answer : { ...answer, not_durable: notDurable };
  }

  #answer(
    began: number,
    differences: ApplyAnswer["differences"],
    effects: ApplyAnswer["effects"],
    paused_us: number,
  ): ApplyAnswer {
    const took_ms = Math.round((performance.now() - began) * 1000) / 1000;
    return { revision: this.#revision, hash: this.hash, differences, effects, took_ms, paused_us };
  }

  async #draft(made: Plan, keys: Map<string, string>, { resolveAgain, readAgain }: ApplyOptions): Promise<Draft> {
    const clusters = new Map<string, ClusterState | null>();
    for (const change of made.changes) if (change.object === "cluster") clusters.set(change.name, change.after);
    const asked = resolveAgain
      ? Object.values(made.after.clusters)
      : [...clusters.values()].flatMap((cluster) => cluster ?? []);
    const resolved = await this.#addresses.draft(asked);
    if (resolveAgain) {
      for (const [name, cluster] of Object.entries(made.after.clusters)) {
        if (!clusters.has(name) && this.#addresses.hasMoved(cluster, resolved)) clusters.set(name, cluster);
      }
    }
    const again = readAgain ? "all" : new Set(made.asked.flatMap(certificateUpdated));
    const credentials = await this.credentials.draft(made.after, made.changes, keys, again);
    const numbers = this.#numbers.draft(made.changes);
    noteIfLarge(made, clusters);
    return { plan: made, revision: this.#revision + 1, numbers, clusters, resolved, credentials };
  }

  /** Has the workers serve it; a worker that dies of something else in the middle of it is no reason to refuse it. */
  async #carryOut(draft: Draft): Promise<number> {
    try {
      return await this.#tryOnce(draft).catch((error) => {
        if (error instanceof WorkerFailure) return this.#tryOnce(draft);
        throw error;
      });
    } catch (error) {
      if (this.#revision !== draft.revision) this.credentials.abandon(draft.credentials);
      this.options.stateFile.forget();
      throw refusal(error);
    }
  }

  async #tryOnce(draft: Draft): Promise<number> {
    const { supervisor } = this.options;
    const { plan: { after, effects }, revision } = draft;
    const describe = () => ({
      routeIds: draft.numbers.idsOf(after.routes),
      resolved: { ...this.resolved, ...draft.resolved },
      credentials: this.credentials.describe(draft.credentials),
    });
    const rolls = effects.includes("rolls workers") ||
      !supervisor.slots.some(({ worker }) => worker?.state === "serving");
    if (!rolls) {
      const next = supervisor.serving!.succeed(revision, after, describe);
      const { certificates } = draft.credentials;
      const fd = certificates.size > 0 ? this.credentials.fd : undefined;
      return await supervisor.changeLive(next, workerChange(draft), () => this.#decided(draft), fd);
    }
    const next = openServing(revision, after, describe);
    try {
      await supervisor.roll(next, () => this.#decided(draft));
    } catch (error) {
      next.close(supervisor.serving);
      throw error;
    }
    return 0;
  }

  /** Nothing can be refused any more: it is main's state. Gives the hash of what the workers should serve. */
  #decided(draft: Draft): string {
    const { plan: made, numbers, resolved, revision } = draft;
    const { hash, served } = this.#outcomeOf(draft);
    served.commit();
    numbers.commit();
    this.#ticketKeysMoved = this.credentials.commit(draft.credentials, made.after);
    this.#addresses.commit(resolved);
    this.#state = made.after;
    this.#revision = revision;
    this.#hash = hash;
    return served.hash;
  }

  #outcomeOf(draft: Draft): NonNullable<Draft["outcome"]> {
    const { plan: made, numbers, clusters, credentials } = draft;
    return draft.outcome ??= {
      hash: hashAfterPlan(this.hash, made),
      served: this.#servedHash.draft({
        clusters,
        routes: numbers.routes,
        certificates: Array.from(credentials.certificates, ([name, known]) => [name, known?.entry ?? null] as const),
      }),
    };
  }

  /**
   * Gives the differences. While new workers get ready for a large change, main has nothing else to do: then the hashes are
   * made, too, and the text of the state file, for which everyone would have to wait afterwards.
   */
  async #meanwhile(draft: Draft): Promise<ApplyAnswer["differences"]> {
    const { plan: made, revision } = draft;
    if (!made.effects.includes("rolls workers")) return differencesOf(made);
    await turn();
    const differences = differencesOf(made);
    await turn();
    const { hash } = this.#outcomeOf(draft);
    if (isMostOf(made)) this.options.stateFile.prepare({ state: made.after, revision, hash });
    return differences;
  }

  /** History, events, what changes in main itself, and the state file; gives why it is not on the disk, if so. */
  #record({ plan: { before, after, changes } }: Draft, by: Authorship): Promise<string | undefined> {
    const report = this.history.add(this.#revision, this.hash, changes, by, after.control.history);
    this.#tidyCredentials(changes);
    this.options.onCommitted?.(before, after);
    this.options.events.emit("state.changed", { ...report });
    const { what, hash, who } = report;
    this.options.log.info("state changed", { revision: this.#revision, what, hash, by: who.name ?? who.uid });
    return this.options.stateFile.save(after, this.#revision, this.hash);
  }

  #tidyCredentials(changes: readonly Change[]): void {
    const { supervisor } = this.options;
    const { credentials } = this;
    if (this.#ticketKeysMoved) supervisor.tellTicketKeys(credentials.tickets.keys);
    this.#ticketKeysMoved = false;
    // Whoever still finishes what it carries may look for what it was told of.
    if (supervisor.draining.length === 0) credentials.releaseLeaving();
    if (!changes.some(({ object }) => object !== "route" && object !== "settings")) return;
    const kept = Object.values(this.#state.certificates).map(({ key }) => key);
    for (const { changes } of this.history.entries) {
      for (const change of changes) {
        if (change.object === "certificate") kept.push(change.before?.key ?? "", change.after?.key ?? "");
      }
    }
    credentials.forget(kept, this.#state);
  }

  get #servedHash(): ServedHash {
    return this.#served ??= servedHashOf(this.#state, this.#numbers, this.credentials.known);
  }
}

const READ_ANEW = "certificates read anew";
/** So many names of certificates are in a line of the log. */
const NAMED_MAX = 10;

/** An update reads the files again, whatever it changes. */
function certificateUpdated(order: Order): string[] {
  return order.object === "certificate" && order.order === "update" ? [order.name] : [];
}

/** Whether so much changes that the state file is shorter as a whole than with all of that added to it. */
function isMostOf({ after, changes }: Plan): boolean {
  return 2 * changes.length > Object.keys(after.clusters).length + after.routes.length;
}

/** Names that lead elsewhere may touch more clusters than the workers that serve can take over. */
function noteIfLarge(made: Plan, clusters: Draft["clusters"]): void {
  let objects = 0;
  for (const cluster of clusters.values()) objects += objectsOf(cluster);
  if (objects > LIVE_OBJECTS_MAX) made.effects = ["rolls workers"];
}

function openServing(...args: Parameters<typeof Serving.open>): Serving {
  try {
    return Serving.open(...args);
  } catch (error) {
    throw new ControlError("invalid", (error as Error).message, { object: "settings" });
  }
}

/** As the error for whoever asked. */
function refusal(error: unknown): Error {
  if (error instanceof ControlError) return error;
  if (error instanceof ChangeRefused) {
    return new ControlError("refused", error.message, error.object === "" ? {} : { object: error.object });
  }
  if (error instanceof WorkerFailure) return new ControlError("failed", `a worker ended: ${error.message}`);
  return new ControlError("failed", (error as Error).message);
}
