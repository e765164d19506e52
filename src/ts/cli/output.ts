// What a command says: results on stdout (text, or one JSON object with --json), complaints on stderr, and the exit codes.

export const EXIT_DONE = 0;
/** Refused, or failed. */
export const EXIT_FAILED = 1;
/** Wrong usage. */
export const EXIT_USAGE = 2;
export const EXIT_UNREACHABLE = 3;

/** The command line makes no sense; the message says what was expected. */
export class UsageError extends Error {
  override name = "UsageError";
  /** How the command is used; "" if there is nothing to say. */
  usage = "";
}

const encoder = new TextEncoder();

/** False: nobody reads it any more. */
export function print(text: string): boolean {
  return writeAll(Deno.stdout, text.endsWith("\n") ? text : text + "\n");
}

export function printJson(value: unknown): boolean {
  return print(JSON.stringify(value));
}

export function complain(text: string): void {
  writeAll(Deno.stderr, `kakehi: ${text}\n`);
}

/** A failure in the form that was asked for: lines on stderr, or `{"error": …}` and whatever else is known on stdout. */
export function fail(message: string, json: boolean, more: object = {}): void {
  if (json) return void printJson({ error: message, ...more });
  for (const line of message.split("\n")) complain(visible(line));
}

/** What was thrown, likewise, with how the command is used and with all that the proxy answered; gives the exit code. */
export function failWith(error: Error, json: boolean): number {
  const { name, message } = error;
  const { usage = "", fields = {} } = error as { usage?: string; fields?: object };
  if (usage !== "" && !json) writeAll(Deno.stderr, `${usage}\n`);
  fail(message, json, fields);
  if (name === "UsageError") return EXIT_USAGE;
  return name === "Unreachable" ? EXIT_UNREACHABLE : EXIT_FAILED;
}

/** Text of others for a terminal: what would steer it is shown as an escape. */
export function visible(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** A value on a line: a plain word as it is, anything else as JSON. */
export function shown(value: unknown): string {
  if (typeof value !== "string") return visible(JSON.stringify(value) ?? "");
  return /^[\w.*+\/:@\[\]-]+$/.test(value) ? value : visible(JSON.stringify(value));
}

const COLORS = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 } as const;

/** Coloured where it is a terminal that reads it, and nobody has set NO_COLOR. */
export function paint(color: keyof typeof COLORS, text: string): string {
  return Deno.stdout.isTerminal() && !Deno.noColor ? `\x1b[${COLORS[color]}m${text}\x1b[0m` : text;
}

/** A reader that has gone (`kakehi status | head -1`) ends nothing but the output; then the result is false. */
export function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): boolean {
  const bytes = encoder.encode(text);
  try {
    for (let done = 0; done < bytes.length;) done += stream.writeSync(bytes.subarray(done));
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    return false;
  }
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: string[], rows: string[][]): string {
  const all = [head, ...rows];
  if (rows.length === 0) return head.join("  ");
  const widths = head.map((_, column) => all.reduce((most, row) => Math.max(most, row[column]!.length), 0));
  const isNumber = head.map((_, column) => rows.every((row) => /^(-|-?[\d.,]+( ?[a-zA-Z\/]+)?)$/.test(row[column]!)));
  const line = (row: string[]) =>
    row.map((cell, i) => isNumber[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)).join("  ").trimEnd();
  return all.map(line).join("\n");
}

/** 90_061_000 → "1d 1h". Two units are enough for a person. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return `${ms}ms`;
  const units: [number, string][] = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  return units.slice(first, first + 2).map(([size, unit], i) => {
    const count = Math.floor(i === 0 ? seconds / size : (seconds % units[first]![0]) / size);
    return i > 0 && count === 0 ? "" : `${count}${unit}`;
  }).filter((part) => part !== "").join(" ");
}

/** 13_631_488 → "13.0 MiB". */
export function size(bytes: number): string {
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
