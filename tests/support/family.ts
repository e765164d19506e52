// All processes that a proxy has ever led to, whoever their parents are by now: they are known by a word in their environment,
// which every process hands to those that it starts. For tests that nothing stays behind.

export class Family {
  readonly word = `KAKEHI_TEST_FAMILY=${crypto.randomUUID()}`;

  /** To be added to the environment of the first of them. */
  get env(): Record<string, string> {
    const [name, value] = this.word.split("=");
    return { [name!]: value! };
  }

  /** Those that live, with their command lines. */
  members(): { pid: number; command: string }[] {
    const found: { pid: number; command: string }[] = [];
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      try {
        if (!Deno.readTextFileSync(`/proc/${name}/environ`).split("\0").includes(this.word)) continue;
        const command = Deno.readTextFileSync(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim();
        found.push({ pid: Number(name), command });
      } catch {
        // It ended between being listed and being looked at, or is somebody else's.
      }
    }
    return found;
  }
}

/** Children of a process that have ended and were not waited for. */
export function zombiesOf(parent: number): number[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name }) => {
    try {
      const stat = Deno.readTextFileSync(`/proc/${name}/stat`);
      const [state, ppid] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return state === "Z" && Number(ppid) === parent ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

/** What the descriptors of a process lead to, in order; sockets and the like without their numbers. */
export function openFilesOf(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].flatMap(({ name }) => {
    try {
      return [Deno.readLinkSync(`/proc/${pid}/fd/${name}`).replace(/\[\d+\]$/, "")];
    } catch {
      return [];
    }
  }).sort();
}
