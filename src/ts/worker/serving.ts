// A worker at work: the tables that it serves by, its listeners, and the orders that change them. Main's channel is one more
// descriptor in the loop.

import * as abi from "../../../assembly/abi.ts";
import type { ClusterWatcher } from "../cluster/cluster.ts";
import { type Handler, SCRATCH_ADDRESS_AT } from "../loop/event_loop.ts";
import { type Accepter, Listener } from "../net/listener.ts";
import { Counters } from "../observe/counters.ts";
import type { ProxyContext } from "../proxy/context.ts";
import { Http2Session } from "../proxy/http2_session.ts";
import { Session } from "../proxy/session.ts";
import { closeFd, readWhole } from "../sys/fds.ts";
import { EPOLLIN } from "../sys/libc.ts";
import { applySandbox } from "../sys/sandbox.ts";
import { type PreparedTls, WorkerTls } from "./certificates.ts";
import type { Channel } from "./channel.ts";
import { makeContext, OTHER_SLOTS, serveBy } from "./context.ts";
import type { WorkerChange, WorkerOrder, WorkerSnapshot, WorkerStatus } from "./protocol.ts";
import { explain } from "./explain.ts";
import { Http2Profiles } from "./http2_profiles.ts";
import { rewrite } from "./rewriting.ts";
import { ChangeRefused, isTrusted, type Prepared, Tables } from "./tables.ts";
import { warmUp } from "./warm_up.ts";

export type StartOrder = Extract<WorkerOrder, { order: "start" }>;

/** Listening sockets of one worker. */
const LISTENERS_MAX = OTHER_SLOTS - 16;
/** How often unused memory is looked for, and how much of it is given back at a time. */
const UPKEEP_MS = 1_000;
const UPKEEP_BYTES = 32 << 20;
/** What of a turn the router may take to regain memory that changes left behind. */
const MAINTAIN_MS = 0.5;
const ACCEPTED = Counters.index("connections.accepted");
const PAUSED = Counters.index("connections.paused");

export class Worker implements Accepter, Handler {
  readonly #channel: Channel;
  readonly #channelSlot: number;
  readonly #connectionsMax: number;
  #drainMs: number;
  readonly #context: ProxyContext;
  readonly #tables: Tables;
  readonly #tls: WorkerTls;
  readonly #http2: Http2Profiles;
  readonly #listeners: Listener[] = [];
  readonly #addressAt: number;
  #full = false;
  #drainDeadlineMs = Infinity;
  #upkeepMs = 0;
  /** A change that waits for its commit, and the listeners that come with it. */
  #prepared:
    | { change: Prepared; tls: PreparedTls; listeners: { name: string; fd: number }[]; tookMs: number }
    | undefined;

  constructor(channel: Channel, module: WebAssembly.Module, order: StartOrder, fds: number[]) {
    const byName = (name: string) => fds[order.fds.indexOf(name)];
    const snapshotFd = byName("snapshot");
    if (snapshotFd === undefined) throw new Error("the order to start has no snapshot");
    const snapshot: WorkerSnapshot = readJson(snapshotFd);
    this.#channel = channel;
    this.#drainMs = snapshot.state.timeouts.drain;
    this.#connectionsMax = snapshot.state.limits.connections;
    this.#context = makeContext(module, snapshot.state, byName("access_log"), () => this.#onSessionEnd());
    const { core, loop, upstreams } = this.#context;
    this.#addressAt = core.systemAt + SCRATCH_ADDRESS_AT;
    this.#http2 = new Http2Profiles(core, snapshot);
    this.#tls = new WorkerTls(snapshot, byName("certificates"), core.u8, (message) => {
      channel.send({ event: "log", level: "error", message });
    });
    this.#tables = new Tables(snapshot, upstreams, backendWatcher(channel), this.#tls.firstClients(snapshot));
    serveBy(this.#context, this.#tables);
    warmUp(this.#tables, snapshot);
    const sandbox = applySandbox(snapshot.state.user, snapshot.state.sandbox);
    this.#channelSlot = loop.takeSlot();
    loop.add(this.#channelSlot, channel.fd, EPOLLIN, this);
    order.fds.forEach((name, index) => {
      if (name.startsWith("listener:")) this.#listen(name.slice("listener:".length), fds[index]!);
    });
    channel.send({ event: "ready", pid: Deno.pid, sandbox });
  }

  // ---- listening ----

  #listen(name: string, fd: number): void {
    if (this.#listeners.length >= LISTENERS_MAX) {
      throw new Error(`listener ${name}: a worker has room for ${LISTENERS_MAX} listening sockets`);
    }
    const listener = new Listener(this.#context.loop, fd, name, this.#addressAt, this);
    this.#tls.equip(listener);
    this.#http2.equip(listener);
    this.#listeners.push(listener);
  }

  mayAccept(): boolean {
    const full = this.#context.sessionsActive >= this.#connectionsMax;
    if (full && !this.#full) this.#context.counters.add(PAUSED, 1);
    this.#full = full;
    return !full;
  }

  accepted(fd: number, listener: Listener): void {
    const context = this.#context;
    const { loop, core } = context;
    const slot = loop.takeSlot();
    const session = context.idleSessions.pop() ?? new Session(context);
    const flags = isTrusted(this.#tables.trusted, core.u8, this.#addressAt) ? abi.PEER_TRUSTED : 0;
    core.codec.beginConnection(core.recordAt(slot), this.#addressAt, flags);
    if (loop.addStream(slot, fd, session, true) < 0) {
      loop.freeSlot(slot);
      loop.system.close(fd);
      context.idleSessions.push(session);
      return;
    }
    context.sessionsActive++;
    context.counters.add(ACCEPTED, 1);
    session.start(fd, slot, listener);
  }

  #onSessionEnd(): void {
    if (!this.#full) return;
    this.#full = false;
    for (const listener of this.#listeners) listener.resume();
  }

  // ---- the loop ----

  run(): void {
    const { loop } = this.#context;
    loop.run(() => this.#beforeSleep());
    this.#context.accessLog?.flush();
  }

  #beforeSleep(): void {
    const { loop, buffers, accessLog, draining, sessionsActive } = this.#context;
    buffers.wakeWaiting();
    if (accessLog !== null && accessLog.dueMs() <= loop.nowMs) accessLog.flush();
    if (draining && (sessionsActive === 0 || loop.nowMs >= this.#drainDeadlineMs)) loop.stop();
    const unfinished = this.#tables.router.maintain(MAINTAIN_MS);
    if (loop.nowMs >= this.#upkeepMs) {
      this.#upkeepMs = loop.nowMs + UPKEEP_MS;
      buffers.discardIdle(UPKEEP_BYTES);
      this.#tls.tls?.upkeep();
    }
    if (unfinished) loop.callAgain(this.#channelSlot);
    else if (this.#needsTick()) loop.timers.arm(this.#channelSlot, loop.nowMs + UPKEEP_MS);
  }

  /** Whether something has to be done soon even if no event comes. */
  #needsTick(): boolean | undefined {
    const { accessLog, draining, buffers } = this.#context;
    return draining || buffers.mayDiscard || this.#tls.tls?.mayTrim ||
      (accessLog !== null && accessLog.dueMs() !== Infinity);
  }

  /** The tick: beforeSleep() does what is due. */
  onTimeout(): void {}

  // ---- orders ----

  onEvents(_events: number): void {
    const open = this.#channel.receive((order, fds) => this.#obey(order, fds));
    // main is gone: nobody would replace this worker or pass on its sockets
    if (!open && !this.#context.draining) this.#drain(this.#drainMs);
    if (!open) this.#context.loop.forget(this.#channel.fd);
  }

  #obey(order: WorkerOrder, fds: number[]): void {
    switch (order.order) {
      case "status":
        this.#channel.send({ event: "status", id: order.id, status: this.#status() });
        return;
      case "access_log":
        this.#context.accessLog?.reopen(fds[0]!);
        return;
      case "ticket_keys":
        this.#tls.setTicketKeys(order.keys);
        return;
      case "drain":
        this.#drain(order.deadlineMs);
        return;
      case "explain":
        this.#explain(order);
        return;
      case "prepare":
        this.#prepare(order, fds);
        return;
      case "commit":
        this.#commit(order.revision);
        return;
      case "abort":
        this.#abort();
        return;
      case "stop":
        this.#context.loop.stop();
        return;
      case "start":
        for (const fd of fds) closeFd(fd);
        return;
    }
  }

  #explain(order: Extract<WorkerOrder, { order: "explain" }>): void {
    const rewritten = rewrite(this.#context, this.#tables, order) ?? null;
    this.#channel.send({ event: "explained", id: order.id, explained: { ...explain(this.#tables, order), rewritten } });
  }

  #prepare({ revision, fds: names }: Extract<WorkerOrder, { order: "prepare" }>, fds: number[]): void {
    const began = performance.now();
    this.#abort();
    const material = fds[names.indexOf("certificates")];
    const listeners = names.flatMap((name, i) =>
      name.startsWith("listener:") ? { name: name.slice("listener:".length), fd: fds[i]! } : []
    );
    try {
      if (this.#listeners.length + listeners.length > LISTENERS_MAX) {
        throw new ChangeRefused("listeners", `a worker has room for ${LISTENERS_MAX} listening sockets`);
      }
      const change: WorkerChange = readJson(fds[names.indexOf("change")]!);
      this.#http2.prepare(change);
      const tls = this.#tls.prepare(change, material);
      this.#prepared = { change: this.#prepareTables(change, tls), tls, listeners, tookMs: performance.now() - began };
      this.#channel.send({ event: "prepared", revision });
    } catch (error) {
      for (const { fd } of listeners) closeFd(fd);
      if (material !== undefined) closeFd(material);
      const object = error instanceof ChangeRefused ? error.object : "change";
      this.#channel.send({ event: "change_refused", revision, object, reason: (error as Error).message });
    }
  }

  #prepareTables(change: WorkerChange, tls: PreparedTls): Prepared {
    try {
      return this.#tables.prepare(change, tls.clients);
    } catch (error) {
      this.#tls.discard(tls);
      throw error;
    }
  }

  #commit(revision: number): void {
    const began = performance.now();
    const prepared = this.#prepared;
    if (prepared?.change.change.revision !== revision) throw new Error(`commit of ${revision}, which was not prepared`);
    this.#prepared = undefined;
    this.#tables.commit(prepared.change);
    this.#tls.commit(prepared.tls);
    this.#http2.commit(prepared.change.change);
    const { settings, listenersRemoved } = prepared.change.change;
    if (settings) {
      this.#drainMs = settings.timeouts.drain;
      this.#context.bodyBytesMax = settings.body_bytes;
      this.#context.answers.setBodies(settings.answers);
    }
    // a listener may move under its name: only those that were there before leave
    const leaving = this.#listeners.filter(({ name }) => listenersRemoved.includes(name));
    for (const listener of this.#listeners) {
      this.#tls.equip(listener);
      this.#http2.equip(listener);
    }
    for (const { name, fd } of prepared.listeners) this.#listen(name, fd);
    for (const listener of leaving) this.#closeListener(listener);
    const pausedUs = Math.round((prepared.tookMs + performance.now() - began) * 1000);
    this.#channel.send({ event: "committed", revision, hash: this.#tables.hash, pausedUs });
  }

  #abort(): void {
    if (!this.#prepared) return;
    this.#tables.discard(this.#prepared.change);
    this.#tls.discard(this.#prepared.tls);
    if (this.#prepared.tls.fd !== undefined) closeFd(this.#prepared.tls.fd);
    for (const { fd } of this.#prepared.listeners) closeFd(fd);
    this.#prepared = undefined;
  }

  #closeListener(listener: Listener): void {
    listener.close();
    this.#listeners.splice(this.#listeners.indexOf(listener), 1);
  }

  /** Takes nothing new, lets go of clients that ask nothing, and ends when the last exchange does. */
  #drain(afterMs: number): void {
    const { loop } = this.#context;
    for (const listener of this.#listeners.splice(0)) listener.close();
    this.#context.draining = true;
    this.#drainDeadlineMs = loop.nowMs + afterMs;
    for (let slot = 0; slot < loop.slots; slot++) {
      const handler = loop.handlerOf(slot);
      if (handler instanceof Http2Session || (handler instanceof Session && handler.isIdle)) handler.leave();
    }
  }

  #status(): WorkerStatus {
    const { buffers, pipes, upstreams, counters, answers, sessionsActive, streamsActive, draining } = this.#context;
    let idle = 0;
    for (const cluster of this.#tables.clusters.values()) {
      for (const backend of cluster.backends) idle += backend.idle + backend.idleClients;
    }
    return {
      revision: this.#tables.revision,
      hash: this.#tables.hash,
      draining,
      counters: {
        ...counters.all(),
        ...answers.counts(),
        "connections.active": sessionsActive,
        "streams.active": streamsActive,
        "h2.connections.active": this.#context.http2.connectionsActive,
        "h2.streams.active": this.#context.http2.streamsActive,
        "upstreams.active": upstreams.upstreamsActive,
        "upstreams.h2.connections.active": this.#context.http2.upstreamsActive,
        "upstreams.h2.streams.active": upstreams.streamsActive,
        "upstreams.idle": idle,
        "buffers.used": buffers.used,
        "buffers.count": buffers.count,
        "buffers.waits": buffers.waits,
        "pipes.used": pipes.used,
        ...this.#tls.counters(),
      },
    };
  }
}

/** What backends tell of themselves, for main. */
function backendWatcher(channel: Channel): ClusterWatcher {
  return {
    drained: (cluster, { endpoint }) => channel.send({ event: "backend_drained", cluster, address: endpoint.text }),
    standing: (cluster, { endpoint: { text: address }, fault }, up) =>
      channel.send(
        up ? { event: "backend_up", cluster, address } : { event: "backend_down", cluster, address, reason: fault },
      ),
    tlsFailed: (cluster, { endpoint, fault }) => {
      const message = `no TLS with a backend of cluster ${cluster}, ${endpoint.text}: ${fault}`;
      channel.send({ event: "log", level: "warn", message });
    },
  };
}

function readJson<T>(fd: number): T {
  const value = JSON.parse(new TextDecoder().decode(readWhole(fd)));
  closeFd(fd);
  return value;
}
