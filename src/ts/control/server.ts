// Main's side of the control socket. Only root, the user that main runs as, and users that the configuration names may speak
// to it: the kernel is asked who connected, and the socket file has mode 0600 unless others are named. Clients are bounded
// in number, in what they may send, in what waits for them and in how long they may say nothing; a client that breaks a
// rule loses its connection and harms nobody else.

import { closeFd } from "../sys/fds.ts";
import { acceptConnection, openUnixListener, peerOf } from "../sys/listen.ts";
import type { Poller } from "../sys/poll.ts";
import { ControlClient, type HandedClient } from "./control_client.ts";
import { ControlError } from "./errors.ts";
import type { ControlAnswer, ControlRequest, Verb, Who } from "./protocol.ts";
import { SocketFile } from "./socket_file.ts";
import { userName } from "./user_names.ts";
import { delay, settledWithin } from "./waiting.ts";

const CLIENTS_MAX = 32;
const BACKLOG = 64;
/** Answers that are not read may take this of all clients together; whoever goes beyond it is dropped. */
const ALL_ANSWERS_BYTES_MAX = 128 * 1024 * 1024;
/** The same for lines that are not whole. */
const ALL_LINES_BYTES_MAX = 64 * 1024 * 1024;
const IDLE_LIMIT_MS = 60_000;
const SWEEP_MS = 1_000;
/** How often it is looked whether requests have ended that are waited for. */
const HOLD_POLL_MS = 1;
const LAST_ANSWERS_MS = 500;

/** Who asks, as far as a verb needs to know. */
export interface Asking {
  who: Who;
  progress: (fields: Record<string, unknown>) => void;
  /** Resolves when there is nobody to answer to any more. */
  gone: Promise<void>;
  /** What waits to be read by the client. */
  readonly queuedBytes: number;
}

/** Does what a request asks for; what it gives back becomes the answer, what it throws the error. */
export type Handler = (request: ControlRequest, asking: Asking) => Promise<object>;

/** The socket and its clients as one main hands them over to the next. */
export interface HandedServer {
  listener: number;
  clients: HandedClient[];
}

/** Requests that another main can go on with. */
const HANDED_VERBS: readonly Verb[] = ["subscribe", "upgrade"];

export class ControlServer {
  readonly #listener: number;
  readonly #file: SocketFile;
  readonly #clients = new Set<ControlClient>();
  readonly #sweep: ReturnType<typeof setInterval>;
  readonly #running = new Set<Promise<void>>();
  readonly #uid = Deno.uid();
  #uids: readonly number[] = [];
  /** Nothing is read until `release`. */
  #held = false;

  /** Serves on a listening socket that lies at `path`. */
  private constructor(
    path: string,
    listener: number,
    private readonly poller: Poller,
    private readonly handler: Handler,
    private readonly idleLimitMs: number,
  ) {
    this.#listener = listener;
    this.#file = new SocketFile(path);
    this.#sweep = setInterval(() => this.#dropIdle(), Math.min(SWEEP_MS, idleLimitMs));
  }

  /** Opens the socket; the path must have been made free by `claimSocketPath`. */
  static open(path: string, poller: Poller, handler: Handler, idleLimitMs = IDLE_LIMIT_MS): ControlServer {
    const server = new ControlServer(path, openUnixListener(path, BACKLOG), poller, handler, idleLimitMs);
    poller.add(server.#listener, () => server.#accept());
    return server;
  }

  /** Takes over socket and clients from another main, and what they are waiting for. Nothing new is read before `release`. */
  static adopt(path: string, handed: HandedServer, poller: Poller, handler: Handler): ControlServer {
    const server = new ControlServer(path, handed.listener, poller, handler, IDLE_LIMIT_MS);
    server.#held = true;
    for (const one of handed.clients) {
      const client = ControlClient.adopt(one);
      server.#clients.add(client);
      for (const request of one.requests) server.#begin(client, request);
    }
    return server;
  }

  /**
   * Reads nothing more, until `release`. Resolves when only requests are left that another main can go on with; false when
   * there are others still after the time.
   */
  async hold(limitMs: number): Promise<boolean> {
    this.#held = true;
    this.poller.remove(this.#listener);
    for (const { fd } of this.#clients) this.poller.remove(fd);
    const isBusy = () => this.#requests().some(({ verb }) => !HANDED_VERBS.includes(verb));
    for (let waitedMs = 0; isBusy() && waitedMs < limitMs; waitedMs += HOLD_POLL_MS) await delay(HOLD_POLL_MS);
    return !isBusy();
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.poller.add(this.#listener, () => this.#accept());
    for (const client of this.#clients) this.#listenTo(client);
  }

  /** For `adopt` in another main; after `hold`. */
  handOver(): HandedServer {
    return { listener: this.#listener, clients: [...this.#clients].map((client) => client.handOver()) };
  }

  #requests(): ControlRequest[] {
    return [...this.#clients].flatMap(({ requests }) => [...requests]);
  }

  /** Further users that may use the socket. The file's mode lets them in, the kernel's word on who connects keeps others out. */
  setUids(uids: readonly number[]): void {
    this.#uids = uids;
    this.#file.openToOthers(uids.length > 0);
  }

  /** Takes no more requests, answers those that run (within a moment), then removes the file, if it is still ours. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await settledWithin(this.#running, LAST_ANSWERS_MS);
    for (const client of [...this.#clients]) this.#drop(client);
    this.poller.remove(this.#listener);
    closeFd(this.#listener);
    this.#file.remove();
  }

  #accept(): void {
    for (let fd = acceptConnection(this.#listener); fd >= 0; fd = acceptConnection(this.#listener)) {
      const who = peerOf(fd);
      if (!this.#mayConnect(who.uid)) closeFd(fd);
      else if (this.#clients.size >= CLIENTS_MAX) turnAway(ControlClient.on(fd, who));
      else {
        const name = userName(who.uid);
        const client = ControlClient.on(fd, name === undefined ? who : { ...who, name });
        this.#clients.add(client);
        this.#listenTo(client);
      }
    }
  }

  #mayConnect(uid: number): boolean {
    return uid === 0 || uid === this.#uid || this.#uids.includes(uid);
  }

  #listenTo(client: ControlClient): void {
    this.poller.add(client.fd, () => this.#receive(client));
  }

  #receive(client: ControlClient): void {
    try {
      if (!client.receive((line) => this.#onLine(client, line))) return this.#drop(client);
      if (this.#sum("heldBytes") <= ALL_LINES_BYTES_MAX) return;
      throw new Error(`clients have sent more than ${ALL_LINES_BYTES_MAX} bytes of lines that are not whole`);
    } catch (error) {
      this.#send(client, { id: null, status: "error", code: "bad_request", reason: (error as Error).message });
      this.#drop(client);
    }
  }

  #sum(what: "heldBytes" | "queuedBytes"): number {
    let bytes = 0;
    for (const client of this.#clients) bytes += client[what];
    return bytes;
  }

  #onLine(client: ControlClient, line: unknown): void {
    const request = (typeof line === "object" && line !== null ? line : {}) as ControlRequest;
    const { id } = request;
    if (typeof id !== "number" && typeof id !== "string") {
      const reason = "a request is an object with an id (number or string) and a verb";
      return this.#send(client, { id: null, status: "error", code: "bad_request", reason });
    }
    const refusal = client.refusalOf(request);
    if (refusal) this.#send(client, { id, status: "error", ...refusal });
    else this.#begin(client, request);
  }

  #begin(client: ControlClient, request: ControlRequest): void {
    const run = this.#run(client, request);
    this.#running.add(run);
    run.then(() => this.#running.delete(run));
  }

  async #run(client: ControlClient, request: ControlRequest): Promise<void> {
    const { id } = request;
    client.begin(request);
    const asking: Asking = {
      who: client.who,
      progress: (fields) => this.#send(client, { ...fields, id, status: "progress" }),
      gone: client.gone,
      get queuedBytes() {
        return client.queuedBytes;
      },
    };
    try {
      const fields = await this.handler(request, asking);
      this.#send(client, { ...fields, id, status: "ok" });
    } catch (error) {
      const failed = { code: "failed", reason: (error as Error).message } as const;
      this.#send(client, { ...(error instanceof ControlError ? error.fields : failed), id, status: "error" });
    } finally {
      client.end(request);
    }
  }

  #send(client: ControlClient, answer: ControlAnswer): void {
    const isTaken = client.send(answer);
    if (!isTaken || this.#sum("queuedBytes") > ALL_ANSWERS_BYTES_MAX) this.#drop(client);
  }

  #dropIdle(): void {
    if (this.#held) return;
    const now = performance.now();
    for (const client of [...this.#clients]) if (client.isIdle(now, this.idleLimitMs)) this.#drop(client);
  }

  #drop(client: ControlClient): void {
    if (!this.#clients.delete(client)) return;
    this.poller.remove(client.fd);
    client.close();
  }
}

function turnAway(client: ControlClient): void {
  client.send({ id: null, status: "error", code: "too_many", reason: `${CLIENTS_MAX} clients are connected already` });
  client.close();
}
