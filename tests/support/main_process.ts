// Main as a process of its own, with the worker of the tests: for what only shows with real signals, sockets and exit codes.

import { ask } from "../../src/ts/cli/connection.ts";
import type { ProxyStatus } from "../../src/ts/control/protocol.ts";
import { type PassedSocket, passing } from "./passed_sockets.ts";
import { eventually } from "./proxy.ts";

const PROGRAM = new URL("test_main.ts", import.meta.url).href;
const REAL_PROGRAM = new URL("../../src/ts/main.ts", import.meta.url).href;

export interface Ended {
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. */
export async function runCommand(
  args: string[],
  env: Record<string, string> = {},
  sockets: readonly PassedSocket[] = [],
): Promise<Ended> {
  const { code, signal, stdout, stderr } = await spawn(args, env, sockets).output();
  return { code, signal, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

function spawn(
  args: string[],
  env: Record<string, string>,
  sockets: readonly PassedSocket[],
  program = PROGRAM,
): Deno.ChildProcess {
  const words = ["run", "-A", "--no-prompt", program, ...args];
  return passing(sockets, [Deno.execPath(), words], (program, args) => {
    return new Deno.Command(program, { args, env, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  });
}

export interface StartOptions {
  env?: Record<string, string>;
  /** Sockets that are passed to it. */
  sockets?: readonly PassedSocket[];
  /** With the real worker instead of the one of the tests. */
  real?: boolean;
  /** Further arguments of `start`. */
  args?: readonly string[];
  /** Where the configuration is, and what it left behind; the caller's. */
  folder?: string;
}

/** A running main with a folder of its own. Ends with the test, whatever happened. */
export class MainProcess implements AsyncDisposable {
  log = "";
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #collected: Promise<unknown>;

  private constructor(readonly folder: string, private readonly options: StartOptions) {
    const args = ["start", "-c", `${folder}/kakehi.yaml`, "--socket", this.socket, ...options.args ?? []];
    this.#child = spawn(args, options.env ?? {}, options.sockets ?? [], options.real ? REAL_PROGRAM : PROGRAM);
    this.ended = this.#child.status;
    this.#collected = Promise.all([this.#child.stdout, this.#child.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.log += text;
    }));
  }

  /** Starts main with a configuration and waits until it serves. */
  static async start(yaml: string, options: StartOptions = {}): Promise<MainProcess> {
    const folder = options.folder ?? await Deno.makeTempDir();
    await Deno.writeTextFile(`${folder}/kakehi.yaml`, yaml.replaceAll("{folder}", folder));
    const main = new MainProcess(folder, options);
    await main.logged(/INFO {2}serving/);
    return main;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get socket(): string {
    return `${this.folder}/control.sock`;
  }

  async configure(yaml: string): Promise<void> {
    await Deno.writeTextFile(`${this.folder}/kakehi.yaml`, yaml.replaceAll("{folder}", this.folder));
  }

  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  async status(): Promise<ProxyStatus> {
    return await ask<ProxyStatus>(this.socket, "status");
  }

  /** Waits until the log has a match. */
  async logged(pattern: RegExp): Promise<string> {
    return await eventually(`the log has ${pattern}`, () => this.log, (log) => pattern.test(log), 10_000);
  }

  async ask(path = "/"): Promise<{ pid: number; slot: number; revision: number }> {
    const address = /listening {2}listener=\S+ address=(\S+)/.exec(this.log)![1]!;
    return await (await fetch(`http://${address}${path}`)).json();
  }

  async [Symbol.asyncDispose]() {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.ended;
    await this.#collected;
    if (this.options.folder === undefined) await Deno.remove(this.folder, { recursive: true });
  }
}
