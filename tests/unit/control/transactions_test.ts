// Transactions over the workers of the tests, which misbehave on demand: whatever happens, the state is the one before or
// the one after, and all workers agree.

import { ControlError } from "../../../src/ts/control/errors.ts";
import { sendSignal, SIGKILL } from "../../../src/ts/sys/process.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../support/assert.ts";
import { eventually } from "../../support/proxy.ts";
import { makeCluster, makeState } from "../../support/states.ts";
import { Bench, BY } from "./bench.ts";

const listener = { address: "127.0.0.1:0", protocol: "http", backlog: 64 };
const base = () => makeState({ workers: 2, clusters: { app: makeCluster("10.0.0.1:80") } });
const addRoute = (path: string) => ({ order: "add", object: "route", value: { host: "a.test", path, cluster: "app" } });
const misbehave = (how: string) => ({ order: "update", object: "settings", value: { answers: { "500": how } } });
const told = (bench: Bench) => bench.told.map(({ name }) => name).filter((name) => !name.startsWith("worker."));

Deno.test("a change is served by the workers that there are, all of them", async () => {
  await using bench = new Bench();
  await bench.apply(base());
  const before = bench.pids();
  const answer = await bench.orders(addRoute("/x"), {
    order: "add",
    object: "backend",
    cluster: "app",
    name: "10.0.0.2:80",
  });
  assertEquals([answer.revision, answer.effects, answer.paused_us], [2, ["live"], 1]);
  assertEquals(answer.differences.map(({ sign, object, name }) => `${sign} ${object} ${name}`), [
    "+ backend 10.0.0.2:80",
    "+ route a.test /x",
  ]);
  assertEquals(bench.pids(), before);
  await bench.assertAgreed();
  assertEquals((await bench.ask()).revision, 2);
  const [newest] = bench.transactions.history.reports();
  assertEquals([newest!.what, newest!.added, newest!.changed], ["cluster app changed and 1 more change", 1, 1]);
  assertEquals(told(bench), ["state.changed"]);
});

Deno.test("a change that changes nothing is no revision", async () => {
  await using bench = new Bench();
  await bench.apply(base());
  assertEquals((await bench.orders()).revision, 1);
  await bench.apply(base());
  assertEquals([bench.transactions.revision, bench.transactions.history.reports().length, told(bench)], [1, 1, []]);
});

Deno.test("a refusal before the commit changes nothing anywhere", async () => {
  await using bench = new Bench(undefined, 300);
  await bench.apply(base());
  const { transactions, supervisor } = bench;
  const before = [transactions.hash, transactions.servedHash, supervisor.listeners.length];
  const refusals: [unknown[], string, RegExp][] = [
    [[addRoute("/x"), { order: "remove", object: "cluster", name: "app" }], "invalid", /there is no "app"/],
    [[{ order: "fly" }], "invalid", /expected/],
    [[addRoute("/x"), misbehave("refuse 1")], "refused", /the test: says so/],
    [[addRoute("/x"), misbehave("die-prepare 1")], "failed", /a worker ended: exit code 9/],
    [[addRoute("/x"), misbehave("hang-prepare 0")], "failed", /did not prepare a change within 300 ms/],
    [
      [{ order: "add", object: "listener", name: "bad", value: { address: "203.0.113.1:80" } }],
      "refused",
      /listener bad/,
    ],
    [
      [addRoute("/x"), misbehave("refuse"), { order: "add", object: "listener", name: "more", value: listener }],
      "refused",
      /says so/,
    ],
  ];
  for (const [orders, code, reason] of refusals) {
    const error = await assertRejects(() => bench.orders(...orders), reason) as ControlError;
    assertEquals(error.fields.code, code);
    assertEquals([transactions.hash, transactions.servedHash, supervisor.listeners.length], before);
    assertEquals(transactions.revision, 1);
    await eventually("two workers", () => bench.pids().length, (count) => count === 2);
    await bench.assertAgreed();
  }
  assertEquals((await bench.orders(addRoute("/x"))).revision, 2);
  await bench.assertAgreed();
});

Deno.test("whoever does not follow a commit is replaced, and its successor serves what was decided", async () => {
  for (const how of ["die-commit 1", "hang-commit 0", "other-hash", "die-commit"]) {
    await using bench = new Bench(undefined, 300);
    await bench.apply(base());
    const answer = await bench.orders(addRoute("/x"), misbehave(how));
    assertEquals(answer.revision, 2, how);
    await eventually("two workers", () => bench.pids().length, (count) => count === 2);
    await bench.assertAgreed();
    assertMatch(bench.lines.join(""), /ERROR worker did not follow a change/);
    assertEquals((await bench.orders(addRoute("/y"))).revision, 3);
    await bench.assertAgreed();
  }
});

Deno.test("listeners begin and end while the workers go on", async () => {
  await using bench = new Bench();
  await bench.apply(base());
  const before = bench.pids();
  await bench.orders({ order: "add", object: "listener", name: "more", value: listener });
  assertEquals((await bench.ask(1)).revision, 2);
  const address = bench.supervisor.listeners[1]!.address;
  // Another address under the same name: the old one ends, the new one begins.
  const free = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = free.addr;
  free.close();
  await bench.orders({ order: "update", object: "listener", name: "more", value: { address: `127.0.0.1:${port}` } });
  assertEquals((await (await fetch(`http://127.0.0.1:${port}/`)).json()).revision, 3);
  const old = Number(address.slice(address.lastIndexOf(":") + 1));
  await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: old }), /ConnectionRefused/);
  await bench.orders({ order: "remove", object: "listener", name: "more" });
  await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port }), /ConnectionRefused/);
  assertEquals(bench.pids(), before);
  const listeners = told(bench).filter((name) => name.startsWith("listener."));
  assertEquals(listeners, ["listener.added", "listener.added", "listener.removed", "listener.removed"]);
});

Deno.test("the number of workers changes live, without a new process for those that stay", async () => {
  await using bench = new Bench();
  await bench.apply(base());
  const descriptors = () => [...Deno.readDirSync(`/proc/${bench.pids()[0]}/fd`)].length;
  const [first] = bench.pids();
  for (const workers of [4, 1, 3, 1, 4, 2]) {
    await bench.orders({ order: "update", object: "settings", value: { workers } });
    assertEquals([bench.pids().length, bench.pids()[0]], [workers, first]);
    await Promise.all(Array.from({ length: 40 }, () => bench.ask()));
    await eventually("the old workers", () => bench.supervisor.draining.length, (count) => count === 0);
    const served = await Promise.all(Array.from({ length: 40 }, () => bench.ask()));
    assert(served.every(({ pid }) => bench.pids().includes(pid)));
  }
  const toggle = async (workers: number) => {
    await bench.orders({ order: "update", object: "settings", value: { workers } });
  };
  // The runtime opens files of its own when something happens for the first time; what leaks is more each time.
  const counts: number[] = [];
  for (let round = 0; round < 4; round++) {
    for (const workers of [1, 2, 1, 2]) await toggle(workers);
    counts.push(descriptors());
  }
  assert(counts.at(-1)! - counts[0]! < 4, `as many descriptors as before: ${counts}`);
});

Deno.test("what cannot change live is taken by new processes", async () => {
  await using bench = new Bench();
  await bench.apply(base());
  const before = bench.pids();
  const value = { limits: { connections: 100 }, timeouts: { idle: "9s" } };
  const answer = await bench.orders(addRoute("/x"), { order: "update", object: "settings", value });
  assertEquals([answer.effects, answer.revision], [["rolls workers"], 2]);
  assert(bench.pids().every((pid) => !before.includes(pid)));
  await bench.assertAgreed();
  assertEquals((await bench.orders(addRoute("/y"))).effects, ["live"]);
  await bench.transactions.rollWorkers();
  await bench.assertAgreed();
  assertEquals(bench.transactions.revision, 3);
});

Deno.test("if_revision guards against another writer, rollback brings an earlier state back", async () => {
  await using bench = new Bench();
  await bench.apply(base());
  const { transactions } = bench;
  const first = transactions.hash;
  await bench.orders(addRoute("/x"));
  const second = transactions.hash;
  await bench.orders({ order: "remove", object: "route", key: { host: "a.test", path: "/x" } }, addRoute("/y"));
  const error = await assertRejects(() => transactions.apply({ orders: [] }, { ...BY, ifRevision: 2 })) as ControlError;
  assertEquals([error.fields.code, error.fields.revision], ["conflict", 3]);
  assertEquals((await transactions.rollback(undefined, { ...BY, source: "rollback" })).hash, second);
  assertEquals((await transactions.rollback(1, { ...BY, source: "rollback" })).hash, first);
  assertEquals((await transactions.rollback(2, { ...BY, source: "rollback" })).hash, second);
  await bench.assertAgreed();
  await assertRejects(
    () => transactions.rollback(77, { ...BY, source: "rollback" }),
    /there is no revision 77; .* 1 to 6/,
  );
});

Deno.test("the history is bounded, and so is how far back it leads", async () => {
  await using bench = new Bench();
  await bench.apply(makeState({ ...base(), control: { ...base().control, history: 3 } }));
  for (let i = 0; i < 5; i++) await bench.orders(addRoute(`/${i}`));
  assertEquals(bench.transactions.history.reports().map(({ revision }) => revision), [6, 5, 4]);
  assertEquals(bench.transactions.history.reports(1).length, 1);
  await assertRejects(() => bench.transactions.rollback(3, { ...BY, source: "rollback" }), /there is no revision 3/);
  assertEquals((await bench.transactions.rollback(4, { ...BY, source: "rollback" })).revision, 7);
  assertEquals(bench.transactions.state.routes.length, 3);
});

Deno.test("changes go on while workers are killed", async () => {
  await using bench = new Bench();
  await bench.apply(base());
  for (let i = 0; i < 30; i++) {
    if (i % 5 === 2) sendSignal(bench.pids()[i % 2] ?? bench.pids()[0]!, SIGKILL);
    assertEquals((await bench.orders(addRoute(`/${i}`))).revision, i + 2);
  }
  await eventually("two workers", () => bench.pids().length, (count) => count === 2);
  await bench.assertAgreed();
});
