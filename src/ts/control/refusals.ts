// The event `refusals`: once a second, how much the counters of refused requests and connections went up. The workers are
// asked only while somebody listens.

import type { Events } from "./events.ts";
import type { Supervisor } from "./supervisor.ts";

const INTERVAL_MS = 1_000;
const ANSWER_LIMIT_MS = 500;
const PREFIX = "refused.";

export class RefusalCounts {
  readonly #timer: ReturnType<typeof setInterval>;
  /** By process: a new one counts from 0. */
  #before = new Map<number, Record<string, number>>();
  #asking = false;

  constructor(private readonly supervisor: Supervisor, private readonly events: Events) {
    this.#timer = setInterval(() => void this.#look(), INTERVAL_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (!this.events.isWanted("refusals")) return this.#before.clear();
    if (this.#asking) return;
    this.#asking = true;
    const now = new Map<number, Record<string, number>>();
    const risen: Record<string, number> = {};
    const workers = this.supervisor.slots.flatMap(({ worker }) => worker?.state === "serving" ? [worker] : []);
    await Promise.all(workers.map(async (worker) => {
      const counters = (await worker.status(ANSWER_LIMIT_MS))?.counters;
      if (!counters) return;
      const refused = Object.entries(counters).filter(([name]) => name.startsWith(PREFIX));
      now.set(worker.pid, Object.fromEntries(refused));
      const before = this.#before.get(worker.pid) ?? (this.#before.size === 0 ? counters : {});
      for (const [name, value] of refused) {
        const by = value - (before[name] ?? 0);
        const reason = name.slice(PREFIX.length);
        if (by > 0) risen[reason] = (risen[reason] ?? 0) + by;
      }
    }));
    this.#before = now;
    this.#asking = false;
    if (Object.keys(risen).length > 0) this.events.emit("refusals", { counts: risen });
  }
}
