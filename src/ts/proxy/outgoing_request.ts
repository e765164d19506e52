// A request on its way to a backend. For HTTP/1 its head is written at once, in front of what has come of the body; for HTTP/2
// it is kept as it came, and written when it is known on which connection it goes: it depends on what went there before. A
// request that lies in its session's buffer as a whole can be sent again, for as long as it is held there.

import * as abi from "../../../assembly/abi.ts";
import type { Http2Upstream } from "../cluster/http2_upstream.ts";
import type { Upstream } from "../cluster/upstream.ts";
import { NO_WEBSOCKET } from "./answers.ts";
import type { ProxyContext } from "./context.ts";
import type { Downstream } from "./downstream.ts";
import { DONE, pumpFault } from "./pump.ts";

/** What sendHead() answers besides 0 and refusals: the connection is not able to take it. */
export const NOT_TAKEN = -1;

export class OutgoingRequest {
  /** F_ bits of its head. */
  flags = 0;
  /** It goes as one of HTTP/2. */
  toHttp2 = false;
  /** All of it has been sent, or nobody wants the rest. */
  isSent = false;
  /** The head goes to a stream of the backend's, and has not been taken. */
  headWaits = false;
  /** The session's buffer still holds all of it, from #at to #end. */
  isHeld = false;
  #at = 0;
  #end = 0;
  /** Address of the text that identifies it. */
  #id = 0;

  constructor(private readonly context: ProxyContext) {}

  /** One with these F_ bits, of which nothing has been written. */
  begin(flags: number): void {
    this.flags = flags;
    this.toHttp2 =
      this.isSent =
      this.headWaits =
      this.isHeld =
        false;
  }

  /** Makes it ready for a backend that speaks HTTP/2 or not. 0 or a refusal. */
  prepare(session: Downstream, headEnd: number, toHttp2: boolean): number {
    this.toHttp2 = this.headWaits = toHttp2;
    this.#id = this.context.clock.nextRequestId();
    if (toHttp2) session.keepRequestHead(headEnd);
    else if (session.placeRequestHead(this.#writeHead(session), headEnd) !== DONE) return pumpFault();
    this.isHeld = session.bodyDone;
    this.#noteRange(session);
    return 0;
  }

  #noteRange(session: Downstream): void {
    this.#at = session.outAt;
    this.#end = session.outEnd;
  }

  /** The head that waits goes to a backend of HTTP/1 after all: the cluster has been changed meanwhile. 0 or a refusal. */
  turnToHttp1(session: Downstream): number {
    this.context.core.codec.restoreRequest(session.record, session.buffer);
    this.toHttp2 = this.headWaits = false;
    if (session.placeKeptHead(this.#writeHead(session)) !== DONE) return pumpFault();
    this.#noteRange(session);
    return 0;
  }

  #writeHead({ record, listener, secure }: Downstream): number {
    const { core, textScratchAt } = this.context;
    const identity = placeText(this.context, secure === null ? null : secure.identity);
    const isSecure = secure === null ? 0 : 1;
    return core.codec.writeRequestHead(record, listener.port, isSecure, this.#id, textScratchAt, identity);
  }

  /** Sends the head that waits, and lets what has come of the body follow. 0, a refusal, or NOT_TAKEN. */
  sendHead(session: Downstream, upstream: Http2Upstream): number {
    const { core, textScratchAt } = this.context;
    const { record, listener, secure } = session;
    core.codec.restoreRequest(record, session.buffer);
    if ((this.flags & abi.F_WEBSOCKET) !== 0 && !upstream.takesWebSockets) return NO_WEBSOCKET;
    const identity = placeText(this.context, secure === null ? null : secure.identity);
    const ends = session.bodyDone && session.outAt === session.outEnd && !this.asksForTunnel;
    const isSecure = secure === null ? 0 : 1;
    this.headWaits = false;
    if (!upstream.putRequest(record, listener.port, isSecure, this.#id, textScratchAt, identity, ends)) {
      return NOT_TAKEN;
    }
    return session.beginRequestBody() === DONE ? 0 : pumpFault();
  }

  /** What follows its head belongs to no message: a stream of HTTP/2 stays open. */
  get asksForTunnel(): boolean {
    return (this.flags & (abi.F_CONNECT | abi.F_WEBSOCKET)) !== 0;
  }

  get isIdempotent(): boolean {
    return (this.flags & abi.F_IDEMPOTENT) !== 0;
  }

  /** All of it has been sent, and the backend may still leave it unanswered without having looked at it. */
  mayBeRepeated(upstream: Upstream): boolean {
    return this.isHeld && upstream.keepsRequest(this.isIdempotent);
  }

  /** It goes once more, from its beginning. */
  rewind(session: Downstream): void {
    session.outAt = this.#at;
    session.outEnd = this.#end;
    this.isSent = false;
    this.headWaits = this.toHttp2;
  }

  /** It cannot be sent again. */
  letGo(session: Downstream): void {
    this.isHeld = false;
    if (session.inAt === session.inEnd) session.releaseBuffer();
  }
}

/** Puts a text where the codec can read it; its length. */
export function placeText({ core, textScratchAt }: ProxyContext, text: Uint8Array<ArrayBuffer> | null): number {
  if (text === null) return 0;
  core.u8.set(text, textScratchAt);
  return text.length;
}
