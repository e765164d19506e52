// Who asked what, what came of it, and whether that may be. Clients and backends of the chaos write into it; whatever is not
// explained by a fault that was asked for, by a client that gave up, or by a worker that was killed, is a fault of the proxy's.

import { BodyCheck, bodySize, type Plan } from "./plan.ts";

/** What a client got. */
export interface Outcome {
  status: number;
  fields: Map<string, string>;
  body: BodyCheck;
  trailers: Map<string, string>;
  hints: number;
  isWhole: boolean;
  /** Why not. */
  end: string;
}

export function noOutcome(plan: Plan): Outcome {
  const body = new BodyCheck(plan.id, 1);
  return { status: 0, fields: new Map(), body, trailers: new Map(), hints: 0, isWhole: false, end: "" };
}

/** Refusals of the proxy for which a backend, or the want of room, is the reason. */
const REFUSED = [408, 502, 503, 504];
/** A request is tried three times; when backends have not looked at it twice, the third may meet a connection that ends. */
const UNSEEN_MAX = 2;
const FAULTS_KEPT = 30;
const NOTES_KEPT = 400;
/** By clusters whose backends do anything, any of REFUSED may come, and any answer may be cut. */
const isWild = ({ cluster }: Plan) => cluster.startsWith("wild");

interface Open {
  plan: Plan;
  outcome: Outcome;
  startedMs: number;
  who: string;
}

export class Book {
  readonly faults: string[] = [];
  faultCount = 0;
  readonly tally = new Map<string, number>();
  readonly notes: string[] = [];
  readonly open = new Map<number, Open>();
  /** How often a request has come to a backend; and what it had no look at. */
  readonly #arrivals = new Map<number, number>();
  readonly #unseen = new Map<number, number>();
  #lastId = 0;
  readonly #began = performance.now();

  /** `isShort`: buffers are so few that timeouts end what waits for them; what comes, though, is right. */
  constructor(readonly isShort: boolean) {}

  nextId(): number {
    return ++this.#lastId;
  }

  get asked(): number {
    return this.#lastId;
  }

  note(text: string): void {
    this.notes.push(`${((performance.now() - this.#began) / 1000).toFixed(3)} ${text}`);
    if (this.notes.length > NOTES_KEPT) this.notes.shift();
  }

  fault(text: string): void {
    this.faultCount++;
    const line = `${((performance.now() - this.#began) / 1000).toFixed(3)} ${text}`;
    if (this.faults.length < FAULTS_KEPT) this.faults.push(line);
  }

  count(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }

  // ---- backends ----

  /** A request has come to a backend: how often by now. */
  arrived(plan: Plan): number {
    const count = (this.#arrivals.get(plan.id) ?? 0) + 1;
    this.#arrivals.set(plan.id, count);
    return count;
  }

  /** The body of a request was another one. */
  damaged(plan: Plan, what: string): void {
    const who = this.open.get(plan.id)?.who ?? "somebody who has gone";
    const times = this.#arrivals.get(plan.id);
    this.fault(`for ${who} a backend was sent (${times} times): ${what}: ${JSON.stringify(plan)}`);
  }

  /** A backend has said that it has not looked at it. */
  unseen(plan: Plan): void {
    this.#unseen.set(plan.id, (this.#unseen.get(plan.id) ?? 0) + 1);
  }

  // ---- clients ----

  start(plan: Plan, outcome: Outcome, who: string): void {
    this.open.set(plan.id, { plan, outcome, who, startedMs: performance.now() });
  }

  /** The end of an exchange. `excuse`: why it may have come to nothing, if that is so. */
  end(plan: Plan, outcome: Outcome, excuse: string | undefined): void {
    const open = this.open.get(plan.id);
    if (open === undefined) return;
    this.open.delete(plan.id);
    const fault = this.#judge(plan, outcome, excuse);
    const tookMs = Math.round(performance.now() - open.startedMs);
    if (fault !== undefined) this.fault(`${open.who}: ${fault} after ${tookMs} ms: ${JSON.stringify(plan)}`);
    this.#arrivals.delete(plan.id);
    this.#unseen.delete(plan.id);
  }

  /** Those have got stuck that are open for longer. */
  lookForStuck(afterMs: number): void {
    const before = performance.now() - afterMs;
    for (const { plan, outcome: { status, body }, who, startedMs } of this.open.values()) {
      if (startedMs > before) continue;
      this.open.delete(plan.id);
      this.fault(`${who}: not over in ${afterMs} ms (${status}, ${body.bytes} bytes): ${JSON.stringify(plan)}`);
    }
  }

  #judge(plan: Plan, outcome: Outcome, excuse: string | undefined): string | undefined {
    const { status, fields, body, isWhole, end } = outcome;
    const id = fields.get("x-id");
    if (id !== undefined && id !== String(plan.id)) return `it got the answer to ${id}`;
    if (id !== undefined && body.fault !== undefined) return body.fault;
    if (isWhole && id !== undefined) return this.#judgeWhole(plan, outcome);
    const got = isWhole ? `${status} of the proxy's` : `${status || "no answer"}, cut by ${end}`;
    if (plan.quit !== "never") return void this.count("given up");
    if (excuse !== undefined) return void this.count(`excused: ${excuse}`);
    if (isWhole && !REFUSED.includes(status)) return got;
    if (isWild(plan) || plan.fault.startsWith("cut") || plan.fault.startsWith("kill") || plan.fault === "hang") {
      return void this.count(`fault: ${plan.fault}: ${got}`);
    }
    const [times, unseen] = [this.#arrivals.get(plan.id) ?? 0, this.#unseen.get(plan.id) ?? 0];
    // what has been sent of a body is gone when the backend says that it has not looked at it
    if (plan.sent >= 0 && status === 502 && times === unseen) return void this.count("unseen with a body");
    if (unseen >= UNSEEN_MAX) return void this.count("unseen too often");
    if (this.isShort) return void this.count(`short of buffers: ${got}`);
    return `${got} (came ${times} times to a backend, unseen ${unseen} times)`;
  }

  #judgeWhole(plan: Plan, { status, fields, body, trailers }: Outcome): string | undefined {
    if (status !== plan.status) return `status ${status}`;
    if (body.bytes !== bodySize(plan)) return `${body.bytes} bytes instead of ${bodySize(plan)}`;
    const got = Number(fields.get("x-got"));
    if (!plan.early && got !== Math.max(0, plan.sent)) return `the backend got ${got} of ${plan.sent} bytes`;
    if (plan.answerTrailers && trailers.get("x-end") !== String(plan.id)) {
      return `trailers ${JSON.stringify([...trailers])}`;
    }
    if (plan.fault === "cut" || plan.fault === "kill") return `an answer in spite of "${plan.fault}"`;
    this.count("whole");
    return undefined;
  }
}
