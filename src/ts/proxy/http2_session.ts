// A client connection speaking HTTP/2: gives each request a stream with a slot of its own, and writes heads of answers for it.
// The rest of what a connection does is the same towards backends (../http2/connection.ts).

import * as abi from "../../../assembly/abi.ts";
import type { Upstream } from "../cluster/upstream.ts";
import { abuseCounter } from "../http2/abuse.ts";
import { Http2Connection, LINGER, OPEN } from "../http2/connection.ts";
import { BLOCK_WAITS, WORK_REQUEST } from "../http2/reader.ts";
import type { Listener } from "../net/listener.ts";
import { Counters } from "../observe/counters.ts";
import { Beginnings } from "./beginnings.ts";
import { tooOldMs } from "./connection_age.ts";
import type { ProxyContext } from "./context.ts";
import { Http2Downstream } from "./http2_downstream.ts";
import type { SecureSession } from "./secure_session.ts";
import type { Session } from "./session.ts";

/** Exchanges of those that had to wait that begin before others have their turn. */
const BEGIN_A_TURN = 32;
/** What has been handed to the socket comes before what is urgent, and before small answers beside a large one. */
const UNSENT_MAX = 128 << 10;
/** What fields of HTTP/1 may be longer as a header block, besides their length. */
const LINES_ROOM = 512;

const CONNECTIONS = Counters.index("h2.connections");
const STREAMS = Counters.index("h2.streams");
const REFUSED = Counters.index("h2.streams.refused");
const CONNECTION_ERRORS = Counters.index("h2.connections.failed");
const COUNTS = {
  resets: Counters.index("h2.streams.reset_by_client"),
  malformed: Counters.index("h2.streams.malformed"),
  settingsTimeouts: Counters.index("h2.connections.settings_timeout"),
  stalled: Counters.index("h2.connections.stalled"),
};

export class Http2Session extends Http2Connection {
  listener!: Listener;
  secure: SecureSession | null = null;
  protected readonly counts = COUNTS;
  readonly beginnings: Beginnings;

  constructor(private readonly context: ProxyContext) {
    super(context);
    this.beginnings = new Beginnings(context.connects, context.loop);
  }

  // ---- beginning ----

  /** Takes over a connection that turned out to speak HTTP/2, with what has been received. `h2`: a record of the codec. */
  begin(session: Session, h2: number): void {
    const { context } = this;
    this.listener = session.listener;
    this.secure = session.secure;
    context.counters.add(CONNECTIONS, 1);
    this.beginHttp2(session, h2, abi.H2_ROLE_SERVER, this.listener.http2Profile);
    this.loop.system.setUnsentMax(this.fd, UNSENT_MAX);
    if (context.draining) this.leave();
    this.read();
    if (this.state < LINGER) this.wake();
  }

  // ---- receiving ----

  takeBuffer(): number {
    return this.buffers.take();
  }

  /** What it reads may open a window that answers wait for: that must not wait behind requests of others. */
  override acquireBuffer(): boolean {
    const buffer = this.buffers.takeReserved();
    if (buffer === 0) {
      this.buffers.waitReserved(this.slot);
      return false;
    }
    this.useBuffer(buffer);
    return true;
  }

  /** What the client has asked for as a whole is still answered when it ends its side. */
  protected onInputEnd(result: number): void {
    if (result !== 0 || this.streamCount === 0) return this.end();
    this.noteInputEnd();
    this.leaveWithLastStream();
    for (let stream = this.streams; stream !== null;) {
      const { next } = stream;
      if (!stream.isWhole) stream.onReset(abi.H2_CANCEL);
      stream = next;
    }
    this.wake();
  }

  protected onHeaders(): boolean {
    const { context, loop } = this;
    const { core } = context;
    if (!context.http2.hasRoom) return this.#refuseStream();
    const slot = loop.takeSlot();
    if (slot < 0) return this.#refuseStream();
    const ends = core.result[abi.R_END_STREAM] === 1;
    const code = this.decodeBlock(core.recordAt(slot));
    if (code === BLOCK_WAITS || code === abi.H2_STREAM_FAILED || code === abi.H2_CONNECTION_FAILED) {
      loop.freeSlot(slot);
      return code === abi.H2_STREAM_FAILED;
    }
    this.#beginStream(slot, this.blockBuffer, ends, code);
    return true;
  }

  #beginStream(slot: number, buffer: number, ends: boolean, code: number): void {
    const { context } = this;
    const stream = context.idleHttp2Streams.pop() ?? new Http2Downstream(context);
    stream.start(this, slot, buffer, ends, code);
    context.counters.add(STREAMS, 1);
    this.work += WORK_REQUEST;
  }

  /** Whether an exchange may begin in this turn of the loop; if not, it does in a later one. */
  mayBegin(stream: Http2Downstream): boolean {
    if (this.beginnings.mayBegin(stream)) return true;
    this.wake();
    return false;
  }

  override onEvents(events: number): void {
    super.onEvents(events);
    if (!this.beginnings.isEmpty) this.#beginWaiting();
  }

  #beginWaiting(): void {
    for (let left = BEGIN_A_TURN; left > 0; left--) {
      const stream = this.beginnings.take();
      if (stream === null) break;
      stream.beginExchange();
    }
    if (!this.beginnings.isEmpty) this.wake();
  }

  #refuseStream(): boolean {
    const { codec, result } = this.context.core;
    const code = codec.h2Refuse(this.h2);
    this.consume(result[abi.R_CONSUMED]!);
    this.context.counters.add(REFUSED, 1);
    if (code === abi.HEAD_DONE) return true;
    this.fail(result[abi.R_ABUSE]!);
    return false;
  }

  // ---- what streams send ----

  /** The head that was parsed last, as HEADERS; its length. */
  putHead(stream: Http2Downstream, upstream: Upstream, how: number, transport: number, ends: boolean): number {
    const { core, textScratchAt } = this.context;
    const { codec } = core;
    const to = codec.headScratchAt();
    const length = codec.h2PutResponse(
      this.h2,
      stream.record,
      upstream.record,
      how,
      textScratchAt,
      transport,
      ends ? 1 : 0,
      to,
    );
    return this.putBlock(to, length);
  }

  /** An answer of the proxy's own: its status line is passed over, its fields become HEADERS. 0: there is no room. */
  putAnswer(stream: Http2Downstream, at: number, length: number, status: number, ends: boolean): number {
    const { codec, u8 } = this.context.core;
    const to = this.output.reserve(length + LINES_ROOM);
    if (to === 0) return 0;
    let line = at;
    while (u8[line++] !== 0x0a);
    // without the empty line
    const linesLength = at + length - 2 - line;
    const written = codec.h2PutLines(this.h2, stream.record, status, line, linesLength, ends ? 1 : 0, to);
    this.output.commit(written);
    this.wake();
    return written;
  }

  /** Trailers that end an answer to a call of gRPC which cannot be completed. False: there is no room. */
  putGrpcEnd(stream: Http2Downstream): boolean {
    const { at, length } = this.context.answers.grpcCutShort;
    const to = this.output.reserve(length + LINES_ROOM);
    if (to === 0) return false;
    const written = this.context.core.codec.h2PutLines(this.h2, stream.record, 0, at, length, 1, to);
    this.output.commit(written);
    this.wake();
    return written > 0;
  }

  // ---- time ----

  protected get partialTimeoutMs(): number {
    return this.context.timeouts.requestHeaderMs;
  }

  protected get idleTimeoutMs(): number {
    return this.context.timeouts.idleMs;
  }

  get #tooOldMs(): number {
    return tooOldMs(this.beganMs, this.context.timeouts.connectionAgeMs, this.slot);
  }

  protected override dueMs(): number {
    const due = super.dueMs();
    return this.state === OPEN ? Math.min(due, this.#tooOldMs) : due;
  }

  protected override onLate(): void {
    if (this.state === OPEN && this.loop.nowMs >= this.#tooOldMs) this.leave();
    else super.onLate();
  }

  // ---- ending ----

  /** The worker drains, or the connection has become too old. */
  leave(): void {
    if (this.state === OPEN) this.announceLeaving();
  }

  protected faultCounter(abuse: number): number {
    return abuse === 0 ? CONNECTION_ERRORS : abuseCounter(abuse);
  }

  protected onClosing(): void {
    this.secure?.end();
    this.secure = null;
  }

  protected onClosed(): void {
    const { context } = this;
    context.idleHttp2Sessions.push(this);
    context.sessionsActive--;
    context.onSessionEnd();
  }
}
