// What the codec makes of a message, as values: for tests that compare and print. CodecDriver (codec.ts) does the work.

import * as abi from "../../assembly/abi.ts";
import { assertEquals } from "./assert.ts";
import { fromText, toText } from "./bytes.ts";
import type { CodecDriver, ResponseOptions } from "./codec.ts";
import { createRandom, type Random, seedOf } from "./random.ts";

export interface Events {
  /** HEAD_DONE, HEAD_MORE or a refusal. */
  code: number;
  /** A refusal that the body met with, or 0. */
  fault: number;
  done: boolean;
  flags: number;
  status: number;
  bodyMode: number;
  contentLength: number;
  method: string;
  target: string;
  path: string;
  host: string;
  headBytes: number;
  /** The head as it is sent. */
  head: string;
  /** What follows it, as it is sent: in chunks of ours, or as it came. */
  framed: string;
  /** The body without framing. */
  body: string;
  /** The trailer section as it is sent. */
  trailers: string;
  /** Bytes that belong to what follows. */
  leftover: string;
}

interface Unframed {
  body: string;
  trailers: string;
}

/** Takes chunks apart, strictly: what the proxy writes has no extensions, small letters and no leading zeros. */
export function unframe(framed: string, whole: boolean): Unframed {
  let body = "";
  let at = 0;
  while (at < framed.length) {
    const size = framed.slice(at).match(/^([1-9a-f][0-9a-f]*|0)\r\n/);
    if (!size) throw new Error(`no chunk of ours: ${JSON.stringify(framed.slice(at, at + 40))}`);
    const from = at + size[0].length;
    const length = parseInt(size[1]!, 16);
    if (length === 0) {
      const trailers = framed.slice(from);
      if (!whole || !/^([^\r\n]+\r\n)*\r\n$/.test(trailers)) throw new Error(`a bad end: ${JSON.stringify(trailers)}`);
      return { body, trailers: trailers.slice(0, -2) };
    }
    body += framed.slice(from, from + length);
    at = from + length + 2;
    if (framed.slice(at - 2, at) !== "\r\n") throw new Error(`a chunk of ${length} bytes has no end`);
  }
  if (whole) throw new Error("the last chunk is missing");
  return { body, trailers: "" };
}

function textAt(driver: CodecDriver, at: number, length: number): string {
  const from = driver.core.result[at]!;
  return toText(driver.core.u8.subarray(from, from + driver.core.result[length]!));
}

/** What the last message came to. `request`: the texts of its request line. */
function gather(driver: CodecDriver, input: Uint8Array, chunked: boolean, request: Partial<Events>): Events {
  const refused = driver.code !== abi.HEAD_DONE;
  const sent = toText(driver.sent.subarray(0, driver.sentBytes));
  const framed = sent.slice(driver.writtenBytes);
  const parts = chunked && driver.fault === 0 ? unframe(framed, driver.done) : { body: framed, trailers: "" };
  return {
    code: driver.code,
    fault: driver.fault,
    done: driver.done,
    flags: driver.flags,
    status: driver.status,
    bodyMode: driver.bodyMode,
    contentLength: driver.contentLength,
    method: "",
    target: "",
    path: "",
    host: "",
    headBytes: driver.headBytes,
    head: sent.slice(0, driver.writtenBytes),
    framed,
    ...parts,
    leftover: refused || driver.fault !== 0 ? "" : toText(input.subarray(driver.used)),
    ...request,
  };
}

/** A request's bytes; `cuts` as for CodecDriver. */
export function runRequest(driver: CodecDriver, text: string | Uint8Array, cuts: readonly number[] = []): Events {
  const input = typeof text === "string" ? fromText(text) : text;
  const line: Partial<Events> = {};
  driver.onHead = () => {
    line.method = textAt(driver, abi.R_METHOD_AT, abi.R_METHOD_LENGTH);
    line.target = textAt(driver, abi.R_TARGET_AT, abi.R_TARGET_LENGTH);
    line.path = textAt(driver, abi.R_PATH_AT, abi.R_PATH_LENGTH);
    line.host = textAt(driver, abi.R_HOST_AT, abi.R_HOST_LENGTH);
  };
  driver.request(input, cuts);
  driver.onHead = null;
  return gather(driver, input, driver.bodyMode === abi.BODY_CHUNKED, line);
}

export function runResponse(
  driver: CodecDriver,
  text: string | Uint8Array,
  options: ResponseOptions = {},
  cuts: readonly number[] = [],
): Events {
  const input = typeof text === "string" ? fromText(text) : text;
  driver.response(input, cuts, options);
  const unknownLength = driver.bodyMode === abi.BODY_CHUNKED || driver.bodyMode === abi.BODY_CLOSE;
  return gather(driver, input, unknownLength && !options.toOld, {});
}

/** Runs a message whole, byte by byte and cut at random: all must give the same, but for where chunks are cut. */
export function runSplit(text: string, run: (cuts: readonly number[]) => Events): Events {
  const whole = run([]);
  const random = createRandom(seedOf(text));
  const ways = [everyByte(text.length)];
  for (let i = 0; i < 3 && text.length > 1; i++) ways.push(randomCuts(text.length, random));
  for (const cuts of ways) assertEquals(comparable(run(cuts)), comparable(whole), `cut at ${cuts}`);
  return whole;
}

/** Where chunks are cut is not compared, nor what was sent before the body turned out to be malformed. */
function comparable(events: Events): Partial<Events> {
  if (events.fault !== 0) return { code: events.code, fault: events.fault };
  return { ...events, framed: "" };
}

function randomCuts(length: number, random: Random): number[] {
  const cuts = Array.from({ length: random.between(1, 8) }, () => random.between(1, length - 1));
  return [...new Set(cuts)].sort((a, b) => a - b);
}

/** Cuts behind every byte. */
export function everyByte(length: number): number[] {
  return Array.from({ length: Math.max(0, length - 1) }, (_, index) => index + 1);
}
