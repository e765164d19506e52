// A connection of HTTP/2 inside the codec, with a scripted peer: bytes go in, whole or cut anywhere, and what the codec says
// and answers is kept as words, so that a test reads like a dialogue. It takes streams as the proxy does: a record and
// a buffer for each, the header block at once; bodies are taken when the script says so. Only sockets are missing.

import * as abi from "../../assembly/abi.ts";
import { type Core, type CoreLimits, instantiateCore } from "../../src/wasm/core.ts";
import { assertEquals } from "./assert.ts";
import { type Bytes, fromText, toText } from "./bytes.ts";
import { LIMITS } from "./codec.ts";
import * as f from "./h2_frames.ts";
import { createRandom, type Random, seedOf } from "./random.ts";

export const H2_LIMITS: CoreLimits = { ...LIMITS, records: 40, buffers: 40, h2Connections: 2, h2Streams: 16 };
/** Records: of the socket, of a message in HTTP/1, and of streams from here on. */
const SOCKET = 0;
const OTHER = 1;
const FIRST_STREAM = 2;

/** How bytes are cut: all at once, one at a time, or at random. */
export type Cutting = "whole" | "bytes" | "random";
export const CUTTINGS: readonly Cutting[] = ["whole", "bytes", "random"];

export class H2Driver {
  readonly core: Core;
  h2 = 0;
  /** What the codec has told, and what it has answered, since the last look. */
  events: string[] = [];
  replies: string[] = [];
  /** Streams by their id: address of the record. */
  readonly streams = new Map<number, number>();
  /** Results of h2Headers that are not HEAD_DONE. */
  failed = false;
  /** Streams are refused. */
  refuses = false;
  /** Replies are left where they are. */
  isBlocked = false;
  /** Called when a head or trailers (EV_) are at hand; what it gives is told with them. */
  onBlock: ((event: number, record: number, buffer: number) => string) | null = null;
  #role = 0;
  #reader: f.BlockReader | undefined;
  #free: number[] = [];
  #inAt = 0;
  #inEnd = 0;
  #cutting: Cutting = "whole";
  #random: Random = createRandom(0);

  constructor(limits: Partial<CoreLimits> = {}) {
    this.core = instantiateCore({ ...H2_LIMITS, ...limits });
  }

  begin(role: number, cutting: Cutting = "whole", seed = 0, profile = 0): void {
    const { core } = this;
    this.h2 = core.h2RecordsAt;
    this.#role = role;
    this.#cutting = cutting;
    this.#random = createRandom(seed);
    this.#reader = undefined;
    this.streams.clear();
    this.events = [];
    this.replies = [];
    this.failed = this.refuses = this.isBlocked = false;
    this.#free = Array.from({ length: core.limits.records - FIRST_STREAM }, (_, i) => core.limits.records - 1 - i);
    this.#inAt = this.#inEnd = this.#bytesOf(0);
    core.u8.set([2, 0, 0, 80, 192, 0, 2, 1], core.textAt + abi.TEXT_ANSWERS);
    core.codec.beginConnection(core.recordAt(SOCKET), core.textAt + abi.TEXT_ANSWERS, 0);
    core.codec.h2Begin(this.h2, role, profile, core.recordAt(SOCKET));
  }

  #bytesOf(index: number): number {
    return this.core.buffersAt + index * this.core.bufferStride + this.core.bytesOffset;
  }

  /** What we send first. */
  preface(): Bytes {
    const to = this.core.codec.headScratchAt();
    return this.core.u8.slice(to, to + this.core.codec.h2Preface(this.h2, to));
  }

  setProfile(word: number, value: number): void {
    this.core.i32[(this.core.codec.h2ProfileAt(0) >> 2) + word] = value;
  }

  // ---- what the peer sends ----

  receive(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.failed) {
      const capacity = this.#bytesOf(0) + this.core.limits.bufferBytes;
      if (this.#inEnd === capacity) this.#compact();
      const most = Math.min(capacity - this.#inEnd, bytes.length - at);
      if (most === 0) throw new Error("the codec waits for more than fits into a buffer");
      const part = this.#cutting === "whole"
        ? most
        : this.#cutting === "bytes"
        ? 1
        : this.#random.between(1, Math.min(most, 40));
      const length = Math.min(part, most);
      this.core.u8.set(bytes.subarray(at, at + length), this.#inEnd);
      this.#inEnd += length;
      at += length;
      this.feed();
    }
  }

  #compact(): void {
    const start = this.#bytesOf(0);
    this.core.codec.copy(start, this.#inAt, this.#inEnd - this.#inAt);
    this.#inEnd -= this.#inAt - start;
    this.#inAt = start;
  }

  /** Lets the codec look at what is there. */
  feed(): void {
    const { codec, result } = this.core;
    for (;;) {
      const length = this.#inEnd - this.#inAt;
      const event = codec.h2Feed(this.h2, this.#inAt, length);
      const consumed = result[abi.R_CONSUMED]!;
      if (consumed < 0 || consumed > length) throw new Error(`${consumed} bytes of ${length} are used up`);
      this.#inAt += consumed;
      if (event === abi.EV_MORE) break;
      if (event === abi.EV_REPLIES) {
        if (this.isBlocked || this.flush() === 0) return;
        continue;
      }
      this.#tell(event);
      if (this.failed) break;
    }
    if (!this.isBlocked) this.flush();
  }

  /** Takes the replies, as if they had been sent. */
  flush(): number {
    const { codec, u8 } = this.core;
    let total = 0;
    for (let length = codec.h2Replies(this.h2); length > 0; length = codec.h2RepliesSent(this.h2, length)) {
      const at = this.h2 + abi.H2_REPLIES_AT;
      this.replies.push(...f.frames(u8.slice(at, at + length)).map(f.inWords));
      total += length;
    }
    return total;
  }

  #tell(event: number): void {
    const r = this.core.result;
    const id = r[abi.R_STREAM_ID]!;
    const end = r[abi.R_END_STREAM] ? " end" : "";
    const code = f.CODES[r[abi.R_ERROR_CODE]!] ?? String(r[abi.R_ERROR_CODE]);
    switch (event) {
      case abi.EV_HEADERS:
      case abi.EV_TRAILERS:
        return this.#takeBlock(event, id, end);
      case abi.EV_DATA:
        return this.#tellData(id, r[abi.R_DATA_LENGTH]!, end);
      case abi.EV_END:
        this.events.push(`end ${id}`);
        return;
      case abi.EV_RESET:
        this.#forget(id);
        this.events.push(`reset ${id} ${code}`);
        return;
      case abi.EV_WINDOW:
        this.events.push(`window ${id}`);
        return;
      case abi.EV_SETTINGS:
        this.events.push("settings");
        return;
      case abi.EV_SETTINGS_ACK:
        this.events.push("settings ack");
        return;
      case abi.EV_GOAWAY:
        this.events.push(`goaway ${r[abi.R_LAST_STREAM]} ${code}`);
        return;
      case abi.EV_PING_ACK:
        this.events.push("ping ack");
        return;
      case abi.EV_PRIORITY:
        this.events.push(`priority ${id} ${r[abi.R_PRIORITY]}`);
        return;
      case abi.EV_STREAM_ERROR:
        this.#forget(id);
        this.events.push(`stream error ${id} ${code}`);
        return;
      case abi.EV_CONNECTION_ERROR:
        this.failed = true;
        this.events.push(`connection error ${code}${r[abi.R_ABUSE] ? ` abuse ${r[abi.R_ABUSE]}` : ""}`);
        return;
      default:
        throw new Error(`event ${event} is unknown`);
    }
  }

  /** Parts of a body are one event, however they came. */
  #tellData(id: number, length: number, end: string): void {
    const last = this.events.at(-1)?.match(/^data (\d+) (\d+)$/);
    if (last && Number(last[1]) === id) {
      this.events.pop();
      length += Number(last[2]);
    }
    this.events.push(`data ${id} ${length}${end}`);
  }

  #takeBlock(event: number, id: number, end: string): void {
    const { core } = this;
    const { codec, result } = core;
    const isNew = result[abi.R_SLOT] === -1;
    if (isNew && this.refuses) {
      const code = codec.h2Refuse(this.h2);
      this.#inAt += result[abi.R_CONSUMED]!;
      this.events.push(`refused ${id}`);
      if (code !== abi.HEAD_DONE) this.#noteFailure();
      return;
    }
    const index = isNew ? this.#free.pop() : (this.streams.get(id)! - core.recordsAt) / abi.RECORD;
    if (index === undefined) throw new Error("no record is free");
    const record = core.recordAt(index);
    const buffer = core.buffersAt + index * core.bufferStride;
    const code = codec.h2Headers(this.h2, record, buffer, this.#bytesOf(index), core.limits.bufferBytes);
    this.#inAt += result[abi.R_CONSUMED]!;
    if (isNew) this.streams.set(id, record);
    if (code === abi.H2_STREAM_FAILED) {
      this.#forget(id);
      this.events.push(`stream error ${id} ${f.CODES[result[abi.R_ERROR_CODE]!]}`);
    } else if (code === abi.H2_CONNECTION_FAILED) this.#noteFailure();
    else if (code !== abi.HEAD_DONE) this.events.push(`refusal ${id} ${code}`);
    else {
      const words = this.#blockInWords(event, id);
      this.events.push(`${words}${end}${this.onBlock ? this.onBlock(event, record, buffer) : ""}`);
    }
  }

  #noteFailure(): void {
    this.failed = true;
    const abuse = this.core.result[abi.R_ABUSE];
    const code = f.CODES[this.core.result[abi.R_ERROR_CODE]!];
    this.events.push(`connection error ${code}${abuse ? ` abuse ${abuse}` : ""}`);
  }

  #blockInWords(event: number, id: number): string {
    const r = this.core.result;
    if (event === abi.EV_TRAILERS) return `trailers ${id}`;
    if (this.#role === abi.H2_ROLE_CLIENT) return `response ${id} ${r[abi.R_STATUS]}`;
    const text = (at: number, length: number) => toText(this.core.u8.subarray(r[at]!, r[at]! + r[length]!));
    const method = text(abi.R_METHOD_AT, abi.R_METHOD_LENGTH);
    return `request ${id} ${method} ${text(abi.R_HOST_AT, abi.R_HOST_LENGTH)} ${
      text(abi.R_TARGET_AT, abi.R_TARGET_LENGTH)
    }`;
  }

  #forget(id: number): void {
    const record = this.streams.get(id);
    if (record === undefined) return;
    this.#free.push((record - this.core.recordsAt) / abi.RECORD);
    this.streams.delete(id);
  }

  // ---- what we send ----

  /** The head of a message in HTTP/1, parsed, so that it can be sent on in HTTP/2; its record. */
  parse(text: string, request?: number): number {
    const { core } = this;
    const record = core.recordAt(OTHER);
    const buffer = core.buffersAt + OTHER * core.bufferStride;
    const at = this.#bytesOf(OTHER);
    const bytes = fromText(text);
    core.u8.set(bytes, at);
    if (request === undefined) core.codec.beginRequest(record, at, buffer);
    else core.codec.beginResponse(record, at, buffer);
    const code = request === undefined
      ? core.codec.feedRequest(record, bytes.length)
      : core.codec.feedResponse(record, bytes.length, request);
    if (code !== abi.HEAD_DONE) throw new Error(`the head is refused: ${code}`);
    core.u8.set([2, 0, 0, 80, 192, 0, 2, 1], core.textAt + abi.TEXT_ANSWERS);
    core.codec.beginConnection(record, core.textAt + abi.TEXT_ANSWERS, 0);
    return record;
  }

  /** Client: asks; the id of the stream, and what is sent. */
  ask(text: string, end = true): { id: number; sent: Bytes } {
    const { core } = this;
    const source = this.parse(text);
    const index = this.#free.pop()!;
    const record = core.recordAt(index);
    const id = core.codec.h2Open(this.h2, record);
    if (id === 0) {
      this.#free.push(index);
      return { id, sent: new Uint8Array(0) };
    }
    this.streams.set(id, record);
    const to = core.codec.headScratchAt();
    const idAt = core.textAt + abi.TEXT_REQUEST_IDS;
    const length = core.codec.h2PutRequest(this.h2, record, source, 80, 0, idAt, 0, 0, 1, end ? 1 : 0, to);
    return { id, sent: core.u8.slice(to, to + length) };
  }

  /** Server: answers with the head of a message in HTTP/1; what is sent. */
  answer(id: number, text: string, end = false, how = 0): Bytes {
    const { core } = this;
    const source = this.parse(text, 0);
    const to = core.codec.headScratchAt();
    const length = core.codec.h2PutResponse(this.h2, this.streams.get(id)!, source, how, 0, 0, end ? 1 : 0, to);
    return core.u8.slice(to, to + length);
  }

  sendable(id: number): number {
    return this.core.codec.h2Sendable(this.h2, this.streams.get(id)!);
  }

  putData(id: number, length: number, end = false): number {
    return this.core.codec.h2PutData(
      this.h2,
      this.streams.get(id)!,
      this.core.codec.headScratchAt(),
      length,
      end ? 1 : 0,
    );
  }

  consume(id: number, bytes: number): void {
    this.core.codec.h2Consumed(this.h2, this.streams.get(id)!, bytes);
    if (!this.isBlocked) this.flush();
  }

  reset(id: number, code = 8): void {
    this.core.codec.h2Reset(this.h2, this.streams.get(id)!, code);
    this.#forget(id);
    if (!this.isBlocked) this.flush();
  }

  end(id: number): void {
    this.core.codec.h2EndStream(this.h2, this.streams.get(id)!);
    this.#forget(id);
    if (!this.isBlocked) this.flush();
  }

  /** The fields of what was sent as HEADERS. */
  fields(sent: Uint8Array): f.Field[] {
    this.#reader ??= new f.BlockReader();
    return this.#reader.read(f.joined(f.frames(sent)));
  }

  /** The header block of a stream as it was decoded and checked, what is dropped left out. */
  block(id: number): f.Field[] {
    const { core } = this;
    const view = new DataView(core.u8.buffer);
    const record = this.streams.get(id)!;
    const table = view.getUint32(record + 72, true);
    return Array.from({ length: view.getUint16(record + 76, true) }, (_, i) => {
      const at = table + i * abi.HEADER_ENTRY;
      const text = (from: number, length: number) => toText(core.u8.subarray(from, from + length));
      const name = text(view.getUint32(at, true), view.getUint16(at + 12, true));
      const value = text(view.getUint32(at + 4, true), view.getUint32(at + 8, true));
      return [name, value, view.getUint8(at + 15)] as const;
    }).filter(([, , flags]) => (flags & 1) === 0).map(([name, value]) => [name, value] as const);
  }

  // ---- looking ----

  /** Compares what was told and answered since the last look. */
  expect(events: readonly string[], replies: readonly string[] = []): void {
    assertEquals({ events: this.events, replies: this.replies }, { events: [...events], replies: [...replies] });
    this.events = [];
    this.replies = [];
  }
}

export const REQUEST: readonly f.Field[] = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/"],
  [":authority", "example.com"],
];
export const POST: readonly f.Field[] = [[":method", "POST"], ...REQUEST.slice(1)];

let shared: H2Driver | undefined;
const driver = () => shared ??= new H2Driver();

/** Begins: both prefaces are exchanged. `settings`: the peer's. */
function open(peer: H2Driver, role: number, cutting: Cutting, seed: number, settings: Uint8Array): void {
  peer.begin(role, cutting, seed);
  peer.preface();
  if (role === abi.H2_ROLE_SERVER) peer.receive(f.MAGIC);
  peer.receive(settings);
  peer.receive(f.frame(f.SETTINGS, f.ACK, 0));
  peer.expect(["settings", "settings ack"], ["SETTINGS ack"]);
}

/** A dialogue with a server of ours, in each way of cutting. */
export function asServer(name: string, script: (peer: H2Driver) => void, settings = f.settings()): void {
  dialogue(`h2 server: ${name}`, abi.H2_ROLE_SERVER, script, settings);
}

/** A dialogue with a client of ours. */
export function asClient(name: string, script: (peer: H2Driver) => void, settings = f.settings()): void {
  dialogue(`h2 client: ${name}`, abi.H2_ROLE_CLIENT, script, settings);
}

function dialogue(name: string, role: number, script: (peer: H2Driver) => void, settings: Uint8Array): void {
  Deno.test(name, () => {
    for (const cutting of CUTTINGS) {
      open(driver(), role, cutting, seedOf(name), settings);
      try {
        script(driver());
      } catch (error) {
        (error as Error).message = `(cut: ${cutting}) ${(error as Error).message}`;
        throw error;
      }
    }
  });
}
