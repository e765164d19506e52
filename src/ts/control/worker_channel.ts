// Main's end of the channel to one worker: orders go out, events come in, and a question gets the answer that has its number.
// Whoever asks waits for the answer, for the end of the channel, or for as long as he says.

import { LineSocket, type LinesUnderWay } from "../sys/line_socket.ts";
import type { Poller } from "../sys/poll.ts";
import type { WorkerEvent, WorkerOrder } from "../worker/protocol.ts";
import { FlushTimer } from "./flush_timer.ts";

/** An event carries counters at most. */
const EVENT_BYTES_MAX = 1024 * 1024;
const QUEUE_BYTES_MAX = 1024 * 1024;
const FLUSH_INTERVAL_MS = 5;

/** An event that answers no question. */
export type News = Exclude<WorkerEvent, { id: number }>;

export interface ChannelOwner {
  onNews: (news: News) => void;
  /** The worker cannot be understood, or does not listen. */
  onFault: (reason: string) => void;
}

export class WorkerChannel {
  readonly #socket: LineSocket;
  readonly #flushTimer: FlushTimer;
  readonly #questions = new Map<number, (answer: unknown) => void>();
  #lastId = 0;
  #listens = false;

  constructor(fd: number, private readonly poller: Poller, private readonly owner: ChannelOwner, from?: LinesUnderWay) {
    this.#socket = from
      ? LineSocket.from(fd, from, EVENT_BYTES_MAX, QUEUE_BYTES_MAX)
      : new LineSocket(fd, EVENT_BYTES_MAX, QUEUE_BYTES_MAX);
    this.#flushTimer = new FlushTimer(this.#socket, FLUSH_INTERVAL_MS);
  }

  /** Hears what the worker says. */
  listen(): void {
    if (this.#listens || this.#socket.closed) return;
    this.#listens = true;
    this.poller.add(this.#socket.fd, () => this.#receive());
  }

  /** For another main. Throws LineError when the worker does not take what it was told. */
  handOver(): { channel: number; underWay: LinesUnderWay } {
    this.#socket.flush();
    return { channel: this.#socket.fd, underWay: this.#socket.underWay() };
  }

  send(order: WorkerOrder, fds: number[] = []): void {
    if (this.#socket.closed) return;
    if (!this.#socket.send(order, fds)) return this.owner.onFault("it does not read its channel");
    this.#flushTimer.start();
  }

  /** The answer to an order that has a number; undefined when there is none in time. */
  async ask<Answer>(order: (id: number) => WorkerOrder, timeoutMs: number): Promise<Answer | undefined> {
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Answer | undefined>();
    this.#questions.set(id, resolve as (answer: unknown) => void);
    const timer = setTimeout(() => this.#answer(id, undefined), timeoutMs);
    this.send(order(id));
    const answer = await promise;
    clearTimeout(timer);
    return answer;
  }

  /** The worker has ended: its last words are heard, and no question is answered any more. */
  close(): void {
    if (!this.#socket.closed) this.#receive();
    this.#flushTimer.stop();
    this.poller.remove(this.#socket.fd);
    this.#socket.close();
    for (const id of [...this.#questions.keys()]) this.#answer(id, undefined);
  }

  #receive(): void {
    try {
      if (this.#socket.receive((line) => this.#onEvent(line as WorkerEvent))) return;
    } catch (error) {
      this.owner.onFault(`its channel is broken: ${(error as Error).message}`);
    }
    // The worker closed its end, or cannot be understood: it is about to end, or is made to.
    this.poller.remove(this.#socket.fd);
  }

  #onEvent(event: WorkerEvent): void {
    if (event.event === "status") this.#answer(event.id, event.status);
    else if (event.event === "explained") this.#answer(event.id, event.explained);
    else this.owner.onNews(event);
  }

  #answer(id: number, answer: unknown): void {
    this.#questions.get(id)?.(answer);
    this.#questions.delete(id);
  }
}
