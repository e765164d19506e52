// Clients that hold handshakes open, send what is no TLS, or say nothing, by the thousand: memory and counts stay in bounds, and
// a client beside them is served as without them. KAKEHI_HALF_OPEN=9000 is as many as the descriptors of one machine allow.

import { assert, assertEquals } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { get, readMessage } from "../support/messages.ts";
import { eventually, memoryOf } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { connectPeer, serveTls } from "../support/tls_stage.ts";

const ignore = requireTools("openssl");
const HALF_OPEN = Number(Deno.env.get("KAKEHI_HALF_OPEN") ?? 2000);
/** A place for one in ten, as by default for the ten thousand. */
const PLACES = Math.ceil(HALF_OPEN / 9.8);
/** What a half-open handshake with a place may take, and what the runtime's collector leaves lying. */
const PLACE_BYTES = 64 << 10;
const WAITING_BYTES = 2 << 10;
const SLACK = 16 << 20;

/** Beginnings that lead to nothing; of one kind after the other. */
const BEGINNINGS: Uint8Array<ArrayBuffer>[] = [
  new Uint8Array(0), // nothing
  Uint8Array.of(22, 3, 1, 2, 0, 1), // a record that is promised
  Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3), // a hello that is promised
  new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
  crypto.getRandomValues(new Uint8Array(300)),
  Uint8Array.of(0x80, 0x2e, 1, 3, 1), // a hello of SSL 2
  Uint8Array.of(21, 3, 3, 0, 2, 2, 40), // an alert
];

class Bystander {
  /** Of requests on a connection that is kept; of handshakes. */
  readonly tookMs: number[] = [];
  readonly handshakeMs: number[] = [];
  readonly failures: string[] = [];
  #over = false;
  readonly #done: Promise<void>[];

  /** Two clients: one keeps its connection, one makes a handshake for each request. */
  constructor(private readonly port: number, private readonly ca: string) {
    this.#done = [this.#run(true), this.#run(false)];
  }

  async #run(keeps: boolean): Promise<void> {
    while (!this.#over) {
      try {
        const from = performance.now();
        using peer = await connectPeer(this.port, { ca: this.ca, servername: "a.test" });
        this.handshakeMs.push(performance.now() - from);
        do {
          const began = performance.now();
          await peer.write(get("/"));
          const { body } = await readMessage(peer);
          if (keeps) this.tookMs.push(performance.now() - began);
          if (toText(body) !== "hello") this.failures.push(toText(body));
          await new Promise((resolve) => setTimeout(resolve, 2));
        } while (keeps && !this.#over);
      } catch (error) {
        this.failures.push(String(error));
      }
    }
  }

  async stop(): Promise<{ requests: Times; handshakes: Times }> {
    this.#over = true;
    await Promise.all(this.#done);
    return { requests: times(this.tookMs), handshakes: times(this.handshakeMs) };
  }
}

interface Times {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

function times(list: readonly number[]): Times {
  const sorted = list.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(100 * (sorted[Math.floor((sorted.length - 1) * share)] ?? NaN)) / 100;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

Deno.test({
  name: "thousands of handshakes that lead to nothing: bounded, counted, and others are served meanwhile",
  ignore,
  async fn() {
    const tls = `default_certificate: ecdsa, handshakes: ${PLACES}, handshake_timeout: 4s`;
    await using stage = await serveTls({ tls });
    const { proxy } = stage;
    const port = proxy.port("sec");
    const [worker] = await proxy.workers();
    const ca = Deno.readTextFileSync(stage.authority.cert);
    const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const alone = new Bystander(port, ca);
    await wait(1_500);
    const quiet = await alone.stop();
    const before = memoryOf(worker!).anonymous;
    const beside = new Bystander(port, ca);
    const open: Deno.TcpConn[] = [];
    let memory = 0;
    try {
      for (let i = 0; i < HALF_OPEN; i++) {
        const one = await Deno.connect({ hostname: "127.0.0.1", port });
        open.push(one);
        // whoever was answered with an alert may find the connection gone
        await one.write(BEGINNINGS[i % BEGINNINGS.length]!).catch(() => 0);
        if (i % 100 === 0) memory = Math.max(memory, memoryOf(worker!).anonymous - before);
      }
      const during = await proxy.counters();
      assert(during.of("tls.handshakes.active") <= PLACES, `${during.of("tls.handshakes.active")} in progress`);
      await wait(1_500);
      memory = Math.max(memory, memoryOf(worker!).anonymous - before);
      // all of them are over by their time
      await eventually(
        "their end",
        () => proxy.counters(),
        (now) => now.of("tls.handshakes.active") <= 1 && now.of("connections.active") <= 2,
        15_000,
      );
    } finally {
      for (const one of open) one.close();
    }
    const busy = await beside.stop();
    const failed = (await proxy.counters()).all("tls.failed.");
    const figures = JSON.stringify({ quiet, busy, memoryMb: memory / 2 ** 20, failed });
    if (HALF_OPEN > 2000) console.log(figures);
    assertEquals(beside.failures, [], figures);
    const sum = Object.values(failed).reduce((total, count) => total + count, 0);
    assertEquals(sum, HALF_OPEN, figures);
    const each = Math.floor(HALF_OPEN / BEGINNINGS.length);
    assert(failed["tls.failed.plain_http"]! >= each && failed["tls.failed.timeout"]! >= each, figures);
    assert(memory < SLACK + PLACES * PLACE_BYTES + HALF_OPEN * WAITING_BYTES, figures);
    assert(busy.requests.count > 100 && busy.requests.p99 < quiet.requests.p99 + 100, figures);
    assert(busy.handshakes.count > 20 && busy.handshakes.max < 4_000, figures);
  },
});
