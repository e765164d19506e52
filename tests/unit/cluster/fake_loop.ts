// A loop and sockets that exist only in memory, for clusters: connecting succeeds, hangs or fails as a test says.

import { Backend } from "../../../src/ts/cluster/backend.ts";
import { type Balance, Cluster, type ClusterOptions } from "../../../src/ts/cluster/cluster.ts";
import { Cuts } from "../../../src/ts/cluster/cuts.ts";
import type { Upstream, UpstreamContext } from "../../../src/ts/cluster/upstream.ts";
import { Counters } from "../../../src/ts/observe/counters.ts";
import { parseEndpoint } from "../../../src/ts/net/endpoint.ts";

const EINPROGRESS = 115;

export interface FakeLoop {
  context: UpstreamContext;
  nowMs: number;
  /** Ports to which connecting fails at once. */
  readonly refusing: Set<number>;
  /** Ports to which connecting takes time. */
  readonly slow: Set<number>;
  /** Deadlines by slot. */
  readonly timers: Map<number, number>;
  readonly open: Set<number>;
  /** Turn of the loop; null: every look is one at a new turn. */
  turn: number | null;
  /** Slots that want to be called again. */
  readonly again: Set<number>;
}

export function makeLoop(upstreamsMax = 1000): FakeLoop {
  const memory = new Uint8Array(256);
  const fake = {
    nowMs: 1000,
    refusing: new Set<number>(),
    slow: new Set<number>(),
    timers: new Map<number, number>(),
    open: new Set<number>(),
    turn: null as number | null,
    again: new Set<number>(),
  };
  let next = 1;
  let looks = 0;
  const freeSlots: number[] = [];
  const system = {
    streamSocket: () => {
      fake.open.add(next);
      return next++;
    },
    setNoDelay: () => {},
    connect: (_fd: number, at: number) => {
      const port = memory[at + 2]! << 8 | memory[at + 3]!;
      if (fake.refusing.has(port)) return -111;
      return fake.slow.has(port) ? -EINPROGRESS : 0;
    },
    close: (fd: number) => fake.open.delete(fd),
  };
  const loop = {
    get nowMs() {
      return fake.nowMs;
    },
    get turn() {
      return fake.turn ?? looks++;
    },
    callAgain: (slot: number) => fake.again.add(slot),
    system,
    takeSlot: () => freeSlots.pop() ?? next++,
    freeSlot: (slot: number) => {
      fake.timers.delete(slot);
      freeSlots.push(slot);
    },
    addStream: () => 0,
    timers: {
      arm: (slot: number, deadlineMs: number) => fake.timers.set(slot, deadlineMs),
      disarm: (slot: number) => fake.timers.delete(slot),
    },
  };
  const context: UpstreamContext = {
    loop: loop as unknown as UpstreamContext["loop"],
    buffers: { give: () => {} } as unknown as UpstreamContext["buffers"],
    addressAt: 0,
    memory,
    recordAt: () => 0,
    core: {} as UpstreamContext["core"], // of HTTP/2, which nothing here speaks
    http2: {} as UpstreamContext["http2"],
    counters: new Counters(),
    timeouts: { writeMs: 1000, connectMs: 3000, responseMs: 60_000 },
    cuts: new Cuts(loop as unknown as UpstreamContext["loop"]),
    idleObjects: [],
    idleHttp2Clients: [],
    idleHttp2Streams: [],
    upstreamsActive: 0,
    streamsActive: 0,
    upstreamsMax,
  };
  return Object.assign(fake, { context });
}

export interface ClusterShape {
  balance?: Balance;
  weights?: number[];
  connectionsMax?: number;
  idleMax?: number;
}

export const DRAINED: string[] = [];

export function optionsOf({ balance = "round_robin", connectionsMax = 0 }: ClusterShape): ClusterOptions {
  return {
    name: "c",
    balance,
    connectionsMax,
    connectTimeoutMs: 3000,
    responseTimeoutMs: 60_000,
    tls: null,
    http2: null,
  };
}

/** Backends are 10.0.0.1:1, 10.0.0.1:2 …, in the order of their weights. */
export function backendsOf({ weights = [1], idleMax = 8 }: ClusterShape) {
  return weights.map((weight, index) => ({
    endpoint: parseEndpoint(`10.0.0.1:${index + 1}`),
    tlsName: "",
    weight,
    idleMax,
    idleTimeoutMs: 60_000,
  }));
}

export function makeCluster(fake: FakeLoop, shape: ClusterShape): Cluster {
  DRAINED.length = 0;
  const cluster = new Cluster(optionsOf(shape), fake.context, {
    drained: (_, backend: Backend) => {
      DRAINED.push(backend.endpoint.text);
    },
    standing: () => {},
    tlsFailed: () => {},
  });
  cluster.configure(optionsOf(shape), backendsOf(shape));
  return cluster;
}

/** The port of a backend tells which one it is. */
export function portOf(upstream: Upstream | null): number {
  return upstream === null ? 0 : Number(upstream.backend.endpoint.text.split(":")[1]);
}
