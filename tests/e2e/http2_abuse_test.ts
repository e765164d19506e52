// Attacks over HTTP/2 on real connections, one after the other for a second or more, at the limits that hold by default: each ends
// as it should and is counted under its name, somebody else on the same worker is served as before, and the worker's memory
// stays where it was. KAKEHI_ATTACK_SECONDS=2, on a machine that is quiet, takes longer, is stricter, and prints the figures: worker
// and bystander then have a processor each, so that what is felt is the proxy's doing, and not that of attacker and backends.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { assert, assertEquals } from "../support/assert.ts";
import { Bystander, type Times } from "../support/h2_bystander.ts";
import { type Attack, ATTACKS } from "../support/h2_attacks.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import { eventually, memoryOf, type Proxy, runKakehi, startProxy } from "../support/proxy.ts";

const MIB = 1 << 20;
const ATTACK_SECONDS = Number(Deno.env.get("KAKEHI_ATTACK_SECONDS") ?? 0.6);
const SPEAKS = Deno.env.has("KAKEHI_ATTACK_SECONDS");
/** How long the bystander is watched before an attack. */
const QUIET_MS = SPEAKS ? 2_000 : 300;
/** Between two connections of an attacker. */
const PAUSE_MS = 20;
/** Attacker, proxy, bystander and whatever else runs share the machine's cores: below that, a percentile says nothing. */
const NOISE_MS = SPEAKS ? 1 : 25;
/** An attack is looked at so often before what the bystander felt is taken for its doing. */
const ROUNDS_MAX = 3;
/** Buffers of the pool that one connection may have in use, and what the runtime's collector leaves lying. */
const MEMORY_MAX = 24 * MIB;
/** How long clients may take nothing. */
const WRITE_MS = 800;

interface Stage {
  proxy: Proxy;
  port: number;
  worker: number;
  bystander: Bystander;
  backend: Server;
}

let stage: Stage;

/** Answers /large with 100 KiB, /stall never. */
async function startBackend(): Promise<Server> {
  const large = new Uint8Array(100 << 10);
  const backend = createServer((request, response) => {
    if (request.url === "/large") response.end(large);
    else if (request.url !== "/stall") response.end("ok");
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  backend.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, resolve);
  await promise;
  return backend;
}

/** The threads of a process. */
function threadsOf(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => name);
}

async function runTool(...[name, ...args]: [string, ...string[]]): Promise<void> {
  const { success, stderr } = await new Deno.Command(name, { args }).output();
  assert(success, `${name} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/**
 * A processor for the worker, another one for the bystander, the worker's helpers (it waits for them when it collects garbage),
 * and, with what these leave, `others`.
 */
async function partProcessors(worker: number, others: string[]): Promise<void> {
  for (const tid of [...threadsOf(worker), ...threadsOf(Deno.pid)]) {
    await runTool("taskset", "-p", "-c", tid === String(worker) ? "0" : "1", tid);
  }
  for (const tid of others) await runTool("chrt", "--idle", "-p", "0", tid);
}

Deno.test.beforeAll(async () => {
  const others = threadsOf(Deno.pid);
  const bystander = await Bystander.start();
  const backend = await startBackend();
  const configuration = `
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters:
  calm: { backends: ["${bystander.backend}"] }
  app: { backends: ["127.0.0.1:${(backend.address() as AddressInfo).port}"] }
routes: [{ path: /calm, cluster: calm }, { cluster: app }]
timeouts: { write: ${WRITE_MS}ms }
`;
  const proxy = await startProxy(configuration);
  const [worker = 0] = await proxy.workers();
  stage = { proxy, port: proxy.port("web"), worker, bystander, backend };
  bystander.begin(stage.port);
  await bystander.watch(500);
  if (SPEAKS) await partProcessors(worker, others);
});

Deno.test.afterAll(async () => {
  stage.bystander[Symbol.dispose]();
  await stage.proxy[Symbol.asyncDispose]();
  stage.backend.closeAllConnections();
  stage.backend.close();
});

/** One connection of an attack, to its end. */
async function attackOnce(attack: Attack, port: number): Promise<void> {
  using client = await Http2Client.connect(port, ...attack.settings ?? []);
  await attack.run(client);
  await client.seen(attack.reaction, 4 * WRITE_MS + 2_000);
  if (attack.ends) await client.peer.untilEnd();
}

/** The attack again and again, on new connections; how many there were, and the most memory that was seen. */
async function attackFor(attack: Attack, seconds: number): Promise<{ count: number; memory: number }> {
  const until = performance.now() + seconds * 1000;
  const result = { count: 0, memory: 0 };
  const lane = async () => {
    while (performance.now() < until) {
      await attackOnce(attack, stage.port);
      result.count++;
      result.memory = Math.max(result.memory, memoryOf(stage.worker).anonymous);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  await Promise.all(Array.from({ length: attack.atOnce ?? 1 }, lane));
  return result;
}

async function untilAtRest(): Promise<void> {
  const names = ["h2.streams.active", "buffers.used"];
  await eventually("nothing of it is left", () => stage.proxy.counters(), (all) => {
    // the bystander has one request at a time under way
    return names.every((name) => all.of(name) <= 1) && all.of("h2.connections.active") <= 1;
  });
}

for (const attack of ATTACKS) {
  Deno.test(`${attack.name}${attack.about ? ` (${attack.about})` : ""}`, async () => {
    const counted = async () => (await stage.proxy.counters()).of(attack.counter);
    const memory = memoryOf(stage.worker).anonymous;
    const before = await counted();
    let quiet: Times, busy: Times;
    // what the worker's compiler makes of it the first time is not the question
    if (SPEAKS) await attackFor(attack, ATTACK_SECONDS);
    let attacks = 0;
    let most = 0;
    for (let round = 1;; round++) {
      quiet = await stage.bystander.watch(QUIET_MS);
      const attacking = attackFor(attack, ATTACK_SECONDS);
      busy = await stage.bystander.watch(attacking);
      const { count, memory } = await attacking;
      attacks += count;
      most = Math.max(most, memory);
      await untilAtRest();
      if (busy.p99 < Math.max(2 * quiet.p99, NOISE_MS) || round === ROUNDS_MAX) break;
    }
    const grown = most - memory;
    const figures = JSON.stringify({ attacks, quiet, busy, grownMiB: Math.round(10 * grown / MIB) / 10 });
    if (SPEAKS) console.log(`    ${figures}`);
    assert((await counted()) - before >= attacks, `${attack.counter}: ${before} to ${await counted()}; ${figures}`);
    assert(busy.count > 20 && busy.p99 < Math.max(2 * quiet.p99, NOISE_MS), `the bystander felt it: ${figures}`);
    assert(grown < MEMORY_MAX, `the worker grew: ${figures}`);
    assertEquals(await stage.proxy.workers(), [stage.worker]);
  });
}

Deno.test("a client that does not read its connection is closed", async () => {
  const before = (await stage.proxy.counters()).of("h2.connections.stalled");
  using client = await Http2Client.connect(stage.port, [4, 0x7fffffff]);
  await client.send(f.windowUpdate(0, 1 << 30));
  client.peer.pause();
  const line = [[":method", "GET"], [":scheme", "http"], [":authority", "a.test"], [":path", "/large"]] as const;
  for (let id = 1; id < 200; id += 2) await client.send(f.headers(id, line));
  // what it goes on sending does not make it a client that reads
  for (let i = 0; i < 30; i++) {
    await client.send(f.windowUpdate(0, 1));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const counters = await eventually("it is closed", () => stage.proxy.counters(), (all) => {
    return all.of("h2.connections.stalled") > before;
  }, 2 * WRITE_MS);
  assertEquals(counters.of("h2.connections.stalled"), before + 1);
  await untilAtRest();
});

Deno.test("a client that is only slow is no attacker: streams wait for each other as long as it takes", async () => {
  const before = (await stage.proxy.counters()).all("h2.streams.");
  using client = await Http2Client.connect(stage.port, [4, MIB]);
  client.reads = false;
  const ids = Array.from({ length: 8 }, (_, i) => 2 * i + 1);
  for (const id of ids) await client.ask(id, "/large");
  // the last one gets its first turn long after WRITE_MS
  const feeding = setInterval(() => client.send(f.windowUpdate(0, 16_384)), 80);
  try {
    for (const id of ids) {
      const { body, reset } = await client.answer(id, 20_000);
      assertEquals([body.length, reset], [100 << 10, undefined], `stream ${id}`);
    }
  } finally {
    clearInterval(feeding);
  }
  const after = (await stage.proxy.counters()).all("h2.streams.");
  assertEquals(after["h2.streams.stalled"], before["h2.streams.stalled"]);
});

Deno.test("a header block has its time as a whole, however many frames it comes in", async () => {
  const change = ["settings", "update", "--timeouts-request-header", "500ms", "--socket", stage.proxy.socket];
  const { code, stderr } = await runKakehi(...change);
  assertEquals(code, 0, stderr);
  using client = await Http2Client.connect(stage.port);
  const began = performance.now();
  // the first part is empty: nothing of it stays in a buffer
  await client.send(f.frame(f.HEADERS, f.END_STREAM, 1));
  for (let i = 0; i < 15 && client.peer.end === "open"; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    await client.send(f.frame(f.CONTINUATION, 0, 1, f.block([["a", "b"]])));
  }
  await client.seen("GOAWAY 0 NO_ERROR");
  await client.peer.untilEnd();
  const took = performance.now() - began;
  assert(took >= 450 && took < 1400, `${took.toFixed()} ms`);
});

Deno.test("limits change for the connections that there are, settings for those that come", async () => {
  using old = await Http2Client.connect(stage.port);
  await old.seen(/^SETTINGS .*\b3=128\b/);
  const options = ["--http2-abuse-resets", "5", "--http2-max-concurrent-streams", "3"];
  const change = await runKakehi("listener", "update", "web", ...options, "--socket", stage.proxy.socket);
  assertEquals(change.code, 0, change.stderr);
  using young = await Http2Client.connect(stage.port);
  await young.seen(/^SETTINGS .*\b3=3\b/);
  for (let id = 1; id < 10; id += 2) await young.ask(id, "/stall");
  await young.seen("RST_STREAM 7 REFUSED_STREAM");
  await young.seen("RST_STREAM 9 REFUSED_STREAM");
  for (let id = 1; id < 10; id += 2) await old.ask(id, "/stall");
  await old.ask(11, "/m");
  assertEquals(fieldOf(await old.answer(11), ":status"), "200");
  for (let id = 1; id < 10; id += 2) await old.send(f.rstStream(id));
  await old.ask(13, "/m");
  assertEquals(fieldOf(await old.answer(13), ":status"), "200");
  await old.send(
    f.headers(15, [[":method", "GET"], [":scheme", "http"], [":authority", "a.test"], [":path", "/stall"]]),
  );
  await old.send(f.rstStream(15));
  await old.seen(/^GOAWAY \d+ ENHANCE_YOUR_CALM$/);
});
