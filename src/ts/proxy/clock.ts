// The texts in linear memory that change with the time, and the randomness for request ids. Both are renewed only when
// somebody needs them: the date once a second at most, the ids when all of a batch have been used.

import * as abi from "../../../assembly/abi.ts";
import type { Core } from "../../wasm/core.ts";

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function two(value: number): string {
  return String(value).padStart(2, "0");
}

export class Clock {
  readonly #core: Core;
  readonly #json: boolean;
  readonly #idBytes: Uint8Array<ArrayBuffer>;
  readonly #encoder = new TextEncoder();
  #writtenMs = -Infinity;
  #idsUsed: number = abi.REQUEST_IDS;

  /** `logFormat`: LOG_ of the ABI; the JSON log writes its time as RFC 3339. */
  constructor(core: Core, logFormat: number) {
    this.#core = core;
    this.#json = logFormat === abi.LOG_JSON;
    const idsAt = core.textAt + abi.TEXT_REQUEST_IDS;
    this.#idBytes = core.u8.subarray(idsAt, idsAt + abi.REQUEST_IDS * abi.REQUEST_ID_BYTES);
  }

  /** Brings the texts up to date. `nowMs` of the loop: only tells how much time has passed. */
  refresh(nowMs: number): void {
    if (nowMs - this.#writtenMs < 1000 && nowMs >= this.#writtenMs) return;
    const wallMs = Date.now();
    this.#writtenMs = nowMs - wallMs % 1000;
    const date = new Date(wallMs);
    this.#write(abi.TEXT_DATE, `Date: ${date.toUTCString()}\r\n`);
    this.#write(abi.TEXT_LOG_TIME, this.#json ? date.toISOString().slice(0, 19) + "Z" : commonTime(date));
  }

  /** Address of REQUEST_ID_BYTES random bytes that nobody has used. */
  nextRequestId(): number {
    if (this.#idsUsed === abi.REQUEST_IDS) {
      crypto.getRandomValues(this.#idBytes);
      this.#idsUsed = 0;
    }
    return this.#core.textAt + abi.TEXT_REQUEST_IDS + this.#idsUsed++ * abi.REQUEST_ID_BYTES;
  }

  #write(offset: number, text: string): void {
    const at = this.#core.textAt + offset;
    this.#core.i32[at >> 2] = text.length;
    this.#encoder.encodeInto(text, this.#core.u8.subarray(at + 4, at + 4 + text.length));
  }
}

/** As the common log format has it, in UTC: 21/Nov/2026:05:25:35 +0000 */
function commonTime(date: Date): string {
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  return `${day}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}
