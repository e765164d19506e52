// One stream of an HTTP/2 connection, as an exchange sees it: a client's side with a slot, a timer and a record of its own,
// but no descriptor. What its connection receives for it lies in buffers of the pool, linked through their first words, until
// it goes on to the backend; the window that the peer has been given bounds how much that is. What it sends becomes
// frames in the connection's output, where that and both windows allow it.

import * as abi from "../../../assembly/abi.ts";
import type { Upstream } from "../cluster/upstream.ts";
import { GONE, WOULD_BLOCK } from "../net/connection.ts";
import type { ProxyContext } from "./context.ts";
import { Downstream } from "./downstream.ts";
import type { Http2Session } from "./http2_session.ts";
import { DONE } from "./pump.ts";
import { Stream } from "./stream.ts";

export class Http2Stream extends Downstream {
  override readonly isShared = true;
  session!: Http2Session;
  // neighbours among the streams of the session
  next: Http2Stream | null = null;
  previous: Http2Stream | null = null;
  /** The next one that waits to send, of the same urgency. */
  waitingNext: Http2Stream | null = null;
  isWaiting = false;
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
  #hasEnd = false;
  /** We have ended ours. */
  #endSent = false;
  /** What RST_STREAM says if it ends early. */
  #resetCode = abi.H2_CANCEL;

  constructor(private readonly context: ProxyContext) {
    super(context.loop, context.buffers);
  }

  // ---- beginning ----

  /** Takes a request whose head has been decoded into `buffer`; `ends`: no body follows. */
  start(session: Http2Session, slot: number, buffer: number, ends: boolean): void {
    const { context } = this;
    this.open(-1, slot, context.core.recordAt(slot), true);
    this.session = session;
    this.listener = session.listener;
    this.secure = session.secure;
    this.headBeganMs = context.loop.nowMs;
    this.#first =
      this.#last =
      this.#unread =
      this.#trailers =
        0;
    this.#hasEnd = ends;
    this.#endSent = this.isWaiting = false;
    this.#resetCode = abi.H2_CANCEL;
    this.turns = 0;
    this.useBuffer(buffer);
    context.loop.occupy(slot, this);
    this.stream = context.idleStreams.pop() ?? new Stream(context);
  }

  onEvents(): void {
    this.stream?.onSessionEvents();
  }

  onTimeout(): void {
    this.stream?.onSessionTimeout();
  }

  placeRequestHead(length: number): number {
    const end = this.bufferStart + Math.min(length, this.buffers.capacity);
    this.context.core.codec.placeHead(end, length);
    this.reframed = this.bodyMode === abi.BODY_STREAM;
    this.outAt = end - length;
    this.inAt = this.inEnd = this.outEnd = end;
    return DONE;
  }

  // ---- what comes from the peer ----

  /** Keeps `length` bytes of the body; how many there was room for. */
  store(at: number, length: number): number {
    const { codec, i32 } = this.context.core;
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
    if (done > 0) this.#wake();
    return done;
  }

  #addBuffer(): boolean {
    const { i32 } = this.context.core;
    const buffer = this.buffers.take();
    if (buffer === 0) return false;
    i32[buffer >> 2] = i32[(buffer >> 2) + 1] = 0;
    if (this.#last === 0) this.#first = buffer;
    else i32[this.#last >> 2] = buffer;
    this.#last = buffer;
    return true;
  }

  /** The peer has ended its side; `trailers`: the buffer that they have been decoded into, or 0. */
  end(trailers: number): void {
    this.#hasEnd = true;
    this.#trailers = trailers;
    this.hasEnded = this.#first === 0 && trailers === 0;
    this.#wake();
  }

  /** All of the request has come. */
  get isWhole(): boolean {
    return this.#hasEnd;
  }

  /** The peer has reset it, or its connection is gone. */
  break(): void {
    this.broken = this.readable = true;
    this.stream?.onSessionEvents();
  }

  /** The exchange goes on when everything that came with it has been looked at. */
  #wake(): void {
    this.readable = true;
    this.loop.callAgain(this.slot);
  }

  acquireBuffer(): boolean {
    if (this.#first !== 0) {
      this.#openNext();
      return true;
    }
    const buffer = this.buffers.take();
    if (buffer === 0) return this.waitForBuffer();
    this.useBuffer(buffer);
    return true;
  }

  #openNext(): void {
    const { i32 } = this.context.core;
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
      this.session.passed(this, n);
      this.readable = this.#first !== 0 || this.#hasEnd || this.broken;
      this.hasEnded = this.#hasEnd && this.#first === 0 && this.#trailers === 0;
      return n;
    }
    if (this.broken) return GONE;
    if (!this.#hasEnd) {
      this.readable = false;
      return WOULD_BLOCK;
    }
    if (this.#trailers !== 0) this.#openTrailers();
    return 0;
  }

  #openTrailers(): void {
    this.buffers.give(this.buffer);
    this.useBuffer(this.#trailers);
    this.#trailers = 0;
    this.inTrailers = true;
  }

  // ---- what goes to the peer ----

  override send(at: number, length: number): number {
    if (this.broken || this.#endSent) return GONE;
    const upstream = this.stream!.upstream;
    const ends = upstream !== null && upstream.bodyDone &&
      (upstream.bodyMode !== abi.BODY_CHUNKED || this.context.core.codec.h2HasTrailers(upstream.record) === 0);
    const n = this.session.sendData(this, at, length, ends);
    if (ends && n === length) this.#endSent = true;
    return n;
  }

  override noteFull(): void {
    this.writable = false;
  }

  mayPutHead(): boolean {
    return this.broken || this.session.mayPutHead(this);
  }

  putInterim(upstream: Upstream): void {
    this.sent += this.session.putHead(this, upstream, 0, 0, false);
    if (upstream.inAt === upstream.inEnd) upstream.rewind();
  }

  writeResponseHead(upstream: Upstream, how: number, transport: number, ends: boolean): number {
    this.#endSent = ends;
    return this.session.putHead(this, upstream, how, transport, ends);
  }

  placeResponseHead(_upstream: Upstream, length: number): number {
    return this.sent += length;
  }

  sendAnswer(at: number, headLength: number, length: number, status: number): boolean {
    if (this.broken) return false;
    const ends = headLength === length;
    const written = this.session.putAnswer(this, at, headLength, status, ends);
    if (written === 0) return false;
    this.sent += written;
    this.#endSent = ends;
    if (ends) return true;
    // the body is short: if a window keeps it from going out whole, the stream is reset
    const n = this.session.sendData(this, at + headLength, length - headLength, true);
    if (n > 0) this.sent += n;
    return this.#endSent = n === length - headLength;
  }

  endResponse(upstream: Upstream): void {
    if (this.#endSent || this.broken) return;
    this.#endSent = (upstream.bodyMode === abi.BODY_CHUNKED && this.session.putTrailers(this, upstream)) ||
      this.session.putEnd(this);
  }

  /** The other direction of a tunnel goes on. */
  override shutdownWrite(): void {
    if (!this.#endSent && !this.broken) this.#endSent = this.session.putEnd(this);
  }

  cutShort(): void {
    this.#resetCode = abi.H2_INTERNAL_ERROR;
  }

  // ---- ending ----

  endStream(): void {
    if (this.#endSent) this.context.core.codec.h2EndStream(this.session.h2, this.record);
    this.close();
  }

  close(): void {
    const { context, session, slot, record } = this;
    if (slot < 0) return;
    context.core.codec.h2Reset(session.h2, record, this.#resetCode);
    this.slot = -1;
    this.stream = null;
    this.#giveBuffers();
    context.loop.freeSlot(slot);
    context.http2.idleStreams.push(this);
    session.streamClosed(this);
  }

  #giveBuffers(): void {
    const { i32 } = this.context.core;
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
