// What bytes are expected, where a few of them cannot be known in advance. A pattern is a list of parts: literal bytes,
// a request's identifier, a date, or a body in chunks of any sizes (how a proxy cuts a body into chunks is its own
// affair, the bytes in them are not). Matching runs over what has arrived so far and says whether it is the whole, a
// beginning of it, or something else, and where. It knows nothing of sockets.

import { type Bytes, concat, show, toText } from "./bytes.ts";

export type Part =
  | { kind: "bytes"; bytes: Bytes }
  /** 8 to 64 letters, digits, "-" or "_". */
  | { kind: "request_id" }
  /** IMF-fixdate, RFC 9110 §5.6.7. */
  | { kind: "date" }
  /** These bytes in any number of chunks; without the last chunk, which carries no bytes. */
  | { kind: "chunks"; bytes: Bytes };

export type Pattern = readonly Part[];

export type Match =
  /** Everything arrived; `end` is the length that matched, more bytes may follow. */
  | { state: "whole"; end: number }
  /** All that arrived is right, but it is not the whole. */
  | { state: "beginning" }
  | { state: "different"; at: number; expected: string };

const DATE =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/;
const DATE_LENGTH = 29;

type Step = { end: number } | { short: true } | { at: number; expected: string };

function matchBytes(wanted: Bytes, got: Uint8Array, from: number): Step {
  const count = Math.min(wanted.length, got.length - from);
  for (let at = 0; at < count; at++) {
    if (wanted[at] !== got[from + at]) return { at: from + at, expected: show(wanted.subarray(at)) };
  }
  return count === wanted.length ? { end: from + count } : { short: true };
}

function matchRequestId(got: Uint8Array, from: number): Step {
  let end = from;
  while (end < got.length && /[A-Za-z0-9_-]/.test(String.fromCharCode(got[end]!))) end++;
  if (end === got.length) return { short: true };
  const length = end - from;
  return length >= 8 && length <= 64 ? { end } : { at: from, expected: "an identifier of 8 to 64 characters" };
}

function matchDate(got: Uint8Array, from: number): Step {
  if (got.length - from < DATE_LENGTH) return { short: true };
  const text = toText(got.subarray(from, from + DATE_LENGTH));
  return DATE.test(text) ? { end: from + DATE_LENGTH } : { at: from, expected: "a date as in RFC 9110 §5.6.7" };
}

/** One chunk of at most `max` bytes: where its bytes begin and end, and where it ends. */
function chunkAt(got: Uint8Array, from: number, max: number): Step & { begin?: number; size?: number } {
  const head = toText(got.subarray(from, from + 18));
  const line = head.match(/^([1-9a-fA-F][0-9a-fA-F]*)\r\n/);
  if (!line) {
    const short = /^([1-9a-fA-F][0-9a-fA-F]*\r?)?$/.test(head) && head.length < 18;
    return short ? { short: true } : { at: from, expected: "a chunk's size in hexadecimal, without extensions" };
  }
  const size = parseInt(line[1]!, 16);
  if (size > max) return { at: from, expected: `a chunk of at most ${max} bytes` };
  const begin = from + line[0].length;
  return { end: begin + size + 2, begin, size };
}

function matchChunks(wanted: Bytes, got: Uint8Array, from: number): Step {
  let at = from;
  let matched = 0;
  while (matched < wanted.length) {
    const chunk = chunkAt(got, at, wanted.length - matched);
    if (chunk.begin === undefined) return chunk;
    const end = concat([wanted.subarray(matched, matched + chunk.size!), new Uint8Array([13, 10])]);
    const step = matchBytes(end, got, chunk.begin);
    if (!("end" in step)) return step;
    matched += chunk.size!;
    at = step.end;
  }
  return { end: at };
}

function matchPart(part: Part, got: Uint8Array, from: number): Step {
  switch (part.kind) {
    case "bytes":
      return matchBytes(part.bytes, got, from);
    case "request_id":
      return matchRequestId(got, from);
    case "date":
      return matchDate(got, from);
    case "chunks":
      return matchChunks(part.bytes, got, from);
  }
}

/** Compares what has arrived with what is expected. Linear in the length of `got`. */
export function matchPattern(pattern: Pattern, got: Uint8Array): Match {
  let at = 0;
  for (const part of pattern) {
    const step = matchPart(part, got, at);
    if ("short" in step) return { state: "beginning" };
    if (!("end" in step)) return { state: "different", at: step.at, expected: step.expected };
    at = step.end;
  }
  return { state: "whole", end: at };
}

/** The pattern as text, for the message of a failure. */
export function showPattern(pattern: Pattern): string {
  return pattern.map((part) => {
    if (part.kind === "bytes") return show(part.bytes);
    return part.kind === "chunks" ? `{chunks ${show(part.bytes)}}` : `{${part.kind}}`;
  }).join("");
}
