// Another program in the place of this one (execve): the same process with the same children, whose threads and memory are
// gone, and of its descriptors only those that were let through. Everything here is made with CLOEXEC, so letting one
// through is a decision, which is taken back when the call fails.
//
// Between the call and the first lines of the new program nobody handles signals: they are kept and held back until it can
// take them (signals.ts).

import { addressOf, cString } from "./fds.ts";
import { checked, errno, SystemError } from "./errno.ts";
import { type Command, stringArray } from "./process.ts";
import { rareCalls } from "./rare_calls.ts";
import { holdSignalsOfMain, keepSignals } from "./signals.ts";

const libc = rareCalls("libc.so.6", {
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
});

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;

/** Opens the file of the program that runs, for coming back to it; also when it has no name any more. */
export function openOwnProgram(): number {
  return checked(libc.open(cString("/proc/self/exe"), O_CLOEXEC, 0), "open", "/proc/self/exe");
}

/** Whether a program that takes the place of this one gets a descriptor. Throws SystemError when it is not open. */
export function setInherited(fd: number, inherited: boolean): void {
  checked(libc.fcntl(fd, F_SETFD, inherited ? 0 : FD_CLOEXEC), "fcntl", `descriptor ${fd}`);
}

/**
 * Puts a program in the place of this one, with `fds` under the same numbers. Comes back only by throwing SystemError, and
 * then everything is as it was.
 */
export function replaceProgram(command: Command, env: Record<string, string>, fds: readonly number[]): never {
  const argv = stringArray(command.args);
  const envp = stringArray(Object.entries(env).map(([key, value]) => `${key}=${value}`));
  const inherited: number[] = [];
  const release = keepSignals();
  holdSignalsOfMain(true);
  try {
    for (const fd of fds) {
      setInherited(fd, true);
      inherited.push(fd);
    }
    libc.execve(cString(command.path), argv.pointers, envp.pointers);
    throw new SystemError("execve", command.path, errno());
  } finally {
    for (const fd of inherited) setInherited(fd, false);
    holdSignalsOfMain(false);
    release();
    // The pointers above lead to these.
    void [argv.strings, envp.strings].map((strings) => strings.map(addressOf));
  }
}
