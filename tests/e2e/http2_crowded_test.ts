// Backends of HTTP/2 that have no room: those that take no request for a while, and those that take one at a time. What is known
// of a backend is remembered, so that neither a crowd of requests nor one after the other opens connection after connection.

import { assert, assertEquals } from "../support/assert.ts";
import type { Http2BackendOptions, Http2Request, Http2Served } from "../support/h2_backend.ts";
import * as f from "../support/h2_frames.ts";
import { answers, atRest, type Http2Stage, serveHttp2 } from "../support/h2_stage.ts";
import { eventually, runKakehi } from "../support/proxy.ts";

const STREAMS = 3;
const QUICK = "timeouts: { connect: 400ms, response: 3s }";

/** Says that it takes `most` requests at once, and holds itself to it. */
function taking(most: number, thenMs = 0): Http2BackendOptions {
  const busy = new Map<Http2Served, number>();
  return {
    settings: [[STREAMS, most]],
    onRequest(one) {
      const { connection, id } = one;
      const count = busy.get(connection) ?? 0;
      if (count >= most) return void connection.send(f.rstStream(id, 7));
      busy.set(connection, count + 1);
      setTimeout(() => {
        busy.set(connection, busy.get(connection)! - 1);
        answers(one);
      }, thenMs);
    },
  };
}

const many = (stage: Http2Stage, count: number) =>
  Promise.all(Array.from({ length: count }, (_, n) => stage.ask(`/${n}`)));

async function waiting(stage: Http2Stage, count: number): Promise<void> {
  await eventually("they wait", () => stage.proxy.counters(), (all) => all.of("upstreams.h2.waited") >= count);
}

Deno.test("requests wait, on one connection, for a backend that takes none at first", async () => {
  await using stage = await serveHttp2([{ settings: [[STREAMS, 0]], onRequest: answers }]);
  const { backend } = stage;
  // what it says has been heard when the first one waits; that one may have gone out before, and is answered then
  const first = stage.ask("/first");
  await backend.request(0, 300).then(() => {}, () => waiting(stage, 1));
  const asked = many(stage, 30);
  await waiting(stage, 30);
  assertEquals(backend.served.length, 1);
  await backend.served[0]!.send(f.settings([STREAMS, 100]));
  assertEquals(await first, [200, "/first"]);
  assertEquals(await asked, Array.from({ length: 30 }, (_, n) => [200, `/${n}`]));
  assertEquals(backend.served.length, 1);
  assertEquals((await stage.proxy.counters()).all("refused."), {});
  await atRest(stage);
});

Deno.test("a backend that takes none is asked by one connection; requests are refused in time", async () => {
  await using stage = await serveHttp2([taking(0)], "", QUICK);
  const { backend } = stage;
  const statuses = async (count: number) => new Set((await many(stage, count)).map(([status]) => status));
  // of the first ones some may have gone out before it said so
  await many(stage, 5);
  const { length } = backend.served;
  assert(length <= 3, `${length} connections`);
  assertEquals(await statuses(40), new Set([503]));
  for (let n = 0; n < 3; n++) assertEquals(await statuses(1), new Set([503]));
  assertEquals(backend.served.length, length);
  assert((await stage.proxy.counters()).of("refused.upstream_limit") >= 43);
  await atRest(stage);
});

Deno.test("as many requests wait as may share the connection; the rest is refused at once", async () => {
  await using stage = await serveHttp2(
    [{ settings: [[STREAMS, 0]], onRequest: answers }],
    "http2: { max_concurrent_streams: 4 }",
  );
  const { backend } = stage;
  const first = stage.ask("/first");
  await backend.request(0, 300).then(() => {}, () => waiting(stage, 1));
  const asked = Array.from({ length: 10 }, (_, n) => stage.ask(`/${n}`));
  const refused = () => stage.proxy.counters().then((all) => all.of("refused.upstream_limit"));
  await eventually("some are refused", refused, (count) => count >= 6);
  await backend.served[0]!.send(f.settings([STREAMS, 100]));
  const statuses = (await Promise.all([first, ...asked])).map(([status]) => status);
  const answered = statuses.filter((status) => status === 200).length;
  assert(answered >= 4 && answered <= 5 && statuses.every((one) => one === 200 || one === 503), statuses.join());
  assertEquals(backend.served.length, 1);
  await atRest(stage);
});

Deno.test("a backend that takes one request at once answers a crowd, each by a connection of its own", async () => {
  await using stage = await serveHttp2([taking(1, 20)]);
  const { backend } = stage;
  for (let round = 0; round < 2; round++) {
    assertEquals(await many(stage, 60), Array.from({ length: 60 }, (_, n) => [200, `/${n}`]));
    assert(backend.served.length <= 61, `${backend.served.length} connections`);
  }
  // only before its limit was known has it been sent more
  assert(backend.requests.length <= 120 + 60, `${backend.requests.length} requests`);
  assertEquals((await stage.proxy.counters()).all("refused."), {});
  await atRest(stage);
});

Deno.test("another backend is asked as long as one takes none, and that one again when it does", async () => {
  const none: Http2Request[] = [];
  const shut: Http2BackendOptions = {
    settings: [[STREAMS, 0]],
    onRequest: (one) => {
      none.push(one);
      return one.connection.send(f.rstStream(one.id, 7));
    },
  };
  await using stage = await serveHttp2([shut, taking(100)]);
  const [one, other] = stage.backends as [typeof stage.backend, typeof stage.backend];
  // the first ones find out
  for (let n = 0; n < 4; n++) assertEquals(await stage.ask(`/${n}`), [200, `/${n}`]);
  const { length } = one.served;
  const before = none.length;
  assert(length >= 1 && length <= 2, `${length} connections`);
  assertEquals(await many(stage, 40), Array.from({ length: 40 }, (_, n) => [200, `/${n}`]));
  assertEquals([one.served.length, none.length, other.requests.length], [length, before, 44]);
  // nobody has waited for it, though it is half of the cluster
  assertEquals((await stage.proxy.counters()).of("upstreams.h2.waited"), 0);
  shut.onRequest = answers;
  await one.served.at(-1)!.send(f.settings([STREAMS, 100]));
  await one.served.at(-1)!.seen("SETTINGS ack");
  await many(stage, 20);
  assert(one.requests.length > before, "it is not asked again");
  await atRest(stage);
});

Deno.test("a backend that takes none and leaves costs a crowd a few connections, not one for each", async () => {
  await using stage = await serveHttp2(
    [{
      settings: [[STREAMS, 0]],
      onRequest: ({ connection, id }) => connection.send(f.rstStream(id, 7)),
      onConnection: ({ peer }) => void setTimeout(() => peer.socket.end(), 50),
    }],
    "",
    QUICK,
  );
  const statuses = (await many(stage, 60)).map(([status]) => status);
  assert(statuses.every((status) => status === 502 || status === 503), statuses.join());
  assert(stage.backend.served.length <= 16, `${stage.backend.served.length} connections`);
  await atRest(stage);
});

Deno.test("those that wait go on where the cluster is changed to: by a new connection, or to another backend", async () => {
  const shut: Http2BackendOptions = { settings: [[STREAMS, 0]], onRequest: answers };
  await using stage = await serveHttp2([shut, { onRequest: answers }], "", "timeouts: { connect: 20s }");
  const { proxy, backends } = stage;
  const kakehi = async (...args: string[]) => {
    const { code, stdout, stderr } = await runKakehi(...args, "--socket", proxy.socket);
    assertEquals(code, 0, stdout + stderr);
  };
  await kakehi("backend", "update", "app", backends[1]!.address, "--weight", "0");
  const first = stage.ask("/first");
  await backends[0]!.request(0, 300).then(() => {}, () => waiting(stage, 1));
  const asked = many(stage, 10);
  await waiting(stage, 10);
  // connections are made anew, and the backend is asked again whether it takes anything
  await kakehi("cluster", "update", "app", "--http2-max-concurrent-streams", "50");
  await eventually("another connection", () => backends[0]!.served.length, (count) => count === 2);
  assertEquals(backends[1]!.served.length, 0);
  await kakehi("backend", "update", "app", backends[1]!.address, "--weight", "1");
  await kakehi("backend", "remove", "app", backends[0]!.address);
  assertEquals(await first, [200, "/first"]);
  assertEquals(await asked, Array.from({ length: 10 }, (_, n) => [200, `/${n}`]));
  assert(backends[1]!.requests.length >= 10, `${backends[1]!.requests.length} went to the other one`);
  assertEquals(backends[0]!.served.length, 2);
  assertEquals((await proxy.counters()).all("refused."), {});
  await atRest(stage);
});
