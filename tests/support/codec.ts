// The codec by itself, for tests: bytes go in whole or cut anywhere, and what comes out is gathered. The way from a head
// to what is sent onward is the proxy's own: takeBody() of proxy/pump.ts decodes and frames, and heads are placed in
// front of bodies as proxy/stream.ts does it, in buffers and records of the real map. Only sockets are missing.
//
// It gathers numbers and bytes in place and allocates next to nothing, so that it can be called millions of times;
// codec_events.ts gives the same as values that can be compared and printed.

import * as abi from "../../assembly/abi.ts";
import { Connection } from "../../src/ts/net/connection.ts";
import type { ProxyContext } from "../../src/ts/proxy/context.ts";
import * as pumping from "../../src/ts/proxy/pump.ts";
import { type Core, type CoreLimits, instantiateCore } from "../../src/wasm/core.ts";
import { type Bytes, fromText } from "./bytes.ts";

export const LIMITS: CoreLimits = {
  records: 4,
  logRecords: 4,
  logRecordBytes: 2048,
  buffers: 6,
  bufferBytes: 16384,
  headersMax: 100,
  headerBytesMax: 12288,
  targetBytesMax: 8192,
  h2Connections: 0,
  h2Streams: 0,
};

export const PORT = 8080;
export const DATE = "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
export const LOG_TIME = "01/Jan/2026:00:00:00 +0000";
/** The request identifier that is written: the random bytes are these. */
export const REQUEST_ID = "00112233445566778899aabbccddeeff";

const SENT_MAX = 1 << 18;
/** Buffer and record that a message is read into; the ones around it are left alone, so that tests can watch them. */
export const BUFFER_INDEX = 2;
export const RECORD_INDEX = 1;

const NO_LOOP = {} as unknown as ConstructorParameters<typeof Connection>[0];

/** A connection without a socket, whose bytes a test puts into its buffer. */
class Source extends Connection {
  constructor(core: Core, buffers: { bytesOffset: number; capacity: number }) {
    super(NO_LOOP, buffers as unknown as ConstructorParameters<typeof Connection>[1]);
    this.open(-1, 0, core.recordAt(RECORD_INDEX), true);
  }

  begin(buffer: number): void {
    this.useBuffer(buffer);
    this.bodyDone = true;
    this.reframed = this.inTrailers = false;
  }

  onEvents(): void {}
  onTimeout(): void {}
  acquireBuffer(): boolean {
    return true;
  }
}

export interface ResponseOptions {
  /** F_ bits of the request that it answers. */
  request?: number;
  /** The client speaks HTTP/1.0: nothing is sent in chunks. */
  toOld?: boolean;
  /** W_ bits besides those that follow from the response. */
  how?: number;
  /** The backend closes behind the bytes. */
  ends?: boolean;
}

const NO_OPTIONS: ResponseOptions = {};

/** One message at a time. The fields tell of the last one. */
export class CodecDriver {
  readonly core: Core;
  readonly record: number;
  /** HEAD_DONE, HEAD_MORE or a refusal. */
  code = 0;
  /** A refusal that the body met with, or 0. */
  fault = 0;
  /** The head was whole, and so was the body. */
  done = false;
  flags = 0;
  status = 0;
  bodyMode = 0;
  contentLength = 0;
  headerCount = 0;
  /** Bytes of the head as it came, and as it is sent. */
  headBytes = 0;
  writtenBytes = 0;
  /** Bytes of the input that belong to the message. */
  used = 0;
  /** What goes onward, head first. */
  readonly sent: Bytes = new Uint8Array(SENT_MAX);
  sentBytes = 0;
  /** Decoded bytes of a chunked body, bytes of any other. */
  bodyBytes = 0;
  /** The lowest and the highest address between which anything was made ready to be sent. */
  lowestAt = 0;
  highestAt = 0;
  /** What is said of requests that come by TLS: 1, whole fields about the client's certificate, and those for answers. */
  secure: 0 | 1 = 0;
  identity = "";
  transport = "";
  /** Called when a head is whole and nothing has been written yet: the result area is as the codec left it. */
  onHead: (() => void) | null = null;
  /** As onHead, for a second one who wants to look. */
  onBlock: (() => void) | null = null;
  readonly #source: Source;
  readonly #context: ProxyContext;
  readonly #idAt: number;
  readonly #addressAt: number;
  #fed = 0;
  #cut = 0;

  constructor(limits: Partial<CoreLimits> = {}) {
    this.core = instantiateCore({ ...LIMITS, ...limits });
    const { core } = this;
    this.record = core.recordAt(RECORD_INDEX);
    this.#source = new Source(core, { bytesOffset: core.bytesOffset, capacity: core.limits.bufferBytes });
    this.#context = { core } as unknown as ProxyContext;
    this.#idAt = core.textAt + abi.TEXT_REQUEST_IDS;
    this.#addressAt = core.textAt + abi.TEXT_ANSWERS;
    for (let i = 0; i < abi.REQUEST_ID_BYTES; i++) core.u8[this.#idAt + i] = i * 0x11;
    this.setText(abi.TEXT_DATE, DATE);
    this.setText(abi.TEXT_LOG_TIME, LOG_TIME);
    this.setPeer(Uint8Array.of(2, 0, 0, 80, 192, 0, 2, 1), false);
  }

  /** Writes a text with its length to the text area. */
  setText(offset: number, text: string): void {
    const at = this.core.textAt + offset;
    this.core.i32[at >> 2] = text.length;
    this.core.u8.set(fromText(text), at + 4);
  }

  /** Says who the client is: a struct sockaddr. */
  setPeer(address: Uint8Array, trusted: boolean): void {
    this.core.u8.set(address, this.#addressAt);
    this.core.codec.beginConnection(this.record, this.#addressAt, trusted ? abi.PEER_TRUSTED : 0);
  }

  /** Nothing is logged here, so there is room. */
  #place(fields: string): number {
    this.core.u8.set(fromText(fields), this.core.logBatchAt);
    return this.core.logBatchAt;
  }

  get buffer(): number {
    return this.core.buffersAt + BUFFER_INDEX * this.core.bufferStride;
  }

  /** Bytes that have been put into the buffer and do not belong to the message. */
  leftover(): Bytes {
    return this.core.u8.slice(this.#source.inAt, this.#source.inEnd);
  }

  /** A request, cut at the places in `cuts` (rising, inside). `offset`: where in the buffer it begins. */
  request(input: Uint8Array, cuts: readonly number[], offset = 0): void {
    const { codec } = this.core;
    this.#begin(offset);
    codec.beginRequest(this.record, this.#source.inAt, this.buffer);
    if (!this.#feedHead(input, cuts, (fresh) => codec.feedRequest(this.record, fresh))) return;
    this.contentLength = codec.requestContentLength();
    this.#beginBody();
    const fieldsAt = this.#place(this.identity);
    const { secure, identity } = this;
    const written = codec.writeRequestHead(this.record, PORT, secure, this.#idAt, fieldsAt, identity.length);
    this.#source.reframed = this.bodyMode === abi.BODY_CHUNKED;
    this.#goOn(input, cuts, written);
  }

  response(
    input: Uint8Array,
    cuts: readonly number[],
    { request = 0, toOld = false, how = 0, ends = false }: ResponseOptions = NO_OPTIONS,
  ): void {
    const { codec, result } = this.core;
    this.#begin(0);
    codec.beginResponse(this.record, this.#source.inAt, this.buffer);
    if (!this.#feedHead(input, cuts, (fresh) => codec.feedResponse(this.record, fresh, request))) return;
    this.status = result[abi.R_STATUS]!;
    this.contentLength = codec.responseContentLength();
    this.#beginBody();
    const unknownLength = this.bodyMode === abi.BODY_CHUNKED || this.bodyMode === abi.BODY_CLOSE;
    this.#source.reframed = unknownLength && !toOld;
    let bits = how | (this.#source.reframed ? abi.W_CHUNKED : 0);
    const final = this.status >= 200 || this.status === 101;
    if (final && (this.flags & abi.F_DATE) === 0) bits |= abi.W_ADD_DATE;
    if (this.status === 101) bits |= abi.W_UPGRADE;
    else if (this.flags & abi.F_UPGRADE) bits |= abi.W_TUNNEL;
    const fieldsAt = this.#place(this.transport);
    this.#goOn(input, cuts, codec.writeResponseHead(this.record, bits, fieldsAt, this.transport.length));
    if (ends && this.code === abi.HEAD_DONE && this.fault === 0 && this.bodyMode === abi.BODY_CLOSE) this.#end();
  }

  // ---- the way of the bytes ----

  #begin(offset: number): void {
    this.code =
      this.fault =
      this.flags =
      this.status =
      this.bodyMode =
      this.contentLength =
      this.headerCount =
        0;
    this.headBytes =
      this.writtenBytes =
      this.used =
      this.sentBytes =
      this.bodyBytes =
      this.#fed =
        0;
    this.done = false;
    this.lowestAt = Infinity;
    this.highestAt = 0;
    const source = this.#source;
    source.begin(this.buffer);
    source.inAt = source.inEnd = source.inAt + offset;
  }

  /** Puts the next bytes of the input, up to the next cut, behind those in the buffer; how many. */
  #receive(input: Uint8Array, cuts: readonly number[], room: number): number {
    const source = this.#source;
    while (this.#cut < cuts.length && cuts[this.#cut]! <= this.#fed) this.#cut++;
    const end = this.#cut < cuts.length ? cuts[this.#cut]! : input.length;
    const length = Math.min(end - this.#fed, room);
    const whole = this.#fed === 0 && length === input.length;
    this.core.u8.set(whole ? input : input.subarray(this.#fed, this.#fed + length), source.inEnd);
    source.inEnd += length;
    this.#fed += length;
    return length;
  }

  #feedHead(input: Uint8Array, cuts: readonly number[], feed: (fresh: number) => number): boolean {
    const source = this.#source;
    const start = source.inAt;
    this.code = abi.HEAD_MORE;
    while (this.#fed < input.length && this.code === abi.HEAD_MORE) {
      const fresh = this.#receive(input, cuts, source.room);
      if (fresh === 0) throw new Error("the codec waits for more of a head than fits into a buffer");
      this.code = feed(fresh);
    }
    if (this.code !== abi.HEAD_DONE) return false;
    const r = this.core.result;
    this.headBytes = r[abi.R_HEAD_END]! - start;
    this.flags = r[abi.R_FLAGS]!;
    this.bodyMode = r[abi.R_BODY_MODE]!;
    this.headerCount = r[abi.R_HEADER_COUNT]!;
    if (this.onHead) this.onHead();
    if (this.onBlock) this.onBlock();
    return true;
  }

  #beginBody(): void {
    this.#source.beginBody(this.core.result[abi.R_HEAD_END]!, this.bodyMode, this.contentLength, 0);
  }

  /** The head has been written to its scratch: puts it in front of what has come of the body, then reads the rest. */
  #goOn(input: Uint8Array, cuts: readonly number[], written: number): void {
    const source = this.#source;
    const { codec } = this.core;
    this.writtenBytes = written;
    if (this.bodyMode === abi.BODY_CHUNKED) codec.beginChunks(this.record);
    let state = pumping.takeBody(this.#context, source);
    if (state === pumping.DONE) {
      codec.placeHead(source.outAt, written);
      source.outAt -= written;
      this.#send();
    }
    while (state === pumping.DONE && !source.bodyDone && this.#fed < input.length) {
      if (!source.inTrailers) source.rewind();
      const room = source.bodyMode === abi.BODY_LENGTH ? Math.min(source.room, source.bodyRemaining) : source.room;
      if (this.#receive(input, cuts, room) === 0) {
        this.fault = abi.HEADER_TOO_LARGE;
        break;
      }
      state = pumping.takeBody(this.#context, source);
      if (state === pumping.DONE) this.#send();
    }
    if (state !== pumping.DONE) this.fault = pumping.pumpFault();
    this.done = this.fault === 0 && source.bodyDone;
    this.used = this.#fed - (source.inEnd - source.inAt);
    this.bodyBytes = source.bodyReceived;
  }

  #end(): void {
    this.done = true;
    if (!this.#source.reframed) return;
    const { codec, result } = this.core;
    codec.frameChunk(this.#source.inAt, 0, 1, 0);
    this.#source.outAt = result[abi.R_OUT_AT]!;
    this.#source.outEnd = this.#source.outAt + result[abi.R_OUT_LENGTH]!;
    this.#send();
  }

  #send(): void {
    const source = this.#source;
    const length = source.outEnd - source.outAt;
    if (source.outAt < this.lowestAt) this.lowestAt = source.outAt;
    if (source.outEnd > this.highestAt) this.highestAt = source.outEnd;
    this.sent.set(this.core.u8.subarray(source.outAt, source.outEnd), this.sentBytes);
    this.sentBytes += length;
    source.outAt = source.outEnd;
  }
}
