// A supervisor with the workers of the tests, and the transactions on top of it, in the process of the test.

import { hashState } from "../../../src/ts/config/state_hash.ts";
import type { State } from "../../../src/ts/config/state.ts";
import { Events, watcherFor } from "../../../src/ts/control/events.ts";
import type { ApplyAnswer, ControlEvent } from "../../../src/ts/control/protocol.ts";
import { EVENT_NAMES } from "../../../src/ts/control/protocol.ts";
import { resolveBackends } from "../../../src/ts/control/resolve.ts";
import { Serving } from "../../../src/ts/control/serving.ts";
import { StateFile } from "../../../src/ts/control/state_file.ts";
import { workerReports } from "../../../src/ts/control/status.ts";
import { Supervisor } from "../../../src/ts/control/supervisor.ts";
import { type ApplyOptions, Transactions } from "../../../src/ts/control/transactions.ts";
import { Log } from "../../../src/ts/observe/log.ts";
import { Poller } from "../../../src/ts/sys/poll.ts";
import { assertEquals } from "../../support/assert.ts";

const PROGRAM = new URL("../../support/test_main.ts", import.meta.url).href;
export const BY: ApplyOptions = { who: { uid: 0, pid: 1 }, why: "", source: "orders" };

export interface Answer {
  pid: number;
  slot: number;
  revision: number;
}

export class Bench implements AsyncDisposable {
  readonly lines: string[] = [];
  readonly told: ControlEvent[] = [];
  readonly poller = new Poller();
  readonly events = new Events();
  readonly log = new Log((line) => this.lines.push(line));
  readonly supervisor: Supervisor;
  #transactions: Transactions | undefined;

  constructor(program = PROGRAM, changeTimeoutMs = 1_000) {
    this.supervisor = new Supervisor({
      poller: this.poller,
      log: this.log,
      command: (fd) => ({
        path: "/proc/self/exe",
        args: ["deno", "run", "-A", "--no-prompt", program, "worker", String(fd)],
      }),
      readyTimeoutMs: 1_500,
      changeTimeoutMs,
    });
    this.events.subscribe(EVENT_NAMES, (event) => this.told.push(event));
  }

  get transactions(): Transactions {
    if (!this.#transactions) throw new Error("nothing is served yet");
    return this.#transactions;
  }

  /** The first state, or the next one. */
  async apply(state: State): Promise<void> {
    if (this.#transactions) return void await this.#transactions.apply({ state }, { ...BY, source: "file" });
    const resolved = await resolveBackends(Object.values(state.clusters), {}, () => {});
    await this.supervisor.roll(Serving.first(1, state, resolved));
    const { supervisor, log, events } = this;
    supervisor.watcher = watcherFor(events);
    const parts = { supervisor, log, events, stateFile: new StateFile(log) };
    this.#transactions = new Transactions(parts, resolved, { ...BY, source: "start" });
  }

  orders(...orders: unknown[]): Promise<ApplyAnswer> {
    return this.transactions.apply({ orders }, BY);
  }

  async ask(listener = 0): Promise<Answer> {
    const response = await fetch(`http://${this.supervisor.listeners[listener]!.address}/`);
    return await response.json();
  }

  pids(): number[] {
    return this.supervisor.slots.flatMap(({ worker }) => worker?.state === "serving" ? worker.pid : []);
  }

  /** All workers serve what main says, and main's hashes are those of its state. */
  async assertAgreed(): Promise<void> {
    const { hash, servedHash, state, revision } = this.transactions;
    assertEquals(hash, hashState(state));
    assertEquals(this.supervisor.revision, revision);
    const reports = (await workerReports(this.supervisor, servedHash)).filter(({ state }) => state === "serving");
    for (const report of reports) assertEquals([report.revision, report.hash], [revision, servedHash]);
  }

  async [Symbol.asyncDispose]() {
    await this.supervisor.stop(true);
    await this.poller.close();
  }
}
