// An anonymous file (memfd) that only its owner can write, and only at its end: others get a descriptor that was opened for
// reading, and find what they were told of at its place for as long as it is wanted. What nobody wants any more is given
// back to the system page by page, so the file may be written for years and takes the memory of what is alive.

import { checked } from "./errno.ts";
import { closeFd, cString } from "./fds.ts";
import { rareCalls } from "./rare_calls.ts";

const libc = rareCalls("libc.so.6", {
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
});

const MFD_CLOEXEC = 1;
const O_CLOEXEC = 0o2000000;
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const PAGE = 4096;

export interface Place {
  at: number;
  length: number;
}

export class AppendFile {
  /** For those who read: it cannot be written through. Stays open until `close`. */
  readonly readable: number;
  readonly #fd: number;
  #end = 0;

  constructor(private readonly name: string) {
    this.#fd = checked(libc.memfd_create(cString(name), MFD_CLOEXEC), "memfd_create", name);
    try {
      // Whoever may no longer become its owner cannot open it anew for writing either.
      checked(libc.fchmod(this.#fd, 0o600), "fchmod", name);
      this.readable = checked(libc.open(cString(`/proc/self/fd/${this.#fd}`), O_CLOEXEC, 0), "open", name);
    } catch (error) {
      closeFd(this.#fd);
      throw error;
    }
  }

  /** Adds bytes at the end. Each piece begins a page, so that it can be given back alone. */
  append(bytes: Uint8Array<ArrayBuffer>): Place {
    const at = this.#end;
    for (let done = 0; done < bytes.length;) {
      const rest = bytes.subarray(done);
      done += checked(libc.pwrite(this.#fd, rest, BigInt(rest.length), BigInt(at + done)), "pwrite", this.name);
    }
    this.#end = Math.ceil((at + bytes.length) / PAGE) * PAGE;
    return { at, length: bytes.length };
  }

  /** Nobody reads it any more. */
  release({ at, length }: Place): void {
    const whole = BigInt(Math.ceil(length / PAGE) * PAGE);
    checked(libc.fallocate(this.#fd, PUNCH_HOLE | KEEP_SIZE, BigInt(at), whole), "fallocate", this.name);
  }

  close(): void {
    closeFd(this.#fd);
    closeFd(this.readable);
  }
}
