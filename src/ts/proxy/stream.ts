// One exchange: a request read from a session, the answer of a backend or of the proxy itself, and everything that can
// go wrong in between. The session has read the head; the stream routes it, finds a connection, moves both bodies, and
// gives session and upstream back. It is an object of a pool: nothing is allocated per request.
//
//   begin ─ refuse ──────────────────────────────────────────────► end
//     └ connect ─ (retry) ─ pumpRequest ─ pumpResponse ─ finish ──► end
//                                  └ 101 ─ tunnel ────────────────► end
//
// Request and response move independently: an answer may come before the request is complete.

import * as abi from "../../../assembly/abi.ts";
import type { Backend } from "../cluster/backend.ts";
import { type Cluster, NO_CONNECTION } from "../cluster/cluster.ts";
import type { Upstream, UpstreamOwner } from "../cluster/upstream.ts";
import { WOULD_BLOCK } from "../net/connection.ts";
import { Counters } from "../observe/counters.ts";
import * as answers from "./answers.ts";
import type { ProxyContext } from "./context.ts";
import * as pumping from "./pump.ts";
import { makeRoomForHead, pump, takeBody } from "./pump.ts";
import type { Session } from "./session.ts";

const REQUESTS = Counters.index("requests");
const RESPONSES_1XX = Counters.index("responses.1xx");
const CONNECTED = Counters.index("upstreams.connected");
const REUSED = Counters.index("upstreams.reused");
const FAILED = Counters.index("upstreams.failed");
const STALE = Counters.index("upstreams.stale");
const RETRIED = Counters.index("requests.retried");
const ABORTED = Counters.index("client.aborted");
const TRUNCATED = Counters.index("backend.truncated");
const TUNNELS = Counters.index("tunnels");
const BYTES_TO_CLIENT = Counters.index("bytes.to_client");
const BYTES_FROM_CLIENT = Counters.index("bytes.from_client");

/** Connections tried for one request, the first included. */
const TRIES_MAX = 3;
/** What the log says when the client went away (nginx's number). */
const CLIENT_CLOSED = 499;

export class Stream implements UpstreamOwner {
  session: Session | null = null;
  upstream: Upstream | null = null;
  #cluster: Cluster | null = null;
  #backend: Backend | null = null;
  /** F_ bits of the request. */
  #flags = 0;
  #startedMs = 0;
  #tries = 0;
  #status = 0;
  #refusal = 0;
  #headBytes = 0;
  /** The session ends with this exchange. */
  #closes = false;
  #requestSent = false;
  /** The session's buffer still holds the whole request from here to here, so that it can be sent again. */
  #holdsRequest = false;
  #requestAt = 0;
  #requestEnd = 0;
  /** Something of the final answer has been sent to the client. */
  #responseBegun = false;
  #responseHeadDone = false;
  /** The backend has sent something. */
  #answered = false;
  #upstreamReusable = false;
  #tunnel = false;
  #logged = false;

  constructor(private readonly context: ProxyContext) {}

  // ---- beginning ----

  #reset(session: Session): void {
    this.session = session;
    this.upstream = null;
    this.#cluster = null;
    this.#backend = null;
    this.#startedMs = session.headBeganMs;
    this.#tries =
      this.#status =
      this.#refusal =
      this.#headBytes =
        0;
    this.#requestSent =
      this.#holdsRequest =
      this.#responseBegun =
      this.#responseHeadDone =
        false;
    this.#answered =
      this.#upstreamReusable =
      this.#tunnel =
      this.#logged =
        false;
    session.sent = 0;
    this.context.streamsActive++;
  }

  /** Takes over the request whose head the session has just read; the result area describes it. */
  begin(session: Session): void {
    this.#reset(session);
    const { context } = this;
    const r = context.core.result;
    context.counters.add(REQUESTS, 1);
    this.#flags = r[abi.R_FLAGS]!;
    this.#closes = (this.#flags & abi.F_KEEP_ALIVE) === 0 || context.draining;
    if (context.accessLog) this.#beginLog(context.accessLog, true);
    const headEnd = r[abi.R_HEAD_END]!;
    const bodyMode = r[abi.R_BODY_MODE]!;
    session.beginBody(headEnd, bodyMode, context.core.codec.requestContentLength(), context.bodyBytesMax);
    const max = context.bodyBytesMax;
    if (max !== 0 && session.bodyRemaining > max) return this.refuse(answers.BODY_TOO_LARGE);
    const route = this.#route(session);
    if (route < 0) return this.refuse(answers.NO_ROUTE);
    if (this.#flags & abi.F_CONNECT && !context.takesConnect[route]) return this.#refuseConnect();
    this.#cluster = context.routes[route]!;
    const fault = this.#writeRequest(session, headEnd);
    if (fault !== 0) return this.refuse(fault);
    this.#connect(false, null);
  }

  /** A request that cannot be carried out: only answered and logged. */
  beginRefused(session: Session, refusal: number): void {
    this.#reset(session);
    this.context.counters.add(REQUESTS, 1);
    this.#flags = 0;
    this.#closes = true;
    if (this.context.accessLog) this.#beginLog(this.context.accessLog, false);
    this.refuse(refusal);
  }

  #beginLog(log: NonNullable<ProxyContext["accessLog"]>, parsed: boolean): void {
    log.begin(this.session!.slot, this.session!.record, parsed);
    this.#logged = true;
  }

  #route(session: Session): number {
    const { router, fields, core } = this.context;
    const r = core.result;
    fields.record = session.record;
    return router.lookup(
      core.u8,
      r[abi.R_HOST_AT]!,
      r[abi.R_HOST_LENGTH]!,
      r[abi.R_PATH_AT]!,
      r[abi.R_PATH_LENGTH]!,
      r[abi.R_METHOD_AT]!,
      r[abi.R_METHOD_LENGTH]!,
      fields,
    );
  }

  /** Writes the head anew in front of what has come of the body. 0 or a refusal. */
  #writeRequest(session: Session, headEnd: number): number {
    const { core, clock } = this.context;
    const length = core.codec.writeRequestHead(session.record, session.listener.port, 0, clock.nextRequestId());
    session.reframed = session.bodyMode === abi.BODY_CHUNKED;
    if (session.reframed) core.codec.beginChunks(session.record);
    session.inAt = headEnd;
    if (takeBody(this.context, session) !== pumping.DONE) return pumping.pumpFault();
    core.codec.placeHead(session.outAt, length);
    session.outAt -= length;
    this.#holdsRequest = session.bodyDone;
    this.#requestAt = session.outAt;
    this.#requestEnd = session.outEnd;
    return 0;
  }

  // ---- connecting ----

  #connect(fresh: boolean, avoid: Backend | null): void {
    const cluster = this.#cluster!;
    this.#tries++;
    const upstream = cluster.acquire(fresh, avoid);
    if (upstream === null) {
      return this.refuse(cluster.refusal === NO_CONNECTION ? answers.UPSTREAM_LIMIT : answers.NO_BACKEND);
    }
    this.upstream = upstream;
    this.#backend = upstream.backend;
    upstream.owner = this;
    upstream.sent = 0;
    upstream.backend.requests++;
    this.#answered = this.#requestSent = false;
    if (upstream.reused) this.context.counters.add(REUSED, 1);
    if (upstream.connecting) upstream.armTimer(cluster.connectTimeoutMs);
    else this.#begunConnected(upstream);
  }

  #begunConnected(upstream: Upstream): void {
    if (!upstream.reused) {
      this.context.counters.add(CONNECTED, 1);
      upstream.backend.connectSucceeded();
    }
    this.#pumpRequest();
  }

  onUpstreamConnected(error: number): void {
    const upstream = this.upstream!;
    if (error === 0) this.#begunConnected(upstream);
    else this.#connectFailed(answers.CONNECT_FAILED);
  }

  /** Nothing has been sent, so any request may go to another backend. */
  #connectFailed(refusal: number): void {
    const backend = this.upstream!.backend;
    this.context.counters.add(FAILED, 1);
    backend.connectFailed(this.context.loop.nowMs);
    this.#dropUpstream();
    if (this.#tries >= TRIES_MAX || this.#cluster!.backends.length === 1) return this.refuse(refusal);
    this.context.counters.add(RETRIED, 1);
    this.#connect(false, backend);
  }

  // ---- events ----

  /** The session may read or write, or its client is gone. */
  onSessionEvents(): void {
    const session = this.session!;
    // in a tunnel, what was sent before the end is still to be read
    if (this.#tunnel) return this.#pumpTunnel();
    if (session.broken) return this.#clientGone();
    const upstream = this.upstream;
    if (upstream === null || upstream.connecting) {
      if (session.hangup && !session.bodyDone) this.#clientGone();
      return;
    }
    if (!this.#requestSent) this.#pumpRequest();
    if (this.session === session && this.upstream === upstream && this.#answered) this.#pumpResponse();
  }

  onUpstreamEvents(): void {
    const { session, upstream } = this;
    if (this.#tunnel) return this.#pumpTunnel();
    if (!this.#requestSent && upstream!.writable) this.#pumpRequest();
    if (this.session === session && this.upstream === upstream && (upstream!.readable || this.#answered)) {
      this.#pumpResponse();
    }
  }

  onSessionTimeout(): void {
    const session = this.session!;
    if (this.#tunnel) return this.#endTunnel();
    // it was the client's turn: to send its body, or to take the answer
    if (!this.#responseBegun && !session.bodyDone) return this.refuse(answers.REQUEST_TIMEOUT);
    this.#clientGone();
  }

  onUpstreamTimeout(): void {
    const upstream = this.upstream!;
    if (this.#tunnel) return this.#endTunnel();
    if (upstream.connecting) return this.#connectFailed(answers.CONNECT_TIMEOUT);
    if (this.#responseBegun) return this.#truncate();
    this.refuse(answers.RESPONSE_TIMEOUT);
  }

  /** The last buffers are needed for an answer: this request can do without being sent again. */
  yieldBuffer(): void {
    const session = this.session!;
    if (this.#requestSent && this.#holdsRequest) this.#letGoOfRequest(session);
  }

  #letGoOfRequest(session: Session): void {
    this.#holdsRequest = false;
    if (session.inAt === session.inEnd) session.releaseBuffer();
  }

  // ---- the request ----

  #pumpRequest(): void {
    const session = this.session!;
    const upstream = this.upstream!;
    switch (pump(this.context, session, upstream)) {
      case pumping.DONE:
        this.#requestSent = true;
        session.disarmTimer();
        if (!this.#answered) upstream.armTimer(this.#cluster!.responseTimeoutMs);
        if (!this.#holdsRequest || !upstream.reused || (this.#flags & abi.F_IDEMPOTENT) === 0) {
          this.#letGoOfRequest(session);
        }
        return;
      case pumping.WAIT_SOURCE:
        if (!this.#answered) upstream.disarmTimer();
        session.armTimer(this.context.timeouts.requestBodyMs);
        return;
      case pumping.WAIT_SINK:
        session.disarmTimer();
        upstream.armTimer(this.#cluster!.responseTimeoutMs);
        return;
      case pumping.WAIT_TURN:
        return;
      case pumping.SOURCE_LOST:
        return this.#clientGone();
      case pumping.MALFORMED:
        return this.refuse(pumping.pumpFault());
      case pumping.SINK_LOST:
        return this.#requestRefusedByBackend(upstream);
    }
  }

  /** The backend takes no more of the request; it may have answered before it closed. */
  #requestRefusedByBackend(upstream: Upstream): void {
    upstream.readable = true;
    this.#requestSent = true;
    this.#holdsRequest &&= upstream.reused;
    this.#closes ||= !this.session!.bodyDone;
    this.#pumpResponse();
  }

  // ---- the response ----

  #pumpResponse(): void {
    const session = this.session!;
    const upstream = this.upstream!;
    if (!this.#responseHeadDone && !this.#readHead(session, upstream)) return;
    if (this.#tunnel) return this.#pumpTunnel();
    switch (pump(this.context, upstream, session)) {
      case pumping.DONE:
        return this.#finish();
      case pumping.WAIT_SOURCE:
        if (this.#requestSent) session.disarmTimer();
        upstream.armTimer(this.#cluster!.responseTimeoutMs);
        return;
      case pumping.WAIT_SINK:
        upstream.disarmTimer();
        session.armTimer(this.context.timeouts.writeMs);
        return;
      case pumping.WAIT_TURN:
        return;
      case pumping.SINK_LOST:
        return this.#clientGone();
      default:
        return this.#truncate();
    }
  }

  /** Reads heads until the final one is ready to be sent. False: waits, or the exchange is over. */
  #readHead(session: Session, upstream: Upstream): boolean {
    const { context } = this;
    const { core } = context;
    for (;;) {
      // an interim answer goes out before anything else
      if (upstream.outAt < upstream.outEnd && !this.#flushInterim(session, upstream)) return false;
      let fresh = upstream.inEnd - upstream.inAt;
      if (fresh === 0 || upstream.headBegun) {
        fresh = this.#receiveHead(session, upstream);
        if (fresh <= 0) return false;
      }
      if (!upstream.headBegun) {
        makeRoomForHead(context, upstream);
        core.codec.beginResponse(upstream.record, upstream.inAt, upstream.buffer);
        upstream.headBegun = true;
      }
      const code = core.codec.feedResponse(upstream.record, fresh, this.#flags);
      if (code === abi.HEAD_MORE) {
        if (upstream.room > 0) continue;
        this.refuse(abi.RESPONSE_HEADER_TOO_LARGE);
        return false;
      }
      if (code !== abi.HEAD_DONE) {
        this.refuse(code);
        return false;
      }
      upstream.headBegun = false;
      const status = core.result[abi.R_STATUS]!;
      if (status >= 200 || status === 101) {
        return this.#takeHead(session, upstream, status);
      }
      this.#placeInterim(upstream);
    }
  }

  /** Receives the next bytes of a head; 0 when there are none or the exchange is over. */
  #receiveHead(session: Session, upstream: Upstream): number {
    if (!upstream.readable) {
      if (upstream.inAt === upstream.inEnd) upstream.releaseBuffer();
      return 0;
    }
    if (upstream.buffer === 0 && !upstream.acquireBuffer()) return 0;
    const n = upstream.receive(upstream.room);
    if (n > 0) {
      if (!this.#answered) {
        this.#answered = true;
        if (this.#holdsRequest && this.#requestSent) this.#letGoOfRequest(session);
      }
      return n;
    }
    if (n !== WOULD_BLOCK) {
      this.#backendLost(upstream);
      return 0;
    }
    if (upstream.inAt === upstream.inEnd) upstream.releaseBuffer();
    return 0;
  }

  /** RFC 9110 §15.2: interim answers pass, but not to HTTP/1.0 clients. */
  #placeInterim(upstream: Upstream): void {
    const { core, counters } = this.context;
    const headEnd = core.result[abi.R_HEAD_END]!;
    counters.add(RESPONSES_1XX, 1);
    upstream.inAt = headEnd;
    upstream.outAt = upstream.outEnd = headEnd;
    if (this.#flags & abi.F_HTTP_1_0) {
      if (upstream.inAt === upstream.inEnd) upstream.rewind();
      return;
    }
    const length = core.codec.writeResponseHead(upstream.record, 0);
    core.codec.placeHead(headEnd, length);
    upstream.outAt -= length;
  }

  #flushInterim(session: Session, upstream: Upstream): boolean {
    switch (pumping.flush(this.context, upstream, session)) {
      case pumping.DONE:
        this.#headBytes = session.sent;
        if (upstream.inAt === upstream.inEnd) upstream.rewind();
        return true;
      case pumping.WAIT_SINK:
        session.armTimer(this.context.timeouts.writeMs);
        return false;
      default:
        this.#clientGone();
        return false;
    }
  }

  /** The final head: decides how it goes on, and writes it in front of what has come of the body. False: refused. */
  #takeHead(session: Session, upstream: Upstream, status: number): boolean {
    const { core } = this.context;
    const r = core.result;
    const headEnd = r[abi.R_HEAD_END]!;
    const bodyMode = r[abi.R_BODY_MODE]!;
    const flags = r[abi.R_FLAGS]!;
    const isOld = (this.#flags & abi.F_HTTP_1_0) !== 0;
    this.#status = status;
    this.#responseHeadDone = this.#responseBegun = true;
    upstream.disarmTimer();
    upstream.beginBody(headEnd, bodyMode, core.codec.responseContentLength(), 0);
    this.#upstreamReusable = (flags & abi.F_KEEP_ALIVE) !== 0 && bodyMode !== abi.BODY_CLOSE;
    const unknownLength = bodyMode === abi.BODY_CHUNKED || bodyMode === abi.BODY_CLOSE;
    upstream.reframed = unknownLength && !isOld;
    if ((unknownLength && isOld) || this.context.draining) this.#closes = true;
    // an answer that does not wait for the request: nobody needs the rest of it
    if (!session.bodyDone && status >= 300) this.#closes = this.#requestSent = true;
    const length = core.codec.writeResponseHead(upstream.record, this.#how(flags, upstream.reframed, status));
    if (bodyMode === abi.BODY_CHUNKED) core.codec.beginChunks(upstream.record);
    if (takeBody(this.context, upstream) !== pumping.DONE) {
      this.#responseBegun = false;
      this.refuse(abi.BAD_RESPONSE);
      return false;
    }
    core.codec.placeHead(upstream.outAt, length);
    upstream.outAt -= length;
    this.#headBytes = session.sent + length;
    if (flags & abi.F_UPGRADE) this.#becomeTunnel(session, upstream);
    return true;
  }

  /** W_ bits for the head. */
  #how(responseFlags: number, chunked: boolean, status: number): number {
    let how = chunked ? abi.W_CHUNKED : 0;
    if ((responseFlags & abi.F_DATE) === 0) {
      this.context.clock.refresh(this.context.loop.nowMs);
      how |= abi.W_ADD_DATE;
    }
    if (status === 101) how |= abi.W_UPGRADE;
    else if (responseFlags & abi.F_UPGRADE) how |= abi.W_TUNNEL;
    else if (this.#closes) how |= abi.W_CLOSE;
    else if (this.#flags & abi.F_KEEP_ALIVE_1_0) how |= abi.W_KEEP_ALIVE;
    return how;
  }

  /** All of the answer has been sent. */
  #finish(): void {
    const session = this.session!;
    const upstream = this.upstream!;
    // bytes that a backend sends too much must not become the answer to somebody else's next request
    const reusable = this.#upstreamReusable && this.#requestSent && session.bodyDone &&
      upstream.isQuiet(this.context.core.codec.headScratchAt());
    this.upstream = null;
    if (reusable) {
      upstream.releaseBuffer();
      upstream.backend.putIdle(upstream);
    } else {
      upstream.close();
    }
    upstream.backend.release();
    this.#end(session, this.#closes || !session.bodyDone);
  }

  // ---- what goes wrong ----

  /** The backend closed or reset the connection before its answer was complete. */
  #backendLost(upstream: Upstream): void {
    const mayRepeat = upstream.reused && !this.#answered && this.#holdsRequest &&
      (this.#flags & abi.F_IDEMPOTENT) !== 0 && this.#tries < TRIES_MAX;
    if (upstream.reused && !this.#answered) this.context.counters.add(STALE, 1);
    if (!mayRepeat) return this.refuse(answers.BACKEND_CLOSED);
    const session = this.session!;
    this.#dropUpstream();
    this.context.counters.add(RETRIED, 1);
    session.outAt = this.#requestAt;
    session.outEnd = this.#requestEnd;
    this.#connect(true, null);
  }

  /** Answers instead of the backend; if its answer has begun, only cutting it short tells the client. */
  refuse(refusal: number): void {
    const session = this.session!;
    if (this.#responseBegun) return this.#truncate();
    const interimPending = this.upstream !== null && this.upstream.outAt < this.upstream.outEnd;
    if (this.upstream) this.#dropUpstream();
    if (!session.bodyDone) this.#closes = true;
    this.context.answers.count(refusal);
    this.#refusal = refusal;
    this.#status = this.context.answers.status(refusal);
    const sent = !interimPending && this.#sendAnswer(session, refusal);
    this.#end(session, this.#closes || !sent);
  }

  /** A tunnel to wherever the client likes is for forward proxies: a route has to ask for it by name. */
  #refuseConnect(): void {
    // what follows may be meant for the far end of the tunnel
    this.#closes = true;
    this.refuse(abi.METHOD_NOT_ALLOWED);
  }

  #sendAnswer(session: Session, refusal: number): boolean {
    const { core, loop, clock, answers } = this.context;
    clock.refresh(loop.nowMs);
    const to = core.codec.headScratchAt();
    const toHead = (this.#flags & abi.F_HEAD) !== 0;
    const length = answers.write(to, refusal, this.#closes, (this.#flags & abi.F_KEEP_ALIVE_1_0) !== 0, toHead);
    const n = loop.system.send(session.fd, to, length);
    if (n > 0) session.sent += n;
    this.#headBytes = session.sent - (toHead ? 0 : answers.bodyLength(refusal));
    return n === length;
  }

  /** The answer has begun and cannot be completed. */
  #truncate(): void {
    const session = this.session!;
    this.context.counters.add(TRUNCATED, 1);
    // without length and chunks, only a reset tells the end from the middle
    const looksComplete = this.upstream !== null && this.upstream.bodyMode !== abi.BODY_LENGTH &&
      !this.upstream.reframed;
    this.#dropUpstream();
    if (looksComplete) this.context.loop.system.setResetOnClose(session.fd);
    this.#endAtOnce(session);
  }

  #clientGone(): void {
    const session = this.session!;
    this.context.counters.add(ABORTED, 1);
    if (!this.#responseBegun) this.#status = CLIENT_CLOSED;
    if (this.upstream) this.#dropUpstream();
    this.#endAtOnce(session);
  }

  #dropUpstream(): void {
    const upstream = this.upstream!;
    this.upstream = null;
    upstream.abandonPipe(this.context.pipes);
    upstream.close();
    upstream.backend.release();
  }

  // ---- tunnel ----

  #becomeTunnel(session: Session, upstream: Upstream): void {
    this.#tunnel = true;
    this.context.counters.add(TUNNELS, 1);
    this.#letGoOfRequest(session);
    // what either side has sent behind its head belongs to the tunnel
    session.beginTunnel(abi.BODY_CLOSE);
    upstream.beginTunnel(abi.BODY_CLOSE);
  }

  #pumpTunnel(): void {
    const session = this.session!;
    const upstream = this.upstream!;
    const { loop } = this.context;
    const down = pump(this.context, upstream, session);
    const up = down === pumping.SINK_LOST ? down : pump(this.context, session, upstream);
    if (down >= pumping.SOURCE_LOST || up >= pumping.SOURCE_LOST) return this.#endTunnel();
    if (down === pumping.DONE && session.noteWriteEnd()) loop.system.shutdownWrite(session.fd);
    if (up === pumping.DONE && upstream.noteWriteEnd()) loop.system.shutdownWrite(upstream.fd);
    if (down === pumping.DONE && up === pumping.DONE) return this.#endTunnel();
    session.armTimer(this.context.timeouts.tunnelMs);
  }

  #endTunnel(): void {
    const session = this.session!;
    this.#dropUpstream();
    this.#endAtOnce(session);
  }

  // ---- ending ----

  #end(session: Session, closes: boolean): void {
    this.#account(session);
    session.endStream(closes);
  }

  #endAtOnce(session: Session): void {
    this.#account(session);
    session.close();
  }

  /** Logs, counts, and gives the object back. */
  #account(session: Session): void {
    const { context } = this;
    const bodyBytes = session.sent > this.#headBytes ? session.sent - this.#headBytes : 0;
    context.counters.add(BYTES_TO_CLIENT, session.sent);
    context.counters.add(BYTES_FROM_CLIENT, session.bodyReceived);
    context.counters.addStatus(this.#status);
    if (this.#logged && context.accessLog) {
      context.clock.refresh(context.loop.nowMs);
      context.accessLog.end(
        session.slot,
        session.record,
        this.#status,
        bodyBytes,
        context.loop.nowMs - this.#startedMs,
        this.#backend === null ? null : this.#backend.text,
        this.#refusal === 0 ? 0 : context.answers.nameAt(this.#refusal),
        this.#refusal === 0 ? 0 : context.answers.nameLength(this.#refusal),
      );
    }
    session.abandonPipe(context.pipes);
    session.stream = null;
    this.session = null;
    context.streamsActive--;
    context.idleStreams.push(this);
  }
}
