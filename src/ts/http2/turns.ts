// The streams of a connection that wait to send, in the order in which they may (RFC 9218 §10): by urgency; of the same
// urgency in turn, where one that is not incremental has a few turns at once, since half of it is of no use to the client.
// It never has all of them: what never ends must not keep the others from coming.

import type { Http2Stream } from "./stream.ts";

const URGENCIES = 8;
const URGENCY = 7;
const INCREMENTAL = 8;
/** Turns of 16 KiB that one stream may have on end. */
const TURNS_MAX = 4;

export class Http2Turns {
  count = 0;
  readonly #first: (Http2Stream | null)[] = new Array(URGENCIES).fill(null);
  readonly #last: (Http2Stream | null)[] = new Array(URGENCIES).fill(null);
  /** Urgencies at which somebody waits, as bits. */
  #present = 0;

  get any(): boolean {
    return this.#present !== 0;
  }

  add(stream: Http2Stream): void {
    const urgency = stream.priority & URGENCY;
    stream.isWaiting = true;
    stream.waitingUrgency = urgency;
    this.count++;
    this.#present |= 1 << urgency;
    const isAgain = (stream.priority & INCREMENTAL) === 0 && stream.turns > 0 && stream.turns < TURNS_MAX;
    if (!isAgain) stream.turns = 0;
    const first = this.#first[urgency]!;
    if (first === null) {
      stream.waitingNext = null;
      this.#first[urgency] = this.#last[urgency] = stream;
    } else if (isAgain) {
      stream.waitingNext = first;
      this.#first[urgency] = stream;
    } else {
      stream.waitingNext = null;
      this.#last[urgency]!.waitingNext = stream;
      this.#last[urgency] = stream;
    }
  }

  /** Whose turn it is, or null. */
  take(): Http2Stream | null {
    if (this.#present === 0) return null;
    const urgency = 31 - Math.clz32(this.#present & -this.#present);
    const stream = this.#first[urgency]!;
    stream.turns++;
    this.#unlink(stream, null, urgency);
    return stream;
  }

  /** One that ends does not wait any more. */
  remove(stream: Http2Stream): void {
    const urgency = stream.waitingUrgency;
    let before: Http2Stream | null = null;
    for (let at = this.#first[urgency]!; at !== null && at !== stream; at = at.waitingNext!) before = at;
    this.#unlink(stream, before, urgency);
  }

  clear(): void {
    this.#first.fill(null);
    this.#last.fill(null);
    this.#present = this.count = 0;
  }

  #unlink(stream: Http2Stream, before: Http2Stream | null, urgency: number): void {
    if (before === null) this.#first[urgency] = stream.waitingNext;
    else before.waitingNext = stream.waitingNext;
    if (stream.waitingNext === null) this.#last[urgency] = before;
    if (this.#first[urgency] === null) this.#present &= ~(1 << urgency);
    stream.waitingNext = null;
    stream.isWaiting = false;
    this.count--;
  }
}
