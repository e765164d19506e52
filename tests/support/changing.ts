// Everything changes while traffic flows: two wrk's, one of them with a connection for each request, and open WebSockets, while
// changes of every kind are applied, workers are killed and the program is upgraded. Gives what was counted; the test asserts
// on it at a small size, and benches/changing.ts at full length.
//
// Only those requests may fail that a killed worker carried. A victim is stopped first, so that the connections it has
// accepted can be counted, and everything beyond that count is a failure of the proxy.

// deno-lint-ignore-file no-explicit-any

import { parseWrk } from "../../benches/peers/wrk.ts";
import { Client } from "../unit/control/client.ts";
import { changes } from "./changes.ts";
import { Family, openFilesOf, zombiesOf } from "./family.ts";
import { eventually, memoryOf, type Proxy, startProxy } from "./proxy.ts";
import { serveEcho } from "./traffic.ts";
import { clientsHeldBy, startEchoBackend, Tunnels } from "./tunnels.ts";

export interface ChangingOptions {
  seconds: number;
  changes: number;
  kills: number;
  upgrades: number;
  /** Of each wrk. */
  connections: number;
  sockets: number;
  /** Every so many changes the number of workers is another. */
  resizeEvery: number;
}

/** What a process had at some time. */
export interface Footprint {
  descriptors: number;
  memoryMb: number;
}

export interface Changed {
  applied: number;
  /** Changes that were refused or not answered. */
  refused: string[];
  upgrades: number;
  kills: number;
  tookSeconds: number;
  /** Answered requests of each wrk. */
  requests: { keepAlive: number; close: number };
  /** Requests that wrk counts as failed, and how many connections of clients the killed workers held. */
  failedRequests: number;
  otherAnswers: number;
  carriedByKilled: number;
  wrk: string[];
  sockets: { echoedMb: number; cut: number; carriedByKilled: number; failures: string[] };
  medianMs: number;
  slowestMs: number;
  pausedUs: number;
  before: { main: Footprint; worker: Footprint };
  after: { main: Footprint; worker: Footprint };
  zombies: number;
  processes: string[];
}

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const config = (app: string, echo: string) => `
workers: 2
control: { socket: "{folder}/control.sock", state_file: "{folder}/state" }
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters:
  app: { backends: ["${app}"], pool: { idle_timeout: 1s } }
  echo: { backends: ["${echo}"] }
routes: [ { cluster: app }, { path: /socket, cluster: echo } ]
timeouts: { drain: 10m }
`;

/** One run. `say` is told how far it is. */
export async function runChanging(options: ChangingOptions, say: (line: string) => void = () => {}): Promise<Changed> {
  await using echo = await startEchoBackend();
  const [a, b] = [serveEcho(), serveEcho()];
  const family = new Family();
  try {
    await using proxy = await startProxy(config(a.address, echo.address), family.env);
    using client = await Client.connect(proxy.socket);
    return await new Run(proxy, client, family, b.address, options, say).run();
  } finally {
    await Promise.all([a.shutdown(), b.shutdown()]);
  }
}

class Run {
  readonly #port: number;
  readonly #tookMs: number[] = [];
  readonly #refused: string[] = [];
  #pausedUs = 0;
  #carried = 0;
  #carriedSockets = 0;
  #kills = 0;
  #upgrades = 0;
  #tunnels!: Tunnels;

  constructor(
    private readonly proxy: Proxy,
    private readonly client: Client,
    private readonly family: Family,
    private readonly b: string,
    private readonly options: ChangingOptions,
    private readonly say: (line: string) => void,
  ) {
    this.#port = proxy.port("web");
  }

  async run(): Promise<Changed> {
    const { seconds, sockets } = this.options;
    const { state } = await this.client.ask({ verb: "get" });
    // A listening socket of a slot is kept when the slot goes, so the most slots decide how many there are.
    for (const set of [4, 2]) await this.client.ask({ verb: "workers", set });
    await this.#warmUp();
    const before = await this.#footprints();
    this.#tunnels = await Tunnels.open(this.#port, sockets);
    const began = performance.now();
    const wrks = Promise.all([this.#wrk(seconds, false), this.#wrk(seconds, true)]);
    await delay(300);
    await this.#changeEverything(began);
    const tookSeconds = (performance.now() - began) / 1000;
    const [keepAlive, close] = (await wrks).map(parseWrk);
    await this.#tunnels.stop();
    await this.client.ask({ verb: "apply", state });
    await this.client.ask({ verb: "workers", restart: true });
    const processes = await this.#untilAlone();
    await this.#warmUp();
    const errors = [...keepAlive!.errors, ...close!.errors];
    const sorted = this.#tookMs.toSorted((x, y) => x - y);
    return {
      applied: this.#tookMs.length,
      refused: this.#refused,
      upgrades: this.#upgrades,
      kills: this.#kills,
      tookSeconds,
      requests: { keepAlive: keepAlive!.requests, close: close!.requests },
      failedRequests: sumOf(errors, /(?:connect|read|write|timeout) (\d+)/g),
      otherAnswers: sumOf(errors, /responses: (\d+)/g),
      carriedByKilled: this.#carried,
      wrk: errors,
      sockets: {
        echoedMb: this.#tunnels.echoedBytes / 1e6,
        cut: this.#tunnels.cut,
        carriedByKilled: this.#carriedSockets,
        failures: this.#tunnels.failures,
      },
      medianMs: sorted[sorted.length >> 1] ?? NaN,
      slowestMs: sorted.at(-1) ?? NaN,
      pausedUs: this.#pausedUs,
      before,
      after: await this.#footprints(),
      zombies: zombiesOf(this.proxy.pid).length,
      processes,
    };
  }

  /** Changes at an even pace, with kills and upgrades among them. */
  async #changeEverything(began: number): Promise<void> {
    const { changes: count, kills, upgrades, seconds, resizeEvery } = this.options;
    const paceMs = (seconds * 1000 - 1500) / count;
    const killEvery = Math.floor(count / (kills + 0.5));
    const upgradeEvery = Math.floor(count / (upgrades + 0.5));
    let number = 0;
    for (const change of changes(count, this.b, resizeEvery)) {
      number++;
      const begin = performance.now();
      const answer = await change(this.client);
      if (answer.status !== "ok") this.#refused.push(`${number}: ${answer.code}: ${answer.reason}`);
      else this.#tookMs.push(performance.now() - begin);
      this.#pausedUs = Math.max(this.#pausedUs, answer.paused_us ?? 0);
      // The first kill comes before the first upgrade, while those workers still serve that hold WebSockets.
      if (number % killEvery === killEvery >> 2 && this.#kills < kills) await this.#kill(number);
      else if (number % upgradeEvery === upgradeEvery >> 1 && this.#upgrades < upgrades) await this.#upgrade(number);
      await delay(Math.max(0, began + number * paceMs - performance.now()));
    }
  }

  async #upgrade(number: number): Promise<void> {
    const answer = await this.client.ask({ verb: "upgrade" });
    if (answer.status === "ok") this.#upgrades++;
    else this.#refused.push(`upgrade after change ${number}: ${answer.reason}`);
    this.say(`change ${number}: upgrade ${this.#upgrades}, ${answer.took_ms} ms`);
  }

  async #kill(number: number): Promise<void> {
    const { workers } = await this.client.ask({ verb: "status" });
    const serving = workers.filter(({ state }: any) => state === "serving");
    const victim = serving[this.#kills % serving.length].pid;
    Deno.kill(victim, "SIGSTOP");
    await delay(5);
    const held = clientsHeldBy(victim, this.#port);
    const sockets = held.filter((port) => this.#tunnels.ports.has(port));
    this.#tunnels.excuse(sockets);
    Deno.kill(victim, "SIGKILL");
    this.#kills++;
    this.#carried += held.length - sockets.length;
    this.#carriedSockets += sockets.length;
    this.say(`change ${number}: kill ${this.#kills} of ${victim}, which held ${held.length} clients`);
  }

  /** Every worker has served, whatever that makes it load. */
  async #warmUp(): Promise<void> {
    await this.client.ask({ verb: "upgrade" });
    await this.#untilAlone();
    const wrk = await this.#wrk(1, true);
    if (parseWrk(wrk).errors.length > 0) throw new Error(wrk);
    await delay(2_500); // what a burst has touched is given back, and idle connections are closed
  }

  async #wrk(seconds: number, close: boolean): Promise<string> {
    const { connections } = this.options;
    const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "--timeout", "10s"];
    if (close) args.push("-H", "Connection: close");
    const url = `http://127.0.0.1:${this.#port}/x`;
    const { stdout } = await new Deno.Command("wrk", { args: [...args, url], stdin: "null" }).output();
    return new TextDecoder().decode(stdout);
  }

  async #pids(): Promise<number[]> {
    const { workers } = await this.client.ask({ verb: "status" });
    return workers.filter(({ state }: any) => state === "serving").map(({ pid }: any) => pid);
  }

  async #footprints(): Promise<{ main: Footprint; worker: Footprint }> {
    const [worker = 0] = await this.#pids();
    return { main: footprintOf(this.proxy.pid), worker: footprintOf(worker) };
  }

  /** Waits until there are only main, two workers and the one that waits; gives what there is. */
  async #untilAlone(): Promise<string[]> {
    const members = () => this.family.members().map(({ command }) => / worker 3$/.test(command) ? "worker" : command);
    return await eventually("processes", members, (found) => found.length === 4, 15_000);
  }
}

function footprintOf(pid: number): Footprint {
  const descriptors = openFilesOf(pid).filter((name) => !name.startsWith("pipe:")).length;
  return { descriptors, memoryMb: Math.round(memoryOf(pid).anonymous / 1e5) / 10 };
}

function sumOf(lines: readonly string[], pattern: RegExp): number {
  let sum = 0;
  for (const line of lines) for (const [, count] of line.matchAll(pattern)) sum += Number(count);
  return sum;
}
