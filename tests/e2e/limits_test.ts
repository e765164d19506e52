// Every limit and every timeout of the configuration, at the real process: what is beyond it is refused by name or made
// to wait, the refusal can be read by the client, and nothing stays in use behind it. (Limits of heads and bodies, byte by
// byte, are in tests/vectors/request_limits.md.)

import { assert, assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { get, readMessage, response } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { eventually, startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { requireTools } from "../support/require_tool.ts";
import { startBackend } from "../support/scripted_backend.ts";
import { onStage } from "../support/stage.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A script that answers each request by its own path. */
async function echo(peer: Peer): Promise<void> {
  while (peer.end === "open") {
    const request = await readMessage(peer, {}, 60_000).catch(() => undefined);
    if (request) await peer.write(response(request.line.split(" ")[1]!));
  }
}

/** How long `wait` takes, which must be between the two. Timeouts are checked in steps, so a little later is in time. */
async function takes(lowMs: number, highMs: number, wait: () => Promise<unknown>): Promise<void> {
  const from = performance.now();
  await wait();
  const took = performance.now() - from;
  assert(took >= lowMs && took <= highMs, `took ${took.toFixed()} ms, expected ${lowMs} to ${highMs}`);
}

// ---- timeouts ----

const timed = onStage({
  yaml: `timeouts: { request_header: 300ms, request_body: 300ms, idle: 500ms, write: 400ms, tunnel: 400ms }`,
  cluster: `timeouts: { connect: 300ms, response: 300ms }, pool: { idle_timeout: 300ms }`,
});

timed("request_header: a head that does not end is answered with 408", async (stage) => {
  using client = await stage.connect();
  await client.write("GET / HTTP/1.1\r\nHost: a.te");
  await takes(250, 700, async () => assertEquals((await readMessage(client)).status, 408));
  await client.untilEnd();
  assertEquals((await stage.gained()).refusals(), { request_timeout: 1 });
});

timed("request_header: the whole head has one time, however it trickles", async (stage) => {
  using client = await stage.connect();
  await takes(250, 700, async () => {
    for (const char of get("/", "X-Long: " + "l".repeat(200))) {
      await client.write(char);
      if (client.length > 0) break;
      await pause(20);
    }
    await client.untilEnd();
  });
  assert(toText(client.received).startsWith("HTTP/1.1 408 "), toText(client.received));
});

timed("request_header: a client that says nothing is closed without a word", async (stage) => {
  using client = await stage.connect();
  await takes(250, 700, () => client.untilEnd());
  assertEquals([client.length, (await stage.gained()).refusals()], [0, {}]);
});

timed("idle: a connection without a further request is closed without a word", async (stage) => {
  stage.play(echo);
  using client = await stage.connect();
  await client.write(get("/1"));
  await readMessage(client);
  await takes(450, 1_000, () => client.untilEnd());
  assertEquals([client.length, (await stage.gained()).refusals()], [0, {}]);
});

timed("request_body: silence in a body is answered with 408, and the backend does not get the end", async (stage) => {
  stage.play((peer) => void peer.untilEnd());
  for (const body of ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]) {
    using client = await stage.connect();
    await client.write(`POST / HTTP/1.1\r\nHost: a.test\r\n${body}`);
    await takes(250, 700, async () => assertEquals((await readMessage(client)).status, 408));
    await client.untilEnd();
    const peer = stage.backend.connections.at(-1)!;
    await peer.untilEnd();
    assert(!toText(peer.received).endsWith("0\r\n\r\n"), "the backend got the end of a body that has none");
  }
  assertEquals((await stage.gained()).refusals(), { request_timeout: 2 });
});

timed("request_body: a slow body is no silent body", async (stage) => {
  stage.play(echo);
  using client = await stage.connect();
  await client.write("POST /slow HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\n");
  for (const char of "abcdef") {
    await pause(120);
    await client.write(char);
  }
  assertEquals(toText((await readMessage(client)).body), "/slow");
});

timed("response: a silent backend is answered for with 504", async (stage) => {
  stage.play((peer) => void peer.untilEnd());
  using client = await stage.connect();
  await client.write(get("/"));
  await takes(250, 700, async () => assertEquals((await readMessage(client)).status, 504));
  await stage.backend.connections[0]!.untilEnd();
  assertEquals((await stage.gained()).refusals(), { response_timeout: 1 });
});

timed("response: a slow answer is no silent backend", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    for (const piece of ["HTTP/1.1 200 OK\r\nContent-", "Length: 4\r\n\r\n", "a", "b", "c", "d"]) {
      await pause(120);
      await peer.write(piece);
    }
  });
  using client = await stage.connect();
  await client.write(get("/"));
  assertEquals(toText((await readMessage(client)).body), "abcd");
});

timed("write: a client that takes nothing of its answer is closed", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    const piece = new Uint8Array(1 << 20);
    for (let i = 0; i < 100 && peer.end === "open"; i++) await peer.write(piece);
  });
  using client = await stage.connect();
  client.pause();
  await client.write(get("/"));
  await takes(300, 2_000, () => {
    return eventually("aborted", () => stage.proxy.counters(), (now) => now.of("connections.active") === 0);
  });
  assertEquals((await stage.gained()).of("client.aborted"), 1);
});

timed("tunnel: one that is silent on both sides is closed; one that is not is kept", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    await peer.untilEnd(10_000);
  });
  using client = await stage.connect();
  await client.write(get("/", "Connection: Upgrade\r\nUpgrade: x\r\n"));
  await readMessage(client);
  for (let i = 0; i < 4; i++) {
    await pause(200);
    await client.write("still here");
  }
  assertEquals(client.end, "open");
  await takes(300, 900, () => client.untilEnd());
  await stage.backend.connections[0]!.untilEnd();
});

timed("pool.idle_timeout: an unused connection to a backend is closed", async (stage) => {
  stage.play(echo);
  using client = await stage.connect();
  await client.write(get("/"));
  await readMessage(client);
  await takes(200, 800, () => stage.backend.connections[0]!.untilEnd());
});

Deno.test("connect: a backend that does not take connections is answered for with 504", async () => {
  // nobody accepts, and the queue of one is filled by the test: the kernel drops what comes then
  using silent = Deno.listen({ port: 0, hostname: "127.0.0.1", tcpBacklog: 1 });
  const filling = Array.from({ length: 4 }, () => connect(silent.addr.port).catch(() => undefined));
  const filled = await Promise.race([Promise.all(filling), pause(300)]);
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["127.0.0.1:${silent.addr.port}"], timeouts: { connect: 300ms } } }
routes: [{ cluster: app }]
`);
  using client = await connect(proxy.port("web"));
  await client.write(get("/"));
  await takes(250, 800, async () => assertEquals((await readMessage(client)).status, 504));
  assertEquals((await proxy.counters()).of("refused.connect_timeout"), 1);
  assertEquals(filled, undefined); // or the queue was not full, and this tested nothing
  silent.close();
  for (const peer of await Promise.all(filling)) peer?.destroy();
});

// ---- what there may be at once ----

const few = onStage({
  yaml: `limits: { connections: 4, upstream_connections: 3, body_bytes: 100KiB }`,
  cluster: `pool: { connections: 2 }`,
});

few("connections: one too many waits, and is served when another ends", async (stage) => {
  stage.play(echo);
  const held = await Promise.all(Array.from({ length: 4 }, () => stage.connect()));
  for (const client of held) {
    await client.write(get("/held"));
    await readMessage(client);
  }
  using late = await stage.connect(); // the kernel takes it; the worker does not
  await late.write(get("/late"));
  await pause(150);
  assertEquals([late.length, late.end], [0, "open"]);
  held[0]!.destroy();
  assertEquals(toText((await readMessage(late)).body), "/late");
  assert((await stage.gained()).of("connections.paused") >= 1);
  for (const client of held) client.destroy();
});

few("pool.connections: a request too many is refused with 503 and Retry-After", async (stage) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.play(async (peer) => {
    await promise;
    await echo(peer);
  });
  const busy = await Promise.all([1, 2].map(() => stage.connect()));
  for (const client of busy) await client.write(get("/busy"));
  await eventually("both are there", () => stage.backend.connections.length, (n) => n === 2);
  using late = await stage.connect();
  await late.write(get("/late"));
  const refused = await readMessage(late);
  assertEquals([refused.status, refused.fields["retry-after"]], [503, "1"]);
  resolve();
  for (const client of busy) {
    assertEquals(toText((await readMessage(client)).body), "/busy");
    client.destroy();
  }
  await late.write(get("/again")); // refused politely: the connection is still good
  assertEquals((await readMessage(late)).status, 200);
  assertEquals((await stage.gained()).refusals(), { upstream_limit: 1 });
});

few("body_bytes: the client can read its 413 though it goes on sending", async (stage) => {
  stage.play((peer) => void peer.untilEnd());
  const piece = new Uint8Array(50_000).fill(0x61);
  for (const chunked of [false, true]) {
    using client = await stage.connect();
    const framing = chunked ? "Transfer-Encoding: chunked" : "Content-Length: 900000";
    await client.write(`POST / HTTP/1.1\r\nHost: a.test\r\n${framing}\r\n\r\n`);
    for (let i = 0; i < 18; i++) {
      if (chunked) await client.write("c350\r\n");
      await client.write(piece);
      if (chunked) await client.write("\r\n");
    }
    const answer = await readMessage(client);
    assertEquals([answer.status, answer.fields["connection"]], [413, "close"]);
    assertEquals(await client.untilEnd(), "closed");
  }
  assertEquals((await stage.gained()).refusals(), { body_too_large: 2 });
});

few("a refused client that never stops sending is cut off in the end", async (stage) => {
  using client = await stage.connect();
  await client.write("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 90000000\r\n\r\n");
  assertEquals((await readMessage(client)).status, 413);
  const piece = new Uint8Array(100_000);
  for (let i = 0; i < 1_000 && !client.socket.destroyed; i++) await client.write(piece);
  assert(client.socket.destroyed, "a hundred megabytes of a refused body were taken");
});

// ---- buffers ----

const scarce = onStage({
  yaml: `
limits: { buffers: 8, buffer_size: 4KiB, header_bytes: 2KiB, target_bytes: 1KiB }
timeouts: { request_header: 2s }
`,
});

scarce("buffers: many more exchanges than buffers all complete", async (stage) => {
  stage.play(echo);
  const clients = await Promise.all(Array.from({ length: 100 }, () => stage.connect()));
  for (let round = 0; round < 5; round++) {
    await Promise.all(clients.map(async (client, index) => {
      await client.write(get(`/${round}/${index}`));
      assertEquals(toText((await readMessage(client)).body), `/${round}/${index}`);
    }));
  }
  for (const client of clients) client.destroy();
});

scarce("buffers: clients that hold them all with half heads make others wait, not fail", async (stage) => {
  stage.play(echo);
  const holders = await Promise.all(Array.from({ length: 12 }, () => stage.connect()));
  for (const client of holders) await client.write("GET / HTTP/1.1\r\nHost: a.te");
  await pause(50);
  using client = await stage.connect();
  await client.write(get("/patient"));
  assertEquals(toText((await readMessage(client, {}, 8_000)).body), "/patient");
  assert((await stage.gained()).of("buffers.waits") >= 1);
  for (const holder of holders) holder.destroy();
});

scarce("buffers: large bodies both ways, many at once, slow and fast", async (stage) => {
  const size = 300_000;
  stage.play(async (peer) => {
    while (peer.end === "open") {
      const request = await readMessage(peer, {}, 60_000).catch(() => undefined);
      if (request) await peer.write(response("r".repeat(request.body.length)));
    }
  });
  await Promise.all(Array.from({ length: 24 }, async (_, index) => {
    using client = await stage.connect();
    if (index % 3 === 0) {
      client.pause();
      setTimeout(() => client.resume(), 100);
    }
    const sent = client.write(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${size}\r\n\r\n` + "b".repeat(size));
    assertEquals((await readMessage(client, {}, 20_000)).body.length, size);
    await sent;
  }));
});

// ---- the worker goes on ----

async function withoutDescriptors(): Promise<void> {
  await using backend = await startBackend(echo);
  // of the same user as the test, which may then set its limit
  const yaml = `
user: ""
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [{ cluster: app }]
`;
  await using proxy = await startProxy(yaml);
  const [worker] = await proxy.workers();
  const held = await Promise.all(Array.from({ length: 10 }, () => connect(proxy.port("web"))));
  await eventually("all are accepted", () => proxy.counters(), (now) => now.of("connections.active") === 10);
  const highest = Math.max(...[...Deno.readDirSync(`/proc/${worker}/fd`)].map(({ name }) => Number(name)));
  const setLimit = async (files: number) => {
    const { stderr } = await new Deno.Command("prlimit", { args: [`--pid=${worker}`, `--nofile=${files}:`] }).output();
    assertEquals(new TextDecoder().decode(stderr), "");
  };
  await setLimit(highest + 1);
  await held[0]!.write(get("/1"));
  const refused = await readMessage(held[0]!); // no descriptor for a connection to the backend
  assertEquals(refused.status, 503);
  using late = await connect(proxy.port("web"));
  await late.write(get("/late"));
  await pause(150);
  assertEquals(late.length, 0);
  await setLimit(1_024);
  assertEquals(toText((await readMessage(late)).body), "/late");
  assertEquals(await proxy.workers(), [worker!]);
  for (const client of held) client.destroy();
}

Deno.test({
  name: "descriptors: with none left, the worker waits and goes on",
  ignore: requireTools("prlimit"),
  fn: withoutDescriptors,
});
