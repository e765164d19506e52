// How soon after its start the single binary answers its first client, with a configuration file and all defaults.
//
// Other programs on the machine make every start longer and none shorter, so the shortest of several counts, and there are more
// of them until it is short enough. The same holds for starts of the runtime alone, in which the time is counted as well:
// a limit in milliseconds alone would fail on every machine that is much slower than the one it was set on.

import { assert } from "../support/assert.ts";
import { compileTo } from "../support/compiled.ts";
import { launchOf } from "../../scripts/compile.ts";
import { embedLaunch } from "../../scripts/elf.ts";

const FIRST_ANSWER_LIMIT_MS = 100;
/** Less than 5 where this was set: two processes start the runtime, one after the other; the rest is ours. Half as much again fails. */
const RUNTIME_STARTS_LIMIT = 6;
const STARTS_MIN = 5;
const STARTS_MAX = 60;
const POLL_MS = 1;
const GIVE_UP_MS = 10_000;

const REQUEST = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
const delay = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("the binary answers its first client within 100 ms of its start", async () => {
  const folder = await Deno.makeTempDir();
  const backend = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => new Response("hello"));
  try {
    await compileTo(`${folder}/kakehi`);
    const bare = embedLaunch(await Deno.readFile(Deno.execPath()), launchOf("Deno.exit(0);"));
    await Deno.writeFile(`${folder}/bare`, bare, { mode: 0o755 });
    await (await fetch(`http://127.0.0.1:${backend.addr.port}/`)).text();
    const answers: number[] = [];
    const runtimes: number[] = [];
    let shortest = { answer: Infinity, runtime: Infinity };
    const isShort = () =>
      shortest.answer <= FIRST_ANSWER_LIMIT_MS || shortest.answer <= RUNTIME_STARTS_LIMIT * shortest.runtime;
    while (answers.length < STARTS_MIN || (!isShort() && answers.length < STARTS_MAX)) {
      runtimes.push(await runtimeStartMs(`${folder}/bare`));
      answers.push(await firstAnswerMs(folder, backend.addr.port));
      shortest = { answer: Math.min(...answers), runtime: Math.min(...runtimes) };
    }
    const figures = `${shortest.answer.toFixed(1)} ms, the runtime alone ${shortest.runtime.toFixed(1)} ms`;
    assert(isShort(), `the shortest of ${answers.length} starts took ${figures}`);
  } finally {
    await backend.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
});

async function runtimeStartMs(path: string): Promise<number> {
  const begin = performance.now();
  await new Deno.Command(path, { stdin: "null", stdout: "null", stderr: "null" }).output();
  return performance.now() - begin;
}

async function firstAnswerMs(folder: string, backend: number): Promise<number> {
  const port = freePort();
  await Deno.writeTextFile(
    `${folder}/kakehi.yaml`,
    `control: { socket: "${folder}/control.sock" }
listeners: { web: { address: "127.0.0.1:${port}" } }
clusters: { app: { backends: ["127.0.0.1:${backend}"] } }
routes: [{ cluster: app }]
`,
  );
  const begin = performance.now();
  const proxy = new Deno.Command(`${folder}/kakehi`, {
    args: ["start", "-c", `${folder}/kakehi.yaml`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    while (!await isAnswered(port)) {
      if (performance.now() - begin > GIVE_UP_MS) throw new Error(`no answer after ${GIVE_UP_MS} ms`);
      await delay(POLL_MS);
    }
    return performance.now() - begin;
  } finally {
    proxy.kill("SIGTERM");
    await proxy.status;
  }
}

/** Sends a request when somebody listens, and waits for the answer. */
async function isAnswered(port: number): Promise<boolean> {
  let connection: Deno.Conn;
  try {
    connection = await Deno.connect({ port, hostname: "127.0.0.1" });
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
  try {
    await connection.write(REQUEST);
    const answer = new Uint8Array(1024);
    const count = await connection.read(answer);
    const text = new TextDecoder().decode(answer.subarray(0, count ?? 0));
    assert(text.startsWith("HTTP/1.1 200 "), `the first answer is ${JSON.stringify(text)}`);
    return true;
  } finally {
    connection.close();
  }
}

function freePort(): number {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  listener.close();
  return (listener.addr as Deno.NetAddr).port;
}
