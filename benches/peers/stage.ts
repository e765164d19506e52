// The stage of one run: a temporary directory and every process started in it. Whatever happens, an error, Ctrl-C or
// the end, close() ends the processes with their descendants and removes the directory. A program's output goes to files
// in the stage, so that a full pipe never stalls what is measured and a failure can show what the program said.

import { type ProcessStat, processTree, readStat } from "./proc.ts";

/** Time for a program to end by itself after SIGTERM. */
const TERM_PATIENCE_MS = 2_000;
/** How much of what a failing program said is shown. */
const SHOWN_CHARS = 2_000;

export interface Child {
  name: string;
  pid: number;
  outPath: string;
  errPath: string;
  exited: Promise<Deno.CommandStatus>;
  /** Set once it has ended. */
  status: Deno.CommandStatus | null;
  process: Deno.ChildProcess;
}

export interface SpawnOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Only for a program that is spoken to by lines: its standard input and output are pipes. */
  dialogue?: boolean;
  /** The terminal's own input and output. */
  inherit?: boolean;
}

export class Stage {
  readonly dir: string;
  /** The signal that ended the run early. */
  interrupted: Deno.Signal | null = null;
  #children: Child[] = [];
  #closing: Promise<void> | null = null;
  #folders = 0;
  #handlers: [Deno.Signal, () => void][] = [];

  constructor() {
    this.dir = Deno.makeTempDirSync({ prefix: "kakehi-bench-" });
    // Workers that gave up root must reach their files.
    Deno.chmodSync(this.dir, 0o755);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const handler = () => void this.#interrupt(signal);
      Deno.addSignalListener(signal, handler);
      this.#handlers.push([signal, handler]);
    }
  }

  /** A new directory of the stage. */
  folder(name: string): string {
    const path = `${this.dir}/${this.#folders++}-${name}`;
    Deno.mkdirSync(path, { mode: 0o755 });
    return path;
  }

  spawn(name: string, dir: string, path: string, args: string[], options: SpawnOptions = {}): Child {
    if (this.#closing) throw new Error(`${name} is not started: the run is ending`);
    const { dialogue = false, inherit = false, ...rest } = options;
    const [outPath, errPath] = [`${dir}/out`, `${dir}/err`];
    const redirect = inherit ? "" : dialogue ? ' 2>>"$0/err"' : ' >>"$0/out" 2>>"$0/err"';
    const process = new Deno.Command("/bin/sh", {
      args: ["-c", `exec "$@"${redirect}`, dir, path, ...args],
      stdin: dialogue ? "piped" : inherit ? "inherit" : "null",
      stdout: dialogue ? "piped" : "inherit",
      stderr: "inherit",
      ...rest,
    }).spawn();
    const child: Child = { name, pid: process.pid, outPath, errPath, exited: process.status, status: null, process };
    child.exited = process.status.then((status) => child.status = status);
    this.#children.push(child);
    return child;
  }

  /** Runs a program to its end and gives what it printed; throws with what it said when it fails. */
  async run(name: string, path: string, args: string[]): Promise<string> {
    const dir = this.folder(name);
    const child = this.spawn(name, dir, path, args);
    const status = await child.exited;
    this.#children.splice(this.#children.indexOf(child), 1);
    const output = Deno.readTextFileSync(child.outPath);
    if (!status.success) throw new Error(`${name} ended with ${ending(status)}: ${output}${said(child)}`);
    Deno.removeSync(dir, { recursive: true });
    return output;
  }

  /** Ends a program and its descendants. */
  async stop(child: Child): Promise<void> {
    const tree = processTree(child.pid);
    if (child.status === null) kill(child.pid, "SIGTERM");
    const deadline = Date.now() + TERM_PATIENCE_MS;
    while (tree.some(isAlive) && Date.now() < deadline) await sleep(20);
    for (const stat of tree.filter(isAlive)) kill(stat.pid, "SIGKILL");
    await child.exited;
    const index = this.#children.indexOf(child);
    if (index >= 0) this.#children.splice(index, 1);
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.stop(child)));
    Deno.removeSync(this.dir, { recursive: true });
    for (const [signal, handler] of this.#handlers) Deno.removeSignalListener(signal, handler);
  }

  async #interrupt(signal: Deno.Signal): Promise<void> {
    this.interrupted ??= signal;
    await this.close();
    Deno.exit(signal === "SIGINT" ? 130 : signal === "SIGTERM" ? 143 : 129);
  }
}

/** The end of what the program wrote to standard error. */
export function said(child: Child): string {
  try {
    return Deno.readTextFileSync(child.errPath).trim().slice(-SHOWN_CHARS);
  } catch {
    return "";
  }
}

export function ending(status: Deno.CommandStatus): string {
  return status.signal ?? `exit code ${status.code}`;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The same process as in the snapshot still runs; one that ended and waits for its parent does not. */
function isAlive(stat: ProcessStat): boolean {
  const now = readStat(stat.pid);
  return now !== null && now.startTicks === stat.startTicks && !isZombie(stat.pid);
}

function isZombie(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return true;
  }
}

function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}

/** The first executable of that name in PATH or where servers are installed. */
export function findProgram(name: string): string | null {
  const folders = [
    ...(Deno.env.get("PATH") ?? "").split(":"),
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/local/bin",
  ];
  for (const folder of folders.filter(Boolean)) {
    try {
      const info = Deno.statSync(`${folder}/${name}`);
      if (info.isFile && ((info.mode ?? 0) & 0o111) !== 0) return `${folder}/${name}`;
    } catch {
      // Not here.
    }
  }
  return null;
}

/**
 * A port of the loopback that nobody listens on, below the range from which the kernel takes the ports of clients, so
 * that none of the load's own connections takes it before the server does.
 */
export function freePort(): number {
  for (let i = 0; i < 1_000; i++) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch {
      // Taken: try the next.
    }
  }
  throw new Error("no free port found between 10000 and 30000");
}
