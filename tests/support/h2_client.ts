// A client of HTTP/2 over a socket that sends the frames it is told, when it is told, and keeps the frames that come: right or
// wrong is up to the test.

import type { Bytes } from "./bytes.ts";
import {
  BlockReader,
  concat,
  type Field,
  type Frame,
  frame,
  frames,
  headers,
  inWords,
  MAGIC,
  settings,
} from "./h2_frames.ts";
import * as f from "./h2_frames.ts";
import type { Peer } from "./peer.ts";
import { connect } from "./raw_client.ts";

export interface Http2Answer {
  fields: Field[];
  body: Bytes;
  trailers: Field[];
  /** In words, when the stream was reset. */
  reset: string | undefined;
  ended: boolean;
}

export class Http2Client implements Disposable {
  readonly frames: Frame[] = [];
  readonly answers = new Map<number, Http2Answer>();
  /** Bodies are acknowledged with WINDOW_UPDATE as they come, like a client that reads. */
  reads = true;
  /** Is told of each DATA frame, which is not kept then. */
  onData: ((stream: number, bytes: number) => void) | null = null;
  /** What the peer takes of a stream at first, what it has announced since, and what was sent to it in all. */
  #initial = 65_535;
  #credits = new Map<number, number>();
  #sent = 0;
  #reader = new BlockReader();
  #block: Uint8Array[] = [];

  private constructor(readonly peer: Peer) {
    // each write that is under way has an end to wait for
    peer.socket.setMaxListeners(0);
    peer.onChange = () => this.#take();
  }

  /** With the magic and SETTINGS of `[identifier, value]`. */
  static async connect(port: number, ...entries: [number, number][]): Promise<Http2Client> {
    const client = new Http2Client(await connect(port));
    await client.send(MAGIC, settings(...entries), frame(f.SETTINGS, f.ACK, 0));
    return client;
  }

  async send(...parts: ArrayLike<number>[]): Promise<void> {
    await this.peer.write(concat(...parts));
  }

  get words(): string[] {
    return this.frames.map(inWords);
  }

  /** Sends a request; with `body`, its DATA follows at once and ends it. */
  async ask(id: number, path: string, more: { fields?: Field[]; method?: string; body?: Uint8Array } = {}) {
    const { fields = [], method = more.body ? "POST" : "GET", body } = more;
    const line: Field[] = [[":method", method], [":scheme", "http"], [":authority", "a.test"], [":path", path]];
    await this.send(headers(id, [...line, ...fields], body ? f.END_HEADERS : f.END_HEADERS | f.END_STREAM));
    if (!body) return;
    for (let at = 0; at < body.length || at === 0; at += 16_384) {
      const part = body.subarray(at, at + 16_384);
      await this.peer.until(`room for ${at + part.length} bytes of ${id}`, () => this.#mayHave(id, at + part.length));
      this.#sent += part.length;
      await this.send(frame(f.DATA, at + part.length === body.length ? f.END_STREAM : 0, id, part));
    }
  }

  /** The answer, when it is complete or was reset. */
  answer(id: number, waitMs?: number): Promise<Http2Answer> {
    return this.peer.until(`answer ${id}`, () => {
      const answer = this.answers.get(id);
      return answer && (answer.ended || answer.reset) ? answer : undefined;
    }, waitMs);
  }

  /** A frame of which `inWords` says this. */
  seen(words: string | RegExp, waitMs?: number): Promise<Frame> {
    return this.peer.until(String(words), () =>
      this.frames.find((one) => {
        return typeof words === "string" ? inWords(one) === words : words.test(inWords(one));
      }), waitMs);
  }

  /** True when the windows allow a body of `length` bytes; of the stream alone when it has ended. */
  #mayHave(id: number, length: number): true | undefined {
    const answer = this.answers.get(id);
    if (answer?.reset || answer?.ended) return true;
    const stream = this.#initial + (this.#credits.get(id) ?? 0);
    const connection = 65_535 + (this.#credits.get(0) ?? 0) - this.#sent;
    return (stream >= length && connection >= 16_384) || undefined;
  }

  #take(): void {
    const bytes = this.peer.received;
    let whole = 0;
    while (whole + 9 <= bytes.length) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + whole).getUint32(0) >>> 8;
      if (whole + 9 + length > bytes.length) break;
      whole += 9 + length;
    }
    if (whole > 0) { for (const one of frames(this.peer.take(whole))) this.#see(one); }
  }

  #see(one: Frame): void {
    const { type, flags, stream, payload } = one;
    if (type !== f.DATA || this.onData === null) this.frames.push(one);
    if (type === f.HEADERS || type === f.CONTINUATION) return this.#seeBlock(one);
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    if (type === f.WINDOW_UPDATE) this.#credits.set(stream, (this.#credits.get(stream) ?? 0) + view.getUint32(0));
    if (type === f.SETTINGS && !(flags & f.ACK)) {
      for (let at = 0; at < payload.length; at += 6) {
        if (view.getUint16(at) === 4) this.#initial = view.getUint32(at + 2);
      }
    }
    if (type === f.RST_STREAM) this.#of(stream).reset = inWords(one);
    if (type === f.PING && !(flags & f.ACK)) this.send(frame(f.PING, f.ACK, 0, payload));
    if (type !== f.DATA) return;
    const answer = this.#of(stream);
    if (this.onData !== null) this.onData(stream, payload.length);
    else answer.body = concat(answer.body, payload);
    if (flags & f.END_STREAM) answer.ended = true;
    if (!this.reads || payload.length === 0) return;
    const updates = [f.windowUpdate(0, payload.length)];
    if (!answer.ended) updates.push(f.windowUpdate(stream, payload.length));
    this.send(...updates);
  }

  #seeBlock({ flags, stream, payload, type }: Frame): void {
    const answer = this.#of(stream);
    this.#block.push(payload);
    if (type === f.HEADERS && flags & f.END_STREAM) answer.ended = true;
    if (!(flags & f.END_HEADERS)) return;
    const fields = this.#reader.read(concat(...this.#block.splice(0)));
    const status = fields.find(([name]) => name === ":status")?.[1];
    if (status === undefined) answer.trailers = fields;
    else {answer.fields = [
        ...answer.fields.filter(([name]) => name === ":interim"),
        ...status < "200" ? [[":interim", status] as const] : fields,
      ];}
  }

  #of(id: number): Http2Answer {
    let answer = this.answers.get(id);
    if (!answer) {
      answer = { fields: [], body: new Uint8Array(), trailers: [], reset: undefined, ended: false };
      this.answers.set(id, answer);
    }
    return answer;
  }

  [Symbol.dispose](): void {
    this.peer.destroy();
  }
}

export function fieldOf({ fields }: Pick<Http2Answer, "fields">, name: string): string | undefined {
  return fields.find(([one]) => one === name)?.[1];
}
