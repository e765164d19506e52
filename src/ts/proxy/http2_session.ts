// A client connection speaking HTTP/2 (RFC 9113): feeds the codec with what comes, gives each request a stream with a slot of
// its own, and shares the way back among the streams.
//
//   OPEN ─ GOAWAY (drain, idle) ─► LEAVING ─ no stream is left ─► LINGER ─► closed
//     └ the peer's fault: GOAWAY ─────────────────────────────────────┘
//
// Events of the socket only read and hand over; what there is to send is written once a turn of the loop, when everybody had
// a chance to add to it (#flush). While the peer does not take what waits for it, nothing more is read from it.

import * as abi from "../../../assembly/abi.ts";
import type { Upstream } from "../cluster/upstream.ts";
import { Connection, WOULD_BLOCK } from "../net/connection.ts";
import type { Listener } from "../net/listener.ts";
import { Counters } from "../observe/counters.ts";
import type { ProxyContext } from "./context.ts";
import { abuseCounter } from "./http2_abuse.ts";
import { BLOCKED, DRAINED, Http2Output } from "./http2_output.ts";
import { Http2Stream } from "./http2_stream.ts";
import { Http2Turns } from "./http2_turns.ts";
import type { SecureSession } from "./secure_session.ts";
import type { Session } from "./session.ts";

const OPEN = 0;
const LEAVING = 1;
const LINGER = 2;
const CLOSED = 3;

/** As in session.ts. */
const LINGER_MS = 2_000;
const LINGER_BYTES_MAX = 1 << 20;
const LINGER_READ = 1 << 16;
/** How long the answer to a PING may take that tells that the peer has seen GOAWAY (RFC 9113 §6.8). */
const LEAVE_MS = 1_000;
/** How long SETTINGS may go without acknowledgement (§6.5.3). */
const SETTINGS_MS = 10_000;
/** Rates are limited by the second. */
const TICK_MS = 1_000;
/** Reads before others have their turn. */
const ROUNDS_MAX = 8;
/** What of a stream's body goes out in one turn when others wait. */
const TURN_BYTES = 16_384;
const LAST_STREAM_MAX = 0x7fffffff;
/** Header of a frame, and what of a body makes one worth its while. */
const FRAME_ROOM_MIN = abi.H2_FRAME_HEADER + 64;
/** What fields of HTTP/1 may be longer as a header block, besides their length. */
const LINES_ROOM = 512;

const CONNECTIONS = Counters.index("h2.connections");
const STREAMS = Counters.index("h2.streams");
const REFUSED = Counters.index("h2.streams.refused");
const RESETS = Counters.index("h2.streams.reset_by_client");
const STREAM_ERRORS = Counters.index("h2.streams.malformed");
const CONNECTION_ERRORS = Counters.index("h2.connections.failed");
const SETTINGS_TIMEOUTS = Counters.index("h2.connections.settings_timeout");

export class Http2Session extends Connection {
  listener!: Listener;
  secure: SecureSession | null = null;
  /** Address of the connection's record in the codec. */
  h2 = 0;
  readonly #output: Http2Output;
  readonly #turns = new Http2Turns();
  #state = CLOSED;
  #streams: Http2Stream | null = null;
  #streamCount = 0;
  /** Whose turn it is to send, and how much of it is left. */
  #turn: Http2Stream | null = null;
  #turnLeft = 0;
  /** The window of the connection is used up. */
  #isWindowShut = false;
  /** The socket takes no more. */
  #isBlocked = false;
  /** Body bytes that no buffer was free for: where, how many, whose, and whether they end it. */
  #strandedAt = 0;
  #strandedBytes = 0;
  #strandedSlot = -1;
  #strandedEnds = false;
  #isReading = false;
  /** The peer has said its first SETTINGS; and accepted ours. */
  #isGreeted = false;
  #isAccepted = false;
  #beganMs = 0;
  #tickedMs = 0;
  /** When what lies in the input began that is not whole; 0: everything is. */
  #partialMs = 0;
  #idleMs = 0;
  #blockedMs = 0;
  #leavingMs = 0;
  #lingered = 0;
  #hasFailed = false;

  constructor(private readonly context: ProxyContext) {
    super(context.loop, context.buffers);
    this.#output = new Http2Output(context.core, context.buffers);
  }

  // ---- beginning ----

  /** Takes over a connection that turned out to speak HTTP/2, with what has been received. `h2`: a record of the codec. */
  begin(session: Session, h2: number): void {
    const { context } = this;
    const { codec } = context.core;
    this.listener = session.listener;
    this.secure = session.secure;
    this.adopt(session);
    context.loop.occupy(this.slot, this);
    this.h2 = h2;
    this.#state = OPEN;
    this.#streams = this.#turn = null;
    this.#streamCount =
      this.#strandedBytes =
      this.#partialMs =
      this.#blockedMs =
      this.#leavingMs =
      this.#lingered =
        0;
    this.#isWindowShut =
      this.#isBlocked =
      this.#isGreeted =
      this.#isAccepted =
      this.#isReading =
      this.#hasFailed =
        false;
    this.#turns.clear();
    this.#beganMs = this.#tickedMs = this.#idleMs = this.loop.nowMs;
    context.counters.add(CONNECTIONS, 1);
    codec.h2Begin(h2, abi.H2_ROLE_SERVER, this.listener.http2Profile, this.record);
    const to = codec.headScratchAt();
    this.#output.put(to, codec.h2Preface(h2, to));
    this.armTimer(context.timeouts.requestHeaderMs);
    if (context.draining) this.leave();
    this.#read();
    if (this.#state < LINGER) this.#wake();
  }

  // ---- events ----

  onEvents(events: number): void {
    this.noteEvents(events);
    if (this.#state === LINGER) return this.#linger();
    if (this.#state === CLOSED) return;
    if (this.broken) return this.#end();
    if (this.#isBlocked && this.writable) this.#flush();
    else if (events === 0) this.#flush();
    if (this.#state < LINGER) this.#read();
    if (this.#state < LINGER && this.#mustSend) this.#wake();
  }

  /** To be called again at the end of the turn. */
  #wake(): void {
    this.loop.callAgain(this.slot);
  }

  get #mustSend(): boolean {
    if (this.#isBlocked) return false;
    return !this.#output.isEmpty || this.context.core.codec.h2Replies(this.h2) > 0 ||
      (this.#turns.any && !this.#isWindowShut && this.buffers.free > 0);
  }

  // ---- receiving ----

  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    for (let round = 0;; round++) {
      if (!this.#feed() || !this.readable) break;
      if (round === ROUNDS_MAX) {
        this.#wake();
        break;
      }
      if (!this.#receive()) break;
    }
    this.#isReading = false;
    if (this.#state < LINGER) this.#rest();
  }

  /** Receives behind what is there. False: nothing came, or the connection is over. */
  #receive(): boolean {
    if (this.buffer === 0 && !this.acquireBuffer()) return false;
    this.#makeRoom();
    const n = this.receive(this.room);
    if (n > 0) return true;
    if (n === 0 && this.#streamCount > 0) this.#endInput();
    else if (n !== WOULD_BLOCK) this.#end();
    return false;
  }

  /** The client has ended its side: what it has asked for as a whole is still answered. */
  #endInput(): void {
    this.readable = false;
    this.#state = LEAVING;
    this.#leavingMs = 0;
    for (let stream = this.#streams; stream !== null;) {
      const { next } = stream;
      if (!stream.isWhole) stream.break();
      stream = next;
    }
    this.#wake();
  }

  #makeRoom(): void {
    if (this.inAt === this.inEnd) return this.rewind();
    const start = this.bufferStart;
    if (this.inAt === start || this.room > this.buffers.capacity >> 1) return;
    const length = this.inEnd - this.inAt;
    this.context.core.codec.copy(start, this.inAt, length);
    this.inAt = start;
    this.inEnd = start + length;
  }

  acquireBuffer(): boolean {
    const buffer = this.buffers.take();
    if (buffer === 0) return this.waitForBuffer();
    this.useBuffer(buffer);
    return true;
  }

  /** Without a buffer when nothing is in it; what is there in part has to be whole in time. */
  #rest(): void {
    if (this.inAt === this.inEnd && this.#strandedBytes === 0) {
      this.releaseBuffer();
      this.#partialMs = 0;
    } else if (this.#partialMs === 0) {
      this.#partialMs = this.loop.nowMs;
      this.#expect(this.#partialMs + this.context.timeouts.requestHeaderMs);
    }
  }

  /** Gives the codec what there is. False: something has to be waited for, or the connection is over. */
  #feed(): boolean {
    if (this.#strandedBytes > 0 && !this.#storeStranded()) return false;
    if (this.buffer === 0) return true;
    const { core } = this.context;
    const { codec, result } = core;
    if (this.loop.nowMs - this.#tickedMs >= TICK_MS) {
      this.#tickedMs = this.loop.nowMs;
      codec.h2Tick(this.h2);
    }
    for (;;) {
      const event = codec.h2Feed(this.h2, this.inAt, this.inEnd - this.inAt);
      const consumed = result[abi.R_CONSUMED]!;
      if (consumed > 0) {
        this.inAt += consumed;
        this.#partialMs = 0;
      }
      if (event === abi.EV_MORE) return true;
      if (!this.#handle(event) || this.#state >= LINGER) return false;
    }
  }

  /** False: the input has to wait. */
  #handle(event: number): boolean {
    const { result } = this.context.core;
    switch (event) {
      case abi.EV_DATA:
        return this.#onData();
      case abi.EV_HEADERS:
        return this.#onHeaders();
      case abi.EV_TRAILERS:
        return this.#onTrailers();
      case abi.EV_END:
        this.#streamIn(result[abi.R_SLOT]!)?.end(0);
        return true;
      case abi.EV_REPLIES:
        return this.#takeReplies();
      case abi.EV_RESET:
        this.context.counters.add(RESETS, 1);
        this.#streamIn(result[abi.R_SLOT]!)?.break();
        return true;
      case abi.EV_STREAM_ERROR:
        this.context.counters.add(STREAM_ERRORS, 1);
        this.#streamIn(result[abi.R_SLOT]!)?.break();
        return true;
      case abi.EV_WINDOW:
        this.#onWindow(result[abi.R_SLOT]!);
        return true;
      case abi.EV_SETTINGS:
        this.#onSettings();
        return true;
      case abi.EV_SETTINGS_ACK:
        this.#isAccepted = true;
        return true;
      case abi.EV_PRIORITY:
        this.#onPriority(result[abi.R_SLOT]!, result[abi.R_PRIORITY]!);
        return true;
      case abi.EV_PING_ACK:
        if (this.#leavingMs !== 0) this.#sayLast();
        return true;
      case abi.EV_CONNECTION_ERROR:
        this.#fail(result[abi.R_ABUSE]!);
        return false;
      default:
        return true;
    }
  }

  /** The stream in a slot; undefined when it was not found. */
  #streamIn(slot: number): Http2Stream | undefined {
    const handler = slot < 0 ? null : this.loop.handlerOf(slot);
    return handler instanceof Http2Stream ? handler : undefined;
  }

  // ---- what the codec tells ----

  #onHeaders(): boolean {
    const { context, loop } = this;
    const { codec, result } = context.core;
    const { http2 } = context;
    if (http2.streamsActive >= http2.streamsMax) return this.#refuseStream();
    const slot = loop.takeSlot();
    if (slot < 0) return this.#refuseStream();
    const buffer = this.buffers.take();
    if (buffer === 0) {
      loop.freeSlot(slot);
      this.waitForBuffer();
      return false;
    }
    const ends = result[abi.R_END_STREAM] === 1;
    const { bytesOffset, capacity } = this.buffers;
    const code = codec.h2Headers(this.h2, context.core.recordAt(slot), buffer, buffer + bytesOffset, capacity);
    this.inAt += result[abi.R_CONSUMED]!;
    if (code === abi.H2_STREAM_FAILED || code === abi.H2_CONNECTION_FAILED) {
      this.buffers.give(buffer);
      loop.freeSlot(slot);
      if (code === abi.H2_CONNECTION_FAILED) this.#fail(0);
      else context.counters.add(STREAM_ERRORS, 1);
      return code === abi.H2_STREAM_FAILED;
    }
    this.#beginStream(slot, buffer, ends, code);
    return true;
  }

  #beginStream(slot: number, buffer: number, ends: boolean, code: number): void {
    const { context } = this;
    const { http2 } = context;
    const stream = http2.idleStreams.pop() ?? new Http2Stream(context);
    stream.start(this, slot, buffer, ends);
    stream.priority = code === abi.HEAD_DONE ? context.core.result[abi.R_PRIORITY]! : 3;
    stream.previous = null;
    stream.next = this.#streams;
    if (this.#streams !== null) this.#streams.previous = stream;
    this.#streams = stream;
    this.#streamCount++;
    http2.streamsActive++;
    context.counters.add(STREAMS, 1);
    if (code === abi.HEAD_DONE) return stream.stream!.begin(stream);
    stream.bodyDone = ends;
    stream.stream!.beginRefused(stream, code);
  }

  #refuseStream(): boolean {
    const { codec, result } = this.context.core;
    const code = codec.h2Refuse(this.h2);
    this.inAt += result[abi.R_CONSUMED]!;
    this.context.counters.add(REFUSED, 1);
    if (code === abi.HEAD_DONE) return true;
    this.#fail(0);
    return false;
  }

  #onTrailers(): boolean {
    const { codec, result } = this.context.core;
    const stream = this.#streamIn(result[abi.R_SLOT]!)!;
    const buffer = this.buffers.take();
    if (buffer === 0) {
      this.waitForBuffer();
      return false;
    }
    const { bytesOffset, capacity } = this.buffers;
    const code = codec.h2Headers(this.h2, stream.record, buffer, buffer + bytesOffset, capacity);
    this.inAt += result[abi.R_CONSUMED]!;
    if (code === abi.HEAD_DONE) {
      stream.end(buffer);
      return true;
    }
    this.buffers.give(buffer);
    if (code === abi.H2_CONNECTION_FAILED) {
      this.#fail(0);
      return false;
    }
    if (code === abi.H2_STREAM_FAILED) this.context.counters.add(STREAM_ERRORS, 1);
    stream.break();
    return true;
  }

  #onData(): boolean {
    const { result } = this.context.core;
    this.#strandedSlot = result[abi.R_SLOT]!;
    this.#strandedAt = result[abi.R_DATA_AT]!;
    this.#strandedBytes = result[abi.R_DATA_LENGTH]!;
    this.#strandedEnds = result[abi.R_END_STREAM] === 1;
    return this.#storeStranded();
  }

  #storeStranded(): boolean {
    const stream = this.#streamIn(this.#strandedSlot);
    if (stream === undefined || stream.session !== this || stream.slot < 0) {
      this.#strandedBytes = 0;
      return true;
    }
    const stored = stream.store(this.#strandedAt, this.#strandedBytes);
    if (stored > 0) this.context.core.codec.h2Stored(this.h2, stream.record, stored);
    this.#strandedAt += stored;
    this.#strandedBytes -= stored;
    if (this.#strandedBytes > 0) {
      this.waitForBuffer();
      return false;
    }
    if (this.#strandedEnds) stream.end(0);
    return true;
  }

  #onWindow(slot: number): void {
    this.#isWindowShut = false;
    const stream = this.#streamIn(slot);
    if (stream !== undefined && !stream.writable) this.#enqueue(stream);
  }

  #onSettings(): void {
    if (!this.#isGreeted) {
      this.#isGreeted = true;
      this.#restTimer();
    }
    this.#isWindowShut = false;
    for (let stream = this.#streams; stream !== null; stream = stream.next) {
      if (!stream.writable) this.#enqueue(stream);
    }
  }

  #onPriority(slot: number, priority: number): void {
    const stream = this.#streamIn(slot);
    // one that waits takes its new place when it waits again
    if (stream !== undefined) stream.priority = priority;
  }

  // ---- what streams send ----

  /** `bytes` of a stream's body have gone on to the backend. */
  passed(stream: Http2Stream, bytes: number): void {
    const { codec } = this.context.core;
    codec.h2Passed(this.h2, stream.record, bytes);
    if (codec.h2Replies(this.h2) > 0) this.#wake();
  }

  mayPutHead(stream: Http2Stream): boolean {
    if (this.#output.mayPutHead) return true;
    stream.writable = false;
    this.#enqueue(stream);
    if (!this.#isBlocked) this.buffers.wait(this.slot);
    return false;
  }

  /** The head that was parsed last, as HEADERS; its length. */
  putHead(stream: Http2Stream, upstream: Upstream, how: number, transport: number, ends: boolean): number {
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
    return this.#putScratch(to, length);
  }

  #putScratch(at: number, length: number): number {
    if (length === 0) return 0;
    // half a header block is worse than none: the peer's tables would differ from ours
    if (!this.#output.put(at, length)) this.#hasFailed = true;
    this.#wake();
    return length;
  }

  /** An answer of the proxy's own: its status line is passed over, its fields become HEADERS. 0: there is no room. */
  putAnswer(stream: Http2Stream, at: number, length: number, status: number, ends: boolean): number {
    const { codec, u8 } = this.context.core;
    const to = this.#output.reserve(length + LINES_ROOM);
    if (to === 0) return 0;
    let line = at;
    while (u8[line++] !== 0x0a);
    // without the empty line
    const linesLength = at + length - 2 - line;
    const written = codec.h2PutLines(this.h2, stream.record, status, line, linesLength, ends ? 1 : 0, to);
    this.#output.commit(written);
    this.#wake();
    return written;
  }

  /** False: there are none, and the stream has to be ended otherwise. */
  putTrailers(stream: Http2Stream, upstream: Upstream): boolean {
    const { codec } = this.context.core;
    const to = codec.headScratchAt();
    return this.#putScratch(to, codec.h2PutTrailers(this.h2, stream.record, upstream.record, to)) > 0;
  }

  /** An empty DATA frame that ends the stream. False: it is not possible. */
  putEnd(stream: Http2Stream): boolean {
    const to = this.#output.reserve(abi.H2_FRAME_HEADER);
    if (to === 0) return false;
    const written = this.context.core.codec.h2PutData(this.h2, stream.record, to, 0, 1);
    this.#output.commit(written);
    this.#wake();
    return written > 0;
  }

  /** Body bytes as DATA, as many as may go now: how many, or WOULD_BLOCK. `ends`: they are the last ones. */
  sendData(stream: Http2Stream, at: number, length: number, ends: boolean): number {
    if (this.#turn !== stream && this.#turns.any) return this.#waits(stream, 0);
    let done = 0;
    while (done < length) {
      const part = this.#partFor(stream, length - done);
      if (part === 0) return this.#waits(stream, done);
      this.#putData(stream, at + done, part, ends && done + part === length);
      done += part;
    }
    return done;
  }

  #waits(stream: Http2Stream, done: number): number {
    stream.writable = false;
    if (!stream.isWaiting && !this.#isStreamShut(stream)) this.#enqueue(stream);
    return done > 0 ? done : WOULD_BLOCK;
  }

  /** Its own window is used up: no turn would help it. */
  #isStreamShut(stream: Http2Stream): boolean {
    const { codec } = this.context.core;
    return codec.h2Sendable(this.h2, stream.record) === 0 && codec.h2Window(this.h2) > 0;
  }

  /** How much of `length` may be sent now in one frame; 0: the stream has to wait. */
  #partFor(stream: Http2Stream, length: number): number {
    const { codec } = this.context.core;
    const isTurn = this.#turn === stream;
    if (isTurn && this.#turnLeft <= 0) return 0;
    const sendable = codec.h2Sendable(this.h2, stream.record);
    if (sendable === 0) {
      if (codec.h2Window(this.h2) <= 0) this.#isWindowShut = true;
      return 0;
    }
    let room = this.#output.bodyRoom();
    if (room < FRAME_ROOM_MIN && room < length + abi.H2_FRAME_HEADER) {
      if (this.#isBlocked || !this.#send()) return 0;
      room = this.#output.bodyRoom();
      if (room === 0) {
        this.buffers.wait(this.slot);
        return 0;
      }
    }
    const part = Math.min(length, sendable, room - abi.H2_FRAME_HEADER);
    return isTurn ? Math.min(part, this.#turnLeft) : part;
  }

  #putData(stream: Http2Stream, at: number, length: number, ends: boolean): void {
    const { codec } = this.context.core;
    const to = this.#output.reserve(abi.H2_FRAME_HEADER + length);
    codec.h2PutData(this.h2, stream.record, to, length, ends ? 1 : 0);
    codec.copy(to + abi.H2_FRAME_HEADER, at, length);
    this.#output.commit(abi.H2_FRAME_HEADER + length);
    if (this.#turn === stream) this.#turnLeft -= length;
    this.#wake();
  }

  // ---- whose turn it is ----

  #enqueue(stream: Http2Stream): void {
    if (stream.isWaiting) return;
    this.#turns.add(stream);
    if (!this.#isBlocked) this.#wake();
  }

  /** Those that wait send, one after the other, as long as the peer takes it. */
  #giveTurns(): void {
    for (let left = this.#turns.count; left > 0 && !this.#isBlocked && !this.#isWindowShut; left--) {
      const stream = this.#turns.take();
      if (stream === null) return;
      this.#turn = stream;
      this.#turnLeft = TURN_BYTES;
      stream.writable = true;
      stream.stream!.onSessionEvents();
      this.#turn = null;
    }
  }

  // ---- sending ----

  /** Sends replies and frames, and has those add to them that wait. */
  #flush(): void {
    if (!this.#send()) return;
    if (this.#turns.any && !this.#isWindowShut) {
      this.#giveTurns();
      if (this.#state >= LINGER || !this.#send()) return;
    }
    if (this.#hasFailed) return this.#end();
    if (this.#state === LEAVING && this.#streamCount === 0 && this.#leavingMs === 0) this.#finish();
  }

  /** True: everything has been sent. */
  #send(): boolean {
    this.#takeReplies();
    switch (this.#output.flush(this)) {
      case DRAINED:
        this.#isBlocked = false;
        this.#blockedMs = 0;
        return true;
      case BLOCKED:
        this.#isBlocked = true;
        this.#blockedMs = this.loop.nowMs;
        this.#expect(this.#blockedMs + this.context.timeouts.writeMs);
        return false;
      default:
        this.broken = true;
        this.#wake();
        return false;
    }
  }

  /** Moves the codec's replies to the output. False: there is no room, since the peer takes nothing. */
  #takeReplies(): boolean {
    const { codec } = this.context.core;
    for (let length = codec.h2Replies(this.h2); length > 0;) {
      if (!this.#output.mayPutHead) {
        if (!this.#isBlocked) this.buffers.wait(this.slot);
        return false;
      }
      this.#output.put(this.h2 + abi.H2_REPLIES_AT, length);
      length = codec.h2RepliesSent(this.h2, length);
    }
    return true;
  }

  // ---- time ----

  /** Something is due at `dueMs`: the timer goes off then or earlier. */
  #expect(dueMs: number): void {
    if (dueMs < this.#timerMs) this.#arm(dueMs);
  }

  #timerMs = Infinity;

  #arm(dueMs: number): void {
    this.#timerMs = dueMs;
    this.loop.timers.arm(this.slot, dueMs);
  }

  override armTimer(afterMs: number): void {
    this.#arm(this.loop.nowMs + afterMs);
  }

  /** The connection has become idle, or is not any more. */
  #restTimer(): void {
    if (this.#streamCount > 0) return;
    this.#idleMs = this.loop.nowMs;
    this.#expect(this.#dueMs());
  }

  /** When the next thing is late. */
  #dueMs(): number {
    const { requestHeaderMs, idleMs, writeMs } = this.context.timeouts;
    let due = Infinity;
    if (!this.#isAccepted) {
      due = this.#beganMs + (this.#isGreeted ? SETTINGS_MS : Math.min(SETTINGS_MS, requestHeaderMs));
    }
    if (this.#partialMs !== 0) due = Math.min(due, this.#partialMs + requestHeaderMs);
    if (this.#isBlocked) due = Math.min(due, this.#blockedMs + writeMs);
    if (this.#leavingMs !== 0) due = Math.min(due, this.#leavingMs + LEAVE_MS);
    if (this.#streamCount === 0) due = Math.min(due, this.#idleMs + idleMs);
    return due;
  }

  onTimeout(): void {
    this.#timerMs = Infinity;
    if (this.#state >= LINGER) return this.#close();
    const { nowMs } = this.loop;
    if (this.#leavingMs !== 0 && nowMs >= this.#leavingMs + LEAVE_MS) this.#sayLast();
    const due = this.#dueMs();
    if (nowMs < due) {
      if (due !== Infinity) this.#arm(due);
      return;
    }
    const isBlocked = this.#isBlocked && nowMs >= this.#blockedMs + this.context.timeouts.writeMs;
    if (isBlocked) return this.#end();
    const isUnaccepted = this.#isGreeted && !this.#isAccepted && nowMs >= this.#beganMs + SETTINGS_MS;
    if (isUnaccepted) this.context.counters.add(SETTINGS_TIMEOUTS, 1);
    this.#goAway(isUnaccepted ? abi.H2_SETTINGS_TIMEOUT : abi.H2_NO_ERROR);
  }

  // ---- ending ----

  /**
   * The worker drains: the client is told, and what it has asked until it knows is still answered (§6.8). Then comes the last
   * id, and the end when the last stream has ended.
   */
  leave(): void {
    if (this.#state !== OPEN) return;
    this.#state = LEAVING;
    const { codec } = this.context.core;
    codec.h2Goaway(this.h2, LAST_STREAM_MAX, abi.H2_NO_ERROR);
    codec.h2Ping(this.h2);
    this.#leavingMs = this.loop.nowMs;
    this.#expect(this.#leavingMs + LEAVE_MS);
    this.#wake();
  }

  #sayLast(): void {
    const { codec } = this.context.core;
    this.#leavingMs = 0;
    codec.h2Goaway(this.h2, codec.h2LastStream(this.h2), abi.H2_NO_ERROR);
    this.#wake();
  }

  streamClosed(stream: Http2Stream): void {
    const { previous, next } = stream;
    if (stream.isWaiting) this.#turns.remove(stream);
    if (previous === null) this.#streams = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    stream.next = stream.previous = null;
    this.context.http2.streamsActive--;
    if (--this.#streamCount === 0) this.#restTimer();
    if (this.#state < LINGER) this.#wake();
  }

  /** The peer's fault; GOAWAY is among the replies. */
  #fail(abuse: number): void {
    this.context.counters.add(abuse === 0 ? CONNECTION_ERRORS : abuseCounter(abuse), 1);
    this.#abandonStreams();
    this.inAt = this.inEnd;
    this.#finish();
  }

  /** Ends it at once, with a reason. */
  #goAway(code: number): void {
    const { codec } = this.context.core;
    codec.h2Goaway(this.h2, codec.h2LastStream(this.h2), code);
    this.#abandonStreams();
    this.#finish();
  }

  #abandonStreams(): void {
    while (this.#streams !== null) {
      const stream = this.#streams;
      stream.break();
      // a stream without an exchange under way cannot be
      if (this.#streams === stream) stream.close();
    }
  }

  /** Sends what is left, and gives the peer time to read it: a close with unread bytes would take it back. */
  #finish(): void {
    if (this.#state >= LINGER) return;
    this.#send();
    this.#state = LINGER;
    this.#output.clear();
    this.releaseBuffer();
    this.shutdownWrite();
    this.armTimer(LINGER_MS);
    this.readable = true;
    this.#linger();
  }

  #linger(): void {
    for (;;) {
      const n = this.discardInput(this.context.core.logBatchAt, LINGER_READ);
      if (n === WOULD_BLOCK) return;
      this.#lingered += n;
      if (n <= 0 || this.#lingered > LINGER_BYTES_MAX) return this.#close();
    }
  }

  /** The connection is gone. */
  #end(): void {
    if (this.#state === CLOSED) return;
    this.#state = LINGER;
    this.#abandonStreams();
    this.#close();
  }

  #close(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#output.clear();
    this.#turns.clear();
    const { context } = this;
    if (this.#lingered === 0 && !this.broken) this.notifyClose();
    this.secure?.end();
    this.secure = null;
    this.closeSocket();
    this.#timerMs = Infinity;
    context.http2.giveRecord(this.h2);
    context.http2.idleSessions.push(this);
    context.sessionsActive--;
    context.onSessionEnd();
  }
}
