// A connection speaking HTTP/2 (RFC 9113), whichever side we are: feeds the codec with what comes, tells the streams, and keeps
// the times. Proxy and cluster make of it what a client's connection and one to a backend are.
//
//   OPEN ─ GOAWAY (drain, idle, the peer's) ─► LEAVING ─ no stream is left ─► LINGER ─► closed
//     └ the peer's fault: GOAWAY ───────────────────────────────────────────────┘
//
// Events of the socket only read and hand over. While the peer does not take what waits for it, nothing more is read from it.

import * as abi from "../../../assembly/abi.ts";
import { type Connection, WOULD_BLOCK } from "../net/connection.ts";
import { Http2Stream } from "./stream.ts";
import { Http2Writer } from "./writer.ts";

export const OPEN = 0;
export const LEAVING = 1;
export const LINGER = 2;
export const CLOSED = 3;

/** How long the answer to a PING may take that tells that the peer has seen GOAWAY (RFC 9113 §6.8). */
const LEAVE_MS = 1_000;
/** How long SETTINGS may go without acknowledgement (§6.5.3). */
const SETTINGS_MS = 10_000;
/** Rates are limited by the second. */
const TICK_MS = 1_000;
/** Reads before others have their turn. */
const ROUNDS_MAX = 8;
/** What one connection may cause before others have their turn; a stream that is cut costs more than one that begins. */
const WORK_A_TURN = 32;
export const WORK_REQUEST = 1;
const WORK_CUT = 4;
const LAST_STREAM_MAX = 0x7fffffff;

/** Indexes of the counters of one side. */
export interface Http2Counts {
  resets: number;
  malformed: number;
  settingsTimeouts: number;
  stalled: number;
}

export abstract class Http2Connection extends Http2Writer {
  protected state = CLOSED;
  /** The first of its streams. */
  protected streams: Http2Stream | null = null;
  streamCount = 0;
  /** Body bytes that no buffer was free for: where, how many, whose, and whether they end it. */
  #strandedAt = 0;
  #strandedBytes = 0;
  #strandedSlot = -1;
  #strandedEnds = false;
  #isReading = false;
  /** The peer has said its first SETTINGS; and accepted ours. */
  isGreeted = false;
  #isAccepted = false;
  #beganMs = 0;
  #tickedMs = 0;
  /** When what lies in the input began that is not whole; 0: everything is. */
  #partialMs = 0;
  /** What has come ends within a header block. */
  #isInBlock = false;
  /** What this turn of the loop has cost so far, in WORK_. */
  protected work = 0;
  protected idleSinceMs = 0;
  #leavingMs = 0;
  #hasLingered = false;
  #timerMs = Infinity;

  protected abstract readonly counts: Http2Counts;

  // ---- beginning ----

  /** Takes over a connection with what has been received of it. `h2`: a record of the codec. */
  protected beginHttp2(from: Connection, h2: number, role: number, profile: number): void {
    const { core } = this.http2;
    this.adopt(from);
    this.loop.occupy(this.slot, this);
    this.beginWriting();
    this.h2 = h2;
    this.state = OPEN;
    this.#strandedBytes = this.#partialMs = this.#leavingMs = 0;
    this.#isInBlock =
      this.isGreeted =
      this.#isAccepted =
      this.#isReading =
      this.#hasLingered =
        false;
    this.#timerMs = Infinity;
    this.#beganMs = this.#tickedMs = this.idleSinceMs = this.loop.nowMs;
    core.codec.h2Begin(h2, role, profile, this.record);
    const to = core.codec.headScratchAt();
    this.output.put(to, core.codec.h2Preface(h2, to));
    this.expect(this.dueMs());
  }

  // ---- events ----

  onEvents(events: number): void {
    this.noteEvents(events);
    if (this.state === LINGER) return this.#linger();
    if (this.state === CLOSED) return;
    if (this.broken) return this.end();
    if (this.isBlocked && this.writable) this.#flush();
    else if (events === 0) this.#flush();
    if (this.state < LINGER) this.read();
    if (this.state < LINGER && this.mustSend) this.wake();
  }

  // ---- receiving ----

  protected read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    this.work = 0;
    for (let round = 0;; round++) {
      if (!this.#feed() || !this.readable) break;
      if (round === ROUNDS_MAX) {
        this.wake();
        break;
      }
      if (!this.#receive()) break;
    }
    this.#isReading = false;
    if (this.state < LINGER) this.#rest();
  }

  /** Receives behind what is there. False: nothing came, or the connection is over. */
  #receive(): boolean {
    if (this.buffer === 0 && !this.acquireBuffer()) return false;
    this.#makeRoom();
    const n = this.receive(this.room);
    if (n > 0) {
      this.onReceived();
      return true;
    }
    if (n !== WOULD_BLOCK) this.onInputEnd(n);
    return false;
  }

  protected onReceived(): void {}

  /** The peer has ended its side (0), or reading has failed with -errno. */
  protected abstract onInputEnd(result: number): void;

  #makeRoom(): void {
    if (this.inAt === this.inEnd) return this.rewind();
    const start = this.bufferStart;
    if (this.inAt === start || this.room > this.buffers.capacity >> 1) return;
    const length = this.inEnd - this.inAt;
    this.http2.core.codec.copy(start, this.inAt, length);
    this.inAt = start;
    this.inEnd = start + length;
  }

  acquireBuffer(): boolean {
    const buffer = this.takeBuffer();
    if (buffer === 0) return this.waitForBuffer();
    this.useBuffer(buffer);
    return true;
  }

  /** A buffer for what the peer sends, or 0. */
  abstract takeBuffer(): number;

  /** Without a buffer when nothing is in it; what is there in part has to be whole in time. */
  #rest(): void {
    const isEmpty = this.inAt === this.inEnd && this.#strandedBytes === 0;
    if (isEmpty) this.releaseBuffer();
    if (isEmpty && !this.#isInBlock) this.#partialMs = 0;
    else if (this.#partialMs === 0) {
      this.#partialMs = this.loop.nowMs;
      this.expect(this.#partialMs + this.partialTimeoutMs);
    }
  }

  /** Gives the codec what there is. False: something has to be waited for, or the connection is over. */
  #feed(): boolean {
    if (this.#strandedBytes > 0 && !this.#storeStranded()) return false;
    if (this.buffer === 0) return true;
    const { codec, result } = this.http2.core;
    if (this.loop.nowMs - this.#tickedMs >= TICK_MS) {
      this.#tickedMs = this.loop.nowMs;
      codec.h2Tick(this.h2);
    }
    for (;;) {
      const event = codec.h2Feed(this.h2, this.inAt, this.inEnd - this.inAt);
      this.#isInBlock = result[abi.R_IN_BLOCK] === 1;
      this.consume(result[abi.R_CONSUMED]!);
      if (event === abi.EV_MORE) return true;
      if (!this.#handle(event) || this.state >= LINGER) return false;
      if (this.work >= WORK_A_TURN) {
        this.wake();
        return false;
      }
    }
  }

  protected consume(bytes: number): void {
    if (bytes === 0) return;
    this.inAt += bytes;
    // a header block has its time as a whole, however many frames it comes in
    if (!this.#isInBlock) this.#partialMs = 0;
  }

  /** False: the input has to wait. */
  #handle(event: number): boolean {
    const { result } = this.http2.core;
    switch (event) {
      case abi.EV_DATA:
        return this.#onData();
      case abi.EV_HEADERS:
        return this.onHeaders();
      case abi.EV_TRAILERS:
        return this.#onTrailers();
      case abi.EV_END:
        this.streamIn(result[abi.R_SLOT]!)?.end(0);
        return true;
      case abi.EV_REPLIES:
        return this.takeReplies();
      case abi.EV_RESET:
        this.http2.counters.add(this.counts.resets, 1);
        this.work += WORK_CUT;
        this.streamIn(result[abi.R_SLOT]!)?.onReset(result[abi.R_ERROR_CODE]!);
        return true;
      case abi.EV_STREAM_ERROR:
        this.http2.counters.add(this.counts.malformed, 1);
        this.work += WORK_CUT;
        this.streamIn(result[abi.R_SLOT]!)?.onMalformed();
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
        this.onPingAnswered();
        return true;
      case abi.EV_GOAWAY:
        this.onGoaway(result[abi.R_LAST_STREAM]!);
        return true;
      case abi.EV_CONNECTION_ERROR:
        this.fail(result[abi.R_ABUSE]!);
        return false;
      default:
        return true;
    }
  }

  /** The stream in a slot; undefined when it is none of this connection's (any more). */
  protected streamIn(slot: number): Http2Stream | undefined {
    const handler = slot < 0 ? null : this.loop.handlerOf(slot);
    return handler instanceof Http2Stream && handler.connection === this ? handler : undefined;
  }

  // ---- what the codec tells ----

  /** A head, of a stream that begins or of an answer. False: the input has to wait. */
  protected abstract onHeaders(): boolean;

  /** The peer takes no streams above `last`. */
  protected onGoaway(_last: number): void {}

  #onTrailers(): boolean {
    const { codec, result } = this.http2.core;
    const stream = this.streamIn(result[abi.R_SLOT]!)!;
    const buffer = this.takeBuffer();
    if (buffer === 0) {
      this.waitForBuffer();
      return false;
    }
    const { bytesOffset, capacity } = this.buffers;
    const code = codec.h2Headers(this.h2, stream.record, buffer, buffer + bytesOffset, capacity);
    this.consume(result[abi.R_CONSUMED]!);
    if (code === abi.HEAD_DONE) {
      codec.keepTrailers(stream.record, buffer);
      stream.end(buffer);
      return true;
    }
    this.buffers.give(buffer);
    if (code === abi.H2_CONNECTION_FAILED) {
      this.fail(result[abi.R_ABUSE]!);
      return false;
    }
    if (code === abi.H2_STREAM_FAILED) this.http2.counters.add(this.counts.malformed, 1);
    stream.onMalformed();
    return true;
  }

  #onData(): boolean {
    const { result } = this.http2.core;
    this.#strandedSlot = result[abi.R_SLOT]!;
    this.#strandedAt = result[abi.R_DATA_AT]!;
    this.#strandedBytes = result[abi.R_DATA_LENGTH]!;
    this.#strandedEnds = result[abi.R_END_STREAM] === 1;
    return this.#storeStranded();
  }

  #storeStranded(): boolean {
    const stream = this.streamIn(this.#strandedSlot);
    if (stream === undefined) {
      this.#strandedBytes = 0;
      return true;
    }
    const stored = stream.store(this.#strandedAt, this.#strandedBytes);
    if (stored > 0) this.http2.core.codec.h2Stored(this.h2, stream.record, stored);
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
    this.isWindowShut = false;
    const stream = this.streamIn(slot);
    if (stream !== undefined && !stream.writable) this.enqueue(stream);
  }

  #onSettings(): void {
    if (!this.isGreeted) {
      this.isGreeted = true;
      this.restTimer();
    }
    this.isWindowShut = false;
    for (let stream = this.streams; stream !== null; stream = stream.next) {
      if (!stream.writable) this.enqueue(stream);
    }
    this.onSettings();
  }

  protected onSettings(): void {}
  protected onPingAnswered(): void {}

  #onPriority(slot: number, priority: number): void {
    const stream = this.streamIn(slot);
    // one that waits takes its new place when it waits again
    if (stream !== undefined) stream.priority = priority;
  }

  /** `bytes` of a stream's body have gone on to the other side. */
  passed(stream: Http2Stream, bytes: number): void {
    const { codec } = this.http2.core;
    codec.h2Passed(this.h2, stream.record, bytes);
    if (codec.h2Replies(this.h2) > 0) this.wake();
  }

  // ---- streams ----

  add(stream: Http2Stream): void {
    stream.previous = null;
    stream.next = this.streams;
    if (this.streams !== null) this.streams.previous = stream;
    this.streams = stream;
    this.streamCount++;
  }

  remove(stream: Http2Stream): void {
    const { previous, next } = stream;
    if (stream.isWaiting) this.turns.remove(stream);
    if (previous === null) this.streams = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    stream.next = stream.previous = null;
    this.streamCount--;
    // a connection that has not begun, or ends, has nothing to do for those that leave
    if (this.state >= LINGER) return;
    this.wake();
    if (this.streamCount > 0) return this.onRemoved();
    this.restTimer();
    if (this.state === OPEN) this.onIdle();
  }

  /** One of several streams has ended. */
  protected onRemoved(): void {}

  /** The last one has. */
  protected onIdle(): void {}

  // ---- sending ----

  /** Sends replies and frames, and has those add to them that wait. */
  #flush(): void {
    if (!this.flushOutput()) return;
    if (this.turns.any && !this.isWindowShut) {
      this.giveTurns();
      if (this.state >= LINGER || !this.flushOutput()) return;
    }
    if (this.hasFailed) return this.end();
    if (this.state === LEAVING && this.streamCount === 0 && this.#leavingMs === 0) this.finish();
  }

  // ---- time ----

  /** How long what has come in part may take to be whole, and the first SETTINGS to come. */
  protected abstract get partialTimeoutMs(): number;
  /** How long a connection without streams is kept. */
  protected abstract get idleTimeoutMs(): number;

  /** The timer goes off at `dueMs` or earlier. */
  protected expect(dueMs: number): void {
    if (dueMs < this.#timerMs) this.#arm(dueMs);
  }

  #arm(dueMs: number): void {
    this.#timerMs = dueMs;
    this.loop.timers.arm(this.slot, dueMs);
  }

  override armTimer(afterMs: number): void {
    this.#arm(this.loop.nowMs + afterMs);
  }

  /** The connection has become idle, or is not any more. */
  protected restTimer(): void {
    if (this.streamCount > 0) return;
    this.idleSinceMs = this.loop.nowMs;
    this.expect(this.dueMs());
  }

  /** When the next thing is late. */
  protected dueMs(): number {
    let due = Infinity;
    if (!this.#isAccepted) {
      due = this.#beganMs + (this.isGreeted ? SETTINGS_MS : Math.min(SETTINGS_MS, this.partialTimeoutMs));
    }
    if (this.#partialMs !== 0) due = Math.min(due, this.#partialMs + this.partialTimeoutMs);
    if (this.isBlocked) due = Math.min(due, this.blockedMs + this.http2.timeouts.writeMs);
    if (this.#leavingMs !== 0) due = Math.min(due, this.#leavingMs + LEAVE_MS);
    if (this.streamCount === 0) due = Math.min(due, this.idleSinceMs + this.idleTimeoutMs);
    return due;
  }

  onTimeout(): void {
    this.#timerMs = Infinity;
    if (this.state >= LINGER) return this.#close();
    const { nowMs } = this.loop;
    if (this.#leavingMs !== 0 && nowMs >= this.#leavingMs + LEAVE_MS) this.#sayLast();
    const due = this.dueMs();
    if (nowMs < due) {
      if (due !== Infinity) this.#arm(due);
      return;
    }
    this.onLate();
  }

  /** Something was due and has not come. */
  protected onLate(): void {
    const { nowMs } = this.loop;
    if (this.isBlocked && nowMs >= this.blockedMs + this.http2.timeouts.writeMs) {
      this.http2.counters.add(this.counts.stalled, 1);
      return this.end();
    }
    const isUnaccepted = this.isGreeted && !this.#isAccepted && nowMs >= this.#beganMs + SETTINGS_MS;
    if (isUnaccepted) this.http2.counters.add(this.counts.settingsTimeouts, 1);
    this.goAway(isUnaccepted ? abi.H2_SETTINGS_TIMEOUT : abi.H2_NO_ERROR);
  }

  // ---- ending ----

  /** The peer is told that we leave; what it has asked until it knows is still answered (§6.8). */
  protected announceLeaving(): void {
    this.state = LEAVING;
    const { codec } = this.http2.core;
    codec.h2Goaway(this.h2, LAST_STREAM_MAX, abi.H2_NO_ERROR);
    codec.h2Ping(this.h2);
    this.#leavingMs = this.loop.nowMs;
    this.expect(this.#leavingMs + LEAVE_MS);
    this.wake();
  }

  /** No stream begins any more; when the last one has ended, so does the connection. */
  protected leaveWithLastStream(): void {
    if (this.state >= LINGER) return;
    this.state = LEAVING;
    this.#leavingMs = 0;
    this.wake();
  }

  #sayLast(): void {
    const { codec } = this.http2.core;
    this.#leavingMs = 0;
    codec.h2Goaway(this.h2, codec.h2LastStream(this.h2), abi.H2_NO_ERROR);
    this.wake();
  }

  /** The peer's fault; GOAWAY is among the replies. */
  protected fail(abuse: number): void {
    this.http2.counters.add(this.faultCounter(abuse), 1);
    this.#loseStreams();
    this.inAt = this.inEnd;
    this.finish();
  }

  /** `abuse`: ABUSE_ number, or 0. */
  protected abstract faultCounter(abuse: number): number;

  /** Ends it at once, with a reason. */
  protected goAway(code: number): void {
    const { codec } = this.http2.core;
    codec.h2Goaway(this.h2, codec.h2LastStream(this.h2), code);
    this.#loseStreams();
    this.finish();
  }

  #loseStreams(): void {
    if (this.state === OPEN) this.state = LEAVING;
    while (this.streams !== null) this.streams.onConnectionLost();
  }

  /** Sends what is left, and gives the peer time to read it. */
  protected finish(): void {
    if (this.state >= LINGER) return;
    this.flushOutput();
    this.state = LINGER;
    this.onEnding();
    this.output.clear();
    this.#hasLingered = true;
    this.beginLinger();
    this.readable = true;
    this.#linger();
  }

  #linger(): void {
    if (!this.mayLinger(this.http2.core.logBatchAt)) this.#close();
  }

  /** The connection is gone. */
  protected end(): void {
    if (this.state >= LINGER) return;
    this.state = LINGER;
    this.onEnding();
    this.#loseStreams();
    this.#close();
  }

  #close(): void {
    if (this.state === CLOSED) return;
    this.state = CLOSED;
    this.output.clear();
    this.turns.clear();
    if (!this.#hasLingered && !this.broken) this.notifyClose();
    this.onClosing();
    this.closeSocket();
    this.#timerMs = Infinity;
    this.http2.http2.giveRecord(this.h2);
    this.onClosed();
  }

  /** It serves nobody from now on. */
  protected onEnding(): void {}
  /** The socket is still there. */
  protected abstract onClosing(): void;
  protected abstract onClosed(): void;
}
