// Where worker processes come from: one is always kept waiting, so that a dead one is replaced at once. It has loaded
// everything and blocks on its channel.

import type { State } from "../config/mod.ts";
import type { Log } from "../observe/log.ts";
import type { Poller } from "../sys/poll.ts";
import { allowOpenFiles, type Command } from "../sys/process.ts";
import type { LogLevel } from "../observe/log.ts";
import { type HandedWorker, WorkerProcess } from "./worker_process.ts";

/** Descriptors of a worker besides connections and pipes: listeners, epoll, log, libraries, the runtime's own. */
const OTHER_FDS = 256;

export interface LauncherOptions {
  poller: Poller;
  log: Log;
  /** The command that becomes a worker with its channel at the given descriptor. */
  command: (fd: number) => Command;
  /** A process that waits already. */
  first?: WorkerProcess;
}

export class Launcher {
  #spare: WorkerProcess | undefined;
  #closed = false;
  #warnedOfFiles = 0;

  constructor(private readonly options: LauncherOptions) {
    this.#spare = options.first;
  }

  get spare(): WorkerProcess | undefined {
    return this.#spare;
  }

  /** The waiting process if it still lives, or a new one. */
  take(): WorkerProcess {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare?.state === "waiting" ? spare : this.#launch();
  }

  keepSpare(): void {
    if (this.#closed || this.#spare?.state === "waiting") return;
    this.#spare = this.#launch();
  }

  /** Ends the waiting process; comes back when it is gone. */
  async dismiss(): Promise<void> {
    const spare = this.#spare;
    this.#spare = undefined;
    spare?.kill();
    await spare?.ended;
  }

  close(): void {
    this.#closed = true;
    this.#spare?.kill();
  }

  /** Lets a worker open as many files as the limits need, if the system permits; says so once if not. */
  allowFiles(worker: WorkerProcess, { limits }: State): void {
    const wanted = limits.connections + limits.upstream_connections + 2 * limits.pipes + OTHER_FDS;
    const allowed = allowOpenFiles(worker.pid, wanted);
    if (allowed >= wanted || this.#warnedOfFiles === wanted) return;
    this.#warnedOfFiles = wanted;
    this.options.log.warn("a worker may open fewer files than the limits of the configuration need", {
      allowed,
      wanted,
    });
  }

  #launch(): WorkerProcess {
    return WorkerProcess.launch(this.options.poller, this.options.command, this.#onLog);
  }

  /** A process that another main has started. Throws when it is gone. */
  adopt(handed: HandedWorker): WorkerProcess {
    return WorkerProcess.adopt(this.options.poller, handed, this.#onLog);
  }

  readonly #onLog = (level: LogLevel, message: string, worker: WorkerProcess) => {
    this.options.log.log(level, message, { slot: worker.slot, pid: worker.pid });
  };
}
