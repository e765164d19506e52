// Main's side of the control socket. Only root, the user that main runs as, and users that the configuration names may speak
// to it: the kernel is asked who connected, and the socket file has mode 0600 unless others are named. Clients are bounded
// in number, in what they may send, in what waits for them and in how long they may say nothing; a client that breaks a
// rule loses its connection and harms nobody else.

import { closeFd } from "../sys/fds.ts";
import { LineSocket, type LinesUnderWay } from "../sys/line_socket.ts";
import { acceptConnection, openUnixListener, peerOf } from "../sys/listen.ts";
import type { Poller } from "../sys/poll.ts";
import { ControlError } from "./errors.ts";
import { type ControlAnswer, type ControlRequest, REQUEST_BYTES_MAX, type Verb, VERBS, type Who } from "./protocol.ts";

const CLIENTS_MAX = 32;
const BACKLOG = 64;
/** Requests of one client at a time. */
const RUNNING_MAX = 16;
/** Answers that a client does not read are kept up to this size, then the client is dropped. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
/** The same for all clients together. */
const ALL_ANSWERS_BYTES_MAX = 128 * 1024 * 1024;
/** What lines that are not whole may take of all clients together; whoever goes beyond it is dropped. */
const ALL_LINES_BYTES_MAX = 64 * 1024 * 1024;
/** A line must be whole this long after its first byte. */
const LINE_LIMIT_MS = 30_000;
/** Changes of more than this are large: a client may have one of them under way. */
const LARGE_ORDERS = 1_000;
const LARGE_TEXT = 64 * 1024;
const IDLE_LIMIT_MS = 60_000;
const SWEEP_MS = 1_000;
const FLUSH_MS = 1;
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

interface Client {
  socket: LineSocket;
  who: Who;
  lastHeardMs: number;
  /** Since when a line has begun and is not whole; 0: it is not so. */
  lineBegunMs: number;
  /** Being answered. */
  readonly requests: Set<ControlRequest>;
  runningLarge: number;
  gone: PromiseWithResolvers<void>;
}

/** The socket and its clients as one main hands them over to the next. */
export interface HandedServer {
  listener: number;
  clients: HandedClient[];
}

interface HandedClient {
  fd: number;
  who: Who;
  underWay: LinesUnderWay;
  /** Those that the next main goes on answering. */
  requests: ControlRequest[];
}

/** Requests that another main can go on with. */
const HANDED_VERBS: readonly Verb[] = ["subscribe", "upgrade"];

/** The socket of another main that lives. */
export class AlreadyRunning extends Error {
  override name = "AlreadyRunning";
}

export class ControlServer {
  readonly #listener: number;
  readonly #inode: number | null;
  readonly #clients = new Set<Client>();
  readonly #sweep: ReturnType<typeof setInterval>;
  readonly #running = new Set<Promise<void>>();
  readonly #uid = Deno.uid();
  #uids: readonly number[] = [];
  /** Nothing is read until `release`. */
  #held = false;

  /** Serves on a listening socket that lies at `path`. */
  private constructor(
    private readonly path: string,
    listener: number,
    private readonly poller: Poller,
    private readonly handler: Handler,
    private readonly idleLimitMs: number,
  ) {
    this.#listener = listener;
    this.#inode = inodeOf(path);
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
    for (const { fd, who, underWay, requests } of handed.clients) {
      const socket = LineSocket.from(fd, underWay, REQUEST_BYTES_MAX, ANSWER_BYTES_MAX);
      const client = server.#add(socket, who);
      for (const request of requests) server.#track(server.#run(client, request, false));
      server.#flushLater(client);
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
    for (const { socket } of this.#clients) this.poller.remove(socket.fd);
    const isBusy = () => this.#requests().some(({ verb }) => !HANDED_VERBS.includes(verb));
    for (let waitedMs = 0; isBusy() && waitedMs < limitMs; waitedMs += FLUSH_MS) await delay(FLUSH_MS);
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
    const clients = [...this.#clients].map(({ socket, who, requests }) => ({
      fd: socket.fd,
      who,
      underWay: socket.underWay(),
      requests: [...requests],
    }));
    return { listener: this.#listener, clients };
  }

  #requests(): ControlRequest[] {
    return [...this.#clients].flatMap(({ requests }) => [...requests]);
  }

  /** Further users that may use the socket. The file's mode lets them in, the kernel's word on who connects keeps others out. */
  setUids(uids: readonly number[]): void {
    this.#uids = uids;
    Deno.chmodSync(this.path, uids.length > 0 ? 0o666 : 0o600);
  }

  /** Takes no more requests, answers those that run (within a moment), then removes the file, if it is still ours. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    await settled(this.#running);
    for (const client of [...this.#clients]) this.#drop(client);
    this.poller.remove(this.#listener);
    closeFd(this.#listener);
    if (inodeOf(this.path) === this.#inode) Deno.removeSync(this.path);
  }

  #accept(): void {
    for (let fd = acceptConnection(this.#listener); fd >= 0; fd = acceptConnection(this.#listener)) {
      const socket = new LineSocket(fd, REQUEST_BYTES_MAX, ANSWER_BYTES_MAX);
      const who = peerOf(fd);
      if (!this.#mayConnect(who.uid)) socket.close();
      else if (this.#clients.size >= CLIENTS_MAX) {
        refuse(socket, "too_many", `${CLIENTS_MAX} clients are connected already`);
      } else this.#listenTo(this.#add(socket, { ...who, ...userName(who.uid) }));
    }
  }

  #mayConnect(uid: number): boolean {
    return uid === 0 || uid === this.#uid || this.#uids.includes(uid);
  }

  #add(socket: LineSocket, who: Who): Client {
    const gone = Promise.withResolvers<void>();
    const lastHeardMs = performance.now();
    const client: Client = { socket, who, lastHeardMs, lineBegunMs: 0, requests: new Set(), runningLarge: 0, gone };
    this.#clients.add(client);
    return client;
  }

  #listenTo(client: Client): void {
    this.poller.add(client.socket.fd, () => this.#receive(client));
  }

  #receive(client: Client): void {
    client.lastHeardMs = performance.now();
    client.lineBegunMs ||= client.lastHeardMs;
    try {
      if (!client.socket.receive((line) => this.#onLine(client, line))) return this.#drop(client);
      if (this.#heldBytes() <= ALL_LINES_BYTES_MAX) return;
      throw new Error(`clients have sent more than ${ALL_LINES_BYTES_MAX} bytes of lines that are not whole`);
    } catch (error) {
      this.#send(client, { id: null, status: "error", code: "bad_request", reason: (error as Error).message });
      this.#drop(client);
    }
  }

  #heldBytes(): number {
    let bytes = 0;
    for (const { socket } of this.#clients) bytes += socket.heldBytes;
    return bytes;
  }

  #onLine(client: Client, line: unknown): void {
    client.lineBegunMs = 0;
    const request = (typeof line === "object" && line !== null ? line : {}) as Partial<ControlRequest>;
    const { id, verb } = request;
    if (typeof id !== "number" && typeof id !== "string") {
      const reason = "a request is an object with an id (number or string) and a verb";
      return this.#send(client, { id: null, status: "error", code: "bad_request", reason });
    }
    if (!VERBS.includes(verb as Verb)) {
      const reason = `verb ${JSON.stringify(verb)}: expected one of ${VERBS.join(", ")}`;
      return this.#send(client, { id, status: "error", code: "unknown_verb", reason });
    }
    if (client.requests.size >= RUNNING_MAX) {
      const reason = `${RUNNING_MAX} requests of this client are under way already`;
      return this.#send(client, { id, status: "error", code: "too_many", reason });
    }
    const large = isLarge(request as ControlRequest);
    if (large && client.runningLarge > 0) {
      const reason = "a large change of this client is under way already";
      return this.#send(client, { id, status: "error", code: "too_many", reason });
    }
    this.#track(this.#run(client, request as ControlRequest, large));
  }

  #track(run: Promise<void>): void {
    this.#running.add(run);
    run.then(() => this.#running.delete(run));
  }

  async #run(client: Client, request: ControlRequest, large: boolean): Promise<void> {
    const { id } = request;
    client.requests.add(request);
    if (large) client.runningLarge++;
    const asking: Asking = {
      who: client.who,
      progress: (fields) => this.#send(client, { ...fields, id, status: "progress" }),
      gone: client.gone.promise,
      get queuedBytes() {
        return client.socket.queuedBytes;
      },
    };
    try {
      const fields = await this.handler(request, asking);
      this.#send(client, { ...fields, id, status: "ok" });
    } catch (error) {
      const failed = { code: "failed", reason: (error as Error).message } as const;
      this.#send(client, { ...(error instanceof ControlError ? error.fields : failed), id, status: "error" });
    } finally {
      client.requests.delete(request);
      if (large) client.runningLarge--;
      client.lastHeardMs = performance.now();
    }
  }

  #send(client: Client, answer: ControlAnswer): void {
    if (client.socket.closed) return;
    if (!client.socket.send(answer)) return this.#drop(client);
    let queuedBytes = 0;
    for (const { socket } of this.#clients) queuedBytes += socket.queuedBytes;
    if (queuedBytes > ALL_ANSWERS_BYTES_MAX) return this.#drop(client);
    this.#flushLater(client);
  }

  #flushLater(client: Client): void {
    if (client.socket.closed || client.socket.queuedBytes === 0) return;
    setTimeout(() => {
      client.socket.flush();
      this.#flushLater(client);
    }, FLUSH_MS);
  }

  #dropIdle(): void {
    if (this.#held) return;
    const now = performance.now();
    for (const client of [...this.#clients]) {
      const waiting = client.requests.size === 0 || client.socket.queuedBytes > 0;
      const late = client.lineBegunMs > 0 && client.lineBegunMs < now - LINE_LIMIT_MS;
      if (late || (waiting && client.lastHeardMs < now - this.idleLimitMs)) this.#drop(client);
    }
  }

  #drop(client: Client): void {
    if (!this.#clients.delete(client)) return;
    this.poller.remove(client.socket.fd);
    client.socket.close();
    client.gone.resolve();
  }
}

/** Whether a request holds enough to fill memory with. */
function isLarge({ text, state, orders }: ControlRequest): boolean {
  if (Array.isArray(orders)) return orders.length > LARGE_ORDERS;
  return typeof state === "object" || (typeof text === "string" && text.length > LARGE_TEXT);
}

const userNames = new Map<string, string>();

/** The name of a user, where the host has one file of users; read once. */
function userName(uid: number): { name?: string } {
  if (userNames.size === 0) {
    userNames.set("", "");
    try {
      for (const line of Deno.readTextFileSync("/etc/passwd").split("\n")) {
        const [name, , id] = line.split(":");
        if (name && id) userNames.set(id, name);
      }
    } catch {
      // A host without names has numbers still.
    }
  }
  const name = userNames.get(String(uid));
  return name === undefined ? {} : { name };
}

async function settled(running: Set<Promise<void>>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, LAST_ANSWERS_MS));
  await Promise.race([Promise.all(running), limit]);
  clearTimeout(timer);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function refuse(socket: LineSocket, code: "too_many", reason: string): void {
  socket.send({ id: null, status: "error", code, reason } satisfies ControlAnswer);
  socket.close();
}

/**
 * Makes the path free for a socket of ours: removes one whose main is dead. Throws AlreadyRunning when another main answers
 * there, and when the path is anything but a socket.
 */
export async function claimSocketPath(path: string): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!info.isSocket) throw new Error(`control socket ${path}: the path exists and is not a socket`);
  try {
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    return Deno.removeSync(path);
  }
  throw new AlreadyRunning(
    `another proxy is running: ${path} answers (a second one needs its own --socket or control.socket)`,
  );
}

function inodeOf(path: string): number | null {
  try {
    return Deno.lstatSync(path).ino;
  } catch {
    return null;
  }
}
