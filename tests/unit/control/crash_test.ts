// Main or a worker is killed at a random point of a transaction, by seed: afterwards the state is the one before or the one
// after, never between, what was answered is there, and all workers agree. KAKEHI_CRASHES says how many times (12).

import { createRandom } from "../../support/random.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { eventually } from "../../support/proxy.ts";
import { Client } from "./client.ts";

const CRASHES = Number(Deno.env.get("KAKEHI_CRASHES") ?? 12);
const MAIN = new URL("crash_main.ts", import.meta.url).href;
const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const CONFIG = (folder: string) => `
workers: 2
user: ""
sandbox: off
control: { state_file: "${folder}/state" }
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { c0: { backends: ["127.0.0.1:9"] } }
routes: [ { host: r0.test, cluster: c0 } ]
answers: { "404": "0" }
`;

/** Change number `k`: several objects, which belong together. */
const change = (k: number) => [
  { order: "add", object: "cluster", name: `c${k}`, value: { backends: [`127.0.0.1:${k}`] } },
  { order: "add", object: "route", value: { host: `r${k}.test`, cluster: `c${k}` } },
  { order: "update", object: "settings", value: { answers: { "404": String(k) } } },
  ...(k % 3 === 0
    ? [{ order: "add", object: "listener", name: `l${k}`, value: { address: "127.0.0.1:0" } }]
    : k % 3 === 1 && k > 3
    ? [{ order: "remove", object: "listener", name: `l${k - 1}` }]
    : []),
];

/** The number of the last change in a state, which must have all of each change up to it and nothing else. */
function lastChange(state: any): number {
  const k = Number(state.answers["404"]);
  const numbers = Array.from({ length: k + 1 }, (_, i) => i);
  assertEquals(Object.keys(state.clusters).sort(), numbers.map((i) => `c${i}`).sort());
  assertEquals(state.routes.map((route: any) => route.host).sort(), numbers.map((i) => `r${i}.test`).sort());
  const listeners = numbers.filter((i) => i % 3 === 0 && i > 0 && i + 1 > k).map((i) => `l${i}`);
  assertEquals(Object.keys(state.listeners).filter((name) => name !== "web"), listeners);
  return k;
}

class Main implements AsyncDisposable {
  readonly child: Deno.ChildProcess;

  constructor(private readonly folder: string) {
    const args = ["run", "-A", "--no-prompt", MAIN, folder];
    this.child = new Deno.Command(Deno.execPath(), { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  }

  async connect(): Promise<Client> {
    const attempt = () => Client.connect(`${this.folder}/control.sock`).catch(() => undefined);
    return (await eventually("the control socket", attempt, (client) => client !== undefined, 10_000))!;
  }

  async kill(): Promise<void> {
    try {
      this.child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.child.status;
  }

  async [Symbol.asyncDispose]() {
    await this.kill();
  }
}

async function agreedState(client: Client): Promise<{ state: any; revision: number }> {
  const asked = () => client.ask({ verb: "status" });
  const status = await eventually("two workers that serve", asked, ({ workers }) => {
    return workers.filter(({ state }: any) => state === "serving").length === 2;
  });
  const { state, revision } = await client.ask({ verb: "get" });
  for (const worker of status.workers.filter(({ state }: any) => state === "serving")) {
    assertEquals([worker.revision, worker.hash, worker.differs], [revision, status.served_hash, false]);
  }
  return { state, revision };
}

Deno.test("main is killed at any point: the next start has the state before or after", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/kakehi.yaml`, CONFIG(folder));
  const random = createRandom(20_261);
  let answered = 0;
  let between = 0;
  for (let crash = 0; crash < CRASHES; crash++) {
    await using main = new Main(folder);
    using client = await main.connect();
    const { state, revision } = await agreedState(client);
    const done = lastChange(state);
    assert(done >= answered && done <= answered + 1, `crash ${crash}: change ${done}, ${answered} was answered`);
    assertEquals(revision, done + 1);
    if (done > answered) between++;
    answered = done;
    const killed = delay(random.below(150)).then(() => main.kill());
    try {
      for (;;) {
        const answer = await client.ask({ verb: "apply", orders: change(answered + 1) });
        assertEquals([answer.status, answer.not_durable], ["ok", undefined]);
        answered++;
      }
    } catch (error) {
      if (!/the connection has ended/.test(String(error))) throw error;
    }
    await killed;
  }
  console.log(`    ${CRASHES} crashes, ${answered} changes, ${between} of them done but not answered`);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("workers are killed at any point: every change is served or refused by all", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/kakehi.yaml`, CONFIG(folder));
  const random = createRandom(42);
  await using main = new Main(folder);
  using client = await main.connect();
  let done = 0;
  for (let crash = 0; crash < CRASHES; crash++) {
    const { workers } = await client.ask({ verb: "status" });
    const victim = workers.filter(({ state }: any) => state === "serving")[random.below(2)] ?? workers[0];
    const killed = delay(random.below(8)).then(() => Deno.kill(victim.pid, "SIGKILL"));
    for (let i = 0; i < 4; i++) {
      const answer = await client.ask({ verb: "apply", orders: change(done + 1) });
      if (answer.status === "ok") done++;
      else assertEquals(answer.code, "failed");
    }
    await killed;
    assertEquals(lastChange((await agreedState(client)).state), done, `crash ${crash}`);
  }
  await main.kill();
  await Deno.remove(folder, { recursive: true });
});
