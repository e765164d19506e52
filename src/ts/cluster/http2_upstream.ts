// A backend's stream of HTTP/2, as an exchange sees it. "Connecting" is the time until its request may be sent: until the shared
// connection is there and has a place for it.

import * as abi from "../../../assembly/abi.ts";
import { Http2Stream } from "../http2/stream.ts";
import type { Connection } from "../net/connection.ts";
import { Counters } from "../observe/counters.ts";
import type { Backend } from "./backend.ts";
import type { Http2Client } from "./http2_client.ts";
import type { UpstreamContext, UpstreamOwner } from "./upstream.ts";

const STREAMS = Counters.index("upstreams.h2.streams");
const UNPROCESSED = Counters.index("upstreams.h2.unprocessed");

/** Heads that wait to be taken: the final one, and the interim ones that came last. */
const HEADS_MAX = 4;

/** What takeHead() answers besides HEAD_DONE and refusals. */
export const HEAD_LOST = 2;

export class Http2Upstream extends Http2Stream {
  backend!: Backend;
  owner: UpstreamOwner | null = null;
  connecting = false;
  reused = false;
  hasAnswered = false;
  tlsFailed = false;
  /** The backend says that it has not looked at the request. */
  #isUnprocessed = false;
  #hasBegun = false;
  #isMalformed = false;
  #waitsForSettings = false;
  /** Buffers of heads that have not been taken, the oldest in front, and what they were found to be. */
  readonly #heads = new Int32Array(HEADS_MAX);
  readonly #headCodes = new Int32Array(HEADS_MAX);
  #headCount = 0;

  constructor(private readonly context: UpstreamContext) {
    super(context);
  }

  get #client(): Http2Client {
    return this.connection as Http2Client;
  }

  start(client: Http2Client, slot: number): void {
    this.begin(client, slot);
    this.context.streamsActive++;
    this.backend = client.backend;
    this.owner = null;
    this.reused = client.hasServed;
    this.hasAnswered =
      this.tlsFailed =
      this.#isUnprocessed =
      this.#hasBegun =
      this.#isMalformed =
      this.#waitsForSettings =
        false;
    this.#headCount = 0;
    this.connecting = !client.mayBegin(this);
    if (this.connecting) client.waiting++;
  }

  /** What it carries depends on what the backend says in its SETTINGS. */
  waitForSettings(): void {
    if (this.#client.isGreeted) return;
    this.#waitsForSettings = true;
    if (this.connecting) return;
    this.connecting = true;
    this.#client.waiting++;
  }

  /** It waits since the backend takes no more requests, and not for a connection. */
  get isCrowded(): boolean {
    return this.connecting && this.connection !== null && this.#client.isFull;
  }

  /** RFC 8441 §3 */
  get takesWebSockets(): boolean {
    return this.connection !== null && this.context.core.codec.h2PeerTakesWebSockets(this.connection.h2) !== 0;
  }

  /** The stream's number; 0 before it has one. */
  get id(): number {
    return this.context.core.i32[(this.record + abi.RECORD_STREAM_ID) >> 2]!;
  }

  onEvents(): void {
    if (this.owner === null) return;
    if (!this.connecting) return this.owner.onUpstreamEvents();
    if (this.connection === null) return this.owner.onUpstreamCrowded();
    if (this.#waitsForSettings && !this.#client.isGreeted) return;
    if (!this.#client.mayBegin(this)) return;
    this.#stopWaiting();
    this.owner.onUpstreamConnected(0);
  }

  #stopWaiting(): void {
    if (!this.connecting) return;
    this.connecting = false;
    if (this.connection !== null) this.#client.waiting--;
  }

  onTimeout(): void {
    this.owner?.onUpstreamTimeout();
  }

  onTurn(): void {
    this.onEvents();
  }

  // ---- the request ----

  protected get source(): Connection | null {
    return this.owner!.session;
  }

  /**
   * Sends the head of the request at hand, of the client whose record is `source`; the others as for h2PutRequest. False: the
   * connection is not able to.
   */
  putRequest(
    source: number,
    port: number,
    secure: number,
    idAt: number,
    identityAt: number,
    identityLength: number,
    ends: boolean,
  ): boolean {
    const { codec } = this.context.core;
    const client = this.#client;
    if (this.connection === null || codec.h2Open(client.h2, this.record) === 0) return false;
    const to = codec.headScratchAt();
    const length = codec.h2PutRequest(
      client.h2,
      this.record,
      source,
      port,
      secure,
      idAt,
      identityAt,
      identityLength,
      client.ssl === null ? 0 : 1,
      ends ? 1 : 0,
      to,
    );
    this.#hasBegun = true;
    this.endSent = ends;
    this.sent += client.putBlock(to, length);
    client.noteBegun();
    this.context.counters.add(STREAMS, 1);
    return length > 0;
  }

  /** All of the request's body has been sent. */
  endRequest(session: Connection): void {
    this.sendEnd(session);
  }

  /** It may be refused as long as nothing has come. */
  keepsRequest(_isIdempotent: boolean): boolean {
    return true;
  }

  mayRepeat(isIdempotent: boolean): boolean {
    return this.#isUnprocessed || (this.reused && isIdempotent);
  }

  // ---- the answer ----

  protected override get readsAnswers(): boolean {
    return true;
  }

  protected takeBuffer(): number {
    const buffer = this.buffers.takeReserved();
    if (buffer !== 0) return buffer;
    this.owner?.yieldBuffer();
    return this.buffers.takeReserved();
  }

  /** A head has been decoded into `buffer`; all before the last one are interim, and can be done without. */
  keepHead(buffer: number, code: number, ends: boolean): void {
    if (this.#headCount === HEADS_MAX) this.buffers.give(this.#shiftHead());
    this.#headCodes[this.#headCount] = code;
    this.#heads[this.#headCount++] = buffer;
    if (code === abi.HEAD_DONE) this.context.core.codec.keepResponse(this.record, buffer);
    if (ends) this.end(0);
    this.wake();
  }

  #shiftHead(): number {
    const buffer = this.#heads[0]!;
    this.#headCount--;
    // nearly always it was the only one
    for (let i = 0; i < this.#headCount; i++) {
      this.#heads[i] = this.#heads[i + 1]!;
      this.#headCodes[i] = this.#headCodes[i + 1]!;
    }
    return buffer;
  }

  /** The next head is the message at hand: HEAD_DONE, HEAD_MORE, HEAD_LOST or a refusal. */
  takeHead(): number {
    if (this.#headCount === 0) {
      if (this.#isMalformed) return abi.BAD_RESPONSE;
      if (this.broken || this.hasEnd) return HEAD_LOST;
      this.releaseBuffer();
      this.readable = false;
      return abi.HEAD_MORE;
    }
    this.releaseBuffer();
    const code = this.#headCodes[0]!;
    this.useBuffer(this.#shiftHead());
    if (code === abi.HEAD_DONE) this.context.core.codec.restoreResponse(this.record, this.buffer);
    this.readable = true;
    return code;
  }

  noteAnswered(): void {
    this.hasAnswered = true;
  }

  /** An answer without a body may still have its end before it, and would be reset without that. */
  override beginBody(headEnd: number, mode: number, length: number, bytesMax: number): void {
    super.beginBody(headEnd, mode === abi.BODY_NONE && !this.hasEnd ? abi.BODY_STREAM : mode, length, bytesMax);
    this.rewind();
  }

  // ---- what goes wrong ----

  onReset(code: number): void {
    this.#isUnprocessed = code === abi.H2_REFUSED_STREAM;
    if (this.#isUnprocessed) this.context.counters.add(UNPROCESSED, 1);
    this.#break();
  }

  override onMalformed(): void {
    this.#isMalformed = true;
    this.#break();
  }

  /** The backend will not look at it, or there is no place for it after all. */
  onUnprocessed(): void {
    this.#isUnprocessed = true;
    if (this.#hasBegun) this.context.counters.add(UNPROCESSED, 1);
    this.onConnectionLost();
  }

  onConnectionLost(): void {
    if (this.connecting && this.connection !== null) this.#client.waiting--;
    this.detach(abi.H2_CANCEL);
    this.#break();
  }

  #break(): void {
    this.broken = true;
    this.wake();
  }

  // nothing is known of these that the connection would not tell itself
  noteConnectTimeout(): void {}
  noteLost(_result: number): void {}

  // ---- ending ----

  /** The exchange is over. */
  finish(_isReusable: boolean, _at: number): void {
    if (this.connection !== null) {
      this.#client.hasServed = true;
      if (this.endSent && this.hasEnd) this.context.core.codec.h2EndStream(this.connection.h2, this.record);
    }
    this.close();
  }

  /** Its connection lives on, or has ended already: nothing has to wait for its turn. */
  cut(): void {
    this.close();
  }

  close(): void {
    if (this.slot < 0) return;
    this.#stopWaiting();
    this.owner = null;
    while (this.#headCount > 0) this.buffers.give(this.#shiftHead());
    this.leave(abi.H2_CANCEL);
    this.context.streamsActive--;
    this.context.idleHttp2Streams.push(this);
  }
}
