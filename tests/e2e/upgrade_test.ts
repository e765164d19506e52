// Upgrades at the real proxy: a connection that becomes a tunnel, carries any bytes both ways, flushes before it closes,
// and is closed on one side when the other breaks. (How heads of upgrades look is in tests/vectors; a tunnel's idle time
// in limits_test.ts.)

import { assertEquals, assertMatch } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { readMessage } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { startProxy } from "../support/proxy.ts";
import { onStage } from "../support/stage.ts";

const test = onStage();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const UPGRADE = "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

test("an upgrade becomes a tunnel that carries any bytes both ways", async (stage) => {
  stage.play(async (peer) => {
    const request = await readMessage(peer);
    assertEquals([request.fields["connection"], request.fields["upgrade"]], ["Upgrade", "websocket"]);
    await peer.write(SWITCHED + "greeting");
    await peer.until("bytes of the tunnel", () => peer.length >= 300_000 || undefined);
    await peer.write(peer.take(300_000).reverse());
    await peer.untilEnd();
    peer.finish();
  });
  using client = await stage.connect();
  await client.write(UPGRADE);
  const answer = await readMessage(client);
  assertEquals([answer.status, answer.fields["connection"], answer.fields["upgrade"]], [101, "Upgrade", "websocket"]);
  await client.until("greeting", () => client.length >= 8 || undefined);
  assertEquals(toText(client.take(8)), "greeting");
  const bytes = new Uint8Array(300_000).map((_, i) => i * 7);
  await client.write(bytes);
  await client.until("echo", () => client.length >= 300_000 || undefined);
  assertEquals(client.take(300_000), bytes.reverse());
  client.finish();
  assertEquals(await client.untilEnd(), "closed");
});

test("bytes that the client sent with the upgrade reach the backend behind it", async (stage) => {
  stage.play(async (peer) => {
    await peer.until("head", () => toText(peer.received).includes("\r\n\r\n") || undefined);
    await peer.write(SWITCHED);
    await peer.until("early bytes", () => toText(peer.received).endsWith("\r\n\r\nearly") || undefined);
    peer.finish();
  });
  using client = await stage.connect();
  await client.write(UPGRADE + "early");
  await client.untilEnd();
  assertMatch(toText(client.received), /^HTTP\/1\.1 101 /);
});

test("a tunnel flushes before it closes: the backend's last bytes arrive, however slow the client", async (stage) => {
  const size = 8 << 20;
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write(SWITCHED);
    await peer.write(new Uint8Array(size).fill(0x61));
    await peer.write("the end");
    peer.finish();
  });
  using client = await stage.connect();
  await client.write(UPGRADE);
  await client.until("the beginning", () => client.length > 0 || undefined);
  client.pause();
  await pause(300); // both sides of the tunnel fill up, and the backend has closed meanwhile
  client.resume();
  await client.untilEnd(10_000);
  const answer = client.received;
  const end = toText(answer.subarray(-7));
  const body = answer.length - (toText(answer.subarray(0, 2000)).indexOf("\r\n\r\n") + 4);
  assertEquals([body, end], [size + 7, "the end"]);
});

test("a tunnel of which one side has sent its FIN carries the other direction on", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write(SWITCHED);
    await peer.untilEnd();
    await peer.write("heard: " + toText(peer.received));
    peer.finish();
  });
  using client = await stage.connect();
  await client.write(UPGRADE);
  await readMessage(client);
  await client.write("last words");
  client.finish();
  await client.untilEnd();
  assertEquals(toText(client.received), "heard: last words");
});

for (const side of ["client", "backend"] as const) {
  test(`a tunnel that the ${side} resets is gone on the other side`, async (stage) => {
    const { promise: tunnel, resolve } = Promise.withResolvers<Peer>();
    stage.play(async (peer) => {
      await readMessage(peer);
      await peer.write(SWITCHED);
      resolve(peer);
    });
    using client = await stage.connect();
    await client.write(UPGRADE);
    await readMessage(client);
    const peer = await tunnel;
    (side === "client" ? client : peer).reset();
    await (side === "client" ? peer : client).untilEnd();
  });
}

Deno.test("a real WebSocket talks through the proxy", async () => {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onmessage = ({ data }) => socket.send(`you said ${data}`);
    return response;
  });
  {
    await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["127.0.0.1:${server.addr.port}"] } }
routes: [{ cluster: app }]
`);
    const socket = new WebSocket(`ws://127.0.0.1:${proxy.port("web")}/`);
    const words: string[] = [];
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => socket.send("hello");
      socket.onmessage = ({ data }) => {
        words.push(data);
        if (words.length === 1) socket.send("x".repeat(200_000));
        else resolve();
      };
      socket.onerror = () => reject(new Error("the WebSocket failed"));
    });
    assertEquals(words, ["you said hello", "you said " + "x".repeat(200_000)]);
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
    assertEquals((await proxy.counters()).of("tunnels"), 1);
  }
  await server.shutdown();
});
