// The load generator: wrk with one thread, and the reading of what it prints. Errors of any kind that it counts make the
// visit worthless, because a failed request costs the proxy something else than an answered one.

import type { Stage } from "./stage.ts";

export interface WrkLoad {
  url: string;
  connections: number;
  seconds: number;
  /** `Connection: close` with each request. */
  close: boolean;
}

export interface WrkResult {
  requests: number;
  requestsPerSecond: number;
  p50Micros: number;
  p99Micros: number;
  /** What went wrong, in wrk's words; empty when nothing did. */
  errors: string[];
}

const MICROS: Record<string, number> = { us: 1, ms: 1_000, s: 1_000_000, m: 60_000_000 };

export async function runWrk(stage: Stage, wrk: string, load: WrkLoad): Promise<WrkResult> {
  const args = ["-t1", `-c${load.connections}`, `-d${load.seconds}s`, "--latency", "--timeout", "10s"];
  if (load.close) args.push("-H", "Connection: close");
  return parseWrk(await stage.run("wrk", wrk, [...args, load.url]));
}

export function parseWrk(text: string): WrkResult {
  const [requests] = captures(text, /^\s*(\d+) requests in /m);
  const [perSecond] = captures(text, /^Requests\/sec:\s+([\d.]+)/m);
  const errors: string[] = [];
  const socket = text.match(/^\s*Socket errors: .*$/m);
  if (socket) errors.push(socket[0].trim());
  const status = text.match(/^\s*Non-2xx or 3xx responses: .*$/m);
  if (status) errors.push(status[0].trim());
  if (requests === "0") errors.push("no request was answered");
  return {
    requests: Number(requests),
    requestsPerSecond: Number(perSecond),
    p50Micros: percentile(text, 50),
    p99Micros: percentile(text, 99),
    errors,
  };
}

function percentile(text: string, percent: number): number {
  const [value, unit] = captures(text, new RegExp(`^\\s*${percent}%\\s+([\\d.]+)(us|ms|s|m)$`, "m"));
  return Number(value) * MICROS[unit!]!;
}

function captures(text: string, pattern: RegExp): string[] {
  const match = text.match(pattern);
  if (!match) throw new Error(`wrk printed something else than expected: ${pattern} is not in\n${text}`);
  return match.slice(1);
}
