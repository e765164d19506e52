// Idle connections: used again in the right order, kept for the right time, in the right number, and given up with their
// backend.

import type { Cluster } from "../../../src/ts/cluster/cluster.ts";
import type { Http1Upstream } from "../../../src/ts/cluster/http1_upstream.ts";
import { assertEquals } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";
import { backendsOf, DRAINED, makeCluster, makeLoop, optionsOf } from "./fake_loop.ts";

function open(cluster: Cluster, count: number): Http1Upstream[] {
  return Array.from({ length: count }, () => cluster.acquire(true, null) as Http1Upstream);
}

function keep(...upstreams: Http1Upstream[]): void {
  for (const upstream of upstreams) upstream.backend.putIdle(upstream);
}

Deno.test("the connection used last is used next", () => {
  const cluster = makeCluster(makeLoop(), {});
  const [a, b, c] = open(cluster, 3) as [Http1Upstream, Http1Upstream, Http1Upstream];
  keep(a, b, c);
  assertEquals([cluster.backends[0]!.idle, a.reused], [3, true]);
  const taken = Array.from({ length: 3 }, () => cluster.acquire(false, null));
  assertEquals(taken.map((upstream) => [a, b, c].indexOf(upstream as Http1Upstream)), [2, 1, 0]);
  assertEquals(cluster.backends[0]!.idle, 0);
});

Deno.test("a connection that must be fresh does not come from the pool", () => {
  const cluster = makeCluster(makeLoop(), {});
  const [a] = open(cluster, 1) as [Http1Upstream];
  keep(a);
  const fresh = cluster.acquire(true, null)!;
  assertEquals([fresh === a, fresh.reused, cluster.backends[0]!.idle], [false, false, 1]);
});

Deno.test("the one that has waited longest goes when there are too many", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, { idleMax: 2 });
  const [a, b, c] = open(cluster, 3) as [Http1Upstream, Http1Upstream, Http1Upstream];
  keep(a, b, c);
  assertEquals([cluster.backends[0]!.idle, a.fd, fake.open.size], [2, -1, 2]);
  assertEquals([cluster.acquire(false, null) === c, cluster.acquire(false, null) === b], [true, true]);
  const none = makeCluster(fake, { idleMax: 0 });
  const [d] = open(none, 1) as [Http1Upstream];
  keep(d);
  assertEquals([none.backends[0]!.idle, d.fd], [0, -1]);
});

Deno.test("an idle connection has a timer, a busy one from the pool has none", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, {});
  const [a, b] = open(cluster, 2) as [Http1Upstream, Http1Upstream];
  keep(a, b);
  assertEquals([fake.timers.get(a.slot), fake.timers.get(b.slot)], [61_000, 61_000]);
  cluster.acquire(false, null);
  assertEquals(fake.timers.has(b.slot), false);
  a.onTimeout();
  assertEquals([cluster.backends[0]!.idle, fake.open.size], [0, 1]);
});

Deno.test("the list of idle connections is whole after any use", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, { idleMax: 5 });
  const backend = cluster.backends[0]!;
  const random = createRandom(11);
  /** What the list must be: the one used last at the end. */
  let idle: Http1Upstream[] = [];
  const busy: Http1Upstream[] = [];
  for (let step = 0; step < 20_000; step++) {
    const choice = random.below(4);
    if (choice === 0 && busy.length > 0) {
      const upstream = busy.splice(random.below(busy.length), 1)[0]!;
      keep(upstream);
      idle.push(upstream);
      if (idle.length > 5) idle.shift();
    } else if (choice === 1 && idle.length > 0) {
      const gone = idle.splice(random.below(idle.length), 1)[0]!;
      backend.dropIdle(gone);
    } else if (choice === 2) {
      const expected = idle.pop();
      const upstream = cluster.acquire(false, null) as Http1Upstream;
      if (expected) assertEquals(upstream === expected, true, `step ${step}`);
      busy.push(upstream);
    } else if (busy.length > 0) busy.pop()!.close();
    if (random.below(500) === 0) {
      backend.closeIdle();
      idle = [];
    }
    const counts = [backend.idle, backend.connections, fake.open.size, fake.context.upstreamsActive];
    const all = idle.length + busy.length;
    assertEquals(counts, [idle.length, all, all, all], `step ${step}`);
  }
});

// ---- new configurations ----

Deno.test("configure() keeps what stays, with its connections and its turn", () => {
  const cluster = makeCluster(makeLoop(), { weights: [1, 1] });
  const [a, b] = open(cluster, 2) as [Http1Upstream, Http1Upstream];
  keep(a, b);
  const [first, second] = cluster.backends;
  cluster.configure(optionsOf({}), backendsOf({ weights: [3, 1, 1] }));
  assertEquals([cluster.backends[0] === first, cluster.backends[1] === second, cluster.backends.length], [
    true,
    true,
    3,
  ]);
  assertEquals([first!.idle, first!.weight, second!.idle], [1, 3, 1]);
});

Deno.test("configure() takes a backend out when it has carried its last request", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, { weights: [1, 1] });
  const [a, b] = open(cluster, 2) as [Http1Upstream, Http1Upstream];
  keep(a);
  const leaving = b.backend;
  leaving.requests++;
  cluster.configure(optionsOf({}), backendsOf({ weights: [1] }));
  assertEquals([leaving.retired, DRAINED, cluster.backends[0]!.idle], [true, [], 1]);
  leaving.putIdle(b);
  assertEquals(b.fd, -1);
  leaving.release();
  assertEquals(DRAINED, ["10.0.0.1:2"]);
});

Deno.test("configure() takes a backend back that has not gone yet", () => {
  const cluster = makeCluster(makeLoop(), { weights: [1, 1] });
  const [, b] = open(cluster, 2) as [Http1Upstream, Http1Upstream];
  const leaving = b.backend;
  leaving.requests++;
  cluster.configure(optionsOf({}), backendsOf({ weights: [1] }));
  cluster.configure(optionsOf({}), backendsOf({ weights: [1, 1] }));
  assertEquals([cluster.backends[1] === leaving, leaving.retired], [true, false]);
  leaving.release();
  assertEquals(DRAINED, []);
});

Deno.test("configure() closes the idle connections of a backend that goes", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, { weights: [1, 1] });
  keep(...open(cluster, 2));
  cluster.configure(optionsOf({}), backendsOf({ weights: [1] }));
  assertEquals([fake.open.size, DRAINED], [1, ["10.0.0.1:2"]]);
});

Deno.test("a cluster has its own timeouts, and where it has none those of all, as they are now", () => {
  const fake = makeLoop();
  const cluster = makeCluster(fake, {});
  const timeouts = () => [cluster.connectTimeoutMs, cluster.responseTimeoutMs];
  cluster.configure({ ...optionsOf({}), connectTimeoutMs: null, responseTimeoutMs: 500 }, backendsOf({}));
  assertEquals(timeouts(), [fake.context.timeouts.connectMs, 500]);
  Object.assign(fake.context.timeouts, { connectMs: 70, responseMs: 80 });
  assertEquals(timeouts(), [70, 500]);
  cluster.configure({ ...optionsOf({}), responseTimeoutMs: null }, backendsOf({}));
  assertEquals(timeouts(), [3000, 80]);
});
