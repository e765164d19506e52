// Another program in the place of the running one, with the real worker and under traffic: one that can take over does, with
// everything that main knows, and of each that cannot the old one serves on, no request fails, and the command says why.

// deno-lint-ignore-file no-explicit-any

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { Family, openFilesOf, zombiesOf } from "../support/family.ts";
import { type Edit, otherVersion, wrapped, writeScript } from "../support/programs.ts";
import { type CommandResult, eventually, type Proxy, runKakehi, startProxy } from "../support/proxy.ts";
import { createRandom } from "../support/random.ts";
import { serveEcho, Traffic } from "../support/traffic.ts";
import { Client } from "../unit/control/client.ts";

const VERSION_LINE: Edit = {
  file: "src/ts/control/version.ts",
  from: 'VERSION = "0.1.0"',
  to: 'VERSION = "9.9.9"',
};
/** The path of main that runs as a worker; what is put before it happens in workers alone. */
const WORKER_BEGINS = 'if (argv[0] === "worker") {';
/** Here a program that takes over waits, with the signals of main held back. (A shell that waits would let them through.) */
const LONG_BIRTH: Edit = {
  file: "src/ts/main.ts",
  from: 'if (argv[0] === "worker") {',
  to:
    'if (argv[0] === "resume") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);\n  if (argv[0] === "worker") {',
};
const BECAME_MAIN = "Deno.readTextFileSync(`/proc/${Deno.ppid}/cmdline`).includes('resume')";

const CONFIG = (backend: string) => `
workers: 2
control: { socket: "{folder}/control.sock", state_file: "{folder}/state" }
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["${backend}"] } }
routes: [ { cluster: app } ]
answers: { "404": "not here" }
timeouts: { drain: 3s }
`;

class Scene implements AsyncDisposable {
  readonly told: string[] = [];
  readonly family: Family;

  private constructor(
    readonly proxy: Proxy,
    readonly client: Client,
    readonly traffic: Traffic,
    family: Family,
    private readonly backend: Deno.HttpServer,
  ) {
    this.family = family;
    client.follow({ verb: "subscribe", events: ["upgrade.started", "upgrade.done", "upgrade.failed"] }, (line) => {
      if (line?.event) this.told.push(line.event.name);
    });
  }

  static async set(config = CONFIG): Promise<Scene> {
    const backend = serveEcho();
    const family = new Family();
    const proxy = await startProxy(config(backend.address), family.env);
    const client = await Client.connect(proxy.socket);
    return new Scene(proxy, client, new Traffic(proxy.port("web")), family, backend);
  }

  upgrade(binary?: string): Promise<CommandResult> {
    const which = binary === undefined ? [] : ["--binary", binary];
    return runKakehi("upgrade", ...which, "--socket", this.proxy.socket);
  }

  async ask(request: object): Promise<any> {
    const answer = await this.client.ask(request);
    assertEquals(answer.status, "ok", JSON.stringify(answer));
    return answer;
  }

  async apply(...orders: unknown[]): Promise<any> {
    return await this.ask({ verb: "apply", orders });
  }

  /** What may not change by an upgrade that fails. */
  async standing(): Promise<unknown> {
    const { version, revision, hash, served_hash, upgrades, listeners, workers, uptime_ms } = await this.ask({
      verb: "status",
    });
    assert(uptime_ms > 0);
    const serving = workers.filter(({ state }: any) => state === "serving");
    assertEquals(serving.map(({ slot, differs }: any) => [slot, differs]), [[0, false], [1, false]]);
    const { revisions } = await this.ask({ verb: "history" });
    return { version, revision, hash, served_hash, upgrades, listeners, revisions };
  }

  async pids(): Promise<number[]> {
    const { workers } = await this.ask({ verb: "status" });
    return workers.filter(({ state }: any) => state === "serving").map(({ pid }: any) => pid);
  }

  /** Main, its workers and the one that waits, and nothing else. */
  async untilAlone(): Promise<void> {
    const shape = () =>
      this.family.members().map(({ command }) => / worker 3$/.test(command) ? "worker" : "main").sort();
    const wanted = ["main", "worker", "worker", "worker"];
    await eventually("processes", shape, (found) => found.join() === wanted.join(), 8_000);
  }

  async served(): Promise<void> {
    await this.traffic.more(50);
    assertEquals(this.traffic.failures, []);
  }

  async [Symbol.asyncDispose]() {
    await this.traffic.stop();
    this.client.close();
    // A guard that went on in main's stead would hold the log open for ever if a test fails before it stops it.
    const members = this.family.members();
    if (!members.some(({ pid }) => pid === this.proxy.pid)) members.forEach(({ pid }) => Deno.kill(pid, "SIGKILL"));
    try {
      await this.proxy[Symbol.asyncDispose]();
      await eventually("processes left behind", () => this.family.members(), (left) => left.length === 0);
    } finally {
      for (const { pid } of this.family.members()) Deno.kill(pid, "SIGKILL");
      await this.backend.shutdown();
    }
  }
}

async function mainFiles({ proxy }: Scene): Promise<string[]> {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return openFilesOf(proxy.pid);
}

Deno.test("another version takes over everything: state, history, sockets, clients, and what they ask afterwards", async () => {
  await using scene = await Scene.set();
  const { proxy } = scene;
  const version = await otherVersion(proxy.folder, "next", [VERSION_LINE]);
  await scene.apply({ order: "add", object: "route", value: { path: "/more/*", cluster: "app" } });
  await scene.apply({ order: "update", object: "settings", value: { answers: { 404: "nothing" } } });
  const before: any = await scene.standing();
  const pids = await scene.pids();
  const { code, stdout, stderr } = await scene.upgrade(version);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /checking whether \S+next can serve revision 3\nversion 9\.9\.9 takes over\n/);
  assertMatch(stdout, /version 9\.9\.9 has taken over from 0\.1\.0 in \d+ ms\n$/);
  assertEquals(await scene.standing(), { ...before, version: "9.9.9", upgrades: 1 });
  assertEquals((await scene.ask({ verb: "status" })).pid, proxy.pid);
  assert((await scene.pids()).every((pid) => !pids.includes(pid)), "the old workers serve on");
  await scene.served();
  assertEquals((await scene.ask({ verb: "rollback", revision: 1 })).revision, 4);
  await scene.apply({ order: "add", object: "listener", name: "second", value: { address: "127.0.0.1:0" } });
  const { listeners } = await scene.ask({ verb: "status" });
  const second = listeners.find(({ name }: any) => name === "second").address;
  assertEquals(await (await fetch(`http://${second}/x`)).text(), "/x");
  // The file is read again: it is revision 1 with nothing added.
  Deno.kill(proxy.pid, "SIGHUP");
  const latest = async () => (await scene.ask({ verb: "history", limit: 1 })).revisions[0];
  await eventually("the file", latest, ({ revision, source }) => revision === 6 && source === "file");
  // And back, to the file that it was started from at first: the one of this version's wrapper.
  assertEquals((await scene.upgrade(await wrapped(proxy.folder, "back"))).code, 0);
  assertEquals((await scene.ask({ verb: "status" })).version, "0.1.0");
  assertEquals(scene.told, ["upgrade.started", "upgrade.done", "upgrade.started", "upgrade.done"]);
  await scene.untilAlone();
  await scene.served();
  assertEquals(await proxy.stop(), 0);
});

Deno.test("USR2 upgrades to the same file; nothing stays behind of many upgrades", async () => {
  await using scene = await Scene.set();
  const { proxy } = scene;
  const upgrades = async () => (await scene.ask({ verb: "status" })).upgrades;
  assertEquals((await scene.upgrade()).code, 0);
  await scene.untilAlone();
  const files = await mainFiles(scene);
  for (let count = 2; count <= 4; count++) {
    Deno.kill(proxy.pid, "SIGUSR2");
    await eventually("the upgrade", upgrades, (number) => number === count, 10_000);
  }
  await scene.untilAlone();
  assertEquals(await eventually("descriptors", () => mainFiles(scene), (now) => now.length <= files.length), files);
  assertEquals(zombiesOf(proxy.pid), []);
  await scene.served();
});

Deno.test("a program that cannot take over changes nothing, and the command says why", async () => {
  await using scene = await Scene.set();
  const { proxy, proxy: { folder } } = scene;
  await Deno.mkdir(`${folder}/folder`);
  await Deno.writeTextFile(`${folder}/text`, "no program\n", { mode: 0o755 });
  const format = { file: "src/ts/control/handover.ts", from: "const FORMAT = 1;", to: "const FORMAT = 2;" };
  const lacksAnswers = { file: "src/ts/config/schema.ts", from: "  answers: key(", to: "  replies: key(" };
  const refusedWorker = {
    file: "src/ts/main.ts",
    from: WORKER_BEGINS,
    to: `${WORKER_BEGINS} Deno.exit(9);`,
  };
  const cases: [binary: string, reason: RegExp][] = [
    [`${folder}/absent`, /absent: there is no such file/],
    [`${folder}/folder`, /folder: expected a program, this is no regular file/],
    [await writeScript(folder, "closed", "exit 0", 0o644), /closed: it is not executable/],
    [`${folder}/text`, /text: .*it is no program/],
    [await writeScript(folder, "ends", "exit 3"), /ends ended \(exit code 3\) before it said/],
    [await writeScript(folder, "killed", "kill -9 $$"), /killed ended \(signal 9\) before it said/],
    [await writeScript(folder, "noise", "echo noise >&3; sleep 9"), /noise answers with something else.*not JSON/],
    [await writeScript(folder, "other", "echo '[1]' >&3; sleep 9"), /other.*expected ok and version, got \[1\]/],
    [
      await otherVersion(folder, "format", [VERSION_LINE, format]),
      /version 0\.1\.0 hands over in format 1, and version 9\.9\.9 reads 2/,
    ],
    [
      await otherVersion(folder, "schema", [VERSION_LINE, lacksAnswers]),
      /version 9\.9\.9 cannot read the state: .*answers/,
    ],
    [await otherVersion(folder, "idle", [refusedWorker]), /its worker does not start: exit code 9/],
  ];
  const before = await scene.standing();
  const pids = await scene.pids();
  const files = await mainFiles(scene);
  for (const [binary, reason] of cases) {
    const { code, stdout, stderr } = await scene.upgrade(binary);
    assertEquals(code, 1, `${binary}: ${stdout}${stderr}`);
    assertMatch(stderr, reason);
    assertEquals(await scene.standing(), before, binary);
    assertEquals(await scene.pids(), pids, binary);
  }
  await eventually("the events", () => scene.told.length, (count) => count === cases.length * 2);
  assertEquals(scene.told.slice(0, 2), ["upgrade.started", "upgrade.failed"]);
  const relative = await scene.client.ask({ verb: "upgrade", binary: "kakehi" });
  assertEquals([relative.code, relative.reason], ["bad_request", "binary: expected an absolute path, got kakehi"]);
  await scene.untilAlone();
  assertEquals(await eventually("descriptors", () => mainFiles(scene), (now) => now.length <= files.length), files);
  assertEquals(zombiesOf(proxy.pid), []);
  await scene.served();
});

Deno.test("a program whose workers do not start after the check goes back to the old one, in the same process", async () => {
  await using scene = await Scene.set();
  const { proxy } = scene;
  const edit = {
    file: "src/ts/main.ts",
    from: WORKER_BEGINS,
    to: `${WORKER_BEGINS} if (${BECAME_MAIN}) Deno.exit(9);`,
  };
  const version = await otherVersion(proxy.folder, "barren", [VERSION_LINE, edit]);
  await scene.apply({ order: "add", object: "route", value: { path: "/more/*", cluster: "app" } });
  const before = await scene.standing();
  const pids = await scene.pids();
  const { code, stderr } = await scene.upgrade(version);
  assertEquals(code, 1);
  assertMatch(stderr, /could not take over \(version 9\.9\.9: .*exit code 9.*\); version 0\.1\.0 serves on/);
  assertEquals(await scene.standing(), before);
  assertEquals([(await scene.ask({ verb: "status" })).pid, await scene.pids()], [proxy.pid, pids]);
  assertEquals(scene.told, ["upgrade.started", "upgrade.failed"]);
  await scene.untilAlone();
  assertEquals(zombiesOf(proxy.pid), []);
  // It knows where its own file is, though it was started from a descriptor.
  assertEquals((await scene.upgrade()).code, 0);
  assertEquals((await scene.ask({ verb: "rollback" })).revision, 3);
  await scene.served();
});

const LATE_ENDS: [name: string, edits: Edit[], why: RegExp][] = [
  ["before it looks around", [], /it ended/],
  ["when its workers have taken over", [{
    file: "src/ts/control/serve.ts",
    from: "    await this.#supervisor.listen();\n",
    to: "    Deno.exit(7);\n",
  }], /it ended/],
];

for (const [name, edits, why] of LATE_ENDS) {
  Deno.test(`a program that passes its check and ends ${name}: the guard goes on as the old one`, async () => {
    await using scene = await Scene.set();
    const { proxy } = scene;
    const version = edits.length > 0
      ? await otherVersion(proxy.folder, "late", [VERSION_LINE, ...edits])
      : await wrapped(proxy.folder, "late", 'if [ "$1" = resume ]; then exit 7; fi');
    await scene.apply({ order: "add", object: "route", value: { path: "/more/*", cluster: "app" } });
    const before = await scene.standing();
    const { code, stderr } = await scene.upgrade(version);
    assertEquals(code, 1);
    assertMatch(stderr, why);
    assertMatch(stderr, /version 0\.1\.0 serves on/);
    assertEquals(await scene.standing(), before);
    const { pid } = await scene.ask({ verb: "status" });
    assert(pid !== proxy.pid, "the same process");
    await scene.served();
    await scene.untilAlone();
    assertEquals((await scene.ask({ verb: "rollback" })).revision, 3);
    assertEquals((await scene.upgrade()).code, 0);
    assertEquals((await scene.ask({ verb: "status" })).pid, pid);
    await scene.served();
    assertEquals((await runKakehi("stop", "--socket", proxy.socket)).code, 0);
    await eventually("the guard's end", () => scene.family.members(), (left) => left.length === 0);
  });
}

Deno.test("what is asked during an upgrade is answered by the new main, a second upgrade is refused by the old one", async () => {
  await using scene = await Scene.set();
  const { proxy } = scene;
  // It takes its time, so that there is a during.
  const slow = await wrapped(proxy.folder, "slow", 'case "$1" in check-upgrade) sleep 0.5;; resume) sleep 0.3;; esac');
  const upgrading = scene.upgrade(slow);
  await eventually("the upgrade", () => scene.told.length, (count) => count === 1);
  const second = await scene.client.ask({ verb: "upgrade" });
  assertEquals([second.code, second.reason], ["conflict", "an upgrade is under way already"]);
  // Changes while the program is checked: it is checked again, and they are not lost.
  await scene.apply({ order: "add", object: "route", value: { host: "during.test", cluster: "app" } });
  const answers: Promise<any>[] = [];
  let over = false;
  const asking = (async () => {
    for (let number = 0; !over; number++) {
      const key = { host: `h${number}.test` };
      answers.push(
        scene.client.ask({
          verb: "apply",
          orders: [{ order: "add", object: "route", key, value: { cluster: "app" } }],
        }),
      );
      using other = await Client.connect(proxy.socket);
      answers.push(other.ask({ verb: "version" }));
      await answers.at(-1);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  })();
  const { code, stderr } = await upgrading;
  over = true;
  await asking;
  assertEquals([code, stderr], [0, ""]);
  const given = await Promise.all(answers);
  assertEquals(given.filter(({ status }) => status !== "ok"), []);
  const { state } = await scene.ask({ verb: "get" });
  assertEquals(state.routes.length, 2 + given.length / 2);
  await scene.served();
});

Deno.test("a reload that is asked for during an upgrade is done by the new main", async () => {
  await using scene = await Scene.set();
  const { proxy } = scene;
  const slow = await otherVersion(proxy.folder, "slow", [LONG_BIRTH]);
  const path = `${proxy.folder}/kakehi.yaml`;
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(
    path,
    text.replace("routes: [ ", "routes: [ { path: /none, host: never.test, cluster: app }, "),
  );
  const upgrading = scene.upgrade(slow);
  await eventually("the upgrade", () => /another program takes over/.test(proxy.log()), (has) => has);
  for (let i = 0; i < 10; i++) {
    Deno.kill(proxy.pid, "SIGHUP");
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  assertEquals((await upgrading).code, 0);
  await eventually(
    "the new file",
    async () => (await scene.ask({ verb: "status" })).revision,
    (number) => number === 2,
  );
  await scene.served();
});

/** So that main takes its time to write what it hands over. */
const withRoutes = (count: number) => (backend: string) => {
  const routes = Array.from({ length: count }, (_, i) => `{ host: h${i}.test, cluster: app }`);
  return CONFIG(backend).replace("routes: [ ", `routes: [ ${routes.join(", ")}, `) +
    'access_log: { path: "{folder}/access.log", format: common }\n';
};

Deno.test("a signal at any moment of an upgrade is acted upon once, by the old main or by the new one", async () => {
  const upgrades = Number(Deno.env.get("KAKEHI_SIGNALS") ?? 3);
  const seed = Number(Deno.env.get("KAKEHI_SEED") ?? 20_264);
  const random = createRandom(seed);
  await using scene = await Scene.set(withRoutes(5_000));
  const { proxy } = scene;
  const count = (pattern: RegExp) => [...proxy.log().matchAll(pattern)].length;
  for (let upgrade = 1; upgrade <= upgrades; upgrade++) {
    const upgrading = scene.ask({ verb: "upgrade" });
    await eventually("leaving", () => count(/another program takes over/g), (number) => number === upgrade, 20_000);
    // It leaves about now: its last look, and the exec, lie in this time.
    await new Promise((resolve) => setTimeout(resolve, random.below(250)));
    Deno.kill(proxy.pid, "SIGUSR1");
    await upgrading;
    const opened = () => count(/access log opened anew/g);
    await eventually(`signal ${upgrade}, seed ${seed}`, opened, (number) => number === upgrade, 10_000);
  }
  await scene.served();
  assertEquals(count(/access log opened anew/g), upgrades);
});

Deno.test("TERM at any moment of an upgrade stops the proxy, with exit code 0", async () => {
  for (const afterMs of [0, 150, 350, 600, 900]) {
    await using scene = await Scene.set();
    const { proxy } = scene;
    const slow = await otherVersion(proxy.folder, "slow", [LONG_BIRTH]);
    const upgrading = scene.client.ask({ verb: "upgrade", binary: slow }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await scene.traffic.stop();
    assertEquals(scene.traffic.failures, []);
    assertEquals(await proxy.stop(), 0, `after ${afterMs} ms:\n${proxy.log()}`);
    await upgrading;
  }
});
