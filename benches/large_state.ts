// What a state of 100,000 routes over 10,000 clusters costs: `deno run -A benches/large_state.ts [ROUTES]`, a tenth of them
// clusters. Prints how long it takes to load, what one change costs afterwards, how long loops stand still, what a lookup
// costs beside one with 10 routes, memory for a route, and what it means for clients when all of it is applied to a proxy
// that serves already. Two workers; the program is run from its sources. Needs wrk for what clients notice.

import { Connection } from "../src/ts/cli/connection.ts";
import type { ApplyAnswer, ProxyStatus } from "../src/ts/control/protocol.ts";
import { Router } from "../src/ts/routing/router.ts";
import { type Child, findProgram, Stage } from "./peers/stage.ts";
import { type PlatformStyle, platformText } from "./platform.ts";
import { manyRules, type Requests, traffic } from "./routing_traffic.ts";

const MAIN = new URL("../src/ts/main.ts", import.meta.url).pathname;
const ROUTES_PER_CLUSTER = 10;
const WORKERS = 2;
const CHANGES = 1_000;
const LOAD_LIMIT_MS = 120_000;
const REQUESTS = 4096;
const LOOKUPS = 2 * REQUESTS;
const LOOKUP_ROUNDS = 15;
const LOOKUP_TURN = 60;
const WRK_SECONDS = 30;

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Proxy {
  private constructor(readonly child: Child, readonly socket: string, readonly address: string) {}

  /** Starts a proxy; gives it when the first request was answered, and how long that took. */
  static async start(stage: Stage, file: string, address: string): Promise<[proxy: Proxy, tookMs: number]> {
    const socket = `${stage.dir}/${performance.now()}.sock`;
    const began = performance.now();
    const args = ["run", "-A", "--no-prompt", MAIN, "start", "-c", file, "--socket", socket];
    const child = stage.spawn("kakehi", stage.folder("kakehi"), Deno.execPath(), args);
    while (!await answers(address)) {
      if (child.status) throw new Error(`the proxy ended:\n${Deno.readTextFileSync(child.errPath)}`);
      if (performance.now() - began > LOAD_LIMIT_MS) throw new Error("the proxy does not answer");
      await delay(5);
    }
    return [new Proxy(child, socket, address), performance.now() - began];
  }

  async connect(): Promise<Connection> {
    for (;; await delay(5)) {
      if (this.child.status) throw new Error(`the proxy ended:\n${Deno.readTextFileSync(this.child.errPath)}`);
      if (await Deno.lstat(this.socket).then(() => true, () => false)) return await Connection.open(this.socket);
    }
  }

  /** Resident memory of the workers that serve, in bytes. */
  async workerBytes(): Promise<number[]> {
    using connection = await this.connect();
    const status = await connection.request<ProxyStatus>("status");
    return status.workers.filter(({ state }) => state === "serving").map(({ pid }) => residentBytes(pid));
  }

  async stop(): Promise<void> {
    this.child.process.kill("SIGTERM");
    this.child.process.kill("SIGTERM");
    await this.child.exited;
  }
}

async function answers(address: string): Promise<boolean> {
  const [hostname, port] = address.split(":");
  try {
    using connection = await Deno.connect({ hostname: hostname!, port: Number(port) });
    await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n"));
    return (await connection.read(new Uint8Array(1024)) ?? 0) > 0;
  } catch {
    return false;
  }
}

function residentBytes(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]);
}

/** CPU time of a process so far, in milliseconds. */
function cpuOf(pid: number): number {
  const { userTicks, systemTicks } = readTicks(pid);
  return 10 * (userTicks + systemTicks);
}

function readTicks(pid: number): { userTicks: number; systemTicks: number } {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return { userTicks: Number(fields[11]), systemTicks: Number(fields[12]) };
}

function freeAddress(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `127.0.0.1:${listener.addr.port}`;
}

function say(what: string, value: string): void {
  console.log(`${what.padEnd(58)} ${value}`);
}

const ms = (value: number) => `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;

function write(stage: Stage, clusters: number, listen: string, style: PlatformStyle = "flow"): string {
  const control = { state_file: `${stage.dir}/${clusters}.state` };
  const settings = { workers: WORKERS, user: "", control, timeouts: { drain: "2s" } };
  const file = `${stage.dir}/${clusters}.${style}`;
  Deno.writeTextFileSync(
    file,
    platformText({ clusters, routesPerCluster: ROUTES_PER_CLUSTER, style, settings, listen }),
  );
  return file;
}

async function load(stage: Stage, clusters: number): Promise<void> {
  for (const style of ["flow", "block", "json"] as const) {
    const address = freeAddress();
    const file = write(stage, clusters, address, style);
    const [proxy, firstMs] = await Proxy.start(stage, file, address);
    const began = performance.now();
    (await proxy.connect()).close();
    const mib = (Deno.statSync(file).size / 2 ** 20).toFixed(1);
    say(
      `load ${mib} MiB (${style}): first answer, both workers`,
      `${ms(firstMs)}, ${ms(firstMs + performance.now() - began)}`,
    );
    await proxy.stop();
  }
}

/** Single changes of every kind to a state of this size. */
function changeNumber(i: number): object {
  const number = i >> 2;
  const name = `new-${number}`;
  const key = { host: `${name}.test`, path: "/x/*" };
  switch (i & 3) {
    case 0:
      return { order: "add", object: "cluster", name, value: { backends: ["10.9.9.9:80"] } };
    case 1:
      return { order: "add", object: "route", value: { ...key, cluster: name } };
    case 2:
      return {
        order: "update",
        object: "backend",
        cluster: "app-5",
        name: "10.0.0.20:8020",
        value: { weight: 1 + number % 9 },
      };
    default:
      return { order: "update", object: "route", key, value: { cluster: "app-1" } };
  }
}

async function change(stage: Stage, clusters: number): Promise<number> {
  const address = freeAddress();
  const [proxy] = await Proxy.start(stage, write(stage, clusters, address), address);
  using connection = await proxy.connect();
  const [took, paused]: [number[], number[]] = [[], []];
  let cpuMs = -cpuOf(proxy.child.pid);
  for (let i = 0; i < CHANGES; i++) {
    const began = performance.now();
    const answer = await connection.request<ApplyAnswer>("apply", { orders: [changeNumber(i)] }, {
      quietLimitMs: 60_000,
    });
    took.push(performance.now() - began);
    paused.push(answer.paused_us / 1000);
  }
  cpuMs += cpuOf(proxy.child.pid);
  const [first, firstPause] = [took[0]!, paused[0]!];
  took.sort((a, b) => a - b), paused.sort((a, b) => a - b);
  say("the first change: socket to socket, pause of a loop", `${ms(first)}, ${firstPause.toFixed(2)} ms`);
  say(
    `${CHANGES} changes: median, 99 %, most`,
    [took[CHANGES >> 1]!, took[CHANGES - 11]!, took.at(-1)!].map(ms).join(", "),
  );
  say(
    "  pause of a loop: median, 99 %, most",
    [paused[CHANGES >> 1]!, paused[CHANGES - 11]!, paused.at(-1)!].map((n) => `${n.toFixed(2)} ms`).join(", "),
  );
  const bytes = Math.max(...await proxy.workerBytes());
  await proxy.stop();
  say(
    "  CPU of main for each; the state file afterwards",
    `${ms(cpuMs / CHANGES)}, ${(Deno.statSync(`${stage.dir}/${clusters}.state`).size / 2 ** 20).toFixed(1)} MiB`,
  );
  return bytes;
}

/** Nanoseconds of a lookup of each kind, in the quietest of many short rounds by turns. */
function lookupsNs(kinds: [router: Router, requests: Requests][]): number[] {
  const best = kinds.map(() => Infinity);
  for (let round = 0; round < LOOKUP_ROUNDS; round++) {
    kinds.forEach(([router, requests], kind) => {
      // The first round brings the tables back into the cache.
      for (let again = 0; again < LOOKUP_TURN; again++) best[kind] = Math.min(best[kind]!, timed(router, requests));
    });
  }
  return best;
}

function timed(router: Router, requests: Requests): number {
  const began = performance.now();
  for (let i = 0; i < LOOKUPS; i++) requests.lookupNext(router);
  return 1e6 * (performance.now() - began) / LOOKUPS;
}

function lookup(clusters: number): void {
  for (const style of ["common", "own"] as const) {
    const router = Router.compile(manyRules(clusters, style));
    const [few, popular, uniform] = lookupsNs([
      [Router.compile(manyRules(1, style)), traffic(1, REQUESTS, false, style)],
      [router, traffic(clusters, REQUESTS, true, style)],
      [router, traffic(clusters, REQUESTS, false, style)],
    ]) as [number, number, number];
    const relative = (ns: number) => `${ns.toFixed(0)} ns (${(100 * (ns / few - 1)).toFixed(0)} %)`;
    say(
      `a lookup, ${style} paths: 10 routes; all, popular hosts; every host`,
      `${few.toFixed(0)} ns; ${relative(popular)}; ${relative(uniform)}`,
    );
    say("the router's own tables", `${(router.bytesUsed / (ROUTES_PER_CLUSTER * clusters)).toFixed(0)} bytes a route`);
  }
}

async function memory(stage: Stage, clusters: number, workerBytes: number): Promise<void> {
  const address = freeAddress();
  const [proxy] = await Proxy.start(stage, write(stage, 1, address), address);
  const small = Math.max(...await proxy.workerBytes());
  await proxy.stop();
  const perRoute = (workerBytes - small) / (ROUTES_PER_CLUSTER * clusters);
  say(
    "memory of a worker: with 10 routes, with all",
    `${small >> 20} MiB, ${workerBytes >> 20} MiB, ${perRoute.toFixed(0)} bytes a route`,
  );
}

/** The whole state applied to a proxy that serves another, and back, while clients ask. */
async function apply(stage: Stage, clusters: number): Promise<void> {
  const address = freeAddress();
  const small = write(stage, 1, address);
  const large = write(stage, clusters, address);
  const [proxy] = await Proxy.start(stage, small, address);
  (await proxy.connect()).close();
  const wrk = findProgram("wrk");
  if (!wrk) say("what clients notice", "not measured: there is no wrk");
  const args = ["-t1", "-c16", `-d${WRK_SECONDS}s`, "--latency", "-H", "Host: nobody.test", `http://${address}/`];
  const before = wrk ? longest(await stage.run("wrk", wrk, args.with(2, "-d3s"))) : "";
  const during = wrk ? stage.run("wrk", wrk, args) : undefined;
  await delay(500);
  for (const [file, what] of [[large, "apply all of it to 10 routes"], [small, "apply the 10 routes again"]] as const) {
    const began = performance.now();
    const cli = ["run", "-A", "--no-prompt", MAIN, "apply", file, "--json", "--socket", proxy.socket];
    const answer: ApplyAnswer = JSON.parse(await stage.run("apply", Deno.execPath(), cli));
    const took = performance.now() - began;
    say(`${what}: command, proxy, how`, `${ms(took)}, ${ms(answer.took_ms)}, ${answer.effects.join()}`);
    say("  pause of a loop for it", `${(answer.paused_us / 1000).toFixed(2)} ms`);
  }
  if (during) say("  longest answer of wrk before; meanwhile", `${before}; ${longest(await during)}`);
  await proxy.stop();
}

function longest(output: string): string {
  const [, most] = /Latency\s+\S+\s+\S+\s+(\S+)/.exec(output) ?? [];
  const errors = /(Socket errors:.*)/.exec(output)?.[1];
  return `${most}${errors ? `, ${errors}` : ""}`;
}

if (import.meta.main) {
  const clusters = Math.ceil(Number(Deno.args[0] ?? 100_000) / ROUTES_PER_CLUSTER);
  const stage = new Stage();
  try {
    say("routes, clusters", `${clusters * ROUTES_PER_CLUSTER}, ${clusters}`);
    await load(stage, clusters);
    const bytes = await change(stage, clusters);
    await memory(stage, clusters, bytes);
    lookup(clusters);
    await apply(stage, clusters);
  } finally {
    await stage.close();
  }
}
