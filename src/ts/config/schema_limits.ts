// The two large groups of numbers in the schema: limits, which bound the memory of a worker, and timeouts.

import { count, COUNT_MAX, duration, key, object, size } from "./shape.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 ** 4;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Room in a buffer beside the request head: what the proxy adds to it before it goes to a backend. */
export const HEAD_ROOM_BYTES = 2 * KIB;

/** What all I/O buffers of a worker may take: half of what the addresses of a worker reach, so that the rest fits beside them. */
export const BUFFER_MEMORY_MAX = 1024 * MIB;

export const LIMITS = key(
  object({
    connections: key(count(1, COUNT_MAX), {
      about: "How many client connections a worker holds; it stops accepting when they are used up.",
      unit: "connections for each worker",
      default: 10_240,
      example: 50_000,
    }),
    upstream_connections: key(count(1, COUNT_MAX), {
      about:
        "How many connections to backends a worker holds, over all clusters; each request that goes on in HTTP/2 counts as " +
        "one more. Requests beyond it are answered with 503.",
      unit: "connections for each worker",
      default: 10_240,
      example: 4096,
      seeAlso: ["clusters.NAME.pool.connections"],
    }),
    buffers: key(count(4, COUNT_MAX), {
      about:
        "How many I/O buffers a worker has. A connection holds one only while bytes are in flight. Their memory is " +
        "taken when the worker starts and never grows.",
      unit: "buffers for each worker",
      bounds: "4 to 1000000; times `limits.buffer_size` at most 1GiB",
      default: 4096,
      example: 1024,
      seeAlso: ["limits.buffer_size"],
    }),
    buffer_size: key(size(4 * KIB, MIB), {
      about: "Size of an I/O buffer.",
      default: "16KiB",
      example: "64KiB",
      seeAlso: ["limits.buffers", "limits.header_bytes"],
    }),
    header_bytes: key(size(KIB, MIB), {
      about: "Longest head of a request, from the request line to the empty line; a longer one is answered with 431.",
      bounds: "1KiB to 1MiB; at least 2KiB less than `limits.buffer_size`, since a head is held in one buffer",
      default: "12KiB",
      example: "8KiB",
      seeAlso: ["limits.buffer_size", "limits.target_bytes", "limits.headers"],
    }),
    headers: key(count(16, 1000), {
      about: "How many header fields a request may have; more are answered with 431.",
      unit: "fields",
      default: 100,
      example: 64,
    }),
    target_bytes: key(size(64, MIB), {
      about: "Longest request target (path and query); a longer one is answered with 414.",
      bounds: "64 to 1MiB; at most `limits.header_bytes`",
      default: "8KiB",
      example: "4KiB",
      seeAlso: ["limits.header_bytes"],
    }),
    body_bytes: key(size(0, 1024 * TIB), {
      about: "Longest body of a request; a longer one is answered with 413. 0 sets no limit.",
      default: 0,
      example: "100MiB",
    }),
    pipes: key(count(0, 65_536), {
      about:
        "How many kernel pipes a worker may use to move large bodies between sockets without copying them (splice). 0 " +
        "always copies.",
      unit: "pipes for each worker",
      default: 256,
      example: 64,
    }),
    http2_connections: key(count(0, COUNT_MAX), {
      about:
        "How many connections of a worker may speak HTTP/2, those of clients and those to backends together. With TLS, " +
        "clients beyond it are offered HTTP/1.1; requests that would need one more to a backend are answered with 503. " +
        "Memory for one that has never been there costs nothing; 0 switches HTTP/2 off.",
      unit: "connections for each worker",
      default: 10_240,
      example: 2048,
    }),
    http2_streams: key(count(1, COUNT_MAX), {
      about:
        "How many requests that come in HTTP/2 a worker carries at once; those beyond it are refused, so that clients try " +
        "again.",
      unit: "streams for each worker",
      default: 10_240,
      example: 20_000,
      seeAlso: ["listeners.NAME.http2.max_concurrent_streams"],
    }),
  }),
  {
    about:
      "Bounds on what a worker takes and uses. What exceeds them is refused, with a name that is counted; nothing grows.",
    default: {},
    example: { connections: 50_000, body_bytes: "100MiB" },
  },
);

export const TIMEOUTS = key(
  object({
    request_header: key(duration(1, HOUR_MS), {
      about: "How long the whole head of a request may take to arrive; then the answer is 408.",
      default: "10s",
      example: "5s",
    }),
    request_body: key(duration(1, DAY_MS), {
      about: "How long a client may be silent in the middle of a request's body; then the answer is 408.",
      default: "60s",
      example: "30s",
    }),
    idle: key(duration(1, DAY_MS), {
      about: "How long a client's connection is kept on which no request is made.",
      default: "75s",
      example: "15s",
    }),
    connection_age: key(duration(0, 7 * DAY_MS), {
      about:
        "How long a client's connection takes requests. Then the client is told that it ends, by GOAWAY in HTTP/2 and by " +
        "`Connection: close` on the next answer in HTTP/1.1; what is under way is finished. With it, clients that keep their " +
        "connections spread anew over workers and hosts. Each connection has up to an eighth less, so that those that came " +
        "together do not come again together. 0s sets no limit.",
      default: "0s",
      example: "1h",
    }),
    write: key(duration(1, DAY_MS), {
      about:
        "How long a client may take nothing of an answer that waits for it; then its connection is closed. In HTTP/2, " +
        "where it may open its window by a byte now and then, less than 1 KiB is nothing, and only that request ends.",
      default: "60s",
      example: "30s",
    }),
    connect: key(duration(1, HOUR_MS), {
      about: "How long a connection to a backend may take to be made; then the answer is 504.",
      default: "3s",
      example: "500ms",
      seeAlso: ["clusters.NAME.timeouts.connect"],
    }),
    response: key(duration(1, DAY_MS), {
      about: "How long a backend may be silent while its answer is awaited or read; then the answer is 504.",
      default: "60s",
      example: "5m",
      seeAlso: ["clusters.NAME.timeouts.response"],
    }),
    tunnel: key(duration(1, 7 * DAY_MS), {
      about:
        "How long both sides of an upgraded connection (WebSocket) or of a CONNECT may be silent before it is closed.",
      default: "1h",
      example: "10m",
    }),
    drain: key(duration(0, DAY_MS), {
      about: "How long a worker that stops waits for what it carries; 0s does not wait.",
      default: "30s",
      example: "5m",
    }),
  }),
  { about: "How long the proxy waits for others.", default: {}, example: { idle: "15s", response: "5m" } },
);
