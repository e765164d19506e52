// A client connection speaking HTTP/1: reads the heads of requests, one after the other, hands each to a stream, and
// closes in a way that lets the client read the last answer.
//
//   IDLE ─ bytes ─► HEAD ─ complete ─► BUSY (a stream) ─ answer sent ─► IDLE …
//                    └ refused ─► BUSY ─► LINGER ─► closed
//
// On a listener that speaks TLS a handshake comes before all of that: GREETING, until it is seen what the client speaks, and
// HANDSHAKE.

import * as abi from "../../../assembly/abi.ts";
import type { Upstream } from "../cluster/upstream.ts";
import { Connection, WOULD_BLOCK } from "../net/connection.ts";
import type { Listener } from "../net/listener.ts";
import { PLAIN_HTTP, REQUEST_TIMEOUT } from "./answers.ts";
import { Counters } from "../observe/counters.ts";
import { tooOldMs } from "./connection_age.ts";
import type { ProxyContext } from "./context.ts";
import type { Downstream } from "./downstream.ts";
import { DONE, makeRoomForHead, takeBody } from "./pump.ts";
import { SECURED, SecureSession, WAITING } from "./secure_session.ts";
import { Http2Session } from "./http2_session.ts";
import { Stream } from "./stream.ts";

const IDLE = 0;
const HEAD = 1;
const BUSY = 2;
const LINGER = 3;
const CLOSED = 4;
const GREETING = 5;
const HANDSHAKE = 6;

/** How long a client that asks nothing is kept by a worker that drains. */
const LEAVE_MS = 1_000;
/** Requests that came in one piece and were answered at once, before the others have their turn. */
const REQUESTS_MAX = 32;
/** What a client says first that speaks HTTP/2 without asking (RFC 9113 §3.4), and no request of HTTP/1 begins with. */
const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0");
/** RFC 8446 §5.1: the first byte of a record that carries a handshake. */
const TLS_HANDSHAKE = 0x16;
const PLAIN_HTTP_FAILURE = Counters.index("tls.failed.plain_http");
const MALFORMED_FAILURE = Counters.index("tls.failed.malformed");
const TIMEOUT_FAILURE = Counters.index("tls.failed.timeout");
const CLOSED_FAILURE = Counters.index("tls.failed.closed");

export class Session extends Connection implements Downstream {
  readonly isShared = false;
  /** Trailers that end an answer at once are not to be had in HTTP/1.1, where no client of gRPC would look for them. */
  readonly isGrpc = false;
  stream: Stream | null = null;
  listener!: Listener;
  secure: SecureSession | null = null;
  headBeganMs = 0;
  #state = CLOSED;
  /** Bytes up to here have been given to the parser. */
  #fedEnd = 0;
  /** What is being answered is the last request of the connection. */
  #isLast = false;
  #serving = false;
  /** Its first bytes have not shown that it is none of HTTP/2. */
  #mayBeHttp2 = false;
  #beganMs = 0;

  constructor(private readonly context: ProxyContext) {
    super(context.loop, context.buffers);
  }

  /** Takes over an accepted socket, registered in `slot`. */
  start(fd: number, slot: number, listener: Listener): void {
    this.open(fd, slot, this.context.core.recordAt(slot), true);
    this.listener = listener;
    this.stream = null;
    this.#fedEnd = 0;
    this.#beganMs = this.loop.nowMs;
    this.#mayBeHttp2 = listener.takesHttp2 && this.context.http2.hasRecord;
    if (listener.tls === null) {
      this.#state = IDLE;
      this.armTimer(this.context.timeouts.requestHeaderMs);
      return;
    }
    this.#state = GREETING;
    this.headBeganMs = this.loop.nowMs;
    this.armTimer(listener.tls.handshakeTimeoutMs);
  }

  get isTooOld(): boolean {
    return this.loop.nowMs >= tooOldMs(this.#beganMs, this.context.timeouts.connectionAgeMs, this.slot);
  }

  get isIdle(): boolean {
    return this.#state === IDLE && this.inAt === this.inEnd;
  }

  onEvents(events: number): void {
    this.noteEvents(events);
    if (this.#state === BUSY) this.stream!.onSessionEvents();
    else if (this.#state === LINGER) this.#linger();
    else if (this.#state <= HEAD) this.#serve();
    else if (this.#state !== CLOSED) this.#shakeHands();
  }

  onTimeout(): void {
    switch (this.#state) {
      case BUSY:
        return this.stream!.onSessionTimeout();
      case HEAD:
        return this.#refuse(REQUEST_TIMEOUT);
      case GREETING:
      case HANDSHAKE:
        return this.#onHandshakeTimeout();
      default:
        // what it has asked cannot be read yet: there was no buffer
        if (this.#state === IDLE && this.readable && this.context.draining) return this.armTimer(LEAVE_MS);
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

  // ---- TLS ----

  #shakeHands(): void {
    if (this.#state === GREETING && !this.#greet()) return;
    switch (this.secure!.advance()) {
      case WAITING:
        return;
      case SECURED:
        this.#state = IDLE;
        if (this.secure!.isHttp2) return this.#becomeHttp2();
        this.armTimer(this.context.timeouts.requestHeaderMs);
        return this.#serve();
      default:
        return this.close();
    }
  }

  /** Looks at the first byte. True: it may be TLS. */
  #greet(): boolean {
    if (!this.readable) return false;
    const { byteAt, core, counters } = this.context;
    const n = this.loop.system.peek(this.fd, byteAt, 1);
    if (n === WOULD_BLOCK) {
      this.readable = false;
      return false;
    }
    const first = core.u8[byteAt]!;
    if (n === 1 && first === TLS_HANDSHAKE) {
      this.#state = HANDSHAKE;
      this.secure = new SecureSession(this.context, this, this.listener.tls!);
      return true;
    }
    if (n === 1 && isUpperCase(first)) {
      counters.add(PLAIN_HTTP_FAILURE, 1);
      this.#refuse(PLAIN_HTTP);
      return false;
    }
    counters.add(n === 1 ? MALFORMED_FAILURE : CLOSED_FAILURE, 1);
    this.close();
    return false;
  }

  /** One time for the whole handshake, waiting for a place included. */
  armHandshakeTimer(): void {
    this.loop.timers.arm(this.slot, this.headBeganMs + this.listener.tls!.handshakeTimeoutMs);
  }

  #onHandshakeTimeout(): void {
    if (this.loop.nowMs < this.headBeganMs + this.listener.tls!.handshakeTimeoutMs) return this.#shakeHands();
    this.context.counters.add(TIMEOUT_FAILURE, 1);
    this.noteTlsFailure();
    this.close();
  }

  // ---- HTTP/2 ----

  /** Somebody else goes on with the connection. */
  #becomeHttp2(): void {
    const { http2, idleSessions, idleHttp2Sessions } = this.context;
    const record = http2.takeRecord();
    if (record === 0) return this.close();
    const session = idleHttp2Sessions.pop() ?? new Http2Session(this.context);
    this.#state = CLOSED;
    session.begin(this, record);
    this.secure = null;
    idleSessions.push(this);
  }

  /** RFC 9113 §3.3: whether a client begins with HTTP/2, as far as its first bytes tell. */
  #beginsHttp2(): boolean {
    const { u8 } = this.context.core;
    const length = Math.min(PREFACE.length, this.inEnd - this.inAt);
    for (let i = 0; i < length; i++) if (u8[this.inAt + i] !== PREFACE[i]) return this.#mayBeHttp2 = false;
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
      if (this.#mayBeHttp2 && this.#beginsHttp2()) {
        if (this.inEnd - this.inAt >= PREFACE.length) {
          this.#becomeHttp2();
          return false;
        }
        this.#fedEnd = this.inEnd;
        continue;
      }
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
    if (this.inAt === this.inEnd) {
      this.releaseBuffer();
      // an event without bytes behind it must not look like bytes that the parser has not seen
      this.#fedEnd = this.inEnd;
    }
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

  // ---- what an exchange asks for ----

  placeRequestHead(length: number, headEnd: number): number {
    const { codec } = this.context.core;
    this.reframed = this.bodyMode === abi.BODY_CHUNKED;
    if (this.reframed) codec.beginChunks(this.record);
    this.inAt = headEnd;
    const taken = takeBody(this.context, this);
    if (taken !== DONE) return taken;
    codec.placeHead(this.outAt, length);
    this.outAt -= length;
    return DONE;
  }

  keepRequestHead(headEnd: number): void {
    this.context.core.codec.keepRequest(this.record, this.buffer);
    this.inAt = this.outAt = this.outEnd = headEnd;
    // trailers are decoded to where the fields of the head are, so chunks wait until these are not needed any more
    if (this.bodyMode !== abi.BODY_CHUNKED) takeBody(this.context, this);
  }

  placeKeptHead(length: number): number {
    if (this.bodyMode === abi.BODY_CHUNKED) return this.placeRequestHead(length, this.inAt);
    this.context.core.codec.placeHead(this.outAt, length);
    this.outAt -= length;
    return DONE;
  }

  beginRequestBody(): number {
    if (this.bodyMode !== abi.BODY_CHUNKED) return DONE;
    this.context.core.codec.beginChunks(this.record);
    return takeBody(this.context, this);
  }

  mayPutHead(): boolean {
    return true;
  }

  putInterim(upstream: Upstream): void {
    const { codec } = this.context.core;
    const length = codec.writeResponseHead(upstream.record, 0, 0, 0);
    upstream.makeRoomInFront(length);
    codec.placeHead(upstream.outAt, length);
    upstream.outAt -= length;
  }

  writeResponseHead(upstream: Upstream, how: number, transport: number): number {
    this.#isLast = (how & abi.W_CLOSE) !== 0;
    return this.context.core.codec.writeResponseHead(upstream.record, how, this.context.textScratchAt, transport);
  }

  placeResponseHead(upstream: Upstream, length: number): number {
    // the answer, what TLS says at the end, and the FIN leave as one segment
    if (this.#isLast && upstream.bodyDone) this.loop.system.holdWrites(this.fd, true);
    this.context.core.codec.placeHead(upstream.outAt, length);
    upstream.outAt -= length;
    return this.sent + length;
  }

  sendAnswer(at: number, _headLength: number, length: number): boolean {
    const n = this.send(at, length);
    if (n > 0) this.sent += n;
    return n === length;
  }

  endResponse(): void {}

  /** Without length and chunks, only a reset tells the end from the middle. */
  cutShort(looksComplete: boolean): void {
    if (looksComplete) this.loop.system.setResetOnClose(this.fd);
  }

  cutTunnel(): void {
    this.cutShort(true);
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
    if (this.bodyDone && this.inAt === this.inEnd && (!this.readable || this.broken)) {
      if (!this.broken) this.notifyClose();
      return this.close();
    }
    this.#state = LINGER;
    this.beginLinger();
    this.#linger();
  }

  #linger(): void {
    if (!this.mayLinger(this.context.core.logBatchAt)) this.close();
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
    // an answer that was cut short must not look as if it had ended; in LINGER the end has been told
    if (this.#state <= HEAD && !this.hangup) this.notifyClose();
    this.#state = CLOSED;
    this.secure?.end();
    this.secure = null;
    this.closeSocket();
    this.context.sessionsActive--;
    this.context.idleSessions.push(this);
    this.context.onSessionEnd();
  }
}

/** The first byte of any method that is in use. */
function isUpperCase(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}
