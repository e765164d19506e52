// Main's log: one line an event on stderr, always in the same form, made for people and still easy to cut apart:
//
//   2026-01-31T12:00:00.123Z INFO  worker is ready  slot=0 pid=4711 sandbox="landlock 7, seccomp"
//
// Workers do not write here; they send their events to main. Values with spaces or control characters are quoted as in JSON,
// so nothing that came from the network can forge a line.

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = typeof LOG_LEVELS[number];
export type LogFields = Record<string, string | number | boolean | undefined>;

const encoder = new TextEncoder();

export class Log {
  #threshold = 1;

  /** `write` takes a whole line; `now` gives the time of a line. */
  constructor(
    private readonly write: (line: string) => void = writeToStderr,
    private readonly now: () => Date = () => new Date(),
  ) {}

  set level(level: LogLevel) {
    this.#threshold = LOG_LEVELS.indexOf(level);
  }

  debug(text: string, fields?: LogFields): void {
    this.log("debug", text, fields);
  }

  info(text: string, fields?: LogFields): void {
    this.log("info", text, fields);
  }

  warn(text: string, fields?: LogFields): void {
    this.log("warn", text, fields);
  }

  error(text: string, fields?: LogFields): void {
    this.log("error", text, fields);
  }

  log(level: LogLevel, text: string, fields: LogFields = {}): void {
    if (LOG_LEVELS.indexOf(level) < this.#threshold) return;
    const pairs = Object.entries(fields).filter(([, value]) => value !== undefined);
    const tail = pairs.map(([key, value]) => `${key}=${quoted(String(value))}`).join(" ");
    const head = `${this.now().toISOString()} ${level.toUpperCase().padEnd(5)} ${oneLine(text)}`;
    this.write(tail === "" ? `${head}\n` : `${head}  ${tail}\n`);
  }
}

function quoted(value: string): string {
  return /^[^\s"=\p{Cc}]+$/u.test(value) ? value : oneLine(JSON.stringify(value));
}

/** Control characters as escapes; JSON leaves DEL and the C1 range as they are. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

/** A log that nobody takes (closed pipe, full disk) must not stop the proxy. */
function writeToStderr(line: string): void {
  try {
    const bytes = encoder.encode(line);
    for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
  } catch {
    // Nowhere to say it.
  }
}
