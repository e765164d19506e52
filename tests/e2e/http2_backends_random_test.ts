// Clients and backends of HTTP/2 that do anything at any time: nothing is left behind, and whoever behaves gets what he asked for.
// As long as faults are of streams alone, that is true even on the same connections. KAKEHI_SEED chooses another course.

import { assert, assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { Http2Backend, type Http2Request } from "../support/h2_backend.ts";
import { fieldOf, Http2Client } from "../support/h2_client.ts";
import * as f from "../support/h2_frames.ts";
import type { Field } from "../support/h2_frames.ts";
import { eventually, startProxy } from "../support/proxy.ts";
import { createRandom, type Random } from "../support/random.ts";

const SEED = Number(Deno.env.get("KAKEHI_SEED") ?? 1);
const CLIENTS = 8;
const ROUNDS = 4;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const NONE_LEFT = ["h2.streams.active", "connections.active", "streams.active", "buffers.used"];
const OK: Field[] = [[":status", "200"]];

/** true: the stream is over for the backend, and what it sent of it now would cost the connection. */
type Act = (one: Http2Request) => Promise<boolean | void>;

async function last(sent: Promise<void>): Promise<boolean> {
  await sent;
  return true;
}

const head = (id: number, more: Field[] = []) => f.headers(id, [...OK, ...more], f.END_HEADERS);

/** What costs a stream at most. */
function streamActs(random: Random): Act[] {
  return [
    ({ connection, id }) => connection.send(head(id)),
    ({ connection, id }) => connection.send(head(id, [["content-length", String(random.below(5_000))]])),
    ({ connection, id }) => connection.send(f.headers(id, [[":status", "103"], ["link", "</a>"]], f.END_HEADERS)),
    ({ connection, id }) => last(connection.send(f.headers(id, [[":status", "204"]]))),
    ({ connection, id }) => connection.send(head(id, [["Upper", "x"]])),
    ({ connection, id }) => last(connection.send(f.rstStream(id, random.below(14)))),
    ({ connection, id }) => connection.send(f.windowUpdate(random.below(2) ? 0 : id, random.between(1, 100_000))),
    ({ connection }) => connection.send(f.settings([4, random.below(100_000)])),
    ({ connection }) => connection.send(f.frame(f.PING, 0, 0, new Uint8Array(8))),
    () => pause(random.below(20)),
    () => pause(random.below(20)),
  ];
}

/** With a head in front of it, DATA costs a stream at most, too. */
function answerActs(random: Random): Act[] {
  return [
    ({ connection, id }) => connection.send(f.data(id, random.between(1, 3_000))),
    ({ connection, id }) => last(connection.send(f.data(id, random.below(3_000), f.END_STREAM))),
    ({ connection, id }) => last(connection.send(f.headers(id, [["x-trailer", "t"]]))),
  ];
}

/** What costs the connection. */
function connectionActs(random: Random): Act[] {
  return [
    ({ connection, id }) => connection.send(f.goaway(random.below(2) ? id : 0x7fffffff, random.below(2) ? 0 : 11)),
    ({ connection, id }) => connection.send(f.data(id, 100), head(id)),
    ({ connection }) => connection.send(f.settings([3, random.below(4)])),
    ({ connection }) => Promise.resolve(connection.peer.finish()),
    ({ connection }) => Promise.resolve(connection.peer.reset()),
    ({ connection, id }) => connection.send(f.frame(f.HEADERS, f.END_HEADERS, id, random.bytes(30))),
    ({ connection }) => connection.send(random.bytes(random.between(1, 50))),
  ];
}

async function misbehave(one: Http2Request, random: Random, withConnection: boolean): Promise<void> {
  const { connection, id } = one;
  const begin = [...streamActs(random), ...withConnection ? connectionActs(random) : []];
  for (let left = random.below(4); left > 0; left--) if (await begin[random.below(begin.length)]!(one)) return;
  if (random.below(2)) return;
  await connection.send(head(id));
  const then = [...answerActs(random), ...begin];
  for (let left = random.below(5); left > 0; left--) if (await then[random.below(then.length)]!(one)) return;
}

async function bother(port: number, random: Random): Promise<void> {
  const line = (
    path: string,
  ): Field[] => [[":method", "POST"], [":scheme", "http"], [":authority", "a"], [":path", path]];
  for (let round = 0; round < ROUNDS; round++) {
    using client = await Http2Client.connect(port, [4, [0, 1, 1000, 65_535, 1 << 20][random.below(5)]!]);
    client.reads = random.below(2) === 0;
    for (let id = 1; id < 40 && client.peer.end === "open"; id += 2) {
      if (random.below(2)) await client.ask(id, "/bad");
      else await client.send(f.headers(id, line("/bad"), f.END_HEADERS));
      for (let left = random.below(4); left > 0; left--) {
        const other = 1 + 2 * random.below((id + 1) / 2);
        const acts = [
          () => client.send(f.rstStream(other)),
          () => client.send(f.data(id, random.between(1, 2_000), random.below(3) === 0 ? f.END_STREAM : 0)),
          () => client.send(f.windowUpdate(random.below(2) ? 0 : other, random.between(1, 100_000))),
          () => pause(random.below(10)),
        ];
        await acts[random.below(acts.length)]!();
      }
    }
    if (random.below(2)) client.peer.finish();
  }
}

for (const withConnection of [false, true]) {
  const what = withConnection ? "connections" : "streams";
  Deno.test(`clients and backends that do anything to their ${what} hurt nobody else and leave nothing behind`, async () => {
    const random = createRandom(SEED);
    const good = ({ connection, id, path }: Http2Request) => connection.answer(id, path);
    const onRequest = (one: Http2Request) => {
      return one.path === "/bad" ? misbehave(one, random, withConnection) : good(one);
    };
    await using backend = await Http2Backend.start({ settings: [[3, 20]], onRequest });
    await using other = await Http2Backend.start({ onRequest: good });
    const abuse = "resets: 1000000, ignored_frames: 1000000, resets_caused: 1000000";
    await using proxy = await startProxy(`
listeners: { web: { address: "127.0.0.1:0", h2c: true, http2: { abuse: { ${abuse} } } } }
clusters:
  bad: { backends: ["${backend.address}"], protocol: h2c, http2: { ping_interval: 300ms } }
  good: { backends: ["${other.address}"], protocol: h2c }
routes:
  - { path: /bad, cluster: bad }
  - { path: /same/*, cluster: bad }
  - { cluster: good }
timeouts: { response: 500ms, request_body: 500ms, write: 500ms }
`);
    const [worker] = await proxy.workers();
    const descriptors = () => [...Deno.readDirSync(`/proc/${worker}/fd`)].length;
    let ends = false;
    let asked = 0;
    const path = (n: number) => withConnection ? `/${n}` : `/same/${n}`;
    const behaves = (async () => {
      using client = await Http2Client.connect(proxy.port("web"));
      for (let id = 1; !ends; id += 2, asked++) {
        await client.ask(id, path(id));
        const answer = await client.answer(id);
        assertEquals([fieldOf(answer, ":status"), toText(answer.body), answer.reset], ["200", path(id), undefined]);
      }
    })();
    const before = descriptors();
    await Promise.all(Array.from({ length: CLIENTS }, (_, n) => bother(proxy.port("web"), createRandom(SEED + n))));
    ends = true;
    await behaves;
    // one connection is kept to the backend that behaves
    const left = async () => {
      // what a connection took with it may have been sent again on another one
      for (const { peer } of backend.served) peer.destroy();
      const counters = await proxy.counters();
      const some = Object.entries(counters.all("")).filter(([name]) => NONE_LEFT.includes(name));
      const upstreams = counters.of("upstreams.active");
      return upstreams > 1 ? [...some, ["upstreams.active", upstreams]] : some;
    };
    await eventually(`nothing is left (KAKEHI_SEED=${SEED})`, left, (some) => some.length === 0, 10_000);
    const counters = await proxy.counters();
    assertEquals(await proxy.workers(), [worker]);
    const all = `${asked} answers: ${JSON.stringify(counters.all(""))}`;
    assert(asked > 10 && counters.of("upstreams.h2.streams") > 200, all);
    if (!withConnection) assertEquals(counters.of("upstreams.h2.connections.failed"), 0, all);
    await eventually("descriptors", descriptors, (count) => count <= before + 2);
  });
}
