// The real proxy for a test: main and its workers as processes of their own, started from a configuration in a folder
// that is thrown away, with `:0` listeners whose ports are asked of the running proxy. Stopping is part of the test: a
// proxy that does not stop, or a worker that stays behind, fails it. KAKEHI_BINARY=FILE runs the tests against the single
// binary instead of the sources.

import { type PassedSocket, passing } from "./passed_sockets.ts";

const START_MS = 20_000;
const STOP_MS = 10_000;
const main = new URL("../../src/ts/main.ts", import.meta.url).href;

/** What a test uses of the answer to `status` (src/ts/control/protocol.ts has all of it). */
export interface ProxyStatus {
  /** With the ports that they have. */
  listeners: { name: string; address: string }[];
  workers: { pid: number; state: string; counters: Record<string, number> | null }[];
  /** Sums over the workers. */
  counters: Record<string, number>;
}

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Proxy extends AsyncDisposable {
  /** Process of main. */
  pid: number;
  socket: string;
  /** Folder of this proxy, for files that the configuration names as `{folder}`. */
  folder: string;
  /** Port of a listener. */
  port(listener: string): number;
  /** Processes of the workers that serve, by slot. */
  workers(): Promise<number[]>;
  status(): Promise<ProxyStatus>;
  /** Counters of all workers, added up; a name that is not counted yet is 0. */
  counters(): Promise<Counters>;
  /** What main and workers wrote. */
  log(): string;
  /** TERM, and waits for the end. Gives the exit code. */
  stop(): Promise<number>;
}

export interface Counters {
  of(name: string): number;
  /** All that are not 0 and whose name begins with `prefix`. */
  all(prefix: string): Record<string, number>;
}

/** Program and first arguments of `kakehi`. */
export function kakehiWords(): [string, string[]] {
  const binary = Deno.env.get("KAKEHI_BINARY");
  return binary ? [binary, []] : [Deno.execPath(), ["run", "-A", "--no-prompt", main]];
}

/** Runs a command of kakehi to its end. */
export async function runKakehi(...args: string[]): Promise<CommandResult> {
  const [program, before] = kakehiWords();
  const command = new Deno.Command(program, { args: [...before, ...args], stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

function parentOf(pid: string): number {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return 0; // it ended between being listed and being looked at
  }
}

/** Children of a process that are workers, those that wait to replace one included. */
function workersOf(parent: number): number[] {
  const found: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || parentOf(name) !== parent) continue;
    const words = Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0");
    if (words.includes("worker")) found.push(Number(name));
  }
  return found;
}

/** Asks main itself, without the command line in between: tests ask often. */
async function askStatus(socket: string): Promise<ProxyStatus> {
  using connection = await Deno.connect({ transport: "unix", path: socket });
  await connection.write(new TextEncoder().encode('{"id":1,"verb":"status"}\n'));
  let text = "";
  for await (const piece of connection.readable.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.includes("\n")) break;
  }
  const answer = JSON.parse(text) as ProxyStatus & { status: string };
  if (answer.status !== "ok") throw new Error(`the control socket answered ${text}`);
  return answer;
}

function readCounters(counters: Record<string, number>): Counters {
  return {
    of: (name) => counters[name] ?? 0,
    all: (prefix) => Object.fromEntries(Object.entries(counters).filter(([name, n]) => n && name.startsWith(prefix))),
  };
}

/** Adds what every proxy of a test has, where the test does not say it itself. */
function complete(yaml: string, socket: string): string {
  const lines: string[] = [];
  if (!/^control:/m.test(yaml)) lines.push(`control: { socket: ${JSON.stringify(socket)} }`);
  if (!/^workers:/m.test(yaml)) lines.push("workers: 1");
  return lines.join("\n") + "\n" + yaml;
}

/** Copies a stream of the proxy into its log, so that nobody waits for a full pipe. */
async function collect(stream: ReadableStream<Uint8Array>, into: string[]): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) into.push(text);
}

/**
 * Starts a proxy and waits until it answers and all its workers serve. `{folder}` in the text is its folder; `env` is
 * added to its environment, `sockets` are passed to it.
 */
export async function startProxy(
  yaml: string,
  env: Record<string, string> = {},
  sockets: readonly PassedSocket[] = [],
): Promise<Proxy> {
  const folder = await Deno.makeTempDir({ prefix: "kakehi-test-" });
  await Deno.chmod(folder, 0o755); // workers that gave up root must reach it
  const socket = `${folder}/control.sock`;
  await Deno.writeTextFile(`${folder}/kakehi.yaml`, complete(yaml.replaceAll("{folder}", folder), socket));
  const [own, before] = kakehiWords();
  const child = passing(sockets, [own, [...before, "start", "-c", `${folder}/kakehi.yaml`]], (program, args) => {
    return new Deno.Command(program, { args, env, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  });
  const log: string[] = [];
  const logged = Promise.all([collect(child.stdout, log), collect(child.stderr, log)]);
  let ended = false;
  const end = child.status.then((status) => {
    ended = true;
    return status;
  });

  const status = () => askStatus(socket);
  const known = new Set<number>();
  const noteWorkers = () => workersOf(child.pid).forEach((pid) => known.add(pid));
  const clean = async (): Promise<void> => {
    try {
      if (!ended) child.kill("SIGKILL");
    } catch {
      // It has ended just now.
    }
    await end;
    await logged;
    await Deno.remove(folder, { recursive: true });
  };

  let first: ProxyStatus;
  try {
    first = await untilServing(socket, () => ended, log);
    noteWorkers();
  } catch (error) {
    await clean();
    throw error;
  }

  const stop = async (): Promise<number> => {
    noteWorkers();
    if (!ended) child.kill("SIGTERM");
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error(`main did not end within ${STOP_MS} ms of TERM; its log:\n${log.join("")}`));
    }, STOP_MS);
    try {
      return (await Promise.race([end, late.promise])).code;
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    pid: child.pid,
    socket,
    folder,
    port(listener) {
      const address = first.listeners.find(({ name }) => name === listener)?.address;
      if (!address) throw new Error(`no listener "${listener}" in ${JSON.stringify(first.listeners)}`);
      return Number(address.slice(address.lastIndexOf(":") + 1));
    },
    workers: async () => (await status()).workers.map(({ pid }) => pid),
    status,
    counters: async () => readCounters((await status()).counters),
    log: () => log.join(""),
    stop,
    async [Symbol.asyncDispose]() {
      try {
        noteWorkers();
        await stopNow(child, end, () => ended);
        await untilGone(known);
      } finally {
        await clean();
      }
    },
  };
}

async function untilServing(
  socket: string,
  ended: () => boolean,
  log: string[],
): Promise<ProxyStatus> {
  const deadline = Date.now() + START_MS;
  let last: unknown = "its control socket does not exist";
  while (Date.now() < deadline) {
    if (ended()) throw new Error(`the proxy ended at its start:\n${log.join("")}`);
    if (await Deno.lstat(socket).then(() => true, () => false)) {
      try {
        const got = await askStatus(socket);
        if (got.workers.length > 0 && got.workers.every((worker) => worker.counters)) return got;
        last = `status says ${JSON.stringify(got)}`;
      } catch (error) {
        last = error;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`the proxy does not serve after ${START_MS} ms: ${last}\nits log:\n${log.join("")}`);
}

/** TERM twice: the second one does not drain. */
async function stopNow(
  child: Deno.ChildProcess,
  end: Promise<unknown>,
  ended: () => boolean,
): Promise<void> {
  for (const pause of [100, STOP_MS]) {
    if (ended()) return;
    try {
      child.kill("SIGTERM");
    } catch {
      return; // it has ended just now
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const waited = new Promise((resolve) => timer = setTimeout(resolve, pause));
    await Promise.race([end, waited]);
    clearTimeout(timer);
  }
  if (!ended()) throw new Error(`main did not end within ${STOP_MS} ms of a second TERM`);
}

/** Workers must not outlive main; one that does is ended here and fails the test. */
async function untilGone(pids: Set<number>): Promise<void> {
  const isThere = (pid: number) => {
    try {
      const words = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      return words.includes("worker");
    } catch {
      return false;
    }
  };
  const deadline = Date.now() + 5_000;
  let left = [...pids].filter(isThere);
  while (left.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    left = left.filter(isThere);
  }
  for (const pid of left) Deno.kill(pid, "SIGKILL");
  if (left.length > 0) throw new Error(`workers ${left.join(", ")} were still there 5 s after main had ended`);
}

// ---- what the system says of a worker ----

export interface Memory {
  /** Bytes in memory, pages of files included. */
  resident: number;
  /** Bytes that belong to no file. */
  anonymous: number;
}

export function memoryOf(pid: number): Memory {
  const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  const of = (key: string) => Number(text.match(new RegExp(`^${key}:\\s+(\\d+) kB$`, "m"))?.[1] ?? NaN) * 1024;
  return { resident: of("Rss"), anonymous: of("Anonymous") };
}

/** Asks again and again until `test` holds; fails with the last value when it never does. */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  test: (value: T) => boolean,
  waitMs = 5_000,
): Promise<T> {
  const deadline = Date.now() + waitMs;
  while (true) {
    const value = await ask();
    if (test(value)) return value;
    if (Date.now() > deadline) throw new Error(`${what}: still ${Deno.inspect(value)} after ${waitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
