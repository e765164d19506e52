// A socket as clients and backends of the chaos use it: bytes out as they are taken, bytes in by a callback, every way to end.

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

export type WireEnd = "open" | "closed" | "reset";

export class Wire {
  end: WireEnd = "open";
  /** What has come before anybody wanted it. */
  #early: Uint8Array[] = [];
  #onBytes: ((bytes: Uint8Array) => void) | undefined;
  /** The other side has ended: once. */
  onEnd: () => void = () => {};
  /** When bytes came last, or it was opened. */
  heardMs = performance.now();
  readonly #ended = Promise.withResolvers<void>();

  constructor(readonly socket: Socket | TLSSocket) {
    socket.setNoDelay(true);
    socket.setMaxListeners(0);
    socket.on("data", (bytes: Uint8Array) => {
      this.heardMs = performance.now();
      if (this.#onBytes === undefined) this.#early.push(Uint8Array.from(bytes));
      else this.#onBytes(bytes);
    });
    socket.on("end", () => this.#noteEnd("closed"));
    socket.on("error", () => this.#noteEnd("reset"));
    socket.on("close", () => this.#noteEnd("reset"));
  }

  set onBytes(take: (bytes: Uint8Array) => void) {
    this.#onBytes = take;
    for (const bytes of this.#early.splice(0)) take(bytes);
  }

  /** This side's number of the connection. */
  get port(): number {
    return this.socket.localPort ?? 0;
  }

  /** Resolves when the other side has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  #noteEnd(how: WireEnd): void {
    if (this.end !== "open") return;
    this.end = how;
    this.onEnd();
    this.#ended.resolve();
  }

  get isWritable(): boolean {
    return !this.socket.destroyed && this.socket.writable;
  }

  /** Resolves when the kernel has the bytes, or nobody takes them any more. */
  write(bytes: Uint8Array): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (!this.isWritable) setTimeout(resolve, 0);
    else {
      this.socket.once("close", resolve);
      this.socket.write(bytes, () => {
        this.socket.off("close", resolve);
        resolve();
      });
    }
    return promise;
  }

  finish(): void {
    if (!this.socket.destroyed) this.socket.end();
  }

  /** RST, where the socket is one of TCP alone. */
  reset(): void {
    if ("encrypted" in this.socket || this.socket.destroyed) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
