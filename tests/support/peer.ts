// One end of a TCP connection in the hands of a test: it keeps every byte that came, in order, and how the connection
// ended, and it writes bytes whole, one by one, or in pieces. Client and scripted backend are both made of it. It knows
// no HTTP. Built on node:net, since that can reset a connection and close one direction of it.

import type { Socket } from "node:net";
import { setImmediate } from "node:timers";
import { type Bytes, concat, fromText, show } from "./bytes.ts";
import { type Random, splitAtRandom } from "./random.ts";

/** How bytes are given to the kernel. */
export type SendMode = "whole" | "byte by byte" | "split";

/** `open`: not ended; `closed`: the other end sent FIN; `reset`: the connection broke. */
export type PeerEnd = "open" | "closed" | "reset";

const WAIT_MS = 5_000;
/**
 * Byte by byte means that the reader gets each by itself, so it needs time in between. That many bytes get a millisecond
 * each; those behind them, which only make something long, a turn of the loop.
 */
const UNHURRIED_BYTES = 400;
const turnOfLoop = () => new Promise<void>((resolve) => setImmediate(() => resolve()));

export class Peer {
  #pieces: Uint8Array[] = [];
  #length = 0;
  #end: PeerEnd = "open";
  #waiting = new Set<() => void>();
  readonly socket: Socket;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (piece: Uint8Array) => {
      this.#pieces.push(Uint8Array.from(piece));
      this.#length += piece.length;
      this.#changed();
    });
    socket.on("end", () => this.#ended("closed"));
    socket.on("error", () => this.#ended("reset"));
    socket.on("close", () => this.#ended("reset"));
  }

  /** Called behind each arrival of bytes and at the end. */
  onChange: () => void = () => {};

  #changed(): void {
    this.onChange();
    for (const wake of [...this.#waiting]) wake();
  }

  #ended(how: "closed" | "reset"): void {
    if (this.#end !== "open") return;
    this.#end = how;
    this.#changed();
  }

  get end(): PeerEnd {
    return this.#end;
  }

  /** Count of bytes received. */
  get length(): number {
    return this.#length;
  }

  /** Everything received so far and not yet taken. */
  get received(): Bytes {
    const whole = concat(this.#pieces);
    this.#pieces = [whole];
    return whole;
  }

  /** Forgets the first `count` bytes and gives them. */
  take(count: number): Bytes {
    const whole = this.received;
    if (count > whole.length) throw new Error(`${count} bytes were to be taken, ${whole.length} are there`);
    this.#pieces = [whole.subarray(count)];
    this.#length = whole.length - count;
    return whole.slice(0, count);
  }

  /** Waits until `test` gives something; fails when the time is over, or at once when the connection ended before. */
  until<T>(what: string, test: () => T | undefined, waitMs = WAIT_MS): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = (why: string) => {
      done();
      reject(new Error(`${what}: ${why}; received ${this.#length} bytes:\n    ${show(this.received)}`));
    };
    const timer = setTimeout(() => fail(`nothing of it within ${waitMs} ms (connection ${this.#end})`), waitMs);
    const done = () => {
      clearTimeout(timer);
      this.#waiting.delete(look);
    };
    const look = () => {
      let result: T | undefined;
      try {
        result = test();
      } catch (error) {
        return fail(String(error));
      }
      if (result !== undefined) {
        done();
        resolve(result);
      } else if (this.#end !== "open") fail(`the connection is ${this.#end}`);
    };
    this.#waiting.add(look);
    look();
    return promise;
  }

  /** Waits for the other end to close or reset. */
  untilEnd(waitMs = WAIT_MS): Promise<"closed" | "reset"> {
    return this.until("end of the connection", () => this.#end === "open" ? undefined : this.#end, waitMs);
  }

  /** Resolves when the kernel took the bytes, or when the connection broke (which `end` tells). */
  write(bytes: Uint8Array | string): Promise<void> {
    const data = typeof bytes === "string" ? fromText(bytes) : bytes;
    const { promise, resolve } = Promise.withResolvers<void>();
    // a turn of the loop, so that a caller who writes until the connection ends is told of the end
    if (data.length === 0 || this.socket.destroyed || !this.socket.writable) setTimeout(resolve, 0);
    else {
      this.socket.once("close", resolve);
      this.socket.write(data, () => {
        this.socket.off("close", resolve);
        resolve();
      });
    }
    return promise;
  }

  async writeIn(mode: SendMode, bytes: Uint8Array, random: Random): Promise<void> {
    if (mode === "whole") return await this.write(bytes);
    if (mode === "byte by byte") {
      for (let at = 0; at < bytes.length && this.#end !== "reset"; at++) {
        await this.write(bytes.subarray(at, at + 1));
        await (at < UNHURRIED_BYTES ? new Promise((resolve) => setTimeout(resolve, 1)) : turnOfLoop());
      }
      return;
    }
    for (const piece of splitAtRandom(bytes, random)) {
      await this.write(piece);
      if (random.below(2)) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Sends FIN; the other direction stays open. */
  finish(): void {
    if (!this.socket.destroyed) this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Stops reading: the kernel's buffers fill, and the other end feels it. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  destroy(): void {
    this.socket.destroy();
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
