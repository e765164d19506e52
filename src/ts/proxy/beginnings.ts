// The exchanges of one HTTP/2 client that have not begun, in the order in which they came. Each may need a connection to a backend,
// which holds up everybody else while it is made: so a client has few begun in one turn of the loop, and all clients together
// not many more, but each of them one.

import type { EventLoop } from "../loop/event_loop.ts";
import type { Http2Downstream } from "./http2_downstream.ts";

/** Connections to backends that are begun in one turn: for one client, and for all before each has but one. */
const OF_ONE = 4;
const OF_ALL = 8;

/** What all clients of a worker have had in this turn. */
export class Connects {
  #turn = 0;
  #count = 0;

  constructor(private readonly loop: EventLoop) {}

  get count(): number {
    return this.#turn === this.loop.turn ? this.#count : 0;
  }

  note(): void {
    this.#count = this.count + 1;
    this.#turn = this.loop.turn;
  }
}

export class Beginnings {
  #first: Http2Downstream | null = null;
  #last: Http2Downstream | null = null;
  readonly #own: Connects;

  constructor(private readonly all: Connects, loop: EventLoop) {
    this.#own = new Connects(loop);
  }

  get isEmpty(): boolean {
    return this.#first === null;
  }

  /** Another connection may be begun in this turn. */
  get #mayConnect(): boolean {
    const { count } = this.#own;
    return count === 0 || (count < OF_ONE && this.all.count < OF_ALL);
  }

  /** An exchange has begun with a connection of its own. */
  noteConnect(): void {
    this.#own.note();
    this.all.note();
  }

  /** Whether an exchange begins at once; if not, it waits here. */
  mayBegin(stream: Http2Downstream): boolean {
    if (this.#first === null && this.#mayConnect) return true;
    if (stream.beginsLater) return false;
    stream.beginsLater = true;
    stream.beginPrevious = this.#last;
    stream.beginNext = null;
    if (this.#last === null) this.#first = stream;
    else this.#last.beginNext = stream;
    this.#last = stream;
    return false;
  }

  /** The next one that begins in this turn, or null. */
  take(): Http2Downstream | null {
    const first = this.#first;
    if (first === null || !this.#mayConnect) return null;
    this.remove(first);
    return first;
  }

  /** It has ended before it began. */
  remove(stream: Http2Downstream): void {
    const { beginPrevious: previous, beginNext: next } = stream;
    if (previous === null) this.#first = next;
    else previous.beginNext = next;
    if (next === null) this.#last = previous;
    else next.beginPrevious = previous;
    stream.beginNext = stream.beginPrevious = null;
    stream.beginsLater = false;
  }
}
