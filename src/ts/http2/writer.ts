// The way out of an HTTP/2 connection, which all its streams share: frames are gathered and written once a turn of the loop,
// when everybody had a chance to add to them. Who finds no room, or has had his share, waits for a turn.

import * as abi from "../../../assembly/abi.ts";
import { Connection, WOULD_BLOCK } from "../net/connection.ts";
import { BLOCKED, DRAINED, HEAD_BUFFERS, Http2Output } from "./output.ts";
import type { Http2Context } from "./pool.ts";
import type { Http2Stream } from "./stream.ts";
import { Http2Turns } from "./turns.ts";

/** What of a stream's body goes out in one turn when others wait. */
const TURN_BYTES = 16_384;
/** Header of a frame, and what of a body makes one worth its while. */
const FRAME_ROOM_MIN = abi.H2_FRAME_HEADER + 64;

export abstract class Http2Writer extends Connection {
  /** Address of the connection's record in the codec. */
  h2 = 0;
  /** Bytes of all bodies that have gone out. */
  dataSent = 0;
  protected readonly output: Http2Output;
  protected readonly turns = new Http2Turns();
  /** The first of its streams. */
  protected streams: Http2Stream | null = null;
  /** Whose turn it is to send, and how much of it is left. */
  #turn: Http2Stream | null = null;
  #turnLeft = 0;
  /** The window of the connection is used up. */
  protected isWindowShut = false;
  /** The socket takes no more; since when. */
  protected isBlocked = false;
  protected blockedMs = 0;
  /** Streams wait for room to put a head, which needs no window. */
  #headsWait = false;
  /** Something that cannot be taken back was written in part. */
  protected hasFailed = false;

  constructor(protected readonly http2: Http2Context) {
    super(http2.loop, http2.buffers);
    this.output = new Http2Output(http2.core, http2.buffers);
  }

  protected beginWriting(): void {
    this.#turn = null;
    this.turns.clear();
    this.isWindowShut =
      this.isBlocked =
      this.#headsWait =
      this.hasFailed =
        false;
    this.blockedMs = this.dataSent = 0;
  }

  /** To be called again at the end of the turn. */
  protected wake(): void {
    this.loop.callAgain(this.slot);
  }

  /** Something is due at `dueMs`. */
  protected abstract expect(dueMs: number): void;

  protected get mustSend(): boolean {
    if (this.isBlocked) return false;
    return !this.output.isEmpty || this.http2.core.codec.h2Replies(this.h2) > 0 ||
      (this.turns.any && !this.isWindowShut && this.buffers.free > 0);
  }

  // ---- what streams send ----

  /** Whether a stream may put a head now; if not, it is called again when it may. */
  mayPutHead(stream: Http2Stream): boolean {
    if (this.output.mayPutHead) return true;
    stream.headWaits = this.#headsWait = true;
    if (!this.isBlocked) this.buffers.waitForOutput(this.slot, HEAD_BUFFERS);
    return false;
  }

  /** Frames of a header block that lie in a scratch, `length` bytes; the length. */
  putBlock(at: number, length: number): number {
    if (length === 0) return 0;
    // half a header block is worse than none: the peer's tables would differ from ours
    if (!this.output.put(at, length)) this.hasFailed = true;
    this.wake();
    return length;
  }

  /** The trailers of `source`. False: there are none that go on, and the stream has to be ended otherwise. */
  putTrailers(stream: Http2Stream, source: Connection): boolean {
    const { codec } = this.http2.core;
    const to = codec.headScratchAt();
    return this.putBlock(to, codec.h2PutTrailers(this.h2, stream.record, source.record, to)) > 0;
  }

  /** An empty DATA frame that ends the stream. False: it is not possible. */
  putEnd(stream: Http2Stream): boolean {
    const to = this.output.reserve(abi.H2_FRAME_HEADER);
    if (to === 0) return false;
    const written = this.http2.core.codec.h2PutData(this.h2, stream.record, to, 0, 1);
    this.output.commit(written);
    this.wake();
    return written > 0;
  }

  /** Body bytes as DATA, as many as may go now: how many, or WOULD_BLOCK. `ends`: they are the last ones. */
  sendData(stream: Http2Stream, at: number, length: number, ends: boolean): number {
    if (this.#turn !== stream && this.turns.any) return this.#waits(stream, 0);
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
    if (!stream.isWaiting && !this.isStreamShut(stream)) this.enqueue(stream);
    return done > 0 ? done : WOULD_BLOCK;
  }

  /** Its own window is used up: no turn would help it. */
  isStreamShut(stream: Http2Stream): boolean {
    const { codec } = this.http2.core;
    return codec.h2Sendable(this.h2, stream.record) === 0 && codec.h2Window(this.h2) > 0;
  }

  /** How much of `length` may be sent now in one frame; 0: the stream has to wait. */
  #partFor(stream: Http2Stream, length: number): number {
    const { codec } = this.http2.core;
    const isTurn = this.#turn === stream;
    if (isTurn && this.#turnLeft <= 0) return 0;
    const sendable = codec.h2Sendable(this.h2, stream.record);
    if (sendable === 0) {
      if (codec.h2Window(this.h2) <= 0) this.isWindowShut = true;
      return 0;
    }
    let room = this.output.bodyRoom();
    if (room < FRAME_ROOM_MIN && room < length + abi.H2_FRAME_HEADER) {
      if (this.isBlocked || !this.flushOutput()) return 0;
      room = this.output.bodyRoom();
      if (room === 0) {
        this.buffers.waitForOutput(this.slot, 1);
        return 0;
      }
    }
    const part = Math.min(length, sendable, room - abi.H2_FRAME_HEADER);
    return isTurn ? Math.min(part, this.#turnLeft) : part;
  }

  #putData(stream: Http2Stream, at: number, length: number, ends: boolean): void {
    const { codec } = this.http2.core;
    const to = this.output.reserve(abi.H2_FRAME_HEADER + length);
    codec.h2PutData(this.h2, stream.record, to, length, ends ? 1 : 0);
    codec.copy(to + abi.H2_FRAME_HEADER, at, length);
    this.output.commit(abi.H2_FRAME_HEADER + length);
    this.dataSent += length;
    if (this.#turn === stream) this.#turnLeft -= length;
    this.wake();
  }

  /** There is room again: the streams that wait for it to put a head are called. */
  protected callHeads(): void {
    if (!this.#headsWait) return;
    if (!this.output.mayPutHead) return this.buffers.waitForOutput(this.slot, HEAD_BUFFERS);
    this.#headsWait = false;
    for (let stream = this.streams; stream !== null; stream = stream.next) {
      if (!stream.headWaits) continue;
      stream.headWaits = false;
      this.loop.callAgain(stream.slot);
    }
  }

  // ---- whose turn it is ----

  protected enqueue(stream: Http2Stream): void {
    if (stream.isWaiting) return;
    this.turns.add(stream);
    if (!this.isBlocked) this.wake();
  }

  /** Those that wait send, one after the other, as long as the peer takes it. */
  protected giveTurns(): void {
    for (let left = this.turns.count; left > 0 && !this.isBlocked && !this.isWindowShut; left--) {
      const stream = this.turns.take();
      if (stream === null) return;
      this.#turn = stream;
      this.#turnLeft = TURN_BYTES;
      stream.writable = true;
      stream.onTurn();
      this.#turn = null;
    }
  }

  // ---- sending ----

  /** Sends replies and frames. True: everything has been sent. */
  protected flushOutput(): boolean {
    this.takeReplies();
    switch (this.output.flush(this)) {
      case DRAINED:
        this.isBlocked = false;
        this.blockedMs = 0;
        if (!this.output.owes) return true;
        this.buffers.waitForOutput(this.slot, 1);
        return false;
      case BLOCKED:
        if (!this.isBlocked || this.output.hasMoved) this.blockedMs = this.loop.nowMs;
        this.isBlocked = true;
        this.expect(this.blockedMs + this.http2.timeouts.writeMs);
        return false;
      default:
        this.broken = true;
        this.wake();
        return false;
    }
  }

  /** Moves the codec's replies to the output. False: there is no room, since the peer takes nothing. */
  protected takeReplies(): boolean {
    const { codec } = this.http2.core;
    for (let length = codec.h2Replies(this.h2); length > 0;) {
      if (!this.output.mayPutHead) {
        if (!this.isBlocked) this.buffers.waitForOutput(this.slot, HEAD_BUFFERS);
        return false;
      }
      this.output.put(this.h2 + abi.H2_REPLIES_AT, length);
      length = codec.h2RepliesSent(this.h2, length);
    }
    return true;
  }
}
