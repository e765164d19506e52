// Waiting: for a time, for a turn of main's loop, and for several things, but not for one that hangs.

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Between the parts of what takes long: main does in between whatever else there is to do. */
export function turn(): Promise<void> {
  return delay(0);
}

/** Comes back when all have come, however they ended, or the time is over. */
export async function settledWithin(all: Iterable<Promise<unknown>>, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, limitMs));
  await Promise.race([Promise.allSettled(all), limit]);
  clearTimeout(timer);
}
