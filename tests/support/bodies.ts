// Bodies of any size, made and checked as they pass, so that a gigabyte costs no memory: a fixed block of a prime length,
// repeated, so that bytes lost, doubled or moved anywhere are seen at once and where. Reading and writing are straight on
// Deno's sockets, by hand, and independent of the proxy's code.

import { Buffer } from "node:buffer";
import { type Bytes, concat, fromText, indexOf, toText } from "./bytes.ts";
import { createRandom } from "./random.ts";

export type Framing = "length" | "chunks";

const BLOCK = createRandom(1).bytes(1_048_573);
/** Twice in a row, so that any piece of up to a block's length lies in one range. */
const TWICE = concat([BLOCK, BLOCK]);
const PIECE = 256 * 1024;
/** How far a line's or a head's end is looked for at a time. */
const NEAR = 64;

/** `count` bytes of the endless body from `offset` on; count is at most a block's length. */
export function bodyBytes(offset: number, count: number): Bytes {
  const at = offset % BLOCK.length;
  return TWICE.subarray(at, at + count);
}

/** Throws when `piece` is not what the endless body has at `offset`. */
export function checkBody(offset: number, piece: Uint8Array): void {
  for (let at = 0; at < piece.length; at += BLOCK.length) {
    const part = piece.subarray(at, at + BLOCK.length);
    const expected = bodyBytes(offset + at, part.length);
    if (indexOfDifference(part, expected) >= 0) {
      throw new Error(`byte ${offset + at + indexOfDifference(part, expected)} of the body is not what was sent`);
    }
  }
}

function indexOfDifference(a: Uint8Array, b: Uint8Array): number {
  if (Buffer.compare(a, b) === 0) return -1;
  return a.findIndex((byte, at) => byte !== b[at]);
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Writes a body of `size` bytes; `pause` is called between pieces. */
export async function writeBody(
  connection: Deno.TcpConn,
  size: number,
  framing: Framing,
  pause?: (written: number) => Promise<void> | void,
): Promise<void> {
  for (let at = 0; at < size;) {
    const count = Math.min(PIECE, size - at);
    if (framing === "chunks") await writeAll(connection, fromText(count.toString(16) + "\r\n"));
    await writeAll(connection, bodyBytes(at, count));
    if (framing === "chunks") await writeAll(connection, fromText("\r\n"));
    at += count;
    await pause?.(at);
  }
  if (framing === "chunks") await writeAll(connection, fromText("0\r\n\r\n"));
}

export function framingField(size: number, framing: Framing): string {
  return framing === "length" ? `Content-Length: ${size}\r\n` : "Transfer-Encoding: chunked\r\n";
}

/** Reads heads and bodies from a socket, one after the other. */
export class BodyReader {
  readonly #connection: Deno.TcpConn;
  readonly #buffer = new Uint8Array(PIECE);
  #pending = this.#buffer.subarray(0, 0);

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Fails at the end of the connection. */
  async #more(): Promise<void> {
    const n = await this.#connection.read(this.#buffer);
    if (n === null) throw new Error("the connection ended in the middle of a message");
    this.#pending = this.#buffer.subarray(0, n);
  }

  /** Everything up to and with `end`, which is short and comes soon. */
  async #until(end: string): Promise<string> {
    let text = "";
    while (true) {
      // what came before may hold the beginning of `end`
      const lookedAt = Math.max(0, text.length - end.length + 1);
      const begun = text.slice(lookedAt);
      const near = indexOf(fromText(begun + toText(this.#pending.subarray(0, NEAR))), end);
      if (near >= 0) {
        const used = near + end.length - begun.length;
        text += toText(this.#pending.subarray(0, used));
        this.#pending = this.#pending.subarray(used);
        return text;
      }
      text += toText(this.#pending.subarray(0, NEAR));
      this.#pending = this.#pending.subarray(NEAR);
      if (this.#pending.length === 0) await this.#more();
    }
  }

  /** The next head; undefined when the connection ended before it. */
  async head(): Promise<string | undefined> {
    if (this.#pending.length === 0) {
      const n = await this.#connection.read(this.#buffer).catch(() => null);
      if (n === null) return undefined;
      this.#pending = this.#buffer.subarray(0, n);
    }
    return await this.#until("\r\n\r\n");
  }

  /** Reads and checks `count` bytes of the body that begin at `offset`. */
  async #checked(offset: number, count: number, pause?: (read: number) => Promise<void> | void): Promise<void> {
    for (let read = 0; read < count;) {
      if (this.#pending.length === 0) await this.#more();
      const piece = this.#pending.subarray(0, count - read);
      checkBody(offset + read, piece);
      this.#pending = this.#pending.subarray(piece.length);
      read += piece.length;
      await pause?.(offset + read);
    }
  }

  /** Reads and checks the body behind `head`; gives its size. `pause` is called between pieces. */
  async body(head: string, pause?: (read: number) => Promise<void> | void): Promise<number> {
    const length = head.match(/\r\nContent-Length: (\d+)\r\n/i)?.[1];
    if (length !== undefined) {
      await this.#checked(0, Number(length), pause);
      return Number(length);
    }
    if (!/\r\nTransfer-Encoding: chunked\r\n/i.test(head)) return 0;
    for (let offset = 0;;) {
      const size = parseInt(await this.#until("\r\n"), 16);
      if (Number.isNaN(size)) throw new Error("a chunk has no size");
      await this.#checked(offset, size, pause);
      if (await this.#until("\r\n") !== "\r\n") throw new Error("a chunk does not end where its size says");
      if (size === 0) return offset;
      offset += size;
    }
  }
}

export interface BodyBackend extends AsyncDisposable {
  address: string;
  /** Set to make it slow: called between the pieces that it reads or writes. */
  pause?: (count: number) => Promise<void> | void;
}

/**
 * A backend that checks the body of every request and answers `GET /SIZE/FRAMING` with such a body, anything else with
 * the number of bytes that it got.
 */
export function startBodyBackend(): BodyBackend {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const connections = new Set<Deno.TcpConn>();
  const backend: BodyBackend = {
    address: `127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of connections) connection.close();
      await accepting;
    },
  };
  const pause = (count: number) => backend.pause?.(count);
  const serve = async (connection: Deno.TcpConn): Promise<void> => {
    connections.add(connection);
    const reader = new BodyReader(connection);
    try {
      for (let head = await reader.head(); head; head = await reader.head()) {
        const got = await reader.body(head, pause);
        const [, size, framing] = head.match(/^GET \/(\d+)\/(length|chunks) /) ?? [];
        if (size === undefined) {
          await writeAll(connection, fromText(`HTTP/1.1 200 OK\r\nX-Got: ${got}\r\nContent-Length: 0\r\n\r\n`));
        } else {
          const count = Number(size);
          const field = framingField(count, framing as Framing);
          await writeAll(connection, fromText(`HTTP/1.1 200 OK\r\n${field}\r\n`));
          await writeBody(connection, count, framing as Framing, pause);
        }
      }
    } catch (error) {
      // a request that was not as it should be is answered with nothing, which the client notices
      if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) throw error;
    } finally {
      if (connections.delete(connection)) connection.close();
    }
  };
  const accepting = (async () => {
    for await (const connection of listener) void serve(connection).catch((error) => console.error(error));
  })();
  return backend;
}

/** `GET /SIZE/FRAMING`, the answer checked. */
export async function download(
  port: number,
  size: number,
  framing: Framing,
  pause?: (read: number) => Promise<void> | void,
): Promise<void> {
  using connection = await Deno.connect({ port, hostname: "127.0.0.1" });
  await writeAll(connection, fromText(`GET /${size}/${framing} HTTP/1.1\r\nHost: a.test\r\n\r\n`));
  const reader = new BodyReader(connection);
  const head = await reader.head() ?? "";
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`not a 200: ${head}`);
  const isAsSent = indexOf(fromText(head.toLowerCase()), framingField(size, framing).toLowerCase()) >= 0;
  if (!isAsSent) throw new Error(`framed otherwise than by ${framing}: ${head}`);
  const got = await reader.body(head, pause);
  if (got !== size) throw new Error(`${got} bytes arrived of ${size}`);
}

/** `POST /` with a body of `size` bytes, which the backend checks. */
export async function upload(
  port: number,
  size: number,
  framing: Framing,
  pause?: (written: number) => Promise<void> | void,
): Promise<void> {
  using connection = await Deno.connect({ port, hostname: "127.0.0.1" });
  const head = `POST / HTTP/1.1\r\nHost: a.test\r\n${framingField(size, framing)}\r\n`;
  await writeAll(connection, fromText(head));
  await writeBody(connection, size, framing, pause);
  const answer = await new BodyReader(connection).head() ?? "";
  const got = answer.match(/\r\nX-Got: (\d+)\r\n/)?.[1];
  if (got !== String(size)) throw new Error(`the backend got ${got ?? "nothing"} of ${size} bytes: ${answer}`);
}
