// One request after the other through the real proxy: keep-alive on both sides, pipelining, early answers, Expect,
// half-close, aborts on either side, interim answers, trailers, routes. Bytes are looked at on both ends.

import { Agent, createServer, request as requestByNode } from "node:http";
import type { AddressInfo } from "node:net";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { indexOf, toText } from "../support/bytes.ts";
import { get, type Message, readMessage, response } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { eventually, startProxy } from "../support/proxy.ts";
import { exchange } from "../support/raw_client.ts";
import { requireTools } from "../support/require_tool.ts";
import { onStage } from "../support/stage.ts";

const test = onStage();

/** A script that answers every request of a connection by `answer`. */
function answering(answer: (request: Message, peer: Peer) => string | Promise<string>) {
  return async (peer: Peer) => {
    while (peer.end === "open" || peer.length > 0) {
      const request = await readMessage(peer, {}, 60_000).catch(() => undefined);
      if (!request) return;
      await peer.write(await answer(request, peer));
    }
  };
}

/** The configuration of a proxy before a backend that speaks for itself. */
const before = (port: number) => `
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["127.0.0.1:${port}"] } }
routes: [{ cluster: app }]
`;

const pathOf = (request: Message) => request.line.split(" ")[1]!;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

// ---- keep-alive and pipelining ----

test("a client's connection carries many requests, over one connection to the backend", async (stage) => {
  stage.play(answering((request) => response(pathOf(request))));
  using client = await stage.connect();
  for (let i = 0; i < 20; i++) {
    await client.write(get(`/${i}`));
    assertEquals(toText((await readMessage(client)).body), `/${i}`);
  }
  assertEquals(stage.backend.connections.length, 1);
  const gain = await stage.gained();
  assertEquals([gain.of("requests"), gain.of("upstreams.connected"), gain.of("upstreams.reused")], [20, 1, 19]);
});

test("clients share the connections to a backend", async (stage) => {
  stage.play(answering((request) => response(pathOf(request))));
  for (let i = 0; i < 5; i++) {
    using client = await stage.connect();
    await client.write(get(`/${i}`));
    assertEquals(toText((await readMessage(client)).body), `/${i}`);
  }
  assertEquals(stage.backend.connections.length, 1);
});

test("pipelined requests are answered in order, though the first is the slowest", async (stage) => {
  stage.play(answering(async (request) => {
    if (pathOf(request) === "/0") await pause(50);
    return response(pathOf(request));
  }));
  using client = await stage.connect();
  await client.write(Array.from({ length: 40 }, (_, i) => get(`/${i}`)).join(""));
  for (let i = 0; i < 40; i++) assertEquals(toText((await readMessage(client)).body), `/${i}`);
});

test("pipelined requests that do not fit a buffer are all answered", async (stage) => {
  stage.play(answering((request) => response(`${pathOf(request)} ${request.fields["x-long"]!.length}`)));
  using client = await stage.connect();
  const long = `X-Long: ${"l".repeat(3000)}\r\n`;
  const sent = client.write(Array.from({ length: 30 }, (_, i) => get(`/${i}`, long)).join(""));
  for (let i = 0; i < 30; i++) assertEquals(toText((await readMessage(client)).body), `/${i} 3000`);
  await sent;
});

test("a pooled connection that the backend closed is replaced without the client's knowing", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write(response("once"));
    peer.finish();
  });
  using client = await stage.connect();
  for (let i = 0; i < 5; i++) {
    await client.write(get("/"));
    assertEquals(toText((await readMessage(client)).body), "once");
  }
});

test("a pooled connection that dies under a GET is replaced: the request is sent again", async (stage) => {
  stage.play(async (peer, index) => {
    await readMessage(peer);
    await peer.write(response(`connection ${index}`));
    if (index > 0) return;
    await readMessage(peer); // takes the second request, and resets
    peer.reset();
  });
  using client = await stage.connect();
  await client.write(get("/1"));
  assertEquals(toText((await readMessage(client)).body), "connection 0");
  await client.write(get("/2"));
  assertEquals(toText((await readMessage(client)).body), "connection 1");
  const gain = await stage.gained();
  assertEquals([gain.of("requests.retried"), gain.of("upstreams.stale"), gain.refusals()], [1, 1, {}]);
});

test("a pooled connection that dies under a POST: the request is not sent again", async (stage) => {
  let posts = 0;
  stage.play(async (peer, index) => {
    await readMessage(peer);
    if (index === 0) await peer.write(response("first"));
    await readMessage(peer);
    posts++;
    peer.reset();
  });
  using client = await stage.connect();
  await client.write(get("/1"));
  await readMessage(client);
  await client.write("POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi");
  assertEquals((await readMessage(client)).status, 502);
  assertEquals([posts, (await stage.gained()).refusals()], [1, { backend_closed: 1 }]);
});

// ---- bodies that cross ----

test("an answer that comes before the request is complete reaches the client at once", async (stage) => {
  stage.play(async (peer) => {
    await peer.until("head", () => toText(peer.received).includes("\r\n\r\n") || undefined);
    await peer.write(response("too much", "", "413 Content Too Large"));
  });
  using client = await stage.connect();
  await client.write("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nbeginning");
  const answer = await readMessage(client);
  assertEquals([answer.status, toText(answer.body), answer.fields["connection"]], [413, "too much", "close"]);
  await client.untilEnd();
});

test("an answer and a request that stream at the same time", async (stage) => {
  stage.play(async (peer) => {
    await peer.until("head", () => toText(peer.received).includes("\r\n\r\n") || undefined);
    await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    await peer.until("end of the request", () => toText(peer.received).endsWith("last") || undefined);
    await peer.write("def");
  });
  using client = await stage.connect();
  await client.write("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\nfirst");
  await client.until("half of the answer", () => toText(client.received).endsWith("abc") || undefined);
  await client.write("last");
  assertEquals(toText((await readMessage(client)).body), "abcdef");
});

test("Expect: the client waits for the backend's 100, then sends", async (stage) => {
  stage.play(async (peer) => {
    await peer.until("head", () => toText(peer.received).includes("\r\n\r\n") || undefined);
    assertMatch(toText(peer.received), /\r\nExpect: 100-continue\r\n/);
    await peer.write("HTTP/1.1 100 Continue\r\n\r\n");
    const request = await readMessage(peer);
    await peer.write(response(toText(request.body).toUpperCase()));
  });
  using client = await stage.connect();
  await client.write("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  assertEquals((await readMessage(client)).head, "HTTP/1.1 100 Continue\r\n\r\n");
  await client.write("hello");
  assertEquals(toText((await readMessage(client)).body), "HELLO");
});

test("Expect: a final answer instead of the 100 ends the exchange", async (stage) => {
  stage.play(async (peer) => {
    await peer.until("head", () => toText(peer.received).includes("\r\n\r\n") || undefined);
    await peer.write(response("no", "", "417 Expectation Failed"));
  });
  using client = await stage.connect();
  await client.write("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  const answer = await readMessage(client);
  assertEquals([answer.status, answer.fields["connection"]], [417, "close"]);
});

test("103 reaches the client long before the answer", async (stage) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    await promise;
    await peer.write(response("late"));
  });
  using client = await stage.connect();
  await client.write(get("/"));
  assertEquals((await readMessage(client)).status, 103);
  resolve();
  assertEquals(toText((await readMessage(client)).body), "late");
});

test("a piece of an answer goes on as soon as it is there, chunked or not", async (stage) => {
  const steps: (() => void)[] = [];
  const step = () => new Promise<void>((resolve) => steps.push(resolve));
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    await step();
    await peer.write("5\r\nfirst\r\n");
    await step();
    await peer.write("0\r\n\r\n");
  });
  using client = await stage.connect();
  await client.write(get("/"));
  await client.until("the head alone", () => toText(client.received).endsWith("\r\n\r\n") || undefined);
  steps.shift()!();
  await client.until("the piece alone", () => toText(client.received).endsWith("5\r\nfirst\r\n") || undefined);
  await eventually("next step", () => steps.length, (n) => n === 1);
  steps.shift()!();
  assertEquals(toText((await readMessage(client)).body), "first");
});

// ---- closing and breaking ----

test("a client that has sent its FIN still gets its answer", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await pause(50);
    await peer.write(response("still here"));
  });
  using client = await stage.connect();
  await client.write(get("/"));
  client.finish();
  assertEquals(toText((await readMessage(client, { ended: false })).body), "still here");
  assertEquals(await client.untilEnd(), "closed");
});

test("several pipelined requests, then FIN: all are answered", async (stage) => {
  stage.play(answering((request) => response(pathOf(request))));
  using client = await stage.connect();
  await client.write(get("/1") + get("/2") + get("/3"));
  client.finish();
  for (const path of ["/1", "/2", "/3"]) assertEquals(toText((await readMessage(client)).body), path);
  assertEquals(await client.untilEnd(), "closed");
});

for (const how of ["closes", "resets"] as const) {
  test(`a client that ${how} before the answer: the exchange ends`, async (stage) => {
    const { promise: began, resolve } = Promise.withResolvers<Peer>();
    stage.play(async (peer) => {
      await readMessage(peer);
      resolve(peer);
    });
    const client = await stage.connect();
    await client.write(get("/"));
    const peer = await began;
    if (how === "closes") client.destroy();
    else client.reset();
    // a FIN alone may come from a client that still reads, so the answer is waited for; a reset is the end
    if (how === "closes") await peer.write(response("nobody reads this"));
    else await peer.untilEnd();
    await eventually("nothing is in progress", () => stage.proxy.counters(), (now) => now.of("streams.active") === 0);
  });

  test(`a client that ${how} in the middle of its body: the backend sees no complete request`, async (stage) => {
    const { promise: began, resolve } = Promise.withResolvers<Peer>();
    stage.play(async (peer) => {
      await peer.until("some of the body", () => toText(peer.received).endsWith("some") || undefined);
      resolve(peer);
    });
    const client = await stage.connect();
    await client.write("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nsome");
    const peer = await began;
    if (how === "closes") client.destroy();
    else client.reset();
    await peer.untilEnd();
    assert(toText(peer.received).endsWith("some"), "more than the client sent reached the backend");
    assertEquals((await stage.gained()).of("client.aborted"), 1);
  });

  test(`a client that ${how} in the middle of its chunks: no last chunk reaches the backend`, async (stage) => {
    const { promise: began, resolve } = Promise.withResolvers<Peer>();
    stage.play(async (peer) => {
      await peer.until("a chunk", () => toText(peer.received).endsWith("\r\nsome\r\n") || undefined);
      resolve(peer);
    });
    const client = await stage.connect();
    await client.write("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n");
    const peer = await began;
    if (how === "closes") client.destroy();
    else client.reset();
    await peer.untilEnd();
    assert(toText(peer.received).endsWith("\r\nsome\r\n"), "an end of the body reached the backend");
  });

  test(`a client that ${how} in the middle of an answer: the backend's connection is closed`, async (stage) => {
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    stage.play(async (peer) => {
      await readMessage(peer);
      await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
      const piece = new Uint8Array(65536);
      while (peer.end === "open") await peer.write(piece);
      resolve();
    });
    const client = await stage.connect();
    await client.write(get("/"));
    await client.until("some of the answer", () => client.length > 100_000 || undefined);
    if (how === "closes") client.destroy();
    else client.reset();
    await ended;
    assertEquals((await stage.gained()).of("client.aborted"), 1);
  });
}

// ---- other clients and backends ----

test("curl: keep-alive, a body, trailers, HEAD", async (stage) => {
  stage.play(answering((request) => {
    if (request.line.startsWith("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    return response(`${request.line.split(" ")[0]} ${toText(request.body)}`);
  }));
  const url = `http://127.0.0.1:${stage.port}/`;
  const curl = async (...args: string[]) => {
    const { stdout, stderr } = await new Deno.Command("curl", { args: ["-sS", "--max-time", "5", ...args] }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  };
  assertEquals(await curl(url, url), "GET GET ");
  assertEquals(await curl("--data-binary", "words", url), "POST words");
  assertEquals(await curl("-H", "Transfer-Encoding: chunked", "--data-binary", "words", url), "POST words");
  assertMatch(await curl("-I", url), /^HTTP\/1\.1 200 OK\r\nContent-Length: 5\r\nDate: [^\r]+\r\n\r\n$/);
  assertMatch(await curl("-0", "-i", url), /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n\r\nGET $/);
}, requireTools("curl"));

Deno.test("node's client and server, with an agent that keeps connections, both ways in chunks", async () => {
  const server = createServer((request, reply) => {
    reply.writeHead(200, { Trailer: "X-Count" });
    let count = 0;
    request.on("data", (piece: Uint8Array) => {
      count += piece.length;
      reply.write(piece);
    });
    request.on("end", () => {
      reply.addTrailers({ "X-Count": String(count) });
      reply.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  {
    await using proxy = await startProxy(before((server.address() as AddressInfo).port));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const text of ["one", "", "three".repeat(20_000)]) {
      const options = { port: proxy.port("web"), host: "127.0.0.1", method: "POST", agent };
      const got = await new Promise<[string, unknown]>((resolve, reject) => {
        const request = requestByNode(options, (reply) => {
          let body = "";
          reply.setEncoding("latin1").on("data", (piece: string) => body += piece);
          reply.on("end", () => resolve([body, reply.trailers["x-count"]]));
        });
        request.on("error", reject);
        request.flushHeaders();
        request.end(text);
      });
      assertEquals(got, [text, String(text.length)]);
    }
    agent.destroy();
  }
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("routes: host, path, method, fields; 404 without one, 503 without a backend, words of one's own", async () => {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    return new Response(`${request.headers.get("host")} ${new URL(request.url).pathname}`);
  });
  {
    await using proxy = await startProxy(`
answers: { 404: "nothing for you" }
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters:
  app: { backends: ["127.0.0.1:${server.addr.port}"] }
  dead: { backends: ["127.0.0.1:1"] }
routes:
  - { host: a.test, path: "/only/*", cluster: app }
  - { host: "*.b.test", methods: [GET], cluster: app }
  - { host: c.test, headers: { X-Beta: "1" }, cluster: app }
  - { host: dead.test, cluster: dead }
`);
    const ask = async (line: string, host: string, fields = "") => {
      const bytes = `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${fields}\r\n`;
      const text = toText((await exchange(proxy.port("web"), bytes)).received);
      return `${text.slice(9, 12)} ${text.slice(text.indexOf("\r\n\r\n") + 4).trim()}`;
    };
    assertEquals(await ask("GET /only/x", "a.test"), "200 a.test /only/x");
    assertEquals(await ask("GET /only/x", "A.TEST.:80"), "200 A.TEST.:80 /only/x");
    assertEquals(await ask("GET /onlyx", "a.test"), "404 nothing for you");
    assertEquals(await ask("GET /", "x.y.b.test"), "200 x.y.b.test /");
    assertEquals(await ask("DELETE /", "x.y.b.test"), "404 nothing for you");
    assertEquals(await ask("GET /", "c.test", "X-Beta: 1\r\n"), "200 c.test /");
    assertEquals(await ask("GET /", "c.test", "X-Beta: 2\r\n"), "404 nothing for you");
    assertEquals(await ask("GET /", "unknown.test"), "404 nothing for you");
    assertMatch(await ask("GET /", "dead.test"), /^503 /);
    const counters = await proxy.counters();
    assertEquals([counters.of("refused.no_route"), counters.of("refused.connect_failed")], [4, 1]);
  }
  await server.shutdown();
});

Deno.test("a client in trusted_proxies says itself which port it was reached on", async () => {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => {
    return new Response(request.headers.get("x-forwarded-port"));
  });
  {
    await using proxy = await startProxy("trusted_proxies: [127.0.0.1]\n" + before(server.addr.port));
    const ask = async (fields: string) => {
      const bytes = get("/", `Connection: close\r\n${fields}`);
      const { received } = await exchange(proxy.port("web"), bytes);
      return toText(received.subarray(indexOf(received, "\r\n\r\n") + 4));
    };
    assertEquals(await ask("X-Forwarded-Port: 8443\r\n"), "8443");
    assertEquals(await ask(""), String(proxy.port("web")));
  }
  await server.shutdown();
});
