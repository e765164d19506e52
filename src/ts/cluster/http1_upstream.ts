// A connection to a backend that speaks HTTP/1. It belongs to a stream while it carries a request, and waits in its backend's
// pool in between, where whatever the backend does ends it. With TLS a handshake is a part of connecting.

import { Connection, EPROTO, errnoText, IN_PROGRESS, SHORTAGES, WOULD_BLOCK } from "../net/connection.ts";
import { backendFault, TIMED_OUT, type TlsFault, type TlsFaultName } from "../net/tls_backend_faults.ts";
import { WANTS_WRITE } from "../net/tls_calls.ts";
import type { TlsTarget } from "../net/tls_client.ts";
import { Counters } from "../observe/counters.ts";
import type { Backend } from "./backend.ts";
import type { UpstreamContext, UpstreamOwner } from "./upstream.ts";

const CONNECTED = Counters.index("upstreams.connected");
const FAILED = Counters.index("upstreams.failed");
const STALE = Counters.index("upstreams.stale");
const TLS_HANDSHAKES = Counters.index("upstreams.tls.handshakes");
const TLS_RESUMED = Counters.index("upstreams.tls.resumed");

export class Http1Upstream extends Connection {
  /** It carries one exchange at a time. */
  readonly isShared = false as const;
  readonly isCrowded = false as const;
  backend!: Backend;
  owner: UpstreamOwner | null = null;
  connecting = false;
  /** Connected, but for TLS. */
  handshaking = false;
  /** What it speaks TLS with; null plainly. */
  target: TlsTarget | null = null;
  /** It has carried a request before: it may turn out dead without anybody being at fault. */
  reused = false;
  /** The backend has sent something for the request at hand. */
  hasAnswered = false;
  /** TLS has failed. */
  tlsFailed = false;
  /** It is to be closed, and waits for a turn in which it may be. */
  #isCut = false;
  // neighbours in the pool of its backend
  poolNext: Http1Upstream | null = null;
  poolPrevious: Http1Upstream | null = null;

  constructor(private readonly context: UpstreamContext) {
    super(context.loop, context.buffers);
  }

  /** Begins to connect. 0 when under way or done (see `connecting`); -errno when it failed at once, nothing is left. */
  connect(backend: Backend): number {
    const { loop, addressAt, memory } = this.context;
    const slot = loop.takeSlot();
    if (slot < 0) return -SHORTAGES[0]!;
    const endpoint = backend.endpoint;
    const fd = loop.system.streamSocket(endpoint.family);
    if (fd < 0) {
      loop.freeSlot(slot);
      return fd;
    }
    if (endpoint.family !== 1) loop.system.setNoDelay(fd);
    memory.set(endpoint.bytes, addressAt);
    const result = loop.system.connect(fd, addressAt, endpoint.bytes.length);
    const failed = result < 0 && result !== IN_PROGRESS ? result : loop.addStream(slot, fd, this, result === 0);
    if (failed < 0) {
      loop.system.close(fd);
      loop.freeSlot(slot);
      return failed;
    }
    this.open(fd, slot, this.context.recordAt(slot), result === 0);
    this.backend = backend;
    this.connecting = result !== 0;
    this.reused =
      this.handshaking =
      this.tlsFailed =
      this.#isCut =
        false;
    this.target = backend.tls;
    this.context.upstreamsActive++;
    backend.connections++;
    if (this.target === null) {
      if (!this.connecting) this.#noteConnected();
      return 0;
    }
    if (this.#secure(this.target, fd)) return 0;
    this.close();
    this.context.idleObjects.pop(); // it goes there again by who called
    return -SHORTAGES[0]!;
  }

  /** The object of OpenSSL comes now: later the options may be others. False without memory. */
  #secure(target: TlsTarget, fd: number): boolean {
    const ssl = target.open(fd);
    if (ssl === null) return false;
    const { tls } = target.client;
    tls.opened();
    this.beginTls(ssl, tls.calls);
    // no event tells of a connect that was over at once
    if (!this.connecting) this.loop.callAgain(this.slot);
    this.connecting = true;
    return true;
  }

  onEvents(events: number): void {
    this.noteEvents(events);
    if (this.#isCut) return this.#closeInTurn();
    if (this.owner === null) {
      if (events !== 0 && !this.isQuiet(this.context.addressAt)) this.backend.dropIdle(this);
      return;
    }
    if (!this.connecting) {
      this.owner.onUpstreamEvents();
      return;
    }
    if (this.handshaking) return this.#shakeHands();
    if (!this.writable) return;
    const error = this.loop.system.socketError(this.fd);
    if (error === 0 && this.ssl !== null) {
      this.handshaking = true;
      return this.#shakeHands();
    }
    this.connecting = false;
    if (error === 0) this.#noteConnected();
    else this.noteConnectFailed(errnoText(-error));
    this.owner.onUpstreamConnected(error);
  }

  // ---- what is told of the backend ----

  #noteConnected(): void {
    const { counters } = this.context;
    counters.add(CONNECTED, 1);
    if (this.ssl === null) return this.backend.connectSucceeded();
    // that a handshake is complete says in TLS 1.3 that we take the backend, not that it takes us
    counters.add(TLS_HANDSHAKES, 1);
    if (this.target!.client.tls.lib.SSL_session_reused(this.ssl) === 1) counters.add(TLS_RESUMED, 1);
  }

  noteConnectFailed(fault: string): void {
    this.context.counters.add(FAILED, 1);
    this.backend.connectFailed(this.loop.nowMs, fault);
  }

  noteConnectTimeout(): void {
    if (this.handshaking) this.#noteTlsFault(TIMED_OUT);
    else this.noteConnectFailed("no connection in time");
  }

  #noteTlsFault({ name, text }: TlsFault): void {
    const { counters } = this.context;
    counters.add(FAILED, 1);
    counters.add(faultIndex(name), 1);
    this.tlsFailed = true;
    this.backend.tlsFailed(this.loop.nowMs, text);
  }

  /** The first bytes of an answer have come: a backend that speaks TLS has taken us. */
  noteAnswered(): void {
    this.hasAnswered = true;
    if (this.ssl !== null && !this.reused) this.backend.connectSucceeded();
  }

  /** The connection ended, or reading failed with `result`, without an answer. */
  noteLost(result: number): void {
    // in TLS 1.3 an alert comes after the handshake when the backend does not take our certificate, or the want of one
    if (this.ssl !== null && result === -EPROTO) this.#noteTlsFault(this.#tlsFault(result));
    else if (this.reused) this.context.counters.add(STALE, 1);
  }

  /** Whether a request may have to be sent again: on a pooled connection that may be dead, or a new one that may be refused. */
  keepsRequest(isIdempotent: boolean): boolean {
    return this.reused ? isIdempotent : this.ssl !== null;
  }

  /** Whether a request that was lost without an answer may be sent again. */
  mayRepeat(isIdempotent: boolean): boolean {
    return this.reused && isIdempotent;
  }

  // ---- TLS ----

  #shakeHands(): void {
    const result = this.tls.handshake(this.ssl!);
    if (result === WOULD_BLOCK) return;
    if (result === WANTS_WRITE) return this.noteFull();
    if (result !== 1) return this.failTls(this.#tlsFault(result));
    this.connecting = this.handshaking = false;
    this.noteTlsBegin();
    this.#noteConnected();
    this.owner!.onUpstreamConnected(0);
  }

  failTls(fault: TlsFault): void {
    this.#noteTlsFault(fault);
    this.owner!.onUpstreamTlsFailed();
  }

  /** Why a handshake or a read gave `result`. */
  #tlsFault(result: number): TlsFault {
    this.noteTlsFailure();
    const { client: { tls }, name } = this.target!;
    return backendFault(tls.calls, tls.lib, this.ssl!, result, name);
  }

  /** Its session serves for the next connection to the backend, if that is spoken to as it is. */
  rememberSession(): void {
    this.target?.rememberFor(this.backend, this.ssl!);
  }

  #endTls(): void {
    if (this.ssl === null) return;
    if (!this.handshaking && !this.connecting) {
      if (!this.reused) this.rememberSession();
      this.notifyClose();
    }
    this.target!.client.tls.closed();
  }

  onTimeout(): void {
    if (this.owner === null) this.backend.dropIdle(this);
    else this.owner.onUpstreamTimeout();
  }

  protected override get readsAnswers(): boolean {
    return true;
  }

  acquireBuffer(): boolean {
    let buffer = this.buffers.takeReserved();
    if (buffer === 0) {
      this.owner?.yieldBuffer();
      buffer = this.buffers.takeReserved();
    }
    if (buffer === 0) return this.waitForBuffer();
    this.useBuffer(buffer);
    return true;
  }

  /** An interim head from here has room in front of what follows it. */
  makeRoomInFront(_length: number): void {}

  /**
   * The exchange is over; `isReusable`: it has left nothing behind. Bytes that a backend sends too much must not become the answer
   * to somebody else's next request. `at`: where one byte may be written.
   */
  finish(isReusable: boolean, at: number): void {
    if (!isReusable || !this.isQuiet(at)) return this.close();
    this.releaseBuffer();
    this.backend.putIdle(this);
  }

  /** One of many, perhaps, that nobody needs any more: it is closed in this turn of the loop, or in one of the next. */
  cut(): void {
    if (this.context.cuts.mayCut) return this.close();
    this.owner = null;
    this.#isCut = true;
    this.context.cuts.began();
    this.releaseBuffer();
    this.disarmTimer();
    this.loop.callAgain(this.slot);
  }

  #closeInTurn(): void {
    if (!this.context.cuts.mayCut) return this.loop.callAgain(this.slot);
    this.context.cuts.ended();
    this.close();
  }

  /** Closes the connection; the object may be used again. */
  close(): void {
    this.owner = null;
    this.#endTls();
    this.backend.connections--;
    this.context.upstreamsActive--;
    this.closeSocket();
    this.context.idleObjects.push(this);
  }
}

const faultIndexes = new Map<TlsFaultName, number>();

/** Only failures look their counter up. */
function faultIndex(name: TlsFaultName): number {
  let index = faultIndexes.get(name);
  if (index === undefined) faultIndexes.set(name, index = Counters.index(`upstreams.tls_failed.${name}`));
  return index;
}
