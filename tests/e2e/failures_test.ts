// A backend that fails at each point of an exchange: closes, resets, stalls, or lies about its length. The client must
// get the answer that says so, or an answer that is visibly broken off; the counters must have its name; and nothing may
// stay in use, which the stage looks at behind every test. Each case runs several times at once, since what is freed
// twice or not at all shows with the next exchange.

import { assert, assertEquals } from "../support/assert.ts";
import { indexOf, toText } from "../support/bytes.ts";
import { get, parseMessage, readMessage, response } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { onStage, type Stage } from "../support/stage.ts";
import { closedPort, startBackend } from "../support/scripted_backend.ts";
import { connect } from "../support/raw_client.ts";
import { startProxy } from "../support/proxy.ts";

const test = onStage({ cluster: "timeouts: { connect: 200ms, response: 200ms }" });

const TIMES = 8;
const LARGE = 1 << 20;

type Fault = "closes" | "resets" | "stalls";
const FAULTS: Fault[] = ["closes", "resets", "stalls"];

/** Lets bytes arrive before a reset overtakes them. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

async function fail(peer: Peer, fault: Fault): Promise<void> {
  if (fault === "closes") peer.finish();
  else if (fault === "resets") {
    await settle();
    peer.reset();
  } else await peer.untilEnd(10_000); // the proxy gives up
}

/** What a client got until its connection ended, or until a whole final answer was there. */
async function outcome(client: Peer): Promise<{ text: string; whole: boolean; end: Peer["end"] }> {
  const isWhole = () => {
    let answer = parseMessage(client.received);
    for (let at = 0; answer && answer.status < 200;) {
      at += answer.size;
      answer = parseMessage(client.received.slice(at));
    }
    return answer !== undefined;
  };
  const whole = await client.until(
    "an answer, or the end",
    () => isWhole() || (client.end === "open" ? undefined : false),
  );
  return { text: toText(client.received), whole, end: client.end };
}

/** Runs an exchange several times at once and hands every client's outcome to `check`. */
async function manyTimes(
  stage: Stage,
  request: string,
  check: (got: Awaited<ReturnType<typeof outcome>>) => void,
): Promise<void> {
  await Promise.all(Array.from({ length: TIMES }, async () => {
    using client = await stage.connect();
    await client.write(request);
    check(await outcome(client));
  }));
}

// ---- before the answer has begun: the proxy answers ----

const BEFORE: { point: string; says: string }[] = [
  { point: "before it says anything", says: "" },
  { point: "in the status line", says: "HTTP/1.1 2" },
  { point: "in a field", says: "HTTP/1.1 200 OK\r\nContent-Le" },
  { point: "before the head's end", says: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" },
  { point: "behind an interim answer", says: "HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n" },
];

for (const { point, says } of BEFORE) {
  for (const fault of FAULTS) {
    test(`a backend that ${fault} ${point}`, async (stage) => {
      stage.play(async (peer) => {
        await readMessage(peer);
        await peer.write(says);
        await fail(peer, fault);
      });
      const refusal = fault === "stalls" ? "response_timeout" : "backend_closed";
      const status = fault === "stalls" ? 504 : 502;
      const interim = says.startsWith("HTTP/1.1 103") ? "HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n" : "";
      await manyTimes(stage, get("/"), ({ text }) => {
        assert(text.startsWith(`${interim}HTTP/1.1 ${status} `), text);
      });
      const gain = await stage.gained();
      assertEquals(gain.refusals(), { [refusal]: TIMES });
    });
  }
}

// ---- in the middle of an answer: it breaks off, and the client can tell ----

const HEAD = "HTTP/1.1 200 OK\r\n";
const MIDDLE: { point: string; says: string }[] = [
  { point: "behind a head with a length", says: `${HEAD}Content-Length: 10\r\n\r\n` },
  { point: "in a body with a length", says: `${HEAD}Content-Length: 10\r\n\r\nhello` },
  { point: "before the last byte", says: `${HEAD}Content-Length: 10\r\n\r\nhello, wo` },
  { point: "in a large body", says: `${HEAD}Content-Length: ${2 * LARGE}\r\n\r\n${"l".repeat(LARGE)}` },
  { point: "behind a head with chunks", says: `${HEAD}Transfer-Encoding: chunked\r\n\r\n` },
  { point: "in a chunk's size", says: `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1` },
  { point: "in a chunk", says: `${HEAD}Transfer-Encoding: chunked\r\n\r\na\r\nhello` },
  { point: "between chunks", says: `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n` },
  { point: "in the last chunk", says: `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n` },
  { point: "in the trailers", says: `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: 1\r\nX-B` },
];

for (const { point, says } of MIDDLE) {
  for (const fault of FAULTS) {
    test(`a backend that ${fault} ${point}`, async (stage) => {
      stage.play(async (peer) => {
        await readMessage(peer);
        await peer.write(says);
        await fail(peer, fault);
      });
      await manyTimes(stage, get("/"), ({ text, whole, end }) => {
        assert(text.startsWith("HTTP/1.1 200 OK\r\n"), text.slice(0, 500));
        assert(!whole, `an answer that looks complete: ${text.slice(0, 500)}`);
        assert(end !== "open", "the client's connection was not closed");
      });
      const gain = await stage.gained();
      assertEquals([gain.of("backend.truncated"), gain.refusals()], [TIMES, {}]);
    });
  }
}

for (const fault of ["resets", "stalls"] as Fault[]) {
  test(`a backend that ${fault} in a body without length: only a reset tells the client of HTTP/1.0`, async (stage) => {
    stage.play(async (peer) => {
      await readMessage(peer);
      await peer.write(`${HEAD}\r\nhello`);
      await fail(peer, fault);
    });
    await manyTimes(stage, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", ({ end }) => assertEquals(end, "reset"));
    assertEquals((await stage.gained()).of("backend.truncated"), TIMES);
  });
}

for (const fault of FAULTS) {
  test(`chunks that break off (${fault}) must not look complete to a client of HTTP/1.0`, async (stage) => {
    stage.play(async (peer) => {
      await readMessage(peer);
      await peer.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
      await fail(peer, fault);
    });
    await manyTimes(stage, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", ({ end }) => assertEquals(end, "reset"));
  });
}

// ---- while the request is on its way ----

for (const fault of FAULTS) {
  for (
    const [kind, request] of [
      ["a length", `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${64 * LARGE}\r\n\r\n${"b".repeat(LARGE)}`],
      ["chunks", `POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`],
    ] as const
  ) {
    if (fault === "stalls" && kind === "chunks") continue; // it would be the client's turn, not the backend's
    test(`a backend that ${fault} in the middle of a request with ${kind}`, async (stage) => {
      stage.play(async (peer) => {
        await peer.until("head", () => indexOf(peer.received, "\r\n\r\n") > 0 || undefined);
        if (fault === "stalls") peer.pause();
        else if (fault === "resets") peer.reset();
        else peer.destroy();
        await peer.untilEnd(10_000).catch(() => {}); // a paused peer does not hear of the end
      });
      using client = await stage.connect();
      const sent = client.write(request);
      if (fault === "stalls") {
        // the proxy stops reading as soon as the backend does, so the rest is never taken
        const piece = new Uint8Array(LARGE);
        sent.then(async () => {
          for (let i = 0; i < 63 && client.end === "open"; i++) await client.write(piece);
        });
      }
      const got = await outcome(client);
      assert(/^HTTP\/1\.1 50[24] /.test(got.text), got.text.slice(0, 300));
      const gain = await stage.gained();
      assertEquals(gain.refusals(), { [fault === "stalls" ? "response_timeout" : "backend_closed"]: 1 });
    });
  }
}

// ---- lies ----

test("more bytes than the length: they reach nobody, and the connection is not used again", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write(response("hello") + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    await peer.untilEnd();
  });
  using client = await stage.connect();
  for (let i = 0; i < 3; i++) {
    await client.write(get(`/${i}`));
    assertEquals(toText((await readMessage(client)).body), "hello");
  }
  assertEquals(stage.backend.connections.length, 3);
});

test("an answer that nobody asked for, on an idle connection: the next client does not get it", async (stage) => {
  stage.play(async (peer, index) => {
    await readMessage(peer);
    await peer.write(response(`connection ${index}`));
    if (index > 0) return;
    await settle(); // the connection is idle now
    await peer.write(response("poison"));
    await peer.untilEnd();
  });
  using first = await stage.connect();
  await first.write(get("/"));
  assertEquals(toText((await readMessage(first)).body), "connection 0");
  await stage.backend.connections[0]!.untilEnd();
  using second = await stage.connect();
  await second.write(get("/"));
  assertEquals(toText((await readMessage(second)).body), "connection 1");
});

test("less bytes than the length, then silence: the answer breaks off in time", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write(`${HEAD}Content-Length: 1000000\r\n\r\nhello`);
    await peer.untilEnd();
  });
  await manyTimes(stage, get("/"), ({ whole, text }) => assert(!whole && text.endsWith("hello"), text));
});

test("an answer to a HEAD with a body: it reaches nobody", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write(response("hello"));
    await peer.untilEnd();
  });
  using client = await stage.connect();
  for (let i = 0; i < 3; i++) {
    await client.write("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    const answer = await readMessage(client, { toHead: true });
    assertEquals([answer.fields["content-length"], client.length], ["5", 0]);
  }
});

test("an endless head is refused as soon as it is too long", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    await peer.write("HTTP/1.1 200 OK\r\n");
    while (peer.end === "open") await peer.write("X-More: and more\r\n".repeat(10));
  });
  await manyTimes(stage, get("/"), ({ text }) => assert(text.startsWith("HTTP/1.1 502 "), text));
  assertEquals((await stage.gained()).refusals(), { response_header_too_large: TIMES });
});

test("an endless row of interim answers is not kept in memory", async (stage) => {
  stage.play(async (peer) => {
    await readMessage(peer);
    for (let i = 0; i < 2_000; i++) await peer.write("HTTP/1.1 102 Processing\r\n\r\n");
    await peer.write(response("at last"));
  });
  using client = await stage.connect();
  await client.write(get("/"));
  await client.until("the last answer", () => toText(client.received).endsWith("at last") || undefined);
  assertEquals((await stage.gained()).of("responses.1xx"), 2_000);
});

// ---- connecting ----

Deno.test("a backend that refuses connections: 503, the next one is tried, and the first one later again", async () => {
  const dead = await closedPort();
  await using live = await startBackend(async (peer) => {
    while (peer.end === "open") {
      await readMessage(peer, {}, 60_000).catch(() => {});
      await peer.write(response("alive"));
    }
  });
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters:
  dead: { backends: ["127.0.0.1:${dead}"] }
  both: { backends: ["127.0.0.1:${dead}", "${live.address}"] }
routes:
  - { host: dead.test, cluster: dead }
  - { host: both.test, cluster: both }
`);
  using client = await connect(proxy.port("web"));
  await client.write(get("/", "", "dead.test"));
  const refused = await readMessage(client);
  assertEquals([refused.status, refused.fields["retry-after"]], [503, "1"]);
  for (let i = 0; i < 6; i++) {
    await client.write(get("/", "", "both.test"));
    assertEquals(toText((await readMessage(client)).body), "alive");
  }
  const counters = await proxy.counters();
  assertEquals([counters.of("refused.connect_failed"), counters.of("requests")], [1, 7]);
  assert(counters.of("requests.retried") >= 1, "no request was tried on the other backend");
});
