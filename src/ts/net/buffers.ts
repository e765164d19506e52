// The pool of I/O buffers in linear memory: a stack of addresses, so that the buffer used last, still in the cache, is
// used next. Some are kept back for answers of backends: requests that wait for an answer hold buffers, and would
// otherwise starve the very reads that set them free. Who finds the pool empty waits in a queue and is called again.

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
  readonly #reserved: number;
  readonly #waiting: Int32Array;
  readonly #isWaiting: Uint8Array;
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
    this.#reserved = Math.max(1, Math.floor(this.count / RESERVED_SHARE));
    this.#waiting = new Int32Array(slots);
    this.#isWaiting = new Uint8Array(slots);
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
    return this.#free > 0 ? this.#pop() : 0;
  }

  give(buffer: number): void {
    this.#stack[this.#free++] = buffer;
  }

  /** Calls the slot again when there is a buffer. It may have to wait anew. */
  wait(slot: number): void {
    if (this.#isWaiting[slot]) return;
    this.#isWaiting[slot] = 1;
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

  /** Once a turn of the loop: calls as many of those that wait as there are buffers. */
  wakeWaiting(): void {
    for (let left = this.#free - this.#reserved; left > 0 && this.#waitingCount > 0; left--) {
      const slot = this.#waiting[this.#waitingHead]!;
      this.#waitingHead = (this.#waitingHead + 1) % this.#waiting.length;
      this.#waitingCount--;
      this.#isWaiting[slot] = 0;
      this.#loop.callAgain(slot);
    }
  }
}
