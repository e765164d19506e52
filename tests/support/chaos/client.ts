// What clients of the chaos have in common, whichever protocol they speak: how they come to a connection, and what they ask by it.

import { connect as connectPlain } from "node:net";
import { connect as connectSecure } from "node:tls";
import type { Random } from "../random.ts";
import { type Book, noOutcome, type Outcome } from "./book.ts";
import { bodyBytes, type Plan } from "./plan.ts";
import { Wire } from "./wire.ts";

const BODY_PART = 20_000;

export interface Door {
  port: number;
  tls: boolean;
}

export interface ClientContext {
  book: Book;
  random: Random;
  door: Door;
  /** The certificates that it believes. */
  ca: string;
  nextPlan: () => Plan;
  isOver: () => boolean;
  /** Connections by their port, to be excused when their worker is killed. */
  excused: Set<number>;
  wires: Set<Wire>;
}

export function open(context: ClientContext, protocol: "h2" | "http/1.1"): Promise<Wire> {
  const { door, ca, wires } = context;
  const { promise, resolve, reject } = Promise.withResolvers<Wire>();
  const at = { port: door.port, host: "127.0.0.1", allowHalfOpen: true };
  const socket = door.tls
    ? connectSecure({ ...at, ca, servername: "a.test", ALPNProtocols: [protocol] })
    : connectPlain(at);
  socket.once("error", reject);
  socket.once(door.tls ? "secureConnect" : "connect", () => {
    socket.off("error", reject);
    const wire = new Wire(socket);
    wires.add(wire);
    wire.ended.then(() => wires.delete(wire));
    resolve(wire);
  });
  return promise;
}

export function isExcused({ excused }: ClientContext, port: number): string | undefined {
  return excused.has(port) ? "its worker was killed" : undefined;
}

export function fieldsFor(plan: Plan): [string, string][] {
  const fields: [string, string][] = [["x-client", String(plan.id)]];
  if (plan.sent >= 0 && plan.hasLength) fields.push(["content-length", String(plan.sent)]);
  if (plan.expects) fields.push(["expect", "100-continue"]);
  if (plan.id % 5 === 0) fields.push(["cookie", `a=${plan.id}`], ["x-long", "x".repeat(plan.id % 3_000)]);
  return fields;
}

/** Pieces of a request's body, as they are to be sent. */
export function* partsOf({ id, sent }: Plan): Generator<Uint8Array> {
  for (let at = 0; at < sent; at += BODY_PART) yield bodyBytes(id, 0, at, Math.min(BODY_PART, sent - at));
}

/** A request that is under way. */
export interface Asked {
  plan: Plan;
  outcome: Outcome;
  goesAhead: PromiseWithResolvers<void>;
  done: PromiseWithResolvers<void>;
  /** It has its answer. */
  isOver: boolean;
  isSent: boolean;
}

export function askedFor(plan: Plan): Asked {
  const [goesAhead, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  return { plan, outcome: noOutcome(plan), goesAhead, done, isOver: false, isSent: false };
}
