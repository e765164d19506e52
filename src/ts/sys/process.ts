// Processes: starting them, watching them end, signals, names, limits. Main starts workers through posix_spawn and not by
// Deno.Command, for what that cannot do: a child with exactly the descriptors 0 to 3, in a process group of its own, with
// the signals that are meant for main blocked from its first instruction (no signal can be blocked in a process whose threads
// already run). The children are main's alone: they are waited for by pid, never all together.

import { addressOf, closeFd, cString, socketPair } from "./fds.ts";
import { checked, SystemError } from "./errno.ts";
import { rareCalls } from "./rare_calls.ts";

const libc = rareCalls("libc.so.6", {
  posix_spawn: { parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "buffer"], result: "i32" },
  posix_spawn_file_actions_init: { parameters: ["buffer"], result: "i32" },
  posix_spawn_file_actions_adddup2: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  posix_spawn_file_actions_addopen: { parameters: ["buffer", "i32", "buffer", "i32", "u32"], result: "i32" },
  // glibc 2.34 and later; without it a child also gets what main itself inherited without CLOEXEC.
  posix_spawn_file_actions_addclosefrom_np: { parameters: ["buffer", "i32"], result: "i32", optional: true },
  posix_spawn_file_actions_destroy: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_init: { parameters: ["buffer"], result: "i32" },
  posix_spawnattr_setflags: { parameters: ["buffer", "i16"], result: "i32" },
  posix_spawnattr_setsigmask: { parameters: ["buffer", "buffer"], result: "i32" },
  posix_spawnattr_destroy: { parameters: ["buffer"], result: "i32" },
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  signal: { parameters: ["i32", "usize"], result: "pointer" },
  prctl: { parameters: ["i32", "buffer", "u64", "u64", "u64"], result: "i32" },
  prlimit: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
  syscall: { parameters: ["i64", "i64", "i64"], result: "i64" },
});

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGUSR2 = 12;
export const SIGTERM = 15;
export const SIGURG = 23;
/** What a terminal or a service manager sends to main; workers are told by their channel. */
export const SIGNALS_OF_MAIN: readonly number[] = [SIGHUP, SIGINT, SIGUSR1, SIGUSR2, SIGTERM];

const SPAWN_SETPGROUP = 0x02;
const SPAWN_SETSIGMASK = 0x08;
/** More than the 80 and 336 bytes of glibc's posix_spawn_file_actions_t and posix_spawnattr_t. */
const SPAWN_OBJECT_BYTES = 512;
const WNOHANG = 1;
const SYS_PIDFD_OPEN = 434n;
const SIG_IGN = 1n;
const PR_SET_NAME = 15;
const RLIMIT_NOFILE = 7;

/** The descriptor under which a child finds the one that it was spawned with. */
export const CHILD_FD = 3;

export interface Command {
  path: string;
  /** argv, its first entry included. */
  args: string[];
}

export interface ExitStatus {
  /** Exit code, when it ended by itself. */
  code?: number;
  /** Number of the signal that ended it. */
  signal?: number;
}

export function describeExit({ code, signal }: ExitStatus): string {
  return signal === undefined ? `exit code ${code ?? "unknown"}` : `signal ${signal}`;
}

/**
 * Starts a process that inherits `fd` as CHILD_FD, stdin from /dev/null, stdout and stderr to main's stderr, nothing else.
 * Takes about a millisecond; the process runs when it returns. Throws SystemError when it cannot be started.
 */
export function spawn(command: Command, env: Record<string, string>, fd: number): number {
  const actions = new Uint8Array(SPAWN_OBJECT_BYTES);
  const attributes = new Uint8Array(SPAWN_OBJECT_BYTES);
  const devNull = cString("/dev/null");
  libc.posix_spawn_file_actions_init(actions);
  libc.posix_spawnattr_init(attributes);
  try {
    // dup2 onto the same number clears CLOEXEC in the child.
    libc.posix_spawn_file_actions_adddup2(actions, fd, CHILD_FD);
    libc.posix_spawn_file_actions_addopen(actions, 0, devNull, 0, 0);
    libc.posix_spawn_file_actions_adddup2(actions, 2, 1);
    libc.posix_spawn_file_actions_addclosefrom_np?.(actions, CHILD_FD + 1);
    libc.posix_spawnattr_setsigmask(attributes, signalSet(SIGNALS_OF_MAIN));
    libc.posix_spawnattr_setflags(attributes, SPAWN_SETPGROUP | SPAWN_SETSIGMASK);
    const argv = stringArray(command.args);
    const envp = stringArray(Object.entries(env).map(([key, value]) => `${key}=${value}`));
    const pid = new Int32Array(1);
    const pidBytes = new Uint8Array(pid.buffer);
    const code = libc.posix_spawn(pidBytes, cString(command.path), actions, attributes, argv.pointers, envp.pointers);
    if (code !== 0) throw new SystemError("posix_spawn", command.path, code);
    return pid[0]!;
  } finally {
    libc.posix_spawn_file_actions_destroy(actions);
    libc.posix_spawnattr_destroy(attributes);
  }
}

/** The same with one end of a new stream socket; gives the other end, which is the caller's to close. */
export function spawnConnected(command: Command, env: Record<string, string>): { pid: number; fd: number } {
  const [ours, theirs] = socketPair();
  try {
    return { pid: spawn(command, env, theirs), fd: ours };
  } catch (error) {
    closeFd(ours);
    throw error;
  } finally {
    closeFd(theirs);
  }
}

/** sigset_t: a bit a signal, of 1024. */
export function signalSet(signals: readonly number[]): Uint8Array<ArrayBuffer> {
  const set = new Uint8Array(128);
  for (const signal of signals) set[(signal - 1) >> 3]! |= 1 << ((signal - 1) & 7);
  return set;
}

/** char *[] with a closing NULL; `strings` keeps alive what the pointers lead to. */
export function stringArray(
  texts: string[],
): { pointers: Uint8Array<ArrayBuffer>; strings: Uint8Array<ArrayBuffer>[] } {
  const strings = texts.map(cString);
  const pointers = new BigUint64Array([...strings.map(addressOf), 0n]);
  return { pointers: new Uint8Array(pointers.buffer), strings };
}

/** A descriptor that becomes readable when the process ends. */
export function openPidFd(pid: number): number {
  return checked(Number(libc.syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n)), "pidfd_open", `process ${pid}`);
}

/** How a child ended, and releases its entry; undefined while it runs. */
export function reap(pid: number): ExitStatus | undefined {
  const status = new Int32Array(1);
  const result = libc.waitpid(pid, new Uint8Array(status.buffer), WNOHANG);
  if (result === 0) return undefined;
  if (result < 0) return {};
  const signal = status[0]! & 0x7f;
  return signal === 0 ? { code: (status[0]! >> 8) & 0xff } : { signal };
}

/** Sends a signal; false when there is no such process (any more). */
export function sendSignal(pid: number, signal: number): boolean {
  return libc.kill(pid, signal) === 0;
}

/** Ignores the signals that are meant for main: a worker learns by its channel what to do. */
export function ignoreSignalsOfMain(): void {
  for (const signal of SIGNALS_OF_MAIN) libc.signal(signal, SIG_IGN);
}

/** The name that ps and pgrep show, at most 15 bytes. */
export function setProcessName(name: string): void {
  libc.prctl(PR_SET_NAME, cString(name.slice(0, 15)), 0n, 0n, 0n);
}

/**
 * Lets a process open at least `wanted` descriptors if its hard limit, or the privilege to raise that, permits.
 * Gives the limit that holds now.
 */
export function allowOpenFiles(pid: number, wanted: number): number {
  const limits = new BigUint64Array(2);
  const bytes = new Uint8Array(limits.buffer);
  checked(libc.prlimit(pid, RLIMIT_NOFILE, null, bytes), "prlimit", `process ${pid}`);
  const soft = Number(limits[0]);
  const hard = Number(limits[1]);
  if (soft >= wanted) return soft;
  limits[0] = BigInt(wanted);
  limits[1] = BigInt(Math.max(wanted, hard));
  if (libc.prlimit(pid, RLIMIT_NOFILE, bytes, null) === 0) return wanted;
  limits[0] = limits[1] = BigInt(hard);
  return libc.prlimit(pid, RLIMIT_NOFILE, bytes, null) === 0 ? hard : soft;
}

/** Memory of a process in bytes that it shares with no file and no other process; 0 when it cannot be read. */
export function ownMemoryBytes(pid: number): number {
  try {
    const line = /^RssAnon:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
