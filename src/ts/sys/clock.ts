// The clock that service managers and the kernel's logs count by. It is not the one of performance.now(), which begins with
// the process, nor that of /proc/uptime, which also counts the time that the machine slept.

import { rareCalls } from "./rare_calls.ts";

const libc = rareCalls("libc.so.6", {
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
});

const CLOCK_MONOTONIC = 1;

/** CLOCK_MONOTONIC in microseconds. */
export function monotonicUs(): number {
  const time = new BigInt64Array(2); // struct timespec: seconds, nanoseconds
  libc.clock_gettime(CLOCK_MONOTONIC, new Uint8Array(time.buffer));
  return Number(time[0]! * 1_000_000n + time[1]! / 1_000n);
}
