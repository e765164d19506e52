// A connection to a backend that speaks HTTP/2, shared by all requests that go there. Connecting is what it is for HTTP/1, so a
// connection of that kind does it, and leaves its socket here. Requests that have been given to it while it connects begin when
// it is there; those for which the backend turns out to have no place are sent elsewhere.

import * as abi from "../../../assembly/abi.ts";
import { Http2Connection, LINGER, OPEN } from "../http2/connection.ts";
import { BLOCK_WAITS } from "../http2/reader.ts";
import { errnoText, NOT_IN_TIME, SHORTAGES } from "../net/connection.ts";
import { WITHOUT_HTTP2 } from "../net/tls_backend_faults.ts";
import type { TlsTarget } from "../net/tls_client.ts";
import { Counters } from "../observe/counters.ts";
import type { Backend } from "./backend.ts";
import type { ClusterOptions } from "./cluster.ts";
import { Http1Upstream } from "./http1_upstream.ts";
import { Http2Upstream } from "./http2_upstream.ts";
import type { UpstreamContext, UpstreamOwner } from "./upstream.ts";

const GOAWAYS = Counters.index("upstreams.h2.goaway");
const FAILED = Counters.index("upstreams.h2.connections.failed");
const PING_TIMEOUTS = Counters.index("upstreams.h2.connections.ping_timeout");
const COUNTS = {
  resets: Counters.index("upstreams.h2.streams.reset_by_backend"),
  malformed: Counters.index("upstreams.h2.streams.malformed"),
  settingsTimeouts: Counters.index("upstreams.h2.connections.settings_timeout"),
  stalled: Counters.index("upstreams.h2.connections.stalled"),
};

/** How long the backend may take to say its SETTINGS, or the rest of a frame. */
const PARTIAL_MS = 10_000;
/**
 * After a PING that was answered, the next one may wait: servers of gRPC count those that come more often than each 5 minutes
 * without anything else, and leave.
 */
const PING_AGAIN_MS = 310_000;

export class Http2Client extends Http2Connection implements UpstreamOwner {
  backend!: Backend;
  /** The next one of its backend. */
  clientNext: Http2Client | null = null;
  /** A request has been answered by it before. */
  hasServed = false;
  /** As an owner it has no body to send. */
  readonly session = null;
  /** Requests that have been given to it and have not begun. */
  waiting = 0;
  protected readonly counts = COUNTS;
  #dial: Http1Upstream | null = null;
  #target: TlsTarget | null = null;
  #isRetired = false;
  #streamsMax = 0;
  #pingIntervalMs = 0;
  /** When to ask whether the backend is there; and when its answer is late, or 0. */
  #pingDueMs = 0;
  #pingLateMs = 0;

  constructor(private readonly context: UpstreamContext) {
    super(context);
  }

  // ---- connecting ----

  /** Begins to connect: 0, or -errno when it failed at once and nothing is left. */
  connect(backend: Backend, { connectTimeoutMs, http2 }: ClusterOptions): number {
    const { context } = this;
    const record = context.http2.takeRecord();
    if (record === 0) return -SHORTAGES[0]!;
    const dial = context.idleObjects.pop() ?? new Http1Upstream(context);
    const result = dial.connect(backend);
    if (result !== 0) {
      context.http2.giveRecord(record);
      context.idleObjects.push(dial);
      return result;
    }
    this.h2 = record;
    this.backend = backend;
    context.http2.upstreamsActive++;
    this.#streamsMax = http2!.streamsMax;
    this.#pingIntervalMs = http2!.pingIntervalMs;
    this.hasServed = this.#isRetired = this.isGreeted = false;
    this.waiting = 0;
    this.#dial = dial;
    this.#target = dial.target;
    dial.owner = this;
    backend.addClient(this);
    if (dial.connecting) dial.armTimer(connectTimeoutMs ?? context.timeouts.connectMs);
    else this.#begin(dial);
    return 0;
  }

  get isConnecting(): boolean {
    return this.#dial !== null;
  }

  onUpstreamConnected(error: number): void {
    const dial = this.#dial!;
    if (error !== 0) return this.#connectFailed(error);
    if (dial.ssl !== null && this.#target!.client.protocolOf(dial.ssl) !== "h2") return dial.failTls(WITHOUT_HTTP2);
    this.#begin(dial);
    this.#callWaiting();
    if (this.streamCount === 0) this.onIdle();
  }

  #begin(dial: Http1Upstream): void {
    this.#dial = null;
    dial.disarmTimer();
    dial.owner = null;
    this.beginHttp2(dial, this.h2, abi.H2_ROLE_CLIENT, abi.H2_CLIENT_PROFILE);
    this.context.idleObjects.push(dial);
    this.#pingDueMs = this.loop.nowMs + this.#pingIntervalMs;
    this.#pingLateMs = 0;
    // what a backend says first may have come with the end of the handshake
    this.wake();
  }

  onUpstreamTlsFailed(): void {
    this.#giveUp((stream) => stream.owner!.onUpstreamTlsFailed());
  }

  onUpstreamTimeout(): void {
    this.#dial!.noteConnectTimeout();
    this.#connectFailed(NOT_IN_TIME);
  }

  // none of these while it connects
  onUpstreamEvents(): void {}
  onUpstreamCrowded(): void {}
  yieldBuffer(): void {}

  #connectFailed(error: number): void {
    this.#giveUp((stream) => stream.owner!.onUpstreamConnected(error));
  }

  /** Nothing came of connecting: all that waited are told, and ask elsewhere. */
  #giveUp(tell: (stream: Http2Upstream) => void): void {
    const dial = this.#dial!;
    this.#dial = null;
    this.backend.removeClient(this);
    dial.close();
    while (this.streams !== null) {
      const stream = this.streams as Http2Upstream;
      tell(stream);
      if (this.streams === stream) stream.close();
    }
    this.context.http2.giveRecord(this.h2);
    this.context.http2.upstreamsActive--;
    this.context.idleHttp2Clients.push(this);
  }

  // ---- requests ----

  /** Whether another request may be given to it. */
  get hasRoom(): boolean {
    if (!this.mayWait) return false;
    // what has not been said yet is taken to be what was said last
    if (!this.isGreeted && this.backend.streamsMax > 0 && this.streamCount >= this.backend.streamsMax) return false;
    return this.#dial !== null || this.http2.core.codec.h2Openable(this.h2) > this.waiting;
  }

  /** Whether another request may wait for it: until it is there, or until the backend takes requests at all. */
  get mayWait(): boolean {
    return this.streamCount < this.#streamsMax && (this.#dial !== null || this.state === OPEN);
  }

  /** The backend takes as many requests as it has said, and not one more. */
  get isFull(): boolean {
    return this.isGreeted && this.http2.core.codec.h2Openable(this.h2) === 0;
  }

  /** Whether a stream may begin now; if not, it is called again when it may. */
  mayBegin(stream: Http2Upstream): boolean {
    if (this.state !== OPEN || this.#dial !== null) return false;
    // one that took none when it was asked last has to say first that it does
    if (!this.isGreeted && this.backend.streamsMax === 0) return false;
    return this.http2.core.codec.h2Openable(this.h2) > 0 && this.mayPutHead(stream);
  }

  /** Those that have not begun look again whether they may. */
  #callWaiting(): void {
    if (this.waiting === 0) return;
    for (let stream = this.streams; stream !== null; stream = stream.next) {
      if ((stream as Http2Upstream).connecting) this.loop.callAgain(stream.slot);
    }
  }

  protected override onRemoved(): void {
    if (this.#dial === null) this.#callWaiting();
  }

  // ---- what the backend tells ----

  protected override get readsAnswers(): boolean {
    return true;
  }

  /** If even those for answers are used up, requests give up the copies that they kept for being sent again. */
  takeBuffer(): number {
    let buffer = this.buffers.takeReserved();
    for (let stream = this.streams; buffer === 0 && stream !== null; stream = stream.next) {
      (stream as Http2Upstream).owner?.yieldBuffer();
      buffer = this.buffers.takeReserved();
    }
    return buffer;
  }

  protected onHeaders(): boolean {
    const { result } = this.context.core;
    const stream = this.streamIn(result[abi.R_SLOT]!) as Http2Upstream;
    const ends = result[abi.R_END_STREAM] === 1;
    const code = this.decodeBlock(stream.record);
    if (code === BLOCK_WAITS || code === abi.H2_CONNECTION_FAILED) return false;
    if (code === abi.H2_STREAM_FAILED) stream.onMalformed();
    else stream.keepHead(this.blockBuffer, code, ends);
    return true;
  }

  /** RFC 9113 §6.8: what is above `last` has not been looked at, and may be sent elsewhere. */
  protected override onGoaway(last: number): void {
    this.context.counters.add(GOAWAYS, 1);
    this.backend.removeClient(this);
    for (let stream = this.streams as Http2Upstream | null; stream !== null;) {
      const next = stream.next as Http2Upstream | null;
      if (stream.connecting || stream.id > last) stream.onUnprocessed();
      stream = next;
    }
    this.leaveWithLastStream();
  }

  protected override onSettings(): void {
    super.onSettings();
    this.backend.connectSucceeded();
    this.backend.streamsMax = this.http2.core.codec.h2PeerStreamsMax(this.h2);
    // it takes fewer requests at once than have been given to the connection: the rest has to go elsewhere
    this.#sendAway(this.waiting - this.http2.core.codec.h2Openable(this.h2));
    this.#callWaiting();
  }

  /** So many of those that wait have to ask for another connection. */
  #sendAway(away: number): void {
    for (let stream = this.streams as Http2Upstream | null; stream !== null && away > 0;) {
      const next = stream.next as Http2Upstream | null;
      if (stream.connecting) {
        stream.onUnprocessed();
        away--;
      }
      stream = next;
    }
  }

  protected override onReceived(): void {
    this.#pingDueMs = this.loop.nowMs + this.#pingIntervalMs;
    this.#pingLateMs = 0;
  }

  protected override onPingAnswered(): void {
    super.onPingAnswered();
    this.#pingDueMs = this.loop.nowMs + Math.max(this.#pingIntervalMs, PING_AGAIN_MS);
  }

  // ---- time ----

  protected get partialTimeoutMs(): number {
    return PARTIAL_MS;
  }

  protected get idleTimeoutMs(): number {
    return this.backend.idleTimeoutMs;
  }

  protected override dueMs(): number {
    const due = super.dueMs();
    return this.streamCount === 0 ? due : Math.min(due, this.#pingLateMs || this.#pingDueMs);
  }

  protected override onLate(): void {
    const { nowMs } = this.loop;
    if (this.streamCount === 0) return super.onLate();
    if (this.#pingLateMs !== 0 && nowMs >= this.#pingLateMs) {
      this.context.counters.add(PING_TIMEOUTS, 1);
      this.backend.connectFailed(nowMs, "no answer to PING");
      return this.end();
    }
    if (this.#pingLateMs !== 0 || nowMs < this.#pingDueMs) return super.onLate();
    this.context.core.codec.h2Ping(this.h2);
    this.#pingLateMs = nowMs + this.#pingIntervalMs;
    this.expect(this.dueMs());
    this.wake();
  }

  /** A request has begun: from now on the backend may be asked whether it is there. */
  noteBegun(): void {
    if (this.#pingLateMs !== 0) return;
    const due = this.loop.nowMs + this.#pingIntervalMs;
    if (this.#pingDueMs < due) this.#pingDueMs = due;
    this.expect(this.#pingDueMs);
  }

  // ---- ending ----

  protected override onIdle(): void {
    if (this.#isRetired || !this.backend.maySpareClient(this)) this.retire();
  }

  /** Takes no further request. */
  retire(): void {
    this.#isRetired = true;
    this.backend.removeClient(this);
    // one that connects is needed by those that wait for it
    if (this.#dial !== null) return;
    this.#sendAway(this.waiting);
    // the last one that waited may have ended it
    if (this.state >= LINGER) return;
    if (this.streamCount === 0) this.goAway(abi.H2_NO_ERROR);
    else this.leaveWithLastStream();
  }

  protected onInputEnd(result: number): void {
    this.#noteLost(result);
    this.end();
  }

  /** As Http1Upstream.noteLost(): before its SETTINGS a backend has not taken us. */
  #noteLost(result: number): void {
    if (this.isGreeted || this.state !== OPEN) return;
    const fault = result === 0 ? "it closed the connection before its SETTINGS" : errnoText(-result);
    this.backend.connectFailed(this.loop.nowMs, fault);
  }

  /** What a backend says before anything else are its SETTINGS (RFC 9113 §3.4): one that says something else speaks another protocol. */
  protected override fail(abuse: number): void {
    if (!this.isGreeted) this.backend.connectFailed(this.loop.nowMs, "what it sends is not HTTP/2");
    super.fail(abuse);
  }

  protected faultCounter(): number {
    return FAILED;
  }

  protected override onEnding(): void {
    this.backend.removeClient(this);
  }

  protected onClosing(): void {
    if (this.ssl === null) return;
    this.#target!.rememberFor(this.backend, this.ssl);
    this.#target!.client.tls.closed();
  }

  protected onClosed(): void {
    this.backend.connections--;
    this.context.upstreamsActive--;
    this.context.http2.upstreamsActive--;
    this.context.idleHttp2Clients.push(this);
  }
}
