// The worker's end of the channel to main. Nothing here waits: the worker's loop watches `fd` with its other descriptors and
// calls `receive` when it is readable. A line that breaks the rules of the channel is a bug of main and throws.

import { LineSocket } from "../sys/line_socket.ts";
import type { WorkerEvent, WorkerOrder } from "./protocol.ts";

/** Orders name descriptors and ids, never more. */
const ORDER_BYTES_MAX = 256 * 1024;
/** Events wait here when main is slow; beyond it they are dropped. */
const QUEUE_BYTES_MAX = 1024 * 1024;

export class Channel {
  readonly fd: number;
  readonly #socket: LineSocket;

  /** Takes over a non-blocking stream socket. */
  constructor(fd: number) {
    this.fd = fd;
    this.#socket = new LineSocket(fd, ORDER_BYTES_MAX, QUEUE_BYTES_MAX);
  }

  /** Reads all that is there; each order comes with its descriptors, which the callback owns. False: main is gone. */
  receive(onOrder: (order: WorkerOrder, fds: number[]) => void): boolean {
    this.#socket.flush();
    return this.#socket.receive((line) => {
      const order = line as WorkerOrder;
      onOrder(order, "fds" in order ? this.#socket.takeFds(order.fds.length) : []);
    });
  }

  /** Sends an event; what the kernel does not take goes out with a later call of `receive` or `send`. */
  send(event: WorkerEvent): void {
    this.#socket.send(event);
  }

  close(): void {
    this.#socket.close();
  }
}
