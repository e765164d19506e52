// What the kernel does not take of a line socket's output at once is offered to it again after a moment, until it is gone.

import type { LineSocket } from "../sys/line_socket.ts";

export class FlushTimer {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly socket: LineSocket, private readonly intervalMs: number) {}

  /** To be called when something was sent. */
  start(): void {
    if (this.socket.closed || this.socket.queuedBytes === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.socket.flush();
      this.start();
    }, this.intervalMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
