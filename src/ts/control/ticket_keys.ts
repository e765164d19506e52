// The keys of session tickets, which all workers share, so that a client resumes at any of them, and at those of the next
// version. The first encrypts, all decrypt. A new one comes at every half of the longest lifetime of a ticket (at least
// every day), and goes when no ticket can be alive that it has encrypted: whoever steals the keys reads no session that
// was resumed before one and a half lifetimes.

import type { State } from "../config/state.ts";

/** Name, key of the cipher, key of the authentication (OpenSSL's form). */
const KEY_BYTES = 80;
const INTERVAL_MIN_MS = 60_000;
const INTERVAL_MAX_MS = 24 * 3_600_000;

export interface HandedTicketKeys {
  keys: string[];
  rotatedAtMs: number;
}

export class TicketKeys {
  #keys: string[] = [];
  #rotatedAtMs = 0;
  #lifetimeMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Workers have to be told. */
  onRotated: (keys: readonly string[]) => void = () => {};

  /** In base64; empty while no listener gives tickets. */
  get keys(): readonly string[] {
    return this.#keys;
  }

  /** How often there is a new key. */
  get intervalMs(): number {
    return Math.min(Math.max(this.#lifetimeMs / 2, INTERVAL_MIN_MS), INTERVAL_MAX_MS);
  }

  /** Goes by the listeners of a state. Gives whether the keys have changed. */
  follow({ listeners }: Pick<State, "listeners">, nowMs = Date.now()): boolean {
    const lifetimes = Object.values(listeners).map(({ tls }) => tls?.ticket_lifetime ?? 0);
    const lifetimeMs = Math.max(0, ...lifetimes);
    if (lifetimeMs === this.#lifetimeMs) return false;
    this.#lifetimeMs = lifetimeMs;
    const before = this.#keys;
    if (lifetimeMs === 0) this.#keys = [];
    else if (this.#keys.length === 0) this.#add(nowMs);
    this.#schedule(nowMs);
    return this.#keys !== before;
  }

  /** The next key, now. */
  rotate(nowMs = Date.now()): void {
    if (this.#lifetimeMs === 0) return;
    this.#add(nowMs);
    this.#schedule(nowMs);
    this.onRotated(this.#keys);
  }

  handOver(): HandedTicketKeys {
    return { keys: this.#keys, rotatedAtMs: this.#rotatedAtMs };
  }

  adopt({ keys, rotatedAtMs }: HandedTicketKeys): void {
    this.#keys = keys;
    this.#rotatedAtMs = rotatedAtMs;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #add(nowMs: number): void {
    const key = crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toBase64();
    const kept = Math.ceil(this.#lifetimeMs / this.intervalMs);
    this.#keys = [key, ...this.#keys.slice(0, kept)];
    this.#rotatedAtMs = nowMs;
  }

  #schedule(nowMs: number): void {
    clearTimeout(this.#timer);
    if (this.#lifetimeMs === 0) return;
    const waitMs = Math.max(0, this.#rotatedAtMs + this.intervalMs - nowMs);
    this.#timer = setTimeout(() => this.rotate(), waitMs);
    Deno.unrefTimer(this.#timer as unknown as number);
  }
}
