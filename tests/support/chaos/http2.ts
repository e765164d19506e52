// A connection of HTTP/2 for either side of the chaos: it keeps to the windows, gives windows back as it is told, and looks at
// what the proxy sends with the eyes of RFC 9113: a frame that must not come there is a fault of the proxy's.

import { BlockReader, concat, type Field, type Frame, MAGIC } from "../h2_frames.ts";
import * as f from "../h2_frames.ts";
import type { Wire } from "./wire.ts";

const WINDOW = 65_535;
const FRAME_MAX = 16_384;

export interface Http2Events {
  /** Of a client: an answer's head, interim ones too. Of a backend: a request; `stream` is new. */
  onHead(stream: Http2Stream, fields: Field[]): void;
  onData(stream: Http2Stream, piece: Uint8Array): void;
  onEnd(stream: Http2Stream, trailers: Field[]): void;
  /** By the proxy, or since the connection is gone (undefined). */
  onReset(stream: Http2Stream, code: number | undefined): void;
  onGoaway(last: number, code: number): void;
}

export interface Http2Stream {
  id: number;
  sendWindow: number;
  /** What the proxy may still send of it. */
  window: number;
  /** Of windows that are given back late: bytes. */
  owed: number;
  hasHead: boolean;
  remoteEnded: boolean;
  localEnded: boolean;
  isReset: boolean;
  /** Whoever uses it. */
  // deno-lint-ignore no-explicit-any
  user: any;
}

export class Http2Wire {
  readonly streams = new Map<number, Http2Stream>();
  /** Milliseconds after which windows are given back; called for each frame. */
  windowDelayMs: () => number = () => 0;
  streamsMax = Infinity;
  highestId = 0;
  #reader = new BlockReader();
  #held = new Uint8Array();
  #block: Uint8Array[] = [];
  #blockFlags = 0;
  #blockStream = 0;
  #sendWindow = WINDOW;
  #window = WINDOW;
  #initial = WINDOW;
  /** What the proxy may send of a stream at first: what holds, and what it has been told and has not acknowledged. */
  #ownInitial = WINDOW;
  readonly #told: (number | undefined)[] = [];
  #waiting = new Set<() => void>();
  #needsMagic: boolean;
  isOver = false;

  /** `settings`: the first ones, which are sent at once. `fail`: told of what the proxy does wrong. */
  constructor(
    readonly wire: Wire,
    readonly isServer: boolean,
    settings: [number, number][],
    private readonly events: Http2Events,
    private readonly fail: (what: string) => void,
  ) {
    this.#needsMagic = isServer;
    if (!isServer) this.send(MAGIC);
    this.tell(...settings);
    wire.onBytes = (bytes) => this.take(bytes);
    wire.onEnd = () => this.#lose();
  }

  send(...parts: ArrayLike<number>[]): Promise<void> {
    return this.wire.write(concat(...parts));
  }

  // ---- what is sent ----

  open(id: number, user: unknown): Http2Stream {
    const stream: Http2Stream = {
      id,
      sendWindow: this.#initial,
      window: this.#ownInitial,
      owed: 0,
      hasHead: false,
      remoteEnded: false,
      localEnded: false,
      isReset: false,
      user,
    };
    this.streams.set(id, stream);
    return stream;
  }

  head(stream: Http2Stream, fields: readonly Field[], ends: boolean): Promise<void> {
    if (stream.isReset || this.isOver || !this.wire.isWritable) return Promise.resolve();
    if (ends) this.#endLocal(stream);
    return this.send(f.headers(stream.id, fields, f.END_HEADERS | (ends ? f.END_STREAM : 0)));
  }

  /** As the windows allow. False: the stream has ended meanwhile. */
  async data(stream: Http2Stream, bytes: Uint8Array, ends: boolean): Promise<boolean> {
    let at = 0;
    do {
      while (!this.#maySend(stream, bytes.length - at)) await this.#changed();
      if (stream.isReset || this.isOver || !this.wire.isWritable) return false;
      const length = Math.min(bytes.length - at, FRAME_MAX, stream.sendWindow, this.#sendWindow);
      const isLast = at + length === bytes.length;
      stream.sendWindow -= length;
      this.#sendWindow -= length;
      if (isLast && ends) this.#endLocal(stream);
      await this.send(f.frame(f.DATA, isLast && ends ? f.END_STREAM : 0, stream.id, bytes.subarray(at, at + length)));
      at += length;
    } while (at < bytes.length);
    return true;
  }

  #maySend(stream: Http2Stream, length: number): boolean {
    return stream.isReset || this.isOver || length === 0 || (stream.sendWindow > 0 && this.#sendWindow > 0);
  }

  #changed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    return promise;
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  reset(stream: Http2Stream, code: number): void {
    if (stream.isReset || this.isOver) return;
    stream.isReset = true;
    this.send(f.rstStream(stream.id, code));
    this.#wake();
  }

  /** SETTINGS, which hold from when they are acknowledged. */
  tell(...settings: [number, number][]): void {
    this.#told.push(settings.find(([id]) => id === 4)?.[1]);
    this.send(f.settings(...settings));
  }

  #acknowledged(): void {
    if (this.#told.length === 0) return this.fail("an acknowledgement of nothing");
    const initial = this.#told.shift();
    if (initial === undefined) return;
    for (const stream of this.streams.values()) stream.window += initial - this.#ownInitial;
    this.#ownInitial = initial;
  }

  // ---- what comes ----

  take(bytes: Uint8Array): void {
    if (this.isOver) return;
    this.#held = this.#held.length === 0 ? Uint8Array.from(bytes) : concat(this.#held, bytes);
    if (this.#needsMagic) {
      if (this.#held.length < MAGIC.length) return;
      this.#held = this.#held.subarray(MAGIC.length);
      this.#needsMagic = false;
    }
    let at = 0;
    while (at + 9 <= this.#held.length && !this.isOver) {
      const view = new DataView(this.#held.buffer, this.#held.byteOffset + at);
      const length = view.getUint32(0) >>> 8;
      if (length > FRAME_MAX) return this.fail(`a frame of ${length} bytes`);
      if (at + 9 + length > this.#held.length) break;
      const payload = this.#held.subarray(at + 9, at + 9 + length);
      this.#see({ type: view.getUint8(3), flags: view.getUint8(4), stream: view.getUint32(5), payload });
      at += 9 + length;
    }
    this.#held = this.#held.subarray(at);
  }

  #see(frame: Frame): void {
    const { type, flags, stream, payload } = frame;
    if (this.#block.length > 0 && (type !== f.CONTINUATION || stream !== this.#blockStream)) {
      return this.fail(`within a header block: ${f.inWords(frame)}`);
    }
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    switch (type) {
      case f.HEADERS:
      case f.CONTINUATION:
        return this.#seeBlock(frame);
      case f.DATA:
        return this.#seeData(frame);
      case f.SETTINGS:
        return this.#seeSettings(frame, view);
      case f.PING:
        if (!(flags & f.ACK)) this.send(f.frame(f.PING, f.ACK, 0, payload));
        return;
      case f.WINDOW_UPDATE:
        return this.#seeWindow(stream, view.getUint32(0));
      case f.RST_STREAM:
        return this.#seeReset(stream, view.getUint32(0));
      case f.GOAWAY:
        return this.events.onGoaway(view.getUint32(0), view.getUint32(4));
    }
  }

  #seeBlock({ type, flags, stream, payload }: Frame): void {
    if (type === f.HEADERS) {
      this.#blockFlags = flags;
      this.#blockStream = stream;
    }
    this.#block.push(payload);
    if (!(flags & f.END_HEADERS)) return;
    const fields = this.#reader.read(concat(...this.#block.splice(0)));
    const one = this.streams.get(stream) ?? this.#begin(stream);
    if (one === undefined) return;
    const ends = (this.#blockFlags & f.END_STREAM) !== 0;
    if (one.remoteEnded) return this.fail(`HEADERS behind the end of stream ${stream}`);
    if (ends) one.remoteEnded = true;
    if (one.isReset) return this.#forget(one);
    const isTrailers = !fields.some(([name]) => name.startsWith(":"));
    if (isTrailers && (!ends || !one.hasHead)) return this.fail(`trailers that end nothing on stream ${stream}`);
    if (!isTrailers) {
      const isInterim = fields.some(([name, value]) => name === ":status" && value < "200");
      if (one.hasHead) return this.fail(`a second head on stream ${stream}`);
      one.hasHead = !isInterim;
      this.events.onHead(one, fields);
    }
    if (ends) this.#end(one, isTrailers ? fields : []);
  }

  /** A stream that the proxy begins. */
  #begin(id: number): Http2Stream | undefined {
    // of what has ended nothing may come, but for what was reset by us
    if (!this.isServer) return undefined;
    if (id % 2 === 0 || id <= this.highestId) {
      this.fail(`a request on stream ${id}, behind ${this.highestId}`);
      return undefined;
    }
    this.highestId = id;
    return this.open(id, undefined);
  }

  #seeData({ flags, stream, payload }: Frame): void {
    const one = this.streams.get(stream);
    this.#window -= payload.length;
    if (this.#window < 0) this.fail(`${-this.#window} bytes more than the connection's window`);
    this.#giveBack(undefined, payload.length);
    if (one === undefined) return;
    if (one.remoteEnded || (!one.hasHead && !one.isReset)) {
      return this.fail(`DATA before the head or behind the end of stream ${stream}`);
    }
    one.window -= payload.length;
    // an end without a byte may come at any time (RFC 9113 §6.9)
    if (one.window < 0 && payload.length > 0 && !one.isReset) {
      this.fail(
        `${-one
          .window} bytes more than the window of stream ${stream} (told ${this.#told}, at first ${this.#ownInitial})`,
      );
    }
    const ends = (flags & f.END_STREAM) !== 0;
    if (ends) one.remoteEnded = true;
    else this.#giveBack(one, payload.length);
    if (!one.isReset) {
      if (payload.length > 0) this.events.onData(one, payload);
      if (ends) this.#end(one, []);
    } else if (ends) this.#forget(one);
  }

  #giveBack(stream: Http2Stream | undefined, bytes: number): void {
    if (bytes === 0) return;
    const give = () => {
      if (this.isOver || stream?.isReset || stream?.remoteEnded) return;
      if (stream === undefined) this.#window += bytes;
      else stream.window += bytes;
      this.send(f.windowUpdate(stream?.id ?? 0, bytes));
    };
    const delay = this.windowDelayMs();
    if (delay === 0) give();
    else setTimeout(give, delay);
  }

  #seeSettings({ flags }: Frame, view: DataView): void {
    if (flags & f.ACK) return this.#acknowledged();
    for (let at = 0; at < view.byteLength; at += 6) {
      const [id, value] = [view.getUint16(at), view.getUint32(at + 2)];
      if (id === 3) this.streamsMax = value;
      if (id !== 4) continue;
      for (const one of this.streams.values()) one.sendWindow += value - this.#initial;
      this.#initial = value;
    }
    this.send(f.frame(f.SETTINGS, f.ACK, 0));
    this.#wake();
  }

  #seeWindow(id: number, increment: number): void {
    if (id === 0) this.#sendWindow += increment;
    else {
      const stream = this.streams.get(id);
      if (stream !== undefined) stream.sendWindow += increment;
    }
    this.#wake();
  }

  #seeReset(id: number, code: number): void {
    const stream = this.streams.get(id);
    if (stream === undefined) return;
    const wasReset = stream.isReset;
    stream.isReset = true;
    this.streams.delete(id);
    this.#wake();
    if (!wasReset) this.events.onReset(stream, code);
  }

  #end(stream: Http2Stream, trailers: Field[]): void {
    this.#forget(stream);
    this.events.onEnd(stream, trailers);
  }

  #endLocal(stream: Http2Stream): void {
    stream.localEnded = true;
    this.#forget(stream);
  }

  #forget(stream: Http2Stream): void {
    if (stream.remoteEnded && (stream.localEnded || stream.isReset)) this.streams.delete(stream.id);
  }

  /** The connection is over for us: what is open ends with it. */
  #lose(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#wake();
    for (const stream of this.streams.values()) if (!stream.isReset) this.events.onReset(stream, undefined);
    this.streams.clear();
  }

  /** Sends nothing more and forgets all streams. */
  kill(how: "reset" | "close"): void {
    if (how === "reset") this.wire.reset();
    else this.wire.destroy();
    this.#lose();
  }
}
