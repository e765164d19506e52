// A client of HTTP/1.1: one request after the other, or several at once, with bodies of both forms, that waits to be asked for
// them, gives up, ends its side, or resets. Each connection has a temper of its own.

import { concat } from "../bytes.ts";
import { splitAtRandom } from "../random.ts";
import type { Outcome } from "./book.ts";
import { type Asked, askedFor, type ClientContext, fieldsFor, isExcused, partsOf } from "./client.ts";
import { chunk, type Head, headBytes, Http1Reader, lastChunk } from "./http1.ts";
import { chance, pathOf, type Plan } from "./plan.ts";
import { pause, type Wire } from "./wire.ts";

/** A connection that rests for longer may be closed by a worker that drains, when it is just used again. */
const RESTED_MS = 400;

export class Http1Client {
  readonly #asked: Asked[] = [];
  readonly #reader: Http1Reader;
  #closes = false;
  #count = 0;
  #restedMs = 0;
  readonly #port: number;

  constructor(private readonly context: ClientContext, private readonly wire: Wire) {
    this.#port = wire.port;
    this.#reader = new Http1Reader({
      onHead: (head) => this.#onHead(head),
      onData: (piece) => this.#first.outcome.body.take(piece),
      onEnd: (trailers) => this.#onEnd(trailers),
    });
    wire.onBytes = (bytes) => this.#take(bytes);
    wire.onEnd = () => this.#lose();
  }

  get #first(): Asked {
    return this.#asked[0]!;
  }

  /** One request after the other, or several at once, until it has had enough. */
  async run(): Promise<void> {
    const { random } = this.context;
    for (let left = random.between(1, 30); left > 0 && !this.#isUnusable; left--) {
      if (chance(random, 15)) await this.#pipeline();
      else await this.#one(left === 1);
      if (chance(random, 30)) await pause(random.below(150));
      if (this.context.isOver()) break;
    }
    if (chance(random, 20)) this.wire.reset();
    else this.wire.finish();
    await Promise.race([this.wire.ended, pause(3_000)]);
    this.wire.destroy();
  }

  get #isUnusable(): boolean {
    return this.#closes || this.wire.end !== "open" || !this.wire.isWritable;
  }

  #ask(plan: Plan): Asked {
    const asked = askedFor(plan);
    this.#restedMs = performance.now() - this.wire.heardMs;
    this.#count++;
    this.#asked.push(asked);
    this.context.book.start(
      plan,
      asked.outcome,
      `HTTP/1 client ${this.#port}${
        this.context.door.tls ? " by TLS" : ""
      }, request ${this.#count} (${this.#asked.length} under way)`,
    );
    return asked;
  }

  async #pipeline(): Promise<void> {
    const { random, nextPlan } = this.context;
    const all: Asked[] = [];
    let bytes = new Uint8Array();
    for (let left = random.between(2, 6); left > 0; left--) {
      const plan: Plan = { ...nextPlan(), quit: "never", expects: false, early: false, hasTrailers: false };
      plan.sent = Math.min(plan.sent, 500);
      if (plan.cluster.startsWith("wild") || plan.fault !== "none") {
        Object.assign(plan, { cluster: "calm1", fault: "none" });
      }
      all.push(this.#ask(plan));
      const body = plan.sent < 0 ? [] : [...partsOf(plan)];
      bytes = concat([bytes, this.#head(plan), ...(plan.hasLength ? body : body.map(chunk))]);
      if (plan.sent >= 0 && !plan.hasLength) bytes = concat([bytes, lastChunk()]);
    }
    for (const one of all) one.isSent = true;
    await this.#write(bytes);
    await Promise.all(all.map(({ done }) => done.promise));
  }

  async #one(isLast: boolean): Promise<void> {
    const { random, nextPlan } = this.context;
    const asked = this.#ask(nextPlan());
    const { plan, done } = asked;
    if (plan.quit === "at once") {
      await this.#write(this.#head(plan));
      return await this.#quit(random.below(3));
    }
    const sending = this.#send(asked).then(() => {
      if (isLast && chance(random, 40) && plan.quit === "never") this.wire.finish();
    });
    if (plan.quit === "head" || plan.quit === "body") {
      // when something has come of it
      while (asked.outcome.status === 0 && !asked.isOver) await Promise.race([done.promise, pause(5)]);
      if (!asked.isOver) await this.#quit(random.below(10));
    }
    await done.promise;
    await sending;
  }

  async #quit(afterMs: number): Promise<void> {
    await pause(afterMs);
    if (this.context.random.below(2)) this.wire.reset();
    else this.wire.destroy();
    this.#lose();
  }

  #head(plan: Plan): Uint8Array {
    const fields: [string, string][] = [["Host", "a.test"], ...fieldsFor(plan)];
    if (plan.sent >= 0 && !plan.hasLength) fields.push(["Transfer-Encoding", "chunked"]);
    return headBytes(`${plan.method} ${pathOf(plan)} HTTP/1.1`, fields);
  }

  async #send(asked: Asked): Promise<void> {
    const { plan } = asked;
    asked.isSent = plan.sent <= 0 && (plan.sent < 0 || plan.hasLength);
    await this.#write(this.#head(plan));
    if (plan.sent < 0) return;
    if (plan.expects) await Promise.race([asked.goesAhead.promise, asked.done.promise]);
    for (const part of partsOf(plan)) {
      if (this.wire.end !== "open" || (asked.isOver && this.#closes && chance(this.context.random, 50))) return;
      if (plan.quit === "sending") return await this.#quit(0);
      await this.#write(plan.hasLength ? part : chunk(part));
      if (chance(this.context.random, 10)) await pause(this.context.random.below(10));
    }
    asked.isSent = true;
    if (!plan.hasLength) await this.#write(lastChunk(plan.hasTrailers ? [["x-sent", String(plan.id)]] : []));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { random } = this.context;
    if (!chance(random, 10)) return await this.wire.write(bytes);
    for (const piece of splitAtRandom(bytes, random)) {
      await this.wire.write(piece);
      if (random.below(2)) await pause(1);
    }
  }

  #take(bytes: Uint8Array): void {
    try {
      this.#reader.take(bytes);
    } catch (error) {
      this.context.book.fault(`HTTP/1 client ${this.#port} got: ${error}, for ${JSON.stringify(this.#asked[0]?.plan)}`);
      this.wire.destroy();
    }
  }

  #onHead({ line, fields }: Head): number | "chunks" | "close" {
    const asked = this.#asked[0];
    if (asked === undefined) throw new Error(`an answer to nothing: ${line}`);
    const status = Number(line.split(" ")[1]);
    if (status < 200) {
      asked.outcome.hints++;
      if (status === 100) asked.goesAhead.resolve();
      return 0;
    }
    Object.assign(asked.outcome, { status, fields });
    if (fields.get("connection")?.toLowerCase() === "close") this.#closes = true;
    if (asked.plan.method === "HEAD" || status === 204 || status === 304) return 0;
    if (fields.has("transfer-encoding")) return "chunks";
    const length = fields.get("content-length");
    return length === undefined ? "close" : Number(length);
  }

  #onEnd(trailers: Map<string, string>): void {
    const asked = this.#first;
    // an interim answer
    if (asked.outcome.status === 0) return;
    asked.outcome.trailers = trailers;
    asked.outcome.isWhole = true;
    this.#finish(this.#asked.shift()!);
  }

  #finish(asked: Asked): void {
    asked.isOver = true;
    // an answer that overtakes the end of its request is the last one, even if that is on its way
    if (!asked.isSent || asked.plan.early) this.#closes = true;
    const { context } = this;
    const { plan, outcome } = asked;
    context.book.end(plan, outcome, isExcused(context, this.#port) ?? this.#isStale(outcome));
    asked.done.resolve();
  }

  /** Nothing came back on a connection that had rested: it was about to be closed. */
  #isStale({ status }: Outcome): string | undefined {
    return status === 0 && this.#restedMs > RESTED_MS ? "the connection had rested" : undefined;
  }

  #lose(): void {
    try {
      this.#reader.close();
    } catch (error) {
      this.context.book.fault(`HTTP/1 client ${this.#port} got: ${error}`);
    }
    // behind an answer that closes nothing is looked at
    for (const asked of this.#asked.splice(0)) {
      asked.outcome.end = `the end of the connection (${this.wire.end})`;
      if (!this.#closes || asked.outcome.status !== 0) this.#finish(asked);
      else {
        this.context.book.open.delete(asked.plan.id);
        asked.isOver = true;
        asked.done.resolve();
      }
    }
    if (this.wire.end !== "open") this.wire.destroy();
  }
}
