// JSON lines over a non-blocking stream socket, with descriptors: the one transport of the channel between main and its
// workers (both ends) and of the control socket. A line with descriptors names how many it brings; they are queued in the
// order of arrival and never arrive later than the last byte of their line (unix(7): a read ends behind the bytes that
// carried descriptors). Both directions are bounded; nothing waits here: the owner says when to read and when to flush.

import { ECONNRESET, EPIPE, SystemError } from "./errno.ts";
import { closeFd, MESSAGE_FDS_MAX, receiveMessage, sendMessage } from "./fds.ts";

/** The peer broke the rules of the channel: a line too long, not JSON, descriptors missing. */
export class LineError extends Error {
  override name = "LineError";
}

/** What is under way on a socket, for whoever takes it over. */
export interface LinesUnderWay {
  /** The beginning of a line that has been read, as base64. */
  input: string;
  /** What waits to be written, as base64. */
  output: string;
}

interface Piece {
  data: Uint8Array<ArrayBuffer>;
  fds: readonly number[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const NEWLINE = 10;
/** The buffer of an idle socket; it grows with a longer line up to the bound, and shrinks when the line is done. */
const READ_BYTES = 4096;

export class LineSocket {
  readonly fd: number;
  #input = new Uint8Array(READ_BYTES);
  #inputLength = 0;
  readonly #fds: number[] = [];
  readonly #output: Piece[] = [];
  #outputBytes = 0;
  #closed = false;

  constructor(fd: number, private readonly lineBytesMax: number, private readonly queueBytesMax: number) {
    this.fd = fd;
  }

  /** Takes over a socket from another LineSocket. */
  static from(fd: number, underWay: LinesUnderWay, lineBytesMax: number, queueBytesMax: number): LineSocket {
    const socket = new LineSocket(fd, lineBytesMax, queueBytesMax);
    const input = Uint8Array.fromBase64(underWay.input);
    while (socket.#input.length < input.length) socket.#grow();
    socket.#input.set(input);
    socket.#inputLength = input.length;
    const data = Uint8Array.fromBase64(underWay.output);
    if (data.length > 0) socket.#output.push({ data, fds: [] });
    socket.#outputBytes = data.length;
    return socket;
  }

  /** For `from`. Descriptors that wait to be sent, or came without their line, cannot be told: there must be none. */
  underWay(): LinesUnderWay {
    if (this.#fds.length > 0 || this.#output.some(({ fds }) => fds.length > 0)) {
      throw new LineError("descriptors are under way");
    }
    const output = new Uint8Array(this.#outputBytes);
    let at = 0;
    for (const { data } of this.#output) {
      output.set(data, at);
      at += data.length;
    }
    return { input: this.#input.subarray(0, this.#inputLength).toBase64(), output: output.toBase64() };
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Memory that a line which is not whole yet takes, beyond that of an idle socket. */
  get heldBytes(): number {
    return this.#input.length - READ_BYTES;
  }

  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#outputBytes;
  }

  /** Reads all that is there and hands on each whole line. False: the peer has closed. Throws LineError on a broken line. */
  receive(onLine: (line: unknown) => void): boolean {
    while (!this.#closed) {
      if (this.#inputLength === this.#input.length) this.#grow();
      const count = this.#read();
      if (count === 0) return false;
      if (count < 0) return true;
      this.#inputLength += count;
      this.#splitLines(count, onLine);
    }
    return false;
  }

  /** The next `count` descriptors that arrived; called for the line that names them. */
  takeFds(count: number): number[] {
    if (count > this.#fds.length) throw new LineError(`a line names ${count} descriptors, ${this.#fds.length} came`);
    return this.#fds.splice(0, count);
  }

  /**
   * Sends a line, or queues what the kernel does not take; its descriptors must stay open until they are gone.
   * False: the bound of the queue is reached, the line is dropped.
   */
  send(line: unknown, fds: readonly number[] = []): boolean {
    const data = encoder.encode(JSON.stringify(line) + "\n");
    if (this.#closed || this.#outputBytes + data.length > this.queueBytesMax) return false;
    const pieces = Math.max(1, Math.ceil(fds.length / MESSAGE_FDS_MAX));
    for (let i = 0; i < pieces; i++) {
      const last = i === pieces - 1;
      this.#output.push({
        data: last ? data.subarray(i) : data.subarray(i, i + 1),
        fds: fds.slice(i * MESSAGE_FDS_MAX, (i + 1) * MESSAGE_FDS_MAX),
      });
    }
    this.#outputBytes += data.length;
    this.flush();
    return true;
  }

  /** Hands queued bytes to the kernel. True: all are gone. */
  flush(): boolean {
    while (this.#output.length > 0 && !this.#closed) {
      const piece = this.#output[0]!;
      const sent = this.#write(piece);
      if (sent === 0) return false;
      this.#outputBytes -= sent;
      if (sent === piece.data.length) this.#output.shift();
      else this.#output[0] = { data: piece.data.subarray(sent), fds: [] };
    }
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of this.#fds.splice(0)) closeFd(fd);
    closeFd(this.fd);
  }

  /** A peer that is gone is the end of the stream, whichever call sees it first. */
  #read(): number {
    try {
      return receiveMessage(this.fd, this.#input.subarray(this.#inputLength), this.#fds);
    } catch (error) {
      if (isGone(error)) return 0;
      throw error;
    }
  }

  /** What nobody will read is dropped: `receive` tells the owner that the peer is gone. */
  #write(piece: Piece): number {
    try {
      return sendMessage(this.fd, piece.data, piece.fds);
    } catch (error) {
      if (isGone(error)) return piece.data.length;
      throw error;
    }
  }

  #grow(): void {
    if (this.#input.length >= this.lineBytesMax) {
      throw new LineError(`a line is longer than ${this.lineBytesMax} bytes`);
    }
    const larger = new Uint8Array(Math.min(this.#input.length * 4, this.lineBytesMax));
    larger.set(this.#input);
    this.#input = larger;
  }

  #splitLines(added: number, onLine: (line: unknown) => void): void {
    const input = this.#input;
    let start = 0;
    let from = this.#inputLength - added;
    for (;;) {
      const end = input.subarray(0, this.#inputLength).indexOf(NEWLINE, from);
      if (end < 0) break;
      onLine(parseLine(input.subarray(start, end)));
      if (this.#closed) return;
      start = from = end + 1;
    }
    if (start === 0) return;
    const rest = input.subarray(start, this.#inputLength);
    this.#inputLength = rest.length;
    if (rest.length > READ_BYTES / 2) return void input.copyWithin(0, start, start + rest.length);
    const small = input.length > READ_BYTES ? new Uint8Array(READ_BYTES) : input;
    small.set(rest);
    this.#input = small;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof SystemError && (error.code === EPIPE || error.code === ECONNRESET);
}

function parseLine(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw new LineError("a line is not JSON");
  }
}
