// A backend of the chaos: on one port it speaks HTTP/1.1 and HTTP/2, whichever comes, and does what the path of a request says,
// faults included. What it gets is checked against the same path.

import { createServer as createPlain, type Socket } from "node:net";
import { createServer as createSecure, type TLSSocket } from "node:tls";
import type { AddressInfo } from "node:net";
import { concat } from "../bytes.ts";
import type { Field } from "../h2_frames.ts";
import * as f from "../h2_frames.ts";
import { createRandom, type Random } from "../random.ts";
import type { Book } from "./book.ts";
import { chunk, headBytes, Http1Reader, lastChunk } from "./http1.ts";
import { type Http2Stream, Http2Wire } from "./http2.ts";
import { bodyBytes, BodyCheck, bodySize, chance, type Plan, planAt } from "./plan.ts";
import { pause, Wire } from "./wire.ts";

const PREFACE = f.MAGIC.subarray(0, 14);

/** One exchange, whatever is spoken. */
abstract class Exchange {
  readonly body: BodyCheck;
  readonly whole: Promise<boolean>;
  readonly #wholeness = Promise.withResolvers<boolean>();
  isGone = false;

  constructor(readonly plan: Plan, readonly expects: boolean) {
    this.body = new BodyCheck(plan.id, 0);
    this.whole = this.#wholeness.promise;
  }

  /** The request has come whole, or will not. */
  noteEnd(isWhole: boolean): void {
    this.#wholeness.resolve(isWhole);
  }

  abstract interim(status: number, fields: Field[]): Promise<void>;
  abstract head(fields: Field[], ends: boolean): Promise<void>;
  abstract data(piece: Uint8Array, ends: boolean): Promise<boolean>;
  abstract end(trailers: Field[]): Promise<void>;
  abstract cut(): void;
  abstract kill(): void;
  /** The connection is for no further request. */
  abstract retire(): void;
}

export class ChaosBackend implements AsyncDisposable {
  port = 0;
  readonly wires = new Set<Wire>();
  readonly random: Random;
  #close!: () => Promise<void>;

  private constructor(readonly book: Book, seed: number) {
    this.random = createRandom(seed);
  }

  /** `pair`: it speaks TLS. */
  static async start(book: Book, seed: number, pair?: { cert: string; key: string }): Promise<ChaosBackend> {
    const one = new ChaosBackend(book, seed);
    const onSocket = (socket: Socket) => one.#serve(new Wire(socket));
    const onSecure = (socket: TLSSocket) => one.#serve(new Wire(socket));
    const server = pair === undefined
      ? createPlain({ allowHalfOpen: true }, onSocket)
      : createSecure({ ...pair, ALPNProtocols: ["h2", "http/1.1"] }, onSecure);
    const listening = Promise.withResolvers<void>();
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => listening.resolve());
    await listening.promise;
    one.port = (server.address() as AddressInfo).port;
    one.#close = () => new Promise((resolve) => server.close(() => resolve()));
    return one;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Ends all connections. */
  cutAll(): void {
    for (const wire of this.wires) wire.destroy();
  }

  async [Symbol.asyncDispose]() {
    this.cutAll();
    await this.#close();
  }

  #serve(wire: Wire): void {
    this.wires.add(wire);
    wire.ended.then(() => this.wires.delete(wire));
    let held = new Uint8Array();
    wire.onBytes = (bytes) => {
      held = concat([held, bytes]);
      const length = Math.min(held.length, PREFACE.length);
      const isHttp2 = PREFACE.subarray(0, length).every((byte, at) => byte === held[at]);
      if (isHttp2 && length < PREFACE.length) return;
      if (isHttp2) new Http2Backing(this, wire).take(held);
      else new Http1Backing(this, wire).take(held);
    };
    // whoever connects and leaves
    wire.onEnd = () => wire.destroy();
  }

  /** Carries out what the path says. */
  async answer(one: Exchange): Promise<void> {
    const { plan } = one;
    if (plan.afterMs > 0) await pause(plan.afterMs);
    if (plan.fault === "cut") return one.cut();
    if (plan.fault === "kill") return one.kill();
    if (plan.fault === "hang") return;
    if (one.expects && !plan.early) await one.interim(100, []);
    if (!plan.early && !await one.whole) return;
    if (one.body.fault !== undefined) this.book.damaged(plan, one.body.fault);
    for (let left = plan.hints; left > 0; left--) await one.interim(103, [["link", `</${plan.id}.css>`]]);
    if (plan.fault === "last") one.retire();
    await this.#answerBody(one);
  }

  async #answerBody(one: Exchange): Promise<void> {
    const { plan } = one;
    const size = bodySize(plan);
    const fields: Field[] = [["x-id", String(plan.id)], ["x-got", String(one.body.bytes)]];
    const isBare = plan.status === 204 || plan.status === 304;
    if (plan.framing === "length" && !isBare) fields.push(["content-length", String(plan.size)]);
    await one.head(fields, size === 0 && !plan.answerTrailers);
    if (plan.fault === "cut head") return void await pause(5).then(() => one.cut());
    const half = plan.fault === "cut body" || plan.fault === "kill body" ? size >> 1 : size;
    for (let at = 0, left = plan.pieces; at < half; left--) {
      const length = left <= 1 ? half - at : Math.min(half - at, Math.ceil(size / plan.pieces));
      const ends = at + length === size && !plan.answerTrailers;
      if (one.isGone || !await one.data(bodyBytes(plan.id, 1, at, length), ends)) return;
      at += length;
      if (plan.pauseMs > 0) await pause(plan.pauseMs);
    }
    if (plan.fault === "cut body") return one.cut();
    if (plan.fault === "kill body") return one.kill();
    if (!one.isGone) await one.end(plan.answerTrailers ? [["x-end", String(plan.id)]] : []);
  }
}

// ---- HTTP/1 ----

class Http1Exchange extends Exchange {
  isRetired = false;
  isDone = false;
  isWhole = false;
  #isChunked = false;

  constructor(plan: Plan, expects: boolean, private readonly backing: Http1Backing) {
    super(plan, expects);
  }

  interim(status: number, fields: Field[]): Promise<void> {
    return this.backing.wire.write(headBytes(`HTTP/1.1 ${status} Interim`, fields));
  }

  head(fields: Field[], ends: boolean): Promise<void> {
    const { plan } = this;
    const isBare = ends && (plan.method === "HEAD" || plan.status === 204 || plan.status === 304);
    const hasLength = fields.some(([name]) => name === "content-length");
    this.#isChunked = !hasLength && !isBare && plan.framing !== "close";
    if (this.#isChunked) fields.push(["Transfer-Encoding", "chunked"]);
    if (!hasLength && !isBare && plan.framing === "close") this.isRetired = true;
    if (this.isRetired) fields.push(["Connection", "close"]);
    // the next request may come before this is told that the kernel has it
    if (ends) this.backing.done(this);
    return this.backing.wire.write(headBytes(`HTTP/1.1 ${plan.status} Status`, fields));
  }

  async data(piece: Uint8Array, ends: boolean): Promise<boolean> {
    if (ends && !this.#isChunked) this.backing.done(this);
    await this.backing.wire.write(this.#isChunked ? chunk(piece) : piece);
    return !this.isGone;
  }

  async end(trailers: Field[]): Promise<void> {
    this.backing.done(this);
    if (this.#isChunked) await this.backing.wire.write(lastChunk(trailers));
    if (this.isRetired) this.backing.wire.finish();
  }

  cut(): void {
    this.kill();
  }

  kill(): void {
    this.backing.wire.reset();
  }

  retire(): void {
    this.isRetired = true;
  }
}

class Http1Backing {
  #one: Http1Exchange | undefined;
  readonly #reader: Http1Reader;

  constructor(readonly backend: ChaosBackend, readonly wire: Wire) {
    this.#reader = new Http1Reader({
      onHead: ({ line, fields }) => this.#begin(line, fields),
      onData: (piece) => this.#one!.body.take(piece),
      onEnd: () => {
        this.#one!.isWhole = true;
        this.#one!.noteEnd(true);
        this.#rest();
      },
    });
    wire.onBytes = (bytes) => this.take(bytes);
    wire.onEnd = () => this.#lose();
  }

  take(bytes: Uint8Array): void {
    try {
      this.#reader.take(bytes);
    } catch (error) {
      this.backend.book.fault(`a backend of HTTP/1 was sent: ${error}`);
      this.wire.destroy();
    }
  }

  #begin(line: string, fields: Map<string, string>): number | "chunks" {
    const [method = "", path = ""] = line.split(" ");
    const before = this.#one;
    if (before !== undefined) {
      this.backend.book.fault(`${line} came before this had its answer: ${JSON.stringify(before.plan)}`);
    }
    const one = this.#one = new Http1Exchange(planAt(path, method), fields.get("expect") === "100-continue", this);
    this.backend.book.arrived(one.plan);
    // not before the reader knows that a body follows
    queueMicrotask(() => this.backend.answer(one));
    if (fields.has("transfer-encoding")) return "chunks";
    return Number(fields.get("content-length") ?? 0);
  }

  /** The answer has been sent; the next request may come when this one is whole, too. */
  done(one: Http1Exchange): void {
    one.isDone = true;
    if (this.#one === one) this.#rest();
  }

  #rest(): void {
    const one = this.#one;
    if (one === undefined || !one.isDone || !one.isWhole) return;
    this.#one = undefined;
  }

  #lose(): void {
    if (this.#one !== undefined) {
      this.#one.isGone = true;
      this.#one.noteEnd(false);
    }
    this.wire.destroy();
  }
}

// ---- HTTP/2 ----

class Http2Exchange extends Exchange {
  constructor(plan: Plan, expects: boolean, readonly stream: Http2Stream, private readonly backing: Http2Backing) {
    super(plan, expects);
  }

  interim(status: number, fields: Field[]): Promise<void> {
    return this.backing.http2.head(this.stream, [[":status", String(status)], ...fields], false);
  }

  head(fields: Field[], ends: boolean): Promise<void> {
    return this.backing.http2.head(this.stream, [[":status", String(this.plan.status)], ...fields], ends);
  }

  data(piece: Uint8Array, ends: boolean): Promise<boolean> {
    return this.backing.http2.data(this.stream, piece, ends);
  }

  async end(trailers: Field[]): Promise<void> {
    const { http2 } = this.backing;
    if (trailers.length > 0) await http2.head(this.stream, trailers, true);
    else if (!this.stream.localEnded) await http2.data(this.stream, new Uint8Array(), true);
    // the rest of a request that has its answer is not wanted
    if (this.plan.early && !this.stream.remoteEnded && this.plan.id % 2 === 0) http2.reset(this.stream, 0);
    this.backing.done();
  }

  cut(): void {
    this.backing.http2.reset(this.stream, this.plan.id % 3 === 0 ? 8 : 2);
    this.backing.done();
  }

  kill(): void {
    this.backing.http2.kill("reset");
  }

  retire(): void {
    this.backing.leave(this.backing.http2.highestId);
  }
}

class Http2Backing {
  readonly http2: Http2Wire;
  /** Streams above are not looked at. */
  #last = Infinity;

  constructor(readonly backend: ChaosBackend, readonly wire: Wire) {
    const { random, book } = backend;
    const settings: [number, number][] = [];
    if (chance(random, 50)) settings.push([3, random.between(1, 60)]);
    if (chance(random, 30)) settings.push([4, random.between(1_000, 200_000)]);
    this.http2 = new Http2Wire(wire, true, settings, {
      onHead: (stream, fields) => this.#begin(stream, fields),
      onData: (stream, piece) => (stream.user as Http2Exchange | undefined)?.body.take(piece),
      onEnd: (stream) => {
        (stream.user as Http2Exchange | undefined)?.noteEnd(true);
        this.done();
      },
      onReset: (stream) => this.#lose(stream),
      onGoaway: () => {},
    }, (what) => book.fault(`a backend of HTTP/2 was sent: ${what}`));
    if (chance(random, 30)) this.http2.windowDelayMs = () => random.below(20);
    wire.ended.then(() => wire.destroy());
  }

  take(bytes: Uint8Array): void {
    this.http2.take(bytes);
  }

  #begin(stream: Http2Stream, fields: Field[]): void {
    const of = (name: string) => fields.find(([one]) => one === name)?.[1] ?? "";
    const plan = planAt(of(":path"), of(":method"));
    const { book } = this.backend;
    const times = book.arrived(plan);
    if (stream.id > this.#last) return book.unseen(plan);
    if (times === 1 && (plan.fault === "refuse" || plan.fault === "leave")) {
      book.unseen(plan);
      if (plan.fault === "leave") return this.leave(stream.id - 2);
      return this.http2.reset(stream, 7);
    }
    this.backend.answer(stream.user = new Http2Exchange(plan, of("expect") === "100-continue", stream, this));
    this.#change();
  }

  /** Now and then other limits. */
  #change(): void {
    const { random } = this.backend;
    if (!chance(random, 2)) return;
    this.http2.tell(random.below(2) ? [3, random.between(1, 100)] : [4, random.between(1_000, 200_000)]);
  }

  leave(last: number): void {
    if (last < this.#last) this.http2.send(f.goaway(Math.max(0, last)));
    this.#last = Math.min(this.#last, Math.max(0, last));
    this.done();
  }

  /** A connection that was left ends with its last stream. */
  done(): void {
    if (this.#last === Infinity) return;
    const isOpen = ({ id, isReset, localEnded, remoteEnded }: Http2Stream) =>
      id <= this.#last && !isReset && !(localEnded && remoteEnded);
    if ([...this.http2.streams.values()].some(isOpen)) return;
    this.wire.finish();
  }

  #lose(stream: Http2Stream): void {
    const one = stream.user as Http2Exchange | undefined;
    if (one !== undefined) {
      one.isGone = true;
      one.noteEnd(false);
    }
    this.done();
  }
}
