// Memory that parsing a message must leave alone: everything around the record and the buffer it works in. Known bytes are
// put there, and looked at again later.

import * as abi from "../../assembly/abi.ts";
import { BUFFER_INDEX, type CodecDriver, RECORD_INDEX } from "../support/codec.ts";

interface Region {
  name: string;
  at: number;
  bytes: Uint8Array;
}

/** What llhttp and our own statics end at, at least: below it nothing is watched, since llhttp's stack is there. */
const STATICS_AT = 131072;
const FILL = 0xc5;
const PAGE = 4096;
/** Whole vectors are stored, so up to 15 bytes behind what is written may change. */
const VECTOR = 16;

export class Canaries {
  readonly #memory: Uint8Array;
  readonly #regions: Region[] = [];

  constructor(driver: CodecDriver) {
    const { core } = driver;
    const { limits } = core;
    this.#memory = core.u8;
    this.#watch("statics", STATICS_AT, core.codec.resultAt(), false);
    this.#watch("system scratch", core.systemAt, core.codec.headScratchAt(), true);
    this.#watchScratch(driver);
    this.#watch("text", core.textAt, core.logBatchAt, false);
    this.#watch("log batch", core.logBatchAt, core.recordsAt, true);
    for (let index = 0; index < limits.records; index++) {
      if (index === RECORD_INDEX) continue;
      this.#watch(`record ${index}`, core.recordAt(index), core.recordAt(index + 1), true);
    }
    this.#watch("log records", core.logRecordsAt, core.buffersAt, true);
    for (let index = 0; index < limits.buffers; index++) {
      const at = core.buffersAt + index * core.bufferStride;
      const end = at + core.bytesOffset + limits.bufferBytes + abi.TAILROOM + VECTOR;
      if (index !== BUFFER_INDEX) this.#watch(`buffer ${index}`, at, at + core.bufferStride, true);
      else if (end < at + core.bufferStride) this.#watch("behind the buffer", end, at + core.bufferStride, true);
    }
  }

  /** The ends of the scratches: at most a head or a trailer section of the largest size is written to each. */
  #watchScratch({ core }: CodecDriver): void {
    const { headerBytesMax } = core.limits;
    const headAt = core.codec.headScratchAt();
    const most = headerBytesMax + abi.HEADROOM + VECTOR;
    const trailersAt = Math.ceil((headAt + headerBytesMax + abi.HEADROOM + PAGE) / PAGE) * PAGE;
    this.#watch("end of the head scratch", headAt + most, trailersAt, true);
    this.#watch("end of the trailer scratch", trailersAt + headerBytesMax + abi.TAILROOM + VECTOR, core.textAt, true);
  }

  #watch(name: string, at: number, end: number, fill: boolean): void {
    if (fill) this.#memory.fill(FILL, at, end);
    this.#regions.push({ name, at, bytes: this.#memory.slice(at, end) });
  }

  /** What has been touched, or undefined; puts it right again. */
  touched(): string | undefined {
    for (const { name, at, bytes } of this.#regions) {
      const now = this.#memory.subarray(at, at + bytes.length);
      const place = bytes.findIndex((byte, index) => byte !== now[index]);
      if (place < 0) continue;
      this.#memory.set(bytes, at);
      return `${name} was written to, ${place} bytes from its beginning`;
    }
    return undefined;
  }
}
