// The life of a connection of HTTP/2 (RFC 9113), whichever side we are: its streams, its times, and how it ends. Proxy and
// cluster make of it what a client's connection and one to a backend are.
//
//   OPEN ─ GOAWAY (drain, idle, the peer's) ─► LEAVING ─ no stream is left ─► LINGER ─► closed
//     └ the peer's fault: GOAWAY ───────────────────────────────────────────────┘
//
// Events of the socket only read and hand over. While the peer does not take what waits for it, nothing more is read from it.

import * as abi from "../../../assembly/abi.ts";
import type { Connection } from "../net/connection.ts";
import { Http2Reader } from "./reader.ts";
import type { Http2Stream } from "./stream.ts";

export const OPEN = 0;
export const LEAVING = 1;
export const LINGER = 2;
export const CLOSED = 3;

/** How long the answer to a PING may take that tells that the peer has seen GOAWAY (RFC 9113 §6.8). */
const LEAVE_MS = 1_000;
/** How long SETTINGS may go without acknowledgement (§6.5.3). */
const SETTINGS_MS = 10_000;
const LAST_STREAM_MAX = 0x7fffffff;

export abstract class Http2Connection extends Http2Reader {
  protected state = CLOSED;
  streamCount = 0;
  /** The peer has said its first SETTINGS; and accepted ours. */
  isGreeted = false;
  #isAccepted = false;
  protected beganMs = 0;
  protected idleSinceMs = 0;
  #leavingMs = 0;
  #hasLingered = false;
  #timerMs = Infinity;

  // ---- beginning ----

  /** Takes over a connection with what has been received of it. `h2`: a record of the codec. */
  protected beginHttp2(from: Connection, h2: number, role: number, profile: number): void {
    const { core } = this.http2;
    this.adopt(from);
    this.loop.occupy(this.slot, this);
    this.beginWriting();
    this.beginReading();
    this.h2 = h2;
    this.state = OPEN;
    this.#leavingMs = 0;
    this.isGreeted = this.#isAccepted = this.#hasLingered = false;
    this.#timerMs = Infinity;
    this.beganMs = this.idleSinceMs = this.loop.nowMs;
    core.codec.h2Begin(h2, role, profile, this.record);
    if (!this.output.begin(h2)) this.buffers.waitForOutput(this.slot, 1);
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

  protected get isEnding(): boolean {
    return this.state >= LINGER;
  }

  // ---- what the peer says of the connection ----

  protected onSettings(): void {
    if (!this.isGreeted) {
      this.isGreeted = true;
      this.restTimer();
    }
    for (let stream = this.streams; stream !== null; stream = stream.next) {
      if (!stream.writable) this.enqueue(stream);
    }
  }

  protected onSettingsAccepted(): void {
    this.#isAccepted = true;
  }

  protected onPingAnswered(): void {
    if (this.#leavingMs !== 0) this.#sayLast();
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
    this.callHeads();
    if (this.turns.any && !this.isWindowShut) {
      this.giveTurns();
      if (this.state >= LINGER || !this.flushOutput()) return;
    }
    if (this.hasFailed) return this.end();
    if (this.state === LEAVING && this.streamCount === 0 && this.#leavingMs === 0) this.finish();
  }

  // ---- time ----

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
      due = this.beganMs + (this.isGreeted ? SETTINGS_MS : Math.min(SETTINGS_MS, this.partialTimeoutMs));
    }
    if (this.partialMs !== 0) due = Math.min(due, this.partialMs + this.partialTimeoutMs);
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
    const isUnaccepted = this.isGreeted && !this.#isAccepted && nowMs >= this.beganMs + SETTINGS_MS;
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

  /** The peer has ended its side: nothing is expected of it any more, though it may still read. */
  protected noteInputEnd(): void {
    this.readable = false;
    this.#isAccepted = true;
    this.dropInput();
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
