// The comparison: all proxies run at the same time in front of one backend, and each round of a scenario visits each of
// them for a short time, in an order that turns with the rounds. What disturbs the machine for a while then disturbs all
// alike, and the median of the rounds is a fair figure where a single long run is not. Nothing is pinned to a core.
//
// The figure is the CPU time of the proxy's processes for a request: it barely depends on how much CPU the load generator
// and the backend leave over, as requests per second do.

import { type Backend, startBackend } from "./backend.ts";
import { type IdleCell, measureIdle } from "./idle.ts";
import type { Options } from "./options.ts";
import { cpuBetween, type CpuUse, memoryOf, type MemoryUse, processTree, sampleCpu } from "./proc.ts";
import { originOf, type Place } from "./client.ts";
import { makeCredentials, type Secrets } from "./credentials.ts";
import { runH2load } from "./h2load.ts";
import { runHandshakes } from "./handshakes.ts";
import { findProxies, ONLY_BY_NAME, type Proxy, type ProxyName, type Site } from "./proxies.ts";
import { idleConnections, type Load, LOADS, pageOf, SECURE_IDLE_MAX } from "./scenarios.ts";
import { checkServing, waitUntilServing } from "./serving.ts";
import { type Child, ending, findProgram, freePort, said, sleep, type Stage } from "./stage.ts";
import { runWrk, type WrkResult } from "./wrk.ts";

/** A moment for a proxy to close what the load generator left, on its own account. */
const SETTLE_MS = 50;
/** Less than any line of an access log has. */
const LOG_LINE_BYTES_MIN = 30;
/** All logs are written out after this at the latest. */
const LOG_FLUSH_MS = 1_500;

export interface Running {
  proxy: Proxy;
  site: Site;
  place: Place;
  child: Child;
}

export interface Bench {
  stage: Stage;
  wrk: string;
  backend: Backend;
  options: Options;
  /** For the scenarios with TLS; null when none is asked for. */
  secrets: Secrets | null;
  note(line: string): void;
}

/** What one visit gave. */
export interface Visit {
  cpuMicros: number;
  userMicros: number;
  cpuSource: CpuUse["source"];
  requests: number;
  requestsPerSecond: number;
  /** null where the load generator does not tell. */
  p50Micros: number | null;
  p99Micros: number | null;
}

export interface Cell {
  visits: Visit[];
  /** Of all its processes, after the last visit. */
  memory: MemoryUse | null;
  /** Why there is no figure. */
  failure: string | null;
}

export interface LoadResult {
  name: string;
  title: string;
  /** Spoken on one side at least. */
  isHttp2: boolean;
  cells: Partial<Record<ProxyName, Cell>>;
}

export interface IdleResult {
  connections: number;
  cells: Partial<Record<ProxyName, IdleCell>>;
}

export interface Comparison {
  proxies: Proxy[];
  missing: string[];
  loads: LoadResult[];
  idle: IdleResult | null;
  secureIdle: IdleResult | null;
}

/** Runs all that the options ask for. Throws when there is nothing to compare with; a proxy's fault is in its cell. */
export async function comparePeers(stage: Stage, root: string, options: Options): Promise<Comparison> {
  const wrk = required("wrk", "the load generator");
  const nginx = required("nginx", "the backend");
  const found = findProxies({ root, ...options });
  const proxies = found.proxies.filter(({ name }) =>
    options.proxies.length === 0 ? name !== ONLY_BY_NAME : options.proxies.includes(name)
  );
  if (proxies.length === 0) throw new Error(`none of the proxies asked for can be run: ${found.missing.join("; ")}`);
  const note = (line: string) => console.error(line);
  for (const line of found.missing) note(`skipped ${line}`);

  const asked = (name: string) => options.scenarios.length === 0 || options.scenarios.some((one) => one === name);
  const wanted = LOADS.filter((load) => asked(load.name));
  const [overHttp2, rest] = parted(wanted, (load: Load) => load.http2Backend ?? false);
  const [secureHttp2, plainHttp2] = parted(overHttp2, (load: Load) => load.secure ?? false);
  const [secure, others] = parted(rest, (load: Load) => load.secure ?? false);
  const [behind, plain] = parted(others, (load: Load) => load.secureBackend ?? false);
  const isSecure = secure.length + behind.length + secureHttp2.length > 0 || asked("tls-idle");
  const secrets = isSecure ? await makeCredentials(stage) : null;
  const backend = await startBackend(stage, nginx, secrets?.credentials ?? null);
  const bench: Bench = { stage, wrk, backend, options, secrets, note };
  const able = proxies.filter(({ secures }) => secures);
  const ableHttp2 = able.filter(({ speaksHttp2Behind }) => speaksHttp2Behind);
  const loads = [
    ...await runLoads(bench, proxies, plain, {}),
    ...await runLoads(bench, able, secure, { secure: true }),
    ...await runLoads(bench, able, behind, { secureBackend: true }),
    ...await runLoads(bench, ableHttp2, plainHttp2, { http2Backend: true }),
    ...await runLoads(bench, ableHttp2, secureHttp2, { secure: true, http2Backend: true }),
  ];
  const idle = asked("idle") ? await runIdle(bench, proxies, false) : null;
  const secureIdle = asked("tls-idle") ? await runIdle(bench, able, true) : null;
  return { proxies, missing: found.missing, loads, idle, secureIdle };
}

function parted<T>(list: T[], belongs: (one: T) => boolean): [T[], T[]] {
  return [list.filter(belongs), list.filter((one) => !belongs(one))];
}

function required(program: string, what: string): string {
  const path = findProgram(program);
  if (path) return path;
  throw new Error(
    `${program} is not on this machine: it is ${what} of the comparison (Debian: apt-get install ${program})`,
  );
}

/** What is spoken on either side of the proxy. */
export type Ways = Pick<Load, "secure" | "secureBackend" | "http2Backend">;

/** Starts the proxy in a directory of its own and waits until it serves. */
export async function startProxy(bench: Bench, proxy: Proxy, ways: Ways): Promise<Running> {
  const { stage, backend, options } = bench;
  const { secure, secureBackend, http2Backend = false } = ways;
  const dir = stage.folder(proxy.name);
  const secrets = secure ? bench.secrets! : null;
  const credentials = secrets?.credentials ?? null;
  const behind = secureBackend
    ? { backendPort: backend.securePort, backendAuthority: bench.secrets!.credentials.cert }
    : { backendPort: http2Backend ? backend.http2Port : backend.port, backendAuthority: null };
  const site = {
    dir,
    port: freePort(),
    ...behind,
    backendHttp2: http2Backend,
    accessLog: options.accessLog,
    credentials,
  };
  const place = { port: site.port, authority: secrets?.authority ?? null };
  const { path, args, ...where } = proxy.launch(site);
  const child = stage.spawn(proxy.name, dir, path, args, where);
  await waitUntilServing(child, place, backend.small);
  return { proxy, site, place, child };
}

async function runLoads(bench: Bench, proxies: Proxy[], loads: Load[], ways: Ways): Promise<LoadResult[]> {
  if (loads.length === 0) return [];
  const running: Running[] = [];
  for (const proxy of proxies) running.push(await startProxy(bench, proxy, ways));
  const results: LoadResult[] = [];
  for (const load of loads) results.push(await runLoad(bench, running, load));
  await Promise.all(running.map(({ child }) => bench.stage.stop(child)));
  return results;
}

async function runLoad(bench: Bench, running: Running[], load: Load): Promise<LoadResult> {
  const { options, note } = bench;
  const isHttp2 = (load.streams ?? 0) > 0 || (load.http2Backend ?? false);
  const result: LoadResult = { name: load.name, title: load.title, isHttp2, cells: {} };
  const sound = new Set(running);
  const cellOf = (one: Running) => result.cells[one.proxy.name] ??= { visits: [], memory: null, failure: null };
  /** What fails takes the proxy out of this scenario, with a loud word, and the run goes on. */
  const attempt = async (one: Running, what: () => Promise<void>) => {
    if (!sound.has(one)) return;
    await what().catch((error) => {
      if (bench.stage.interrupted) throw error;
      sound.delete(one);
      cellOf(one).failure = explain(one, error);
      note(`${load.name}: ${one.proxy.name} FAILED: ${cellOf(one).failure}`);
    });
  };

  for (const one of running) {
    await attempt(one, () => checkServing(one.place, pageOf(load, bench.backend), load.close));
    if (options.accessLog) emptyLog(one);
    if (options.warmup > 0) await attempt(one, async () => void await visit(bench, one, load, options.warmup));
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const one of turned(running, round)) {
      await attempt(one, async () => {
        const cell = cellOf(one);
        cell.visits.push(await visit(bench, one, load, options.seconds));
        cell.memory = memoryOf(processTree(one.child.pid));
      });
    }
    const figures = running.filter((one) => sound.has(one))
      .map((one) => `${one.proxy.name} ${cellOf(one).visits.at(-1)!.cpuMicros.toFixed(1)}`);
    note(`${load.name}, round ${round + 1} of ${options.rounds}: ${figures.join(", ")} µs`);
  }
  if (options.accessLog) {
    await sleep(LOG_FLUSH_MS);
    for (const one of running) await attempt(one, () => checkLog(one, cellOf(one)));
  }
  return result;
}

export function turned<T>(list: T[], by: number): T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

async function visit(bench: Bench, one: Running, load: Load, seconds: number): Promise<Visit> {
  const before = sampleCpu(one.child.pid);
  const result = load.handshakes
    ? await runHandshakes(bench.stage, one.place, pageOf(load, bench.backend), load.connections, seconds)
    : load.streams
    ? await runH2load(bench.stage, one.place, pageOf(load, bench.backend), load.connections, load.streams, seconds)
    : await runLoadOfWrk(bench, one.place, load, seconds);
  await sleep(SETTLE_MS);
  const cpu = cpuBetween(before, sampleCpu(one.child.pid));
  const { requests, requestsPerSecond, p50Micros, p99Micros } = result;
  return {
    cpuMicros: cpu.micros / requests,
    userMicros: cpu.userMicros / requests,
    cpuSource: cpu.source,
    requests,
    requestsPerSecond,
    p50Micros,
    p99Micros,
  };
}

async function runLoadOfWrk(bench: Bench, place: Place, load: Load, seconds: number): Promise<WrkResult> {
  const { connections, close } = load;
  const url = `${originOf(place)}${pageOf(load, bench.backend).path}`;
  const result = await runWrk(bench.stage, bench.wrk, { url, connections, seconds, close });
  if (result.errors.length > 0) throw new Error(`wrk counted errors: ${result.errors.join("; ")}`);
  return result;
}

export function explain({ child }: Running, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return child.status ? `${message} (it has ended with ${ending(child.status)}: ${said(child)})` : message;
}

function emptyLog({ proxy, site }: Running): void {
  try {
    Deno.truncateSync(proxy.logPath(site), 0);
  } catch {
    // It has not been written yet.
  }
}

/** A proxy that writes no log would look better than it is. */
function checkLog({ proxy, site }: Running, cell: Cell): Promise<void> {
  const requests = cell.visits.reduce((sum, { requests }) => sum + requests, 0);
  const path = proxy.logPath(site);
  const size = Deno.statSync(path).size;
  if (size >= requests * LOG_LINE_BYTES_MIN) return Promise.resolve();
  return Promise.reject(new Error(`its access log ${path} has ${size} bytes for ${requests} requests`));
}

async function runIdle(bench: Bench, proxies: Proxy[], secure: boolean): Promise<IdleResult> {
  const asked = secure ? Math.min(bench.options.idle, SECURE_IDLE_MAX) : bench.options.idle;
  const connections = idleConnections(asked);
  if (connections < asked) bench.note(`idle: ${connections} connections, as descriptors are short`);
  const result: IdleResult = { connections, cells: {} };
  for (const proxy of proxies) {
    const cell = await measureIdle(bench, proxy, connections, secure);
    result.cells[proxy.name] = cell;
    const figure = cell.failure === null ? `${cell.bytesPerConnection} bytes a connection` : `FAILED: ${cell.failure}`;
    bench.note(`${secure ? "tls-idle" : "idle"}: ${proxy.name} ${figure}`);
  }
  return result;
}
