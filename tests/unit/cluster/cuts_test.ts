// Connections that are closed in great number: a few in each turn of the loop, all of them soon, and each once.

import type { Cluster } from "../../../src/ts/cluster/cluster.ts";
import type { Http1Upstream } from "../../../src/ts/cluster/http1_upstream.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { backendsOf, type FakeLoop, makeCluster, makeLoop, optionsOf } from "./fake_loop.ts";

const MANY = 128;

function open(cluster: Cluster, count: number): Http1Upstream[] {
  return Array.from({ length: count }, () => cluster.acquire(true, null) as Http1Upstream);
}

/** Calls those that want to be called again, turn after turn, until nobody does; how many were closed in each. */
function turns(fake: FakeLoop, upstreams: readonly Http1Upstream[]): number[] {
  const closed: number[] = [];
  const inSlots = new Map(upstreams.map((upstream) => [upstream.slot, upstream]));
  while (fake.again.size > 0) {
    fake.turn!++;
    const before = fake.open.size;
    for (const slot of [...fake.again]) {
      fake.again.delete(slot);
      inSlots.get(slot)!.onEvents(0);
    }
    closed.push(before - fake.open.size);
  }
  return closed;
}

Deno.test("connections that are cut together are closed over some turns, and keep their places until then", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, {});
  const upstreams = open(cluster, MANY);
  fake.turn = 1;
  for (const upstream of upstreams) upstream.cut();
  const left = MANY - 8;
  assertEquals([fake.open.size, cluster.backends[0]!.connections, fake.context.upstreamsActive], [left, left, left]);
  assertEquals(fake.timers.size, 0);
  const closed = turns(fake, upstreams);
  assertEquals(closed.reduce((sum, n) => sum + n, 0), left);
  assert(closed.every((n) => n >= 1 && n <= left / 4), `closed in each turn: ${closed}`);
  assert(closed.length <= 16, `${closed.length} turns`);
  assertEquals([fake.open.size, cluster.backends[0]!.connections, fake.context.upstreamsActive], [0, 0, 0]);
  assertEquals(new Set(fake.context.idleObjects).size, MANY);
  assertEquals(fake.context.idleObjects.length, MANY);
});

Deno.test("what the backend does meanwhile changes nothing for a connection that is to be closed", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, {});
  const upstreams = open(cluster, 20);
  fake.turn = 1;
  for (const upstream of upstreams) upstream.cut();
  const last = upstreams.at(-1)!;
  const EPOLLIN = 1;
  const EPOLLHUP = 16;
  last.onEvents(EPOLLIN);
  last.onEvents(EPOLLIN | EPOLLHUP);
  assertEquals([last.fd < 0, cluster.backends[0]!.idle, fake.open.size], [false, 0, 12]);
  turns(fake, upstreams);
  assertEquals([last.fd, fake.open.size, cluster.backends[0]!.connections], [-1, 0, 0]);
});

Deno.test("the idle connections of a backend that goes are closed so, too", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, { idleMax: MANY });
  const upstreams = open(cluster, MANY);
  for (const upstream of upstreams) upstream.backend.putIdle(upstream);
  fake.turn = 1;
  const [before] = cluster.backends;
  cluster.configure(optionsOf({}), backendsOf({ weights: [1, 1] }).slice(1));
  assertEquals([before!.idle, fake.open.size], [0, MANY - 8]);
  turns(fake, upstreams);
  assertEquals([fake.open.size, before!.connections], [0, 0]);
});
