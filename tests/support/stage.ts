// A proxy with one listener `web`, one cluster `app` and a scripted backend behind it, which the tests of a file share.
// Behind every test everything must be as it was before the first one: no connection, stream or buffer in use and no
// descriptor more, so that each test is also a test for leaks.

import type { Peer } from "./peer.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { connect } from "./raw_client.ts";
import { type Script, type ScriptedBackend, startBackend } from "./scripted_backend.ts";

export interface StageOptions {
  /** Further keys of the configuration. */
  yaml?: string;
  /** Further keys of the cluster, as in a YAML flow mapping: `timeouts: { response: 1s }`. */
  cluster?: string;
  /** Routes; the default sends everything to `app`. */
  routes?: string;
}

export interface Stage extends AsyncDisposable {
  proxy: Proxy;
  /** Of the listener `web`. */
  port: number;
  backend: ScriptedBackend;
  /** What the backend does with each connection from now on. */
  play(script: Script): void;
  connect(): Promise<Peer>;
  /** By how much counters went up since `play`, or since the last call of `gained`. */
  gained(): Promise<Gain>;
  /** Ends what is idle and waits until nothing is in use; fails when something stays. */
  rest(): Promise<void>;
}

export interface Gain {
  of(name: string): number;
  /** Names and counts of all refusals. */
  refusals(): Record<string, number>;
}

/** Gauges that are 0 when nothing is going on. */
const GAUGES = ["connections.active", "upstreams.active", "streams.active", "buffers.used"];
const REST_MS = 5_000;

export interface Descriptors {
  /** Sockets, files and the like. */
  other: number;
  /** Ends of pipes, which a worker keeps for the next body. */
  pipes: number;
}

export function descriptorsOf(pid: number): Descriptors {
  const found = { other: 0, pipes: 0 };
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    try {
      if (Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("pipe:")) found.pipes++;
      else found.other++;
    } catch {
      // closed since it was listed
    }
  }
  return found;
}

function readGain(before: Record<string, number>, now: Record<string, number>): Gain {
  const of = (name: string) => (now[name] ?? 0) - (before[name] ?? 0);
  const names = Object.keys(now).filter((name) => name.startsWith("refused.") && of(name) > 0);
  return {
    of,
    refusals: () => Object.fromEntries(names.map((name) => [name.slice("refused.".length), of(name)])),
  };
}

/** Waits until the gauges are 0 and the worker has no more descriptors than it had; says what stayed otherwise. */
async function untilAtRest(proxy: Proxy, worker: number, before: Descriptors): Promise<void> {
  const deadline = Date.now() + REST_MS;
  while (true) {
    const counters = await proxy.counters();
    const busy = GAUGES.filter((name) => counters.of(name) !== 0).map((name) => `${name} ${counters.of(name)}`);
    const more = descriptorsOf(worker).other - before.other;
    if (more > 0) busy.push(`${more} descriptors more than at the start`);
    if (busy.length === 0) return;
    if (Date.now() > deadline) {
      throw new Error(`still in use after ${REST_MS} ms of rest: ${busy.join(", ")}\n${proxy.log()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function setStage({ yaml = "", cluster = "", routes = "" }: StageOptions = {}): Promise<Stage> {
  let script: Script = (peer) => peer.reset();
  const backend = await startBackend((peer, index) => script(peer, index));
  const more = cluster && `, ${cluster}`;
  let proxy: Proxy;
  try {
    proxy = await startProxy(`${yaml}
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["${backend.address}"]${more} } }
routes:
${routes || "  - { cluster: app }"}
`);
  } catch (error) {
    await backend[Symbol.asyncDispose]();
    throw error;
  }
  const [worker = 0] = await proxy.workers();
  const before = descriptorsOf(worker);
  const port = proxy.port("web");
  const count = async () => (await proxy.status()).counters;
  let counted = await count();
  return {
    proxy,
    port,
    backend,
    play: (next) => script = next,
    connect: () => connect(port),
    async gained() {
      const now = await count();
      const gain = readGain(counted, now);
      counted = now;
      return gain;
    },
    async rest() {
      // twice: a connection may be on its way, of an exchange that a test has left
      for (let round = 0; round < 2; round++) {
        for (const peer of backend.connections.splice(0)) peer.destroy();
        await untilAtRest(proxy, worker, before);
      }
      backend.failures.length = 0;
      counted = await count();
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

export type StageTest = (name: string, body: (stage: Stage) => Promise<void>, ignore?: boolean) => void;

/** Sets a stage for the tests that are registered with the function it gives; each must leave it at rest. */
export function onStage(options: StageOptions = {}): StageTest {
  let stage: Stage | undefined;
  Deno.test.beforeAll(async () => {
    stage = await setStage(options);
  });
  Deno.test.afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
  });
  return (name, body, ignore = false) => {
    Deno.test({
      name,
      ignore,
      async fn() {
        if (!stage) throw new Error(`"${name}" runs without its stage: it was not set before the tests`);
        try {
          await body(stage);
          const [fault] = stage.backend.failures;
          if (fault) throw new Error(`the backend's script failed: ${fault}`);
        } catch (error) {
          await stage.rest().catch(() => {}); // the next test begins at rest, whatever this one left behind
          throw error;
        }
        await stage.rest();
      },
    });
  };
}
