// A client's idle time is over when it asks, also while a connection to the backend is still being made for it.

import { assert } from "../support/assert.ts";
import { connect } from "../support/raw_client.ts";
import { readMessage } from "../support/messages.ts";
import { startProxy } from "../support/proxy.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

Deno.test("who asks at the end of his idle time is answered, however long connecting takes", async () => {
  // accepts, and never shakes hands
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0" } }
clusters: { app: { backends: ["127.0.0.1:${silent.addr.port}"], tls: { verify: false } } }
routes: [{ path: /app, cluster: app }]
timeouts: { idle: 1s, connect: 1s }
`);
  const client = await connect(proxy.port("web"));
  try {
    await client.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    const first = await readMessage(client);
    assert(first.status === 404, `${first.status}`);
    await pause(700);
    await client.write("GET /app HTTP/1.1\r\nHost: a.test\r\n\r\n");
    const { status } = await readMessage(client);
    assert(status === 504 || status === 502, `${status}`);
  } finally {
    client.destroy();
  }
});
