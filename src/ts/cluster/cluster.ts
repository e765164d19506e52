// A cluster as a worker sees it: its backends, how one is chosen, and how a connection to it is had. Connections belong
// to the worker and serve all clients. A backend to which connecting failed lately is passed over as long as another one
// is left; when none is, all are tried.

import type { Endpoint } from "../net/endpoint.ts";
import { errnoText, SHORTAGES } from "../net/connection.ts";
import type { TlsClient } from "../net/tls_client.ts";
import { Counters } from "../observe/counters.ts";
import { Backend } from "./backend.ts";
import { Http1Upstream } from "./http1_upstream.ts";
import { Http2Client } from "./http2_client.ts";
import { Http2Upstream } from "./http2_upstream.ts";
import type { Upstream, UpstreamContext } from "./upstream.ts";

const WAITED = Counters.index("upstreams.h2.waited");

/** Why there is no connection. */
export const NO_BACKEND = -1;
export const NO_CONNECTION = -2;

export type Balance = "round_robin" | "random" | "least_requests";

export interface ClusterOptions {
  name: string;
  balance: Balance;
  /** Open connections to all backends together; 0: no cap. */
  connectionsMax: number;
  /** null: that of all clusters. */
  connectTimeoutMs: number | null;
  responseTimeoutMs: number | null;
  /** null: backends are spoken to plainly. */
  tls: TlsClient | null;
  /** null: HTTP/1.1 is spoken. */
  http2: { streamsMax: number; pingIntervalMs: number } | null;
}

/** One server as the state has it, its name resolved. */
export interface BackendOptions {
  endpoint: Endpoint;
  /** The host in the state, or what stands for it: what its certificate must be for. */
  tlsName: string;
  /** 0: no new requests. */
  weight: number;
  idleMax: number;
  idleTimeoutMs: number;
}

/** As BackendWatcher, with the cluster's name. */
export interface ClusterWatcher {
  drained(cluster: string, backend: Backend): void;
  standing(cluster: string, backend: Backend, up: boolean): void;
  tlsFailed(cluster: string, backend: Backend): void;
}

export class Cluster {
  /** Set by acquire() when it returns null. */
  refusal = 0;
  options: ClusterOptions;
  backends: Backend[] = [];
  /** Taken out of service and not yet done, by address: one that returns is the same backend. */
  readonly #retired = new Map<string, Backend>();
  #totalWeight = 0;
  #random = 0x9e3779b9;

  constructor(
    options: ClusterOptions,
    private readonly context: UpstreamContext,
    private readonly watcher: ClusterWatcher,
  ) {
    this.options = options;
  }

  /** Takes over new options and backends. A backend that stays keeps its connections and its standing. */
  configure(options: ClusterOptions, backends: readonly BackendOptions[]): void {
    const isSpokenAlike = isSameHttp2(this.options.http2, options.http2);
    this.options = options;
    const before = new Map(this.backends.map((backend) => [backend.endpoint.text, backend]));
    if (!isSpokenAlike) { for (const backend of this.backends) backend.closeIdle(); }
    this.backends = backends.map((wanted) => {
      const { text } = wanted.endpoint;
      const backend = before.get(text) ?? this.#retired.get(text) ?? this.#make(wanted);
      before.delete(text);
      this.#retired.delete(text);
      backend.retired = false;
      backend.weight = wanted.weight;
      backend.idleMax = wanted.idleMax;
      backend.idleTimeoutMs = wanted.idleTimeoutMs;
      backend.secure(options.tls, wanted.tlsName);
      return backend;
    });
    this.#totalWeight = this.backends.reduce((sum, backend) => sum + backend.weight, 0);
    for (const [text, backend] of before) {
      this.#retired.set(text, backend);
      backend.retire();
    }
  }

  /** Backends are spoken to by another client, for the same names. */
  renewTls(client: TlsClient): void {
    this.options = { ...this.options, tls: client };
    for (const backend of this.backends) backend.secure(client, backend.tls?.name ?? "");
  }

  #make({ endpoint, weight, idleMax, idleTimeoutMs }: BackendOptions): Backend {
    return new Backend(endpoint, weight, idleMax, idleTimeoutMs, {
      drained: (backend) => {
        this.#retired.delete(backend.endpoint.text);
        this.watcher.drained(this.options.name, backend);
      },
      standing: (backend, up) => this.watcher.standing(this.options.name, backend, up),
      tlsFailed: (backend) => this.watcher.tlsFailed(this.options.name, backend),
    });
  }

  get connectTimeoutMs(): number {
    return this.options.connectTimeoutMs ?? this.context.timeouts.connectMs;
  }

  get responseTimeoutMs(): number {
    return this.options.responseTimeoutMs ?? this.context.timeouts.responseMs;
  }

  /** Backends take requests as streams of shared connections. */
  get isHttp2(): boolean {
    return this.options.http2 !== null;
  }

  /**
   * What carries one request, at hand or just connecting, or null with `refusal` set. `fresh`: not from the pool. `avoid`: a
   * backend that has just failed, passed over if there is another.
   */
  acquire(fresh: boolean, avoid: Backend | null): Upstream | null {
    const tries = this.backends.length;
    let failed = avoid;
    for (let i = 0; i < tries; i++) {
      const backend = this.#choose(failed);
      if (backend === null) break;
      const error = this.isHttp2 ? this.#reachHttp2(backend) : this.#reach(backend, fresh);
      if (error === 0) return this.#reached;
      if (isShortage(error)) {
        this.refusal = NO_CONNECTION;
        return null;
      }
      backend.connectFailed(this.context.loop.nowMs, errnoText(-error));
      failed = backend;
    }
    this.refusal = NO_BACKEND;
    return null;
  }

  /** What #reach() has found. */
  #reached: Upstream | null = null;

  /** A connection to a backend, or -errno. */
  #reach(backend: Backend, fresh: boolean): number {
    const idle = fresh ? null : backend.takeIdle();
    if (idle !== null) {
      this.#reached = idle;
      return 0;
    }
    if (this.#isFull()) return -SHORTAGES[0]!;
    const upstream = this.context.idleObjects.pop() ?? new Http1Upstream(this.context);
    const error = upstream.connect(backend);
    if (error === 0) this.#reached = upstream;
    else this.context.idleObjects.push(upstream);
    return error;
  }

  /** A stream of a connection to a backend, or -errno. */
  #reachHttp2(backend: Backend): number {
    const { context } = this;
    if (this.#isWorkerFull) return -SHORTAGES[0]!;
    let client = backend.takeClient();
    if (client === null && backend.isShut) {
      // another connection would be told the same
      client = backend.takeWaitingRoom();
      if (client === null) return -SHORTAGES[0]!;
      context.counters.add(WAITED, 1);
    }
    if (client === null) {
      if (this.#isFull()) return -SHORTAGES[0]!;
      client = context.idleHttp2Clients.pop() ?? new Http2Client(context);
      const error = client.connect(backend, this.options);
      if (error !== 0) {
        context.idleHttp2Clients.push(client);
        return error;
      }
    }
    const slot = context.loop.takeSlot();
    if (slot < 0) return -SHORTAGES[0]!;
    const stream = context.idleHttp2Streams.pop() ?? new Http2Upstream(context);
    stream.start(client, slot);
    this.#reached = stream;
    return 0;
  }

  /** Who would be chosen now; for telling, not for connecting. */
  peek(): Backend | null {
    const weights = this.backends.map((backend) => backend.currentWeight);
    const random = this.#random;
    const chosen = this.#choose(null);
    this.#random = random;
    this.backends.forEach((backend, index) => backend.currentWeight = weights[index]!);
    return chosen;
  }

  /** Those that were taken out and still carry something. */
  get retired(): readonly Backend[] {
    return [...this.#retired.values()];
  }

  /** A connection has a slot of the loop, and so has each request over HTTP/2. */
  get #isWorkerFull(): boolean {
    const { upstreamsActive, streamsActive, upstreamsMax } = this.context;
    return upstreamsActive + streamsActive >= upstreamsMax;
  }

  #isFull(): boolean {
    if (this.#isWorkerFull) return true;
    const max = this.options.connectionsMax;
    if (max === 0) return false;
    let open = 0;
    for (let i = 0; i < this.backends.length; i++) open += this.backends[i]!.connections;
    return open >= max;
  }

  #choose(avoid: Backend | null): Backend | null {
    const backends = this.backends;
    if (this.#totalWeight === 0) return null;
    if (backends.length === 1) return backends[0]!;
    const nowMs = this.context.loop.nowMs;
    return this.#chooseFrom(nowMs, avoid) ?? this.#chooseFrom(Infinity, avoid) ?? this.#chooseFrom(Infinity, null);
  }

  /** Chooses among the backends that are not avoided at `nowMs`. */
  #chooseFrom(nowMs: number, avoid: Backend | null): Backend | null {
    switch (this.options.balance) {
      case "round_robin":
        return this.#inTurn(nowMs, avoid, false);
      case "random":
        return this.#weightedRandom(nowMs, avoid);
      case "least_requests":
        return this.#inTurn(nowMs, avoid, true);
    }
  }

  /**
   * Smooth weighted round robin: each gains its weight, the richest is chosen and pays the sum. `byLoad`: the one with the
   * fewest requests for its weight, of equals the richest.
   */
  #inTurn(nowMs: number, avoid: Backend | null, byLoad: boolean): Backend | null {
    let best: Backend | null = null;
    let total = 0;
    for (let i = 0; i < this.backends.length; i++) {
      const backend = this.backends[i]!;
      if (isPassedOver(backend, avoid, nowMs)) continue;
      backend.currentWeight += backend.weight;
      total += backend.weight;
      if (best === null || isBetter(backend, best, byLoad)) best = backend;
    }
    if (best) best.currentWeight -= total;
    return best;
  }

  #weightedRandom(nowMs: number, avoid: Backend | null): Backend | null {
    let total = this.#totalWeight;
    for (let i = 0; i < this.backends.length; i++) {
      const backend = this.backends[i]!;
      if (isPassedOver(backend, avoid, nowMs)) total -= backend.weight;
    }
    if (total <= 0) return null;
    let point = this.#nextRandom() % total;
    for (let i = 0; i < this.backends.length; i++) {
      const backend = this.backends[i]!;
      if (isPassedOver(backend, avoid, nowMs)) continue;
      if (point < backend.weight) return backend;
      point -= backend.weight;
    }
    return null;
  }

  /** xorshift32 (Marsaglia 2003): spreading load needs no better. */
  #nextRandom(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 0;
  }
}

/** Connections have what they were made with. */
function isSameHttp2(a: ClusterOptions["http2"], b: ClusterOptions["http2"]): boolean {
  return a?.streamsMax === b?.streamsMax && a?.pingIntervalMs === b?.pingIntervalMs;
}

function isBetter(a: Backend, b: Backend, byLoad: boolean): boolean {
  const difference = byLoad ? a.requests * b.weight - b.requests * a.weight : 0;
  return difference < 0 || (difference === 0 && a.currentWeight > b.currentWeight);
}

function isPassedOver(backend: Backend, avoid: Backend | null, nowMs: number): boolean {
  if (backend === avoid || backend.weight === 0 || backend.avoidedUntilMs > nowMs) return true;
  return backend.isShut && nowMs !== Infinity;
}

/** Whether it is this worker or host that has no descriptor, port or memory left: no fault of the backend. */
function isShortage(error: number): boolean {
  return SHORTAGES.includes(-error);
}
