// How many connections to backends are closed in one turn of the loop when they have to be for somebody else's sake: a client
// with a hundred streams is gone, or a backend has left the configuration. Closing tells the peer, within the call, and wakes it:
// ten microseconds and more for each, in which nobody else is served. Those that have no part in a turn keep slot and
// descriptor, and nothing else, until the next one.

import type { EventLoop } from "../loop/event_loop.ts";

const CUTS_A_TURN = 8;
/** Of those that wait, a turn takes at least one in so many: they never become more than a few turns' worth. */
const WAITING_SHARE = 4;

export class Cuts {
  #waiting = 0;
  #turn = -1;
  #left = 0;

  constructor(private readonly loop: EventLoop) {}

  /** Whether one more may be closed in this turn. */
  get mayCut(): boolean {
    if (this.#turn !== this.loop.turn) {
      this.#turn = this.loop.turn;
      this.#left = Math.max(CUTS_A_TURN, Math.ceil(this.#waiting / WAITING_SHARE));
    }
    return this.#left-- > 0;
  }

  /** One more waits. */
  began(): void {
    this.#waiting++;
  }

  /** One that waited has been closed. */
  ended(): void {
    this.#waiting--;
  }
}
