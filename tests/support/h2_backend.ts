// A backend of HTTP/2 over a socket, in the hands of a test: it greets, keeps what comes as requests, and beyond that sends the
// frames that it is told, right or wrong, when it is told.

import type { Bytes } from "./bytes.ts";
import { fromText, toText } from "./bytes.ts";
import { BlockReader, concat, type Field, type Frame, inWords, MAGIC } from "./h2_frames.ts";
import * as f from "./h2_frames.ts";
import type { Peer } from "./peer.ts";
import { type ScriptedBackend, startBackend } from "./scripted_backend.ts";

export interface Http2Request {
  connection: Http2Served;
  id: number;
  /** Of all requests to the backend, in the order in which they came. */
  number: number;
  fields: Field[];
  path: string;
  body: Bytes;
  trailers: Field[];
  ended: boolean;
  /** In words. */
  reset: string | undefined;
}

export interface Http2BackendOptions {
  /** SETTINGS that it says first; null: none, and no acknowledgement. */
  settings?: [number, number][] | null;
  /** Called with each request when its head has come. */
  onRequest?: (request: Http2Request) => unknown;
  /** Called with each connection before anything is sent. */
  onConnection?: (connection: Http2Served, index: number) => unknown;
}

/** One connection. */
export class Http2Served {
  readonly frames: Frame[] = [];
  readonly requests = new Map<number, Http2Request>();
  /** Gives windows back as bodies come. */
  reads = true;
  /** Answers PING, and acknowledges SETTINGS. */
  answers = true;
  #reader = new BlockReader();
  #block: Uint8Array[] = [];
  #isGreeted = false;

  constructor(readonly peer: Peer, readonly index: number, private readonly backend: Http2Backend) {
    peer.socket.setMaxListeners(0);
    peer.onChange = () => this.#take();
    this.#take();
  }

  get words(): string[] {
    return this.frames.map(inWords);
  }

  async send(...parts: ArrayLike<number>[]): Promise<void> {
    await this.peer.write(concat(...parts));
  }

  /** A whole answer. */
  answer(id: number, body = "ok", fields: Field[] = []): Promise<void> {
    const head = f.headers(id, [[":status", "200"], ...fields], f.END_HEADERS);
    return this.send(head, f.frame(f.DATA, f.END_STREAM, id, fromText(body)));
  }

  /** A frame of which `inWords` says this. */
  seen(words: string | RegExp, waitMs?: number): Promise<Frame> {
    return this.peer.until(String(words), () =>
      this.frames.find((one) => {
        return typeof words === "string" ? inWords(one) === words : words.test(inWords(one));
      }), waitMs);
  }

  #take(): void {
    if (!this.#isGreeted) {
      if (this.peer.length < MAGIC.length) return;
      if (toText(this.peer.take(MAGIC.length)) !== toText(MAGIC)) {
        throw new Error("the connection preface is another one");
      }
      this.#isGreeted = true;
    }
    const bytes = this.peer.received;
    let whole = 0;
    while (whole + 9 <= bytes.length) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + whole).getUint32(0) >>> 8;
      if (whole + 9 + length > bytes.length) break;
      whole += 9 + length;
    }
    if (whole > 0) { for (const one of f.frames(this.peer.take(whole))) this.#see(one); }
  }

  #see(one: Frame): void {
    this.frames.push(one);
    const { type, flags, stream, payload } = one;
    if (type === f.HEADERS || type === f.CONTINUATION) return this.#seeBlock(one);
    if (type === f.SETTINGS && !(flags & f.ACK) && this.answers) this.send(f.frame(f.SETTINGS, f.ACK, 0));
    if (type === f.PING && !(flags & f.ACK) && this.answers) this.send(f.frame(f.PING, f.ACK, 0, payload));
    const request = this.requests.get(stream);
    if (request === undefined) return;
    if (type === f.RST_STREAM) request.reset = inWords(one);
    if (type !== f.DATA) return;
    request.body = concat(request.body, payload);
    if (flags & f.END_STREAM) request.ended = true;
    if (this.reads && payload.length > 0) {
      this.send(f.windowUpdate(0, payload.length), request.ended ? [] : f.windowUpdate(stream, payload.length));
    }
  }

  #seeBlock({ flags, stream, payload, type }: Frame): void {
    this.#block.push(payload);
    const ends = type === f.HEADERS && (flags & f.END_STREAM) !== 0;
    if (!(flags & f.END_HEADERS)) return;
    const fields = this.#reader.read(concat(...this.#block.splice(0)));
    const before = this.requests.get(stream);
    if (before !== undefined) {
      before.trailers = fields;
      before.ended ||= ends;
      return;
    }
    const path = fields.find(([name]) => name === ":path")?.[1] ?? "";
    const { requests } = this.backend;
    const request: Http2Request = {
      connection: this,
      id: stream,
      number: requests.length,
      fields,
      path,
      body: new Uint8Array(),
      trailers: [],
      ended: ends,
      reset: undefined,
    };
    requests.push(request);
    this.requests.set(stream, request);
    this.backend.tell(request);
  }
}

export class Http2Backend implements AsyncDisposable {
  readonly served: Http2Served[] = [];
  readonly requests: Http2Request[] = [];
  #waiting = new Set<() => void>();

  private constructor(private readonly options: Http2BackendOptions) {}
  #backend!: ScriptedBackend;

  static async start(options: Http2BackendOptions = {}): Promise<Http2Backend> {
    const one = new Http2Backend(options);
    const { settings = [] } = options;
    one.#backend = await startBackend(async (peer, index) => {
      const connection = new Http2Served(peer, index, one);
      connection.answers = settings !== null;
      one.served.push(connection);
      await options.onConnection?.(connection, index);
      if (settings !== null) await connection.send(f.settings(...settings));
      one.#changed();
    });
    return one;
  }

  get address(): string {
    return this.#backend.address;
  }

  tell(request: Http2Request): void {
    this.options.onRequest?.(request);
    this.#changed();
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** The request with this number, when its head has come. */
  request(number: number, waitMs = 5_000): Promise<Http2Request> {
    const { promise, resolve, reject } = Promise.withResolvers<Http2Request>();
    const look = () => {
      const request = this.requests[number];
      if (request === undefined) return;
      clearTimeout(timer);
      this.#waiting.delete(look);
      resolve(request);
    };
    const timer = setTimeout(() => {
      this.#waiting.delete(look);
      reject(new Error(`request ${number} has not come in ${waitMs} ms; ${this.requests.length} have`));
    }, waitMs);
    this.#waiting.add(look);
    look();
    return promise;
  }

  async [Symbol.asyncDispose]() {
    await this.#backend[Symbol.asyncDispose]();
  }
}
