// A full handshake for each request, by `openssl s_time -new`: several of them, each with one connection after the other. wrk
// is no use for this, because it resumes its sessions, more often with some servers than with others.

import type { Page } from "./backend.ts";
import { HOST, type Place } from "./client.ts";
import { findProgram, type Stage } from "./stage.ts";

export interface HandshakesResult {
  requests: number;
  requestsPerSecond: number;
  /** It does not tell. */
  p50Micros: null;
  p99Micros: null;
}

export async function runHandshakes(
  stage: Stage,
  { port }: Place,
  page: Page,
  connections: number,
  seconds: number,
): Promise<HandshakesResult> {
  const openssl = findProgram("openssl");
  if (openssl === null) throw new Error("openssl is not on this machine: it makes the handshakes");
  const args = [
    "s_time",
    "-connect",
    `${HOST}:${port}`,
    "-new",
    "-tls1_3",
    "-www",
    requestOf(page),
    "-time",
    String(seconds),
  ];
  const began = performance.now();
  const texts = await Promise.all(Array.from({ length: connections }, () => stage.run("s_time", openssl, args)));
  const requests = texts.reduce((sum, text) => sum + parseHandshakes(text, page.body.length), 0);
  const requestsPerSecond = requests / ((performance.now() - began) / 1_000);
  return { requests, requestsPerSecond, p50Micros: null, p99Micros: null };
}

/** It writes "GET", this, and the version of a request without a host, which becomes a field here. */
function requestOf({ path }: Page): string {
  return `${path} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\nX-Rest:`;
}

/** How many there were; throws when answers had fewer bytes than the body. */
export function parseHandshakes(text: string, bodyBytes: number): number {
  const match = text.match(/^(\d+) connections in \d+ real seconds, (\d+) bytes read per connection$/m);
  if (!match) throw new Error(`openssl s_time printed something else than expected:\n${text}`);
  const [requests, bytes] = [Number(match[1]), Number(match[2])];
  if (requests > 0 && bytes > bodyBytes) return requests;
  throw new Error(`openssl s_time counted ${requests} connections with ${bytes} bytes each`);
}
