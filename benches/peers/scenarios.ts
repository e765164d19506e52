// What is asked of the proxies: the loads, and how many connections lie idle.

import type { Backend, Page } from "./backend.ts";

export interface Load {
  name: string;
  title: string;
  connections: number;
  page: "small" | "medium" | "large";
  /** The client asks for the end of the connection with each request; the proxy keeps its own to the backend. */
  close: boolean;
  /** TLS 1.3 between client and proxy; to the backend all speak plainly. */
  secure?: true;
  /** TLS between proxy and backend, verified by authority and name; clients speak plainly. */
  secureBackend?: true;
  /** A full handshake with each request: by openssl s_time, because wrk resumes sessions. */
  handshakes?: true;
  /** HTTP/2 between client and proxy, with so many streams on each connection: by h2load. */
  streams?: number;
  /** HTTP/2 without TLS between proxy and backend; with `streams` on both sides. */
  http2Backend?: true;
}

export const LOADS = [
  { name: "keep-alive-1", title: "keep-alive, 1 connection", connections: 1, page: "small", close: false },
  { name: "keep-alive-64", title: "keep-alive, 64", connections: 64, page: "small", close: false },
  { name: "keep-alive-256", title: "keep-alive, 256", connections: 256, page: "small", close: false },
  { name: "close", title: "a connection per request, 64", connections: 64, page: "small", close: true },
  { name: "64k", title: "64 KiB answer, 16", connections: 16, page: "medium", close: false },
  { name: "1m", title: "1 MiB answer, 16", connections: 16, page: "large", close: false },
  {
    name: "tls-keep-alive-64",
    title: "TLS, keep-alive, 64",
    connections: 64,
    page: "small",
    close: false,
    secure: true,
  },
  {
    name: "tls-handshake",
    title: "TLS, a full handshake per request, 4",
    connections: 4,
    page: "small",
    close: true,
    secure: true,
    handshakes: true,
  },
  { name: "tls-1m", title: "TLS, 1 MiB answer, 16", connections: 16, page: "large", close: false, secure: true },
  {
    name: "tls-backend-keep-alive-64",
    title: "TLS to the backend, keep-alive, 64",
    connections: 64,
    page: "small",
    close: false,
    secureBackend: true,
  },
  {
    name: "tls-backend-1m",
    title: "TLS to the backend, 1 MiB answer, 16",
    connections: 16,
    page: "large",
    close: false,
    secureBackend: true,
  },
  {
    name: "h2",
    title: "HTTP/2 with TLS, 16 × 32 streams",
    connections: 16,
    page: "small",
    close: false,
    secure: true,
    streams: 32,
  },
  {
    name: "h2-64k",
    title: "HTTP/2 with TLS, 64 KiB answer, 16 × 32",
    connections: 16,
    page: "medium",
    close: false,
    secure: true,
    streams: 32,
  },
  {
    name: "h2-backend",
    title: "HTTP/2 to the backend, keep-alive, 64",
    connections: 64,
    page: "small",
    close: false,
    http2Backend: true,
  },
  {
    name: "h2-backend-64k",
    title: "HTTP/2 to the backend, 64 KiB answer, 16",
    connections: 16,
    page: "medium",
    close: false,
    http2Backend: true,
  },
  {
    name: "h2-both",
    title: "HTTP/2 on both sides, 16 × 32 streams",
    connections: 16,
    page: "small",
    close: false,
    secure: true,
    streams: 32,
    http2Backend: true,
  },
  {
    name: "h2-both-64k",
    title: "HTTP/2 on both sides, 64 KiB answer, 16 × 32",
    connections: 16,
    page: "medium",
    close: false,
    secure: true,
    streams: 32,
    http2Backend: true,
  },
] as const satisfies Load[];

export const SCENARIO_NAMES = [...LOADS.map((load) => load.name), "idle", "tls-idle"] as const;
export type ScenarioName = typeof SCENARIO_NAMES[number];

export function pageOf(load: Load, backend: Backend): Page {
  return backend[load.page];
}

/** Each of these needs 15 KB and more, in the proxy and again in the client. */
export const SECURE_IDLE_MAX = 5_000;

/** Descriptors for everything but the connections of the clients. */
const OTHER_DESCRIPTORS = 1_500;

/** As many idle connections as asked for and as both the proxies and the client have descriptors for. */
export function idleConnections(asked: number): number {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  const open = limits.match(/^Max open files\s+\d+\s+(\d+)/m)?.[1];
  return open === undefined ? asked : Math.max(1, Math.min(asked, Number(open) - OTHER_DESCRIPTORS));
}
