// A read that finds nothing on a connection between two requests: the session takes a buffer for it and gives it back, and must
// not take what it then knows of no buffer for bytes that nobody has parsed. Such a read follows on a request that fills the
// buffer to its last byte, since only a short read tells that a socket is empty.

import { assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { get, readMessage } from "../support/messages.ts";
import { startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";

const BUFFER_BYTES = 16384;

Deno.test("requests that fill the buffer exactly are followed by others on the same connection", async () => {
  const backend = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    return new Response(`${new URL(request.url).pathname} ${(await request.arrayBuffer()).byteLength}`);
  });
  try {
    await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0" } }
clusters: { app: { backends: ["127.0.0.1:${backend.addr.port}"] } }
routes: [ { cluster: app } ]
limits: { buffer_size: ${BUFFER_BYTES} }
`);
    using peer = await connect(proxy.port("web"));
    const ask = async (message: string, expected: string) => {
      await peer.write(message);
      const { status, body } = await readMessage(peer);
      assertEquals([status, toText(body)], [200, expected]);
    };
    for (let total = BUFFER_BYTES - 2; total <= BUFFER_BYTES + 2; total++) {
      const length = total - "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 16xxx\r\n\r\n".length;
      const head = `POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${length}\r\n\r\n`;
      assertEquals(head.length + length, total);
      for (let again = 0; again < 3; again++) {
        await ask(head + "b".repeat(length), `/p ${length}`);
        await ask(get("/next"), "/next 0");
        await ask(get(`/${total}`), `/${total} 0`);
      }
    }
    assertEquals((await proxy.counters()).all("refused."), {});
  } finally {
    await backend.shutdown();
  }
});
