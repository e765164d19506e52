// What all HTTP/2 connections of a worker share, those of clients and those to backends: the records of the codec, which are
// as many as there may be connections, and how many streams there are.

import type { Core } from "../../wasm/core.ts";
import type { EventLoop } from "../loop/event_loop.ts";
import type { Buffers } from "../net/buffers.ts";
import type { Counters } from "../observe/counters.ts";

export interface Http2Context {
  loop: EventLoop;
  core: Core;
  buffers: Buffers;
  counters: Counters;
  http2: Http2Pool;
  /** How long a peer may take nothing of what waits for it. */
  timeouts: { writeMs: number };
}

export class Http2Pool {
  streamsActive = 0;
  /** Connections to backends, those included that are being made. */
  upstreamsActive = 0;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(core: Core, readonly streamsMax: number) {
    const count = core.limits.h2Connections;
    this.#free = Int32Array.from({ length: count }, (_, i) => core.h2RecordsAt + (count - 1 - i) * core.h2RecordBytes);
    this.#freeCount = count;
  }

  /** Connections of clients. */
  get connectionsActive(): number {
    return this.#free.length - this.#freeCount - this.upstreamsActive;
  }

  /** Whether another connection may speak HTTP/2. */
  get hasRecord(): boolean {
    return this.#freeCount > 0;
  }

  /** Whether another stream may begin. */
  get hasRoom(): boolean {
    return this.streamsActive < this.streamsMax;
  }

  /** Address of a record of the codec, or 0. */
  takeRecord(): number {
    return this.#freeCount === 0 ? 0 : this.#free[--this.#freeCount]!;
  }

  giveRecord(record: number): void {
    this.#free[this.#freeCount++] = record;
  }
}
