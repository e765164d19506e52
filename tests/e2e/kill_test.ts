// kill -9 of a worker while it carries traffic: only the exchanges that it carried at that moment fail. Connections that
// waited to be accepted are served by its successor, connecting never fails, and the other worker's clients notice nothing.

import { assert, assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { get, parseMessage, readMessage, response } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { eventually, type Proxy, startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { startBackend } from "../support/scripted_backend.ts";

const CLIENTS = 48;
/** A successor is there at once; this much only a machine that is busy with other things needs. */
const SUCCESSOR_MS = 1_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function answer(peer: Peer): Promise<void> {
  while (peer.end === "open") {
    const request = await readMessage(peer, {}, 60_000).catch(() => undefined);
    if (request) await peer.write(response(request.line.split(" ")[1]!));
  }
}

const configuration = (backend: string) => `
workers: 2
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["${backend}"] } }
routes: [{ cluster: app }]
`;

interface Failure {
  /** When the connection on which it happened was made. */
  connectedMs: number;
  /** When it was noticed. */
  atMs: number;
  words: string;
}

/** Clients that ask again and again, each on a connection of its own, until they are told to stop. */
class Load {
  answered = 0;
  connections = 0;
  readonly failures: Failure[] = [];
  #over = false;
  readonly #clients: Promise<void>[];

  constructor(private readonly port: number, count: number) {
    this.#clients = Array.from({ length: count }, (_, index) => this.#run(index));
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#clients);
  }

  async #run(index: number): Promise<void> {
    for (let number = 0; !this.#over;) {
      const client = await connect(this.port); // a connection that is refused fails the test
      const connectedMs = performance.now();
      this.connections++;
      try {
        for (; !this.#over; number++) {
          const path = `/${index}/${number}`;
          await client.write(get(path));
          const got = await readMessage(client);
          assertEquals([got.status, toText(got.body)], [200, path]);
          this.answered++;
        }
      } catch (error) {
        this.failures.push({ connectedMs, atMs: performance.now(), words: String(error) });
      } finally {
        client.destroy();
      }
    }
  }
}

async function carriedBy(proxy: Proxy, pid: number): Promise<number> {
  const { workers } = await proxy.status();
  return workers.find((worker) => worker.pid === pid)?.counters?.["connections.active"] ?? NaN;
}

/** Waits until `count` workers serve and none of them is `dead`. Gives the milliseconds that it took. */
async function untilReplaced(proxy: Proxy, count: number, dead: number): Promise<number> {
  const from = performance.now();
  await eventually("the successor serves", () => proxy.status(), ({ workers }) => {
    return workers.length === count && workers.every((worker) => worker.counters && worker.pid !== dead);
  });
  return performance.now() - from;
}

Deno.test("kill -9 of a worker under load: only what it carried fails", async () => {
  await using backend = await startBackend(answer);
  await using proxy = await startProxy(configuration(backend.address));
  const load = new Load(proxy.port("web"), CLIENTS);
  for (let kill = 0; kill < 4; kill++) {
    await pause(250);
    const victim = (await proxy.workers())[kill % 2]!;
    const carried = await carriedBy(proxy, victim);
    const before = load.failures.length;
    const killedMs = performance.now();
    Deno.kill(victim, "SIGKILL");
    const tookMs = await untilReplaced(proxy, 2, victim);
    assert(tookMs < SUCCESSOR_MS, `the successor came after ${tookMs.toFixed()} ms`);
    await pause(100);
    const failed = load.failures.slice(before);
    assert(
      failed.length <= carried,
      `${failed.length} exchanges failed, the worker carried ${carried}: ${failed[0]?.words}`,
    );
    const late = failed.find(({ connectedMs }) => connectedMs > killedMs + 5);
    assert(!late, `an exchange failed on a connection made behind the kill: ${late?.words}`);
  }
  const before = load.answered;
  await pause(200);
  await load.stop();
  assert(load.answered > before + CLIENTS, "the load did not go on behind the kills");
  assert(load.failures.length > 0, "nothing was carried by the killed workers: this tested nothing");
  assertEquals(load.connections, CLIENTS + load.failures.length);
});

Deno.test("connections that wait to be accepted outlive the worker that does not accept them", async () => {
  await using backend = await startBackend(answer);
  await using proxy = await startProxy(configuration(backend.address));
  const [victim = 0, other = 0] = await proxy.workers();
  Deno.kill(victim, "SIGSTOP");
  const clients = await Promise.all(Array.from({ length: 40 }, () => connect(proxy.port("web"))));
  try {
    for (const [index, client] of clients.entries()) await client.write(get(`/${index}`));
    await pause(200);
    const waiting = clients.filter((client) => client.length === 0);
    assert(waiting.length > 0 && waiting.length < 40, `${waiting.length} of 40 wait: the kernel does not spread them`);
    Deno.kill(victim, "SIGKILL");
    for (const [index, client] of clients.entries()) {
      const got = await client.until("the answer", () => parseMessage(client.received));
      assertEquals(toText(got.body), `/${index}`);
    }
    assert((await proxy.workers()).includes(other), "the other worker is gone too");
  } finally {
    for (const client of clients) client.destroy();
  }
});
