// Streams of HTTP/2 in number, and their ends: a thousand at once, resets from either side at each point of an exchange, and a
// worker that leaves while a hundred are under way.

import { assert, assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import type { Field } from "../support/h2_frames.ts";
import type { Peer } from "../support/peer.ts";
import { eventually, type Proxy, runKakehi, startProxy } from "../support/proxy.ts";
import { type Script, type ScriptedBackend, startBackend } from "../support/scripted_backend.ts";

const MANY = 1000;
const POST: Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "a.test"], [":path", "/"]];
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Stage extends AsyncDisposable {
  proxy: Proxy;
  backend: ScriptedBackend;
  port: number;
}

async function serve(script: Script, http2 = "", top = ""): Promise<Stage> {
  const backend = await startBackend(script);
  const proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true, http2: { ${http2} } } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [{ cluster: app }]
${top}
`);
  return {
    proxy,
    backend,
    port: proxy.port("web"),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

/** Takes a head and gives its path. */
function path(peer: Peer): Promise<string> {
  return peer.until("a head", () => {
    const end = toText(peer.received).indexOf("\r\n\r\n");
    return end < 0 ? undefined : toText(peer.take(end + 4)).split(" ")[1]!;
  }, 20_000);
}

function untilAtRest(proxy: Proxy): Promise<unknown> {
  const names = ["h2.streams.active", "streams.active", "buffers.used"];
  return eventually("nothing is under way", () => proxy.counters(), (all) => names.every((name) => all.of(name) === 0));
}

/** Answers none before all have asked. */
function answersTogether(count: number): Script {
  const waiting: (() => void)[] = [];
  return async (peer) => {
    const asked = await path(peer);
    await new Promise<void>((resolve) => {
      if (waiting.push(resolve) === count) { for (const go of waiting) go(); }
    });
    await peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${asked.length}\r\n\r\n${asked}`);
  };
}

for (const connections of [1, 50]) {
  Deno.test(`${MANY} streams are under way at once, on ${connections} connections`, async () => {
    await using stage = await serve(answersTogether(MANY), `max_concurrent_streams: ${MANY}`);
    const clients: Http2Client[] = [];
    for (let i = 0; i < connections; i++) clients.push(await Http2Client.connect(stage.port));
    const each = MANY / connections;
    const ids = Array.from({ length: each }, (_, i) => 2 * i + 1);
    await Promise.all(clients.map(async (client, number) => {
      await Promise.all(ids.map((id) => client.ask(id, `/${number}/${id}`)));
    }));
    for (const [number, client] of clients.entries()) {
      for (const id of ids) assertEquals(toText((await client.answer(id, 20_000)).body), `/${number}/${id}`);
      client.peer.destroy();
    }
    const counters = await stage.proxy.counters();
    assertEquals([counters.of("h2.streams"), counters.of("h2.streams.refused")], [MANY, 0]);
    await untilAtRest(stage.proxy);
  });
}

// ---- resets ----

const OK = "HTTP/1.1 200 OK\r\n";

interface Ending {
  name: string;
  /** What the backend does with a request for it; `reset` resets its connection. */
  backend(peer: Peer): Promise<void> | void;
  /** What the client does on stream `id`; without, it asks and waits. */
  client?(client: Http2Client, id: number): Promise<void>;
  /** How the stream ends for the client: a status, or what it was reset with; undefined: by its own reset. */
  ends?: string;
}

const asks = (client: Http2Client, id: number) => client.ask(id, "/");
const stays = (peer: Peer) => peer.untilEnd().then(() => {}, () => {});

function resetAfter(id: number, client: Http2Client, what: () => unknown): Promise<void> {
  return client.peer.until("its time", () => what() || undefined).then(() => client.send(f.rstStream(id)));
}

const ENDINGS: Ending[] = [
  { name: "backend: before a byte of the answer", backend: (peer) => peer.reset(), ends: "502" },
  {
    name: "backend: in the head of its answer",
    async backend(peer) {
      await peer.write("HTTP/1.1 200 OK\r\nConte");
      peer.reset();
    },
    ends: "502",
  },
  {
    name: "backend: after an interim answer",
    async backend(peer) {
      await peer.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
      await pause(50);
      peer.reset();
    },
    ends: "502",
  },
  {
    name: "backend: in the middle of the request's body",
    async backend(peer) {
      await peer.until("a part", () => peer.length > 0 || undefined);
      peer.reset();
    },
    client: (client, id) => client.send(f.headers(id, POST, f.END_HEADERS), f.data(id, 1000)),
    ends: "502",
  },
  {
    name: "backend: behind the head of its answer",
    async backend(peer) {
      await peer.write(`${OK}Content-Length: 10\r\n\r\n`);
      await pause(50);
      peer.reset();
    },
    ends: "INTERNAL_ERROR",
  },
  {
    name: "backend: in a body of known length",
    async backend(peer) {
      await peer.write(`${OK}Content-Length: 10\r\n\r\nabc`);
      peer.finish();
    },
    ends: "INTERNAL_ERROR",
  },
  {
    name: "backend: in a body in chunks",
    async backend(peer) {
      await peer.write(`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
      peer.finish();
    },
    ends: "INTERNAL_ERROR",
  },
  {
    name: "backend: in its trailers",
    async backend(peer) {
      await peer.write(`${OK}Transfer-Encoding: chunked\r\nTrailer: a\r\n\r\n5\r\nhello\r\n0\r\na: b\r\n`);
      peer.finish();
    },
    ends: "INTERNAL_ERROR",
  },
  {
    name: "client: while the backend thinks",
    backend: stays,
    async client(client, id) {
      await client.ask(id, "/");
      await pause(30);
      await client.send(f.rstStream(id));
    },
  },
  {
    name: "client: at once",
    backend: stays,
    client: (client, id) => client.send(f.headers(id, [[":method", "GET"], ...POST.slice(1)]), f.rstStream(id)),
  },
  {
    name: "client: in the middle of its body",
    backend: stays,
    async client(client, id) {
      await client.send(f.headers(id, POST, f.END_HEADERS), f.data(id, 1000));
      await pause(30);
      await client.send(f.data(id, 1000), f.rstStream(id));
    },
  },
  {
    name: "client: in the middle of its body, which the backend has answered",
    async backend(peer) {
      await peer.write(`${OK}Content-Length: 10\r\n\r\nabc`);
      await stays(peer);
    },
    async client(client, id) {
      await client.send(f.headers(id, POST, f.END_HEADERS), f.data(id, 1000));
      await resetAfter(id, client, () => client.answers.get(id)?.body.length === 3);
    },
  },
  {
    name: "client: behind the head of the answer",
    async backend(peer) {
      await peer.write(`${OK}Content-Length: 10\r\n\r\n`);
      await stays(peer);
    },
    async client(client, id) {
      await asks(client, id);
      await resetAfter(id, client, () => client.answers.get(id)?.fields.length);
    },
  },
  {
    name: "client: in the body of the answer, which waits for its window",
    async backend(peer) {
      await peer.write(`${OK}Content-Length: 1000000\r\n\r\n`);
      await peer.write("a".repeat(1_000_000));
      await stays(peer);
    },
    async client(client, id) {
      client.reads = false;
      await asks(client, id);
      await resetAfter(id, client, () => client.answers.get(id)?.body.length === 10_000);
      client.reads = true;
    },
  },
];

Deno.test("a reset from either side, at each point of an exchange, ends that stream and nothing else", async () => {
  let ending = ENDINGS[0]!;
  await using stage = await serve(async (peer) => {
    // a connection that is kept may get requests of both kinds
    while (await path(peer) === "/calm") await peer.write(`${OK}Content-Length: 4\r\n\r\ncalm`);
    await ending.backend(peer);
  });
  using client = await Http2Client.connect(stage.port, [4, 10_000]);
  let id = -1;
  for (ending of ENDINGS) {
    const reset = id += 2;
    await (ending.client ?? asks)(client, reset);
    if (ending.ends !== undefined) {
      const answer = await client.answer(reset);
      const how = /^\d+$/.test(ending.ends) ? fieldOf(answer, ":status") : answer.reset?.split(" ")[2];
      assertEquals(how, ending.ends, ending.name);
    }
    await client.ask(id += 2, "/calm");
    assertEquals(toText((await client.answer(id)).body), "calm", `behind: ${ending.name}`);
    await untilAtRest(stage.proxy);
  }
  assertEquals((await stage.proxy.counters()).of("h2.connections.failed"), 0);
});

// ---- leaving ----

Deno.test("a worker leaves while a hundred streams run: GOAWAY in two steps, and none is lost", async () => {
  await using stage = await serve(async (peer) => {
    const asked = await path(peer);
    await peer.write(`${OK}Transfer-Encoding: chunked\r\n\r\n`);
    for (let i = 0; i < 10; i++) {
      await peer.write(`${asked.length.toString(16)}\r\n${asked}\r\n`);
      await pause(100);
    }
    await peer.write("0\r\n\r\n");
  });
  using client = await Http2Client.connect(stage.port);
  const [old] = await stage.proxy.workers();
  for (let id = 1; id < 200; id += 2) await client.ask(id, `/${id}`);
  await client.peer.until("all have begun", () => client.answers.size === 100 || undefined);
  const restart = runKakehi("workers", "restart", "--socket", stage.proxy.socket);
  await client.seen("GOAWAY 2147483647 NO_ERROR", 10_000);
  // asked before it was known
  for (let id = 201; id < 211; id += 2) await client.ask(id, `/${id}`);
  const last = await client.seen(/^GOAWAY (?!2147483647)\d+ NO_ERROR$/);
  const lastId = new DataView(last.payload.buffer, last.payload.byteOffset).getUint32(0);
  assert(lastId >= 199, `the last stream was ${lastId}`);
  // what comes behind the last one is not looked at, and may be asked elsewhere
  for (let id = 1; id <= lastId; id += 2) {
    const { body, ended } = await client.answer(id, 10_000);
    assertEquals([toText(body), ended], [`/${id}`.repeat(10), true]);
  }
  await client.peer.untilEnd();
  assertEquals((await restart).code, 0);
  await eventually("another worker is in its place", () => stage.proxy.workers(), (workers) => {
    return workers.length === 1 && workers[0] !== old;
  });
});
