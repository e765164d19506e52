// Runs vectors against a proxy, several at a time, and says of each what went otherwise than it should.
//
// Each lane has a listener of its own, and carries one vector at a time. What reaches the backend tells its lane by
// X-Forwarded-Port, which the proxy writes into every request, so the backend knows what to expect and what to answer
// while all lanes share its connections. Bytes that belong to no vector, or come when nothing may come, are failures.

import { type AddressInfo, createServer } from "node:net";
import { type Bytes, show, toText } from "./bytes.ts";
import { matchPattern, type Pattern, showPattern } from "./patterns.ts";
import { Peer, type SendMode } from "./peer.ts";
import { createRandom, type Random, seedOf } from "./random.ts";
import { connect } from "./raw_client.ts";
import { toBytes, toPattern, type Vector } from "./vectors.ts";

const STEP_MS = 3_000;
/** How long a connection to the backend is watched to say that it was kept. */
const KEPT_MS = 15;

/** One run of one vector. */
class Exchange {
  readonly vector: Vector;
  readonly mode: SendMode;
  readonly random: Random;
  readonly backends: Pattern[];
  readonly answers: Bytes[];
  readonly client: Pattern;
  readonly input: Bytes;
  /** Requests that reached the backend whole. */
  reached = 0;
  readonly connections = new Set<Peer>();
  readonly faults: string[] = [];
  #settled = Promise.withResolvers<void>();

  constructor(vector: Vector, mode: SendMode, port: number) {
    const context = { port };
    this.vector = vector;
    this.mode = mode;
    this.random = createRandom(seedOf(vector.name));
    this.input = toBytes(vector.input, context);
    this.backends = vector.backends.map((text) => toPattern(text, context));
    this.answers = vector.answers.map((answer) => toBytes(answer.text, context));
    this.client = toPattern(vector.client, context);
  }

  fault(text: string): void {
    this.faults.push(text);
    this.#settled.resolve();
  }

  /** Resolves at the first fault: there is no use in waiting for the rest. */
  get faulty(): Promise<void> {
    return this.#settled.promise;
  }
}

export interface VectorBackend extends AsyncDisposable {
  address: string;
  /** Bytes that came and belong to no vector. */
  stray: string[];
  /** What arrives with this X-Forwarded-Port belongs to `exchange`. */
  expect(port: number, exchange: Exchange | undefined): void;
}

/** The backend of all lanes. */
export async function startVectorBackend(): Promise<VectorBackend> {
  const lanes = new Map<number, Lane>();
  const stray: string[] = [];
  const peers = new Set<Peer>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new Peer(socket);
    peers.add(peer);
    socket.on("close", () => peers.delete(peer));
    listen(peer, lanes, stray);
  });
  const listening = Promise.withResolvers<void>();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => listening.resolve());
  await listening.promise;
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stray,
    expect(port, exchange) {
      const lane = lanes.get(port);
      lanes.set(port, { current: exchange, previous: lane?.current ?? lane?.previous });
    },
    async [Symbol.asyncDispose]() {
      for (const peer of peers) peer.destroy();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}

/** Whom each connection to the backend worked for last. */
const lastClaims = new WeakMap<Peer, Exchange>();

/** A lane of the backend: what it carries, and what it carried before. */
interface Lane {
  current: Exchange | undefined;
  previous: Exchange | undefined;
}

/**
 * The exchange that a connection's bytes belong to. The client of a refused request may know of the refusal before the
 * backend has seen what little it is to see of it: such bytes come late, and belong to the one before.
 */
function claimant({ current, previous }: Lane, received: Bytes): Exchange | undefined {
  const fits = (exchange: Exchange | undefined) => {
    const expected = exchange?.backends[exchange.reached];
    return expected !== undefined && matchPattern(expected, received).state !== "different";
  };
  return previous?.vector.outcome.backend === "part" && !fits(current) && fits(previous) ? previous : current;
}

/** Follows one connection: finds the vector that each request belongs to, compares, and answers. */
function listen(peer: Peer, lanes: Map<number, Lane>, stray: string[]): void {
  let claim: Exchange | undefined;
  let answering = false;
  const look = () => {
    if (!claim && peer.length > 0) {
      const port = toText(peer.received).match(/\r\nX-Forwarded-Port: (\d+)\r\n/)?.[1];
      const lane = lanes.get(Number(port));
      claim = lane && claimant(lane, peer.received);
      claim?.connections.add(peer);
      if (claim) lastClaims.set(peer, claim);
      if (!claim && (port || peer.end !== "open")) stray.push(show(peer.take(peer.length)));
    }
    if (claim && !answering && peer.length > 0 && compare(claim, peer)) {
      const exchange = claim;
      answering = true;
      answer(exchange, peer).finally(() => {
        answering = false;
        claim = undefined;
        look();
      });
    }
    if (peer.end !== "open" && !answering) peer.finish();
  };
  peer.onChange = look;
}

/** Whether a whole expected request has arrived, and is to be answered. */
function compare(exchange: Exchange, peer: Peer): boolean {
  const expected = exchange.backends[exchange.reached];
  if (!expected) {
    exchange.fault(`this must not reach the backend:\n    ${show(peer.received)}`);
    return false;
  }
  const match = matchPattern(expected, peer.received);
  if (match.state === "different") {
    const words = `the backend got, at byte ${match.at}, something else than ${match.expected}`;
    exchange.fault(`${words}\n  got\n    ${show(peer.received)}\n  expected\n    ${showPattern(expected)}`);
    return false;
  }
  if (match.state === "beginning") return false;
  if (exchange.answers[exchange.reached] === undefined) {
    if (match.end < peer.length) exchange.fault(`more reached the backend:\n    ${show(peer.received)}`);
    return false;
  }
  peer.take(match.end);
  return true;
}

async function answer(exchange: Exchange, peer: Peer): Promise<void> {
  const index = exchange.reached++;
  const { then } = exchange.vector.answers[index]!;
  await peer.writeIn(exchange.mode, exchange.answers[index]!, exchange.random);
  if (then === "close") peer.finish();
  if (then === "reset") {
    await new Promise((resolve) => setTimeout(resolve, 20)); // a reset overtakes the bytes that were not read yet
    peer.reset();
  }
}

// ---- the client's side ----

interface OwnAnswer {
  end: number;
  closes: boolean;
}

const OWN_HEAD = /^HTTP\/1\.1 (\d{3}) ([A-Z][A-Za-z -]*)\r\n((?:[A-Za-z-]+: [^\r\n]*\r\n)+)\r\n/;

/** The proxy's own answer at `from`: undefined as long as it is not complete; throws when it is not as it must be. */
function ownAnswer(bytes: Uint8Array, from: number, status: number): OwnAnswer | undefined {
  const text = toText(bytes.subarray(from));
  const head = text.match(OWN_HEAD);
  if (!head) {
    if (text.includes("\r\n\r\n")) throw new Error(`not the head of an answer of the proxy: ${show(bytes)}`);
    return undefined;
  }
  if (Number(head[1]) !== status) throw new Error(`status ${head[1]}, expected ${status}`);
  const fields = new Map(head[3]!.trimEnd().split("\r\n").map((line) => line.split(": ") as [string, string]));
  const names = [...fields.keys()].filter((name) => name !== "Retry-After" && name !== "Allow");
  const expected = ["Content-Type", "Content-Length", "Date", ...(names.includes("Connection") ? ["Connection"] : [])];
  if (names.join() !== expected.join()) throw new Error(`fields ${names.join()}, expected ${expected.join()}`);
  if (fields.get("Content-Type") !== "text/plain; charset=utf-8") throw new Error(`not plain text: ${head[0]}`);
  if (status === 503 && fields.get("Retry-After") !== "1") throw new Error(`no "Retry-After: 1": ${head[0]}`);
  if (names.includes("Connection") && fields.get("Connection") !== "close") throw new Error(`Connection: ${head[0]}`);
  const end = from + head[0].length + Number(fields.get("Content-Length"));
  return end <= bytes.length ? { end, closes: names.includes("Connection") } : undefined;
}

/** Sends the vector's bytes and reads what comes back, until it is complete by the vector's own terms. */
async function converse(exchange: Exchange, client: Peer): Promise<void> {
  const { outcome } = exchange.vector;
  const sent = client.writeIn(exchange.mode, exchange.input, exchange.random);
  if (outcome.cut) {
    await client.until("a broken answer, or a refusal", () => {
      return client.end !== "open" || isRefusal(exchange, client) || undefined;
    }, STEP_MS);
    return checkCut(exchange, client);
  }
  const end = await client.until("the client's bytes", () => wholeAnswer(exchange, client), STEP_MS);
  await sent;
  if (!end.closes) client.finish();
  await client.untilEnd(STEP_MS);
  if (client.length > end.at) {
    exchange.fault(`the client got more than it should:\n    ${show(client.received.subarray(end.at))}`);
  }
}

/** Where everything that the client is to get ends, or undefined as long as it is not there. */
function wholeAnswer(exchange: Exchange, client: Peer): { at: number; closes: boolean } | undefined {
  const { outcome } = exchange.vector;
  const match = matchPattern(exchange.client, client.received);
  if (match.state === "different") {
    throw new Error(`at byte ${match.at} not ${match.expected}\n  expected\n    ${showPattern(exchange.client)}\n `);
  }
  if (match.state === "beginning") return undefined;
  if (outcome.status === undefined) return { at: match.end, closes: outcome.close };
  const own = ownAnswer(client.received, match.end, outcome.status);
  if (!own) return undefined;
  if (outcome.close && !own.closes) throw new Error('the refusal does not say "Connection: close"');
  return { at: own.end, closes: own.closes };
}

function isRefusal({ vector }: Exchange, client: Peer): boolean {
  if (!/^HTTP\/1\.1 [45]/.test(toText(client.received.subarray(0, 10)))) return false;
  return ownAnswer(client.received, 0, vector.outcome.status ?? 502)?.end === client.length;
}

/** An answer that breaks off: a beginning of what it should have been, or, if nothing was sent yet, a refusal. */
function checkCut(exchange: Exchange, client: Peer): void {
  const match = matchPattern(exchange.client, client.received);
  if (match.state === "beginning") return;
  if (match.state === "whole" && match.end === client.length) return;
  if (isRefusal(exchange, client)) return;
  exchange.fault(`neither a broken answer nor a refusal:\n    ${show(client.received)}`);
}

async function checkBackend(exchange: Exchange): Promise<void> {
  const { outcome, answers } = exchange.vector;
  const whole = outcome.backend === "part" ? exchange.backends.length - 1 : exchange.backends.length;
  if (exchange.reached < whole && answers.length > 0) {
    exchange.fault(`${exchange.reached} requests reached the backend whole, expected ${whole}`);
  }
  const last = [...exchange.connections].at(-1);
  if (!outcome.connection || !last) return;
  if (outcome.connection === "closed") return void await last.untilEnd(STEP_MS);
  await new Promise((resolve) => setTimeout(resolve, KEPT_MS));
  // whoever it works for now may end it; that it works for somebody else shows that it was kept
  if (last.end !== "open" && lastClaims.get(last) === exchange) {
    exchange.fault("the connection to the backend was not kept");
  }
}

async function runOne(vector: Vector, mode: SendMode, port: number, backend: VectorBackend): Promise<string[]> {
  const exchange = new Exchange(vector, mode, port);
  backend.expect(port, exchange);
  using client = await connect(port);
  try {
    const conversed = converse(exchange, client).then(() => checkBackend(exchange));
    conversed.catch(() => {}); // a fault at the backend is reported first; the client's follows from it
    await Promise.race([conversed, exchange.faulty]);
  } catch (error) {
    exchange.fault(String(error));
  } finally {
    backend.expect(port, undefined);
  }
  return exchange.faults.map((text) => `${vector.name} (${mode})\n  ${text}`);
}

/** Runs all vectors in one mode, as many at a time as there are ports. Gives what went wrong. */
export async function runVectors(
  vectors: readonly Vector[],
  mode: SendMode,
  ports: readonly number[],
  backend: VectorBackend,
): Promise<string[]> {
  const waiting = [...vectors].reverse();
  const faults: string[] = [];
  await Promise.all(ports.map(async (port) => {
    for (let vector = waiting.pop(); vector; vector = waiting.pop()) {
      faults.push(...await runOne(vector, mode, port, backend));
    }
  }));
  return faults;
}
