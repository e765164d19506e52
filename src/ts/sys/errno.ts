// The error number of the last failed call, and errors that name the call. The C library keeps errno per thread at a fixed
// address: it is mapped once, and read at once after the call that failed. Only what a person may have to read has a text
// here; every other number is shown as a number.

import { rareCalls } from "./rare_calls.ts";

const symbols = rareCalls("libc.so.6", { __errno_location: { parameters: [], result: "pointer" } });
const location = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(symbols.__errno_location()!, 4));

export const EINTR = 4;
export const EAGAIN = 11;
export const EPIPE = 32;
export const EADDRINUSE = 98;
export const ECONNRESET = 104;

const TEXTS: Record<number, string> = {
  1: "EPERM: not permitted",
  2: "ENOENT: no such file or directory",
  3: "ESRCH: no such process",
  8: "ENOEXEC: it is no program",
  9: "EBADF: not an open descriptor",
  11: "EAGAIN: would wait",
  12: "ENOMEM: out of memory",
  13: "EACCES: permission denied",
  20: "ENOTDIR: a part of the path is not a directory",
  21: "EISDIR: is a directory",
  22: "EINVAL: invalid argument",
  23: "ENFILE: the system has no free descriptors",
  24: "EMFILE: the process has no free descriptors",
  26: "ETXTBSY: the file is being written",
  28: "ENOSPC: no space left",
  30: "EROFS: read-only file system",
  32: "EPIPE: the other side is gone",
  38: "ENOSYS: this kernel has no such call",
  97: "EAFNOSUPPORT: this host has no such address family",
  98: "EADDRINUSE: address already in use",
  99: "EADDRNOTAVAIL: this host does not have this address",
  101: "ENETUNREACH: no way to this network",
  104: "ECONNRESET: connection reset",
  110: "ETIMEDOUT: no answer",
  111: "ECONNREFUSED: connection refused",
  113: "EHOSTUNREACH: no way to this host",
};

/** errno of the call that just failed on this thread. */
export function errno(): number {
  return location[0]!;
}

export function errnoText(code: number): string {
  return TEXTS[code] ?? `errno ${code}`;
}

/** A call of the system failed: which, on what, and why. */
export class SystemError extends Error {
  override name = "SystemError";
  constructor(readonly call: string, readonly subject: string, readonly code: number) {
    super(`${call} ${subject}: ${errnoText(code)}`);
  }
}

/** Gives `result` back when the call succeeded; throws with errno otherwise. */
export function checked(result: number, call: string, subject: string): number {
  if (result < 0) throw new SystemError(call, subject, errno());
  return result;
}
