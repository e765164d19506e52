// Main under a service manager: what it is told, when the watchdog gets its beats, and when it does not.

import { monotonicUs } from "../../src/ts/sys/clock.ts";
import { closeFd } from "../../src/ts/sys/fds.ts";
import { inspectListener, openListeners } from "../../src/ts/sys/listen.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { MainProcess, runCommand } from "../support/main_process.ts";
import { eventually } from "../support/proxy.ts";
import { Ear } from "../support/service_manager.ts";

const CONFIG = `
workers: 2
user: ""
sandbox: off
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters: { app: { backends: ["127.0.0.1:9"] } }
routes: [ { cluster: app } ]
timeouts: { drain: 2s }
`;
const WATCHDOG_MS = 400;

const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function startUnder(ear: Ear, env: Record<string, string> = {}): Promise<MainProcess> {
  return MainProcess.start(CONFIG, { env: { NOTIFY_SOCKET: ear.path, ...env } });
}

const watched = { WATCHDOG_USEC: String(WATCHDOG_MS * 1000) };

/** How many beats come in so many intervals of the watchdog. */
async function beatsIn(ear: Ear, intervals: number): Promise<number> {
  const before = ear.count("WATCHDOG=1");
  await delay(intervals * WATCHDOG_MS);
  return ear.count("WATCHDOG=1") - before;
}

/** Waits until beats come again, or until none has come for an interval. */
const untilBeats = (ear: Ear, wanted: boolean) =>
  eventually(`beats: ${wanted}`, () => beatsIn(ear, 1), (count) => (count > 0) === wanted, 10_000);

Deno.test("a service manager is told: ready, reloading, stopping, and how it goes", async () => {
  await using ear = await Ear.open();
  const beganUs = monotonicUs();
  await using main = await startUnder(ear);
  assertMatch(
    await ear.hears(/READY/),
    new RegExp(`^READY=1\nMAINPID=${main.pid}\nSTATUS=serving with \\d of 2 workers, revision 1\n`),
  );
  await main.logged(/slot=1 pid=\d+ took_ms/);

  main.signal("SIGHUP");
  const told = await ear.hears(/RELOADING=1\nMONOTONIC_USEC=\d+\n[^]*READY=1\nMAINPID=\d+\nSTATUS=serving with 2 of 2/);
  const atUs = Number(/MONOTONIC_USEC=(\d+)/.exec(told)![1]);
  assert(beganUs < atUs && atUs < monotonicUs(), `${beganUs} < ${atUs} < now`);

  await main.configure("workers: no");
  main.signal("SIGHUP");
  await ear.hears(/READY=1\n.*\nSTATUS=serving with 2 of 2 workers, revision 1; the last reload failed\n$/);
  const quiet = ear.heard.length;
  await runCommand(["workers", "set", "3", "--socket", main.socket]);
  await ear.hears(/\nSTATUS=serving with 3 of 3 workers, revision 2; the last reload failed\n$/);
  await delay(1_500);
  assert(ear.heard.length - quiet <= 2, `one change, ${ear.heard.length - quiet} messages`);

  const carried = main.ask("/wait").catch(() => undefined);
  await delay(100);
  main.signal("SIGTERM");
  await ear.hears(/\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=17000000\nSTATUS=stopping\n/);
  await ear.hears(/\nSTATUS=stopping; workers that finish what they carry: 1\n/);
  await carried;
  assertEquals((await main.ended).code, 0);
});

Deno.test("the watchdog gets beats at less than half its interval, while main and a worker are alive", async () => {
  await using ear = await Ear.open();
  await using main = await startUnder(ear, { ...watched, WATCHDOG_PID: "1" });
  await ear.hears(/READY/);
  assertEquals(await beatsIn(ear, 2), 0, "they are another process's");
  main.signal("SIGKILL");
  await main.ended;

  await using next = await startUnder(ear, watched);
  await next.logged(/slot=1 pid=\d+ took_ms/);
  await delay(WATCHDOG_MS);
  const from = ear.heard.length;
  await delay(8 * WATCHDOG_MS);
  const beats = ear.heard.slice(from).filter(({ text }) => text === "WATCHDOG=1").map(({ atMs }) => atMs);
  const longest = Math.max(...beats.slice(1).map((at, i) => at - beats[i]!));
  assert(beats.length > 16 && longest < WATCHDOG_MS, `${beats.length} beats, at most ${longest} ms between them`);
  for (const { pid } of (await next.status()).workers) {
    assert(!/NOTIFY_SOCKET|WATCHDOG/.test(Deno.readTextFileSync(`/proc/${pid}/environ`)), "a worker is told");
  }

  next.signal("SIGSTOP");
  await untilBeats(ear, false);
  next.signal("SIGCONT");
  await untilBeats(ear, true);
});

Deno.test("the watchdog gets no beat while no worker answers, and gets them again when one does", async () => {
  await using ear = await Ear.open();
  await using main = await startUnder(ear, watched);
  await main.logged(/slot=1 pid=\d+ took_ms/);
  const [one, other] = (await main.status()).workers;
  Deno.kill(one!.pid, "SIGSTOP");
  await delay(2 * WATCHDOG_MS);
  assert(await beatsIn(ear, 2) > 2, "one of two is enough");
  Deno.kill(other!.pid, "SIGSTOP");
  await untilBeats(ear, false);
  Deno.kill(one!.pid, "SIGCONT");
  await untilBeats(ear, true);
  Deno.kill(other!.pid, "SIGCONT");

  // The next processes never get ready.
  await main.configure(`${CONFIG}answers: { "500": hang }`);
  main.signal("SIGHUP");
  await main.logged(/configuration applied/);
  for (const { pid } of [one!, other!]) Deno.kill(pid, "SIGKILL");
  await untilBeats(ear, false);
  await ear.hears(/STATUS=serving with 0 of 2 workers, revision 2\n/);
  assertEquals(await beatsIn(ear, 3), 0);
  main.signal("SIGTERM");
  assertEquals((await main.ended).code, 0);
});

Deno.test("an upgrade keeps the service manager's socket, and its watchdog waits for the new program", async () => {
  const { fds: [fd], address } = openListeners("127.0.0.1:0", 1, 64);
  await using ear = await Ear.open();
  const sockets = [{ name: "web", fd: fd! }];
  await using main = await MainProcess.start(CONFIG, { env: { NOTIFY_SOCKET: ear.path, ...watched }, sockets });
  await main.logged(/slot=1 pid=\d+ took_ms/);
  const before = (await main.status()).workers.map(({ pid }) => pid);
  main.signal("SIGUSR2");
  await main.logged(/INFO {2}upgraded/);
  const again = `READY=1\nMAINPID=${main.pid}\nWATCHDOG_USEC=${watched.WATCHDOG_USEC}\nSTATUS=serving`;
  await ear.hears(
    new RegExp(
      `RELOADING=1\n.*\nMAINPID=\\d+\nSTATUS=another program takes over\nWATCHDOG_USEC=60000000\n[^]*${again}`,
    ),
  );
  await untilBeats(ear, true);
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => await (await fetch(`http://${address}`)).json()),
  );
  assert(answers.every(({ pid }) => !before.includes(pid)), "the new program's workers serve it");
  main.signal("SIGTERM");
  assertEquals((await main.ended).code, 0);
  assertEquals(inspectListener(fd!).fault, "");
  const late = await Deno.connect({ hostname: "127.0.0.1", port: Number(address.split(":")[1]) });
  late.close();
  closeFd(fd!);
});

/** Only where systemd is. */
function hasAnalyzer(): boolean {
  try {
    return new Deno.Command("systemd-analyze", { args: ["--version"] }).outputSync().success;
  } catch {
    console.warn("left out: systemd-analyze not found");
    return false;
  }
}

Deno.test({
  name: "systemd understands the units in packaging/",
  ignore: !hasAnalyzer(),
  async fn() {
    const folder = await Deno.makeTempDir();
    for (const name of ["kakehi.service", "kakehi.socket"]) {
      const unit = await Deno.readTextFile(new URL(`../../packaging/${name}`, import.meta.url));
      // The program need not be installed here.
      await Deno.writeTextFile(`${folder}/${name}`, unit.replaceAll("/usr/local/bin/kakehi", "/bin/true"));
    }
    const args = ["verify", `${folder}/kakehi.service`, `${folder}/kakehi.socket`];
    const { code, stderr } = await new Deno.Command("systemd-analyze", { args }).output();
    const said = new TextDecoder().decode(stderr).split("\n").filter((line) => line.includes("kakehi"));
    assertEquals([code, said], [0, []]);
    await Deno.remove(folder, { recursive: true });
  },
});
