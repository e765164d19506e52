// Conversations in HTTP/2, mutated: none may trap, touch memory that is not its own, keep more than its bounds, or be
// understood otherwise when it comes in pieces and what is read is kept before it is written. KAKEHI_FUZZ_CASES=COUNT as many as wanted, KAKEHI_FUZZ_CASE=NUMBER one of them.

import { Buffer } from "node:buffer";
import * as abi from "../../assembly/abi.ts";
import { assertEquals, AssertionError } from "../support/assert.ts";
import { H2Driver, POST, REQUEST } from "../support/h2.ts";
import * as f from "../support/h2_frames.ts";
import { createRandom, type Random } from "../support/random.ts";

const CASES = Number(Deno.env.get("KAKEHI_FUZZ_CASES") ?? 100_000);
const ONLY = Deno.env.get("KAKEHI_FUZZ_CASE");
const CANARY = 0xc5;

const WORDS = [
  "",
  "a",
  "b".repeat(40),
  "/",
  "*",
  "GET",
  "example.com",
  "trailers",
  "0",
  "5",
  "\0",
  "A",
  ":path",
  "cookie",
  "content-length",
];
const NAMES = [
  "a",
  "cookie",
  "te",
  "host",
  "content-length",
  "priority",
  ":path",
  ":status",
  ":method",
  "connection",
  "X",
  "x-forwarded-for",
  "",
];

/** What is done: bytes that come, or something that we do ourselves. */
type Step = Uint8Array | ((driver: H2Driver) => void);

const WEBSOCKET: readonly f.Field[] = [[":method", "CONNECT"], [":protocol", "websocket"], ...REQUEST.slice(1)];

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)]!;
}

function makeBlock(random: Random, role: number): Uint8Array {
  const fields: f.Field[] = role === abi.H2_ROLE_SERVER
    ? [...pick(random, [REQUEST, REQUEST, POST, POST, WEBSOCKET])]
    : [[":status", pick(random, ["200", "204", "103", "x"])]];
  for (let i = Math.max(0, random.below(6) - 2); i > 0; i--) fields.push([pick(random, NAMES), pick(random, WORDS)]);
  const bytes = Uint8Array.from(f.block(random.below(12) === 0 ? fields.slice(1 + random.below(4)) : fields));
  // indexes, insertions and size updates among them
  if (random.below(8) === 0 && bytes.length > 0) {
    bytes[random.below(bytes.length)] = pick(random, [0x40, 0x82, 0xbe, 0x20, 0x3f, 0x10, random.below(256)]);
  }
  return bytes;
}

function makeHeaders(random: Random, role: number, id: number): Uint8Array {
  const block = makeBlock(random, role);
  const end = random.below(2);
  if (random.below(4) > 0) return f.frame(f.HEADERS, f.END_HEADERS | end, id, block);
  const cut = random.below(block.length + 1);
  const padding = random.below(4);
  return f.concat(
    f.frame(f.HEADERS, f.PADDED | end, id, [padding, ...block.subarray(0, cut), ...new Uint8Array(padding)]),
    f.frame(f.CONTINUATION, f.END_HEADERS, id, block.subarray(cut)),
  );
}

/** The stream that a client opens next. */
let nextId = 1;

/** Mostly a stream that there is, sometimes one that there was or will be, rarely none. */
function makeId(random: Random, role: number): number {
  if (random.below(60) === 0) return random.below(20);
  return role === abi.H2_ROLE_SERVER ? Math.max(1, nextId - 2 * random.between(1, 4)) : 1 + 2 * random.below(3);
}

function makeFrame(random: Random, role: number): Uint8Array {
  const id = makeId(random, role);
  switch (random.below(random.below(4) === 0 ? 13 : 6)) {
    case 0:
    case 1:
      if (random.below(6) === 0) {
        return f.headers(id, [["grpc-status", "0"], [pick(random, NAMES), pick(random, WORDS)]]);
      }
      if (role === abi.H2_ROLE_SERVER) return makeHeaders(random, role, (nextId += 2) - 2);
      return makeHeaders(random, role, id);
    case 2:
    case 12:
      return makeHeaders(random, role, random.below(5) > 0 && role === abi.H2_ROLE_SERVER ? (nextId += 2) - 2 : id);
    case 3:
    case 4:
      return f.data(id, random.below(8) === 0 ? 16384 : random.below(50), random.below(2));
    case 5:
      return f.frame(f.DATA, f.PADDED | random.below(2), id, [random.below(4), ...random.bytes(random.below(20))]);
    case 6:
      return f.settings([
        pick(random, [1, 2, 3, 4, 5, 6, 8, 9]),
        pick(random, [0, 1, 1, 16384, 16384, 65535, 0x7fffffff, 0xffffffff]),
      ]);
    case 7:
      return f.windowUpdate(pick(random, [0, id]), pick(random, [0, 1, 1000, 1000, 30000, 0x7fffffff]));
    case 8:
      return f.rstStream(id, random.below(16));
    case 9:
      return f.frame(f.PING, 0, 0, random.bytes(8));
    case 10:
      return pick(random, [
        f.goaway(7, 0, [1, 2]),
        f.frame(f.PRIORITY_UPDATE, 0, 0, [...f.u32(id), 0x75, 0x3d, 0x31]),
        f.frame(f.PRIORITY, 0, id, [0, 0, 0, 0, 1]),
      ]);
    default:
      return f.frame(
        random.below(random.below(4) === 0 ? 20 : 4) + 10,
        random.below(256),
        id,
        random.bytes(random.below(30)),
      );
  }
}

const GET = "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b; c=d\r\n\r\n";
const UPGRADE = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ";
const ASKS = [
  GET,
  GET,
  "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
  "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
  `${UPGRADE}websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  `${UPGRADE}other\r\n\r\n`,
];
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX: y\r\n\r\n";

/** Something that we do, the same in every driver that is in the same state. */
function makeAction(random: Random, role: number): Step {
  const what = random.below(6);
  const nth = random.below(8);
  const amount = random.below(30000);
  return (driver) => {
    const ids = [...driver.streams.keys()].sort((a, b) => a - b);
    const id = ids[nth % Math.max(1, ids.length)];
    if (what === 0 && role === abi.H2_ROLE_CLIENT) driver.ask(ASKS[nth % ASKS.length]!, nth % 2 === 0);
    else if (what === 1) driver.core.codec.h2Tick(driver.h2);
    else if (id === undefined) return;
    else if (what === 0) driver.answer(id, ANSWER, nth % 3 === 0);
    else if (what === 2) driver.putData(id, Math.min(amount, driver.sendable(id)), nth % 3 === 0);
    else if (what === 3) driver.consume(id, amount);
    else if (what === 4) driver.reset(id);
    else driver.end(id);
  };
}

function mutate(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  for (let i = 1 + random.below(3); i > 0 && copy.length > 0; i--) {
    const at = random.below(Math.min(copy.length, 64));
    copy[at] = random.below(3) === 0 ? copy[at]! ^ (1 << random.below(8)) : random.below(256);
  }
  return random.below(5) === 0 ? copy.subarray(0, random.below(copy.length + 1)) : copy;
}

function makeSteps(random: Random, role: number): Step[] {
  const settings = random.below(2) > 0 ? f.settings([8, 1]) : f.settings();
  const steps: Step[] = [role === abi.H2_ROLE_SERVER ? f.concat(f.MAGIC, settings) : settings];
  if (role === abi.H2_ROLE_CLIENT) {
    for (let i = 0; i < 3; i++) {
      const ask = pick(random, ASKS);
      steps.push((driver) => void driver.ask(ask, i > 0));
    }
  }
  nextId = 1;
  const mutates = random.below(2) > 0;
  if (role === abi.H2_ROLE_SERVER) {
    for (let i = random.below(4); i > 0; i--) steps.push(makeHeaders(random, role, (nextId += 2) - 2));
  }
  for (let i = 2 + random.below(12); i > 0; i--) {
    if (random.below(4) === 0) {
      steps.push(makeAction(random, role));
      continue;
    }
    const frame = makeFrame(random, role);
    steps.push(mutates && random.below(6) === 0 ? mutate(random, frame) : frame);
  }
  return steps;
}

const whole = new H2Driver();
const pieces = new H2Driver();
whole.onBlock = (event, record) => written(whole, event, record);
pieces.onBlock = (event, record, buffer) => {
  keptMeanwhile(pieces, event, record, buffer);
  return written(pieces, event, record);
};
/** Of the case at hand. */
let playedRole = 0;

/** What is at hand, as it goes on in HTTP/1. */
function written({ core }: H2Driver, event: number, record: number): string {
  const { codec, u8, result, textAt } = core;
  const text = (at: number, length: number) => Buffer.from(u8.buffer, at, length).toString("latin1");
  const to = codec.headScratchAt();
  if (event === abi.EV_TRAILERS) {
    codec.frameChunk(to, 0, 1, record);
    return text(result[abi.R_OUT_AT]!, result[abi.R_OUT_LENGTH]!);
  }
  const length = playedRole === abi.H2_ROLE_SERVER
    ? codec.writeRequestHead(record, 80, 0, textAt + abi.TEXT_REQUEST_IDS, 0, 0)
    : codec.writeResponseHead(record, result[abi.R_STATUS] === 101 ? abi.W_UPGRADE : 0, 0, 0);
  return text(to, length);
}

/** Keeps what is at hand, reads something else, and restores it. */
function keptMeanwhile(driver: H2Driver, event: number, record: number, buffer: number): void {
  const { codec } = driver.core;
  const isRequest = playedRole === abi.H2_ROLE_SERVER;
  const [keep, restore] = event === abi.EV_TRAILERS
    ? [codec.keepTrailers, codec.restoreTrailers]
    : isRequest
    ? [codec.keepRequest, codec.restoreRequest]
    : [codec.keepResponse, codec.restoreResponse];
  keep(record, buffer);
  if (isRequest) driver.parse("PUT /other HTTP/1.0\r\nContent-Length: 7\r\n\r\n");
  else driver.parse("HTTP/1.0 404 Nothing\r\nContent-Length: 7\r\n\r\n", 0);
  restore(record, buffer);
}

function run(driver: H2Driver, steps: readonly Step[]): { events: string[]; replies: string[] } {
  driver.preface();
  for (const step of steps) {
    if (step instanceof Uint8Array) driver.receive(step);
    else if (!driver.failed) step(driver);
  }
  return { events: driver.events, replies: driver.replies };
}

/** The second connection's record, and what lies behind the records of streams, belong to nobody here. */
function watched({ core }: H2Driver): Uint8Array {
  return core.u8.subarray(core.h2RecordsAt + core.h2RecordBytes, core.h2RecordsAt + 2 * core.h2RecordBytes);
}

const seen = { requests: 0, answers: 0, switches: 0, trailers: 0, failures: 0 };

function runCase(number: number): void {
  const random = createRandom(number);
  const role = random.below(2);
  const steps = makeSteps(random, role);
  playedRole = role;
  const offers = random.below(2);
  for (const driver of [whole, pieces]) driver.setProfile(abi.P_CONNECT_PROTOCOL, offers);
  whole.begin(role, "whole");
  pieces.begin(role, random.below(4) === 0 ? "bytes" : "random", number);
  const expected = run(whole, steps);
  assertEquals(run(pieces, steps), expected);
  if (expected.events.some((event) => event.startsWith("request"))) seen.requests++;
  if (expected.events.some((event) => event.startsWith("response"))) seen.answers++;
  if (expected.events.some((event) => /^response .* 101|^request .*Sec-WebSocket-Key/s.test(event))) seen.switches++;
  if (expected.events.some((event) => event.startsWith("trailers"))) seen.trailers++;
  if (whole.failed) seen.failures++;
}

function runNamed(number: number): void {
  try {
    runCase(number);
  } catch (error) {
    throw new AssertionError(
      `case ${number}: ${error instanceof WebAssembly.RuntimeError ? `a trap: ${error.stack}` : error}`,
    );
  }
}

Deno.test("h2: mutated conversations leave the codec whole, and mean the same in pieces", () => {
  if (ONLY !== undefined) return runNamed(Number(ONLY));
  for (const driver of [whole, pieces]) watched(driver).fill(CANARY);
  for (let number = 0; number < CASES; number++) {
    runNamed(number);
    if (number % 1000 !== 999) continue;
    for (const driver of [whole, pieces]) {
      if (watched(driver).some((byte) => byte !== CANARY)) {
        throw new AssertionError(`up to case ${number}: another connection's record was written to`);
      }
    }
  }
  console.log(
    `${CASES} cases, with requests ${seen.requests}, answers ${seen.answers}, WebSockets ${seen.switches}, trailers ` +
      `${seen.trailers}, failed connections ${seen.failures}`,
  );
});
