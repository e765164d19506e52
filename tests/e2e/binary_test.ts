// The single binary as a user meets it. Two are built: kakehi itself by scripts/compile.ts, and, because only a program of the
// test's own can tell what reached it, a probe by the same launch (scripts/elf.ts) that prints its arguments and environment.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { compileTo } from "../support/compiled.ts";
import { launchOf } from "../../scripts/compile.ts";
import { embedLaunch } from "../../scripts/elf.ts";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const VERSION: string = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)).version;
const NOBODY = 65534;
const IS_ROOT = Deno.uid() === 0;

// Characters of every length in UTF-8, and those that mean something in an address: the program is handed over in one.
const PROBE = `
if ("%41 #ü€😀".length !== 9) Deno.exit(99);
const input = Deno.args[0] === "read" ? await new Response(Deno.stdin.readable).text() : "";
console.log(JSON.stringify({ args: Deno.args, env: Deno.env.toObject(), input, path: Deno.execPath() }));
if (Deno.args[0] === "throw") throw new TypeError("thrown by the probe");
Deno.exit(Number(Deno.args[1] ?? 0));
`;

interface Result {
  code: number;
  out: string;
  err: string;
}

async function run(path: string, args: string[], options: Deno.CommandOptions = {}, input = ""): Promise<Result> {
  const child = new Deno.Command(path, { args, stdin: "piped", stdout: "piped", stderr: "piped", ...options }).spawn();
  const writer = child.stdin.getWriter();
  // A program that does not read its input may be gone before this is written.
  await writer.write(new TextEncoder().encode(input)).then(() => writer.close()).catch(() => undefined);
  const { code, stdout, stderr } = await child.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

async function probe(path: string, args: string[], options: Deno.CommandOptions = {}, input = "") {
  const result = await run(path, args, options, input);
  assertEquals(result.err, "");
  const seen: { args: string[]; env: Record<string, string>; input: string; path: string } = JSON.parse(result.out);
  return { ...seen, code: result.code };
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.chmod(folder, 0o755); // Readable by nobody, too.
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function withProbe(body: (path: string, folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/probe`;
    const bytes = embedLaunch(await Deno.readFile(Deno.execPath()), launchOf(PROBE));
    await Deno.writeFile(path, bytes, { mode: 0o755 });
    await body(path, folder);
  });
}

/** Compiles as `deno task compile` does, once for the tests of this file. */
let compiled: Promise<string> | undefined;
let compiledFolder: string | undefined;

function kakehi(): Promise<string> {
  return compiled ??= (async () => {
    compiledFolder = await Deno.makeTempDir();
    await Deno.chmod(compiledFolder, 0o755);
    const path = `${compiledFolder}/kakehi`;
    await compileTo(path);
    return path;
  })();
}

/** A folder whose files would each change or break a Deno that looked at them. */
async function makeHostile(folder: string): Promise<void> {
  const files: Record<string, string> = {
    "deno.json": "{ this is not JSON",
    "package.json": "{ neither is this",
    "deno.lock": "nor this",
    ".npmrc": "registry=::not a url::\n",
    ".env": "KAKEHI_HOSTILE=1\n",
    "import_map.json": "[",
    "tsconfig.json": "[",
  };
  for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(`${folder}/${name}`, text);
  await Deno.mkdir(`${folder}/node_modules/yaml`, { recursive: true });
  await Deno.writeTextFile(`${folder}/node_modules/yaml/index.js`, 'throw new Error("hostile");');
}

Deno.test("a binary passes arguments unchanged", async () => {
  await withProbe(async (path) => {
    const args = ["--help", "0", "-A", "--v8-flags=--help", "--", "", "a b", "$HOME", "-e", "eval", "ü\n"];
    assertEquals((await probe(path, args)).args, args);
    assertEquals((await probe(path, [])).args, []);
    const many = ["x", "0", ...Array.from({ length: 5000 }, (_, i) => `argument ${i}`)];
    assertEquals((await probe(path, many)).args, many);
  });
});

Deno.test("a binary passes input and exit codes, and reports what is thrown", async () => {
  await withProbe(async (path) => {
    const { input, code } = await probe(path, ["read", "42"], {}, "some input");
    assertEquals({ input, code }, { input: "some input", code: 42 });
    const thrown = await run(path, ["throw"], { env: { NO_COLOR: "1" } });
    assertEquals(thrown.code, 1);
    assertMatch(thrown.err, /TypeError: thrown by the probe/);
  });
});

Deno.test("a binary keeps the environment, but nothing in it that steers Deno or Node", async () => {
  await withProbe(async (path, folder) => {
    const preload = `${folder}/preload.cjs`;
    await Deno.writeTextFile(preload, 'console.log("INJECTED");');
    const kept = { A: "1", EMPTY: "", NODE: "2", DENO: "3", NO: "4", HOME: folder, DENO_V8_FLAGS: "--single-threaded" };
    const dropped = {
      NODE_OPTIONS: `--require ${preload} --inspect`,
      NODE_CHANNEL_FD: "1",
      NODE_: "x",
      DENO_DIR: folder,
      DENO_LOG: "debug",
      DENO_UNSTABLE_CONTROL_SOCK: `unix:${folder}/control`,
      DENO_AUDIT_PERMISSIONS: `${folder}/audit`,
      DENO_TOKIO_EVENT_INTERVAL: "not a number",
      OTEL_DENO: "true",
    };
    const { env } = await probe(path, [], { clearEnv: true, env: { ...dropped, ...kept } });
    const added = {
      DENO_DIR: "/dev/null/kakehi",
      DENO_LOG: "info,deno::cache=off",
      DENO_NO_PACKAGE_JSON: "1",
      DENO_NO_UPDATE_CHECK: "1",
    };
    assertEquals(env, { ...kept, ...added });
    assertEquals(
      [...Deno.readDirSync(folder)].map(({ name }) => name).sort(),
      ["preload.cjs", "probe"],
      "files it left",
    );
  });
});

Deno.test("a binary runs under any name, also those under which Deno takes another role", async () => {
  await withProbe(async (path, folder) => {
    for (const name of ["deno", "dx", "node", "npx", "denort"]) {
      await Deno.link(path, `${folder}/${name}`);
      const seen = await probe(`${folder}/${name}`, ["run", "0"]);
      assertEquals(seen.args, ["run", "0"]);
      assertEquals(seen.path, `${folder}/${name}`);
    }
  });
});

Deno.test("a binary says nothing of its own on a terminal", async () => {
  await withProbe(async (path, folder) => {
    await Deno.writeTextFile(`${folder}/run.sh`, `#!/bin/sh\nexec ${path} >${folder}/out\n`, { mode: 0o755 });
    const { out } = await run("script", ["-qec", `${folder}/run.sh`, "/dev/null"], { env: { HOME: "/nonexistent" } });
    assertEquals(out, "");
    assert(Deno.statSync(`${folder}/out`).size > 0, "the probe did not run");
  });
});

Deno.test("compile.ts gives the same bytes twice", async () => {
  const first = await kakehi();
  const second = `${first}-again`;
  await compileTo(second);
  const digest = async (path: string) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(path))).toHex();
  assertEquals(await digest(second), await digest(first));
});

Deno.test("kakehi runs from a read-only folder, as nobody, without an environment", async () => {
  const path = await kakehi();
  await withFolder(async (folder) => {
    await Deno.copyFile(path, `${folder}/kakehi`);
    await Deno.chmod(`${folder}/kakehi`, 0o555);
    await Deno.chmod(folder, 0o555);
    const identity = IS_ROOT ? { uid: NOBODY, gid: NOBODY } : {};
    const result = await run(`${folder}/kakehi`, ["version"], { clearEnv: true, cwd: folder, ...identity });
    assertEquals({ code: result.code, err: result.err }, { code: 0, err: "" });
    assert(result.out.includes(VERSION), result.out);
    await Deno.chmod(folder, 0o755);
  });
});

Deno.test("kakehi does not look at the folder it is started in", async () => {
  const path = await kakehi();
  await withFolder(async (folder) => {
    await makeHostile(folder);
    const result = await run(path, ["version"], { cwd: folder });
    assertEquals({ code: result.code, err: result.err }, { code: 0, err: "" });
    assert(result.out.includes(VERSION), result.out);
  });
});

Deno.test("kakehi serves from the binary: workers are the binary again, and TERM ends all", async () => {
  const path = await kakehi();
  await withFolder(async (folder) => {
    const backend = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => new Response("hello"));
    const port = freePort();
    await Deno.writeTextFile(
      `${folder}/kakehi.yaml`,
      `control: { socket: "${folder}/control.sock" }
workers: 1
listeners: { web: { address: "127.0.0.1:${port}" } }
clusters: { app: { backends: ["localhost:${backend.addr.port}"] } }
routes: [{ path: "~/x[0-9]+", cluster: app }]
`,
    );
    const args = ["start", "-c", `${folder}/kakehi.yaml`];
    const proxy = new Deno.Command(path, { args, cwd: folder, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
    const said = new Response(proxy.stderr).text();
    try {
      // A name to look up and an expression to match need what is loaded only then.
      assertEquals(await answerOf(`http://127.0.0.1:${port}/x15`), "hello");
      assertMatch(await answerOf(`http://127.0.0.1:${port}/y`), /Nothing is served here/);
    } finally {
      proxy.kill("SIGTERM");
      const { code } = await proxy.status;
      await backend.shutdown();
      assertEquals(code, 0, await said);
    }
  });
});

Deno.test("kakehi upgrades to the file that lies where it was started from: renamed over it, not while there is none", async () => {
  const path = await kakehi();
  await withFolder(async (folder) => {
    const own = `${folder}/kakehi`;
    const putInPlace = async () => {
      await Deno.copyFile(path, `${own}.new`);
      await Deno.rename(`${own}.new`, own);
    };
    await putInPlace();
    const socket = `${folder}/control.sock`;
    const listeners = `listeners: { web: { address: "127.0.0.1:${freePort()}" } }`;
    const app = `clusters: { app: { backends: ["127.0.0.1:9"] } }\nroutes: [{ host: x.test, cluster: app }]`;
    await Deno.writeTextFile(
      `${folder}/kakehi.yaml`,
      `control: { socket: "${socket}" }\nworkers: 1\n${listeners}\n${app}\n`,
    );
    const args = ["start", "-c", `${folder}/kakehi.yaml`];
    const proxy = new Deno.Command(own, { args, cwd: folder, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
    const said = new Response(proxy.stderr).text();
    const ask = (...words: string[]) => run(path, [...words, "--socket", socket]);
    const isOwnFile = () => Deno.statSync(`/proc/${proxy.pid}/exe`).ino === Deno.statSync(own).ino;
    try {
      await answerOf(`http://127.0.0.1:${/127\.0\.0\.1:(\d+)/.exec(listeners)![1]}/`);
      while ((await ask("status")).code !== 0) await new Promise((resolve) => setTimeout(resolve, 20));
      for (let times = 1; times <= 2; times++) {
        await putInPlace();
        assert(!isOwnFile(), "the new file is the old one");
        const { code, err } = await ask("upgrade");
        assertEquals([code, err], [0, ""]);
        assert(isOwnFile(), "the old file runs on");
      }
      await Deno.remove(own);
      const refused = await ask("upgrade");
      assertEquals(refused.code, 1);
      assertMatch(refused.err, /kakehi: there is no such file/);
      const elsewhere = await ask("upgrade", "--binary", path);
      assertEquals([elsewhere.code, elsewhere.err], [0, ""]);
      assertMatch((await ask("status", "--json")).out, new RegExp(`"pid": ?${proxy.pid},[^]*"upgrades": ?3,`));
    } finally {
      proxy.kill("SIGTERM");
      const { code } = await proxy.status;
      assertEquals(code, 0, await said);
    }
  });
});

Deno.test.afterAll(async () => {
  if (compiledFolder) await Deno.remove(compiledFolder, { recursive: true });
});

function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  listener.close();
  return (listener.addr as Deno.NetAddr).port;
}

/** The body, once the proxy listens. */
async function answerOf(url: string): Promise<string> {
  const deadline = Date.now() + 10_000;
  while (true) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
      return await response.text();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
