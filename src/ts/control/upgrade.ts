// Another program in the place of this one, the same process going on: the new file is tried as a child, then everything is
// handed over (handover.ts) and the file executed in place. Nothing closes: listening sockets, workers and the clients of the
// control socket are handed on, and the new main puts its own workers in the place of the old ones, which finish what they
// carry. A new main that cannot bring its workers up comes back to the program that left; for one that ends or hangs there is
// a guard (guard.ts).

import type { Log } from "../observe/log.ts";
import { closeFd } from "../sys/fds.ts";
import { openOwnProgram, replaceProgram } from "../sys/exec.ts";
import type { Poller } from "../sys/poll.ts";
import { checkCandidate } from "./candidate.ts";
import { ControlError } from "./errors.ts";
import { Guard } from "./guard.ts";
import { handedFds, type Handover, type WayBack, writeHandover } from "./handover.ts";
import { ownPath, selfCommand, successorCommand, successorEnvironment } from "./self.ts";
import type { ControlServer } from "./server.ts";
import type { HandedSupervisor, Supervisor } from "./supervisor.ts";
import type { HandedTransactions, Transactions } from "./transactions.ts";

/** What other clients have asked for is finished first, within this time. */
const HOLD_LIMIT_MS = 10_000;
/** How often a program is checked: again if the state has changed since, and then with nobody's requests in between. */
const CHECKS_MAX = 3;

/** What main knows beside its parts. */
export type Circumstances = Pick<Handover, "source" | "socket" | "demo" | "loadedAtMs" | "upgrades">;

export interface UpgradeOptions {
  supervisor: Supervisor;
  transactions: Transactions;
  server: ControlServer;
  poller: Poller;
  log: Log;
  circumstances: () => Circumstances;
  /** Whether the configuration file is being read again: that comes first, it would be forgotten. */
  isReloading: () => boolean;
  /** Called right before the program is replaced, with the process number of the guard; and when it could not be. */
  onDeparture: (guard: number) => void;
  onReturn: () => void;
}

/** The state has changed since it was checked. */
class Changed extends Error {}

export class Upgrade {
  #underWay = false;

  constructor(private readonly options: UpgradeOptions) {}

  /**
   * Goes on as another program, `binary` or the file that this one was started from. Comes back only by throwing a
   * ControlError, and then nothing has changed.
   */
  async run(binary: string | undefined, say: (doing: string) => void): Promise<never> {
    if (this.#underWay) throw new ControlError("conflict", "an upgrade is under way already");
    if (this.options.supervisor.stopping) throw new ControlError("failed", "the proxy is stopping");
    this.#underWay = true;
    try {
      await requireProgram(successorCommand(binary, []).path);
      for (let check = 0; check < CHECKS_MAX; check++) await this.#tryOnce(binary, say, check > 0);
      throw new Error("the state changes faster than a new program can be checked");
    } catch (error) {
      throw error instanceof ControlError ? error : new ControlError("failed", (error as Error).message);
    } finally {
      this.#underWay = false;
    }
  }

  /** Comes back when the state changed in between; with `quiet`, the requests of other clients wait from the start. */
  async #tryOnce(binary: string | undefined, say: (doing: string) => void, quiet: boolean): Promise<void> {
    try {
      if (quiet) await this.#hold();
      await this.#checkAndDepart(binary, say, quiet);
    } finally {
      this.options.server.release();
    }
  }

  async #hold(): Promise<void> {
    if (await this.options.server.hold(HOLD_LIMIT_MS)) return;
    throw new Error("requests of other clients are still under way");
  }

  async #checkAndDepart(binary: string | undefined, say: (doing: string) => void, held: boolean): Promise<void> {
    const { transactions, poller, log } = this.options;
    const beganAtMs = Date.now();
    const { revision, state, resolved } = transactions;
    const path = successorCommand(binary, []).path;
    say(`checking whether ${path} can serve revision ${revision}`);
    const version = await checkCandidate(poller, successorCommand(binary, ["check-upgrade"]), {
      revision,
      state,
      resolved,
      credentials: transactions.credentials.handOver(),
    });
    say(`version ${version} takes over`);
    log.info("another program takes over", { path, version, revision });
    const guard = await Guard.start(poller);
    try {
      if (!held) await this.#hold();
      await transactions.handOver((handed, supervisor) => {
        if (transactions.revision !== revision || this.options.isReloading()) throw new Changed();
        return this.#depart(binary, beganAtMs, guard, handed, supervisor);
      });
    } catch (error) {
      if (!(error instanceof Changed)) throw error;
    } finally {
      guard.dismiss();
    }
  }

  #depart(
    binary: string | undefined,
    beganAtMs: number,
    guard: Guard,
    transactions: HandedTransactions,
    supervisor: HandedSupervisor,
  ): never {
    const { revision, state, resolved, credentials } = this.options.transactions;
    const program = openOwnProgram();
    const handed = {
      ...this.options.circumstances(),
      revision,
      state,
      resolved,
      credentials: credentials.handOver(),
      beganAtMs,
      logLevel: this.options.log.level,
      back: { program, command: selfCommand(["resume"]), path: ownPath() },
      guard: guard.handed,
      transactions,
      supervisor,
      server: this.options.server.handOver(),
    };
    const memfd = writeHandover(handed);
    try {
      guard.arm(memfd, handed);
      this.options.onDeparture(guard.pid);
      const fds = [memfd, guard.handed.channel, ...handedFds(handed)];
      replaceProgram(successorCommand(binary, ["resume", String(memfd)]), successorEnvironment(), fds);
    } catch (error) {
      this.options.onReturn();
      throw error;
    } finally {
      closeFd(memfd);
      closeFd(program);
    }
  }
}

/** Comes back to the program that handed over, which is told why. Throws when even that fails. */
export function comeBack(
  memfd: number,
  handed: Pick<Handover, "back" | "guard" | "supervisor" | "server">,
  why: string,
): never {
  const { program, command }: WayBack = handed.back;
  const path = `/proc/self/fd/${program}`;
  const fds = [memfd, ...(handed.guard ? [handed.guard.channel] : []), ...handedFds(handed)];
  replaceProgram({ path, args: [...command.args, String(memfd), why] }, successorEnvironment(), fds);
}

async function requireProgram(path: string): Promise<void> {
  if (!path.startsWith("/")) throw new ControlError("bad_request", `binary: expected an absolute path, got ${path}`);
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "there is no such file" : (error as Error).message;
    throw new ControlError("failed", `${path}: ${reason}`);
  }
  if (!info.isFile) throw new ControlError("failed", `${path}: expected a program, this is no regular file`);
  if (((info.mode ?? 0) & 0o111) === 0) throw new ControlError("failed", `${path}: it is not executable`);
}
