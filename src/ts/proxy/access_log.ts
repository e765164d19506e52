// The access log of a worker: lines are put together by the codec in one batch of linear memory and written with one
// call when the batch is full or a second old. A log that takes nothing more (a full pipe) loses lines, which are
// counted; it never stops the data path.

import * as abi from "../../../assembly/abi.ts";
import type { Core } from "../../wasm/core.ts";
import type { EventLoop } from "../loop/event_loop.ts";
import { Counters } from "../observe/counters.ts";

const FORMATS = { common: abi.LOG_COMMON, combined: abi.LOG_COMBINED, json: abi.LOG_JSON };
export type LogFormat = keyof typeof FORMATS;

export function logFormatNumber(format: LogFormat | null): number {
  return format === null ? abi.LOG_OFF : FORMATS[format];
}

/** Bytes of a log record, and so about the longest line. */
export const LOG_RECORD_BYTES = 2048;
/** A batch is written when it is this full; LOG_BATCH in assembly/memory.ts leaves room for one line more. */
const BATCH_BYTES = 65536;
const BATCH_MS = 1000;
/** Behind the text of a backend, in the head scratch. */
const TLS_AT = 256;
const LINES = Counters.index("log.lines");
const DROPPED = Counters.index("log.dropped");

export class AccessLog {
  readonly format: number;
  readonly #core: Core;
  readonly #loop: EventLoop;
  readonly #counters: Counters;
  #fd: number;
  #used = 0;
  #lines = 0;
  #beganMs = 0;

  constructor(core: Core, loop: EventLoop, counters: Counters, fd: number, format: LogFormat) {
    this.#core = core;
    this.#loop = loop;
    this.#counters = counters;
    this.#fd = fd;
    this.format = FORMATS[format];
  }

  recordAt(slot: number): number {
    return this.#core.logRecordsAt + slot * LOG_RECORD_BYTES;
  }

  /** Keeps what the line needs of the request that the result area describes; `parsed` false: there is none. */
  begin(slot: number, record: number, parsed: boolean): void {
    const r = this.#core.result;
    this.#core.codec.logBegin(
      record,
      this.recordAt(slot),
      this.format,
      r[abi.R_FLAGS]!,
      r[abi.R_METHOD_AT]!,
      parsed ? r[abi.R_METHOD_LENGTH]! : 0,
      r[abi.R_TARGET_AT]!,
      r[abi.R_TARGET_LENGTH]!,
      r[abi.R_HOST_AT]!,
      r[abi.R_HOST_LENGTH]!,
    );
  }

  end(
    slot: number,
    record: number,
    status: number,
    bytes: number,
    durationMs: number,
    backend: Uint8Array<ArrayBuffer> | null,
    refusalAt: number,
    refusalLength: number,
    tls: Uint8Array<ArrayBuffer> | null,
  ): void {
    const backendAt = this.#core.codec.headScratchAt();
    if (backend !== null) this.#core.u8.set(backend, backendAt);
    const tlsAt = backendAt + TLS_AT;
    if (tls !== null) this.#core.u8.set(tls, tlsAt);
    const at = this.#core.logBatchAt + this.#used;
    const end = this.#core.codec.logEnd(
      record,
      this.recordAt(slot),
      at,
      this.format,
      status,
      bytes,
      durationMs,
      backendAt,
      backend === null ? 0 : backend.length,
      refusalAt,
      refusalLength,
      tlsAt,
      tls === null ? 0 : tls.length,
    );
    if (this.#used === 0) this.#beganMs = this.#loop.nowMs;
    this.#used += end - at;
    this.#lines++;
    if (this.#used >= BATCH_BYTES) this.flush();
  }

  /** Milliseconds until the batch must be written; Infinity when it is empty. */
  dueMs(): number {
    return this.#used === 0 ? Infinity : this.#beganMs + BATCH_MS;
  }

  flush(): void {
    if (this.#used === 0) return;
    let done = 0;
    while (done < this.#used) {
      const n = this.#loop.system.write(this.#fd, this.#core.logBatchAt + done, this.#used - done);
      if (n <= 0) break;
      done += n;
    }
    this.#counters.add(done === this.#used ? LINES : DROPPED, this.#lines);
    this.#used = 0;
    this.#lines = 0;
  }

  /** The log was reopened: what is batched goes to the old file. */
  reopen(fd: number): void {
    this.flush();
    this.#loop.system.close(this.#fd);
    this.#fd = fd;
  }
}
