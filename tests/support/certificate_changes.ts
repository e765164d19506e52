// Certificates are added, replaced and removed while clients make handshakes without a pause: two wrk's, one with a connection
// for each request, and clients that verify each certificate and each answer. After each change new handshakes are made at
// once, and what they are shown is timed from the answer `ok`. Others make handshakes all the time, with the name that was
// changed last: what each may have been shown follows from when it began and ended. Gives what was counted.

// deno-lint-ignore-file no-explicit-any

import { createSecureContext, type SecureContext } from "node:tls";
import { X509Certificate } from "node:crypto";
import { parseWrk } from "../../benches/peers/wrk.ts";
import { Client } from "../unit/control/client.ts";
import { CertificateFolder, type Pair, pemOf } from "./certificates.ts";
import { memoryOf, type Proxy, startProxy } from "./proxy.ts";
import { connectPeer, connectSecurely } from "./tls_stage.ts";
import { serveEcho, Traffic } from "./traffic.ts";

export interface CertificateChangesOptions {
  changes: number;
  /** Of each wrk; 0 is none. */
  connections: number;
  /** Clients that verify and compare. */
  keeping: number;
  closing: number;
  /** Clients that make handshakes with the name changed last, one after the other. */
  watching: number;
}

export interface CertificatesChanged {
  applied: number;
  refused: string[];
  tookSeconds: number;
  /** Of the changes, from the order to `ok`. */
  medianMs: number;
  slowestMs: number;
  /** From `ok` to the end of a handshake that began then; how many showed something else than the change says. */
  seen: { handshakes: number; wrong: string[]; medianMs: number; slowestMs: number };
  /** Of those who watch: shown what an `ok` before their beginning had replaced; and how many ended how long after an `ok`. */
  watched: { stale: string[]; soon: number; later: number };
  /** Answers that were verified, and what was wrong. */
  verified: number;
  failures: string[];
  wrk: { keepAlive: number; close: number; errors: string[] };
  failedHandshakes: Record<string, number>;
  memoryMb: { before: number; after: number };
}

/** Different certificates that replace each other. */
const VARIANTS = 8;
/** Within this time of `ok`, new handshakes see what is new. */
const SOON_MS = 50;
/** Handshakes behind each change: with two workers, hardly ever all at one. */
const LOOKS = 3;

/** A change as those who watch see it: what the name shows from somewhere between the order and `ok` on. */
interface Shown {
  host: string;
  fingerprint: string;
  isRemoval: boolean;
  orderedMs: number;
  okMs: number;
}

/** A handshake; `since`: the number of the last change with an `ok` before it began. */
interface Watched {
  host: string;
  since: number;
  shown: string;
  endedMs: number;
}

interface Variant {
  pair: Pair;
  inline: Pair;
  fingerprint: string;
}

export async function runCertificateChanges(options: CertificateChangesOptions): Promise<CertificatesChanged> {
  await using folder = new CertificateFolder();
  const authority = folder.make("ca", { authority: true });
  const names = ["keep.test", ...Array.from({ length: 10 }, (_, i) => `n${i}.test`)];
  const variants = Array.from({ length: VARIANTS }, (_, at): Variant => {
    const key = at % 4 === 3 ? "rsa" : "ec";
    const pair = folder.make(`v${at}`, { names, key, issuer: authority });
    const inline = pemOf(pair);
    return { pair, inline, fingerprint: new X509Certificate(inline.cert).fingerprint256 };
  });
  const backend = serveEcho();
  const { cert, key } = variants[0]!.pair;
  try {
    await using proxy = await startProxy(`
workers: 2
control: { socket: "{folder}/control.sock", state_file: "{folder}/state" }
listeners: { sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: keep } } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [ { cluster: app, allow_misdirected: true } ]
certificates: [ { name: keep, cert: ${cert}, key: ${key}, names: [keep.test] } ]
`);
    using client = await Client.connect(proxy.socket);
    return await new Run(proxy, client, variants, Deno.readTextFileSync(authority.cert), options).run();
  } finally {
    await backend.shutdown();
  }
}

class Run {
  readonly #port: number;
  readonly #tookMs: number[] = [];
  readonly #seenMs: number[] = [];
  readonly #wrong: string[] = [];
  readonly #refused: string[] = [];
  readonly #context: SecureContext;
  readonly #changes: Shown[] = [];
  readonly #watched: Watched[] = [];
  #watches = true;

  constructor(
    private readonly proxy: Proxy,
    private readonly client: Client,
    private readonly variants: readonly Variant[],
    ca: string,
    private readonly options: CertificateChangesOptions,
  ) {
    this.#port = proxy.port("sec");
    this.#context = createSecureContext({ ca });
  }

  async run(): Promise<CertificatesChanged> {
    const { changes, connections, keeping, closing, watching } = this.options;
    const before = await this.#memoryMb();
    const wrks = connections > 0 ? [this.#wrk(false), this.#wrk(true)] : [];
    const secure = { servername: "keep.test", secureContext: this.#context };
    const traffic = new Traffic(this.#port, { keeping, closing, open: (port) => connectPeer(port, secure) });
    const watchers = Array.from({ length: watching }, () => this.#watch());
    const began = performance.now();
    for (let number = 0; number < changes; number++) await this.#change(number);
    const tookSeconds = (performance.now() - began) / 1000;
    this.#watches = false;
    await Promise.all(watchers);
    await traffic.stop();
    // wrk leaves handshakes behind when it ends
    const counters = await this.proxy.counters();
    for (const { child } of wrks) child.kill("SIGINT");
    const [keepAlive, close] = (await Promise.all(wrks.map(({ text }) => text))).map(parseWrk);
    return {
      applied: this.#tookMs.length,
      refused: this.#refused,
      tookSeconds,
      ...summary(this.#tookMs),
      seen: { handshakes: this.#seenMs.length, wrong: this.#wrong, ...summary(this.#seenMs) },
      watched: this.#judge(),
      verified: traffic.served,
      failures: traffic.failures,
      wrk: {
        keepAlive: keepAlive?.requests ?? 0,
        close: close?.requests ?? 0,
        errors: [...keepAlive?.errors ?? [], ...close?.errors ?? []],
      },
      failedHandshakes: counters.all("tls.failed."),
      memoryMb: { before, after: await this.#memoryMb() },
    };
  }

  /** In turns: one is added, replaced twice (by paths, by text), removed; and the one that all clients are shown is replaced. */
  async #change(number: number): Promise<void> {
    const turn = Math.floor(number / 5);
    const host = `n${turn % 10}.test`;
    const next = this.variants[number % VARIANTS]!;
    const given = number % 2 === 0 ? next.pair : next.inline;
    const named = (name: string) => ({ object: "certificate", name });
    switch (number % 5) {
      case 0:
        return await this.#apply(
          { order: "add", ...named(host), value: { ...given, names: [host] } },
          next.fingerprint,
        );
      case 1:
      case 2:
        return await this.#apply({ order: "update", ...named(host), value: given }, next.fingerprint);
      case 3:
        return await this.#apply({ order: "update", ...named("keep"), value: given }, next.fingerprint);
      default: {
        // what is left is the default, as it was replaced last
        const { fingerprint } = this.variants[(number - 1) % VARIANTS]!;
        return await this.#apply({ order: "remove", ...named(host) }, fingerprint);
      }
    }
  }

  async #apply(order: { order: string; name: string; value?: unknown }, fingerprint: string): Promise<void> {
    const orderedMs = performance.now();
    const answer: any = await this.client.ask({ verb: "apply", orders: [order], why: "test" });
    const okMs = performance.now();
    if (answer.status !== "ok") return void this.#refused.push(JSON.stringify(answer).slice(0, 300));
    this.#tookMs.push(okMs - orderedMs);
    const host = order.name === "keep" ? "keep.test" : order.name;
    this.#changes.push({ host, fingerprint, isRemoval: order.order === "remove", orderedMs, okMs });
    await this.#see(host, fingerprint);
  }

  async #see(host: string, fingerprint: string): Promise<void> {
    const began = performance.now();
    const look = async () => {
      const shown = await this.#shownTo(host);
      this.#seenMs.push(performance.now() - began);
      if (shown !== fingerprint) this.#wrong.push(`${host}: ${shown} instead of ${fingerprint}`);
    };
    const failed = (error: Error) => void this.#wrong.push(`${host}: ${error.message}`);
    await Promise.all(Array.from({ length: LOOKS }, () => look().catch(failed)));
  }

  async #shownTo(host: string): Promise<string> {
    const socket = await connectSecurely(this.#port, { servername: host, secureContext: this.#context });
    const shown = socket.getPeerCertificate().fingerprint256;
    socket.destroy();
    return shown;
  }

  async #watch(): Promise<void> {
    while (this.#watches) {
      const since = this.#changes.length - 1;
      const host = this.#changes[since]?.host ?? "keep.test";
      const shown = await this.#shownTo(host).catch((error: Error) => error.message);
      this.#watched.push({ host, since, shown, endedMs: performance.now() });
    }
  }

  #judge(): CertificatesChanged["watched"] {
    const judged = { stale: [] as string[], soon: 0, later: 0 };
    for (const { host, since, shown, endedMs } of this.#watched) {
      if (since < 0) continue;
      const possible = this.#possible(host, since, endedMs);
      if (!possible.has(shown)) judged.stale.push(`${host}, since change ${since}: ${shown}`);
      else if (endedMs - this.#changes[since]!.okMs <= SOON_MS) judged.soon++;
      else judged.later++;
    }
    return judged;
  }

  /** What a name may show to a handshake that began behind a change of it: that, or what was ordered before it ended. */
  #possible(host: string, since: number, endedMs: number): Set<string> {
    const all = new Set<string>();
    let isRemoved = false;
    for (const change of this.#changes.slice(since)) {
      if (change.orderedMs > endedMs) break;
      if (change.host === host) isRemoved = change.isRemoval;
      else if (!isRemoved || change.host !== "keep.test") continue;
      all.add(change.fingerprint);
    }
    return all;
  }

  #wrk(close: boolean): { child: Deno.ChildProcess; text: Promise<string> } {
    const args = ["-t1", `-c${this.options.connections}`, "-d600s", "--latency", "--timeout", "10s"];
    args.push("-H", "Host: keep.test", ...close ? ["-H", "Connection: close"] : []);
    const words = [...args, `https://127.0.0.1:${this.#port}/x`];
    const child = new Deno.Command("wrk", { args: words, stdin: "null", stdout: "piped" }).spawn();
    return { child, text: child.output().then(({ stdout }) => new TextDecoder().decode(stdout)) };
  }

  async #memoryMb(): Promise<number> {
    const [worker] = await this.proxy.workers();
    return Math.round(memoryOf(worker!).anonymous / 1e5) / 10;
  }
}

function summary(times: readonly number[]): { medianMs: number; slowestMs: number } {
  const sorted = times.toSorted((x, y) => x - y);
  const round = (value = NaN) => Math.round(value * 100) / 100;
  return { medianMs: round(sorted[sorted.length >> 1]), slowestMs: round(sorted.at(-1)) };
}
