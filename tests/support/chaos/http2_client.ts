// A client of HTTP/2: many requests at a time, with windows that it opens late or changes, frames that mean nothing, resets at any
// moment, and every way to leave. Each connection has a temper of its own.

import type { Field } from "../h2_frames.ts";
import * as f from "../h2_frames.ts";
import type { Outcome } from "./book.ts";
import { type Asked, askedFor, type ClientContext, fieldsFor, isExcused, partsOf } from "./client.ts";
import { type Http2Stream, Http2Wire } from "./http2.ts";
import { chance, pathOf, pick } from "./plan.ts";
import { pause, type Wire } from "./wire.ts";

/** How long a client that has ended its side waits for answers: longer ones need windows that it cannot give back. */
const LATE_MS = 1_500;

export class Http2Client {
  readonly #http2: Http2Wire;
  #nextId = 1;
  #last = Infinity;
  readonly #port: number;
  readonly #initial: number;
  readonly #isHasty: boolean;
  #active = 0;
  #isLeaving = false;
  #isLeavingLate = false;

  constructor(private readonly context: ClientContext, private readonly wire: Wire) {
    const { random, book } = context;
    this.#port = wire.port;
    this.#initial = pick(random, [0, 1, 1_000, 65_535, 65_535, 65_535, 1 << 20]);
    this.#isHasty = chance(random, 30);
    this.#http2 = new Http2Wire(wire, false, [
      [4, this.#initial],
      ...chance(random, 30) ? [[1, 0] as [number, number]] : [],
    ], {
      onHead: (stream, fields) => this.#onHead(stream, fields),
      onData: (stream, piece) => (stream.user as Asked).outcome.body.take(piece),
      onEnd: (stream, trailers) => this.#onEnd(stream, trailers),
      onReset: (stream, code) => this.#onReset(stream, code),
      onGoaway: (last, code) => this.#onGoaway(last, code),
    }, (what) => book.fault(`HTTP/2 client ${this.#port} got: ${what}`));
    if (chance(random, 30)) this.#http2.windowDelayMs = () => random.below(25);
  }

  /** Several requests at a time until it has had enough; then it leaves in some way. */
  async run(): Promise<void> {
    const { random } = this.context;
    const total = random.between(1, 150);
    const atOnce = random.between(1, 40);
    const all: Promise<void>[] = [];
    while (this.#nextId < 2 * total && !this.#isUnusable && !this.context.isOver()) {
      if (this.#active >= Math.min(atOnce, this.#http2.streamsMax)) await pause(1);
      else all.push(this.#one());
      if (!this.#isHasty && chance(random, 30)) await pause(random.below(20));
      if (chance(random, 3)) this.#fidget();
    }
    await this.#leave(all);
    this.wire.destroy();
  }

  get #isUnusable(): boolean {
    return this.#isLeaving || this.#http2.isOver;
  }

  /** Frames that change nothing for anybody else. */
  #fidget(): void {
    const { random } = this.context;
    const any = 1 + 2 * random.below(this.#nextId);
    const acts = [
      () => this.#http2.send(f.frame(f.PING, 0, 0, new Uint8Array(8))),
      () => this.#http2.send(f.frame(f.PRIORITY_UPDATE, 0, 0, [...f.u32(any), ...new TextEncoder().encode("u=1, i")])),
      () => this.#http2.send(f.frame(99, 7, any, random.bytes(10))),
      () => this.#http2.tell([4, pick(random, [10_000, 65_535, 200_000])]),
      () => this.#http2.send(f.frame(f.PRIORITY, 0, any, [0, 0, 0, 0, 1])),
    ];
    pick(random, acts)();
  }

  async #leave(all: Promise<void>[]): Promise<void> {
    const { random } = this.context;
    const how = random.below(10);
    if (how < 5) await Promise.all(all);
    else if (how === 5) this.#http2.send(f.goaway(0));
    // (node's TLS reads nothing behind its own end)
    else if (how === 6 && !this.context.door.tls) {
      // what was asked for as a whole is still answered
      this.#isLeavingLate = true;
      this.wire.finish();
      await Promise.race([Promise.all(all), pause(LATE_MS)]);
      return this.#giveUp("close");
    } else if (how === 7) return this.#giveUp("reset");
    else if (how === 8) return this.#giveUp("close");
    await Promise.all(all);
    this.#http2.send(f.goaway(0));
    this.wire.finish();
    await Promise.race([this.wire.ended, pause(3_000)]);
  }

  #giveUp(how: "reset" | "close"): void {
    for (const stream of this.#http2.streams.values()) (stream.user as Asked).plan.quit = "at once";
    this.#http2.kill(how);
  }

  async #one(): Promise<void> {
    const { random, nextPlan, book } = this.context;
    const plan = nextPlan();
    const id = this.#nextId;
    this.#nextId += 2;
    const asked = askedFor(plan);
    const stream = this.#http2.open(id, asked);
    this.#active++;
    book.start(
      plan,
      asked.outcome,
      `HTTP/2 client ${this.#port}${this.context.door.tls ? " by TLS" : ""} stream ${id}`,
    );
    this.#send(stream, asked);
    if (this.#initial <= 1_000 || chance(random, 5)) this.#openWindow(stream, random.below(100));
    if (plan.quit === "at once") await pause(random.below(3)).then(() => this.#reset(stream));
    else if (plan.quit === "head" || plan.quit === "body") this.#resetLater(stream, asked);
    await asked.done.promise;
    this.#active--;
  }

  #openWindow(stream: Http2Stream, afterMs: number): void {
    setTimeout(() => {
      if (stream.isReset || stream.remoteEnded || this.#http2.isOver) return;
      stream.window += 1 << 24;
      this.#http2.send(f.windowUpdate(stream.id, 1 << 24));
    }, afterMs);
  }

  async #resetLater(stream: Http2Stream, asked: Asked): Promise<void> {
    while (asked.outcome.status === 0 && !asked.isOver) await Promise.race([asked.done.promise, pause(5)]);
    await pause(this.context.random.below(10));
    this.#reset(stream);
  }

  #reset(stream: Http2Stream): void {
    const asked = stream.user as Asked;
    if (asked.isOver) return;
    this.#http2.reset(stream, pick(this.context.random, [8, 0, 5]));
    asked.outcome.end = "the client";
    this.#finish(stream, asked);
  }

  async #send(stream: Http2Stream, asked: Asked): Promise<void> {
    const { random } = this.context;
    const { plan } = asked;
    const head: Field[] = [[":method", plan.method], [":scheme", "http"], [":authority", "a.test"], [
      ":path",
      pathOf(plan),
    ]];
    head.push(...fieldsFor(plan));
    if (plan.id % 4 === 0) head.push(["priority", `u=${plan.id % 8}${plan.id % 3 ? "" : ", i"}`]);
    if (plan.answerTrailers) head.push(["te", "trailers"]);
    await this.#http2.head(stream, head, plan.sent < 0);
    if (plan.sent < 0) return;
    if (plan.expects) await Promise.race([asked.goesAhead.promise, asked.done.promise]);
    let left = plan.sent;
    for (const part of partsOf(plan)) {
      left -= part.length;
      if (!await this.#http2.data(stream, part, left === 0 && !plan.hasTrailers)) return;
      if (plan.quit === "sending") return this.#reset(stream);
      if (chance(random, 10)) await pause(random.below(10));
    }
    if (plan.hasTrailers) await this.#http2.head(stream, [["x-sent", String(plan.id)]], true);
    else if (plan.sent === 0) await this.#http2.data(stream, new Uint8Array(), true);
  }

  #onHead({ user }: Http2Stream, list: Field[]): void {
    const asked = user as Asked;
    const fields = new Map(list);
    const status = Number(fields.get(":status"));
    if (status < 200) {
      asked.outcome.hints++;
      if (status === 100) asked.goesAhead.resolve();
    } else Object.assign(asked.outcome, { status, fields });
  }

  #onEnd(stream: Http2Stream, trailers: Field[]): void {
    const asked = stream.user as Asked;
    asked.outcome.trailers = new Map(trailers);
    asked.outcome.isWhole = true;
    this.#finish(stream, asked);
  }

  #onReset(stream: Http2Stream, code: number | undefined): void {
    const asked = stream.user as Asked;
    asked.outcome.end ||= code === undefined
      ? `the end of the connection (${this.wire.end})`
      : f.CODES[code] ?? String(code);
    this.#finish(stream, asked, code);
  }

  #finish(stream: Http2Stream, asked: Asked, code?: number): void {
    if (asked.isOver) return;
    asked.isOver = true;
    const { plan, outcome } = asked;
    this.context.book.end(plan, outcome, this.#excuse(stream, outcome, code));
    asked.done.resolve();
  }

  #excuse(stream: Http2Stream, outcome: Outcome, code: number | undefined): string | undefined {
    const killed = isExcused(this.context, this.#port);
    if (killed !== undefined) return killed;
    if (stream.id > this.#last) return "it began behind GOAWAY";
    if (code === 7 && outcome.status === 0) return "REFUSED_STREAM";
    // all of it had not been sent when the client ended its side
    if (this.#isLeavingLate && !stream.localEnded) return "half of it when the client left";
    // who has ended its side gives no window back
    if (this.#isLeavingLate && outcome.status !== 0) return "no window when the client left";
    return undefined;
  }

  #onGoaway(last: number, code: number): void {
    this.#isLeaving = true;
    if (last < 0x7fffffff) this.#last = last;
    if (code !== 0 && !this.context.book.isShort) {
      this.context.book.fault(`HTTP/2 client ${this.#port} got GOAWAY ${f.CODES[code] ?? code}`);
    }
  }
}
