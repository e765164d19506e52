// Clients that ask without a pause, on connections that they keep and on a new one for each request, and know of each answer
// whether it is theirs. A connection that the proxy announces to close, or closes while nothing is asked on it, is no
// failure; an answer that is missing, cut short, of another request or of another status is one.

import { toText } from "./bytes.ts";
import { get, readMessage } from "./messages.ts";
import type { Peer } from "./peer.ts";
import { connect } from "./raw_client.ts";

export interface TrafficOptions {
  /** Clients that keep their connection. */
  keeping?: number;
  /** Clients that say `Connection: close`. */
  closing?: number;
  /** How a connection is made: in clear without. */
  open?: (port: number) => Promise<Peer>;
}

/** Answers each request with its path. Stop it with `shutdown`. */
export function serveEcho(): Deno.HttpServer<Deno.NetAddr> & { address: string } {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    return new Response(new URL(request.url).pathname);
  });
  return Object.assign(server, { address: `127.0.0.1:${server.addr.port}` });
}

export class Traffic implements AsyncDisposable {
  served = 0;
  readonly failures: string[] = [];
  #over = false;
  readonly #clients: Promise<void>[];
  readonly #open: (port: number) => Promise<Peer>;

  constructor(private readonly port: number, { keeping = 4, closing = 2, open = connect }: TrafficOptions = {}) {
    this.#open = open;
    const keeps = [...Array(keeping).fill(true), ...Array(closing).fill(false)];
    this.#clients = keeps.map((keep, index) => this.#run(keep, index));
  }

  /** Waits until as many more requests are answered. */
  async more(count: number): Promise<void> {
    const wanted = this.served + count;
    const deadline = Date.now() + 10_000;
    while (this.served < wanted) {
      if (Date.now() > deadline) throw new Error(`${this.served} requests served, expected ${wanted} by now`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#clients);
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
  }

  async #run(keep: boolean, index: number): Promise<void> {
    for (let number = 0; !this.#over;) {
      try {
        number = await this.#onOneConnection(keep, index, number);
      } catch (error) {
        this.failures.push(`client ${index}: ${(error as Error).message}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async #onOneConnection(keep: boolean, index: number, from: number): Promise<number> {
    using client = await this.#open(this.port);
    for (let number = from; !this.#over; number++) {
      if (client.end !== "open") return number;
      const path = `/${index}/${number}`;
      await client.write(get(path, keep ? "" : "Connection: close\r\n"));
      const answer = await readMessage(client, {}, 10_000);
      if (answer.status !== 200 || toText(answer.body) !== path) throw new Error(`${path}: ${answer.line}`);
      this.served++;
      if (!keep || /\bclose\b/i.test(answer.fields["connection"] ?? "")) return number + 1;
    }
    return from;
  }
}
