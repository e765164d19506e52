// How long certificates still hold: in days, told to whoever subscribed when few are left, and to the log.

import type { Log } from "../observe/log.ts";
import type { Known } from "./credentials.ts";
import type { Events } from "./events.ts";

const DAY_MS = 24 * 3_600_000;
const INTERVAL_MS = 3_600_000;

/** It is told when so many days are left, or fewer. */
export const EXPIRY_DAYS = [30, 14, 7, 3, 1, 0] as const;

/** So many certificates get a line of their own in the log each time. */
const LINES_MAX = 20;

/** Whole days that are left; below 0 it has expired. */
export function daysLeft(notAfterMs: number, nowMs = Date.now()): number {
  return Math.floor((notAfterMs - nowMs) / DAY_MS);
}

export class Expiry {
  /** How many of the days above each certificate has passed, and of which end that is. */
  readonly #passed = new Map<string, { notAfterMs: number; count: number }>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly known: () => ReadonlyMap<string, Known>,
    private readonly events: Events,
    private readonly log: Log,
  ) {
    this.#timer = setInterval(() => this.look(), INTERVAL_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Tells of those that have passed another one of the days. O(certificates). */
  look(nowMs = Date.now()): void {
    const known = this.known();
    for (const name of this.#passed.keys()) if (!known.has(name)) this.#passed.delete(name);
    const expiring: { name: string; days: number }[] = [];
    for (const [name, { report: { notAfterMs } }] of known) {
      const days = daysLeft(notAfterMs, nowMs);
      const count = EXPIRY_DAYS.filter((limit) => days <= limit).length;
      const before = this.#passed.get(name);
      this.#passed.set(name, { notAfterMs, count });
      if (count <= (before?.notAfterMs === notAfterMs ? before.count : 0)) continue;
      expiring.push({ name, days });
      const not_after = new Date(notAfterMs).toISOString();
      this.events.emit("certificate.expiring", { certificate: name, days_left: days, not_after });
    }
    for (const { name, days } of expiring.slice(0, LINES_MAX)) {
      this.log.warn(days < 0 ? "a certificate has expired" : "a certificate expires soon", {
        certificate: name,
        days_left: days,
      });
    }
    if (expiring.length > LINES_MAX) {
      this.log.warn("more certificates expire soon", { count: expiring.length - LINES_MAX });
    }
  }
}
