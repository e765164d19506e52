// A program started with sockets as a service manager passes them (sd_listen_fds(3)): the first one is descriptor 3, and the
// environment says how many there are, what they are called, and for which process. The sockets stay open here, so that the
// next program can get the same ones.

import { assert } from "./assert.ts";
import { setInherited } from "../../src/ts/sys/exec.ts";

export interface PassedSocket {
  name: string;
  fd: number;
}

const FIRST_FD = 3;

/** The program and its arguments, wrapped in a shell that passes the sockets on; for a command that is spawned by `body`. */
export function passing<T>(
  sockets: readonly PassedSocket[],
  [program, args]: [string, string[]],
  body: (program: string, args: string[]) => T,
): T {
  if (sockets.length === 0) return body(program, args);
  const end = FIRST_FD + sockets.length;
  assert(
    sockets.every(({ fd }) => fd >= end),
    `descriptors ${sockets.map(({ fd }) => fd)} are in the way of 3 to ${end}`,
  );
  const moves = sockets.map(({ fd }, at) => `${FIRST_FD + at}<&${fd} ${fd}<&-`).join(" ");
  const names = sockets.map(({ name }) => name).join(":");
  const script = `export LISTEN_PID=$$ LISTEN_FDS=${sockets.length} LISTEN_FDNAMES='${names}'; exec "$@" ${moves}`;
  for (const { fd } of sockets) setInherited(fd, true);
  try {
    return body("bash", ["-c", script, "bash", program, ...args]);
  } finally {
    for (const { fd } of sockets) setInherited(fd, false);
  }
}
