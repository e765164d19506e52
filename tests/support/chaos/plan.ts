// What a request of the chaos asks for, in its path, so that a backend knows what to do by the path alone and whoever sees an
// answer knows whose it is. A body is its request's number and its own offsets, again and again: a byte that was lost, doubled, or
// belongs to somebody else's body is seen where it is.

import type { Bytes } from "../bytes.ts";
import type { Random } from "../random.ts";

/** What the backend does wrong, at its connection or at the exchange. */
export const FAULTS = [
  "none",
  /** Once: it has not looked at the request (REFUSED_STREAM), so it is sent again. */
  "refuse",
  /** Once: the connection is for no further request, this one included (GOAWAY below it; in HTTP/1 it is closed). */
  "leave",
  /** Behind this answer the connection ends, as a backend's does that has served enough. */
  "last",
  /** The exchange is cut before its head, behind it, in its body. */
  "cut",
  "cut head",
  "cut body",
  /** The connection is reset before the head, in the body. */
  "kill",
  "kill body",
  /** There is no answer. */
  "hang",
] as const;
export type Fault = typeof FAULTS[number];

/** When the client gives up by itself. */
export const QUITS = ["never", "at once", "sending", "head", "body"] as const;
export type Quit = typeof QUITS[number];

export const METHODS = ["GET", "HEAD", "POST", "PUT"] as const;
export const STATUSES = [200, 204, 304, 404, 500] as const;
export const ANSWER_FRAMINGS = ["length", "chunks", "close"] as const;

export interface Plan {
  id: number;
  /** The first word of its path. */
  cluster: string;
  method: typeof METHODS[number];
  /** Bytes of the request's body; -1: it has none. */
  sent: number;
  /** Says how long it is. */
  hasLength: boolean;
  hasTrailers: boolean;
  expects: boolean;
  quit: Quit;
  // from here on it is the backend's
  status: number;
  size: number;
  framing: typeof ANSWER_FRAMINGS[number];
  hints: number;
  answerTrailers: boolean;
  /** Answers without waiting for the body. */
  early: boolean;
  afterMs: number;
  /** Pieces of the body, and the pause between them. */
  pieces: number;
  pauseMs: number;
  fault: Fault;
}

export function pathOf(plan: Plan): string {
  const words = [
    plan.id,
    plan.sent,
    Number(plan.hasTrailers),
    plan.status,
    plan.size,
    ANSWER_FRAMINGS.indexOf(plan.framing),
    plan.hints,
    Number(plan.answerTrailers),
    Number(plan.early),
    plan.afterMs,
    plan.pieces,
    plan.pauseMs,
    FAULTS.indexOf(plan.fault),
  ];
  return `/${plan.cluster}/${words.join("_")}`;
}

/** What a backend learns of a plan. */
export function planAt(path: string, method: string): Plan {
  const [, cluster = "", words = ""] = path.split("/");
  const [id, sent, trailers, status, size, framing, hints, answerTrailers, early, afterMs, pieces, pauseMs, fault] =
    words
      .split("_").map(Number) as number[];
  if (fault === undefined || FAULTS[fault] === undefined) throw new Error(`the path ${path} is none of ours`);
  return {
    id: id!,
    cluster,
    method: method as Plan["method"],
    sent: sent!,
    hasLength: false,
    hasTrailers: trailers === 1,
    expects: false,
    quit: "never",
    status: status!,
    size: size!,
    framing: ANSWER_FRAMINGS[framing!]!,
    hints: hints!,
    answerTrailers: answerTrailers === 1,
    early: early === 1,
    afterMs: afterMs!,
    pieces: pieces!,
    pauseMs: pauseMs!,
    fault: FAULTS[fault]!,
  };
}

/** Bytes of the answer's body that reach a client. */
export function bodySize({ method, status, size }: Plan): number {
  return method === "HEAD" || status === 204 || status === 304 ? 0 : size;
}

const CELL = 8;

/** `length` bytes from `offset` on of the body that belongs to `id`; `way` tells a request's from an answer's. */
export function bodyBytes(id: number, way: 0 | 1, offset: number, length: number): Bytes {
  const from = Math.floor(offset / CELL);
  const to = Math.ceil((offset + length) / CELL);
  const words = new Uint32Array(2 * (to - from));
  for (let cell = from; cell < to; cell++) {
    words[2 * (cell - from)] = id * 2 + way;
    words[2 * (cell - from) + 1] = cell;
  }
  return new Uint8Array(words.buffer, offset - from * CELL, length);
}

/** Checks a body as it comes. */
export class BodyCheck {
  bytes = 0;
  fault: string | undefined;
  constructor(private readonly id: number, private readonly way: 0 | 1) {}

  take(piece: Uint8Array): void {
    if (this.fault === undefined) {
      const expected = bodyBytes(this.id, this.way, this.bytes, piece.length);
      const at = piece.findIndex((byte, index) => byte !== expected[index]);
      if (at >= 0) this.fault = this.#tell(piece, at);
    }
    this.bytes += piece.length;
  }

  #tell(piece: Uint8Array, at: number): string {
    // the next whole cell says whose it is
    const cell = (CELL - (this.bytes + at) % CELL) % CELL + at;
    const text = new TextDecoder("latin1").decode(piece.subarray(Math.max(0, at - 8), at + 60));
    if (cell + CELL > piece.length) return `byte ${this.bytes + at} is another one: ${JSON.stringify(text)}`;
    const view = new DataView(piece.buffer, piece.byteOffset + cell);
    const [whose, offset] = [view.getUint32(0, true), view.getUint32(4, true) * CELL];
    return `byte ${this.bytes + at} is another one, perhaps byte ${offset} of body ${whose % 2} of ${whose >>> 1}: ${
      JSON.stringify(text)
    }`;
  }
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.below(from.length)]!;
}

export const chance = (random: Random, percent: number) => random.below(100) < percent;

/** Mostly small, now and then long. */
export function randomSize(random: Random, max: number): number {
  const kind = random.below(20);
  if (kind < 3) return 0;
  if (kind < 12) return random.below(2_000);
  if (kind < 17) return random.below(Math.min(max, 40_000));
  return random.below(max);
}
