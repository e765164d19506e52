// A connection to a backend. It belongs to a stream while it carries a request, and waits in its backend's pool in
// between, where whatever the backend does ends it. With TLS a handshake is a part of connecting.

import type { EventLoop } from "../loop/event_loop.ts";
import type { Buffers } from "../net/buffers.ts";
import { Connection, IN_PROGRESS, SHORTAGES, WOULD_BLOCK } from "../net/connection.ts";
import { backendFault, type TlsFault } from "../net/tls_backend_faults.ts";
import { WANTS_WRITE } from "../net/tls_calls.ts";
import type { TlsTarget } from "../net/tls_client.ts";
import type { Backend } from "./backend.ts";

/** Who a busy upstream works for. */
export interface UpstreamOwner {
  onUpstreamEvents(): void;
  onUpstreamTimeout(): void;
  /** The connection is established, or has failed with -errno. */
  onUpstreamConnected(error: number): void;
  /** The handshake has failed. */
  onUpstreamTlsFailed(fault: TlsFault): void;
  /** A buffer is needed and none is left: gives one up if the owner can do without it. */
  yieldBuffer(): void;
}

/** What all upstreams of a worker share. */
export interface UpstreamContext {
  loop: EventLoop;
  buffers: Buffers;
  /** Scratch for a socket address. */
  addressAt: number;
  memory: Uint8Array;
  recordAt(slot: number): number;
  /** Objects that are not in use. */
  idleObjects: Upstream[];
  upstreamsActive: number;
  readonly upstreamsMax: number;
}

export class Upstream extends Connection {
  backend!: Backend;
  owner: UpstreamOwner | null = null;
  connecting = false;
  /** Connected, but for TLS. */
  handshaking = false;
  /** What it speaks TLS with; null plainly. */
  target: TlsTarget | null = null;
  /** It has carried a request before: it may turn out dead without anybody being at fault. */
  reused = false;
  // neighbours in the pool of its backend
  poolNext: Upstream | null = null;
  poolPrevious: Upstream | null = null;

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
    this.reused = this.handshaking = false;
    this.target = backend.tls;
    this.context.upstreamsActive++;
    backend.connections++;
    if (this.target === null || this.#secure(this.target, fd)) return 0;
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
    this.owner.onUpstreamConnected(error);
  }

  // ---- TLS ----

  #shakeHands(): void {
    const result = this.tls.handshake(this.ssl!);
    if (result === WOULD_BLOCK) return;
    if (result === WANTS_WRITE) return this.noteFull();
    if (result !== 1) return this.owner!.onUpstreamTlsFailed(this.tlsFault(result));
    this.connecting = this.handshaking = false;
    this.noteTlsBegin();
    this.owner!.onUpstreamConnected(0);
  }

  /** Why a handshake or a read gave `result`. */
  tlsFault(result: number): TlsFault {
    this.noteTlsFailure();
    const { client: { tls }, name } = this.target!;
    return backendFault(tls.calls, tls.lib, this.ssl!, result, name);
  }

  get isResumed(): boolean {
    return this.target!.client.tls.lib.SSL_session_reused(this.ssl!) === 1;
  }

  /** Its session serves for the next connection to the backend, if that is spoken to as it is. */
  rememberSession(): void {
    const { target, backend } = this;
    if (target !== null && target === backend.tls && !backend.retired) target.remember(this.ssl!);
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
