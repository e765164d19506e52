// What an HTTP/2 connection has to send: frames of all its streams, gathered in buffers of the pool and written with one call
// for each. Frames stand in the order in which they were put, and nothing is taken back: header blocks change the peer's
// tables, so whoever puts one asks before. Bodies may fill one buffer and then wait until the peer takes it; heads and
// replies have a few more.

import type { Core } from "../../wasm/core.ts";
import type { Buffers } from "../net/buffers.ts";
import { type Connection, WOULD_BLOCK } from "../net/connection.ts";

/** Everything has been sent. */
export const DRAINED = 0;
/** The socket takes no more now. */
export const BLOCKED = 1;
/** It is gone. */
export const FAILED = 2;

/** Buffers of one connection: the first is for anybody, the others for what cannot wait. */
const BUFFERS_MAX = 8;
/** Of these, so many must be free when somebody begins with a head. */
export const HEAD_BUFFERS = 3;

export class Http2Output {
  readonly #core: Core;
  readonly #buffers: Buffers;
  /** A ring: addresses of buffers, and the bytes in each. */
  readonly #at = new Int32Array(BUFFERS_MAX);
  readonly #lengths = new Int32Array(BUFFERS_MAX);
  #first = 0;
  #count = 0;
  /** Bytes of the first that have been sent. */
  #sent = 0;
  /** The connection whose preface has to go out before anything else, and for which there was no buffer; or 0. */
  #owes = 0;
  /** The last flush() has sent something. */
  hasMoved = false;

  constructor(core: Core, buffers: Buffers) {
    this.#core = core;
    this.#buffers = buffers;
  }

  /** Begins with the preface of a connection (`h2`: its record). False: there is no buffer; it goes out in front of what comes next. */
  begin(h2: number): boolean {
    this.#owes = h2;
    return this.#pay();
  }

  /** The preface has not been sent. */
  get owes(): boolean {
    return this.#owes !== 0;
  }

  #pay(): boolean {
    const buffer = this.#buffers.takeForOutput();
    if (buffer === 0) return false;
    this.#append(buffer, this.#core.codec.h2Preface(this.#owes, buffer + this.#buffers.bytesOffset));
    this.#owes = 0;
    return true;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Whether a head, or replies, may be put now. */
  get mayPutHead(): boolean {
    return this.#count <= BUFFERS_MAX - HEAD_BUFFERS && this.#buffers.free >= HEAD_BUFFERS;
  }

  /** Contiguous bytes that a body may take now; 0 when it has to wait for the peer or for a buffer. */
  bodyRoom(): number {
    if (this.#count > 1) return 0;
    if (this.#count === 0) return this.#add() ? this.#buffers.capacity : 0;
    return this.#buffers.capacity - this.#lengths[this.#first]!;
  }

  /** Where `length` bytes may be written in one piece, commit() follows; 0: nowhere. `length`: a buffer's capacity at most. */
  reserve(length: number): number {
    if (this.#count > 0) {
      const last = this.#last;
      const end = this.#lengths[last]!;
      if (this.#buffers.capacity - end >= length) return this.#at[last]! + this.#buffers.bytesOffset + end;
    }
    return this.#add() ? this.#at[this.#last]! + this.#buffers.bytesOffset : 0;
  }

  /** The first `length` of the reserved bytes have been written. */
  commit(length: number): void {
    this.#lengths[this.#last]! += length;
  }

  /** Copies `length` bytes behind what is there. False: not all of them, and the connection is of no use any more. */
  put(from: number, length: number): boolean {
    const { capacity, bytesOffset } = this.#buffers;
    for (let done = 0; done < length;) {
      if (this.#count === 0 || this.#lengths[this.#last] === capacity) {
        if (!this.#add()) return false;
      }
      const last = this.#last;
      const end = this.#lengths[last]!;
      const part = Math.min(length - done, capacity - end);
      this.#core.codec.copy(this.#at[last]! + bytesOffset + end, from + done, part);
      this.#lengths[last] = end + part;
      done += part;
    }
    return true;
  }

  /** Sends what the socket takes. */
  flush(connection: Connection): number {
    this.hasMoved = false;
    if (this.#owes !== 0) this.#pay();
    while (this.#count > 0) {
      const first = this.#first;
      const left = this.#lengths[first]! - this.#sent;
      const n = left === 0 ? 0 : connection.send(this.#at[first]! + this.#buffers.bytesOffset + this.#sent, left);
      if (n < 0 && n !== WOULD_BLOCK) return FAILED;
      if (n > 0) this.hasMoved = true;
      if (n < left) {
        if (n > 0) this.#sent += n;
        connection.noteFull();
        return BLOCKED;
      }
      this.#drop();
    }
    return DRAINED;
  }

  /** Gives everything back, sent or not. */
  clear(): void {
    this.#owes = 0;
    while (this.#count > 0) this.#drop();
  }

  get #last(): number {
    return (this.#first + this.#count - 1) % BUFFERS_MAX;
  }

  #add(): boolean {
    if (this.#count === BUFFERS_MAX || (this.#owes !== 0 && !this.#pay())) return false;
    const buffer = this.#buffers.takeForOutput();
    if (buffer === 0) return false;
    this.#append(buffer, 0);
    return true;
  }

  #append(buffer: number, length: number): void {
    this.#count++;
    const last = this.#last;
    this.#at[last] = buffer;
    this.#lengths[last] = length;
  }

  #drop(): void {
    this.#buffers.give(this.#at[this.#first]!);
    this.#first = (this.#first + 1) % BUFFERS_MAX;
    this.#count--;
    this.#sent = 0;
  }
}
