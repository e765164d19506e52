// A client of the control socket as main sees it: who it is, what it has asked for and is not answered yet, and how long it
// has said nothing. All of it is bounded.

import { LineSocket, type LinesUnderWay } from "../sys/line_socket.ts";
import { FlushTimer } from "./flush_timer.ts";
import {
  type ControlAnswer,
  type ControlRequest,
  type ErrorFields,
  REQUEST_BYTES_MAX,
  type Verb,
  VERBS,
  type Who,
} from "./protocol.ts";

/** Requests of one client at a time. */
const RUNNING_MAX = 16;
/** Answers that a client does not read are kept up to this size, then the client is dropped. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** A line must be whole this long after its first byte. */
const LINE_LIMIT_MS = 30_000;
/** Changes of more than this are large: a client may have one of them under way. */
const LARGE_ORDERS = 1_000;
const LARGE_TEXT = 64 * 1024;
const FLUSH_MS = 1;

export interface HandedClient {
  fd: number;
  who: Who;
  underWay: LinesUnderWay;
  /** Those that the next main goes on answering. */
  requests: ControlRequest[];
}

export class ControlClient {
  /** Being answered. */
  readonly #requests = new Set<ControlRequest>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #flushTimer: FlushTimer;
  #lastHeardMs = performance.now();
  /** Since when a line has begun and is not whole; 0: it is not so. */
  #lineBegunMs = 0;

  private constructor(private readonly socket: LineSocket, readonly who: Who) {
    this.#flushTimer = new FlushTimer(socket, FLUSH_MS);
    this.#flushTimer.start();
  }

  static on(fd: number, who: Who): ControlClient {
    return new ControlClient(new LineSocket(fd, REQUEST_BYTES_MAX, ANSWER_BYTES_MAX), who);
  }

  /** A client of another main; its requests have to be begun again. */
  static adopt({ fd, who, underWay }: HandedClient): ControlClient {
    return new ControlClient(LineSocket.from(fd, underWay, REQUEST_BYTES_MAX, ANSWER_BYTES_MAX), who);
  }

  handOver(): HandedClient {
    const { socket, who } = this;
    return { fd: socket.fd, who, underWay: socket.underWay(), requests: [...this.#requests] };
  }

  get fd(): number {
    return this.socket.fd;
  }

  get requests(): ReadonlySet<ControlRequest> {
    return this.#requests;
  }

  /** Resolves when there is nobody to answer to any more. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Memory that a line which is not whole yet takes. */
  get heldBytes(): number {
    return this.socket.heldBytes;
  }

  /** What waits to be read by the client. */
  get queuedBytes(): number {
    return this.socket.queuedBytes;
  }

  /** False: the client has closed. Throws LineError when what it sends is no line. */
  receive(onLine: (line: unknown) => void): boolean {
    this.#lastHeardMs = performance.now();
    this.#lineBegunMs ||= this.#lastHeardMs;
    return this.socket.receive((line) => {
      this.#lineBegunMs = 0;
      onLine(line);
    });
  }

  /** False: the client does not read its answers. */
  send(answer: ControlAnswer): boolean {
    if (this.socket.closed) return true;
    if (!this.socket.send(answer)) return false;
    this.#flushTimer.start();
    return true;
  }

  /** Why a request is not begun; undefined if it may be. */
  refusalOf(request: ControlRequest): ErrorFields | undefined {
    if (!VERBS.includes(request.verb as Verb)) {
      const reason = `verb ${JSON.stringify(request.verb)}: expected one of ${VERBS.join(", ")}`;
      return { code: "unknown_verb", reason };
    }
    if (this.#requests.size >= RUNNING_MAX) {
      return { code: "too_many", reason: `${RUNNING_MAX} requests of this client are under way already` };
    }
    if (isLarge(request) && this.#requests.values().some(isLarge)) {
      return { code: "too_many", reason: "a large change of this client is under way already" };
    }
    return undefined;
  }

  begin(request: ControlRequest): void {
    this.#requests.add(request);
  }

  end(request: ControlRequest): void {
    this.#requests.delete(request);
    this.#lastHeardMs = performance.now();
  }

  /** Whether it keeps main waiting, for the rest of a line or for anything at all. */
  isIdle(nowMs: number, idleLimitMs: number): boolean {
    const isWaiting = this.#requests.size === 0 || this.queuedBytes > 0;
    const isLate = this.#lineBegunMs > 0 && this.#lineBegunMs < nowMs - LINE_LIMIT_MS;
    return isLate || (isWaiting && this.#lastHeardMs < nowMs - idleLimitMs);
  }

  close(): void {
    this.#flushTimer.stop();
    this.socket.close();
    this.#gone.resolve();
  }
}

/** Whether a request holds enough to fill memory with. */
function isLarge({ text, state, orders }: ControlRequest): boolean {
  if (Array.isArray(orders)) return orders.length > LARGE_ORDERS;
  return typeof state === "object" || (typeof text === "string" && text.length > LARGE_TEXT);
}
