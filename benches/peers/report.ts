// What the comparison shows: tables for the terminal, and everything as JSON. The figure of a cell is the median of the
// rounds; the best round stands beside it for CPU time, because other work on the machine can only add to it.

import type { Cell, Comparison, IdleResult, LoadResult } from "./compare.ts";
import type { Options } from "./options.ts";
import type { ProxyName } from "./proxies.ts";

export interface Spread {
  median: number;
  best: number;
  worst: number;
}

/** Of values of which less is better. */
export function spread(values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, best: sorted[0]!, worst: sorted.at(-1)! };
}

/** Our CPU time over the peers'; null where a side has no figure. Below 1 we use less. */
export interface Ratios {
  /** Over the better of nginx and HAProxy as it comes, by medians; with HTTP/2 nghttpx is one of them. */
  median: number | null;
  /** The same by the best rounds. */
  best: number | null;
  /** Over HAProxy with `option splice-auto`, by medians. */
  splice: number | null;
  /** Over another checkout of ours, by medians. */
  parent: number | null;
}

export function ratiosOf(load: LoadResult): Ratios {
  const cpu = (name: ProxyName) => cpuOf(load.cells[name]);
  const ours = cpu("kakehi");
  const over = (kind: "median" | "best", ...names: ProxyName[]) => {
    const peers = names.map(cpu).filter((one) => one !== null).map((one) => one[kind]);
    return ours && peers.length > 0 ? ours[kind] / Math.min(...peers) : null;
  };
  const peers: ProxyName[] = load.isHttp2 ? ["nginx", "haproxy", "nghttpx"] : ["nginx", "haproxy"];
  return {
    median: over("median", ...peers),
    best: over("best", ...peers),
    splice: over("median", "haproxy-splice"),
    parent: over("median", "parent"),
  };
}

function cpuOf(cell: Cell | undefined): Spread | null {
  if (!cell || cell.failure !== null || cell.visits.length === 0) return null;
  return spread(cell.visits.map((visit) => visit.cpuMicros));
}

export function failuresOf({ loads, idle, secureIdle }: Comparison): string[] {
  const inLoads = loads.flatMap(({ name, cells }) =>
    Object.entries(cells).filter(([, cell]) => cell.failure !== null).map(([proxy, cell]) =>
      `${name}, ${proxy}: ${cell.failure}`
    )
  );
  const inIdle = (name: string, result: IdleResult | null) =>
    Object.entries(result?.cells ?? {}).filter(([, cell]) => cell.failure !== null)
      .map(([proxy, cell]) => `${name}, ${proxy}: ${cell.failure}`);
  return [...inLoads, ...inIdle("idle", idle), ...inIdle("tls-idle", secureIdle)];
}

/** Rows of equal length as a table that is aligned as text and valid as Markdown; the first column to the left. */
export function table(rows: string[][]): string {
  const [head = [], ...body] = rows;
  const widths = head.map((_, i) => Math.max(3, ...rows.map((row) => [...(row[i] ?? "")].length)));
  const line = (row: string[]) =>
    "| " + row.map((text, i) => i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)).join(" | ") + " |";
  const rule = widths.map((width, i) => i === 0 ? "-".repeat(width) : "-".repeat(width - 1) + ":");
  return [line(head), line(rule), ...body.map(line)].join("\n");
}

export function report(comparison: Comparison, options: Options): string {
  const { proxies, missing, loads, idle, secureIdle } = comparison;
  const parts: string[] = [];
  const names = proxies.map(({ name }) => name);
  const perCell = (title: string, show: (cell: Cell) => string) => {
    const rows = loads.map((load) => [load.title, ...names.map((name) => shown(load.cells[name], show))]);
    parts.push(`${title}\n\n${table([["scenario", ...names], ...rows])}`);
  };
  parts.push(
    [
      `One worker each, ${options.rounds} rounds of ${options.seconds} s, access log ${
        options.accessLog ? "on" : "off"
      }.`,
      ...proxies.map(({ name, version, does }) => `${name} ${version}: ${does}`),
      ...missing.map((line) => `skipped ${line}`),
    ].join("\n"),
  );
  if (loads.length > 0) {
    parts.push(cpuTable(loads, names));
    perCell("Requests per second", (cell) => median(cell, "requestsPerSecond")!.toFixed(0));
    perCell(
      "Latency in ms, p50 / p99",
      (cell) => `${millisOf(cell, "p50Micros")} / ${millisOf(cell, "p99Micros")}`,
    );
    perCell(
      "Memory in MiB, PSS / RSS",
      ({ memory }) => memory ? `${mib(memory.pssBytes)} / ${mib(memory.rssBytes)}` : "-",
    );
  }
  if (idle) parts.push(idleTable("idle keep-alive connections", idle, names));
  if (secureIdle) parts.push(idleTable("idle connections with TLS", secureIdle, names));
  const failures = failuresOf(comparison);
  if (failures.length > 0) parts.push(`FAILED\n\n${failures.join("\n")}`);
  return parts.join("\n\n");
}

function cpuTable(loads: LoadResult[], names: ProxyName[]): string {
  const all: [ProxyName, string, keyof Ratios][] = [
    ["kakehi", "ours/better", "median"],
    ["kakehi", "by best", "best"],
    ["haproxy-splice", "ours/splice", "splice"],
    ["parent", "ours/parent", "parent"],
  ];
  const columns = names.includes("kakehi") ? all.filter(([needs]) => names.includes(needs)) : [];
  const rows = loads.map((load) => {
    const ratios = ratiosOf(load);
    const figures = names.map((name) => shown(load.cells[name], (cell) => cpuText(cell)));
    return [load.title, ...figures, ...columns.map(([, , key]) => ratios[key]?.toFixed(2) ?? "-")];
  });
  const head = ["scenario", ...names, ...columns.map(([, title]) => title)];
  return `CPU in µs per request, median (best) of the rounds; ratios to the better of nginx and haproxy, with HTTP/2 also of nghttpx\n\n${
    table([head, ...rows])
  }`;
}

function cpuText(cell: Cell): string {
  const { median, best } = spread(cell.visits.map((visit) => visit.cpuMicros));
  const digits = median < 100 ? 1 : 0;
  return `${median.toFixed(digits)} (${best.toFixed(digits)})`;
}

function idleTable(what: string, { connections, cells }: IdleResult, names: ProxyName[]): string {
  const rows = names.map((name) => {
    const cell = cells[name];
    if (!cell || cell.failure !== null) return [name, ...Array(7).fill(cell ? "FAILED" : "-")];
    return [
      name,
      String(cell.bytesPerConnection),
      String(cell.allBytesPerConnection),
      ...[cell.beforeBytes, cell.idleBytes, cell.afterBurstBytes, cell.closedBytes].map(mib),
      cell.burstFailed === 0 ? "all" : `${connections - cell.burstFailed} of ${connections}`,
    ];
  });
  const head = ["proxy", "bytes each", "in all processes", "before", "idle", "after burst", "closed", "burst answered"];
  return `${connections} ${what}, private memory of the worker in MiB\n\n${table([head, ...rows])}`;
}

function shown(cell: Cell | undefined, show: (cell: Cell) => string): string {
  if (!cell) return "-";
  return cell.failure !== null ? "FAILED" : cell.visits.length === 0 ? "-" : show(cell);
}

type Latency = "p50Micros" | "p99Micros";

function median(cell: Cell, key: "requestsPerSecond" | Latency): number | null {
  const values = cell.visits.map((visit) => visit[key]).filter((value) => value !== null);
  return values.length === 0 ? null : spread(values).median;
}

function millisOf(cell: Cell, key: Latency): string {
  const micros = median(cell, key);
  return micros === null ? "-" : (micros / 1_000).toPrecision(3);
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

/** Everything measured, for other programs. */
export function toJson(comparison: Comparison, options: Options, machine: Record<string, unknown>): string {
  const { proxies, missing, loads, idle, secureIdle } = comparison;
  const summary = (cell: Cell) => ({
    ...cell,
    cpuMicros: cpuOf(cell),
    requestsPerSecond: median(cell, "requestsPerSecond"),
    p50Micros: median(cell, "p50Micros"),
    p99Micros: median(cell, "p99Micros"),
  });
  const { rounds, seconds, warmup, accessLog, configExtra } = options;
  return JSON.stringify(
    {
      machine,
      settings: { rounds, seconds, warmup, accessLog, configExtra },
      proxies: proxies.map(({ name, version, does }) => ({ name, version, does })),
      missing,
      scenarios: loads.map((load) => ({
        name: load.name,
        title: load.title,
        ratios: ratiosOf(load),
        proxies: Object.fromEntries(Object.entries(load.cells).map(([name, cell]) => [name, summary(cell)])),
      })),
      idle: idle && { connections: idle.connections, proxies: idle.cells },
      secureIdle: secureIdle && { connections: secureIdle.connections, proxies: secureIdle.cells },
      failures: failuresOf(comparison),
    },
    null,
    2,
  );
}
