// A listening socket in the loop: accepts what waits, a bounded number at a time, stops while the worker is full or has
// no descriptors left, and goes on when it is told to.

import type { EventLoop, Handler } from "../loop/event_loop.ts";
import type { TlsServer } from "./tls_server.ts";
import { EAGAIN, ECONNABORTED, EINTR, EPOLLIN } from "../sys/libc.ts";

const ACCEPTS_MAX = 64;
/** Without descriptors or memory: how long until it is tried again. */
const PAUSE_MS = 100;

/** Takes over accepted sockets. */
export interface Accepter {
  /** Whether there is room for another client. */
  mayAccept(): boolean;
  /** `fd` is non-blocking; the peer's address lies where the listener was told to write it. */
  accepted(fd: number, listener: Listener): void;
}

export class Listener implements Handler {
  readonly port: number;
  /** What its clients speak; null speaks plainly. */
  tls: TlsServer | null = null;
  /** A whole Strict-Transport-Security field for its answers. */
  transportSecurity: Uint8Array<ArrayBuffer> | null = null;
  /** Where requests are sent that should have come by https; 0 answers them. */
  redirectPort = 0;
  /** Number of what its HTTP/2 connections bear and announce (assembly/http2/profile.ts). */
  http2Profile = 0;
  /** Clients that speak plainly may begin with HTTP/2 (RFC 9113 §3.3). */
  takesHttp2 = false;
  readonly #slot: number;
  #paused = false;

  constructor(
    private readonly loop: EventLoop,
    readonly fd: number,
    readonly name: string,
    private readonly addressAt: number,
    private readonly accepter: Accepter,
  ) {
    this.port = loop.system.localPort(fd);
    this.#slot = loop.takeSlot();
    const error = loop.add(this.#slot, fd, EPOLLIN, this);
    if (error < 0) throw new Error(`listener ${name}: epoll refuses its socket (errno ${-error})`);
  }

  onEvents(): void {
    for (let i = 0; i < ACCEPTS_MAX; i++) if (!this.#acceptOne()) return;
  }

  onTimeout(): void {
    this.resume();
  }

  #acceptOne(): boolean {
    if (!this.accepter.mayAccept()) {
      this.pause();
      return false;
    }
    const fd = this.loop.system.accept(this.fd, this.addressAt);
    if (fd >= 0) {
      this.accepter.accepted(fd, this);
      return true;
    }
    if (fd === -ECONNABORTED || fd === -EINTR) return true;
    if (fd !== -EAGAIN) {
      this.pause();
      this.loop.timers.arm(this.#slot, this.loop.nowMs + PAUSE_MS);
    }
    return false;
  }

  /** Accepted sockets inherit it: with TLS a small record may follow another that is not acknowledged yet. */
  sendAtOnce(): void {
    this.loop.system.setNoDelay(this.fd);
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.loop.change(this.#slot, this.fd, 0);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.loop.change(this.#slot, this.fd, EPOLLIN);
  }

  /** Accepts all that waits in the queue, then leaves the loop and closes this worker's descriptor. */
  close(): void {
    while (this.#acceptOne());
    this.loop.forget(this.fd);
    this.loop.freeSlot(this.#slot);
    this.loop.system.close(this.fd);
  }
}
