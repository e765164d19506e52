// Main as a process of its own, with the worker of the tests: for what only shows with real signals, sockets and exit codes.

import { request } from "../../src/ts/control/client.ts";
import type { ProxyStatus } from "../../src/ts/control/protocol.ts";
import { eventually } from "./proxy.ts";

const PROGRAM = new URL("test_main.ts", import.meta.url).href;

export interface Ended {
  code: number;
  signal: Deno.Signal | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. */
export async function runCommand(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  const { code, signal, stdout, stderr } = await command(args, env).output();
  return { code, signal, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

function command(args: string[], env: Record<string, string>): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", PROGRAM, ...args],
    env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** A running main with a folder of its own. Ends with the test, whatever happened. */
export class MainProcess implements AsyncDisposable {
  log = "";
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #collected: Promise<unknown>;

  private constructor(readonly folder: string, env: Record<string, string>) {
    const args = ["start", "-c", `${folder}/kakehi.yaml`, "--socket", this.socket];
    this.#child = command(args, env).spawn();
    this.ended = this.#child.status;
    this.#collected = Promise.all([this.#child.stdout, this.#child.stderr].map(async (stream) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) this.log += text;
    }));
  }

  /** Starts main with a configuration and waits until it serves. */
  static async start(yaml: string, env: Record<string, string> = {}): Promise<MainProcess> {
    const folder = await Deno.makeTempDir();
    await Deno.writeTextFile(`${folder}/kakehi.yaml`, yaml.replaceAll("{folder}", folder));
    const main = new MainProcess(folder, env);
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
    return await request(this.socket, "status", {}) as unknown as ProxyStatus;
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
    await Deno.remove(this.folder, { recursive: true });
  }
}
