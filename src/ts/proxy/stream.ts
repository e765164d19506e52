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
import type { Http2Upstream } from "../cluster/http2_upstream.ts";
import type { Upstream, UpstreamOwner } from "../cluster/upstream.ts";
import { NOT_IN_TIME } from "../net/connection.ts";
import { Counters } from "../observe/counters.ts";
import * as answers from "./answers.ts";
import type { ProxyContext } from "./context.ts";
import type { Downstream } from "./downstream.ts";
import { PERMANENT_REDIRECT, refusalBodyLength, sendRedirect, sendRefusal } from "./own_answers.ts";
import * as pumping from "./pump.ts";
import { pump, takeBody } from "./pump.ts";
import { HEAD_LOST, readHead } from "./response_head.ts";
import { NOT_TAKEN, OutgoingRequest, placeText } from "./outgoing_request.ts";
import { coversHost, findRoute } from "./request_routing.ts";
import { beginTunnel, cutTunnel, pumpTunnel, TUNNEL_CUT, TUNNEL_OPEN } from "./tunnel.ts";

const REQUESTS = Counters.index("requests");
const RESPONSES_1XX = Counters.index("responses.1xx");
const REUSED = Counters.index("upstreams.reused");
const RETRIED = Counters.index("requests.retried");
const ABORTED = Counters.index("client.aborted");
const TRUNCATED = Counters.index("backend.truncated");
const TUNNELS = Counters.index("tunnels");
const BYTES_TO_CLIENT = Counters.index("bytes.to_client");
const BYTES_FROM_CLIENT = Counters.index("bytes.from_client");

/** Connections tried for one request, the first included. */
const TRIES_MAX = 3;
/** The same, when backends turn out to have no place for it. */
const CROWDED_MAX = 8;
/** What the log says when the client went away (nginx's number). */
const CLIENT_CLOSED = 499;

export class Stream implements UpstreamOwner {
  session: Downstream | null = null;
  upstream: Upstream | null = null;
  readonly #request: OutgoingRequest;
  #cluster: Cluster | null = null;
  #backend: Backend | null = null;
  #startedMs = 0;
  #tries = 0;
  #status = 0;
  #refusal = 0;
  #headBytes = 0;
  /** The session ends with this exchange. */
  #closes = false;
  /** Something of the final answer has been sent to the client. */
  #responseBegun = false;
  #responseHeadDone = false;
  /** The backend has sent something. */
  #answered = false;
  #upstreamReusable = false;
  #tunnel = false;
  #logged = false;

  constructor(private readonly context: ProxyContext) {
    this.#request = new OutgoingRequest(context);
  }

  // ---- beginning ----

  #reset(session: Downstream): void {
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
    this.#responseBegun =
      this.#responseHeadDone =
      this.#answered =
      this.#upstreamReusable =
      this.#tunnel =
      this.#logged =
        false;
    session.sent = 0;
    this.context.streamsActive++;
  }

  /** Takes over the request whose head the session has just read; the result area describes it. */
  begin(session: Downstream): void {
    this.#reset(session);
    const { context } = this;
    const r = context.core.result;
    context.counters.add(REQUESTS, 1);
    const flags = r[abi.R_FLAGS]!;
    this.#request.begin(flags);
    this.#closes = (flags & abi.F_KEEP_ALIVE) === 0 || context.draining || session.isTooOld;
    if (context.accessLog) this.#beginLog(context.accessLog, true);
    const headEnd = r[abi.R_HEAD_END]!;
    const bodyMode = r[abi.R_BODY_MODE]!;
    session.beginBody(headEnd, bodyMode, context.core.codec.requestContentLength(), context.bodyBytesMax);
    const max = context.bodyBytesMax;
    if (max !== 0 && session.bodyRemaining > max) return this.refuse(answers.BODY_TOO_LARGE);
    if (session.listener.redirectPort !== 0) return this.#redirect(session);
    const route = findRoute(context, session);
    // before it is told whether there is a route
    const allowsAny = route >= 0 && context.allowsMisdirected[route]!;
    if (session.secure !== null && !allowsAny && !coversHost(context, session.secure)) {
      return this.refuse(answers.MISDIRECTED);
    }
    if (route < 0) return this.refuse(answers.NO_ROUTE);
    if (flags & abi.F_CONNECT && !context.takesConnect[route]) return this.#refuseConnect();
    this.#cluster = context.routes[route]!;
    const fault = this.#request.prepare(session, headEnd, this.#cluster.isHttp2);
    if (fault !== 0) return this.refuse(fault);
    this.#connect(false, null);
  }

  /** A request that cannot be carried out: only answered and logged. */
  beginRefused(session: Downstream, refusal: number): void {
    this.#reset(session);
    this.context.counters.add(REQUESTS, 1);
    this.#request.begin(0);
    this.#closes = true;
    if (this.context.accessLog) this.#beginLog(this.context.accessLog, false);
    this.refuse(refusal);
  }

  #beginLog(log: NonNullable<ProxyContext["accessLog"]>, parsed: boolean): void {
    log.begin(this.session!.slot, this.session!.record, parsed);
    this.#logged = true;
  }

  /** Sends the head that was kept. False: the exchange is over, or goes on with another upstream. */
  #sendHead(session: Downstream, upstream: Http2Upstream): boolean {
    const fault = this.#request.sendHead(session, upstream);
    if (fault === NOT_TAKEN) this.#backendLost(upstream);
    else if (fault !== 0) this.refuse(fault);
    return fault === 0;
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
    upstream.hasAnswered = false;
    upstream.backend.requests++;
    this.#answered = false;
    // the cluster has come to speak another protocol since the request was read
    if (upstream.isShared !== this.#request.toHttp2) {
      const fault = upstream.isShared ? answers.NO_BACKEND : this.#request.turnToHttp1(this.session!);
      if (fault !== 0) return this.refuse(fault);
    }
    if (upstream.isShared && (this.#request.flags & abi.F_WEBSOCKET) !== 0) upstream.waitForSettings();
    if (upstream.reused) this.context.counters.add(REUSED, 1);
    if (!upstream.connecting) return this.#pumpRequest();
    // it is not the client's turn any more, whose idle time may be nearly over
    this.session!.disarmTimer();
    upstream.armTimer(cluster.connectTimeoutMs);
  }

  onUpstreamConnected(error: number): void {
    if (error === 0) return this.#pumpRequest();
    this.#connectFailed(error === NOT_IN_TIME ? answers.CONNECT_TIMEOUT : answers.CONNECT_FAILED);
  }

  onUpstreamTlsFailed(): void {
    this.#connectFailed(answers.BACKEND_TLS);
  }

  /** Nothing has been sent that was taken, so any request may go to another backend. */
  #connectFailed(refusal: number): void {
    const { backend } = this.upstream!;
    this.#dropUpstream();
    if (this.#tries >= TRIES_MAX || this.#cluster!.backends.length === 1) return this.refuse(refusal);
    this.context.counters.add(RETRIED, 1);
    this.#connect(false, backend);
  }

  onUpstreamCrowded(): void {
    this.#dropUpstream();
    if (this.#tries >= CROWDED_MAX) return this.refuse(answers.UPSTREAM_LIMIT);
    this.#connect(false, null);
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
    if (!this.#request.isSent) this.#pumpRequest();
    if (this.session !== session || this.upstream !== upstream) return;
    // an answer may have been left unread since there was no room for its head
    if (this.#answered || (session.isShared && upstream.readable)) this.#pumpResponse();
  }

  onUpstreamEvents(): void {
    const { session, upstream } = this;
    if (this.#tunnel) return this.#pumpTunnel();
    if (!this.#request.isSent && upstream!.writable) this.#pumpRequest();
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
    if (upstream.connecting) return this.#connectTimedOut(upstream);
    if (this.#responseBegun) return this.#truncate();
    this.refuse(answers.RESPONSE_TIMEOUT);
  }

  #connectTimedOut(upstream: Upstream): void {
    upstream.noteConnectTimeout();
    this.#connectFailed(upstream.isCrowded ? answers.UPSTREAM_LIMIT : answers.CONNECT_TIMEOUT);
  }

  /** The last buffers are needed for an answer: this request can do without being sent again. */
  yieldBuffer(): void {
    const session = this.session!;
    if (this.#request.isSent && this.#request.isHeld) this.#request.letGo(session);
  }

  // ---- the request ----

  #pumpRequest(): void {
    const session = this.session!;
    const upstream = this.upstream!;
    if (this.#request.headWaits && !this.#sendHead(session, upstream as Http2Upstream)) return;
    switch (pump(this.context, session, upstream)) {
      case pumping.DONE:
        this.#request.isSent = true;
        if (upstream.isShared && !this.#request.asksForTunnel) upstream.endRequest(session);
        session.disarmTimer();
        if (!this.#answered) upstream.armTimer(this.#cluster!.responseTimeoutMs);
        if (!this.#request.mayBeRepeated(upstream)) this.#request.letGo(session);
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
    this.#request.isSent = true;
    this.#request.isHeld &&= upstream.reused || upstream.isShared;
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
        if (this.#request.isSent) session.disarmTimer();
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
  #readHead(session: Downstream, upstream: Upstream): boolean {
    const { context } = this;
    const { core } = context;
    for (;;) {
      if (!session.mayPutHead()) return false;
      // an interim answer goes out before anything else
      if (upstream.outAt < upstream.outEnd && !this.#flushInterim(session, upstream)) return false;
      const code = readHead(context, upstream, this.#request.flags);
      if (upstream.hasAnswered && !this.#answered) this.#noteAnswered(session);
      if (code !== abi.HEAD_DONE) {
        if (code === HEAD_LOST) this.#backendLost(upstream);
        else if (code !== abi.HEAD_MORE) this.refuse(code);
        return false;
      }
      const status = core.result[abi.R_STATUS]!;
      if (status === 101 && !this.#isAccepted(session, upstream)) {
        this.refuse(abi.BAD_RESPONSE);
        return false;
      }
      if (status >= 200 || status === 101) {
        return this.#takeHead(session, upstream, status);
      }
      this.#placeInterim(upstream);
    }
  }

  /** RFC 6455 §4.1: a WebSocket that was asked for in HTTP/2 had a key of ours, which the backend has to have read. */
  #isAccepted(session: Downstream, upstream: Upstream): boolean {
    const { flags } = this.#request;
    const isOurs = (flags & abi.F_WEBSOCKET) !== 0 && (flags & abi.F_HTTP_2) !== 0 && !upstream.isShared;
    return !isOurs || this.context.core.codec.isWebSocketAccepted(upstream.record, session.record) !== 0;
  }

  #noteAnswered(session: Downstream): void {
    this.#answered = true;
    if (this.#request.isHeld && this.#request.isSent) this.#request.letGo(session);
  }

  /** RFC 9110 §15.2: interim answers pass, but not to HTTP/1.0 clients. */
  #placeInterim(upstream: Upstream): void {
    const { core, counters } = this.context;
    const headEnd = core.result[abi.R_HEAD_END]!;
    counters.add(RESPONSES_1XX, 1);
    upstream.inAt = headEnd;
    upstream.outAt = upstream.outEnd = headEnd;
    if (this.#request.flags & abi.F_HTTP_1_0) {
      if (upstream.inAt === upstream.inEnd) upstream.rewind();
      return;
    }
    this.session!.putInterim(upstream);
  }

  #flushInterim(session: Downstream, upstream: Upstream): boolean {
    switch (pumping.flush(upstream, session)) {
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
  #takeHead(session: Downstream, upstream: Upstream, status: number): boolean {
    const { core } = this.context;
    const r = core.result;
    const headEnd = r[abi.R_HEAD_END]!;
    const bodyMode = r[abi.R_BODY_MODE]!;
    const flags = r[abi.R_FLAGS]!;
    const isOld = (this.#request.flags & abi.F_HTTP_1_0) !== 0;
    this.#status = status;
    this.#responseHeadDone = this.#responseBegun = true;
    upstream.disarmTimer();
    upstream.beginBody(headEnd, bodyMode, core.codec.responseContentLength(), 0);
    this.#upstreamReusable = (flags & abi.F_KEEP_ALIVE) !== 0 && bodyMode !== abi.BODY_CLOSE;
    const unknownLength = bodyMode >= abi.BODY_CHUNKED;
    upstream.reframed = unknownLength && !isOld && !session.isShared;
    if ((unknownLength && isOld) || this.context.draining) this.#closes = true;
    // an answer that does not wait for the request: nobody needs the rest of it
    if (!session.bodyDone && status >= 300) this.#closes = this.#request.isSent = true;
    const how = this.#how(flags, upstream.reframed, status);
    const transport = placeText(this.context, session.listener.transportSecurity);
    const ends = upstream.bodyRemaining === 0 && bodyMode <= abi.BODY_LENGTH && (flags & abi.F_UPGRADE) === 0;
    const length = session.writeResponseHead(upstream, how, transport, ends);
    if (bodyMode === abi.BODY_CHUNKED) core.codec.beginChunks(upstream.record);
    else if (upstream.isShared && !session.isShared) upstream.gatherBehind(length);
    if (takeBody(this.context, upstream) !== pumping.DONE) {
      // of what is shared, the head has been sent
      this.#responseBegun = session.isShared;
      this.refuse(abi.BAD_RESPONSE);
      return false;
    }
    this.#headBytes = session.placeResponseHead(upstream, length);
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
    if (this.session!.isShared) return responseFlags & abi.F_UPGRADE ? how | abi.W_TUNNEL : how;
    if (status === 101) how |= abi.W_UPGRADE;
    else if (responseFlags & abi.F_UPGRADE) how |= abi.W_TUNNEL;
    else if (this.#closes) how |= abi.W_CLOSE;
    else if (this.#request.flags & abi.F_KEEP_ALIVE_1_0) how |= abi.W_KEEP_ALIVE;
    return how;
  }

  /** All of the answer has been sent. */
  #finish(): void {
    const session = this.session!;
    const upstream = this.upstream!;
    session.endResponse(upstream);
    this.upstream = null;
    upstream.finish(
      this.#upstreamReusable && this.#request.isSent && session.bodyDone,
      this.context.core.codec.headScratchAt(),
    );
    upstream.backend.release();
    this.#end(session, this.#closes || !session.bodyDone);
  }

  // ---- what goes wrong ----

  /** The backend closed or reset the connection, or the stream, before its answer was complete. */
  #backendLost(upstream: Upstream): void {
    const mayRepeat = !this.#answered && this.#request.isHeld && this.#tries < TRIES_MAX;
    if (upstream.tlsFailed) {
      if (upstream.reused || !mayRepeat) return this.refuse(answers.BACKEND_TLS);
      this.#request.rewind(this.session!);
      return this.#connectFailed(answers.BACKEND_TLS);
    }
    if (!mayRepeat || !upstream.mayRepeat(this.#request.isIdempotent)) {
      return this.refuse(answers.BACKEND_CLOSED);
    }
    this.#dropUpstream();
    this.context.counters.add(RETRIED, 1);
    this.#request.rewind(this.session!);
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
    const sent = !interimPending && sendRefusal(this.context, session, refusal, this.#request.flags, this.#closes);
    if (sent) this.#headBytes = session.sent - refusalBodyLength(this.context, session, refusal, this.#request.flags);
    this.#end(session, this.#closes || !sent);
  }

  /** A tunnel to wherever the client likes is for forward proxies: a route has to ask for it by name. */
  #refuseConnect(): void {
    // what follows may be meant for the far end of the tunnel
    this.#closes = true;
    this.refuse(abi.METHOD_NOT_ALLOWED);
  }

  /** RFC 9110 §15.4.9: the same request, by https. */
  #redirect(session: Downstream): void {
    if (this.#request.flags & abi.F_CONNECT) return this.#refuseConnect();
    if (this.context.core.result[abi.R_HOST_LENGTH] === 0) return this.refuse(abi.BAD_REQUEST);
    if (!session.bodyDone) this.#closes = true;
    this.#status = PERMANENT_REDIRECT;
    const sent = sendRedirect(this.context, session, this.#request.flags, this.#closes);
    this.#headBytes = session.sent;
    this.#end(session, this.#closes || !sent);
  }

  /** The answer has begun and cannot be completed. */
  #truncate(): void {
    const session = this.session!;
    this.context.counters.add(TRUNCATED, 1);
    const looksComplete = this.upstream !== null && this.upstream.bodyMode !== abi.BODY_LENGTH &&
      !this.upstream.reframed;
    this.#dropUpstream();
    session.cutShort(looksComplete);
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
    upstream.cut();
    upstream.backend.release();
  }

  // ---- tunnel ----

  #becomeTunnel(session: Downstream, upstream: Upstream): void {
    this.#tunnel = true;
    this.context.counters.add(TUNNELS, 1);
    this.#request.letGo(session);
    beginTunnel(session, upstream);
  }

  #pumpTunnel(): void {
    const session = this.session!;
    const upstream = this.upstream!;
    const state = pumpTunnel(this.context, session, upstream);
    if (state === TUNNEL_OPEN) return;
    if (state === TUNNEL_CUT && this.#request.flags & abi.F_CONNECT) cutTunnel(this.context, session, upstream);
    this.#endTunnel();
  }

  #endTunnel(): void {
    const session = this.session!;
    this.#dropUpstream();
    this.#endAtOnce(session);
  }

  // ---- ending ----

  #end(session: Downstream, closes: boolean): void {
    this.#account(session);
    session.endStream(closes);
  }

  #endAtOnce(session: Downstream): void {
    this.#account(session);
    session.close();
  }

  /** Logs, counts, and gives the object back. */
  #account(session: Downstream): void {
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
        session.secure === null ? null : session.secure.logged,
      );
    }
    session.abandonPipe(context.pipes);
    session.stream = null;
    this.session = null;
    context.streamsActive--;
    context.idleStreams.push(this);
  }
}
