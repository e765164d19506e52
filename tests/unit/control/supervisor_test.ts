import { backoffMs } from "../../../src/ts/control/slot.ts";
import { sendSignal, SIGKILL } from "../../../src/ts/sys/process.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { eventually } from "../../support/proxy.ts";
import { makeCluster, makeListener, makeState } from "../../support/states.ts";
import { type Answer, Bench } from "./bench.ts";

/** How long until the slot serves with another process than `before`. */
async function replacedMs(bench: Bench, slot: number, before: number): Promise<number> {
  const begin = performance.now();
  for (;;) {
    const worker = bench.supervisor.slots[slot]!.worker;
    if (worker && worker.pid !== before && worker.state === "serving") return performance.now() - begin;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const spareWaits = (bench: Bench) =>
  eventually("a spare process", () => bench.supervisor.spare?.state, (state) => state === "waiting");

Deno.test("Supervisor gives every slot a process and keeps one in reserve", async () => {
  await using bench = new Bench();
  await bench.apply(makeState({ workers: 3 }));
  assertEquals(new Set(bench.pids()).size, 3);
  const answer = await bench.ask();
  assert(bench.pids().includes(answer.pid));
  assertEquals(bench.supervisor.slots[answer.slot]!.worker!.pid, answer.pid);
  await spareWaits(bench);
  assert(!bench.pids().includes(bench.supervisor.spare!.pid));
  const status = await bench.supervisor.slots[answer.slot]!.worker!.status(1_000);
  assertEquals(status?.counters["requests"], 1);
});

Deno.test("Supervisor replaces a worker that dies at once, and loses nobody who waits in its socket", async () => {
  await using bench = new Bench();
  await bench.apply(makeState());
  await new Promise((resolve) => setTimeout(resolve, 1_050)); // not an early death
  const [before] = bench.pids();
  sendSignal(before!, SIGKILL);
  const answers = Array.from({ length: 20 }, () => bench.ask());
  const tookMs = await replacedMs(bench, 0, before!);
  const served = new Set((await Promise.all(answers)).map(({ pid }) => pid));
  assert(tookMs < 100, `replaced after ${tookMs} ms`);
  assertEquals([...served], bench.pids());
  assertEquals(bench.supervisor.slots[0]!.restarts, 1);
  assertMatch(bench.lines.join(""), /ERROR worker died {2}slot=0 pid=\d+ by="signal 9"/);
});

Deno.test("Supervisor waits longer and longer for a worker that keeps dying of its start", async () => {
  assertEquals([0, 1, 2, 3, 4, 50].map(backoffMs), [0, 0, 100, 200, 400, 10_000]);
  await using bench = new Bench();
  await bench.apply(makeState({ answers: { "500": "die" } }));
  await eventually("restarts", () => bench.supervisor.slots[0]!.restarts, (count) => count >= 4);
  const waits = [...bench.lines.join("").matchAll(/next try waits.*delay_ms=(\d+)/g)].map((match) => Number(match[1]));
  assertEquals(waits.slice(0, 3), [100, 200, 400]);
});

Deno.test("Supervisor does not start with a state that a worker refuses, or that it never gets ready with", async () => {
  await using bench = new Bench();
  const { supervisor } = bench;
  await assertRejects(
    () => bench.apply(makeState({ answers: { "500": "refuse" } })),
    /a worker cannot serve this state: the test says so/,
  );
  await assertRejects(() => bench.apply(makeState({ answers: { "500": "hang" } })), /not ready after 1500 ms/);
  assertEquals([bench.pids(), supervisor.listeners, supervisor.revision], [[], [], 0]);
  await bench.apply(makeState());
  assertEquals((await bench.ask()).slot, 0);
});

Deno.test({
  name: "Supervisor has workers of a large state get ready side by side, at the start and when they are rolled",
  ignore: navigator.hardwareConcurrency < 2,
  async fn() {
    await using bench = new Bench();
    const routes = Array.from({ length: 2_001 }, (_, i) => ({
      host: `h${i}.test`,
      path: "",
      methods: [],
      headers: {},
      priority: 0,
      cluster: "app",
      allow_misdirected: false,
    }));
    for (const user of ["", "nobody"]) {
      const folder = await Deno.makeTempDir();
      const before = bench.pids();
      const answers = { "500": `meet ${folder}` };
      await bench.apply(
        makeState({ workers: 2, user, routes, clusters: { app: makeCluster("10.0.0.1:80") }, answers }),
      );
      assertEquals([...Deno.readDirSync(folder)].map(({ name }) => Number(name)).sort(), bench.pids().sort());
      assert(bench.pids().every((pid) => !before.includes(pid)));
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("Supervisor keeps serving the old state when the new one is refused", async () => {
  await using bench = new Bench();
  const { supervisor } = bench;
  await bench.apply(makeState({ workers: 2 }));
  const before = [bench.pids(), supervisor.listeners.map((l) => l.address), supervisor.revision];
  const more = makeListener("127.0.0.1:0");
  const bad: [Parameters<typeof makeState>[0], RegExp][] = [
    [{ answers: { "500": "refuse" }, listeners: { web: more, more } }, /the test: says so/],
    [{ answers: { "500": "refuse" }, user: "nobody" }, /a worker cannot serve this state: the test says so/],
    [{ listeners: { web: more, bad: { ...more, address: "203.0.113.1:80" } } }, /listener bad: .*EADDRNOTAVAIL/],
    [
      { clusters: { app: makeCluster("no-such-name.invalid:80") } },
      /backend no-such-name\.invalid:80 does not resolve/,
    ],
    [
      { access_log: { path: "/no/such/folder/access.log", format: "common" } },
      /open \/no\/such\/folder\/access\.log: ENOENT/,
    ],
  ];
  for (const [changes, reason] of bad) {
    await assertRejects(() => bench.apply(makeState({ workers: 2, ...changes })), reason);
    assertEquals([bench.pids(), supervisor.listeners.map((l) => l.address), supervisor.revision], before);
  }
  assertEquals((await bench.ask()).revision, 1);
});

Deno.test("Supervisor changes state and number of workers without failing a request", async () => {
  await using bench = new Bench();
  const { supervisor } = bench;
  await bench.apply(makeState({ workers: 2 }));
  const { address } = supervisor.listeners[0]!;
  let running = true;
  let served = 0;
  const revisions = new Set<number>();
  const client = async () => {
    while (running) {
      const answer: Answer = await (await fetch(`http://${address}/`)).json();
      revisions.add(answer.revision);
      served++;
    }
  };
  const clients = Promise.all([client(), client(), client(), client()]);
  for (const workers of [2, 4, 1, 3]) {
    await bench.apply(makeState({ workers }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    assertEquals(bench.pids().length, workers);
  }
  running = false;
  await clients;
  assert(served > 100, `${served} requests`);
  assert(revisions.size >= 4, `revisions ${[...revisions]}`);
  // The sockets of slots that are gone have been adopted: nobody waits in a socket that no worker serves.
  await bench.apply(makeState({ workers: 1 }));
  await eventually("the old workers", () => supervisor.draining.length, (count) => count === 0);
  const answers = await Promise.all(Array.from({ length: 40 }, () => bench.ask()));
  assertEquals(new Set(answers.map(({ pid }) => pid)), new Set(bench.pids()));
});

Deno.test("Supervisor opens new listeners, and closes removed ones", async () => {
  await using bench = new Bench();
  const { supervisor } = bench;
  const listener = makeListener("127.0.0.1:0");
  await bench.apply(makeState({ listeners: { a: listener } }));
  const a = supervisor.listeners[0]!.address;
  await bench.apply(makeState({ listeners: { a: listener, b: listener } }));
  assertEquals(supervisor.listeners[0]!.address, a);
  assertEquals((await bench.ask(1)).revision, 2);
  await bench.apply(makeState({ listeners: { b: listener } }));
  await eventually("the old workers", () => supervisor.draining.length, (count) => count === 0);
  const port = Number(a.slice(a.lastIndexOf(":") + 1));
  await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port }), /ConnectionRefused/);
  assertEquals((await bench.ask()).revision, 3);
});

Deno.test("Supervisor.stop() waits for what is carried until the drain time is over, and not when it is in a hurry", async () => {
  for (const hurry of [false, true]) {
    await using bench = new Bench();
    await bench.apply(makeState({ timeouts: { ...makeState().timeouts, drain: 600 } }));
    const { address } = bench.supervisor.listeners[0]!;
    const carried = fetch(`http://${address}/wait`).then(() => "answered", () => "cut");
    await new Promise((resolve) => setTimeout(resolve, 50));
    const begin = performance.now();
    const stopped = bench.supervisor.stop(false);
    if (hurry) setTimeout(() => bench.supervisor.stop(true), 50);
    await stopped;
    const tookMs = performance.now() - begin;
    assertEquals(await carried, "cut");
    assert(hurry ? tookMs < 500 : tookMs >= 600 && tookMs < 2_000, `stopped after ${tookMs} ms`);
  }
});
