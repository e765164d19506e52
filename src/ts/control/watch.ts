// Tells when a file has changed and rests again. It is looked at from time to time rather than watched by the kernel: an
// editor writes another file and renames it, a deployment moves a link in the path, and all that is asked is whether what
// the name leads to is still the same.

const INTERVAL_MS = 250;

export class FileWatch {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #acted: string;
  #seen: string;

  /** `sinceMs`: when the content that is known was read. */
  constructor(
    private readonly path: string,
    sinceMs: number,
    private readonly onChange: () => void,
    private readonly intervalMs = INTERVAL_MS,
  ) {
    const info = look(path);
    this.#acted = this.#seen = info.changedMs > sinceMs ? "" : info.mark;
    this.#wait();
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #wait(): void {
    this.#timer = setTimeout(() => this.#look(), this.intervalMs);
  }

  /** A change counts when nothing has moved since the last look. */
  #look(): void {
    const { mark } = look(this.path);
    const rests = mark === this.#seen;
    this.#seen = mark;
    if (rests && mark !== this.#acted && mark !== "") {
      this.#acted = mark;
      this.onChange();
    }
    this.#wait();
  }
}

/** What tells one content of a file from another without reading it; "" for no file. */
function look(path: string): { mark: string; changedMs: number } {
  try {
    const { ino, size, mtime, ctime } = Deno.statSync(path);
    const changedMs = Math.max(mtime?.getTime() ?? 0, ctime?.getTime() ?? 0);
    return { mark: `${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`, changedMs };
  } catch {
    return { mark: "", changedMs: 0 };
  }
}
