// CONNECT through the real proxy, on a route that asks for it: a 2xx answer makes a tunnel, another one does not, and a
// route that does not name the method refuses (tests/vectors/request_line.md has those bytes).

import { assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { readMessage, response } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { onStage } from "../support/stage.ts";

const test = onStage({
  routes: "  - { host: far.test, methods: [CONNECT], cluster: app }\n  - { host: near.test, cluster: app }",
});

const CONNECT = "CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n";

test("CONNECT becomes a tunnel with a 2xx answer, and no field of it speaks of a body", async (stage) => {
  stage.play(async (peer) => {
    const request = await readMessage(peer);
    assertEquals(request.line, "CONNECT far.test:443 HTTP/1.1");
    assertEquals(request.fields["host"], "far.test:443");
    await peer.write("HTTP/1.1 200 Connected\r\nContent-Length: 5\r\n\r\nhello");
    await peer.until("bytes of the tunnel", () => peer.length >= 4 || undefined);
    assertEquals(toText(peer.take(4)), "ping");
    await peer.write("pong");
    await peer.untilEnd();
    peer.finish();
  });
  using client = await stage.connect();
  await client.write(CONNECT + "ping");
  await client.until("pong", () => toText(client.received).endsWith("hellopong") || undefined);
  const head = toText(client.received).split("\r\n\r\n")[0]!;
  assertEquals(head.split("\r\n")[0], "HTTP/1.1 200 Connected");
  assertEquals(/content-length|transfer-encoding|connection/i.test(head), false);
  client.finish();
  assertEquals(await client.untilEnd(), "closed");
});

test("CONNECT that the backend refuses is an answer like any other", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write(response("no").replace("200 OK", "403 Forbidden"));
  });
  using client = await stage.connect();
  await client.write(CONNECT);
  const answer = await readMessage(client);
  assertEquals([answer.status, toText(answer.body)], [403, "no"]);
});

test("a tunnel that is reset on one side is reset on the other", async (stage) => {
  for (const first of ["client", "backend"]) {
    const opened = Promise.withResolvers<Peer>();
    stage.play(async (peer) => {
      await readMessage(peer);
      await peer.write("HTTP/1.1 200 Connected\r\n\r\nhello");
      opened.resolve(peer);
    });
    const client = await stage.connect();
    await client.write(CONNECT);
    await client.until("hello", () => toText(client.received).endsWith("hello") || undefined);
    const [cut, other] = first === "client" ? [client, await opened.promise] : [await opened.promise, client];
    cut.reset();
    assertEquals(await other.untilEnd(), "reset", first);
    client.destroy();
  }
});

test("CONNECT on a route that does not name it is refused", async (stage) => {
  using client = await stage.connect();
  await client.write("CONNECT near.test:443 HTTP/1.1\r\nHost: near.test:443\r\n\r\n");
  assertEquals((await readMessage(client)).status, 405);
});
