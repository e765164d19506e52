// How this program starts itself again as a worker: as a script by the runtime, or as the single binary, where the arguments
// go to the program directly. The file is named as /proc/self/exe: whoever replaces the file on disk while main runs does
// not mix two versions, because a worker is always the program that main is.

import type { Command } from "../sys/process.ts";

/** The single binary hands its entry to the runtime as a module that is its own address. */
const BUNDLE_MODULE = /^data:/;
const OWN_FILE = "/proc/self/exe";

export function isSingleBinary(): boolean {
  return Deno.build.standalone || BUNDLE_MODULE.test(Deno.mainModule);
}

/** Path and arguments (the first is the name that ps shows) of this program with `args`. */
export function selfCommand(args: string[]): Command {
  if (isSingleBinary()) return { path: OWN_FILE, args: ["kakehi", ...args] };
  return { path: OWN_FILE, args: [Deno.execPath(), "run", "-A", "--no-prompt", Deno.mainModule, ...args] };
}

/** The file that this program was started from, read before anybody replaced it. */
const own = { path: Deno.execPath() };

export function ownPath(): string {
  return own.path;
}

/** Sets the path, where the system no longer tells it: the file has been replaced, and this program came back. */
export function setOwnPath(path: string): void {
  own.path = path;
}

/** Another program in the place of this one, as a command with `args`; without `binary`, the file of this one as it is now. */
export function successorCommand(binary: string | undefined, args: string[]): Command {
  if (binary !== undefined || isSingleBinary()) return { path: binary ?? own.path, args: ["kakehi", ...args] };
  return { ...selfCommand(args), path: own.path };
}

/** What a service manager says to main alone. */
const OF_MAIN = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/** What is said once, to the program that is started; the sockets that it speaks of are handed on otherwise. */
const OF_THE_START = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/** The environment of a program that takes the place of main. */
export function successorEnvironment(): Record<string, string> {
  const environment = Deno.env.toObject();
  for (const name of OF_THE_START) delete environment[name];
  return environment;
}

/** The environment of a process that may become main under a number of its own. */
export function guardEnvironment(): Record<string, string> {
  const { WATCHDOG_PID: _, ...environment } = successorEnvironment();
  return environment;
}

/**
 * What the engine is told, where the data path is not what its defaults are made for:
 *
 * - It calls system calls and OpenSSL directly only from what its last compiler has made, and that takes 3,000 calls of a function
 *   by default: minutes at the rate of handshakes.
 * - Six classes extend Connection, and where it has met more than four it stops telling them apart: each access to a field was
 *   then a search (11 % of the time in JavaScript and WebAssembly, with HTTP/2 on both sides).
 * - A request goes through many short functions, of which it would join only a few, in either language (10 %).
 */
const ENGINE = [
  "--invocation-count-for-turbofan=500",
  "--max-valid-polymorphic-map-count=8",
  "--max-inlined-bytecode-size-cumulative=2400",
  "--wasm-inlining-budget=20000",
  "--wasm-inlining-factor=8",
].join(",");

/**
 * What workers are tuned with, in front of what the operator says there, which wins. The C library keeps 7 freed pieces of each
 * small size at hand where a handshake frees more: with the engine calling directly, a tenth of what a full handshake costs
 * within the first ten thousand.
 */
const TUNING = [
  { name: "DENO_V8_FLAGS", value: ENGINE, separator: "," },
  { name: "GLIBC_TUNABLES", value: "glibc.malloc.tcache_count=100", separator: ":" },
];

/** The environment of a worker: main's own, without what is meant for main alone. */
export function workerEnvironment(): Record<string, string> {
  const environment = Deno.env.toObject();
  for (const name of OF_MAIN) delete environment[name];
  for (const { name, value, separator } of TUNING) {
    const given = environment[name];
    environment[name] = given ? value + separator + given : value;
  }
  return environment;
}
