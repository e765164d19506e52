// A plain HTTP/1.1 client on one connection, for what the load generator cannot say: that an answer is right to the
// byte, that a connection is kept or closed as asked, and many connections that do nothing. It is strict on purpose: an
// answer without Content-Length would hide that two proxies do different work.

export interface Answer {
  status: number;
  head: string;
  body: Uint8Array<ArrayBuffer>;
}

/** Where a server listens on the loopback. */
export interface Place {
  port: number;
  /** PEM of whom its certificate is from; null when it speaks plainly. */
  authority: string | null;
}

/** The name in the certificate of all proxies. */
export const HOST = "localhost";

/** A server that speaks plainly is called by its address, as ever. */
export function originOf({ port, authority }: Place): string {
  return authority === null ? `http://127.0.0.1:${port}` : `https://${HOST}:${port}`;
}

const READ_SIZE = 64 * 1024;

export class Client {
  #connection: Deno.TcpConn | Deno.TlsConn;
  #readSize: number;
  /** What came after the last answer. */
  #rest: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  private constructor(connection: Deno.TcpConn | Deno.TlsConn, readSize: number) {
    this.#connection = connection;
    this.#readSize = readSize;
  }

  /** `authority`: by which a server with TLS is known; null speaks plainly. */
  static async connect({ port, authority }: Place, readSize = READ_SIZE): Promise<Client> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    if (authority === null) return new Client(connection, readSize);
    return new Client(await Deno.startTls(connection, { hostname: HOST, caCerts: [authority] }), readSize);
  }

  async get(path: string, close = false): Promise<Answer> {
    const text = `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n${close ? "Connection: close\r\n" : ""}\r\n`;
    await this.#send(new TextEncoder().encode(text));
    return await this.#answer();
  }

  /** The peer closed, and sent nothing more before. */
  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && await this.#read() === null;
  }

  close(): void {
    this.#connection.close();
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  async #read(): Promise<Uint8Array<ArrayBuffer> | null> {
    const buffer = new Uint8Array(this.#readSize);
    const count = await this.#connection.read(buffer);
    return count === null ? null : buffer.subarray(0, count);
  }

  async #more(received: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
    const part = await this.#read();
    if (part === null) throw new Error(`the connection was closed after ${received.length} bytes of an answer`);
    const both = new Uint8Array(received.length + part.length);
    both.set(received);
    both.set(part, received.length);
    return both;
  }

  async #answer(): Promise<Answer> {
    let received = this.#rest;
    let headEnd = -1;
    while ((headEnd = endOfHead(received)) < 0) received = await this.#more(received);
    const head = new TextDecoder().decode(received.subarray(0, headEnd));
    const length = head.match(/^content-length: *(\d+)\r?$/im)?.[1];
    if (length === undefined) throw new Error(`the answer has no Content-Length:\n${head}`);
    const end = headEnd + Number(length);
    while (received.length < end) received = await this.#more(received);
    this.#rest = received.slice(end);
    return { status: Number(head.slice(9, 12)), head, body: received.slice(headEnd, end) };
  }
}

/** Index after the empty line, or -1. */
function endOfHead(bytes: Uint8Array): number {
  for (let i = 3; i < bytes.length; i++) {
    if (bytes[i] === 10 && bytes[i - 1] === 13 && bytes[i - 2] === 10 && bytes[i - 3] === 13) return i + 1;
  }
  return -1;
}
