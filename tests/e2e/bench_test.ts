// The bench must not rot unseen: what it reads and computes is checked here, and a tiny comparison is run with real
// proxies, whole and interrupted. The runs need wrk and nginx and are left out where these are not installed.

import { parseHandshakes } from "../../benches/peers/handshakes.ts";
import { parseOptions, UsageError } from "../../benches/peers/options.ts";
import { cpuBetween, parseStat, processTree, sampleCpu } from "../../benches/peers/proc.ts";
import { merge } from "../../benches/peers/proxies.ts";
import { ratiosOf, spread, table } from "../../benches/peers/report.ts";
import { turned, type Visit } from "../../benches/peers/compare.ts";
import { findProgram } from "../../benches/peers/stage.ts";
import { parseWrk } from "../../benches/peers/wrk.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../support/assert.ts";

const SCRIPT = new URL("../../benches/run.ts", import.meta.url).pathname;
const ignore = Deno.build.os !== "linux" || !findProgram("wrk") || !findProgram("nginx");

const WRK = `Running 1s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms  500.00us  10.00ms   90.00%
    Req/Sec    50.00k     1.00k   52.00k    80.00%
  Latency Distribution
     50%  980.00us
     75%    1.10ms
     90%    1.50ms
     99%    1.02s
  51234 requests in 1.10s, 12.00MB read
Requests/sec:  46576.36
Transfer/sec:     10.91MB
`;

Deno.test("parseWrk() reads figures and units", () => {
  assertEquals(parseWrk(WRK), {
    requests: 51_234,
    requestsPerSecond: 46_576.36,
    p50Micros: 980,
    p99Micros: 1_020_000,
    errors: [],
  });
});

Deno.test("parseWrk() reports every kind of error, and text that is not wrk's", () => {
  const socket = "  Socket errors: connect 0, read 3, write 0, timeout 1\n";
  const status = "  Non-2xx or 3xx responses: 7\n";
  const errors = parseWrk(WRK.replace("Requests/sec", `${socket}${status}Requests/sec`)).errors;
  assertEquals(errors, [socket.trim(), status.trim()]);
  assertEquals(parseWrk(WRK.replace("51234 requests", "0 requests")).errors, ["no request was answered"]);
  assertThrows(() => parseWrk("unable to connect"), /wrk printed something else/);
});

Deno.test("parseHandshakes() reads how many there were, and takes no answer without its body", () => {
  const text = "12 connections in 0.71s; 16.90 connections/user sec, bytes read 2940\n" +
    "12 connections in 2 real seconds, 245 bytes read per connection\n";
  assertEquals(parseHandshakes(text, 100), 12);
  assertThrows(() => parseHandshakes(text, 245), /12 connections with 245 bytes each/);
  assertThrows(() => parseHandshakes("Connection refused", 100), /s_time printed something else/);
});

Deno.test("parseStat() counts fields from the end of the name", () => {
  const fields = ["S", "7", ..."0 0 0 0 0 0 0 0 0".split(" "), "10", "20", "3", "4", "0 0 0 0", "99", "0"].join(" ");
  const stat = parseStat(`42 (a) b (c) ${fields}`);
  assertEquals(stat, { pid: 42, ppid: 7, userTicks: 13, systemTicks: 24, startTicks: 99 });
});

Deno.test({
  name: "cpuBetween() sees the CPU time of a process and falls back to ticks when threads ended",
  ignore: Deno.build.os !== "linux",
  fn() {
    const before = sampleCpu(Deno.pid);
    const end = performance.now() + 100;
    while (performance.now() < end);
    const use = cpuBetween(before, sampleCpu(Deno.pid));
    assert(use.micros > 10_000, `${use.micros} µs of CPU for a loop of 100 ms`);
    assertEquals(processTree(Deno.pid)[0]?.pid, Deno.pid);
    const none = { threads: new Map([["1/1", 0]]), userTicks: 0, systemTicks: 0 };
    const ended = { threads: new Map([["1/1", 1_000]]), userTicks: 30, systemTicks: 10 };
    assertEquals(cpuBetween(none, ended), { micros: 400_000, userMicros: 300_000, source: "stat" });
  },
});

Deno.test("spread() is the median and the ends", () => {
  assertEquals(spread([5, 1, 9]), { median: 5, best: 1, worst: 9 });
  assertEquals(spread([4, 1, 2, 9]), { median: 3, best: 1, worst: 9 });
});

Deno.test("turned() lets every proxy be first once", () => {
  assertEquals([0, 1, 2, 3].map((by) => turned(["a", "b", "c"], by).join("")), ["abc", "bca", "cab", "abc"]);
});

Deno.test("ratiosOf() compares with the better of nginx and haproxy, and leaves out what failed", () => {
  const cell = (micros: number, failure: string | null = null) => ({
    visits: [{ cpuMicros: micros } as Visit],
    memory: null,
    failure,
  });
  const cells = { nginx: cell(20), haproxy: cell(16), "haproxy-splice": cell(10), kakehi: cell(8) };
  const load = { name: "x", title: "x", isHttp2: false, cells };
  assertEquals(ratiosOf(load), { median: 0.5, best: 0.5, splice: 0.8, parent: null });
  const over2 = { ...load, isHttp2: true, cells: { ...cells, nghttpx: cell(10) } };
  assertEquals(ratiosOf(over2).median, 0.8, "with HTTP/2 nghttpx counts");
  const failed = { ...load, cells: { ...cells, haproxy: cell(1, "it ended") } };
  assertEquals(ratiosOf(failed).median, 0.4);
});

Deno.test("table() is aligned", () => {
  assertEquals(table([["a", "µs"], ["long", "1.5"]]), "| a    |  µs |\n| ---- | --: |\n| long | 1.5 |");
});

Deno.test("merge() lays settings over settings", () => {
  const over = { limits: { pipes: 0 }, routes: [], workers: 1 };
  const merged = merge({ limits: { pipes: 2, headers: 3 }, routes: [{ path: "/" }] }, over);
  assertEquals(merged, { limits: { pipes: 0, headers: 3 }, routes: [], workers: 1 });
});

Deno.test("parseOptions() takes what is documented and names what is wrong", () => {
  const options = parseOptions([
    "--quick",
    "--scenario=64k,1m",
    "--proxy",
    "nginx",
    "--config-extra",
    "limits: { pipes: 0 }",
  ]);
  assertEquals([options.rounds, options.seconds], [1, 1]);
  assertEquals([options.scenarios, options.proxies], [["64k", "1m"], ["nginx"]]);
  assertEquals(options.configExtra, { limits: { pipes: 0 } });
  const wrong: [string[], RegExp][] = [
    [["--rounds", "0"], /--rounds expects a whole number from 1 to 1000, not "0"/],
    [["--seconds"], /--seconds needs a value/],
    [["--proxy", "apache"], /--proxy expects one of nginx, .*, not "apache"/],
    [["--config-extra", "5"], /--config-extra expects YAML settings/],
    [["--parent", "/does/not/exist"], /"\/does\/not\/exist" does not exist/],
    [["--fast"], /--fast is not an option/],
  ];
  for (const [args, pattern] of wrong) assert(assertThrows(() => parseOptions(args), pattern) instanceof UsageError);
});

/** Starts the bench with its own directory for temporary files, so that what it leaves behind is seen. */
function startBench(temporary: string, args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", SCRIPT, "--peers", "--quick", "--warmup", "0", ...args],
    env: { TMPDIR: temporary },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

function left(temporary: string): string[] {
  const files = [...Deno.readDirSync(temporary)].map((entry) => entry.name);
  const pids = [...Deno.readDirSync("/proc")].map((entry) => entry.name).filter((name) => /^\d+$/.test(name));
  return [...files, ...pids.filter((pid) => commandLine(pid).includes(temporary))];
}

function commandLine(pid: string): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}

Deno.test({
  name: "benches/run.ts compares the proxies and leaves nothing behind",
  ignore,
  async fn() {
    const temporary = await Deno.makeTempDir();
    const out = await Deno.makeTempDir();
    try {
      const scenarios = ["--scenario", "keep-alive-1,close,idle", "--idle", "20", "--proxy", "nginx,kakehi"];
      const bench = startBench(temporary, [...scenarios, "--access-log", "--json", `${out}/json`]);
      const { code, stdout, stderr } = await bench.output();
      const text = new TextDecoder().decode(stdout);
      assertEquals(code, 0, text + new TextDecoder().decode(stderr));
      assertMatch(text, /\| keep-alive, 1 connection +\| +\d+(\.\d)? \(\d+(\.\d)?\) \|/);
      const figures = JSON.parse(await Deno.readTextFile(`${out}/json`));
      assertEquals(figures.scenarios.map((scenario: { name: string }) => scenario.name), ["keep-alive-1", "close"]);
      for (const { name } of figures.proxies) {
        for (const { proxies } of figures.scenarios) {
          assert(proxies[name].cpuMicros.median > 1, `no CPU time of ${name}`);
        }
        assert(figures.idle.proxies[name].idleBytes > 0, `no memory of ${name}`);
      }
      assertEquals([figures.idle.connections, figures.failures], [20, []]);
      assertEquals(left(temporary), []);
    } finally {
      await Deno.remove(temporary, { recursive: true });
      await Deno.remove(out, { recursive: true });
    }
  },
});

Deno.test({
  name: "benches/run.ts compares with TLS, each request with a full handshake where that is asked",
  ignore: ignore || !findProgram("openssl"),
  async fn() {
    const temporary = await Deno.makeTempDir();
    const json = await Deno.makeTempFile();
    try {
      const scenarios = ["--scenario", "tls-keep-alive-64,tls-handshake", "--proxy", "nginx,kakehi", "--json", json];
      const { code, stdout, stderr } = await startBench(temporary, scenarios).output();
      assertEquals(code, 0, new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr));
      const { scenarios: [kept, shaken], failures } = JSON.parse(await Deno.readTextFile(json));
      assertEquals(failures, []);
      for (const name of ["nginx", "kakehi"]) {
        const micros = [kept, shaken].map(({ proxies }) => proxies[name].cpuMicros.median);
        assert(micros[1]! > 3 * micros[0]!, `${name}: ${micros[1]} µs with a handshake, ${micros[0]} µs without`);
      }
      assertEquals(left(temporary), []);
    } finally {
      await Deno.remove(temporary, { recursive: true });
      await Deno.remove(json);
    }
  },
});

Deno.test({
  name: "benches/run.ts ends all that it started when it is interrupted",
  ignore,
  async fn() {
    const temporary = await Deno.makeTempDir();
    try {
      const bench = startBench(temporary, ["--scenario", "keep-alive-1", "--proxy", "nginx", "--seconds", "60"]);
      const output = bench.output();
      const deadline = Date.now() + 20_000;
      const isLoading = () => processTree(bench.pid).some(({ pid }) => commandLine(String(pid)).includes("-d60s"));
      while (!isLoading() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
      assert(isLoading(), "the load never began");
      bench.kill("SIGINT");
      const { code, stderr } = await output;
      assertEquals(code, 130, new TextDecoder().decode(stderr));
      assertEquals(left(temporary), []);
    } finally {
      await Deno.remove(temporary, { recursive: true });
    }
  },
});
