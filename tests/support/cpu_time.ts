// How long a piece of work keeps a processor, whatever else the machine does meanwhile.

/** Milliseconds that this thread was on a processor for it. */
export function cpuMsOf(work: () => void): number {
  const before = threadNs();
  work();
  return (threadNs() - before) / 1e6;
}

/** Nanoseconds on a processor so far (proc(5): the first number of schedstat). */
function threadNs(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]);
}
