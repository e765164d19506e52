// One stream socket of the data path, downstream or upstream: its slot, what epoll has said of it, and the message that
// is being received on it. Bytes received lie in its buffer as two ranges: [inAt, inEnd) is not yet looked at,
// [outAt, outEnd) is ready to be sent to the other side. Subclasses know what the bytes mean.
//
// With `ssl` the same calls go through OpenSSL, on the same descriptor and with the same results.

import type { EventLoop, Handler } from "../loop/event_loop.ts";
import * as libc from "../sys/libc.ts";
import type { Buffers } from "./buffers.ts";
import type { Pipe, Pipes } from "./pipes.ts";
import { type Address, READ_AHEAD_BYTES, type Ssl, type TlsCalls, WANTS_WRITE } from "./tls_calls.ts";

export { errnoText } from "../sys/errno.ts";
export { EPROTO } from "../sys/libc.ts";

/** What a call answers that would have to wait. */
export const WOULD_BLOCK = -libc.EAGAIN;
/** What any call answers when the other side is gone. */
export const GONE = -libc.ECONNRESET;
/** What a connect has come to that took too long. */
export const NOT_IN_TIME = -libc.ETIMEDOUT;
/** What a connect answers that goes on in the background. */
export const IN_PROGRESS = -libc.EINPROGRESS;

/** Numbers of errors that say that the process or the host has run out of something. */
export const SHORTAGES: readonly number[] = [
  libc.EMFILE,
  libc.ENFILE,
  libc.ENOBUFS,
  libc.ENOMEM,
  libc.EADDRNOTAVAIL,
];

/**
 * How long, and for how many bytes, a peer that is still sending is listened to after the last that is sent to it; and how much of
 * that is read before others have their turn.
 */
const LINGER_MS = 2_000;
const LINGER_BYTES_MAX = 64 << 20;
const LINGER_TURN = 1 << 20;
const LINGER_READ = 1 << 16;

const CLOSED = libc.EPOLLHUP | libc.EPOLLERR;
const READABLE = libc.EPOLLIN | libc.EPOLLRDHUP | CLOSED;

export abstract class Connection implements Handler {
  fd = -1;
  slot = -1;
  /** Address of its record in linear memory. */
  record = 0;
  /** A read may give something: true until one came back short. */
  readable = false;
  /** A write may take something: true until one came back short. */
  writable = false;
  /** epoll tells when it can be written again. */
  #watchesWrites = false;
  /** The peer has sent its FIN (it may still read), or the connection is gone. */
  hangup = false;
  /** Reset, or closed in both directions. */
  broken = false;

  /** Address of its buffer, or 0. */
  buffer = 0;
  inAt = 0;
  inEnd = 0;
  outAt = 0;
  outEnd = 0;

  /** How the body being received is delimited: BODY_ of the ABI, 0 without a body. */
  bodyMode = 0;
  bodyRemaining = 0;
  /** It goes on in chunks of our own. */
  reframed = false;
  /** All of it has been received (it may not all have been sent on). */
  bodyDone = true;
  /** Trailer fields are being received: the buffer must stay. */
  inTrailers = false;
  /** Nothing follows what has been received, trailers included. */
  hasEnded = false;
  /** Decoded bytes of a chunked body, and how many there may be (0: any number). */
  bodyReceived = 0;
  bodyBytesMax = 0;
  /** Bytes written to this socket for the exchange at hand. */
  sent = 0;
  /** Holds bytes that were spliced from this socket. */
  pipe: Pipe | null = null;
  /** A head is being parsed. */
  headBegun = false;
  /** We have sent our FIN. */
  #writeEnded = false;
  #lingered = 0;

  /** OpenSSL's side of it; null speaks plainly. */
  ssl: Ssl | null = null;
  protected tls!: TlsCalls;
  #bioAddress: Address = 0n;
  /** TLS has ended by an error: nothing more may be asked of it. */
  #tlsFailed = false;
  /** OpenSSL has read ahead: records, or a part of one. */
  #tlsHolds = false;
  /** The socket may hold more than OpenSSL has read: false once a read is known to have come back short. */
  #mayHoldMore = true;
  /** Bytes that had been read from the socket before the last step of the handshake; -1: not noted. */
  #readBefore = -1;
  /** OpenSSL has to write before it can read on. */
  #readWantsWrite = false;

  constructor(protected readonly loop: EventLoop, protected readonly buffers: Buffers) {}

  abstract onEvents(events: number): void;
  abstract onTimeout(): void;

  /** Begins with a new descriptor in a slot of its own. */
  protected open(fd: number, slot: number, record: number, writable: boolean): void {
    this.fd = fd;
    this.slot = slot;
    this.record = record;
    this.readable = this.hangup = this.broken = false;
    this.writable = writable;
    this.#watchesWrites = !writable;
    this.inAt =
      this.inEnd =
      this.outAt =
      this.outEnd =
        0;
    this.bodyMode = 0;
    this.bodyRemaining =
      this.bodyReceived =
      this.bodyBytesMax =
      this.sent =
        0;
    this.bodyDone = true;
    this.reframed =
      this.inTrailers =
      this.hasEnded =
      this.headBegun =
      this.#writeEnded =
        false;
  }

  /**
   * The head ends at `headEnd`, and a body of `mode` follows; `length` where the mode has one. `bytesMax`: of a body in
   * chunks, 0 for any number.
   */
  beginBody(headEnd: number, mode: number, length: number, bytesMax: number): void {
    this.inAt = this.outAt = this.outEnd = headEnd;
    this.bodyMode = mode;
    this.bodyRemaining = length;
    this.bodyDone = mode === 0;
    this.bodyReceived = 0;
    this.bodyBytesMax = bytesMax;
    this.reframed = this.inTrailers = false;
  }

  /** Everything from now on, what lies in the buffer included, goes to the other side as it is. `mode`: BODY_CLOSE. */
  beginTunnel(mode: number): void {
    if (this.outAt === this.outEnd) this.outAt = this.inAt;
    this.outEnd = this.inAt = this.inEnd;
    this.bodyMode = mode;
    this.bodyDone = this.reframed = false;
  }

  /** Notes that our FIN is being sent; false when it has been before. */
  noteWriteEnd(): boolean {
    if (this.#writeEnded) return false;
    return this.#writeEnded = true;
  }

  /** Takes over descriptor, slot, TLS and what has been received from another one, which is left with nothing. */
  protected adopt(from: Connection): void {
    const { fd, slot, record, writable, readable, hangup, broken, buffer, inAt, inEnd } = from;
    this.open(fd, slot, record, writable);
    this.#watchesWrites = from.#watchesWrites;
    this.readable = readable;
    this.hangup = hangup;
    this.broken = broken;
    this.buffer = buffer;
    this.inAt = inAt;
    this.inEnd = inEnd;
    this.#adoptTls(from);
    from.fd = from.slot = -1;
    from.buffer = 0;
  }

  #adoptTls(from: Connection): void {
    this.ssl = from.ssl;
    this.tls = from.tls;
    this.#bioAddress = from.#bioAddress;
    this.#tlsFailed = from.#tlsFailed;
    this.#tlsHolds = from.#tlsHolds;
    this.#mayHoldMore = from.#mayHoldMore;
    this.#readWantsWrite = from.#readWantsWrite;
    from.ssl = null;
  }

  /** Gives back a pipe that a body was being moved through. */
  abandonPipe(pipes: Pipes): void {
    if (this.pipe === null) return;
    pipes.give(this.pipe);
    this.pipe = null;
  }

  protected noteEvents(events: number): void {
    if (events & READABLE) this.readable = this.#mayHoldMore = true;
    if (events & (libc.EPOLLOUT | CLOSED)) this.writable = true;
    if (events & (libc.EPOLLRDHUP | CLOSED)) this.hangup = true;
    if (events & CLOSED) this.broken = true;
    if (this.#readWantsWrite && this.writable) this.readable = true;
  }

  /**
   * Receives into the buffer behind inEnd, `length` bytes at most. The count; 0 at the end of the stream; -errno. A short
   * read means that the socket is empty: epoll will tell of more.
   */
  receive(length: number): number {
    if (this.ssl !== null) return this.#receiveTls(length);
    const n = this.loop.system.recv(this.fd, this.inEnd, length, 0);
    if (n > 0) this.inEnd += n;
    if (n < length && n !== 0 && !this.hangup) this.readable = false;
    return n;
  }

  #receiveTls(length: number): number {
    const { tls } = this;
    const before = tls.received(this.#bioAddress);
    const n = this.#readTls(this.inEnd, length);
    // The end of a record that lay there in part is read by its length, which says nothing about what follows; any other
    // read asks for more than a record.
    const count = tls.received(this.#bioAddress) - before;
    if (count !== 0) this.#mayHoldMore = this.#tlsHolds || (count >>> 0) >= READ_AHEAD_BYTES;
    this.#tlsHolds = tls.holdsMore(this.ssl!);
    if (n > 0) this.inEnd += n;
    // an end of the stream that has been reported is still to be read
    if (n !== 0 && !this.hangup) this.readable = n > 0 && (this.#tlsHolds || this.#mayHoldMore);
    return n;
  }

  #readTls(at: number, length: number): number {
    const n = this.tls.read(this.ssl!, at, length);
    this.#readWantsWrite = n === WANTS_WRITE;
    if (n === WANTS_WRITE) {
      this.noteFull();
      return WOULD_BLOCK;
    }
    if (n < 0 && n !== WOULD_BLOCK) this.#tlsFailed = true;
    return n;
  }

  /** Sends: the count, WOULD_BLOCK, or -errno. With TLS, what was not taken must come again, whatever may then follow it. */
  send(at: number, length: number): number {
    if (this.ssl === null) return this.loop.system.send(this.fd, at, length);
    const n = this.tls.write(this.ssl!, at, length);
    if (n === WANTS_WRITE) return WOULD_BLOCK;
    if (n < 0 && n !== WOULD_BLOCK) this.#tlsFailed = true;
    return n;
  }

  /** Takes over an object of OpenSSL that speaks on the descriptor; it is freed with the connection. */
  beginTls(ssl: Ssl, tls: TlsCalls): void {
    this.ssl = ssl;
    this.tls = tls;
    this.#bioAddress = tls.readBio(ssl);
    this.#tlsFailed = this.#readWantsWrite = this.#tlsHolds = false;
    this.#mayHoldMore = true;
    this.#readBefore = -1;
  }

  /** The handshake is about to go on: so it can be told afterwards whether it has emptied the socket. */
  noteTlsStep(): void {
    this.#readBefore = this.tls.received(this.#bioAddress);
    this.#tlsHolds = this.tls.holdsMore(this.ssl!);
  }

  /** TLS has failed, or never came to be: the peer is not told of the end. */
  noteTlsFailure(): void {
    this.#tlsFailed = true;
  }

  /** The handshake is complete. What came behind it may lie in OpenSSL already, where no event will tell of it. */
  noteTlsBegin(): void {
    const count = this.tls.received(this.#bioAddress) - this.#readBefore;
    // as in #receiveTls(), of which this is the first read or none
    const isEmptied = this.#readBefore >= 0 && !this.#tlsHolds && count !== 0 && (count >>> 0) < READ_AHEAD_BYTES;
    this.#mayHoldMore = !isEmptied;
    this.#tlsHolds = this.tls.holdsMore(this.ssl!);
    this.readable = this.#mayHoldMore || this.#tlsHolds || this.hangup;
  }

  /** Gives OpenSSL's object up; the descriptor stays, and goes on plainly. */
  protected endTls(): void {
    if (this.ssl === null) return;
    this.tls.free(this.ssl);
    this.ssl = null;
  }

  /** Says that nothing more will be sent: in TLS first, where that has not failed, then with a FIN. */
  shutdownWrite(): void {
    this.notifyClose();
    this.loop.system.shutdownWrite(this.fd);
  }

  protected notifyClose(): void {
    if (this.ssl !== null && !this.#tlsFailed) this.tls.notifyClose(this.ssl);
  }

  /** A write came back short: the next event with EPOLLOUT says that it may be tried again. */
  noteFull(): void {
    this.writable = false;
    if (this.#watchesWrites) return;
    this.#watchesWrites = true;
    this.loop.watchWrites(this.slot, this.fd);
  }

  /** Where received bytes begin in the buffer. */
  get bufferStart(): number {
    return this.buffer + this.buffers.bytesOffset;
  }

  /** Forgets what is in the buffer and begins at its start. */
  rewind(): void {
    this.inAt =
      this.inEnd =
      this.outAt =
      this.outEnd =
        this.bufferStart;
  }

  /** Bytes that may still be received into the buffer. */
  get room(): number {
    return this.bufferStart + this.buffers.capacity - this.inEnd;
  }

  /** An empty buffer. */
  protected useBuffer(buffer: number): void {
    this.buffer = buffer;
    this.rewind();
  }

  /**
   * Whether the peer has neither closed nor sent anything that is unread. An event alone does not tell: the last bytes may
   * have been read between their arrival and its report. `at`: where one byte may be written.
   */
  isQuiet(at: number): boolean {
    if (this.hangup || this.inAt !== this.inEnd) return false;
    if (!this.readable) return true;
    this.readable = false;
    if (this.ssl !== null) {
      const n = this.#readTls(at, 1);
      this.#tlsHolds = this.tls.holdsMore(this.ssl!);
      return n === WOULD_BLOCK;
    }
    return this.loop.system.recv(this.fd, at, 1, 0) === WOULD_BLOCK;
  }

  /** Says that nothing follows, and gives the peer time to read it: a close with unread bytes would take it back. */
  protected beginLinger(): void {
    this.#lingered = 0;
    this.releaseBuffer();
    this.shutdownWrite();
    this.armTimer(LINGER_MS);
  }

  /**
   * Throws away what has come without reading it (what is encrypted is not decrypted for that); `at` is only named. False: the
   * peer has closed, or sends too much, and it is time to close.
   */
  protected mayLinger(at: number): boolean {
    for (const end = this.#lingered + LINGER_TURN; this.#lingered < end;) {
      const n = this.loop.system.recv(this.fd, at, LINGER_READ, libc.MSG_TRUNC);
      if (n === WOULD_BLOCK) return true;
      this.#lingered += n;
      if (n <= 0 || this.#lingered > LINGER_BYTES_MAX) return false;
    }
    this.loop.callAgain(this.slot);
    return true;
  }

  /** Gives the buffer back, whatever is in it. */
  releaseBuffer(): void {
    if (this.buffer === 0) return;
    const buffer = this.buffer;
    this.buffer = 0;
    this.inAt =
      this.inEnd =
      this.outAt =
      this.outEnd =
        0;
    this.buffers.give(buffer);
  }

  /** Gets a buffer for reading; false when there is none: the slot is then called again when there may be. */
  abstract acquireBuffer(): boolean;

  protected waitForBuffer(): boolean {
    if (this.readsAnswers) this.buffers.waitReserved(this.slot);
    else this.buffers.wait(this.slot);
    return false;
  }

  /** Those buffers are for it, too, that are kept back for answers. */
  protected get readsAnswers(): boolean {
    return false;
  }

  armTimer(afterMs: number): void {
    this.loop.timers.arm(this.slot, this.loop.nowMs + afterMs);
  }

  disarmTimer(): void {
    this.loop.timers.disarm(this.slot);
  }

  /** Closes the socket and gives back slot and buffer. */
  protected closeSocket(): void {
    this.releaseBuffer();
    if (this.ssl !== null) this.endTls();
    this.loop.system.close(this.fd);
    this.loop.freeSlot(this.slot);
    this.fd = -1;
    this.slot = -1;
  }
}
