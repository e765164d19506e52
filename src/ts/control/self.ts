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

/** The environment of a worker: main's own, without what is meant for main alone. */
export function workerEnvironment(): Record<string, string> {
  const { NOTIFY_SOCKET: _notify, WATCHDOG_USEC: _watchdog, WATCHDOG_PID: _pid, ...rest } = Deno.env.toObject();
  return rest;
}
