// Tells when a file of a certificate, or one that TLS options name, has changed and rests again. Ten thousand certificates are
// twenty thousand files: they are looked at some at a time, so that a look costs main a millisecond, and all of them take
// a few seconds.

const INTERVAL_MS = 250;
const LOOKS_MAX = 400;

interface Seen {
  /** What was there when it was read, or when it was told. */
  acted: string;
  last: string;
}

export class CertificateWatch {
  readonly #seen = new Map<string, Seen>();
  #paths: string[] = [];
  #at = 0;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(private readonly onChange: (path: string) => void, intervalMs = INTERVAL_MS) {
    this.#timer = setInterval(() => this.#look(), intervalMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** The files to look at from now on; the new ones are taken to be as they were read. */
  follow(paths: ReadonlySet<string>): void {
    for (const path of this.#seen.keys()) if (!paths.has(path)) this.#seen.delete(path);
    for (const path of paths) {
      if (this.#seen.has(path)) continue;
      const mark = markOf(path);
      this.#seen.set(path, { acted: mark, last: mark });
    }
    this.#paths = [...paths];
  }

  #look(): void {
    const count = Math.min(LOOKS_MAX, this.#paths.length);
    let changed: string | undefined;
    for (let i = 0; i < count; i++) {
      this.#at = (this.#at + 1) % this.#paths.length;
      const path = this.#paths[this.#at]!;
      const seen = this.#seen.get(path)!;
      const mark = markOf(path);
      const rests = mark === seen.last;
      seen.last = mark;
      if (!rests || mark === seen.acted || mark === "") continue;
      seen.acted = mark;
      changed = path;
    }
    if (changed !== undefined) this.onChange(changed);
  }
}

function markOf(path: string): string {
  try {
    const { ino, size, mtime, ctime } = Deno.statSync(path);
    return `${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`;
  } catch {
    return "";
  }
}
