// Pipes for splice(2): body bytes go from socket to pipe to socket without passing through user memory. A pipe is made
// when first needed, held only while bytes are in it, and kept for the next body; their number is bounded.

import type { System } from "../sys/libc.ts";

/** What a pipe is enlarged to; the system may allow less to an unprivileged user. */
const PIPE_BYTES = 1 << 20;

export class Pipe {
  /** Bytes inside. */
  held = 0;
  constructor(readonly readFd: number, readonly writeFd: number) {}
}

export class Pipes {
  readonly #system: System;
  readonly #idle: Pipe[] = [];
  #made = 0;

  constructor(system: System, readonly max: number) {
    this.#system = system;
  }

  get used(): number {
    return this.#made - this.#idle.length;
  }

  /** A pipe with nothing in it, or null: then copy. */
  take(): Pipe | null {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#made >= this.max || this.#system.pipe(PIPE_BYTES) < 0) return null;
    this.#made++;
    return new Pipe(this.#system.word(0), this.#system.word(1));
  }

  /** A pipe that still holds bytes is closed, not kept. */
  give(pipe: Pipe): void {
    if (pipe.held === 0) {
      this.#idle.push(pipe);
      return;
    }
    this.#system.close(pipe.readFd);
    this.#system.close(pipe.writeFd);
    this.#made--;
  }
}
