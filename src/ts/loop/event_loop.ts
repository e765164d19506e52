// The worker's loop: one epoll, a fixed table of slots, one timer a slot, and a queue of slots to be called again. A slot
// is a descriptor with its handler; its number is also the number of its record in linear memory. Registration is
// edge-triggered and happens once: handlers remember whether they may read and write.
//
// An event carries slot and generation; one that was queued for a descriptor closed meanwhile finds another generation
// and is dropped. Nothing is allocated while the loop runs.

import * as libc from "../sys/libc.ts";
import { TimerWheel } from "./timer_wheel.ts";

/** What a slot does when something happens to its descriptor. */
export interface Handler {
  /** `events`: EPOLL bits; 0 when it was called again by its own wish or a buffer has become free. */
  onEvents(events: number): void;
  onTimeout(): void;
}

const EVENTS_MAX = 512;
const STREAM_EVENTS = libc.EPOLLIN | libc.EPOLLOUT | libc.EPOLLRDHUP | libc.EPOLLET;
/** Until a write comes back short, nobody has to be told that writing is possible. */
const READING_EVENTS = libc.EPOLLIN | libc.EPOLLRDHUP | libc.EPOLLET;
/** System scratch: the events first, the addresses and single words behind them (SYSTEM_SCRATCH in assembly/memory.ts). */
export const SCRATCH_WORDS_AT = EVENTS_MAX * 16;
export const SCRATCH_ADDRESS_AT = SCRATCH_WORDS_AT + 64;
/** For short texts that the codec is to read, up to 7 KiB. */
export const SCRATCH_TEXT_AT = SCRATCH_ADDRESS_AT + 192;

export class EventLoop {
  /** Milliseconds since some point in the past, read once a turn. */
  nowMs: number;
  /** Counts the turns, to tell one from the next. */
  turn = 0;
  readonly system: libc.System;
  readonly timers: TimerWheel;
  readonly #epoll: number;
  readonly #eventsAt: number;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #handlers: (Handler | null)[];
  readonly #generations: Int32Array;
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #again: Int32Array;
  readonly #isAgain: Uint8Array;
  #againHead = 0;
  #againCount = 0;
  #running = false;
  readonly #onExpired: (slot: number) => void;

  /** `slots`: how many descriptors at once. `scratchAt`: the system scratch of the map. */
  constructor(memory: Uint8Array<ArrayBuffer>, scratchAt: number, slots: number) {
    this.system = libc.bindSystem(memory, scratchAt + SCRATCH_WORDS_AT);
    this.#eventsAt = scratchAt;
    this.#words = new Int32Array(memory.buffer, scratchAt, EVENTS_MAX * libc.EPOLL_EVENT_WORDS);
    this.#epoll = this.system.epollCreate();
    if (this.#epoll < 0) throw new Error("epoll_create1 failed: the process has no free descriptors");
    this.#handlers = new Array(slots).fill(null);
    this.#generations = new Int32Array(slots);
    this.#free = Int32Array.from({ length: slots }, (_, index) => slots - 1 - index);
    this.#freeCount = slots;
    this.#again = new Int32Array(slots);
    this.#isAgain = new Uint8Array(slots);
    this.nowMs = this.system.monotonicMs();
    this.timers = new TimerWheel(slots, this.nowMs);
    this.#onExpired = (slot) => this.#handlers[slot]?.onTimeout();
  }

  /** A free slot, or -1. */
  takeSlot(): number {
    return this.#freeCount === 0 ? -1 : this.#free[--this.#freeCount]!;
  }

  /**
   * Registers a stream socket, edge-triggered: for everything, or, while it can surely be written, only for what can be
   * read; then watchWrites() follows when it is needed. 0 or -errno.
   */
  addStream(slot: number, fd: number, handler: Handler, writable: boolean): number {
    return this.add(slot, fd, writable ? READING_EVENTS : STREAM_EVENTS, handler);
  }

  /** Gives a slot another handler: one without a descriptor, or the descriptor's next. */
  occupy(slot: number, handler: Handler): void {
    this.#handlers[slot] = handler;
  }

  watchWrites(slot: number, fd: number): void {
    this.change(slot, fd, STREAM_EVENTS);
  }

  add(slot: number, fd: number, events: number, handler: Handler): number {
    this.#handlers[slot] = handler;
    return this.system.epollControl(this.#epoll, libc.EPOLL_CTL_ADD, fd, events, slot, this.#generations[slot]!);
  }

  change(slot: number, fd: number, events: number): void {
    this.system.epollControl(this.#epoll, libc.EPOLL_CTL_MOD, fd, events, slot, this.#generations[slot]!);
  }

  /** Gives a slot back. Closing the descriptor, before or after, is the caller's; so is telling epoll when it stays open. */
  freeSlot(slot: number): void {
    this.timers.remove(slot);
    this.#handlers[slot] = null;
    this.#generations[slot] = (this.#generations[slot]! + 1) | 0;
    this.#free[this.#freeCount++] = slot;
  }

  /** Who has the slot, if anybody. */
  handlerOf(slot: number): Handler | null {
    return this.#handlers[slot] ?? null;
  }

  get slots(): number {
    return this.#handlers.length;
  }

  /** Takes a descriptor that stays open out of the epoll. */
  forget(fd: number): void {
    this.system.epollControl(this.#epoll, libc.EPOLL_CTL_DEL, fd, 0, 0, 0);
  }

  /** Calls the slot's handler with no events in the next turn, behind what waits already. */
  callAgain(slot: number): void {
    if (this.#isAgain[slot]) return;
    this.#isAgain[slot] = 1;
    this.#again[(this.#againHead + this.#againCount++) % this.#again.length] = slot;
  }

  stop(): void {
    this.#running = false;
  }

  /** Runs until stop(). `beforeSleep` is called once a turn, before the loop waits. */
  run(beforeSleep: () => void): void {
    this.#running = true;
    for (;;) {
      beforeSleep();
      if (!this.#running) return;
      const timeoutMs = this.#againCount > 0 ? 0 : this.timers.sleepMs(this.nowMs);
      const count = this.system.epollWait(this.#epoll, this.#eventsAt, EVENTS_MAX, timeoutMs);
      this.nowMs = this.system.monotonicMs();
      this.turn = (this.turn + 1) | 0;
      if (count > 0) this.#dispatch(count);
      else if (count < 0 && count !== -libc.EINTR) throw new Error(`epoll_wait failed: errno ${-count}`);
      if (this.#againCount > 0) this.#callWaiting();
      this.timers.advance(this.nowMs, this.#onExpired);
    }
  }

  #dispatch(count: number): void {
    const words = this.#words;
    for (let i = 0, at = 0; i < count; i++, at += libc.EPOLL_EVENT_WORDS) {
      const slot = words[at + libc.EPOLL_DATA_WORD]!;
      if (words[at + libc.EPOLL_DATA_WORD + 1] !== this.#generations[slot]) continue;
      const handler = this.#handlers[slot];
      if (handler) handler.onEvents(words[at]!);
    }
  }

  #callWaiting(): void {
    // those that ask again while they are called wait for the next turn
    for (let left = this.#againCount; left > 0; left--) {
      const slot = this.#again[this.#againHead]!;
      this.#againHead = (this.#againHead + 1) % this.#again.length;
      this.#againCount--;
      this.#isAgain[slot] = 0;
      this.#handlers[slot]?.onEvents(0);
    }
  }
}
