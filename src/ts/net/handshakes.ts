// Connections of one listener that are in their handshake, in the order in which they began. Their number is bounded, since
// each holds an object of OpenSSL and a buffer: beyond the bound the oldest gives way if it has had time enough (whoever is
// served takes two round trips, so it is most likely dead), and otherwise who comes now waits for its turn, with its bytes
// still in the kernel. So neither slow clients nor a burst keep others out for long.

/** A handshake younger than this is not given up for another. */
const GRACE_MS = 1_000;

export interface Handshaking {
  /** When the handshake began (not the connection). */
  handshakeBeganMs: number;
  handshakeNext: Handshaking | null;
  handshakePrevious: Handshaking | null;
  /** It is given up for another that wants its place: leave() follows from it. */
  crowdedOut(): void;
}

export class Handshakes {
  count = 0;
  /** The oldest; the newest. */
  #first: Handshaking | null = null;
  #last: Handshaking | null = null;

  constructor(public max: number) {}

  /** A place for a handshake; false when it has to be asked for again later. */
  enter(one: Handshaking, nowMs: number): boolean {
    if (this.count >= this.max) {
      if (nowMs - this.#first!.handshakeBeganMs < GRACE_MS) return false;
      this.#first!.crowdedOut();
    }
    one.handshakeBeganMs = nowMs;
    one.handshakePrevious = this.#last;
    one.handshakeNext = null;
    if (this.#last) this.#last.handshakeNext = one;
    else this.#first = one;
    this.#last = one;
    this.count++;
    return true;
  }

  /** It is complete, or has failed. */
  leave(one: Handshaking): void {
    const { handshakeNext: next, handshakePrevious: previous } = one;
    if (next) next.handshakePrevious = previous;
    else this.#last = previous;
    if (previous) previous.handshakeNext = next;
    else this.#first = next;
    one.handshakeNext = one.handshakePrevious = null;
    this.count--;
  }
}
