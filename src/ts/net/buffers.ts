// The pool of I/O buffers in linear memory: a stack of addresses, so that the buffer used last, still in the cache, is
// used next. Some are kept back for answers of backends: requests that wait for an answer hold buffers, and would
// otherwise starve the very reads that set them free. A few more are kept back for what is copied to go out, since without
// that no answer sets anything free. Who finds too few waits in a queue, with the number that has to be free for him.

import type { EventLoop } from "../loop/event_loop.ts";

/** Where the pool lies in linear memory; `bytesOffset` is from a buffer's address to its first received byte. */
export interface BufferRegion {
  at: number;
  stride: number;
  count: number;
  bytesOffset: number;
  capacity: number;
}

/** A sixteenth of the buffers, at least one, is only for reading from backends. */
const RESERVED_SHARE = 16;
/** An eighth is only for output: no fewer than a head may need, and no more than help. Of too few, none. */
const OUTPUT_SHARE = 8;
const OUTPUT_MIN = 3;
const OUTPUT_MAX = 16;
const DIVIDED_MIN = 8;
/** Idle buffers that keep their memory, for the next burst. */
const KEPT_WARM = 64;

export class Buffers {
  /** Where received bytes begin, from a buffer's address. */
  readonly bytesOffset: number;
  /** How many bytes may be received into one buffer. */
  readonly capacity: number;
  readonly count: number;
  /** How often somebody had to wait for a buffer. */
  waits = 0;
  readonly #loop: EventLoop;
  readonly #stack: Int32Array;
  #free: number;
  /** So many stay free for output; and so many for that and for answers. */
  readonly #output: number;
  readonly #reserved: number;
  readonly #waiting: Int32Array;
  /** How many buffers have to be free for a slot that waits; 0: it does not wait. */
  readonly #needs: Int32Array;
  #waitingHead = 0;
  #waitingCount = 0;
  readonly #stride: number;
  /** The fewest that were free since memory was last given back. */
  #freeLow: number;

  constructor(region: BufferRegion, loop: EventLoop, slots: number) {
    this.#loop = loop;
    this.bytesOffset = region.bytesOffset;
    this.capacity = region.capacity;
    this.count = region.count;
    this.#stride = region.stride;
    const last = this.count - 1;
    this.#stack = Int32Array.from({ length: this.count }, (_, i) => region.at + (last - i) * region.stride);
    this.#free = this.count;
    this.#freeLow = this.count;
    // fresh memory holds no pages yet
    this.#discardedBelow = this.count;
    const share = Math.min(OUTPUT_MAX, Math.max(OUTPUT_MIN, Math.floor(this.count / OUTPUT_SHARE)));
    this.#output = this.count < DIVIDED_MIN ? 0 : share;
    this.#reserved = this.#output + Math.max(1, Math.floor(this.count / RESERVED_SHARE));
    this.#waiting = new Int32Array(slots);
    this.#needs = new Int32Array(slots);
  }

  get used(): number {
    return this.count - this.#free;
  }

  get free(): number {
    return this.#free;
  }

  /** Address of a buffer for reading from a client, or 0. */
  take(): number {
    return this.#free > this.#reserved ? this.#pop() : 0;
  }

  /** Address of a buffer for reading from a backend, or 0. */
  takeReserved(): number {
    return this.#free > this.#output ? this.#pop() : 0;
  }

  /** Address of a buffer for what goes out as soon as it can, or 0. */
  takeForOutput(): number {
    return this.#free > 0 ? this.#pop() : 0;
  }

  give(buffer: number): void {
    this.#stack[this.#free++] = buffer;
  }

  /** Calls the slot again when there is a buffer for reading from a client. It may have to wait anew. */
  wait(slot: number): void {
    this.waitForOutput(slot, this.#reserved + 1);
  }

  /** The same for reading from a backend. */
  waitReserved(slot: number): void {
    this.waitForOutput(slot, this.#output + 1);
  }

  /** The same when `count` are free, for output. */
  waitForOutput(slot: number, count: number): void {
    const needs = this.#needs[slot]!;
    if (needs === 0 || count < needs) this.#needs[slot] = count;
    if (needs !== 0) return;
    this.waits++;
    this.#waiting[(this.#waitingHead + this.#waitingCount++) % this.#waiting.length] = slot;
  }

  /**
   * Gives the memory of buffers that nobody has needed since the last call back to the system, as much as `bytesMax`.
   * The ones at the bottom of the stack were used least recently.
   */
  discardIdle(bytesMax: number): void {
    const idle = Math.min(this.#freeLow - KEPT_WARM, this.#discardedBelow + Math.floor(bytesMax / this.#stride));
    for (; this.#discardedBelow < idle; this.#discardedBelow++) {
      this.#loop.system.discard(this.#stack[this.#discardedBelow]!, this.#stride);
    }
    this.#freeLow = this.#free;
  }

  /** Whether buffers that were used lie idle and hold memory. */
  get mayDiscard(): boolean {
    return this.#discardedBelow < this.#free - KEPT_WARM;
  }

  /** Stack places below this have been discarded since they were last taken. */
  #discardedBelow: number;

  #pop(): number {
    const buffer = this.#stack[--this.#free]!;
    if (this.#free < this.#freeLow) this.#freeLow = this.#free;
    if (this.#free < this.#discardedBelow) this.#discardedBelow = this.#free;
    return buffer;
  }

  /** Once a turn of the loop: calls as many of those that wait as there are buffers. The others keep their order. */
  wakeWaiting(): void {
    let left = this.#free;
    for (let waiting = this.#waitingCount; left > 0 && waiting > 0; waiting--) {
      const slot = this.#waiting[this.#waitingHead]!;
      this.#waitingHead = (this.#waitingHead + 1) % this.#waiting.length;
      if (this.#needs[slot]! > left) {
        this.#waiting[(this.#waitingHead + this.#waitingCount - 1) % this.#waiting.length] = slot;
        continue;
      }
      this.#waitingCount--;
      this.#needs[slot] = 0;
      this.#loop.callAgain(slot);
      left--;
    }
  }
}
