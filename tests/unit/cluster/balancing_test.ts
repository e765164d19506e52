// Which backend a request goes to: by weight, by load, around those that failed.

import { type Cluster, NO_BACKEND, NO_CONNECTION } from "../../../src/ts/cluster/cluster.ts";
import type { Upstream } from "../../../src/ts/cluster/upstream.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { backendsOf, type FakeLoop, makeCluster, makeLoop, optionsOf, portOf } from "./fake_loop.ts";

/** One request after the other, each over before the next: the ports of their backends. */
function serve(cluster: Cluster, count: number): number[] {
  return Array.from({ length: count }, () => {
    const upstream = cluster.acquire(true, null);
    const port = portOf(upstream);
    upstream?.close();
    return port;
  });
}

/** A request that goes on. */
function hold(cluster: Cluster): Upstream {
  const upstream = cluster.acquire(true, null)!;
  upstream.backend.requests++;
  return upstream;
}

function countOf(ports: readonly number[]): number[] {
  const counts: number[] = [];
  for (const port of ports) counts[port - 1] = (counts[port - 1] ?? 0) + 1;
  return Array.from(counts, (count) => count ?? 0);
}

Deno.test("round robin spreads by weight, and smoothly", () => {
  assertEquals(serve(makeCluster(makeLoop(), { weights: [1, 1, 1] }), 6), [1, 2, 3, 1, 2, 3]);
  // as the smooth weighted algorithm has it: never the heavy one as often as possible in a row
  assertEquals(serve(makeCluster(makeLoop(), { weights: [5, 1, 1] }), 7), [1, 1, 2, 1, 3, 1, 1]);
  assertEquals(countOf(serve(makeCluster(makeLoop(), { weights: [3, 2, 1] }), 600)), [300, 200, 100]);
});

Deno.test("random spreads by weight", () => {
  const counts = countOf(serve(makeCluster(makeLoop(), { balance: "random", weights: [6, 3, 1] }), 20_000));
  [12_000, 6_000, 2_000].forEach((expected, index) => {
    assert(Math.abs(counts[index]! - expected) < 400, `${counts} for weights 6, 3, 1`);
  });
});

Deno.test("least requests chooses the one with the least to do for its weight", () => {
  const cluster = makeCluster(makeLoop(), { balance: "least_requests", weights: [1, 1, 2] });
  const held = Array.from({ length: 8 }, () => hold(cluster));
  assertEquals(countOf(held.map(portOf)), [2, 2, 4]);
  held.filter((upstream) => portOf(upstream) === 2).forEach((upstream) => upstream.backend.release());
  assertEquals([portOf(hold(cluster)), portOf(hold(cluster))], [2, 2]);
});

Deno.test("least requests takes turns where nobody has anything to do", () => {
  const shape = { balance: "least_requests" as const, weights: [1, 1, 2] };
  assertEquals(countOf(serve(makeCluster(makeLoop(), shape), 400)), [100, 100, 200]);
});

Deno.test("least requests takes turns again when a backend was passed over for long", () => {
  const cluster = makeCluster(makeLoop(), { balance: "least_requests", weights: [1, 1, 1] });
  cluster.backends[2]!.avoidedUntilMs = Infinity;
  assertEquals(countOf(serve(cluster, 3000)), [1500, 1500]);
  cluster.backends[2]!.avoidedUntilMs = 0;
  assertEquals(countOf(serve(cluster, 300)), [100, 100, 100]);
});

for (const balance of ["round_robin", "random", "least_requests"] as const) {
  Deno.test(`${balance} passes over a backend to which connecting failed, for a while`, () => {
    const fake = makeLoop();
    const cluster = makeCluster(fake, { balance, weights: [1, 1] });
    fake.refusing.add(1);
    assertEquals(new Set(serve(cluster, 20)), new Set([2]));
    assertEquals(cluster.backends[0]!.failures, 1);
    fake.refusing.clear();
    assertEquals(new Set(serve(cluster, 20)), new Set([2]));
    fake.nowMs += 1000;
    assertEquals(new Set(serve(cluster, 40)), new Set([1, 2]));
  });

  Deno.test(`${balance} tries those that failed when no other is left, and says so when none takes it`, () => {
    const fake = makeLoop();
    const cluster = makeCluster(fake, { balance, weights: [1, 2] });
    fake.refusing.add(1).add(2);
    assertEquals(serve(cluster, 3), [0, 0, 0]);
    assertEquals([cluster.refusal, fake.open.size, fake.context.upstreamsActive], [NO_BACKEND, 0, 0]);
    fake.refusing.delete(2);
    assertEquals(new Set(serve(cluster, 10)), new Set([2]));
  });

  Deno.test(`${balance} gives a backend of weight 0 nothing new`, () => {
    const cluster = makeCluster(makeLoop(), { balance, weights: [0, 1] });
    assertEquals(new Set(serve(cluster, 10)), new Set([2]));
    cluster.configure(optionsOf({ balance }), backendsOf({ weights: [0, 0] }));
    assertEquals([serve(cluster, 1), cluster.refusal], [[0], NO_BACKEND]);
  });

  Deno.test(`${balance} avoids the backend that has just failed, if there is another`, () => {
    const two = makeCluster(makeLoop(), { balance, weights: [9, 1] });
    for (let i = 0; i < 10; i++) assertEquals(portOf(two.acquire(true, two.backends[0]!)), 2);
    const one = makeCluster(makeLoop(), { balance, weights: [1] });
    assertEquals(portOf(one.acquire(true, one.backends[0]!)), 1);
  });
}

Deno.test("a backend is passed over longer with each failure, up to half a minute", () => {
  const { backends: [backend] } = makeCluster(makeLoop(), {});
  const waits = Array.from({ length: 8 }, () => {
    backend!.connectFailed(0, "refused");
    return backend!.avoidedUntilMs;
  });
  assertEquals(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  backend!.connectSucceeded();
  backend!.connectFailed(0, "refused");
  assertEquals(backend!.avoidedUntilMs, 1000);
});

function openAll(cluster: Cluster, count: number): (Upstream | null)[] {
  return Array.from({ length: count }, () => cluster.acquire(false, null));
}

Deno.test("a cluster opens no more connections than its cap, nor than the worker's", () => {
  const capped = (fake: FakeLoop, connectionsMax: number) => {
    const cluster = makeCluster(fake, { weights: [1, 1], connectionsMax });
    const opened = openAll(cluster, 6);
    assertEquals(opened.map((upstream) => upstream !== null), [true, true, true, false, false, false]);
    assertEquals(cluster.refusal, NO_CONNECTION);
    opened[0]!.close();
    assert(cluster.acquire(false, null) !== null, "a closed connection leaves room");
  };
  capped(makeLoop(), 3);
  capped(makeLoop(3), 0);
});

Deno.test("a connect that takes time is under way, not failed", () => {
  const fake = makeLoop();
  fake.slow.add(1);
  const upstream = makeCluster(fake, {}).acquire(false, null)!;
  assertEquals([upstream.connecting, upstream.reused, upstream.backend.connections], [true, false, 1]);
});
