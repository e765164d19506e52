// One run of the chaos: a proxy in front of backends that do what requests say, clients of every kind, and changes, for as long as
// it is told; then everything comes to rest, and nothing may be left. The seed decides who does what, though not when.

import { CertificateFolder, pemOf } from "../certificates.ts";
import { Family } from "../family.ts";
import { eventually, memoryOf, type Proxy, startProxy } from "../proxy.ts";
import { createRandom, type Random } from "../random.ts";
import { descriptorsOf } from "../stage.ts";
import { startEchoBackend, Tunnels } from "../tunnels.ts";
import { ChaosBackend } from "./backend.ts";
import { Book } from "./book.ts";
import { Changes } from "./changes.ts";
import { type ClientContext, open } from "./client.ts";
import { Http1Client } from "./http1_client.ts";
import { Http2Client } from "./http2_client.ts";
import { ANSWER_FRAMINGS, chance, type Fault, FAULTS, METHODS, pick, type Plan, QUITS, randomSize } from "./plan.ts";
import { pause, type Wire } from "./wire.ts";

export interface ChaosOptions {
  seed: number;
  seconds: number;
  workers: number;
  clients: number;
  /** Buffers of a worker; few of them make everybody wait for one. */
  buffers: number;
  /** Nothing is changed without. */
  paceMs?: number;
  /** All without. */
  clusters?: string[];
}

export interface ChaosResult {
  faults: string[];
  asked: number;
  tally: Record<string, number>;
  applied: number;
  kills: number;
  upgrades: number;
  notes: string[];
  log: string;
}

/** Nothing takes longer that works as it should; a request that does has got stuck. */
const STUCK_MS = 25_000;
const REST_MS = 15_000;
const BODY_MAX = 300_000;
/** WebSockets that are open all the time. */
const TUNNELS = 5;
const CALM_FAULTS: Fault[] = ["none", "none", "none", "none", "none", "last"];
const SHY_FAULTS: Fault[] = ["none", "none", "none", "none", "none", "none", "none", "refuse", "refuse", "leave"];
const CLUSTERS = ["calm1", "calm2", "calmtls", "calmmoving", "shy", "wild1", "wild2", "wildtls"];
const GAUGES = [
  "connections.active",
  "streams.active",
  "h2.connections.active",
  "h2.streams.active",
  "upstreams.active",
  "upstreams.h2.streams.active",
  "upstreams.idle",
  "buffers.used",
  "pipes.used",
  "tls.handshakes.active",
  "tls.connections.active",
];

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  await using folder = new CertificateFolder();
  const issuer = folder.make("ca", { authority: true });
  const pairs = [0, 1].map((n) => folder.make(`leaf${n}`, { names: ["a.test", "localhost"], issuer }));
  const book = new Book(options.buffers < 500);
  const backends: ChaosBackend[] = [];
  const start = async (isSecure: boolean) => {
    const one = await ChaosBackend.start(book, options.seed + backends.length, isSecure ? pemOf(pairs[0]!) : undefined);
    backends.push(one);
    return one.address;
  };
  await using echo = await startEchoBackend();
  try {
    const run = new Run(options, book, backends, pairs, issuer.cert, echo.address);
    return await run.run(await run.start(start));
  } finally {
    for (const one of backends) await one[Symbol.asyncDispose]();
  }
}

class Run {
  readonly #random: Random;
  readonly #family = new Family();
  readonly #excused = new Set<number>();
  readonly #wires = new Set<Wire>();
  #isOver = false;
  readonly #spares: Record<string, string> = {};

  constructor(
    private readonly options: ChaosOptions,
    private readonly book: Book,
    private readonly backends: ChaosBackend[],
    private readonly pairs: { cert: string; key: string }[],
    private readonly ca: string,
    private readonly echo: string,
  ) {
    this.#random = createRandom(options.seed);
  }

  async start(backend: (isSecure: boolean) => Promise<string>): Promise<Proxy> {
    const { options, ca, pairs } = this;
    const lines: string[] = [];
    for (const name of CLUSTERS.filter((name) => name !== "calmmoving")) {
      const isSecure = name.endsWith("tls");
      const address = await backend(isSecure);
      this.#spares[name] = await backend(isSecure);
      const protocol = isSecure ? "h2" : name === "calm1" || name === "wild1" ? "http/1.1" : "h2c";
      const tls = isSecure ? `, tls: { ca: ${ca}, server_name: a.test }` : "";
      lines.push(`  ${name}: { backends: ["${address}"], protocol: ${protocol}${tls} }`);
    }
    const routes = CLUSTERS.map((name) =>
      `  - { path: "/${name}/*", cluster: ${name === "calmmoving" ? "calm1" : name} }`
    );
    const most = 1_000_000;
    const abuse = [
      "resets",
      "resets_caused",
      "pings",
      "settings",
      "window_updates",
      "priorities",
      "ignored_frames",
      "small_frames",
      "empty_frames",
      "refused_streams",
    ].map((name) => `${name}: ${most}`).join(", ");
    const http2 = `http2: { abuse: { ${abuse} } }`;
    return await startProxy(
      `
workers: ${options.workers}
control: { socket: "{folder}/control.sock", state_file: "{folder}/state" }
listeners:
  web: { address: "127.0.0.1:0", h2c: true, ${http2} }
  sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: leaf }, ${http2} }
clusters:
  echo: { backends: ["${this.echo}"] }
${lines.join("\n")}
routes:
  - { path: /socket, cluster: echo }
${routes.join("\n")}
certificates: [{ name: leaf, cert: ${pairs[0]!.cert}, key: ${pairs[0]!.key} }]
timeouts: { response: 3s, request_body: 10s, write: 10s, drain: ${options.seconds + 60}s, request_header: 10s }
limits: { buffers: ${options.buffers}, pipes: ${pick(this.#random, [0, 4, 256])} }
access_log: { path: "{folder}/access.log", format: json }
`,
      this.#family.env,
    );
  }

  async run(started: Proxy): Promise<ChaosResult> {
    await using proxy = started;
    const { options, book } = this;
    const [worker = 0] = await proxy.workers();
    const before = descriptorsOf(worker);
    const tunnels = book.isShort ? undefined : await Tunnels.open(proxy.port("web"), TUNNELS);
    const changes = this.#changes(proxy, tunnels);
    const stuck = setInterval(() => book.lookForStuck(STUCK_MS), 1_000);
    const changing = options.paceMs === undefined ? Promise.resolve() : changes.run();
    const clients = Array.from(
      { length: options.clients },
      (_, n) => this.#client(proxy, createRandom(options.seed * 1000 + n)),
    );
    await pause(options.seconds * 1000);
    this.#isOver = true;
    await changing;
    book.note("over");
    const ended = await Promise.race([Promise.all(clients), pause(STUCK_MS + 10_000)]);
    clearInterval(stuck);
    await tunnels?.stop();
    for (const failure of tunnels?.failures ?? []) book.fault(failure);
    if (ended === undefined) book.fault("clients do not come to an end");
    for (const wire of this.#wires) wire.destroy();
    await this.#rest(proxy, before.other).catch((error) => book.fault(String(error)));
    this.#readLog(proxy.log());
    return {
      faults: book.faults,
      asked: book.asked,
      tally: Object.fromEntries([...book.tally].sort(([, a], [, b]) => b - a)),
      applied: changes.applied,
      kills: changes.kills,
      upgrades: changes.upgrades,
      notes: book.notes,
      log: proxy.log(),
    };
  }

  #changes(proxy: Proxy, tunnels: Tunnels | undefined): Changes {
    const plain = ["http/1.1", "h2c"];
    const secure = ["http/1.1", "h2"];
    return new Changes({
      proxy,
      book: this.book,
      random: createRandom(this.options.seed + 17),
      protocols: { calm1: plain, calm2: plain, calmtls: secure, wild1: plain, wild2: plain, wildtls: secure },
      spares: this.#spares,
      ports: [proxy.port("web"), proxy.port("sec")],
      excused: this.#excused,
      tunnels,
      pairs: this.pairs,
      isOver: () => this.#isOver,
      paceMs: this.options.paceMs ?? 0,
    });
  }

  async #client(proxy: Proxy, random: Random): Promise<void> {
    while (!this.#isOver) {
      const isSecure = chance(random, 40);
      const context: ClientContext = {
        book: this.book,
        random,
        door: { port: proxy.port(isSecure ? "sec" : "web"), tls: isSecure },
        ca: Deno.readTextFileSync(this.ca),
        nextPlan: () => this.#plan(random),
        isOver: () => this.#isOver,
        excused: this.#excused,
        wires: this.#wires,
      };
      const isHttp2 = chance(random, 50);
      const wire = await open(context, isHttp2 ? "h2" : "http/1.1").catch((error) => {
        // it may have been accepted by a worker that was killed in the handshake
        if (!isSecure) this.book.fault(`a connection was not taken: ${error}`);
        return undefined;
      });
      if (wire !== undefined) await new (isHttp2 ? Http2Client : Http1Client)(context, wire).run();
      await pause(random.below(20));
    }
  }

  #plan(random: Random): Plan {
    const cluster = pick(random, this.options.clusters ?? CLUSTERS);
    const isWild = cluster.startsWith("wild");
    const method = pick(random, METHODS);
    const hasBody = method === "POST" || method === "PUT" || chance(random, 3);
    const hasLength = random.below(2) === 0;
    const framing = pick(random, ANSWER_FRAMINGS);
    const status = chance(random, 70) ? 200 : pick(random, [204, 304, 404, 500]);
    const isBare = status === 204 || status === 304 || method === "HEAD";
    const plan: Plan = {
      id: this.book.nextId(),
      cluster,
      method,
      sent: hasBody ? randomSize(random, BODY_MAX) : -1,
      hasLength,
      hasTrailers: hasBody && !hasLength && chance(random, 20),
      expects: hasBody && chance(random, 10),
      quit: chance(random, 8) ? pick(random, QUITS) : "never",
      status,
      size: randomSize(random, BODY_MAX),
      framing,
      hints: chance(random, 10) ? random.between(1, 3) : 0,
      answerTrailers: !isBare && framing === "chunks" && chance(random, 20),
      early: hasBody && chance(random, 8),
      afterMs: chance(random, 20) ? random.below(100) : 0,
      pieces: random.between(1, 6),
      pauseMs: chance(random, 10) ? random.below(20) : 0,
      fault: pick(random, isWild ? FAULTS : cluster === "shy" ? SHY_FAULTS : CALM_FAULTS),
    };
    if (plan.quit === "sending" && plan.sent < 1) plan.quit = "never";
    // without a length, and cut where it cannot be told from the end
    if (plan.framing === "close" && plan.fault !== "none") plan.framing = "chunks";
    if (plan.fault === "hang" && !chance(random, 5)) plan.fault = "none";
    return plan;
  }

  /** Everything that was under way is over: nothing may be left of it. */
  async #rest(proxy: Proxy, descriptors: number): Promise<void> {
    for (const one of this.backends) one.cutAll();
    const busy = async () => {
      for (const one of this.backends) one.cutAll();
      const { workers } = await proxy.status();
      return workers.flatMap(({ pid, state, counters }) => {
        if (state !== "serving" || counters === null) return [`${pid} ${state}`];
        return GAUGES.filter((name) => counters[name]).map((name) => `${pid} ${name} ${counters[name]}`);
      });
    };
    await eventually("still in use", busy, (list) => list.length === 0, REST_MS);
    const isWorker = (command: string) => / worker \d+$/.test(command);
    const { workers } = await proxy.status();
    const processes = () => this.#family.members().filter(({ command }) => isWorker(command)).length;
    await eventually("workers", processes, (count) => count <= workers.length + 1, REST_MS);
    for (const { pid } of workers) {
      const more = () => descriptorsOf(pid).other - descriptors;
      await eventually(`more descriptors of ${pid}`, more, (count) => count <= 4, REST_MS);
      const { anonymous } = memoryOf(pid);
      if (anonymous > 250e6) this.book.fault(`worker ${pid} has ${anonymous} bytes`);
    }
  }

  /** Whatever main or a worker say of themselves that nobody asked for. */
  #readLog(log: string): void {
    for (const line of log.split("\n")) {
      // the one that was killed
      if (line.includes("worker died") && line.includes('by="signal 9"')) continue;
      if (/ ERROR |assert|TypeError|RangeError|unreachable|panicked/.test(line)) this.book.fault(`log: ${line}`);
    }
  }
}
