// Main's view of raw descriptors (worker channels, pidfds, the control socket): one epoll instance, waited for on a thread
// of the runtime's pool, one callback a descriptor. It stands in for node:net in main, whose import alone costs a fifth of the
// time until the first answer. A worker does not use it; its loop waits on the JavaScript thread.

import { addressOf, closeFd } from "./fds.ts";
import { checked } from "./errno.ts";
import { rareCalls } from "./rare_calls.ts";

const libc = rareCalls("libc.so.6", {
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "usize", "i32", "i32"], result: "i32", nonblocking: true },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  eventfd_write: { parameters: ["i32", "u64"], result: "i32" },
});

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
export const EPOLLIN = 1;
const EVENTS_MAX = 64;
/** struct epoll_event is packed on x86-64 only; its data follows the 4 bytes of events there, and 4 of padding elsewhere. */
const EVENT_BYTES = Deno.build.arch === "x86_64" ? 12 : 16;
const DATA_AT = EVENT_BYTES - 8;

interface Watch {
  fd: number;
  readable: () => void;
}

export class Poller {
  readonly #epoll = checked(libc.epoll_create1(EPOLL_CLOEXEC), "epoll_create1", "of main");
  readonly #wake = checked(libc.eventfd(0, EPOLL_CLOEXEC), "eventfd", "of main");
  /** By a number that is never used twice, so that an event of a descriptor just removed finds nobody. */
  readonly #watches = new Map<number, Watch>();
  readonly #tokens = new Map<number, number>();
  #lastToken = 0;
  #closing = false;
  readonly #done: Promise<void>;

  constructor() {
    this.#control(EPOLL_CTL_ADD, this.#wake, 0);
    this.#done = this.#run();
  }

  /** Calls `readable` whenever something can be read from `fd`, or its other side is gone, until it is removed. */
  add(fd: number, readable: () => void): void {
    const token = ++this.#lastToken;
    this.#control(EPOLL_CTL_ADD, fd, token);
    this.#watches.set(token, { fd, readable });
    this.#tokens.set(fd, token);
  }

  /** Forgets a descriptor; call it before the descriptor is closed. */
  remove(fd: number): void {
    const token = this.#tokens.get(fd);
    if (token === undefined) return;
    this.#tokens.delete(fd);
    this.#watches.delete(token);
    this.#control(EPOLL_CTL_DEL, fd, 0);
  }

  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      libc.eventfd_write(this.#wake, 1n);
    }
    await this.#done;
  }

  #control(operation: number, fd: number, token: number): void {
    const event = new Uint8Array(EVENT_BYTES);
    const view = new DataView(event.buffer);
    view.setUint32(0, EPOLLIN, true);
    view.setUint32(DATA_AT, token, true);
    checked(libc.epoll_ctl(this.#epoll, operation, fd, event), "epoll_ctl", `descriptor ${fd}`);
  }

  async #run(): Promise<void> {
    const events = new Uint8Array(EVENTS_MAX * EVENT_BYTES);
    const view = new DataView(events.buffer);
    const address = addressOf(events);
    while (!this.#closing) {
      const count = await libc.epoll_wait(this.#epoll, address, EVENTS_MAX, -1);
      // errno belongs to the thread of the pool that made the call: an interruption is the only failure that can occur here.
      for (let i = 0; i < count && !this.#closing; i++) {
        this.#watches.get(view.getUint32(i * EVENT_BYTES + DATA_AT, true))?.readable();
      }
    }
    closeFd(this.#wake);
    closeFd(this.#epoll);
  }
}
