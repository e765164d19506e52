// A connection to a backend. It belongs to a stream while it carries a request, and waits in its backend's pool in
// between, where whatever the backend does ends it.

import type { EventLoop } from "../loop/event_loop.ts";
import type { Buffers } from "../net/buffers.ts";
import { Connection, IN_PROGRESS, SHORTAGES } from "../net/connection.ts";
import type { Backend } from "./backend.ts";

/** Who a busy upstream works for. */
export interface UpstreamOwner {
  onUpstreamEvents(): void;
  onUpstreamTimeout(): void;
  /** The connection is established, or has failed with -errno. */
  onUpstreamConnected(error: number): void;
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
    this.reused = false;
    this.context.upstreamsActive++;
    backend.connections++;
    return 0;
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
    if (!this.writable) return;
    this.connecting = false;
    const error = this.loop.system.socketError(this.fd);
    this.owner.onUpstreamConnected(error);
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
    this.backend.connections--;
    this.context.upstreamsActive--;
    this.closeSocket();
    this.context.idleObjects.push(this);
  }
}
