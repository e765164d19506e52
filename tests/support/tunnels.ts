// Many open WebSockets whose bytes are compared: each client sends frames again and again and gets the same bytes back from a
// backend that echoes them. What is lost, doubled or changed on the way is seen at once, and which connections a worker
// carries is asked of the system, because those die with it.

import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { toText } from "./bytes.ts";
import { readMessage } from "./messages.ts";
import { connect } from "./raw_client.ts";
import type { Peer } from "./peer.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const PAUSE_MS = 100;

/** A backend that switches to WebSocket and gives every byte back. */
export async function startEchoBackend(): Promise<AsyncDisposable & { address: string }> {
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    let head = "";
    const onHead = (piece: Uint8Array) => {
      head += toText(Uint8Array.from(piece));
      if (!head.endsWith("\r\n\r\n")) return;
      socket.off("data", onHead);
      const fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`);
      socket.pipe(socket);
    };
    socket.on("data", onHead);
  });
  const listening = Promise.withResolvers<void>();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => listening.resolve());
  await listening.promise;
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
    },
  };
}

/** A masked binary frame with `length` bytes that depend on `seed`. */
function frame(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + length);
  bytes.set([0x82, 0x80 | 126, length >> 8, length & 0xff, seed, seed >> 8, seed >> 16, 0x5a]);
  for (let at = 8; at < bytes.length; at++) bytes[at] = seed * 31 + at * 7;
  return bytes;
}

export class Tunnels {
  echoedBytes = 0;
  /** What went wrong on connections that nobody has excused. */
  readonly failures: string[] = [];
  /** Connections that were cut after `excuse`, and opened anew. */
  cut = 0;
  #over = false;
  readonly #excused = new Set<number>();
  readonly #open = new Map<number, Peer>();
  #clients: Promise<void>[] = [];

  private constructor(private readonly port: number) {}

  /** Comes back when all are open. */
  static async open(port: number, count: number): Promise<Tunnels> {
    const tunnels = new Tunnels(port);
    const peers = await Promise.all(Array.from({ length: count }, () => tunnels.#connect()));
    tunnels.#clients = peers.map((peer, index) => tunnels.#run(peer, index));
    return tunnels;
  }

  /** Ports of the clients. */
  get ports(): ReadonlySet<number> {
    return new Set(this.#open.keys());
  }

  /** These connections may be cut: their worker is about to be killed. */
  excuse(ports: Iterable<number>): void {
    for (const port of ports) this.#excused.add(port);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#clients);
  }

  async #connect(): Promise<Peer> {
    const peer = await connect(this.port);
    this.#open.set(peer.socket.localPort!, peer);
    const fields =
      `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n`;
    await peer.write(`GET /socket HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
    const { status } = await readMessage(peer, {}, 20_000);
    if (status !== 101) throw new Error(`a WebSocket was answered with ${status}`);
    return peer;
  }

  async #run(first: Peer, index: number): Promise<void> {
    for (let peer = first, number = index << 8; !this.#over;) {
      const port = peer.socket.localPort!;
      try {
        while (!this.#over) await this.#echo(peer, number++);
      } catch (error) {
        if (this.#excused.delete(port)) this.cut++;
        else this.failures.push(`WebSocket ${index} (port ${port}): ${(error as Error).message.slice(0, 200)}`);
      }
      this.#open.delete(port);
      peer.destroy();
      // Whoever connects to a worker that is just being killed tries again.
      while (!this.#over) {
        const next = await this.#connect().catch(() => undefined);
        if (next) {
          peer = next;
          break;
        }
      }
    }
  }

  async #echo(peer: Peer, number: number): Promise<void> {
    const sent = frame(number, 126 + (number * 37) % 4000);
    await peer.write(sent);
    await peer.until("the echo", () => peer.length >= sent.length || undefined, 20_000);
    const got = peer.take(peer.length);
    const at = got.findIndex((byte, index) => byte !== sent[index]);
    if (got.length !== sent.length || at >= 0) {
      throw new Error(`${sent.length} bytes came back as ${got.length}, the first other one at ${at}`);
    }
    this.echoedBytes += got.length;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * (0.5 + Math.random())));
  }
}

/** Ports of the clients whose connections to `port` a process holds. */
export function clientsHeldBy(pid: number, port: number): number[] {
  const inodes = new Set<string>();
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/${pid}/fd/${name}`))?.[1];
      if (inode) inodes.add(inode);
    } catch {
      // It was closed since it was listed.
    }
  }
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync("/proc/net/tcp").split("\n").flatMap((line) => {
    const words = line.trim().split(/\s+/);
    if (!words[1]?.endsWith(local) || !inodes.has(words[9]!)) return [];
    return [parseInt(words[2]!.split(":")[1]!, 16)].filter((remote) => remote > 0);
  });
}
