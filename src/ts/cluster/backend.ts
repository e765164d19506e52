// One server of a cluster as a worker sees it: where it is, how busy, whether connecting to it failed lately, and the
// connections to it that wait for work (a list threaded through them, the one used last in front).

import type { Endpoint } from "../net/endpoint.ts";
import { type TlsClient, TlsTarget } from "../net/tls_client.ts";
import type { Http1Upstream } from "./http1_upstream.ts";
import type { Http2Client } from "./http2_client.ts";

/** After a failed connect a backend is passed over for this long, doubled with each further failure up to the second. */
const AVOID_MS = 1_000;
const AVOID_MAX_MS = 30_000;
/** What fails may fail for each request: the same fault is told of again after this, another one after the shorter time. */
const TOLD_AGAIN_MS = 60_000;
const TOLD_OTHER_MS = 1_000;

/** What a backend takes at once that has not been spoken to. */
const STREAMS_UNKNOWN = 2 ** 30 - 1;

/** What a backend tells of itself. */
export interface BackendWatcher {
  /** Taken out of service, it has finished its last request. */
  drained(backend: Backend): void;
  /** Connecting to it failed, after it had worked; or works again. */
  standing(backend: Backend, up: boolean): void;
  /** TLS with it failed, for its `fault`. */
  tlsFailed(backend: Backend): void;
}

export class Backend {
  /** Open connections, busy and idle. */
  connections = 0;
  idle = 0;
  /** Requests being carried. */
  requests = 0;
  /** Taken out of its cluster: finishes what it carries and keeps no connection. */
  retired = false;
  /** For smooth weighted round robin. */
  currentWeight = 0;
  avoidedUntilMs = 0;
  failures = 0;
  /** Why connecting failed last; "" when it works. */
  fault = "";
  /** How it is spoken to; null plainly. */
  tls: TlsTarget | null = null;
  /** Requests that it takes at once on a connection of HTTP/2, as it has said last: what is to be expected of the next one. */
  streamsMax = STREAMS_UNKNOWN;
  #toldFault = "";
  #toldMs = -Infinity;
  /** Its address as text, for the access log. */
  readonly text: Uint8Array<ArrayBuffer>;
  #first: Http1Upstream | null = null;
  #last: Http1Upstream | null = null;
  /** Connections of HTTP/2 that take requests. */
  #clients: Http2Client | null = null;

  /** `weight` 0: takes no new requests. */
  constructor(
    readonly endpoint: Endpoint,
    public weight: number,
    public idleMax: number,
    public idleTimeoutMs: number,
    private readonly watcher: BackendWatcher,
  ) {
    this.text = new TextEncoder().encode(endpoint.text);
  }

  /** The idle connection that was used last, or null. */
  takeIdle(): Http1Upstream | null {
    const upstream = this.#first;
    if (upstream === null) return null;
    this.#unlink(upstream);
    upstream.disarmTimer();
    return upstream;
  }

  /** From now on it is spoken to so; connections that were made otherwise carry no further request. */
  secure(client: TlsClient | null, name: string): void {
    const { tls } = this;
    if (client === null ? tls === null : tls !== null && tls.client === client && tls.name === name) return;
    tls?.forget();
    this.tls = client === null ? null : new TlsTarget(client, name);
    this.avoidedUntilMs = 0;
    this.closeIdle();
  }

  // ---- HTTP/2 ----

  /** A connection that has room for another request, or null. The one made first fills up first, so that others may end. */
  takeClient(): Http2Client | null {
    let client = this.#clients;
    while (client !== null && !client.hasRoom) client = client.clientNext;
    return client;
  }

  /** It takes no request at present, and has a connection by which it will say when it does. */
  get isShut(): boolean {
    return this.streamsMax === 0 && this.#clients !== null;
  }

  /** While it is shut: a connection on which another request may wait, or null. */
  takeWaitingRoom(): Http2Client | null {
    let client = this.#clients;
    while (client !== null && !client.mayWait) client = client.clientNext;
    return client;
  }

  addClient(client: Http2Client): void {
    client.clientNext = null;
    if (this.#clients === null) {
      this.#clients = client;
      return;
    }
    let last = this.#clients;
    while (last.clientNext !== null) last = last.clientNext;
    last.clientNext = client;
  }

  /** It takes no further request. */
  removeClient(client: Http2Client): void {
    if (this.#clients === client) this.#clients = client.clientNext;
    for (let at = this.#clients; at !== null; at = at.clientNext) {
      if (at.clientNext === client) at.clientNext = client.clientNext;
    }
    client.clientNext = null;
  }

  /** Whether a connection that carries nothing is kept beside the others that do not. */
  maySpareClient(client: Http2Client): boolean {
    let others = 0;
    for (let at = this.#clients; at !== null; at = at.clientNext) {
      if (at !== client && at.streamCount === 0 && !at.isConnecting) others++;
    }
    return others < this.idleMax;
  }

  /** How many of its connections of HTTP/2 carry nothing. */
  get idleClients(): number {
    let count = 0;
    for (let at = this.#clients; at !== null; at = at.clientNext) if (at.streamCount === 0) count++;
    return count;
  }

  // ---- life ----

  /** A request that it carried has ended. */
  release(): void {
    this.requests--;
    if (this.retired && this.requests === 0) this.watcher.drained(this);
  }

  /** Takes it out of service; tells when the last request that it carries has ended. */
  retire(): void {
    this.retired = true;
    this.closeIdle();
    this.tls?.forget();
    if (this.requests === 0) this.watcher.drained(this);
  }

  /** Keeps a connection for the next request; the one that has waited longest goes when there are too many. */
  putIdle(upstream: Http1Upstream): void {
    if (this.idleMax === 0 || this.retired || upstream.target !== this.tls) {
      upstream.close();
      return;
    }
    if (this.idle >= this.idleMax) this.#closeOldest();
    upstream.owner = null;
    if (!upstream.reused) upstream.rememberSession();
    upstream.reused = true;
    upstream.poolNext = this.#first;
    upstream.poolPrevious = null;
    if (this.#first) this.#first.poolPrevious = upstream;
    else this.#last = upstream;
    this.#first = upstream;
    this.idle++;
    upstream.armTimer(this.idleTimeoutMs);
  }

  #closeOldest(): void {
    const upstream = this.#last!;
    this.#unlink(upstream);
    upstream.close();
  }

  /** An idle one that has ended, or is not wanted any more: so may be many at once. */
  dropIdle(upstream: Http1Upstream): void {
    this.#unlink(upstream);
    upstream.cut();
  }

  /** What is open now carries no further request. */
  closeIdle(): void {
    while (this.#first) this.dropIdle(this.#first);
    while (this.#clients) this.#clients.retire();
  }

  connectFailed(nowMs: number, fault: string): void {
    this.fault = fault;
    this.avoidedUntilMs = nowMs + Math.min(AVOID_MS << Math.min(this.failures, 5), AVOID_MAX_MS);
    if (this.failures++ === 0) this.watcher.standing(this, false);
  }

  tlsFailed(nowMs: number, fault: string): void {
    this.connectFailed(nowMs, fault);
    const pauseMs = fault === this.#toldFault ? TOLD_AGAIN_MS : TOLD_OTHER_MS;
    if (nowMs - this.#toldMs < pauseMs) return;
    this.#toldFault = fault;
    this.#toldMs = nowMs;
    this.watcher.tlsFailed(this);
  }

  connectSucceeded(): void {
    if (this.failures === 0) return;
    this.fault = "";
    this.watcher.standing(this, true);
    this.failures = 0;
    this.avoidedUntilMs = 0;
  }

  #unlink(upstream: Http1Upstream): void {
    const { poolNext, poolPrevious } = upstream;
    if (poolPrevious) poolPrevious.poolNext = poolNext;
    else this.#first = poolNext;
    if (poolNext) poolNext.poolPrevious = poolPrevious;
    else this.#last = poolPrevious;
    upstream.poolNext = upstream.poolPrevious = null;
    this.idle--;
  }
}
