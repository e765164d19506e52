// top [--once]: rates of the whole proxy and of each worker, made of two looks at the counters a second apart, again and
// again until somebody presses q. It draws on the terminal's second screen, so that what was there before comes back.

import type { ProxyStatus, WorkerReport } from "../control/protocol.ts";
import { delay } from "../control/waiting.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { type Connection, openConnection } from "./connection.ts";
import { duration, EXIT_DONE, paint, print, printJson, size, table, UsageError, writeAll } from "./output.ts";

const INTERVAL_MS = 1_000;
const CTRL_C = 3;
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

interface Look {
  atMs: number;
  status: ProxyStatus;
}

export async function run(args: string[], json: boolean): Promise<number> {
  const { flags, socket } = readArguments("top", COMMANDS.top, args);
  const once = flags.has("once");
  if (!once && (json || !Deno.stdout.isTerminal() || !Deno.stdin.isTerminal())) {
    throw new UsageError("top draws on a terminal; expected --once where there is none");
  }
  using connection = await openConnection(socket);
  if (once) await showOnce(connection, json);
  else await showUntilKey(connection);
  return EXIT_DONE;
}

async function look(connection: Connection): Promise<Look> {
  const status = await connection.request<ProxyStatus>("status");
  return { atMs: performance.now(), status };
}

async function showOnce(connection: Connection, json: boolean): Promise<void> {
  const before = await look(connection);
  await delay(INTERVAL_MS);
  const after = await look(connection);
  if (json) printJson(rates(before, after));
  else print(screen(before, after));
}

async function showUntilKey(connection: Connection): Promise<void> {
  const over = Promise.withResolvers<"over">();
  writeAll(Deno.stdout, ENTER);
  Deno.stdin.setRaw(true);
  try {
    untilKey().then(() => over.resolve("over"), over.reject);
    let before = await look(connection);
    writeAll(Deno.stdout, drawn(screen(before, before)));
    while (await Promise.race([over.promise, delay(INTERVAL_MS)]) !== "over") {
      const after = await look(connection);
      writeAll(Deno.stdout, drawn(screen(before, after)));
      before = after;
    }
  } finally {
    Deno.stdin.setRaw(false);
    writeAll(Deno.stdout, LEAVE);
  }
}

async function untilKey(): Promise<void> {
  const keys = new Uint8Array(16);
  for (let count = await Deno.stdin.read(keys); count !== null; count = await Deno.stdin.read(keys)) {
    if (keys.subarray(0, count).some((key) => key === CTRL_C || key === "q".charCodeAt(0))) return;
  }
}

/** Over what was drawn before, line by line, so that nothing flickers. */
function drawn(text: string): string {
  const { columns, rows } = Deno.consoleSize();
  const lines = text.split("\n").slice(0, rows - 1).map((line) => cut(line, columns));
  return `\x1b[H${lines.map((line) => `${line}\x1b[K\r\n`).join("")}\x1b[J`;
}

/** A line that is longer than the terminal is wide loses its colours, too. */
function cut(line: string, width: number): string {
  // deno-lint-ignore no-control-regex
  const plain = line.replace(/\x1b\[\d+m/g, "");
  return plain.length <= width ? line : plain.slice(0, width);
}

interface Rates {
  revision: number;
  total: Row;
  workers: (Row & { worker: number; pid: number; state: string; uptime_ms: number; memory_bytes: number })[];
}

/** Those with `per_second` count what has happened between two looks. */
interface Row {
  requests_per_second: number;
  errors_per_second: number;
  connections: number;
  upstreams: number;
  sent_bytes_per_second: number;
}

/** What a table of `top` has. A worker that was not there before, or did not answer, has done nothing. */
export function rates(before: Look, after: Look): Rates {
  const seconds = Math.max(0.001, (after.atMs - before.atMs) / 1000);
  const earlier = new Map(before.status.workers.map((worker) => [worker.pid, worker.counters]));
  const workers = after.status.workers.map((worker) => ({
    worker: worker.slot,
    pid: worker.pid,
    state: worker.state,
    uptime_ms: worker.uptime_ms,
    memory_bytes: worker.memory_bytes,
    ...row(earlier.get(worker.pid), worker.counters, seconds),
  }));
  const total = { ...NOTHING };
  for (const worker of workers) for (const name of ROW_KEYS) total[name] += worker[name];
  return { revision: after.status.revision, total, workers };
}

const NOTHING: Row = {
  requests_per_second: 0,
  errors_per_second: 0,
  connections: 0,
  upstreams: 0,
  sent_bytes_per_second: 0,
};
const ROW_KEYS = Object.keys(NOTHING) as (keyof Row)[];

function row(before: WorkerReport["counters"] | undefined, after: WorkerReport["counters"], seconds: number): Row {
  if (!before || !after) return { ...NOTHING };
  const of = (name: string) => after[name] ?? 0;
  const rate = (name: string) => Math.max(0, of(name) - (before[name] ?? 0)) / seconds;
  return {
    requests_per_second: Math.round(rate("requests")),
    errors_per_second: Math.round(rate("responses.5xx") * 10) / 10,
    connections: of("connections.active"),
    upstreams: of("upstreams.active") + of("upstreams.idle"),
    sent_bytes_per_second: Math.round(rate("bytes.to_client")),
  };
}

function screen(before: Look, after: Look): string {
  const { total, workers } = rates(before, after);
  const { status } = after;
  const head = `kakehi ${status.version}, up ${duration(status.uptime_ms)}, revision ${status.revision}, ${
    status.listeners.map(({ address }) => address).join(" ")
  }`;
  const cells = (row: Row) => [
    String(row.requests_per_second),
    row.errors_per_second.toFixed(1),
    String(row.connections),
    String(row.upstreams),
    `${size(row.sent_bytes_per_second)}/s`,
  ];
  const rows = workers.map((
    w,
  ) => [String(w.worker), String(w.pid), w.state, duration(w.uptime_ms), size(w.memory_bytes), ...cells(w)]);
  const memory = size(workers.reduce((sum, { memory_bytes }) => sum + memory_bytes, 0));
  const titles = ["WORKER", "PID", "STATE", "UP", "MEMORY", "REQUESTS/S", "5XX/S", "CLIENTS", "UPSTREAMS", "SENT"];
  const [titleLine, ...lines] = table(titles, [...rows, ["all", "-", "-", "-", memory, ...cells(total)]]).split("\n");
  return [paint("bold", head), "", paint("dim", titleLine!), ...lines].join("\n");
}
