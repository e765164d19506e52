// One stream of an HTTP/2 connection, as an exchange sees it: one of its two sides, with a slot, a timer and a record of its own,
// but no descriptor. What the connection receives for it lies in buffers of the pool, linked through their first words, until
// it goes on to the other side; the window that the peer has been given bounds how much that is. What it sends becomes
// frames in the connection's output, where that and both windows allow it.

import * as abi from "../../../assembly/abi.ts";
import { Connection, GONE, WOULD_BLOCK } from "../net/connection.ts";
import type { Http2Connection } from "./connection.ts";
import type { Http2Context } from "./pool.ts";

export abstract class Http2Stream extends Connection {
  /** Others are on the same connection. */
  readonly isShared = true as const;
  /** null once that is gone. */
  connection: Http2Connection | null = null;
  // neighbours among the streams of the connection
  next: Http2Stream | null = null;
  previous: Http2Stream | null = null;
  /** The next one that waits to send, of the same urgency. */
  waitingNext: Http2Stream | null = null;
  isWaiting = false;
  /** It waits for room to put a head. */
  headWaits = false;
  /** Where it waits; its priority may have changed since. */
  waitingUrgency = 0;
  /** Urgency (0 to 7) and incremental (8) of RFC 9218. */
  priority = 3;
  /** Turns that it has had one after the other. */
  turns = 0;
  /** Buffers with what has come of the body: the first and the last. */
  #first = 0;
  #last = 0;
  /** Bytes of `buffer` that receive() has not told of. */
  #unread = 0;
  /** Holds the trailers, or 0. */
  #trailers = 0;
  /** The peer has ended its side. */
  protected hasEnd = false;
  /** We have ended ours. */
  protected endSent = false;
  /** The message received says how long it is: in HTTP/1 it needs no chunks. */
  protected hasLength = false;

  constructor(protected readonly http2: Http2Context) {
    super(http2.loop, http2.buffers);
  }

  protected begin(connection: Http2Connection, slot: number): void {
    this.open(-1, slot, this.http2.core.recordAt(slot), true);
    this.connection = connection;
    this.#first =
      this.#last =
      this.#unread =
      this.#trailers =
      this.turns =
        0;
    this.priority = 3;
    this.hasEnd =
      this.endSent =
      this.hasLength =
      this.isWaiting =
      this.headWaits =
        false;
    this.http2.loop.occupy(slot, this);
    connection.add(this);
  }

  /** Whose body goes out by it. */
  protected abstract get source(): Connection | null;

  /** It may send again what its connection had no room for. */
  abstract onTurn(): void;

  /** The peer has reset it, with a code of RFC 9113 §7. */
  abstract onReset(code: number): void;

  /** What the peer has sent of it is no HTTP; it has been reset. */
  onMalformed(): void {
    this.onReset(abi.H2_PROTOCOL_ERROR);
  }

  /** Its connection is gone. */
  abstract onConnectionLost(): void;

  // ---- what comes from the peer ----

  /** A body's end is told by the stream, whatever the head says of it, and may come after the last byte. */
  override beginBody(headEnd: number, mode: number, length: number, bytesMax: number): void {
    this.hasLength = mode === abi.BODY_LENGTH;
    super.beginBody(headEnd, this.hasLength ? abi.BODY_STREAM : mode, length, bytesMax);
  }

  /** Keeps `length` bytes of the body; how many there was room for. */
  store(at: number, length: number): number {
    const { codec, i32 } = this.http2.core;
    const { capacity, bytesOffset } = this.buffers;
    let done = 0;
    while (done < length) {
      if ((this.#last === 0 || i32[(this.#last >> 2) + 1] === capacity) && !this.#addBuffer()) break;
      const word = this.#last >> 2;
      const held = i32[word + 1]!;
      const part = Math.min(length - done, capacity - held);
      codec.copy(this.#last + bytesOffset + held, at + done, part);
      i32[word + 1] = held + part;
      done += part;
    }
    if (done > 0) this.wake();
    return done;
  }

  #addBuffer(): boolean {
    const { i32 } = this.http2.core;
    const buffer = this.connection!.takeBuffer();
    if (buffer === 0) return false;
    i32[buffer >> 2] = i32[(buffer >> 2) + 1] = 0;
    if (this.#last === 0) this.#first = buffer;
    else i32[this.#last >> 2] = buffer;
    this.#last = buffer;
    return true;
  }

  /** The peer has ended its side; `trailers`: the buffer that they have been decoded into, or 0. */
  end(trailers: number): void {
    this.hasEnd = true;
    this.#trailers = trailers;
    this.hasEnded = this.#first === 0 && trailers === 0;
    this.wake();
  }

  /** All of its message has come. */
  get isWhole(): boolean {
    return this.hasEnd;
  }

  /** The exchange goes on when everything that came with it has been looked at. */
  protected wake(): void {
    this.readable = true;
    this.loop.callAgain(this.slot);
  }

  acquireBuffer(): boolean {
    if (this.#first !== 0) {
      this.#openNext();
      return true;
    }
    const buffer = this.takeBuffer();
    if (buffer === 0) return this.waitForBuffer();
    this.useBuffer(buffer);
    return true;
  }

  /** One for the end of a body, or 0. */
  protected abstract takeBuffer(): number;

  #openNext(): void {
    const { i32 } = this.http2.core;
    const buffer = this.#first;
    this.#first = i32[buffer >> 2]!;
    if (this.#first === 0) this.#last = 0;
    this.#unread = i32[(buffer >> 2) + 1]!;
    this.useBuffer(buffer);
  }

  /** What has been stored comes a buffer at a time, each in the place of the one before. */
  override receive(_length: number): number {
    if (this.#unread === 0 && this.#first !== 0) {
      this.buffers.give(this.buffer);
      this.#openNext();
    }
    const n = this.#unread;
    if (n > 0) {
      this.#unread = 0;
      this.inEnd += n;
      this.#notePassed(n);
      return n;
    }
    if (!this.hasEnd) {
      if (this.broken) return GONE;
      this.readable = false;
      return WOULD_BLOCK;
    }
    if (this.#trailers !== 0) this.#openTrailers();
    return 0;
  }

  /** A head of HTTP/1, `length` bytes, will be written over the one that was received. */
  makeRoomInFront(length: number): void {
    const end = this.bufferStart + Math.min(length, this.buffers.capacity);
    this.inAt =
      this.inEnd =
      this.outAt =
      this.outEnd =
        end;
  }

  /** The same, with what has come of the body behind it. */
  gatherBehind(length: number): void {
    this.makeRoomInFront(length);
    if (!this.bodyDone) this.#gather();
  }

  /** Moves what has been stored behind inEnd, as far as whole buffers fit there. */
  #gather(): void {
    const { codec, i32 } = this.http2.core;
    while (this.#first !== 0) {
      const buffer = this.#first;
      const n = i32[(buffer >> 2) + 1]!;
      if (n > this.room) return;
      codec.copy(this.inEnd, buffer + this.buffers.bytesOffset, n);
      this.#first = i32[buffer >> 2]!;
      if (this.#first === 0) this.#last = 0;
      this.buffers.give(buffer);
      this.inEnd += n;
      this.#notePassed(n);
    }
  }

  #notePassed(n: number): void {
    this.connection?.passed(this, n);
    this.readable = this.#first !== 0 || this.hasEnd || this.broken;
    this.hasEnded = this.hasEnd && this.#first === 0 && this.#trailers === 0;
  }

  #openTrailers(): void {
    this.buffers.give(this.buffer);
    this.useBuffer(this.#trailers);
    this.#trailers = 0;
    this.inTrailers = true;
    this.http2.core.codec.restoreTrailers(this.record, this.buffer);
  }

  // ---- what goes to the peer ----

  override send(at: number, length: number): number {
    if (this.broken || this.endSent || this.connection === null) return GONE;
    const { source } = this;
    const ends = source !== null && source.bodyDone && !this.hasTrailers(source);
    const n = this.connection.sendData(this, at, length, ends);
    if (ends && n === length) this.endSent = true;
    return n;
  }

  /** Whether fields follow the body of `source`, all of which has come. */
  protected hasTrailers(source: Connection): boolean {
    return (source.bodyMode === abi.BODY_CHUNKED || source.inTrailers) &&
      this.http2.core.codec.h2HasTrailers(source.record) !== 0;
  }

  /** All of the body of `source` has been sent: its trailers, or the end. */
  protected sendEnd(source: Connection): void {
    const { connection } = this;
    if (this.endSent || this.broken || connection === null) return;
    this.endSent = (this.hasTrailers(source) && connection.putTrailers(this, source)) || connection.putEnd(this);
  }

  override noteFull(): void {
    this.writable = false;
  }

  /** The other direction of a tunnel goes on. */
  override shutdownWrite(): void {
    if (!this.endSent && !this.broken && this.connection !== null) this.endSent = this.connection.putEnd(this);
  }

  // ---- ending ----

  /** Leaves the connection, with RST_STREAM if anything is still to come, and gives back slot and buffers. */
  protected leave(code: number): void {
    const { slot } = this;
    this.detach(code);
    this.slot = -1;
    this.giveBuffers();
    this.loop.freeSlot(slot);
  }

  /** Goes on without the connection: with what has come, and as broken. */
  protected detach(code: number): void {
    const { connection } = this;
    if (connection === null) return;
    this.connection = null;
    this.http2.core.codec.h2Reset(connection.h2, this.record, code);
    connection.remove(this);
  }

  /** Gives back whatever it holds. */
  protected giveBuffers(): void {
    const { i32 } = this.http2.core;
    this.releaseBuffer();
    while (this.#first !== 0) {
      const buffer = this.#first;
      this.#first = i32[buffer >> 2]!;
      this.buffers.give(buffer);
    }
    if (this.#trailers !== 0) this.buffers.give(this.#trailers);
    this.#last = this.#trailers = this.#unread = 0;
  }
}
