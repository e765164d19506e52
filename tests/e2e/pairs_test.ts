// Clients and backends of both versions of HTTP, in all pairs, without TLS and with it on both sides: the same exchanges go through
// each. What a backend sees does not depend on what its client speaks, nor what a client gets on what the backend does.

import { assert, assertEquals } from "../support/assert.ts";
import { type Exchange, type Got, nameOf, type Pairs, type Result, startPairs, WAYS } from "../support/pairs.ts";
import { eventually, memoryOf } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZES = [0, 1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 64 * KIB - 1, 64 * KIB, MIB];
/** In MiB; 1024 before a release. */
const LARGE = Number(Deno.env.get("KAKEHI_BODY_MIB") ?? 64) * MIB;
const ignore = requireTools("node", "openssl");

const TRAILERS: [string, string][] = [["x-sum", "abc"], ["x-two", "2"]];
const MANY = Array.from({ length: 60 }, (_, at): [string, string] => [`x-many-${at}`, "v".repeat(at)]);

/** Which come to an end as they should. */
function wellEnding(): Exchange[] {
  const all: Exchange[] = [
    { name: "GET", path: "/a?b=c&d=%20", todo: { size: 10, framing: "length" } },
    { name: "OPTIONS", path: "/", method: "OPTIONS" },
    { name: "DELETE", path: "/a", method: "DELETE", todo: { status: 204 } },
    { name: "HEAD with a length", path: "/a", method: "HEAD", todo: { size: 10, framing: "length" } },
    { name: "HEAD without", path: "/a", method: "HEAD", todo: { size: 10 } },
    {
      name: "304 with a length",
      path: "/a",
      todo: { status: 304, framing: "length", says: 10, fields: [["etag", '"e"']] },
    },
    { name: "404", path: "/a", todo: { status: 404, size: 5 } },
    { name: "cookies", path: "/a", fields: [["cookie", "a=1"], ["cookie", "b=2"], ["cookie", "c=3; d=4"]] },
    { name: "cookies set", path: "/a", todo: { fields: [["set-cookie", "a=1"]] } },
    { name: "many fields", path: "/a", fields: MANY, todo: { fields: MANY, size: 1 } },
    { name: "long fields", path: `/${"p".repeat(3000)}`, fields: [["x-long", "w".repeat(4000)]] },
    { name: "te", path: "/a", fields: [["te", "trailers"]], todo: { size: 3, trailers: TRAILERS } },
    { name: "hints", path: "/a", todo: { hints: 2, size: 3 } },
    { name: "trailers", path: "/a", todo: { size: 20_000, trailers: TRAILERS } },
    { name: "trailers without a body", path: "/a", todo: { trailers: TRAILERS } },
    {
      name: "trailers both ways",
      path: "/a",
      method: "POST",
      body: { size: 5, framing: "stream" },
      trailers: TRAILERS,
      todo: { echo: true, trailers: TRAILERS },
    },
    {
      name: "trailers behind a long body",
      path: "/a",
      method: "PUT",
      body: { size: 200_000, framing: "stream" },
      trailers: TRAILERS,
      todo: { size: 100_000, trailers: TRAILERS },
    },
    {
      name: "asks before it sends",
      path: "/a",
      method: "PUT",
      expects: true,
      body: { size: 1000, framing: "length" },
      todo: { size: 3 },
    },
    { name: "late answer", path: "/a", method: "POST", body: { size: 9, framing: "length" }, todo: { afterMs: 50 } },
  ];
  for (const size of SIZES) {
    all.push({ name: `${size} down, known`, path: "/a", todo: { size, framing: "length" } });
    all.push({ name: `${size} down`, path: "/a", todo: { size } });
    for (const framing of ["length", "stream"] as const) {
      const body = { size, framing };
      all.push({ name: `${size} up, ${framing}`, path: "/a", method: "POST", body, todo: { status: 201 } });
      all.push({ name: `${size} echo, ${framing}`, path: "/a", method: "PUT", body, todo: { echo: true } });
    }
  }
  return all;
}

/** Those that somebody ends before the end. */
const CUT: Exchange[] = [
  { name: "backend: before the head", path: "/a", method: "POST", todo: { cut: "before" } },
  { name: "backend: behind the head", path: "/a", todo: { cut: "head", size: 10, framing: "length" } },
  {
    name: "backend: in a body of known length",
    path: "/a",
    todo: { cut: "body", size: 10, says: 20, framing: "length" },
  },
  { name: "backend: in a body", path: "/a", todo: { cut: "body", size: 100_000 } },
  { name: "backend: before trailers", path: "/a", todo: { cut: "body", size: 10, trailers: TRAILERS } },
  {
    name: "backend: while the body comes",
    path: "/a",
    method: "POST",
    body: { size: 100_000, framing: "length" },
    todo: { early: true, cut: "before" },
  },
  { name: "client: before the answer", path: "/a", resets: "at once", todo: { afterMs: 100, size: 10 } },
  {
    name: "client: within its body",
    path: "/a",
    method: "POST",
    body: { size: 70_000, framing: "stream" },
    keepsOpen: true,
    resets: "at once",
  },
  { name: "client: behind the head", path: "/a", resets: "head", todo: { size: MIB } },
  { name: "client: in the body", path: "/a", resets: "body", todo: { size: MIB } },
];

/** Answered before the body has come; whether the client has still sent some is a matter of time. */
const EARLY: Exchange[] = [
  {
    name: "413 while the body comes",
    path: "/a",
    method: "POST",
    body: { size: 4 * MIB, framing: "length" },
    todo: { early: true, status: 413, size: 3, framing: "length" },
  },
  {
    name: "417 instead of being asked",
    path: "/a",
    method: "PUT",
    expects: true,
    body: { size: 1000, framing: "length" },
    todo: { early: true, status: 417, size: 3 },
  },
];

/** What has to be alike of what a backend sees. `te` is for backends of HTTP/2, gRPC's for one; in HTTP/1 it ends at each hop. */
const OF_THE_WAY = ["x-forwarded-proto", "x-forwarded-port", "x-to", "te"];

function seenOf({ seen }: Result) {
  if (seen === null) return null;
  const { version: _, ...rest } = seen;
  return { ...rest, fields: rest.fields.filter(([name]) => !OF_THE_WAY.includes(name)) };
}

/** And of what a client gets: that there is no body may be said by a length of 0 or the end of a stream. */
function gotOf({ got }: Result): Got {
  if (got.fields === undefined) return got;
  return { ...got, fields: got.fields.filter(([name, value]) => name !== "content-length" || value !== "0") };
}

async function atRest({ proxy }: Pairs): Promise<void> {
  const names = ["h2.streams.active", "streams.active", "buffers.used"];
  await eventually("nothing is under way", () => proxy.counters(), (all) => names.every((name) => all.of(name) === 0));
}

Deno.test({
  name: "what both ends see is the same in all pairs",
  ignore,
  async fn() {
    await using pairs = await startPairs();
    const exchanges = wellEnding();
    let first: Result[] | undefined;
    for (const way of WAYS) {
      const results = await pairs.run(way, exchanges, 8);
      for (const [at, { name, method = "GET", body, todo = {} }] of exchanges.entries()) {
        const { seen, got } = results[at]!;
        const words = `${nameOf(way)}: ${name}`;
        const version = way.backend === 1 ? "1.1" : "2.0";
        assertEquals([seen?.version, seen?.method, seen?.authority], [version, method, "a.test"], words);
        assertEquals([got.isCut, got.isLate, got.status], [undefined, undefined, todo.status ?? 200], words);
        const sent = { bytes: body?.size ?? 0, hash: await pairs.hash(body?.size ?? 0) };
        assertEquals(seen!.body, sent, words);
        const expected = todo.echo ? sent.bytes : method === "HEAD" ? 0 : todo.size ?? 0;
        assertEquals(got.body, { bytes: expected, hash: await pairs.hash(expected) }, words);
        assertEquals(got.trailers, todo.trailers ?? [], words);
        if (first === undefined) continue;
        assertEquals(seenOf(results[at]!), seenOf(first[at]!), `the backend, ${words}`);
        assertEquals(gotOf(results[at]!), gotOf(first[at]!), `the client, ${words}`);
      }
      first ??= results;
    }
    await atRest(pairs);
    assertEquals((await pairs.proxy.counters()).all("refused."), {});
  },
});

Deno.test({
  name: "an exchange that either side cuts ends alike in all pairs, early answers arrive, and others go on",
  ignore,
  async fn() {
    await using pairs = await startPairs("", "timeouts: { response: 400ms }");
    const late: Exchange = { name: "not in time", path: "/a", todo: { afterMs: 1_000 } };
    const bystander: Exchange = { name: "bystander", path: "/b", todo: { size: 300_000 } };
    const cuts = [...CUT, late].flatMap((one) => [one, bystander]);
    let first: Got[] | undefined;
    for (const way of WAYS) {
      const results = await pairs.run(way, cuts, 4);
      const ends = results.map(({ got }) => got);
      const text = (at: number) => `${nameOf(way)}: ${cuts[at]!.name}`;
      for (const [at, end] of ends.entries()) assertEquals(end, (first ?? ends)[at], text(at));
      first ??= ends;
      assertEquals([ends[0]!.status, ends[10]!.status, ends.at(-2)!.status], [502, 502, 504], nameOf(way));
      for (let at = 1; at < ends.length; at += 2) assertEquals(ends[at]!.body?.bytes, 300_000, text(at));
      const answers = await pairs.run(way, EARLY, 1);
      assertEquals(answers.map(({ got }) => got.status), EARLY.map(({ todo }) => todo!.status), nameOf(way));
      assertEquals(answers.at(-1)!.got.wasAsked, false, nameOf(way));
    }
    await atRest(pairs);
  },
});

Deno.test({
  name: `${LARGE / MIB} MiB go both ways at once in all pairs, in the worker's own memory`,
  ignore,
  async fn() {
    await using pairs = await startPairs("", "timeouts: { response: 60s }");
    const [worker = 0] = await pairs.proxy.workers();
    await pairs.run(WAYS[3]!, [{ name: "warm", path: "/", todo: { size: MIB } }]);
    const before = memoryOf(worker).anonymous;
    const hash = await pairs.hash(LARGE);
    for (const way of WAYS.filter(({ tls, client, backend }) => !tls || client + backend === 4)) {
      const body = { size: LARGE, framing: "stream" } as const;
      const exchange: Exchange = {
        name: "large",
        path: "/",
        method: "POST",
        body,
        todo: { echo: true },
        lateMs: 300_000,
      };
      const [result] = await pairs.run(way, [exchange]);
      assertEquals(
        [result!.seen!.body, result!.got.body],
        [{ bytes: LARGE, hash }, { bytes: LARGE, hash }],
        nameOf(way),
      );
    }
    const grown = memoryOf(worker).anonymous - before;
    assert(grown < 16 * MIB, `the worker grew by ${(grown / MIB).toFixed(1)} MiB`);
    await atRest(pairs);
  },
});

Deno.test({
  name: "a thousand requests at once take as many connections as they need, up to pool.connections",
  ignore,
  async fn() {
    const many = Array.from({ length: 1000 }, (_, at): Exchange => {
      return { name: `number ${at}`, path: `/${at}`, todo: { afterMs: 1_500, size: at } };
    });
    for (const [cap, answered] of [[0, 1000], [3, 300]] as const) {
      const options = `, http2: { max_concurrent_streams: 100 }${cap > 0 ? `, pool: { connections: ${cap} }` : ""}`;
      await using pairs = await startPairs(options);
      const results = await pairs.run(WAYS[3]!, many, 1000, 10);
      const statuses = results.map(({ got }) => got.status);
      assertEquals(statuses.filter((status) => status === 200).length, answered);
      assertEquals(statuses.filter((status) => status === 503).length, 1000 - answered);
      const counters = await pairs.proxy.counters();
      assertEquals(counters.of("upstreams.connected"), answered / 100);
      assertEquals(counters.of("refused.upstream_limit"), 1000 - answered);
      await atRest(pairs);
    }
  },
});
