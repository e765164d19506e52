// The real main or one of its real workers is killed at a random point of a transaction or of an upgrade, by seed: the state is
// the one before or the one after, what was answered is there, and all workers agree on it. (tests/unit/control/crash_test.ts
// does the same to main with the worker of the tests.) KAKEHI_CRASHES says how many times (12, and half as often for workers
// alone: each has to have served for a second, because who dies younger than that has a successor that waits).

// deno-lint-ignore-file no-explicit-any

import { assert, assertEquals } from "../support/assert.ts";
import { Family } from "../support/family.ts";
import { kakehiWords } from "../support/proxy.ts";
import { eventually } from "../support/proxy.ts";
import { createRandom, type Random } from "../support/random.ts";
import { Client } from "../unit/control/client.ts";

const CRASHES = Number(Deno.env.get("KAKEHI_CRASHES") ?? 12);
const WORKER_CRASHES = Deno.env.has("KAKEHI_CRASHES") ? CRASHES : CRASHES / 2;
const SEED = Number(Deno.env.get("KAKEHI_SEED") ?? 20_262);
const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const CONFIG = (folder: string) => `
workers: 2
control: { state_file: "${folder}/state" }
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { c0: { backends: ["127.0.0.1:9"] } }
routes: [ { host: r0.test, cluster: c0 } ]
answers: { "404": "0" }
timeouts: { drain: 1s }
`;

/** Change number `k`: objects that belong together. */
const change = (k: number) => [
  { order: "add", object: "cluster", name: `c${k}`, value: { backends: [`127.0.0.1:${k}`] } },
  { order: "add", object: "route", value: { host: `r${k}.test`, cluster: `c${k}` } },
  { order: "update", object: "settings", value: { answers: { 404: String(k) } } },
];

/** The number of the last change in a state, which must have all of every change up to it, and nothing else. */
function lastChange(state: any): number {
  const k = Number(state.answers["404"]);
  const numbers = Array.from({ length: k + 1 }, (_, number) => number);
  assertEquals(Object.keys(state.clusters).sort(), numbers.map((number) => `c${number}`).sort());
  assertEquals(state.routes.map(({ host }: any) => host).sort(), numbers.map((number) => `r${number}.test`).sort());
  return k;
}

class Main implements AsyncDisposable {
  readonly family = new Family();
  readonly #child: Deno.ChildProcess;

  constructor(private readonly folder: string) {
    const [program, words] = kakehiWords();
    const start = ["start", "-c", `${folder}/kakehi.yaml`, "--socket", this.socket, "--from-state"];
    const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
    this.#child = new Deno.Command(program, { args: [...words, ...start], env: this.family.env, ...streams }).spawn();
  }

  get socket(): string {
    return `${this.folder}/control.sock`;
  }

  get pid(): number {
    return this.#child.pid;
  }

  async connect(): Promise<Client> {
    const attempt = () => Client.connect(this.socket).catch(() => undefined);
    return (await eventually("the control socket", attempt, (client) => client !== undefined, 10_000))!;
  }

  async [Symbol.asyncDispose]() {
    for (const { pid } of this.family.members()) kill(pid);
    await this.#child.status;
    await eventually("processes left behind", () => this.family.members(), (left) => left.length === 0);
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** State and revision when two workers serve them. */
async function agreed(client: Client): Promise<{ state: any; revision: number }> {
  const asked = () => client.ask({ verb: "status" });
  const status = await eventually("two workers that serve", asked, ({ workers, revision }) => {
    const serving = workers.filter(({ state, hash }: any) => state === "serving" && hash !== null);
    return serving.length === 2 && serving.every((worker: any) => worker.revision === revision);
  }, 10_000);
  const { state, revision } = await client.ask({ verb: "get" });
  for (const worker of status.workers.filter(({ state }: any) => state === "serving")) {
    assertEquals([worker.revision, worker.hash, worker.differs], [revision, status.served_hash, false]);
  }
  return { state, revision };
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755);
  await Deno.writeTextFile(`${folder}/kakehi.yaml`, CONFIG(folder));
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Changes one after another until the connection ends; gives how many were answered. */
async function changeUntilEnd(client: Client, done: number): Promise<number> {
  try {
    for (;;) {
      const answer = await client.ask({ verb: "apply", orders: change(done + 1) });
      assertEquals([answer.status, answer.not_durable], ["ok", undefined], JSON.stringify(answer));
      done++;
    }
  } catch (error) {
    if (!/the connection has ended/.test(String(error))) throw error;
    return done;
  }
}

Deno.test("main is killed at any point of changes: the next one starts with the state before or after", async () => {
  await withFolder(async (folder) => {
    const random = createRandom(SEED);
    let answered = 0;
    for (let crash = 0; crash < CRASHES; crash++) {
      await using main = new Main(folder);
      using client = await main.connect();
      const { state, revision } = await agreed(client);
      const done = lastChange(state);
      assert(done >= answered && done <= answered + 1, `seed ${SEED}, crash ${crash}: ${done}, answered ${answered}`);
      assertEquals(revision, done + 1);
      const killed = delay(random.below(150)).then(() => kill(main.pid));
      answered = await changeUntilEnd(client, done);
      await killed;
    }
    assert(answered > CRASHES / 2, `${answered} changes in ${CRASHES} crashes`);
  });
});

/** One of main, the guard, the candidate and all workers. */
function victimOf(main: Main, random: Random): number {
  const members = main.family.members();
  return members[random.below(members.length)]?.pid ?? main.pid;
}

Deno.test("any process is killed at any point of an upgrade: one main goes on or starts, with all that was answered", async () => {
  await withFolder(async (folder) => {
    const random = createRandom(SEED);
    const ends = { upgraded: 0, failed: 0, gone: 0 };
    let answered = 0;
    for (let crash = 0; crash < CRASHES;) {
      await using main = new Main(folder);
      using client = await main.connect();
      for (let here = 0; here < 4 && crash < CRASHES; here++, crash++) {
        const { state } = await agreed(client);
        const done = lastChange(state);
        assert(done >= answered && done <= answered + 1, `seed ${SEED}, crash ${crash}: ${done}, answered ${answered}`);
        answered = done;
        const changed = await client.ask({ verb: "apply", orders: change(answered + 1) });
        assertEquals(changed.status, "ok", JSON.stringify(changed));
        answered++;
        const killed = delay(random.below(400)).then(() => kill(victimOf(main, random)));
        const upgraded = await client.ask({ verb: "upgrade" }).catch(() => undefined);
        await killed;
        ends[upgraded === undefined ? "gone" : upgraded.status === "ok" ? "upgraded" : "failed"]++;
        if (upgraded === undefined) break;
        const alive = await client.ask({ verb: "version" }).catch(() => undefined);
        if (alive === undefined) break;
      }
    }
    console.log("    upgrades:", ends);
    assert(ends.upgraded > 0, "no upgrade was done at all");
  });
});

/** Who ends sooner after it began to serve died of its start: its successor waits. (slots.ts: EARLY_DEATH_MS) */
const GROWN_UP_MS = 1_000;

/** The pids of workers that are not too young to die; waits until there is one. */
async function grownUp(client: Client): Promise<number[]> {
  const pids = async () => {
    const { workers } = await client.ask({ verb: "status" });
    return workers.flatMap(({ state, uptime_ms, pid }: any) =>
      state === "serving" && uptime_ms > GROWN_UP_MS ? [pid] : []
    );
  };
  return await eventually("a worker that has served for a while", pids, (found) => found.length > 0);
}

/** One that serves, or now and then whatever process of a worker there is: it waits, starts or drains. */
function workerOf(main: Main, serving: readonly number[], random: Random): number {
  const isSpecial = random.below(4) === 0;
  const all = main.family.members().filter(({ command }) => / worker 3$/.test(command)).map(({ pid }) => pid);
  const pids = isSpecial ? all : serving;
  return pids[random.below(pids.length)]!;
}

Deno.test("workers are killed at any point of changes: each change is served or refused by all", async () => {
  await withFolder(async (folder) => {
    const random = createRandom(SEED);
    const told = { ok: 0, failed: 0 };
    await using main = new Main(folder);
    using client = await main.connect();
    let done = lastChange((await agreed(client)).state);
    for (let crash = 0; crash < WORKER_CRASHES; crash++) {
      const serving = await grownUp(client);
      const rolls = crash % 2 === 1;
      const killed = delay(random.below(rolls ? 250 : 12)).then(() => kill(workerOf(main, serving, random)));
      for (let i = 0; i < 4; i++) {
        const roll = { order: "update", object: "settings", value: { limits: { pipes: 1_000 + crash } } };
        const orders = [...change(done + 1), ...rolls && i % 2 === 0 ? [roll] : []];
        const answer = await client.ask({ verb: "apply", orders });
        if (answer.status === "ok") done++;
        else assert(["failed", "refused"].includes(answer.code), JSON.stringify(answer));
        told[answer.status === "ok" ? "ok" : "failed"]++;
      }
      await killed;
      assertEquals(lastChange((await agreed(client)).state), done, `seed ${SEED}, crash ${crash}`);
    }
    console.log(`    ${WORKER_CRASHES} workers killed, changes:`, told);
  });
});
