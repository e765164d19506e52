// The commands that change and ask a running proxy, end to end: the real program on both sides of the control socket.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { eventually, type Proxy, runKakehi, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";

const PYTHON_CLIENT = new URL("../../examples/python_client.py", import.meta.url).pathname;
const MAIN = new URL("../../src/ts/main.ts", import.meta.url).pathname;

function yaml(backend: number): string {
  return `
user: ""
listeners: { web: { address: "127.0.0.1:0" } }
clusters:
  app: { backends: ["127.0.0.1:${backend}"] }
  other: { backends: ["127.0.0.1:9", { address: "127.0.0.1:10", weight: 2 }], balance: random }
routes:
  - { host: a.test, path: /api/*, cluster: app }
  - { host: a.test, cluster: other, methods: [GET] }
`;
}

/** A command for this proxy, which must end with `code`; gives what it printed. */
async function kakehi(proxy: Proxy, args: string[], code = 0): Promise<string> {
  const result = await runKakehi(...args, "--socket", proxy.socket);
  assertEquals(result.code, code, `${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return code === 0 ? result.stdout : result.stderr;
}

async function json<T = Record<string, any>>(proxy: Proxy, args: string[], code = 0): Promise<T> {
  const result = await runKakehi(...args, "--json", "--socket", proxy.socket);
  assertEquals([result.code, result.stderr], [code, ""], args.join(" "));
  return JSON.parse(result.stdout) as T;
}

/** A server that answers after `gate`, with its name. */
function backend(name: string, gate: Promise<void> = Promise.resolve()): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async () => {
    await gate;
    return new Response(name);
  });
}

async function ask(proxy: Proxy, path: string): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port("web") });
  const request = `GET ${path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n`;
  await connection.write(new TextEncoder().encode(request));
  return await new Response(connection.readable).text();
}

Deno.test("plan shows, apply does, rollback undoes, history tells", async () => {
  await using first = backend("first");
  await using proxy = await startProxy(yaml(first.addr.port));
  const saved = `${proxy.folder}/saved.yaml`;
  await kakehi(proxy, ["state", "save", saved]);
  const file = `${proxy.folder}/next.yaml`;
  const text = await Deno.readTextFile(saved);
  await Deno.writeTextFile(file, text.replace("path: /api/*", "path: /new/*") + "timeouts: { idle: 30s }\n");

  const difference = `~ settings
    timeouts.idle: 75s -> 30s
- route a.test /api/*
    cluster: app
+ route a.test /new/*
    cluster: app

1 added, 1 changed, 1 removed`;
  assertEquals(await kakehi(proxy, ["plan", file]), `${difference} against revision 1; takes effect: at once\n`);
  assertEquals(
    await kakehi(proxy, ["apply", file, "--if-revision", "7"], 1),
    "kakehi: revision 1 is served by now, not 7\n",
  );
  const conflict = await json(proxy, ["apply", file, "--if-revision", "7"], 1);
  assertEquals([conflict["code"], conflict["revision"]], ["conflict", 1]);
  assertMatch(await ask(proxy, "/api/x"), /first$/);

  assertMatch(
    await kakehi(proxy, ["apply", file, "--why", "a\ttest"]),
    /revision 2 is served: 1 added, 1 changed, 1 removed in /,
  );
  assertMatch(await ask(proxy, "/new/x"), /first$/);
  assertEquals(await kakehi(proxy, ["apply", file]), "nothing differs from revision 2\n");
  assertEquals(await kakehi(proxy, ["state", "diff", file]), "nothing differs from revision 2\n");
  assertEquals(await kakehi(proxy, ["state", "diff", saved, file]), difference + "\n");

  const { revisions } = await json(proxy, ["history", "--limit", "1"]);
  assertEquals(revisions.length, 1);
  assertEquals([revisions[0].revision, revisions[0].why, revisions[0].source], [2, "a\ttest", "file"]);
  assertMatch(await kakehi(proxy, ["history"]), /^REVISION .*\n +2 .* file .*a\\x09test\n +1 .* start /);
  assertMatch(await kakehi(proxy, ["rollback"]), /revision 3 is served/);
  assertMatch(await ask(proxy, "/api/x"), /first$/);
  assertMatch(await kakehi(proxy, ["rollback", "99"], 1), /there is no revision 99; the history has 1 to 3/);
  assertMatch(await kakehi(proxy, ["state", "load", file]), /revision 4 is served/);
  assertMatch(await kakehi(proxy, ["apply", `${proxy.folder}/not.yaml`], 1), /not.yaml: .*there is no such file/);
});

Deno.test("apply refuses a bad file with all its errors, and nothing changes", async () => {
  await using proxy = await startProxy(yaml(9));
  const file = `${proxy.folder}/bad.yaml`;
  await Deno.writeTextFile(file, "listeners: {}\nclusters: {}\nroutes: [{ cluster: nobody }]\nworkrs: 3\n");
  const errors = await kakehi(proxy, ["apply", file], 1);
  assertMatch(errors, /bad\.yaml:3:.*"nobody"/);
  assertMatch(errors, /bad\.yaml:4:1: .*did you mean "workers"\?/);
  const refused = await json(proxy, ["apply", file], 1);
  assertEquals([refused["code"], refused["errors"].length], ["invalid", 2]);
  assertEquals((await json(proxy, ["status"]))["revision"], 1);
});

Deno.test("objects are listed, shown, added, updated and removed", async () => {
  await using first = backend("first");
  await using proxy = await startProxy(yaml(first.addr.port));
  const { port } = first.addr;
  assertEquals(await kakehi(proxy, ["cluster", "list", "--names"]), "app\nother\n");
  assertEquals(
    await kakehi(proxy, ["cluster", "show", "other"]),
    "backends:\n  - 127.0.0.1:9\n  - address: 127.0.0.1:10\n    weight: 2\nbalance: random\n",
  );
  assertMatch(await kakehi(proxy, ["cluster", "show", "othr"], 1), /there is no cluster othr; did you mean "other"\?/);
  assertEquals(
    await kakehi(proxy, ["backend", "list", "other"]),
    "CLUSTER  ADDRESS       WEIGHT\nother    127.0.0.1:9        1\nother    127.0.0.1:10       2\n",
  );
  assertEquals(
    await kakehi(proxy, ["route", "list", "--host", "a.test"]),
    "HOST    PATH    METHODS  CLUSTER\na.test  /api/*  -        app\na.test  /*      GET      other\n",
  );

  await kakehi(proxy, ["cluster", "add", "new", "--backend", `127.0.0.1:${port}=3`, "--pool-idle", "2"]);
  await kakehi(proxy, ["route", "add", "--path", "/n/*", "--header", "X-No: 1", "--cluster", "new"]);
  await kakehi(proxy, ["route", "add", "--host", "a.test", "--path", "/n/*", "--cluster", "other"]);
  await kakehi(proxy, ["route", "update", "--host", "a.test", "--path", "/n/*", "--cluster", "new"]);
  assertMatch(await ask(proxy, "/n/x"), /first$/);
  assertMatch(await kakehi(proxy, ["cluster", "remove", "new"], 1), /route .* and 1 more do/);
  await kakehi(proxy, ["route", "remove", "--host", "a.test", "--path", "/n/*"]);
  await kakehi(proxy, ["route", "remove", "--path", "/n/*", "--header", "x-no: 1"]);
  await kakehi(proxy, ["cluster", "update", "new", "--balance", "least_requests", "--default", "pool-idle"]);
  assertEquals((await json(proxy, ["cluster", "show", "new"]))["value"], {
    backends: [{ address: `127.0.0.1:${port}`, weight: 3 }],
    balance: "least_requests",
  });
  await kakehi(proxy, ["cluster", "remove", "new"]);

  await kakehi(proxy, ["listener", "add", "second", "--address", "127.0.0.1:0"]);
  const { listeners } = await json(proxy, ["status"]);
  const { address } = listeners.find(({ name }: { name: string }) => name === "second");
  await (await fetch(`http://${address}/`)).body?.cancel();
  await kakehi(proxy, ["listener", "remove", "second"]);
  assertEquals((await json(proxy, ["listener", "list"]))["values"], { web: { address: "127.0.0.1:0" } });

  const planned = await json(proxy, ["settings", "update", "--timeouts-idle", "9s", "--plan"]);
  assertEquals([planned["orders"].length, planned["effects"]], [1, ["live"]]);
  await kakehi(proxy, ["settings", "update", "--timeouts-idle", "9s"]);
  assertMatch(await kakehi(proxy, ["settings", "show"]), /timeouts:\n {2}idle: 9s\n/);
  assertMatch(await kakehi(proxy, ["backend", "add", "ap", "127.0.0.1:1"], 1), /no "ap"; did you mean "app"\?/);
});

Deno.test("backend remove --wait comes back when the last request is done", async () => {
  const gate = Promise.withResolvers<void>();
  await using slow = backend("slow", gate.promise);
  await using proxy = await startProxy("workers: 2\n" + yaml(slow.addr.port));
  const answer = ask(proxy, "/api/x");
  const isCarried = (counters: Record<string, number>) => counters["requests"]! > 0;
  await eventually("the request is carried", async () => (await proxy.status()).counters, isCarried);
  let done = false;
  const removal = kakehi(proxy, ["backend", "remove", "app", `127.0.0.1:${slow.addr.port}`, "--wait"]).then((text) => {
    done = true;
    return text;
  });
  const isGone = (values: unknown[]) => values.length === 0;
  await eventually("it is removed", async () => (await json(proxy, ["backend", "list", "app"]))["values"], isGone);
  assert(!done, "the request is not done, the command is");
  gate.resolve();
  assertMatch(await answer, /slow$/);
  assertMatch(
    await removal,
    new RegExp(`\nbackend 127.0.0.1:${slow.addr.port} of cluster app carries nothing any more, \\d+ ms later\n$`),
  );
});

Deno.test("backend remove --wait says so when the backend was added again meanwhile", async () => {
  const gate = Promise.withResolvers<void>();
  await using slow = backend("slow", gate.promise);
  await using proxy = await startProxy(yaml(slow.addr.port));
  const address = `127.0.0.1:${slow.addr.port}`;
  const answer = ask(proxy, "/api/x");
  const isCarried = (counters: Record<string, number>) => counters["requests"]! > 0;
  await eventually("the request is carried", async () => (await proxy.status()).counters, isCarried);
  const removal = kakehi(proxy, ["backend", "remove", "app", address, "--wait"], 1);
  const isGone = (values: unknown[]) => values.length === 0;
  await eventually("it is removed", async () => (await json(proxy, ["backend", "list", "app"]))["values"], isGone);
  await kakehi(proxy, ["backend", "add", "app", address]);
  assertMatch(await removal, /was added again before it was drained/);
  gate.resolve();
  assertMatch(await answer, /slow$/);
});

Deno.test("explain tells which rule answers and why others do not", async () => {
  await using proxy = await startProxy(yaml(9));
  const text = await kakehi(proxy, [
    "explain",
    "http://a.test/api/users",
    "-X",
    "POST",
    "-H",
    "X-Forwarded-For: 1.2.3.4",
  ]);
  assertMatch(
    text,
    /^listener +web\nroute +a\.test \/api\/\*\ncluster +app \(round_robin\)\nprotocol +HTTP\/1\.1 \(http\/1\.1\)\nwould ask +127\.0\.0\.1:9\n/,
  );
  assertMatch(text, /\nalso considered\n {2}a\.test \/\* GET: method POST is not GET\n/);
  assertMatch(text, /\nBACKEND +WEIGHT +STANDING +REQUESTS +CONNECTIONS\n127\.0\.0\.1:9 +1 +up +0 +0 +<-\n/);
  assertMatch(text, /\n {2}\+ X-Forwarded-Proto: http\n/);
  assertMatch(text, /\n {2}- x-forwarded-for\n/);
  assertMatch(text, /\ntimeouts\n.*idle 75s/);
  assertMatch(await kakehi(proxy, ["explain", "http://b.test/"]), /\nroute +none: the answer is 404\n$/);
  const other = await json(proxy, ["explain", "a.test/x"]);
  assertEquals(other["route"].cluster, "other");
  assertEquals(other["cluster"], { name: "other", balance: "random", protocol: "http/1.1", tls: false });
});

Deno.test("the protocol of a cluster is an option, and shown by whatever shows clusters", async () => {
  await using proxy = await startProxy(yaml(9));
  assert(!(await kakehi(proxy, ["status"])).includes("clusters"), "nothing is said of what goes without saying");
  const add = ["cluster", "add", "grpc", "--protocol", "h2c", "--backend", "127.0.0.1:9"];
  assertMatch(await kakehi(proxy, [...add, "--plan"]), /^\+ cluster grpc\n.*\n {4}protocol: h2c\n/);
  await kakehi(proxy, add);
  assertEquals(await kakehi(proxy, ["cluster", "show", "grpc"]), "backends:\n  - 127.0.0.1:9\nprotocol: h2c\n");
  assertMatch(await kakehi(proxy, ["cluster", "list"]), /^NAME +BACKENDS +PROTOCOL +BALANCE\napp .* http\/1\.1 .*\n/);
  assertMatch(await kakehi(proxy, ["status"]), /\nasks clusters: 2 in http\/1\.1, 1 in h2c\n/);
  await kakehi(proxy, ["route", "add", "--host", "g.test", "--cluster", "grpc"]);
  const explained = () => kakehi(proxy, ["explain", "http://g.test/"]);
  assertMatch(await explained(), /\ncluster +grpc \(round_robin\)\nprotocol +HTTP\/2 \(h2c\)\n/);

  assertMatch(
    await kakehi(proxy, ["cluster", "update", "grpc", "--protocol", "h2"], 1),
    /expected "tls" beside "proto/,
  );
  await kakehi(proxy, ["cluster", "update", "grpc", "--protocol", "h2", "--tls-verify", "false"]);
  assertMatch(await explained(), /\nprotocol +HTTP\/2 over TLS \(h2\)\n/);
  await kakehi(proxy, ["cluster", "update", "grpc", "--http2-max-concurrent-streams", "7", "--default", "protocol"]);
  assertMatch(await explained(), /\nprotocol +HTTP\/1\.1 over TLS \(http\/1\.1\)\n/);
  assertMatch(
    await kakehi(proxy, ["cluster", "add", "x", "--protocol", "h3"], 2),
    /--protocol: expected one of http\/1/,
  );
  assertMatch(await kakehi(proxy, ["settings", "update", "--limits-http2-connections", "0", "--plan"]), /http2_connec/);
  await kakehi(proxy, ["rollback"]);
  const off = ["settings", "update", "--limits-http2-connections", "0"];
  assertMatch(await kakehi(proxy, off, 1), /expected at least 1 with h2 to cluster grpc, got 0/);
});

Deno.test("workers, log, metrics, top and schema answer", async () => {
  await using proxy = await startProxy(yaml(9));
  const [worker] = await proxy.workers();
  assertMatch(await kakehi(proxy, ["workers"]), new RegExp(`^WORKER .*\n +0 +${worker} +serving `));
  await kakehi(proxy, ["workers", "set", "2"]);
  await eventually("two serve", () => proxy.workers(), (workers) => workers.length === 2);
  await kakehi(proxy, ["workers", "restart"]);
  await eventually("all are new", () => proxy.workers(), (pids) => pids.length === 2 && !pids.includes(worker!));
  assertEquals(await json(proxy, ["log", "debug"]), { level: "debug" });
  assertMatch(await kakehi(proxy, ["log", "loud"], 2), /LEVEL: expected one of debug, info, warn, error, got "loud"/);
  assertMatch(await kakehi(proxy, ["metrics"]), /^# HELP kakehi_info .*\n# TYPE kakehi_info gauge\n/);
  assertMatch(await kakehi(proxy, ["top", "--once"]), /\nWORKER .* REQUESTS\/S .*\n0 .*\n1 .*\nall /);
  assertEquals((await json(proxy, ["top", "--once"]))["workers"].length, 2);
  assertMatch(await kakehi(proxy, ["top"], 2), /top draws on a terminal; expected --once/);
  const { code, stdout } = await runKakehi("schema", "--protocol", "--json");
  assertEquals(code, 0);
  assertMatch(JSON.parse(stdout).title, /protocol/i);
});

Deno.test("events prints a line for each, as JSON too, and ends with the proxy", async () => {
  await using proxy = await startProxy(yaml(9));
  const plain = kakehi(proxy, ["events", "state", "log.level"]);
  const lines = kakehi(proxy, ["events", "--json"]);
  // The commands need a moment to subscribe, which nothing tells: what happens is repeated until both have seen it.
  for (let weight = 1; weight <= 20; weight++) {
    await kakehi(proxy, ["backend", "update", "app", "127.0.0.1:9", "--weight", String(1 + weight % 2)]);
  }
  await kakehi(proxy, ["log", "warn"]);
  assertMatch(
    await kakehi(proxy, ["events", "state.chnged"], 2),
    /no event "state.chnged"; did you mean state.changed\?/,
  );
  await kakehi(proxy, ["stop"]);
  assertMatch(
    await plain,
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d state\.changed .*revision=\d+.*\n[^]*log\.level level=warn\n$/,
  );
  const events = (await lines).trimEnd().split("\n").map((line) => JSON.parse(line).name);
  assert(events.includes("state.changed") && events.includes("log.level"), `got ${events}`);
});

Deno.test("a proxy that cannot be reached is exit code 3, wrong usage 2", async () => {
  for (
    const args of [["plan", "/dev/null"], ["history"], ["events"], ["backend", "list"], ["workers"], ["top", "--once"]]
  ) {
    const result = await runKakehi(...args, "--socket", "/nowhere/control.sock");
    assertEquals([result.code, result.stdout], [3, ""], args.join(" "));
    assertMatch(result.stderr, /^kakehi: no proxy answers at \/nowhere\/control\.sock/);
  }
  const usage: [string[], RegExp][] = [
    [["plan"], /^usage: kakehi plan FILE .*\nkakehi: FILE is missing\n$/],
    [["rollback", "x"], /REVISION: expected a whole number, got "x"/],
    [["history", "--limit", "0"], /--limit: expected a whole number of at least 1/],
    [["cluster"], /^usage: kakehi cluster list\|show\|add\|update\|remove/],
    [["cluster", "ad"], /unknown command "ad"; did you mean add\?/],
    [["explain", "http://a.test", "-H", "x"], /-H: expected NAME:VALUE, got "x"/],
    [["workers", "set"], /N is missing/],
    [["completions", "csh"], /SHELL: expected one of bash, zsh, fish, got "csh"; did you mean zsh\?/],
    [["help", "aply"], /unknown command "aply"; did you mean apply\?/],
  ];
  for (const [args, pattern] of usage) {
    const result = await runKakehi(...args);
    assertEquals([result.code, result.stdout], [2, ""], args.join(" "));
    assertMatch(result.stderr, pattern);
  }
  const help = await runKakehi("cluster", "add", "--help");
  assertEquals(help.code, 0);
  assertMatch(help.stdout, /^Usage: kakehi cluster add NAME [^]*--pool-idle-timeout TIME/);
});

Deno.test({
  name: "plan is coloured on a terminal, top draws until q, and NO_COLOR is respected",
  ignore: requireTools("script") || Deno.env.has("KAKEHI_BINARY"),
  fn: async () => {
    await using proxy = await startProxy(yaml(9));
    const onTerminal = async (args: string[], input: string, env: Record<string, string> = {}) => {
      const command = [Deno.execPath(), "run", "-A", "--no-prompt", MAIN, ...args, "--socket", proxy.socket].join(" ");
      const child = new Deno.Command("script", {
        // what the tests themselves were told of colours is not meant for the command
        args: ["-qec", `stty rows 30 cols 120; ${env["NO_COLOR"] ? "" : "unset NO_COLOR; "}${command}`, "/dev/null"],
        env,
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      let seen = "";
      const writer = child.stdin.getWriter();
      const status = child.status;
      for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
        seen += piece;
        if (input !== "" && seen.includes("REQUESTS/S")) {
          await writer.write(new TextEncoder().encode(input));
          input = "";
        }
      }
      await writer.close().catch(() => {});
      assertEquals((await status).code, 0, seen);
      return seen;
    };
    const add = ["backend", "add", "app", "127.0.0.1:77", "--plan"];
    const line = "+ backend 127.0.0.1:77 of cluster app";
    assert((await onTerminal(add, "")).includes(`\x1b[32m${line}\x1b[0m`));
    const plain = await onTerminal(add, "", { NO_COLOR: "1" });
    assert(plain.includes(`${line}\r\n`) && !plain.includes("\x1b[32m"), plain);
    const screen = await onTerminal(["top"], "q");
    const [before, drawn = "", after] = screen.split(/\?1049[hl]/);
    assert(before !== undefined && after !== undefined, screen);
    assertMatch(drawn, /REQUESTS\/S/);
  },
});

Deno.test({
  name: "examples/python_client.py adds a backend and watches events",
  ignore: requireTools("python3"),
  fn: async () => {
    await using proxy = await startProxy(yaml(9));
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await new Deno.Command("python3", { args: [PYTHON_CLIENT, ...args] }).output();
      const text = new TextDecoder();
      return { code, lines: text.decode(stdout).trimEnd().split("\n"), stderr: text.decode(stderr) };
    };
    const { code, lines } = await run(proxy.socket, "app", "127.0.0.1:77", "--weight", "4", "--events", "1");
    assertEquals(code, 0);
    const [planned, applied, seen] = lines.map((line) => JSON.parse(line));
    assertEquals([planned.planned[0].sign, planned.planned[0].name], ["+", "127.0.0.1:77"]);
    assertEquals([applied.applied, seen.event.name, seen.event.revision], [2, "state.changed", 2]);
    assertEquals((await json(proxy, ["backend", "show", "app", "127.0.0.1:77"]))["value"], {
      cluster: "app",
      address: "127.0.0.1:77",
      weight: 4,
    });
    const again = await run(proxy.socket, "app", "127.0.0.1:77");
    assertEquals(again.code, 1);
    assertMatch(again.stderr, /^refused: backend 127\.0\.0\.1:77 of cluster app: .*it is there already/);
    assertEquals((await run(`${proxy.socket}.not`, "app", "127.0.0.1:77")).code, 3);
  },
});
