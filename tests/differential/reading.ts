// What a parser makes of the first message in some bytes, in one form for all parsers, so that they can be compared; and
// our own codec's reading. Texts are Latin-1.

import * as abi from "../../assembly/abi.ts";
import { toText } from "../support/bytes.ts";
import type { CodecDriver, ResponseOptions } from "../support/codec.ts";
import { runRequest, runResponse } from "../support/codec_events.ts";

export type Side = "request" | "response" | "response to HEAD" | "response to upgrade";

export type Field = [name: string, value: string];

export interface Reading {
  /** The message is complete; its end has not been seen (or is the end of the connection); it is not accepted. */
  verdict: "whole" | "more" | "refused";
  /** Why it is not accepted. */
  reason: string;
  /** The head was read to its end. */
  hasHead: boolean;
  /** "1.1". */
  version: string;
  method: string;
  target: string;
  status: number;
  fields: Field[];
  /** Without framing. */
  body: string;
}

export function emptyReading(): Reading {
  return {
    verdict: "more",
    reason: "",
    hasHead: false,
    version: "",
    method: "",
    target: "",
    status: 0,
    fields: [],
    body: "",
  };
}

const OPTIONS: Record<Side, ResponseOptions> = {
  request: {},
  response: {},
  "response to HEAD": { request: abi.F_HEAD },
  "response to upgrade": { request: abi.F_UPGRADE },
};

/** The header block, as it is when the head has just been read. */
function readBlock({ core, buffer }: CodecDriver): Field[] {
  const view = new DataView(core.u8.buffer);
  const fields: Field[] = [];
  for (let index = 0; index < core.result[abi.R_HEADER_COUNT]!; index++) {
    const entry = buffer + index * abi.HEADER_ENTRY;
    const text = (at: number, length: number) => toText(core.u8.subarray(at, at + length));
    const name = text(view.getUint32(entry, true), view.getUint16(entry + 12, true));
    fields.push([name, text(view.getUint32(entry + 4, true), view.getUint32(entry + 8, true))]);
  }
  return fields;
}

/** A refusal of ours is `reason` with its number. */
export function readOurs(driver: CodecDriver, side: Side, input: Uint8Array): Reading {
  const reading = emptyReading();
  driver.onBlock = () => {
    reading.fields = readBlock(driver);
  };
  const events = side === "request" ? runRequest(driver, input) : runResponse(driver, input, OPTIONS[side]);
  driver.onBlock = null;
  reading.hasHead = events.code === abi.HEAD_DONE;
  if (events.code < 0 || events.fault < 0) {
    reading.verdict = "refused";
    reading.reason = String(events.code < 0 ? events.code : events.fault);
    return reading;
  }
  reading.verdict = events.done ? "whole" : "more";
  reading.method = events.method;
  reading.target = events.target;
  reading.status = events.status;
  reading.version = events.flags & abi.F_HTTP_1_0 ? "1.0" : "1.1";
  reading.body = events.body;
  return reading;
}
