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
}

const encoder = new TextEncoder();

export function print(text: string): void {
  writeAll(Deno.stdout, text.endsWith("\n") ? text : text + "\n");
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value));
}

export function complain(text: string): void {
  writeAll(Deno.stderr, `kakehi: ${text}\n`);
}

/** A failure in the form that was asked for: lines on stderr, or `{"error": …}` on stdout. */
export function fail(message: string, json: boolean): void {
  if (json) return printJson({ error: message });
  for (const line of message.split("\n")) complain(line);
}

/** A reader that has gone (`kakehi status | head -1`) ends nothing but the output. */
function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let done = 0; done < bytes.length;) done += stream.writeSync(bytes.subarray(done));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: string[], rows: string[][]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const isNumber = head.map((_, column) =>
    rows.length > 0 && rows.every((row) => /^[\d.,:-]+( ?[a-zA-Z]+)?$/.test(row[column]!))
  );
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
