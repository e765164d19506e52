// Load over HTTP/2, by h2load: connections with several streams each. It gives the medians of no latencies, so there are none.

import type { Page } from "./backend.ts";
import { originOf, type Place } from "./client.ts";
import { findProgram, type Stage } from "./stage.ts";

export interface H2loadResult {
  requests: number;
  requestsPerSecond: number;
  p50Micros: null;
  p99Micros: null;
}

export async function runH2load(
  stage: Stage,
  place: Place,
  page: Page,
  connections: number,
  streams: number,
  seconds: number,
): Promise<H2loadResult> {
  const h2load = findProgram("h2load");
  if (h2load === null) throw new Error("h2load is not on this machine: it asks in HTTP/2");
  const args = [`-D${seconds}`, `-c${connections}`, `-m${streams}`, `${originOf(place)}${page.path}`];
  const requests = parseH2load(await stage.run("h2load", h2load, args), page.body.length);
  return { requests, requestsPerSecond: requests / seconds, p50Micros: null, p99Micros: null };
}

/** How many were answered; throws when one was not, was refused, or had less than the body. */
export function parseH2load(text: string, bodyBytes: number): number {
  const counts = text.match(/^requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed/m);
  const data = text.match(/\((\d+)\) data$/m);
  if (!counts || !data) throw new Error(`h2load printed something else than expected:\n${text}`);
  const [done, succeeded, failed] = counts.slice(1).map(Number) as [number, number, number];
  const isWhole = Number(data[1]) >= succeeded * bodyBytes;
  if (done > 0 && done === succeeded && failed === 0 && isWhole) return done;
  throw new Error(`h2load counted ${succeeded} of ${done} requests that succeeded, with ${data[1]} bytes`);
}
