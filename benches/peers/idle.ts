// What an idle keep-alive connection costs in a proxy's memory. The proxy is started afresh and warmed up, so that what
// its first requests allocate is not taken for the price of connections; then the private memory of its worker is read
// before, with all connections open and idle, after a request on all of them at once, and after they are closed. The
// kernel's own memory for the sockets is the same for all and not counted.

import { type Bench, explain, type Running, startProxy } from "./compare.ts";
import { originOf, type Place } from "./client.ts";
import { leaves, memoryOf, processTree } from "./proc.ts";
import type { Proxy } from "./proxies.ts";
import { type Child, said, sleep } from "./stage.ts";
import { runWrk } from "./wrk.ts";

const WARMUP_CONNECTIONS = 64;
/** The least between a step and the reading of memory; as long as the warm-up, for collectors to have had their turn. */
const SETTLE_MS_MIN = 200;
/** OpenSSL leaves much behind that an allocator may give back when it is quiet. */
const SECURE_SETTLE_MS = 3_000;
const ANSWER_PATIENCE_MS = 60_000;

export interface IdleCell {
  /** Private memory of the worker at each point. */
  beforeBytes: number;
  idleBytes: number;
  afterBurstBytes: number;
  closedBytes: number;
  /** All processes with the connections open. */
  pssBytes: number;
  bytesPerConnection: number;
  /** The same of all processes. */
  allBytesPerConnection: number;
  /** Of the burst's requests, those not answered with 200, and why. */
  burstFailed: number;
  burstWhy: string;
  failure: string | null;
}

export async function measureIdle(
  bench: Bench,
  proxy: Proxy,
  connections: number,
  secure: boolean,
): Promise<IdleCell> {
  const cell: IdleCell = {
    beforeBytes: 0,
    idleBytes: 0,
    afterBurstBytes: 0,
    closedBytes: 0,
    pssBytes: 0,
    bytesPerConnection: 0,
    allBytesPerConnection: 0,
    burstFailed: 0,
    burstWhy: "",
    failure: null,
  };
  let running: Running | null = null;
  let client: Dialogue | null = null;
  try {
    running = await startProxy(bench, proxy, secure ? { secure } : {});
    const url = `${originOf(running.place)}${bench.backend.small.path}`;
    const seconds = bench.options.warmup;
    const load = { url, connections: WARMUP_CONNECTIONS, seconds, close: false };
    if (seconds > 0) await runWrk(bench.stage, bench.wrk, load);
    client = new Dialogue(bench, running.place, secure);
    const settleMs = Math.max(SETTLE_MS_MIN, seconds * 1_000, secure ? SECURE_SETTLE_MS : 0);
    await fill(cell, running, client, connections, settleMs);
  } catch (error) {
    if (bench.stage.interrupted) throw error;
    cell.failure = running ? explain(running, error) : String(error);
  }
  await client?.end();
  if (running) await bench.stage.stop(running.child);
  return cell;
}

async function fill(
  cell: IdleCell,
  { child }: Running,
  client: Dialogue,
  connections: number,
  settleMs: number,
): Promise<void> {
  const allBytes = () => memoryOf(processTree(child.pid)).anonymousBytes;
  const workerBytes = async () => {
    await sleep(settleMs);
    return memoryOf(leaves(processTree(child.pid))).anonymousBytes;
  };
  cell.beforeBytes = await workerBytes();
  const allBefore = allBytes();
  const opened = await client.say(`open ${connections}`);
  if (opened.failed > 0) throw new Error(`${opened.failed} of ${connections} connections failed: ${opened.why}`);
  cell.idleBytes = await workerBytes();
  cell.pssBytes = memoryOf(processTree(child.pid)).pssBytes;
  cell.bytesPerConnection = Math.round((cell.idleBytes - cell.beforeBytes) / connections);
  cell.allBytesPerConnection = Math.round((allBytes() - allBefore) / connections);
  const burst = await client.say("burst");
  [cell.burstFailed, cell.burstWhy] = [burst.failed, burst.why];
  cell.afterBurstBytes = await workerBytes();
  await client.say("close");
  cell.closedBytes = await workerBytes();
}

/** The process that holds the connections, spoken to by lines. */
class Dialogue {
  #bench: Bench;
  #child: Child;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #output: ReadableStreamDefaultReader<string>;

  constructor(bench: Bench, { port }: Place, secure: boolean) {
    const script = new URL("./idle_client.ts", import.meta.url).pathname;
    const args = ["run", "-A", "--no-prompt", script, String(port), bench.backend.small.path];
    if (secure) args.push(bench.secrets!.credentials.cert);
    this.#bench = bench;
    const dir = bench.stage.folder("idle-client");
    this.#child = bench.stage.spawn("idle client", dir, Deno.execPath(), args, { dialogue: true });
    this.#input = this.#child.process.stdin.getWriter();
    this.#output = this.#child.process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  async say(line: string): Promise<{ failed: number; why: string }> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
    let text = "";
    while (!text.endsWith("\n")) {
      const { value, done } = await Promise.race([this.#output.read(), late(line)]);
      if (done) throw new Error(`the idle client ended at "${line}": ${said(this.#child)}`);
      text += value;
    }
    return JSON.parse(text);
  }

  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#output.cancel().catch(() => {});
    await this.#bench.stage.stop(this.#child);
  }
}

function late(line: string): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer to "${line}"`)), ANSWER_PATIENCE_MS);
    Deno.unrefTimer(timer);
  });
}
