// What /proc says of a process and all its descendants: CPU time and memory. Linux only.
//
// CPU time is taken from task/*/schedstat, the nanoseconds each thread has run, because utime and stime of
// /proc/<pid>/stat come in ticks of 10 ms, too coarse for a visit of a second. The ticks are read as well: they hold what
// threads and children that ended in between have used, and they tell user from system time. Both clocks are the
// kernel's own account, so nothing depends on the proxy's word. Memory comes from smaps_rollup.

/** Length of a tick of /proc/<pid>/stat: USER_HZ is 100 on every Linux that Deno runs on. */
const TICK_MICROS = 10_000;

export interface ProcessStat {
  pid: number;
  ppid: number;
  userTicks: number;
  systemTicks: number;
  /** Ticks after boot; with the pid it names a process for good, as pids are used again. */
  startTicks: number;
}

export interface CpuSample {
  /** "pid/tid" → ns on a CPU. */
  threads: Map<string, number>;
  /** Of all processes, with the children they waited for. */
  userTicks: number;
  systemTicks: number;
}

export interface CpuUse {
  micros: number;
  userMicros: number;
  /** `schedstat` as a rule; `stat` when threads or children ended with a share that only the ticks hold. */
  source: "schedstat" | "stat";
}

export interface MemoryUse {
  rssBytes: number;
  /** Shared pages counted in shares. */
  pssBytes: number;
  /** Private and anonymous: heap, stacks, WebAssembly memory. */
  anonymousBytes: number;
}

function readText(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // The process ended between the listing and the reading.
    return null;
  }
}

function names(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map((entry) => entry.name);
  } catch {
    return [];
  }
}

export function readStat(pid: number): ProcessStat | null {
  const text = readText(`/proc/${pid}/stat`);
  return text === null ? null : parseStat(text);
}

/** A line of /proc/<pid>/stat; the name in it may hold blanks and parentheses, so that fields count from the last `)`. */
export function parseStat(line: string): ProcessStat {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => Number(fields[number - 3]); // proc(5) counts from 1 and the third follows the name
  return {
    pid: parseInt(line),
    ppid: field(4),
    userTicks: field(14) + field(16),
    systemTicks: field(15) + field(17),
    startTicks: field(22),
  };
}

/** The process and its descendants, parents first; empty when it has ended. */
export function processTree(root: number): ProcessStat[] {
  const all = names("/proc").filter((name) => /^\d+$/.test(name)).map((name) => readStat(Number(name)));
  const childrenOf = Map.groupBy(all.filter((stat) => stat !== null), (stat) => stat.ppid);
  const top = all.find((stat) => stat?.pid === root);
  const tree = top ? [top] : [];
  for (let i = 0; i < tree.length; i++) tree.push(...(childrenOf.get(tree[i]!.pid) ?? []));
  return tree;
}

/** The processes of the tree that have no children: the workers, whatever supervises them. */
export function leaves(tree: ProcessStat[]): ProcessStat[] {
  const parents = new Set(tree.map((stat) => stat.ppid));
  return tree.filter((stat) => !parents.has(stat.pid));
}

export function sampleCpu(root: number): CpuSample {
  const sample: CpuSample = { threads: new Map(), userTicks: 0, systemTicks: 0 };
  for (const { pid, userTicks, systemTicks } of processTree(root)) {
    sample.userTicks += userTicks;
    sample.systemTicks += systemTicks;
    for (const tid of names(`/proc/${pid}/task`)) {
      const text = readText(`/proc/${pid}/task/${tid}/schedstat`);
      if (text !== null) sample.threads.set(`${pid}/${tid}`, Number(text.split(" ")[0]));
    }
  }
  return sample;
}

export function cpuBetween(before: CpuSample, after: CpuSample): CpuUse {
  let nanos = 0;
  for (const [thread, ns] of after.threads) nanos += ns - (before.threads.get(thread) ?? 0);
  const user = after.userTicks - before.userTicks;
  const ticks = user + after.systemTicks - before.systemTicks;
  const tickMicros = ticks * TICK_MICROS;
  const precise = nanos / 1_000;
  // A tick of rounding for each end and kind is no reason to doubt the finer clock.
  const lost = tickMicros > precise * 1.03 + 4 * TICK_MICROS || after.threads.size === 0;
  const micros = lost ? tickMicros : precise;
  return { micros, userMicros: ticks > 0 ? micros * (user / ticks) : 0, source: lost ? "stat" : "schedstat" };
}

/** Sum over the processes; those that may not be read count 0. */
export function memoryOf(processes: ProcessStat[]): MemoryUse {
  const sum: MemoryUse = { rssBytes: 0, pssBytes: 0, anonymousBytes: 0 };
  for (const { pid } of processes) {
    const text = readText(`/proc/${pid}/smaps_rollup`) ?? "";
    const kib = (key: string) => Number(text.match(new RegExp(`^${key}:\\s+(\\d+) kB`, "m"))?.[1] ?? 0);
    sum.rssBytes += kib("Rss") * 1024;
    sum.pssBytes += kib("Pss") * 1024;
    sum.anonymousBytes += kib("Anonymous") * 1024;
  }
  return sum;
}
