// A client connection speaking HTTP/1: reads the heads of requests, one after the other, hands each to a stream, and
// closes in a way that lets the client read the last answer.
//
//   IDLE ─ bytes ─► HEAD ─ complete ─► BUSY (a stream) ─ answer sent ─► IDLE …
//                    └ refused ─► BUSY ─► LINGER ─► closed

import * as abi from "../../../assembly/abi.ts";
import { Connection, WOULD_BLOCK } from "../net/connection.ts";
import type { Listener } from "../net/listener.ts";
import { REQUEST_TIMEOUT } from "./answers.ts";
import type { ProxyContext } from "./context.ts";
import { makeRoomForHead } from "./pump.ts";
import { Stream } from "./stream.ts";

const IDLE = 0;
const HEAD = 1;
const BUSY = 2;
const LINGER = 3;
const CLOSED = 4;

/** How long, and for how many bytes, a client that is still sending is listened to after the last answer. */
const LINGER_MS = 2_000;
const LINGER_BYTES_MAX = 1 << 20;
const LINGER_READ = 1 << 16;
/** How long a client that asks nothing is kept by a worker that drains. */
const LEAVE_MS = 1_000;
/** Requests that came in one piece and were answered at once, before the others have their turn. */
const REQUESTS_MAX = 32;

export class Session extends Connection {
  stream: Stream | null = null;
  listener!: Listener;
  /** When the first byte of the head at hand arrived. */
  headBeganMs = 0;
  #state = CLOSED;
  /** Bytes up to here have been given to the parser. */
  #fedEnd = 0;
  #lingered = 0;
  #serving = false;

  constructor(private readonly context: ProxyContext) {
    super(context.loop, context.buffers);
  }

  /** Takes over an accepted socket, registered in `slot`. */
  start(fd: number, slot: number, listener: Listener): void {
    this.open(fd, slot, this.context.core.recordAt(slot), true);
    this.listener = listener;
    this.stream = null;
    this.#state = IDLE;
    this.#fedEnd = 0;
    this.armTimer(this.context.timeouts.requestHeaderMs);
  }

  get isIdle(): boolean {
    return this.#state === IDLE && this.inAt === this.inEnd;
  }

  onEvents(events: number): void {
    this.noteEvents(events);
    if (this.#state === BUSY) this.stream!.onSessionEvents();
    else if (this.#state === LINGER) this.#linger();
    else this.#serve();
  }

  onTimeout(): void {
    switch (this.#state) {
      case BUSY:
        return this.stream!.onSessionTimeout();
      case HEAD:
        return this.#refuse(REQUEST_TIMEOUT);
      default:
        return this.close();
    }
  }

  acquireBuffer(): boolean {
    const buffer = this.buffers.take();
    if (buffer === 0) return this.waitForBuffer();
    this.useBuffer(buffer);
    this.#fedEnd = this.inEnd;
    return true;
  }

  // ---- heads ----

  /** Reads and hands over requests until there is nothing to read or a stream is busy. */
  #serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    for (let requests = 0; this.#state <= HEAD; requests++) {
      if (requests === REQUESTS_MAX) {
        this.loop.callAgain(this.slot);
        break;
      }
      if (!this.#readHead()) break;
    }
    this.#serving = false;
  }

  /** One head, whole: true. False: nothing more to read now, or the session is over. */
  #readHead(): boolean {
    const { codec } = this.context.core;
    for (;;) {
      if (this.#fedEnd === this.inEnd && !this.#receive()) return false;
      if (this.#state === IDLE) this.#beginHead();
      const length = this.inEnd - this.#fedEnd;
      this.#fedEnd = this.inEnd;
      const code = codec.feedRequest(this.record, length);
      if (code === abi.HEAD_DONE) {
        this.#state = BUSY;
        this.stream = this.context.idleStreams.pop() ?? new Stream(this.context);
        this.stream.begin(this);
        return true;
      }
      if (code !== abi.HEAD_MORE) {
        this.#refuse(code);
        return false;
      }
    }
  }

  #beginHead(): void {
    makeRoomForHead(this.context, this);
    this.#state = HEAD;
    this.headBeganMs = this.loop.nowMs;
    this.#fedEnd = this.inAt;
    this.context.core.codec.beginRequest(this.record, this.inAt, this.buffer);
  }

  /** Receives more. False: there is nothing, or the client has closed. */
  #receive(): boolean {
    if (!this.readable) {
      this.#rest();
      return false;
    }
    if (this.buffer === 0 && !this.acquireBuffer()) return false;
    const n = this.receive(this.room);
    if (n > 0) return true;
    if (n === WOULD_BLOCK) {
      this.#rest();
      return false;
    }
    this.close();
    return false;
  }

  /** Waits for the client: without a buffer when nothing is in it. */
  #rest(): void {
    if (this.inAt === this.inEnd) this.releaseBuffer();
    if (this.#state === HEAD) {
      // one time for the whole head, however slowly it comes
      this.loop.timers.arm(this.slot, this.headBeganMs + this.context.timeouts.requestHeaderMs);
    }
  }

  #refuse(refusal: number): void {
    this.#state = BUSY;
    this.bodyDone = false;
    this.stream = this.context.idleStreams.pop() ?? new Stream(this.context);
    this.stream.beginRefused(this, refusal);
  }

  // ---- ending ----

  /** The stream is over: the next request, or the end. */
  endStream(closes: boolean): void {
    if (closes) return this.#finish();
    this.#state = IDLE;
    if (this.inAt === this.inEnd) {
      this.releaseBuffer();
      this.armTimer(this.context.draining ? LEAVE_MS : this.context.timeouts.idleMs);
      this.#fedEnd = this.inEnd;
      if (!this.readable) return;
    } else {
      // pipelined bytes are fed before anything is received
      this.#fedEnd = this.inAt;
    }
    this.#serve();
  }

  /** Closes; if the client may still be sending, only after it has had time to read the answer. */
  #finish(): void {
    if (this.bodyDone && this.inAt === this.inEnd && (!this.readable || this.broken)) return this.close();
    this.#state = LINGER;
    this.#lingered = 0;
    this.releaseBuffer();
    this.loop.system.shutdownWrite(this.fd);
    this.armTimer(LINGER_MS);
    this.#linger();
  }

  /** A close with unread bytes would be a reset, and could take the answer back from the client. */
  #linger(): void {
    for (;;) {
      const n = this.discardInput(this.context.core.logBatchAt, LINGER_READ);
      if (n === WOULD_BLOCK) return;
      this.#lingered += n;
      if (n <= 0 || this.#lingered > LINGER_BYTES_MAX) return this.close();
    }
  }

  /**
   * The worker drains. A client that asks nothing is not sent away at once, for its next request may be on its way: that one
   * is answered with `Connection: close`.
   */
  leave(): void {
    this.armTimer(LEAVE_MS);
  }

  close(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.closeSocket();
    this.context.sessionsActive--;
    this.context.idleSessions.push(this);
    this.context.onSessionEnd();
  }
}
