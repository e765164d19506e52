// HTTP/2 on the wire as the real proxy speaks it, where the order of frames and the end of connections matter: what RFC 9113 asks
// for beyond what the codec alone can show (tests/unit/http2), frame by frame, towards clients and towards backends.

import { assert, assertEquals } from "../support/assert.ts";
import { fromText, toText } from "../support/bytes.ts";
import type { Http2Request } from "../support/h2_backend.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import type { Field } from "../support/h2_frames.ts";
import { atRest, serveHttp2 } from "../support/h2_stage.ts";
import { readMessage } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { eventually, startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { startBackend } from "../support/scripted_backend.ts";

const OK: Field[] = [[":status", "200"]];
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const get = (path: string): Field[] => [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "a.test"],
  [":path", path],
];

/** A proxy for clients of HTTP/2 in front of a scripted backend of HTTP/1.1; `a.test` and `far.test` have routes. */
async function serve(script: (peer: Peer) => unknown) {
  const backend = await startBackend(async (peer) => {
    await script(peer);
  });
  const proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [{ host: a.test, cluster: app }, { host: far.test, methods: [CONNECT], cluster: app }]
`);
  return {
    proxy,
    connect: (...settings: [number, number][]) => Http2Client.connect(proxy.port("web"), ...settings),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

Deno.test("§6.5.3 what SETTINGS allow goes out behind their acknowledgement", async () => {
  await using stage = await serve((peer) => peer.reset());
  using client = await stage.connect([4, 0], [1, 0]);
  await client.seen("SETTINGS ack");
  for (let id = 1; id < 20; id += 2) {
    await client.send(f.settings([4, 0], [1, 0]));
    await eventually("acknowledged", () => acks(client.words), (count) => count === id + 1);
    const before = client.frames.length;
    // a host without a route is answered at once
    const other = get("/").map(([name, value]): Field => [name, name === ":authority" ? "other.test" : value]);
    await client.send(f.concat(f.settings([4, 65535], [1, 4096]), f.headers(id, other)));
    const answer = await client.answer(id);
    assertEquals(fieldOf(answer, ":status"), "404");
    const words = client.words.slice(before);
    const at = (pattern: RegExp) => words.findIndex((one) => pattern.test(one));
    assertEquals([at(/^SETTINGS ack/), at(/^HEADERS/) > 0, at(/^DATA/) > 0], [0, true, true], words.join("; "));
  }
});

const acks = (words: string[]) => words.filter((one) => one === "SETTINGS ack").length;

Deno.test("§6.5.3 so does what they allow of a request's body", async () => {
  await using stage = await serveHttp2([{ settings: [[4, 0]] }]);
  // the first one does not wait for what the backend says
  const first = stage.ask("/");
  const { connection, id: greeting } = await stage.backend.request(0);
  await connection.answer(greeting);
  assertEquals(await first, [200, "ok"]);
  await connection.seen("SETTINGS ack");
  const asked = stage.ask("/", { method: "POST", body: "a body" });
  const { id } = await stage.backend.request(1);
  await pause(20);
  assert(!connection.words.some((one) => one.startsWith("DATA")), "the window is shut");
  const before = connection.frames.length;
  await connection.send(f.settings([4, 3]));
  await connection.seen(/^DATA \d+ 3$/);
  await connection.send(f.settings([4, 65535]));
  await connection.seen(/^DATA \d+ 3 end$/);
  assertEquals(connection.words.slice(before).filter((one) => /^(SETTINGS|DATA)/.test(one)), [
    "SETTINGS ack",
    `DATA ${id} 3`,
    "SETTINGS ack",
    `DATA ${id} 3 end`,
  ]);
  await connection.answer(id, "ok");
  assertEquals(await asked, [200, "ok"]);
});

Deno.test("§6.5.3 and of the next request, which an answer in the same segment has let in", async () => {
  await using stage = await serveHttp2([{ settings: [[1, 0]] }]);
  using client = await connect(stage.proxy.port("web"));
  const ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  await client.write(ask);
  const { connection, id } = await stage.backend.request(0);
  await connection.answer(id);
  for (let number = 1; number < 10; number += 2) {
    await client.write(ask + ask);
    const first = await stage.backend.request(number);
    await connection.send(f.settings([1, 0]));
    await eventually("acknowledged", () => acks(connection.words), (count) => count === number + 1);
    const before = connection.frames.length;
    const ok = f.headers(first.id, [...OK, ["content-length", "0"]]);
    await connection.send(f.settings([1, 4096]), ok);
    const next = await stage.backend.request(number + 1);
    const words = connection.words.slice(before);
    assertEquals(words.map((one) => one.split(" ")[0]).slice(0, 2), ["SETTINGS", "HEADERS"], words.join("; "));
    await connection.answer(next.id);
  }
});

Deno.test("§5.4.1 behind the GOAWAY of a connection error comes nothing but the end", async () => {
  await using stage = await serve((peer) => readMessage(peer));
  using client = await stage.connect();
  await client.ask(1, "/");
  await client.send(f.frame(f.PING, 0, 0, [1, 2, 3]), f.frame(f.PING, 0, 0, new Uint8Array(8)));
  await client.ask(3, "/");
  await client.peer.untilEnd();
  assertEquals(client.words.at(-1), "GOAWAY 1 FRAME_SIZE_ERROR");
});

// ---- §8.1 ----

Deno.test("§8.1 an answer that is whole is not lost by the RST_STREAM that ends the request", async () => {
  const body = "b".repeat(30_000);
  const early = async ({ connection, id }: Http2Request) => {
    await connection.send(
      f.headers(id, [...OK, ["content-length", String(body.length)]], f.END_HEADERS),
      f.frame(f.DATA, 0, id, fromText(body.slice(0, 16_000))),
      f.frame(f.DATA, f.END_STREAM, id, fromText(body.slice(16_000))),
      f.rstStream(id, 0),
    );
  };
  await using stage = await serveHttp2([{ onRequest: early }]);
  for (let round = 0; round < 5; round++) {
    const upload = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new Uint8Array(1000));
        await pause(200);
        controller.close();
      },
    });
    const [status, got] = await stage.ask("/", { method: "POST", body: upload });
    assertEquals([status, got.length], [200, body.length]);
  }
  await atRest(stage);
});

// ---- §8.5 ----

const CONNECT: Field[] = [[":method", "CONNECT"], [":authority", "far.test:443"]];

/** Opens a tunnel; what the backend's end of it is. */
async function openTunnel(play: (peer: Peer) => unknown) {
  const opened = Promise.withResolvers<Peer>();
  const stage = await serve(async (peer) => {
    await readMessage(peer);
    await peer.write("HTTP/1.1 200 Connected\r\n\r\n");
    opened.resolve(peer);
    await play(peer);
  });
  const client = await stage.connect();
  await client.send(f.headers(1, CONNECT, f.END_HEADERS));
  await client.seen(/^HEADERS 1 \d+$/);
  return {
    client,
    far: await opened.promise,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await stage[Symbol.asyncDispose]();
    },
  };
}

Deno.test("§8.5 DATA of a CONNECT stream is what the far end gets and sends; END_STREAM is its FIN, both ways", async () => {
  await using tunnel = await openTunnel(() => {});
  const { client, far } = tunnel;
  await client.send(f.frame(f.DATA, 0, 1, fromText("ping")));
  await far.until("ping", () => far.length >= 4 || undefined);
  await far.write("pong");
  await client.seen("DATA 1 4");
  await client.send(f.frame(f.DATA, f.END_STREAM, 1, fromText("end")));
  assertEquals(await far.untilEnd(), "closed");
  assertEquals(toText(far.received), "pingend");
  // the other direction goes on
  await far.write("late");
  far.finish();
  const answer = await client.answer(1);
  assertEquals([toText(answer.body), answer.reset], ["ponglate", undefined]);
});

Deno.test("§8.5 a far end that is reset is told by CONNECT_ERROR", async () => {
  await using tunnel = await openTunnel(() => {});
  tunnel.far.reset();
  assertEquals((await tunnel.client.answer(1)).reset, "RST_STREAM 1 CONNECT_ERROR");
});

for (
  const [name, frames] of Object.entries({
    "RST_STREAM": [f.rstStream(1)],
    "HEADERS, which nobody may send there": [f.headers(1, [["a", "b"]])],
    "a connection error": [f.windowUpdate(0, 0)],
  })
) {
  Deno.test(`§8.5 the far end is reset by ${name}`, async () => {
    await using tunnel = await openTunnel(() => {});
    const { client, far } = tunnel;
    await client.send(f.frame(f.DATA, 0, 1, fromText("ping")));
    await far.until("ping", () => far.length >= 4 || undefined);
    await client.send(...frames);
    assertEquals(await far.untilEnd(), "reset");
  });
}

// ---- §8.6 ----

Deno.test("§8.6 a 101 that a backend of HTTP/1.1 gives unasked is no answer in HTTP/2", async () => {
  await using stage = await serve(async (peer) => {
    await readMessage(peer);
    await peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  });
  using client = await stage.connect();
  await client.ask(1, "/");
  assertEquals(fieldOf(await client.answer(1), ":status"), "502");
});
