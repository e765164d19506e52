// Deadlines of slots, one each, in a wheel of lists threaded through typed arrays: setting one costs a store in the
// usual case, and nothing is allocated. A slot hangs in the bucket of the time when it will be looked at, which is never
// later than its deadline; moving a deadline further away touches no list, the slot is hung anew when its bucket comes.

/** Width of a bucket. A deadline is noticed when the bucket after its own comes, so less than two of them late. */
export const TICK_MS = 32;
const BUCKETS = 512;
/** A slot is looked at least this often: the time of one turn of the wheel. */
const HORIZON_MS = TICK_MS * (BUCKETS - 1);
const NONE = -1;

export class TimerWheel {
  readonly #deadlineMs: Float64Array;
  /** When the slot's bucket comes; 0 while it hangs in none. */
  readonly #lookMs: Float64Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #due: Int32Array;
  readonly #first = new Int32Array(BUCKETS).fill(NONE);
  #tick: number;
  #count = 0;
  /** Before it nothing can be due. */
  #soonestMs = Infinity;

  constructor(slots: number, nowMs: number) {
    this.#deadlineMs = new Float64Array(slots).fill(Infinity);
    this.#lookMs = new Float64Array(slots);
    this.#due = new Int32Array(slots);
    this.#next = new Int32Array(slots).fill(NONE);
    this.#previous = new Int32Array(slots).fill(NONE);
    this.#tick = Math.floor(nowMs / TICK_MS);
  }

  /** Sets the slot's deadline. */
  arm(slot: number, deadlineMs: number): void {
    this.#deadlineMs[slot] = deadlineMs;
    const look = this.#lookMs[slot]!;
    if (look !== 0) {
      if (look <= deadlineMs) return;
      this.#unhang(slot);
    }
    this.#hang(slot, deadlineMs);
  }

  /** The slot has no deadline; it may hang on in its bucket until that comes. */
  disarm(slot: number): void {
    this.#deadlineMs[slot] = Infinity;
  }

  /** The slot is given up: it leaves its bucket at once. */
  remove(slot: number): void {
    this.#deadlineMs[slot] = Infinity;
    if (this.#lookMs[slot] !== 0) this.#unhang(slot);
  }

  /** How long the loop may sleep: -1 without a timer. */
  sleepMs(nowMs: number): number {
    if (this.#count === 0) return -1;
    return Math.max(0, Math.ceil(this.#soonestMs - nowMs));
  }

  /** Calls `expired` for each slot whose deadline has passed; it may arm and remove any slot. */
  advance(nowMs: number, expired: (slot: number) => void): void {
    if (nowMs < this.#soonestMs) return;
    const last = Math.floor(nowMs / TICK_MS);
    if (last - this.#tick >= BUCKETS) this.#tick = last - BUCKETS + 1;
    for (; this.#tick <= last; this.#tick++) this.#turnBucket(this.#tick & (BUCKETS - 1), nowMs, expired);
    this.#soonestMs = this.#count === 0 ? Infinity : this.#nextBucketMs();
  }

  #turnBucket(bucket: number, nowMs: number, expired: (slot: number) => void): void {
    let slot = this.#first[bucket]!;
    this.#first[bucket] = NONE;
    // what is due is noted apart, so that `expired` finds every list whole
    let due = 0;
    while (slot !== NONE) {
      const next = this.#next[slot]!;
      this.#lookMs[slot] = 0;
      this.#count--;
      const deadline = this.#deadlineMs[slot]!;
      if (deadline <= nowMs) this.#due[due++] = slot;
      else if (deadline !== Infinity) this.#hang(slot, deadline);
      slot = next;
    }
    for (let i = 0; i < due; i++) {
      const expiring = this.#due[i]!;
      // an earlier call may have armed it anew or given it up
      if (this.#deadlineMs[expiring]! > nowMs) continue;
      this.#deadlineMs[expiring] = Infinity;
      expired(expiring);
    }
  }

  #hang(slot: number, deadlineMs: number): void {
    // behind the bucket that may be turning now, and less than one turn away
    const base = this.#tick * TICK_MS;
    const look = Math.min(Math.max(deadlineMs, base + 1), base + HORIZON_MS);
    // the bucket turns when its time is over, so a deadline inside it has then passed
    const tick = Math.ceil(look / TICK_MS);
    const bucket = tick & (BUCKETS - 1);
    const first = this.#first[bucket]!;
    this.#next[slot] = first;
    this.#previous[slot] = NONE;
    if (first !== NONE) this.#previous[first] = slot;
    this.#first[bucket] = slot;
    this.#lookMs[slot] = look;
    this.#count++;
    if (tick * TICK_MS < this.#soonestMs) this.#soonestMs = tick * TICK_MS;
  }

  #unhang(slot: number): void {
    const look = this.#lookMs[slot]!;
    const next = this.#next[slot]!;
    const previous = this.#previous[slot]!;
    if (previous === NONE) this.#first[Math.ceil(look / TICK_MS) & (BUCKETS - 1)] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
    this.#lookMs[slot] = 0;
    this.#count--;
  }

  #nextBucketMs(): number {
    for (let i = 0; i < BUCKETS; i++) {
      if (this.#first[(this.#tick + i) & (BUCKETS - 1)] !== NONE) return (this.#tick + i) * TICK_MS;
    }
    return (this.#tick + BUCKETS) * TICK_MS;
  }
}
