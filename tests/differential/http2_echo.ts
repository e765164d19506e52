// The client of http2_echo.cjs: just enough frames (RFC 9113 §4, §6) to send header blocks of our encoder, read those of
// nghttp2 with our decoder, and let both sides change the sizes of their tables.

import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import type { Decoder, Encoder, Entry, Field } from "../support/hpack.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const ACK = 1;
const END_STREAM_AND_HEADERS = 5;
const HEADER_TABLE_SIZE = 1;

export interface Reply {
  /** The fields as the server has read them. */
  read: Field[];
  /** Those of the answer. */
  list: Entry[];
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, 9);
  return bytes;
}

function tableSizeSetting(size: number): Buffer {
  const payload = Buffer.alloc(6);
  payload.writeUInt16BE(HEADER_TABLE_SIZE, 0);
  payload.writeUInt32BE(size, 2);
  return payload;
}

export class Http2Echo implements AsyncDisposable {
  private constructor(readonly child: Deno.ChildProcess, readonly port: number) {}

  static async start(): Promise<Http2Echo> {
    const script = fileURLToPath(new URL("http2_echo.cjs", import.meta.url));
    const child = new Deno.Command("node", { args: [script], stdin: "piped", stdout: "piped" }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return new Http2Echo(child, Number(new TextDecoder().decode(value)));
  }

  async connect(encoder: Encoder, decoder: Decoder): Promise<EchoConnection> {
    return new EchoConnection(await Deno.connect({ port: this.port }), encoder, decoder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.stdin.close();
    await this.child.status;
  }
}

export class EchoConnection implements Disposable {
  /** How often the server has changed the size of its table. */
  resizes = 0;
  #out: Uint8Array[] = [Buffer.from(PREFACE), frame(SETTINGS, 0, 0, new Uint8Array())];
  #rest = Buffer.alloc(0);
  #stream = 1;
  /** Sizes that we have announced and the server has not acknowledged; undefined for a frame that says none. */
  #announced: (number | undefined)[] = [undefined];

  constructor(
    private readonly socket: Deno.TcpConn,
    private readonly encoder: Encoder,
    private readonly decoder: Decoder,
  ) {}

  /** Announces another size for the table that the server's encoder fills. */
  allow(size: number): void {
    this.#announced.push(size);
    this.#out.push(frame(SETTINGS, 0, 0, tableSizeSetting(size)));
  }

  /** Sends the requests; `resize`: asks the server to change the size of its own table meanwhile. */
  async exchange(requests: readonly Field[][], resize?: number): Promise<Reply[]> {
    const first = this.#stream;
    for (const [index, fields] of requests.entries()) {
      const asks = resize !== undefined && index === 0 ? [{ name: "x-resize", value: String(resize) }] : [];
      const block = this.encoder.encode([...fields, ...asks]);
      this.#out.push(frame(HEADERS, END_STREAM_AND_HEADERS, this.#stream, block));
      this.#stream += 2;
    }
    await this.#send();
    const replies: Reply[] = [];
    for (let missing = requests.length; missing > 0;) {
      for (const { type, flags, stream, payload } of await this.#receive()) {
        if (type === HEADERS) {
          replies[(stream - first) / 2] = this.#reply(payload);
          missing--;
        } else this.#onFrame(type, flags, payload);
      }
    }
    return replies;
  }

  #onFrame(type: number, flags: number, payload: Buffer): void {
    if (type === SETTINGS && flags & ACK) {
      const size = this.#announced.shift();
      if (size !== undefined) this.decoder.hpack.exports.allowSize(this.decoder.table, size);
    } else if (type === SETTINGS) {
      for (let at = 0; at < payload.length; at += 6) {
        this.#onSetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
      }
      this.#out.push(frame(SETTINGS, ACK, 0, new Uint8Array()));
    } else if (type === GOAWAY || type === RST_STREAM) {
      throw new Error(`the server refuses: frame ${type}, ${payload.toString("hex")}`);
    } else if (type !== WINDOW_UPDATE && type !== DATA && type !== PING) {
      throw new Error(`a frame ${type} was not expected`);
    }
  }

  #onSetting(name: number, value: number): void {
    if (name !== HEADER_TABLE_SIZE) return;
    this.resizes++;
    this.encoder.hpack.exports.allowSize(this.encoder.table, value);
  }

  #reply(block: Buffer): Reply {
    const list = this.decoder.decode(block);
    const read = list.find(({ name }) => name === "x-read")?.value ?? "";
    const pairs: [string, string][] = JSON.parse(Buffer.from(read, "base64").toString());
    return { read: pairs.map(([name, value]) => ({ name, value })).filter(({ name }) => name !== "x-resize"), list };
  }

  async #send(): Promise<void> {
    const bytes = Buffer.concat(this.#out);
    this.#out = [];
    for (let at = 0; at < bytes.length;) at += await this.socket.write(bytes.subarray(at));
  }

  /** The frames that have come; waits for one at least. */
  async #receive(): Promise<{ type: number; flags: number; stream: number; payload: Buffer }[]> {
    const frames = [];
    const bytes = new Uint8Array(65536);
    while (frames.length === 0) {
      const count = await this.socket.read(bytes);
      if (count === null) throw new Error("the server has closed the connection");
      this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, count)]);
      while (this.#rest.length >= 9 && this.#rest.length >= 9 + this.#rest.readUIntBE(0, 3)) {
        const end = 9 + this.#rest.readUIntBE(0, 3);
        const [type, flags] = [this.#rest[3]!, this.#rest[4]!];
        frames.push({ type, flags, stream: this.#rest.readUInt32BE(5), payload: this.#rest.subarray(9, end) });
        this.#rest = this.#rest.subarray(end);
      }
    }
    return frames;
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}
