// What becomes of requests when buffers run out: they wait, and nobody waits for something that waits for him.

import { assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { Http2Backend, type Http2Request } from "../support/h2_backend.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import { connect } from "../support/raw_client.ts";
import { readMessage } from "../support/messages.ts";
import { eventually, startProxy } from "../support/proxy.ts";
import { Client } from "../unit/control/client.ts";

const BODY = "x".repeat(12_000);

Deno.test("answers that have come leave room for what they are copied to on their way out", async () => {
  await using backend = await Http2Backend.start({ onRequest: ({ connection, id }) => connection.answer(id, BODY) });
  const plain = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => new Response(BODY));
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters:
  "1": { backends: ["127.0.0.1:${plain.addr.port}"] }
  "2": { backends: ["${backend.address}"], protocol: h2c }
routes: [{ path: "/1", cluster: "1" }, { cluster: "2" }]
limits: { buffers: 24 }
timeouts: { response: 20s, write: 20s }
`);
  try {
    const ask = async () => {
      using client = await Http2Client.connect(proxy.port("web"), [4, 1 << 20]);
      await client.send(f.windowUpdate(0, 1 << 24));
      const ids = Array.from({ length: 60 }, (_, n) => 1 + 2 * n);
      await Promise.all(ids.map((id) => client.ask(id, `/${1 + (id >> 1) % 2}`)));
      for (const id of ids) {
        const answer = await client.answer(id, 10_000);
        assertEquals([fieldOf(answer, ":status"), answer.body.length], ["200", BODY.length]);
      }
    };
    await Promise.all([ask(), ask(), ask()]);
    await eventually("buffers", () => proxy.counters(), (counters) => counters.of("buffers.used") === 0);
  } finally {
    await plain.shutdown();
  }
});

Deno.test("a worker that drains does not send away who has asked and waits for a buffer", async () => {
  const waiting: Http2Request[] = [];
  let isOpen = false;
  const onRequest = (one: Http2Request) => {
    if (isOpen) one.connection.answer(one.id, one.path);
    else waiting.push(one);
  };
  await using backend = await Http2Backend.start({ onRequest });
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0" } }
clusters: { app: { backends: ["${backend.address}"], protocol: h2c } }
routes: [{ cluster: app }]
limits: { buffers: 8 }
timeouts: { response: 20s, drain: 30s }
`);
  const peers = await Promise.all(Array.from({ length: 6 }, () => connect(proxy.port("web"))));
  try {
    const ask = (n: number) => peers[n]!.write(`GET /${n} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    // each of them holds a buffer until it has its answer, since it may have to be sent again
    for (let n = 0; n < 6; n++) await ask(n);
    await eventually("somebody waits", () => proxy.counters(), (counters) => counters.of("buffers.waits") > 0);
    using control = await Client.connect(proxy.socket);
    await control.ask({ verb: "workers", restart: true });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assertEquals([waiting.length < 6, peers.map(({ end }) => end)], [true, Array(6).fill("open")]);
    isOpen = true;
    for (const { connection, id, path } of waiting) connection.answer(id, path);
    const answers = await Promise.all(peers.map((peer) => readMessage(peer)));
    assertEquals(answers.map(({ status, body }) => [status, toText(body)]), peers.map((_, n) => [200, `/${n}`]));
  } finally {
    for (const peer of peers) peer.destroy();
  }
});

Deno.test("a client of HTTP/2 that has ended its side in the middle of a frame gets its answers", async () => {
  const onRequest = ({ connection, id, path }: Http2Request) => setTimeout(() => connection.answer(id, path), 700);
  await using backend = await Http2Backend.start({ onRequest });
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: ["${backend.address}"], protocol: h2c } }
routes: [{ cluster: app }]
timeouts: { request_header: 200ms }
`);
  using client = await Http2Client.connect(proxy.port("web"));
  await client.ask(1, "/slow");
  await client.send(f.frame(f.PING, 0, 0, new Uint8Array(8)).subarray(0, 11));
  client.peer.finish();
  const answer = await client.answer(1);
  assertEquals([fieldOf(answer, ":status"), toText(answer.body), answer.reset], ["200", "/slow", undefined]);
});
