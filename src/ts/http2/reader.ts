// What comes on a connection of HTTP/2: received, given to the codec, and handed to the streams that it is for, or to the
// connection where it is about that. A body for which no buffer is free stays where it is, and all that is behind it.

import * as abi from "../../../assembly/abi.ts";
import { WOULD_BLOCK } from "../net/connection.ts";
import { Http2Stream } from "./stream.ts";
import { Http2Writer } from "./writer.ts";

/** Rates are limited by the second. */
const TICK_MS = 1_000;
/** Reads before others have their turn. */
const ROUNDS_MAX = 8;
/** What one connection may cause before others have their turn; a stream that is cut costs more than one that begins. */
const WORK_A_TURN = 32;
export const WORK_REQUEST = 1;
const WORK_CUT = 4;
/** What decodeBlock() answers, and h2Headers never does, while no buffer is free: the input has to wait. */
export const BLOCK_WAITS = -102;

/** Indexes of the counters of one side. */
export interface Http2Counts {
  resets: number;
  malformed: number;
  settingsTimeouts: number;
  stalled: number;
}

export abstract class Http2Reader extends Http2Writer {
  protected abstract readonly counts: Http2Counts;
  /** Body bytes that no buffer was free for: where, how many, whose, and whether they end it. */
  #strandedAt = 0;
  #strandedBytes = 0;
  #strandedSlot = -1;
  #strandedEnds = false;
  #isReading = false;
  #tickedMs = 0;
  /** When what lies in the input began that is not whole; 0: everything is. */
  protected partialMs = 0;
  /** What has come ends within a header block. */
  #isInBlock = false;
  /** What this turn of the loop has cost so far, in WORK_. */
  protected work = 0;
  /** The buffer that the last header block was decoded into. */
  protected blockBuffer = 0;

  protected beginReading(): void {
    this.#strandedBytes = this.partialMs = 0;
    this.#isInBlock = this.#isReading = false;
    this.#tickedMs = this.loop.nowMs;
  }

  /** Nothing more is looked at. */
  protected abstract get isEnding(): boolean;

  /** How long what has come in part may take to be whole. */
  protected abstract get partialTimeoutMs(): number;

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
    if (!this.isEnding) this.#rest();
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
    if (isEmpty && !this.#isInBlock) this.partialMs = 0;
    else if (this.partialMs === 0) {
      this.partialMs = this.loop.nowMs;
      this.expect(this.partialMs + this.partialTimeoutMs);
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
      if (!this.#handle(event) || this.isEnding) return false;
      if (this.work >= WORK_A_TURN) {
        this.wake();
        return false;
      }
    }
  }

  /** What has come in part will not be whole. */
  protected dropInput(): void {
    this.inAt = this.inEnd;
    this.#isInBlock = false;
    this.partialMs = 0;
  }

  protected consume(bytes: number): void {
    if (bytes === 0) return;
    this.inAt += bytes;
    // a header block has its time as a whole, however many frames it comes in
    if (!this.#isInBlock) this.partialMs = 0;
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
        // what they allow goes out behind their acknowledgement (RFC 9113 §6.5.3): the peer holds us to the old ones until then
        this.takeReplies();
        this.isWindowShut = false;
        this.onSettings();
        return true;
      case abi.EV_SETTINGS_ACK:
        this.onSettingsAccepted();
        return true;
      case abi.EV_PRIORITY:
        this.#onPriority(result[abi.R_SLOT]!, result[abi.R_PRIORITY]!);
        return true;
      case abi.EV_PING_ACK:
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
    if (!(handler instanceof Http2Stream)) return undefined;
    const owner: Http2Reader | null = handler.connection;
    return owner === this ? handler : undefined;
  }

  // ---- what the codec tells ----

  /** A head, of a stream that begins or of an answer. False: the input has to wait. */
  protected abstract onHeaders(): boolean;

  /** The peer takes no streams above `last`. */
  protected onGoaway(_last: number): void {}

  /** The peer has said its settings; and accepted ours. */
  protected abstract onSettings(): void;
  protected abstract onSettingsAccepted(): void;

  protected abstract onPingAnswered(): void;

  /** The peer's fault: an ABUSE_ number, or 0. GOAWAY is among the replies. */
  protected abstract fail(abuse: number): void;

  #onTrailers(): boolean {
    const { codec, result } = this.http2.core;
    const stream = this.streamIn(result[abi.R_SLOT]!)!;
    const code = this.decodeBlock(stream.record);
    if (code === BLOCK_WAITS || code === abi.H2_CONNECTION_FAILED) return false;
    if (code === abi.HEAD_DONE) {
      codec.keepTrailers(stream.record, this.blockBuffer);
      stream.end(this.blockBuffer);
      return true;
    }
    if (code !== abi.H2_STREAM_FAILED) this.buffers.give(this.blockBuffer);
    stream.onMalformed();
    return true;
  }

  /**
   * Decodes the header block at hand, of the stream with that record, into a buffer of its own: as h2Headers, or BLOCK_WAITS.
   * With HEAD_DONE and refusals the buffer is the caller's; what has failed is counted, and the connection ended if it was that.
   */
  protected decodeBlock(record: number): number {
    const { codec, result } = this.http2.core;
    const buffer = this.takeBuffer();
    if (buffer === 0) {
      this.waitForBuffer();
      return BLOCK_WAITS;
    }
    const { bytesOffset, capacity } = this.buffers;
    const code = codec.h2Headers(this.h2, record, buffer, buffer + bytesOffset, capacity);
    this.consume(result[abi.R_CONSUMED]!);
    this.blockBuffer = buffer;
    if (code !== abi.H2_STREAM_FAILED && code !== abi.H2_CONNECTION_FAILED) return code;
    this.buffers.give(buffer);
    if (code === abi.H2_CONNECTION_FAILED) this.fail(result[abi.R_ABUSE]!);
    else this.http2.counters.add(this.counts.malformed, 1);
    return code;
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
}
