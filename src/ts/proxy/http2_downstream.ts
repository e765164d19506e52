// A client's stream of HTTP/2, as an exchange sees it.

import * as abi from "../../../assembly/abi.ts";
import type { Upstream } from "../cluster/upstream.ts";
import { Http2Stream } from "../http2/stream.ts";
import type { Connection } from "../net/connection.ts";
import type { Listener } from "../net/listener.ts";
import { Counters } from "../observe/counters.ts";
import type { ProxyContext } from "./context.ts";
import type { Downstream } from "./downstream.ts";
import type { Http2Session } from "./http2_session.ts";
import { DONE, takeBody } from "./pump.ts";
import type { SecureSession } from "./secure_session.ts";
import { Stream } from "./stream.ts";

const STALLED = Counters.index("h2.streams.stalled");
const ABORTED = Counters.index("client.aborted");
/** What a client has to take of an answer in timeouts.write: a window that opens by a byte now and then holds nothing up. */
const STALL_BYTES = 1024;

export class Http2Downstream extends Http2Stream implements Downstream {
  stream: Stream | null = null;
  listener!: Listener;
  secure: SecureSession | null = null;
  headBeganMs = 0;
  isGrpc = false;
  /** The exchange is over, and the rest of an answer of the proxy's own waits in `buffer` for the client's window. */
  #isLate = false;
  /** The timer runs for the client to take something; what had been sent then, of this stream and of all. */
  #isTimed = false;
  #timedSent = 0;
  #timedAll = 0;
  /** It waits in the session's beginnings, between these. */
  beginsLater = false;
  beginNext: Http2Downstream | null = null;
  beginPrevious: Http2Downstream | null = null;
  /** HEAD_DONE or a refusal, as long as the exchange has not begun; then 0. */
  #begins = 0;
  readonly isTooOld = false;
  /** What RST_STREAM says if it ends early. */
  #resetCode = abi.H2_CANCEL;

  constructor(private readonly context: ProxyContext) {
    super(context);
  }

  get #session(): Http2Session {
    return this.connection as Http2Session;
  }

  // ---- beginning ----

  /**
   * Takes a request whose head has been decoded into `buffer`, to `code`; `ends`: no body follows. The exchange begins when
   * everything that came with it has been looked at: a request that is reset at once makes no work for anybody, and a body
   * that came at once goes on with its head.
   */
  start(session: Http2Session, slot: number, buffer: number, ends: boolean, code: number): void {
    const { context } = this;
    this.begin(session, slot);
    context.http2.streamsActive++;
    this.listener = session.listener;
    this.secure = session.secure;
    this.headBeganMs = context.loop.nowMs;
    this.hasEnd = ends;
    this.isGrpc = (context.core.result[abi.R_FLAGS]! & abi.F_GRPC) !== 0;
    this.#isLate = this.#isTimed = false;
    this.#resetCode = abi.H2_CANCEL;
    this.useBuffer(buffer);
    this.#begins = code;
    if (code === abi.HEAD_DONE) {
      context.core.codec.keepRequest(this.record, buffer);
      this.priority = context.core.result[abi.R_PRIORITY]!;
    }
    this.wake();
  }

  /** Its turn to begin has come. */
  beginExchange(): void {
    const { context } = this;
    const code = this.#begins;
    this.#begins = 0;
    const stream = this.stream = context.idleStreams.pop() ?? new Stream(context);
    if (code !== abi.HEAD_DONE) {
      this.bodyDone = this.hasEnd;
      return stream.beginRefused(this, code);
    }
    context.core.codec.restoreRequest(this.record, this.buffer);
    stream.begin(this);
    if (stream.upstream?.connecting) this.#session.beginnings.noteConnect();
  }

  protected takeBuffer(): number {
    return this.buffers.take();
  }

  onEvents(): void {
    if (this.#begins === 0) this.stream?.onSessionEvents();
    else if (this.#session.mayBegin(this)) this.beginExchange();
  }

  onTimeout(): void {
    if (this.#isTimed && !this.writable) {
      if (this.#isServed) {
        this.#isTimed = false;
        return this.armTimer(this.context.timeouts.writeMs);
      }
      this.context.counters.add(STALLED, 1);
    }
    if (this.#isLate) this.close();
    else this.stream?.onSessionTimeout();
  }

  onTurn(): void {
    if (this.#isLate) this.#sendLate();
    else this.stream?.onSessionEvents();
  }

  onReset(_code: number): void {
    this.broken = this.readable = true;
    if (this.#begins !== 0) this.context.counters.add(ABORTED, 1);
    if (this.#isLate || this.#begins !== 0) this.close();
    else this.stream?.onSessionEvents();
  }

  /** The client takes what it is sent, if only that of other streams because they come first. */
  get #isServed(): boolean {
    if (this.sent - this.#timedSent >= STALL_BYTES) return true;
    return !this.#session.isStreamShut(this) && this.#session.dataSent - this.#timedAll >= STALL_BYTES;
  }

  /** While the client takes next to nothing, the time that it has for that runs on. */
  override armTimer(afterMs: number): void {
    if (!this.writable && this.#isTimed && this.sent - this.#timedSent < STALL_BYTES) return;
    this.#isTimed = !this.writable;
    this.#timedSent = this.sent;
    this.#timedAll = this.#session.dataSent;
    super.armTimer(afterMs);
  }

  override disarmTimer(): void {
    this.#isTimed = false;
    super.disarmTimer();
  }

  onConnectionLost(): void {
    this.onReset(abi.H2_CANCEL);
    // one without an exchange under way cannot be
    if (this.connection !== null) this.close();
  }

  // ---- the request ----

  override store(at: number, length: number): number {
    return this.#isLate ? length : super.store(at, length);
  }

  placeRequestHead(length: number): number {
    this.reframed = !this.hasLength && !this.bodyDone;
    this.gatherBehind(length);
    const taken = takeBody(this.context, this);
    if (taken !== DONE) return taken;
    this.context.core.codec.placeHead(this.outAt, length);
    this.outAt -= length;
    return DONE;
  }

  keepRequestHead(): void {
    this.rewind();
  }

  placeKeptHead(length: number): number {
    return this.placeRequestHead(length);
  }

  beginRequestBody(): number {
    return DONE;
  }

  // ---- the answer ----

  protected get source(): Connection | null {
    return this.stream!.upstream;
  }

  mayPutHead(): boolean {
    return this.broken || this.connection!.mayPutHead(this);
  }

  putInterim(upstream: Upstream): void {
    this.sent += this.#session.putHead(this, upstream, 0, 0, false);
    if (upstream.inAt === upstream.inEnd) upstream.rewind();
  }

  writeResponseHead(upstream: Upstream, how: number, transport: number, ends: boolean): number {
    this.endSent = ends;
    return this.#session.putHead(this, upstream, how, transport, ends);
  }

  placeResponseHead(_upstream: Upstream, length: number): number {
    return this.sent += length;
  }

  sendAnswer(at: number, headLength: number, length: number, status: number): boolean {
    if (this.broken) return false;
    const ends = headLength === length;
    const written = this.#session.putAnswer(this, at, headLength, status, ends);
    if (written === 0) return this.#failAnswer();
    this.sent += written;
    this.endSent = ends;
    if (ends) return true;
    const rest = length - headLength;
    const n = Math.max(0, this.#session.sendData(this, at + headLength, rest, true));
    this.sent += rest;
    if (n === rest) return this.endSent = true;
    return this.#keepLate(at + headLength + n, rest - n);
  }

  /** There is no room for it: the client is told that the fault is ours. Always false. */
  #failAnswer(): false {
    this.#resetCode = abi.H2_INTERNAL_ERROR;
    return false;
  }

  /** Keeps what the client's window, or somebody else's turn, does not let out now. False: there is no buffer for it. */
  #keepLate(at: number, length: number): boolean {
    this.giveBuffers();
    const buffer = this.buffers.takeReserved();
    if (buffer === 0) return this.#failAnswer();
    this.useBuffer(buffer);
    this.context.core.codec.copy(this.outAt, at, length);
    this.outEnd = this.outAt + length;
    return this.#isLate = true;
  }

  #sendLate(): void {
    const length = this.outEnd - this.outAt;
    const n = this.#session.sendData(this, this.outAt, length, true);
    if (n === length) {
      this.endSent = true;
      this.#isLate = false;
      return this.endStream();
    }
    if (n > 0) this.outAt += n;
    this.armTimer(this.context.timeouts.writeMs);
  }

  endResponse(upstream: Upstream): void {
    this.sendEnd(upstream);
  }

  /** A client of gRPC takes RST_STREAM for a fault in its call; that the backend is gone it has to be told in trailers. */
  cutShort(): void {
    const isTold = this.isGrpc && !this.endSent && !this.broken && this.#session.putGrpcEnd(this);
    if (isTold) this.endSent = true;
    this.#resetCode = isTold ? abi.H2_NO_ERROR : abi.H2_INTERNAL_ERROR;
  }

  /** RFC 9113 §8.5 */
  cutTunnel(): void {
    this.#resetCode = abi.H2_CONNECT_ERROR;
  }

  // ---- ending ----

  endStream(): void {
    if (this.#isLate) return this.armTimer(this.context.timeouts.writeMs);
    if (this.endSent && this.connection !== null) this.context.core.codec.h2EndStream(this.connection.h2, this.record);
    this.close();
  }

  close(): void {
    if (this.slot < 0) return;
    if (this.beginsLater) this.#session.beginnings.remove(this);
    this.stream = null;
    this.leave(this.#resetCode);
    this.context.http2.streamsActive--;
    this.context.idleHttp2Streams.push(this);
  }
}
