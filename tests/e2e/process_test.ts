// Main as a person and a service manager meet it: exit codes, signals, the control socket, what is left behind. The workers are
// those of tests/support/test_worker.ts, so that they can be made to misbehave.

import { ask } from "../../src/ts/cli/connection.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { MainProcess, runCommand } from "../support/main_process.ts";
import { eventually, startProxy } from "../support/proxy.ts";

const CONFIG = `
workers: 2
user: ""
sandbox: off
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["127.0.0.1:9"] } }
routes: [ { cluster: app } ]
timeouts: { drain: 1s }
`;

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const isAlive = (pid: number) => {
  try {
    return !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
};

async function pidsOf(main: MainProcess): Promise<number[]> {
  const { workers, spare } = await main.status();
  return [...workers.map(({ pid }) => pid), ...(spare ? [spare.pid] : [])];
}

Deno.test("start serves, stop drains, and nothing is left behind", async () => {
  await using main = await MainProcess.start(CONFIG);
  assertEquals((await main.ask()).revision, 1);
  await eventually("a spare", async () => (await main.status()).spare, (spare) => spare !== null);
  const pids = await pidsOf(main);
  assertEquals(pids.length, 3);
  assertEquals(Deno.statSync(main.socket).mode! & 0o777, 0o600);
  const { code, stdout } = await runCommand(["stop", "--socket", main.socket]);
  assertEquals([code, stdout], [0, "stopped\n"]);
  assertEquals((await main.ended).code, 0);
  assertEquals(pids.filter(isAlive), []);
  assertEquals([...Deno.readDirSync(main.folder)].map(({ name }) => name), ["kakehi.yaml"]);
});

Deno.test("status tells of workers, listeners and counters, for people and as JSON", async () => {
  await using main = await MainProcess.start(CONFIG);
  for (let i = 0; i < 5; i++) await main.ask();
  const { code, stdout } = await runCommand(["status", "--json", "--socket", main.socket]);
  const status = JSON.parse(stdout);
  assertEquals([code, status.revision, status.workers.length, status.counters.requests], [0, 1, 2, 5]);
  assert(status.workers.every((worker: { memory_bytes: number }) => worker.memory_bytes > 1e6));
  const text = (await runCommand(["status", "--socket", main.socket])).stdout;
  assertMatch(text, /listens on 127\.0\.0\.1:\d+ \(web\)\n\nWORKER +PID +STATE/);
  assertMatch(text, /\nrequests +5\n/);
});

Deno.test("a worker killed under load is replaced within 100 ms, and only what it carried fails", async () => {
  await using main = await MainProcess.start(CONFIG);
  await eventually("a spare", async () => (await main.status()).spare, (spare) => spare !== null);
  await delay(1_000);
  let running = true;
  let served = 0;
  let failed = 0;
  const client = async () => {
    while (running) await main.ask().then(() => served++, () => failed++);
  };
  const clients = Promise.all([client(), client(), client(), client()]);
  await delay(200);
  const [victim] = (await main.status()).workers;
  Deno.kill(victim!.pid, "SIGKILL");
  await main.logged(/worker is ready {2}slot=\d pid=\d+ took_ms/);
  await delay(200);
  running = false;
  await clients;
  const took = Number(/worker is ready {2}slot=\d pid=\d+ took_ms=(\d+)/.exec(main.log)![1]);
  assert(took < 100, `it took ${took} ms`);
  assert(served > 50 && failed <= 4, `${served} served, ${failed} failed`);
  const after = (await main.status()).workers.find(({ slot }) => slot === victim!.slot)!;
  assertEquals([after.restarts, after.pid === victim!.pid], [1, false]);
});

Deno.test("TERM finishes what is carried within the drain time, a second one does not wait", async () => {
  for (const signals of [["SIGTERM"], ["SIGTERM", "SIGINT"]] as const) {
    await using main = await MainProcess.start(CONFIG);
    const carried = main.ask("/wait").catch(() => undefined);
    await delay(100);
    const begin = performance.now();
    for (const signal of signals) {
      main.signal(signal);
      await delay(100);
    }
    assertEquals((await main.ended).code, 0);
    const tookMs = performance.now() - begin;
    assert(signals.length === 2 ? tookMs < 800 : tookMs >= 900, `${signals.join()} took ${tookMs} ms`);
    await carried;
  }
});

Deno.test("stop --now does not wait, also not for a stop that drains already", async () => {
  await using main = await MainProcess.start(CONFIG.replace("drain: 1s", "drain: 30s"));
  const carried = main.ask("/wait").catch(() => undefined);
  await delay(100);
  const gentle = runCommand(["stop", "--socket", main.socket]);
  await delay(1_500);
  const now = await runCommand(["stop", "--now", "--socket", main.socket]);
  assertEquals(now.code, 0);
  const { code, stdout } = await gentle;
  assertEquals(code, 0);
  assertMatch(stdout, /^1 processes still finish what they carry\n(.*\n)*stopped\n$/);
  await carried;
});

Deno.test("HUP reads the file again: a good one is applied, a bad one changes nothing and is explained", async () => {
  await using main = await MainProcess.start(CONFIG);
  const before = await pidsOf(main);
  await main.configure(CONFIG.replace("drain: 1s", "drian: 1s"));
  main.signal("SIGHUP");
  await main.logged(/ERROR the configuration was not applied, nothing has changed/);
  assertMatch(main.log, /kakehi\.yaml:\d+:\d+.*drian/);
  assertEquals((await main.ask()).revision, 1);
  assertEquals((await pidsOf(main)).slice(0, 2), before.slice(0, 2));

  await main.configure(CONFIG.replace("workers: 2", 'workers: 3\nanswers: { "500": refuse }'));
  main.signal("SIGHUP");
  await main.logged(/ERROR the test: says so/);
  assertEquals((await main.ask()).revision, 1);

  await main.configure(CONFIG.replace("workers: 2", "workers: 3"));
  main.signal("SIGHUP");
  await main.logged(/configuration applied {2}file=\S+ revision=2/);
  assertEquals((await main.ask()).revision, 2);
  assertEquals((await main.status()).workers.filter(({ state }) => state === "serving").length, 3);
  assertEquals(before.slice(0, 2).filter(isAlive), before.slice(0, 2), "those that serve go on");
});

Deno.test("a second start on the same control socket or address is refused, a dead main's socket is replaced", async () => {
  await using main = await MainProcess.start(CONFIG);
  const again = await runCommand(["start", "-c", `${main.folder}/kakehi.yaml`, "--socket", main.socket]);
  assertEquals(again.code, 1);
  assertMatch(again.stderr, /another proxy is running: \S+control\.sock answers/);

  const address = (await main.status()).listeners[0]!.address;
  await Deno.writeTextFile(`${main.folder}/second.yaml`, CONFIG.replace("127.0.0.1:0", address));
  const second = await runCommand([
    "start",
    "-c",
    `${main.folder}/second.yaml`,
    "--socket",
    `${main.folder}/second.sock`,
  ]);
  assertEquals(second.code, 1);
  assertMatch(second.stderr, new RegExp(`listener web: ${address} is already in use by another process`));

  const pids = await pidsOf(main);
  main.signal("SIGKILL");
  await main.ended;
  await eventually("workers of a dead main", () => pids.filter(isAlive).length, (count) => count === 0);
  assertEquals((await runCommand(["status", "--socket", main.socket])).code, 3);
  await using next = await MainProcess.start(CONFIG.replace("workers: 2", `control: { socket: "${main.socket}" }`));
  assertEquals((await next.ask()).revision, 1);
});

Deno.test("USR1 opens the access log anew", async () => {
  await using main = await MainProcess.start(`${CONFIG}access_log: { path: "{folder}/access.log", format: common }\n`);
  const path = `${main.folder}/access.log`;
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o640);
  await Deno.rename(path, `${path}.1`);
  main.signal("SIGUSR1");
  await main.logged(/access log opened anew/);
  assertEquals(Deno.statSync(path).size, 0);
});

Deno.test("workers take no signal that is meant for main", async () => {
  await using main = await MainProcess.start(CONFIG);
  const pids = await pidsOf(main);
  for (const pid of pids) for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) Deno.kill(pid, signal);
  await delay(200);
  assertEquals(pids.filter(isAlive), pids);
});

Deno.test("without its main a worker drains for as long as main said last", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const yaml = CONFIG.replace("127.0.0.1:9", `127.0.0.1:${silent.addr.port}`).replace("drain: 1s", "drain: 10m");
  await using main = await MainProcess.start(yaml, { real: true });
  const value = { timeouts: { drain: "300ms" } };
  await ask(main.socket, "apply", { orders: [{ order: "update", object: "settings", value }] });
  const { workers, listeners } = await main.status();
  using asking = await Deno.connect({ port: Number(listeners[0]!.address.split(":")[1]) });
  await asking.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  using _carried = await silent.accept();
  main.signal("SIGKILL");
  await main.ended;
  await eventually("the end of the workers", () => workers.some(({ pid }) => isAlive(pid)), (alive) => !alive);
});

Deno.test("the real worker gives up what it does not need, in all its threads", async () => {
  await using proxy = await startProxy(
    CONFIG.replace('user: ""', "user: nobody").replace("sandbox: off", "sandbox: auto"),
  );
  const [worker] = (await proxy.status()).workers as unknown as { pid: number; sandbox: string[] }[];
  const field = (status: string, name: string) => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(status)?.[1];
  for (const { name } of Deno.readDirSync(`/proc/${worker!.pid}/task`)) {
    const status = Deno.readTextFileSync(`/proc/${worker!.pid}/task/${name}/status`);
    if (worker!.sandbox.includes("seccomp")) assertEquals(field(status, "Seccomp"), "2", `thread ${name}`);
    if (Deno.uid() !== 0) continue;
    assertMatch(field(status, "Uid")!, /^65534\t65534\t65534\t65534$/);
    assertEquals(field(status, "Groups"), "");
    assertEquals(parseInt(field(status, "CapEff")!, 16), 0);
  }
  const main = Deno.readTextFileSync(`/proc/${worker!.pid}/status`);
  assertEquals(field(main, "NoNewPrivs"), "1");
  assert(worker!.sandbox.includes("no_new_privs"), worker!.sandbox.join());
  assertMatch(proxy.log(), /worker is ready {2}slot=0 pid=\d+ sandbox="[^"]*no_new_privs[^"]*"/);
});

Deno.test("exit codes and complaints of the command line", async () => {
  const nowhere = ["--socket", "/nowhere/kakehi.sock"];
  const cases: [string[], number, RegExp][] = [
    [["strat"], 2, /unknown command "strat"; did you mean start\?/],
    [["xyzzy"], 2, /unknown command "xyzzy"; the commands are start, check/],
    [["status", "--soket", "x"], 2, /unknown option --soket; did you mean --socket\?/],
    [["stop", "extra"], 2, /unexpected argument "extra"/],
    [["start", "-c"], 2, /-c needs a value/],
    [["start", "-c", "/nowhere/kakehi.yaml"], 1, /kakehi\.yaml/],
    [["status", ...nowhere], 3, /no proxy answers at \/nowhere\/kakehi\.sock/],
    [["stop", ...nowhere], 3, /no proxy answers/],
  ];
  for (const [args, expected, complaint] of cases) {
    const { code, stderr, stdout } = await runCommand(args);
    assertEquals([code, stdout], [expected, ""], args.join(" "));
    assertMatch(stderr, complaint, args.join(" "));
    const json = await runCommand([...args, "--json"]);
    assertEquals(json.code, expected);
    assertMatch(JSON.parse(json.stdout).error, complaint, `${args.join(" ")} --json`);
  }
  for (const args of [["version"], ["help"], ["--help"], ["-V"], ["status", "--help"], []]) {
    const { code, stdout, stderr } = await runCommand(args);
    assertEquals([code, stderr], [0, ""], args.join(" "));
    assert(stdout.length > 20);
    if (args.length > 0) JSON.parse((await runCommand(["--json", ...args])).stdout);
  }
});
