// What backends of HTTP/2 do with their connections, frame by frame: how many requests they take, that they refuse, leave, or go
// silent, that they are changed. Requests that were not looked at go elsewhere, those that were end well or are answered with
// 502, and nothing is left behind.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import type { Http2BackendOptions, Http2Request } from "../support/h2_backend.ts";
import * as f from "../support/h2_frames.ts";
import type { Field } from "../support/h2_frames.ts";
import { answers, atRest, serveHttp2 } from "../support/h2_stage.ts";
import { eventually, runKakehi, startProxy } from "../support/proxy.ts";
import { closedPort, startBackend } from "../support/scripted_backend.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const OK: Field[] = [[":status", "200"]];

Deno.test("a backend that says late that it takes one request at once keeps what it was sent before", async () => {
  const held: Http2Request[] = [];
  await using stage = await serveHttp2([{ settings: null, onRequest: (one) => held.push(one) }]);
  const asked = [1, 2, 3, 4].map((n) => stage.ask(`/${n}`));
  const { connection } = await stage.backend.request(3);
  assertEquals(stage.backend.served.length, 1);
  connection.answers = true;
  await connection.send(f.settings([3, 1]), f.frame(f.SETTINGS, f.ACK, 0));
  await connection.seen("SETTINGS ack");
  for (const one of held) await answers(one);
  assertEquals((await Promise.all(asked)).map(([, text]) => text), ["/1", "/2", "/3", "/4"]);
  await atRest(stage);
});

Deno.test("a backend that takes one request at once gets as many connections as there are requests", async () => {
  const held: Http2Request[] = [];
  await using stage = await serveHttp2([{ settings: [[3, 1]], onRequest: (one) => held.push(one) }]);
  // what is sent before the limit is known may share a connection; afterwards nothing does
  for (let round = 0; round < 4; round++) {
    const asked = [1, 2, 3].map((n) => stage.ask(`/${n}`));
    await eventually("all have come", () => held.length, (count) => count === 3);
    const connections = new Set(held.map(({ connection }) => connection)).size;
    if (round === 3) assertEquals(connections, 3);
    for (const one of held.splice(0)) await answers(one);
    assertEquals((await Promise.all(asked)).map(([, text]) => text), ["/1", "/2", "/3"]);
  }
  assertEquals((await stage.proxy.counters()).all("refused."), {});
  await atRest(stage);
});

Deno.test("a backend that takes none refuses what it is sent before it says so, and another one is asked", async () => {
  const refuse = ({ connection, id }: Http2Request) => connection.send(f.rstStream(id, 7));
  const none: Http2BackendOptions = { settings: [[3, 0]], onRequest: refuse };
  await using stage = await serveHttp2([none, { onRequest: answers }]);
  for (let n = 0; n < 6; n++) assertEquals(await stage.ask(`/${n}`), [200, `/${n}`]);
  await using alone = await serveHttp2([none]);
  // whether a request goes out before the limit is known is a matter of time
  assertMatch(String((await alone.ask("/"))[0]), /50[23]/);
  assert(alone.backend.requests.length <= 3 && alone.backend.served.length <= 8);
  await atRest(stage);
  await atRest(alone);
});

Deno.test("a limit that is lowered leaves what is under way alone", async () => {
  const held: Http2Request[] = [];
  await using stage = await serveHttp2([{ onRequest: (one) => held.push(one) }]);
  const asked = [1, 2, 3].map((n) => stage.ask(`/${n}`));
  await stage.backend.request(2);
  const [connection] = stage.backend.served;
  await connection!.send(f.settings([3, 1]));
  await connection!.seen("SETTINGS ack");
  await pause(50);
  const fourth = stage.ask("/4");
  assert((await stage.backend.request(3)).connection !== connection);
  for (const one of held) await answers(one);
  assertEquals((await Promise.all([...asked, fourth])).map(([, text]) => text), ["/1", "/2", "/3", "/4"]);
  await atRest(stage);
});

Deno.test("a refused stream is tried again, with its body, and three times at most", async () => {
  const refuse = ({ connection, id }: Http2Request) => connection.send(f.rstStream(id, 7));
  await using stage = await serveHttp2([{
    async onRequest(one) {
      if (one.path === "/never" || one.number < 2) return refuse(one);
      await one.connection.peer.until("its end", () => one.ended || undefined);
      await one.connection.answer(one.id, toText(one.body));
    },
  }]);
  assertEquals(await stage.ask("/", { method: "POST", body: "the body" }), [200, "the body"]);
  assertEquals(stage.backend.requests.length, 3);
  assertEquals((await stage.ask("/never", { method: "POST", body: "x" }))[0], 502);
  assertEquals(stage.backend.requests.length, 6);
  const counters = await stage.proxy.counters();
  assertEquals([counters.of("upstreams.h2.unprocessed"), counters.of("requests.retried")], [5, 4]);
  await atRest(stage);
});

Deno.test("GOAWAY in two steps: what was asked is answered there, what comes is asked elsewhere", async () => {
  await using stage = await serveHttp2([{}]);
  const first = stage.ask("/first");
  const { connection, id } = await stage.backend.request(0);
  await connection.send(f.goaway(0x7fffffff));
  await pause(50);
  const second = stage.ask("/second");
  const other = await stage.backend.request(1);
  assert(other.connection !== connection);
  await connection.send(f.goaway(id));
  await connection.answer(id, "first");
  assertEquals(await first, [200, "first"]);
  await connection.peer.untilEnd();
  await answers(other);
  assertEquals(await second, [200, "/second"]);
  assertEquals((await stage.proxy.counters()).of("upstreams.h2.goaway"), 2);
  await atRest(stage);
});

for (const [name, code] of [["at once", 0], ["for a fault", 11]] as const) {
  Deno.test(`GOAWAY ${name}: streams above the last are asked elsewhere, whatever they are, those below end well`, async () => {
    await using stage = await serveHttp2([{
      onRequest: (one) => one.connection.index > 0 && answers(one),
    }]);
    const first = stage.ask("/1");
    const { connection, id } = await stage.backend.request(0);
    const others = [stage.ask("/2"), stage.ask("/3", { method: "POST", body: "b" })];
    await stage.backend.request(2);
    await connection.send(f.goaway(id, code));
    assertEquals((await Promise.all(others)).map(([, text]) => text).toSorted(), ["/2", "/3"]);
    await connection.answer(id, "first");
    assertEquals(await first, [200, "first"]);
    await connection.peer.untilEnd();
    assertEquals(stage.backend.served.length, 2);
    await atRest(stage);
  });
}

// ---- windows ----

Deno.test("a window of a byte, and one that changes while a body goes, lose nothing of it", async () => {
  const body = "0123456789".repeat(5_000);
  await using stage = await serveHttp2([{
    settings: [[4, 1]],
    onConnection: (connection) => connection.reads = false,
  }]);
  // so that the window is known
  const known = stage.ask("/");
  await answers(await stage.backend.request(0));
  assertEquals((await known)[0], 200);
  const asked = stage.ask("/", { method: "POST", body });
  const one = await stage.backend.request(1);
  const { connection, id } = one;
  const has = (bytes: number) => connection.peer.until(`${bytes} bytes`, () => one.body.length >= bytes || undefined);
  await has(1);
  for (let at = 1; at < 5; at++) {
    assertEquals(one.body.length, at);
    await connection.send(f.windowUpdate(id, 1));
    await has(at + 1);
  }
  await connection.send(f.settings([4, 10_001]));
  await has(10_005);
  // below zero: what is given back at first is not enough
  await connection.send(f.settings([4, 0]), f.windowUpdate(id, 5));
  await pause(50);
  assertEquals(one.body.length, 10_005);
  await connection.send(f.settings([4, 65_535]), f.windowUpdate(0, 100_000));
  await has(body.length);
  assertEquals([toText(one.body) === body, one.ended], [true, true]);
  await connection.answer(id);
  assertEquals(await asked, [200, "ok"]);
  await atRest(stage);
});

// ---- those that go silent ----

Deno.test("a backend that takes a connection and never says SETTINGS is given up in time", async () => {
  await using stage = await serveHttp2([{ settings: null }], "", "timeouts: { response: 500ms }");
  assertEquals(await stage.ask("/"), [504, "The backend did not answer in time.\n"]);
  await atRest(stage);
});

Deno.test("a backend that answers no PING is given up; what may be repeated is, and another one is asked", async () => {
  const silent: Http2BackendOptions = {
    onRequest(one) {
      if (one.number < 1) answers(one);
      else one.connection.answers = false;
    },
  };
  const cluster = "http2: { ping_interval: 100ms }";
  await using stage = await serveHttp2([silent, { onRequest: answers }], cluster, "timeouts: { response: 20s }");
  for (let n = 0; n < 2; n++) assertEquals((await stage.ask(`/${n}`))[0], 200);
  const began = performance.now();
  const gets = Promise.all([2, 3, 4, 5].map((n) => stage.ask(`/${n}`)));
  assertEquals((await gets).map(([, text]) => text), ["/2", "/3", "/4", "/5"]);
  const tookMs = performance.now() - began;
  assert(tookMs > 150 && tookMs < 5_000, `${tookMs} ms`);
  const [connection] = stage.backend.served;
  assertEquals(connection!.words.filter((word) => word.startsWith("PING")).length, 1);
  await connection!.peer.untilEnd();
  assertEquals((await stage.proxy.counters()).of("upstreams.h2.connections.ping_timeout"), 1);
  await atRest(stage);
});

Deno.test("what may not be repeated is 502 when its backend goes silent", async () => {
  const silent: Http2BackendOptions = { onRequest: (one) => one.connection.answers = false };
  await using stage = await serveHttp2([silent], "http2: { ping_interval: 100ms }", "timeouts: { response: 20s }");
  assertEquals((await stage.ask("/", { method: "POST", body: "b" }))[0], 502);
  await atRest(stage);
});

Deno.test("a backend that thinks for long and answers PINGs is waited for, and not asked twice", async () => {
  await using stage = await serveHttp2([{}], "http2: { ping_interval: 100ms }");
  const asked = stage.ask("/");
  const one = await stage.backend.request(0);
  await pause(600);
  await answers(one);
  assertEquals(await asked, [200, "/"]);
  assertEquals(one.connection.words.filter((word) => word.startsWith("PING")).length, 1);
});

Deno.test("all that wait for a connection are told when nothing comes of it, or asked elsewhere", async () => {
  await using mute = await startBackend(() => {});
  await using stage = await serveHttp2([{ onRequest: answers }]);
  const closed = await closedPort();
  await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0" } }
clusters:
  mute: { backends: ["${mute.address}"], protocol: h2, tls: { verify: false }, timeouts: { connect: 400ms } }
  closed: { backends: ["127.0.0.1:${closed}"], protocol: h2c }
  half: { backends: ["127.0.0.1:${closed}", "${stage.backend.address}"], protocol: h2c }
routes: [{ path: /mute, cluster: mute }, { path: /closed, cluster: closed }, { path: /half, cluster: half }]
`);
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${proxy.port("web")}${path}`);
    await response.body?.cancel();
    return response.status;
  };
  const many = (path: string) => Promise.all(Array.from({ length: 5 }, () => ask(path)));
  assertEquals(await many("/mute"), Array(5).fill(504));
  assertEquals(mute.connections.length, 1);
  assertEquals(await many("/closed"), Array(5).fill(503));
  assertEquals(await many("/half"), Array(5).fill(200));
  const counters = await proxy.counters();
  assertEquals([counters.of("refused.connect_timeout"), counters.of("refused.connect_failed")], [5, 5]);
  assertEquals(counters.of("upstreams.active"), 1);
  await atRest(stage);
});

// ---- connections that carry nothing ----

Deno.test("idle connections are kept as many as pool.idle says, reused, and left with GOAWAY in time", async () => {
  const held: Http2Request[] = [];
  const cluster = "http2: { max_concurrent_streams: 1 }, pool: { idle: 2, idle_timeout: 700ms }";
  await using stage = await serveHttp2([{ onRequest: (one) => held.push(one) }], cluster);
  const round = async (count: number) => {
    const asked = Array.from({ length: count }, (_, n) => stage.ask(`/${n}`));
    await eventually("all have come", () => held.length, (length) => length === count);
    for (const one of held.splice(0)) await answers(one);
    assertEquals((await Promise.all(asked)).map(([status]) => status), Array(count).fill(200));
  };
  await round(4);
  const { served } = stage.backend;
  assertEquals(served.length, 4);
  await eventually("two are left", () => served.filter(({ peer }) => peer.end === "open").length, (left) => left === 2);
  await round(2);
  assertEquals(served.length, 4);
  assertEquals((await stage.proxy.counters()).of("upstreams.idle"), 2);
  for (const connection of served) {
    await connection.peer.untilEnd();
    assertEquals(connection.words.at(-1), "GOAWAY 0 NO_ERROR");
  }
  await eventually("none is left", () => stage.proxy.counters(), (all) => {
    return all.of("upstreams.active") === 0 && all.of("upstreams.h2.connections.active") === 0;
  });
});

Deno.test("a connection that the backend has closed while it was idle costs no request", async () => {
  for (const ends of ["finish", "reset", "goaway"] as const) {
    await using stage = await serveHttp2([{ onRequest: answers }]);
    assertEquals((await stage.ask("/1"))[0], 200);
    const { peer } = stage.backend.served[0]!;
    if (ends === "goaway") await stage.backend.served[0]!.send(f.goaway(1));
    else peer[ends]();
    assertEquals((await stage.ask("/2"))[0], 200, ends);
    await eventually("one is left", () => stage.proxy.counters(), (all) => all.of("upstreams.active") === 1);
  }
});

// ---- changes ----

Deno.test("what is under way ends well when its backend is removed, drained, or spoken to otherwise", async () => {
  const held: Http2Request[] = [];
  const first: Http2BackendOptions = {
    onRequest: (one) => one.path.startsWith("/held") ? held.push(one) : answers(one),
  };
  await using stage = await serveHttp2([first, { onRequest: answers }]);
  const { proxy, backends } = stage;
  const kakehi = async (...args: string[]) => {
    const { code, stdout, stderr } = await runKakehi(...args, "--socket", proxy.socket);
    assertEquals(code, 0, stdout + stderr);
  };
  await kakehi("backend", "update", "app", backends[1]!.address, "--weight", "0");
  const asked = [stage.ask("/held/1")];
  await eventually("asked", () => held.length, (count) => count === 1);
  await kakehi("cluster", "update", "app", "--http2-max-concurrent-streams", "7");
  asked.push(stage.ask("/held/2"));
  await eventually("asked again", () => held.length, (count) => count === 2);
  assert(held[0]!.connection !== held[1]!.connection, "on a connection with the new options");
  await kakehi("backend", "update", "app", backends[1]!.address, "--weight", "1");
  await kakehi("backend", "remove", "app", backends[0]!.address);
  assertEquals((await stage.ask("/new"))[1], "/new");
  assertEquals(backends[1]!.requests.length, 1);
  for (const one of held) await answers(one);
  assertEquals((await Promise.all(asked)).map(([, text]) => text), ["/held/1", "/held/2"]);
  for (const { peer } of backends[0]!.served) await peer.untilEnd();
  await eventually("one is left", () => proxy.counters(), (all) => all.of("upstreams.active") === 1);
  await atRest(stage);
});

// ---- the slow ----

Deno.test("a client that does not read, and a backend that does not, hold up nobody on their connection", async () => {
  await using stage = await serveHttp2([{
    async onRequest(one) {
      const { connection, id, path } = one;
      if (path === "/slow/up") connection.reads = false;
      else if (path !== "/slow/down") await answers(one);
      else {
        await connection.send(f.headers(id, OK, f.END_HEADERS));
        await connection.send(f.data(id, 16_384), f.data(id, 16_384), f.data(id, 16_384), f.data(id, 16_384));
      }
    },
  }]);
  const slow = await fetch(`http://127.0.0.1:${stage.proxy.port("web")}/slow/down`);
  const endless = new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(65_536)) });
  const ends = new AbortController();
  const up = fetch(`http://127.0.0.1:${stage.proxy.port("web")}/slow/up`, {
    method: "POST",
    body: endless,
    signal: ends.signal,
  }).catch(() => {});
  const one = await stage.backend.request(1);
  await one.connection.peer.until("a window full", () => one.body.length >= 65_535 || undefined);
  await pause(100);
  assertEquals(one.body.length, 65_535);
  await one.connection.send(f.windowUpdate(0, 1_000_000));
  for (let n = 0; n < 20; n++) assertEquals((await stage.ask(`/${n}`))[0], 200);
  assertEquals(stage.backend.served.length, 1);
  assert((await stage.proxy.counters()).of("buffers.used") < 24);
  ends.abort();
  await up;
  await slow.body!.cancel();
  await atRest(stage);
});
