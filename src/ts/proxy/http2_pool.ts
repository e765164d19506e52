// What all HTTP/2 connections of a worker share: the records of the codec, which are as many as there may be connections, the
// objects that are not in use, and how many streams there are.

import type { Core } from "../../wasm/core.ts";
import type { Http2Session } from "./http2_session.ts";
import type { Http2Stream } from "./http2_stream.ts";

export class Http2Pool {
  readonly idleSessions: Http2Session[] = [];
  readonly idleStreams: Http2Stream[] = [];
  streamsActive = 0;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(core: Core, readonly streamsMax: number) {
    const count = core.limits.h2Connections;
    this.#free = Int32Array.from({ length: count }, (_, i) => core.h2RecordsAt + (count - 1 - i) * core.h2RecordBytes);
    this.#freeCount = count;
  }

  get connectionsActive(): number {
    return this.#free.length - this.#freeCount;
  }

  /** Whether another connection may speak HTTP/2. */
  get hasRecord(): boolean {
    return this.#freeCount > 0;
  }

  /** Address of a record of the codec, or 0. */
  takeRecord(): number {
    return this.#freeCount === 0 ? 0 : this.#free[--this.#freeCount]!;
  }

  giveRecord(record: number): void {
    this.#free[this.#freeCount++] = record;
  }
}
