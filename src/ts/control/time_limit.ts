// Waiting for several things, but not for one that hangs.

/** Comes back when all have come, however they ended, or the time is over. */
export async function settledWithin(all: Iterable<Promise<unknown>>, limitMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, limitMs));
  await Promise.race([Promise.allSettled(all), limit]);
  clearTimeout(timer);
}
