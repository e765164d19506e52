// Requests that have been on their way to a backend of HTTP/2 when the cluster came to speak HTTP/1.1: what no backend has looked
// at goes on in the new protocol, with its body, whatever the client speaks.

// deno-lint-ignore-file no-explicit-any

import { assertEquals } from "../support/assert.ts";
import { fromText, toText } from "../support/bytes.ts";
import { Http2Backend } from "../support/h2_backend.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import { readMessage } from "../support/messages.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { startBackend } from "../support/scripted_backend.ts";
import { Client } from "../unit/control/client.ts";

/** Answers with what it was asked. */
function serveEcho() {
  const options = { port: 0, hostname: "127.0.0.1", onListen: () => {} };
  return Deno.serve(options, async (request) => {
    return new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`);
  });
}

const yamlOf = (backends: string, more: string) => `
listeners: { web: { address: "127.0.0.1:0", h2c: true } }
clusters: { app: { backends: [${backends}], ${more} } }
routes: [{ cluster: app }]
`;

/** From now on there are backends of HTTP/1.1: `addresses`. */
async function change(proxy: Proxy, addresses: string[]): Promise<void> {
  using control = await Client.connect(proxy.socket);
  const value = { protocol: "http/1.1", tls: "off", backends: addresses };
  const answer: any = await control.ask({
    verb: "apply",
    orders: [{ order: "update", object: "cluster", name: "app", value }],
  });
  assertEquals(answer.status, "ok", JSON.stringify(answer));
}

const h1 = (line: string, rest = "\r\n") => `${line} HTTP/1.1\r\nHost: a.test\r\n${rest}`;
const POST: f.Field[] = [[":method", "POST"], [":scheme", "http"], [":authority", "a"], [":path", "/5"]];

Deno.test("what waited for a connection of HTTP/2 goes to a backend of HTTP/1.1 when the cluster has changed", async () => {
  const echo = serveEcho();
  const address = `127.0.0.1:${echo.addr.port}`;
  // it never answers a handshake
  await using silent = await startBackend(() => {});
  const tls = "protocol: h2, tls: { verify: false }, timeouts: { connect: 20s }";
  await using proxy = await startProxy(yamlOf(`"${silent.address}", "127.0.0.2:${silent.port}"`, tls));
  const peers = await Promise.all([1, 2, 3].map(() => connect(proxy.port("web"))));
  using client = await Http2Client.connect(proxy.port("web"));
  try {
    await peers[0]!.write(h1("GET /1"));
    await peers[1]!.write(h1("POST /2", "Content-Length: 10\r\n\r\n01234"));
    await peers[2]!.write(h1("POST /3", "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"));
    await client.ask(1, "/4");
    await client.send(f.headers(3, POST, f.END_HEADERS), f.frame(f.DATA, 0, 3, fromText("01234")));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await change(proxy, [address, `localhost:${echo.addr.port}`]);
    for (const peer of silent.connections) peer.destroy();
    await peers[1]!.write("56789");
    await peers[2]!.write("5\r\n56789\r\n0\r\n\r\n");
    await client.send(f.frame(f.DATA, f.END_STREAM, 3, fromText("56789")));
    const answers = await Promise.all(peers.map((peer) => readMessage(peer)));
    assertEquals(answers.map(({ body }) => toText(body)), ["GET /1 ", "POST /2 0123456789", "POST /3 0123456789"]);
    const others = [await client.answer(1), await client.answer(3)];
    assertEquals(others.map(({ body }) => toText(body)), ["GET /4 ", "POST /5 0123456789"]);
  } finally {
    for (const peer of peers) peer.destroy();
    await echo.shutdown();
  }
});

Deno.test("what a backend of HTTP/2 refused goes to one of HTTP/1.1 when the cluster has changed", async () => {
  const echo = serveEcho();
  await using backend = await Http2Backend.start();
  await using proxy = await startProxy(yamlOf(`"${backend.address}"`, "protocol: h2c"));
  const peers = await Promise.all([1, 2].map(() => connect(proxy.port("web"))));
  using client = await Http2Client.connect(proxy.port("web"));
  try {
    await peers[0]!.write(h1("GET /1"));
    await peers[1]!.write(h1("POST /2", "Content-Length: 10\r\n\r\n0123456789"));
    await client.ask(1, "/3");
    const asked = await Promise.all([0, 1, 2].map((number) => backend.request(number)));
    await change(proxy, [`127.0.0.1:${echo.addr.port}`]);
    for (const { connection, id } of asked) await connection.send(f.rstStream(id, 7));
    const answers = await Promise.all(peers.map((peer) => readMessage(peer)));
    assertEquals(answers.map(({ status, body }) => [status, toText(body)]), [[200, "GET /1 "], [
      200,
      "POST /2 0123456789",
    ]]);
    const other = await client.answer(1);
    assertEquals([fieldOf(other, ":status"), toText(other.body)], ["200", "GET /3 "]);
  } finally {
    for (const peer of peers) peer.destroy();
    await echo.shutdown();
  }
});
