// The thread of a bystander (h2_bystander.ts): a client with one connection that it keeps, asking again and again, and the
// backend that answers it. Both are here, so that what an attack costs anybody but the proxy is not in the figures; and in a
// thread of their own, so that what the attacker does is not either.

import { indexOf } from "./bytes.ts";
import {
  concat,
  DATA,
  END_STREAM,
  frame,
  frames,
  HEADERS,
  headers,
  inWords,
  MAGIC,
  SETTINGS,
  settings,
  WINDOW_UPDATE,
  windowUpdate,
} from "./h2_frames.ts";

const PAUSE_MS = 2;
const ACK = 1;
const ANSWER = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

async function serveBackend(listener: Deno.TcpListener): Promise<void> {
  for await (const connection of listener) void serve(connection);
}

async function serve(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(8192);
  let end = 0;
  try {
    for (let n = 0; n !== null;) {
      n = (await connection.read(buffer.subarray(end)))!;
      if (n === null) return;
      end += n;
      if (indexOf(buffer.subarray(0, end), "\r\n\r\n") < 0) continue;
      end = 0;
      await connection.write(ANSWER);
    }
  } catch {
    // the proxy has closed it
  }
}

class Client {
  #rest = new Uint8Array(0);
  #id = -1;

  private constructor(private readonly connection: Deno.TcpConn) {}

  static async connect(port: number): Promise<Client> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true);
    const client = new Client(connection);
    // it never opens the window again, so there is room for the bodies of all answers
    await connection.write(concat(MAGIC, settings(), frame(SETTINGS, ACK, 0), windowUpdate(0, 1 << 30)));
    return client;
  }

  /** Asks, and waits for the end of the answer; how long that took. */
  async ask(): Promise<number> {
    const id = this.#id += 2;
    const line = [[":method", "GET"], [":scheme", "http"], [":authority", "a.test"], [":path", "/calm"]] as const;
    const began = performance.now();
    await this.connection.write(headers(id, line));
    while (!await this.#hasEnded(id));
    return performance.now() - began;
  }

  async #hasEnded(id: number): Promise<boolean> {
    const part = new Uint8Array(16_384);
    const n = await this.connection.read(part);
    if (n === null) throw new Error("the proxy has closed the bystander's connection");
    const bytes = concat(this.#rest, part.subarray(0, n));
    let whole = 0;
    while (whole + 9 <= bytes.length) {
      const length = new DataView(bytes.buffer, whole).getUint32(0) >>> 8;
      if (whole + 9 + length > bytes.length) break;
      whole += 9 + length;
    }
    this.#rest = bytes.slice(whole);
    let ended = false;
    for (const frame of frames(bytes.subarray(0, whole))) {
      const { type, flags, stream } = frame;
      const isAnswer = type === DATA || type === HEADERS;
      if (!isAnswer && type !== SETTINGS && type !== WINDOW_UPDATE) throw new Error(`it got ${inWords(frame)}`);
      ended ||= isAnswer && stream === id && (flags & END_STREAM) !== 0;
    }
    return ended;
  }
}

/** The part of a worker's scope that is used here. */
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent) => void;
  postMessage(message: unknown): void;
};

const tookMs: number[] = [];

async function run(port: number): Promise<void> {
  const client = await Client.connect(port);
  for (;;) {
    tookMs.push(await client.ask());
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1024 });
void serveBackend(listener);
scope.onmessage = ({ data }) => {
  if (data.port) run(data.port).catch((error) => scope.postMessage({ failure: String(error) }));
  else if (data === "take") scope.postMessage({ tookMs: tookMs.splice(0) });
};
scope.postMessage({ backend: listener.addr.port });
