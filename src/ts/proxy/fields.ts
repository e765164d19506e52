// The fields of the request at hand, for routes that ask for them. Names and values of the rules are written to the head
// scratch, which nobody uses while a request is being routed.

import type { Core } from "../../wasm/core.ts";
import type { RequestFields } from "./context.ts";

export class Fields implements RequestFields {
  record = 0;
  readonly #core: Core;
  readonly #encoder = new TextEncoder();

  constructor(core: Core) {
    this.#core = core;
  }

  has(name: string, value: string | null): boolean {
    const { codec, u8 } = this.#core;
    const nameAt = codec.headScratchAt();
    const nameLength = this.#encoder.encodeInto(name, u8.subarray(nameAt)).written;
    const valueAt = nameAt + nameLength;
    const valueLength = value === null ? -1 : this.#encoder.encodeInto(value, u8.subarray(valueAt)).written;
    return codec.hasField(this.record, nameAt, nameLength, valueAt, valueLength) !== 0;
  }
}
