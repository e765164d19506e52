// The part of the schema that is about HTTP/2. With clients: what a connection is offered, and how much of what no honest client
// does much of it may do before it is given up; rates are counted by the second and for each connection. With backends: how
// many requests share a connection, and when it is asked whether it still is one.

import { count, duration, flag, key, object, type ObjectShape, type Of, size } from "./shape.ts";
import type { ClusterHttp2State, Http2AbuseState, ListenerHttp2State } from "./state.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const HOUR_MS = 3_600_000;
const RATE_MAX = 1_000_000;
/** Streams of one connection: each of them has an entry in a table of the connection, whether it is used or not. */
const STREAMS_MAX = 1024;
/** RFC 9113 §6.9.2: what a client may believe before it has read our settings, and so the least that can be said. */
const WINDOW_MIN = 65_535;

function rate(about: string, preset: number, example: number) {
  return key(count(0, RATE_MAX), { about, unit: "for each connection and second", default: preset, example });
}

const ABUSE: ObjectShape & Of<Http2AbuseState> = object({
  resets: rate("Streams that the client resets (CVE-2023-44487).", 200, 100),
  resets_caused: rate(
    "Streams that have to be reset by the fault of the client, such as malformed requests (CVE-2025-8671).",
    100,
    50,
  ),
  pings: rate("PING frames beyond one for each frame of a body that was sent (CVE-2019-9512).", 100, 20),
  settings: rate("SETTINGS frames (CVE-2019-9515).", 50, 10),
  empty_frames: rate("Frames without content that end nothing (CVE-2019-9518).", 100, 20),
  window_updates: rate("WINDOW_UPDATE frames beyond two for each frame of a body that was sent.", 1000, 500),
  priorities: rate("PRIORITY and PRIORITY_UPDATE frames (CVE-2019-9513).", 500, 100),
  refused_streams: rate("Streams beyond `max_concurrent_streams`.", 100, 50),
  ignored_frames: rate("Frames of unknown types, of streams that have ended, and that answer nothing.", 1000, 100),
  small_frames: rate(
    "Frames of less than 256 bytes of a body, for which the window of the client had no more room, beyond one for each longer frame (CVE-2019-9511).",
    1000,
    100,
  ),
  continuations: key(count(0, RATE_MAX), {
    about: "CONTINUATION frames of one header block (CVE-2024-27316).",
    unit: "frames",
    default: 20,
    example: 8,
  }),
});

export const LISTENER_HTTP2: ObjectShape & Of<ListenerHttp2State> = object({
  max_concurrent_streams: key(count(1, STREAMS_MAX), {
    about: "How many requests of one connection may be under way. A change holds for connections that begin after it.",
    unit: "streams for each connection",
    default: 128,
    example: 64,
    seeAlso: ["limits.http2_streams"],
  }),
  stream_window: key(size(WINDOW_MIN, 16 * MIB), {
    about:
      "How much of a request's body may come before it has gone on to the backend; it lies in I/O buffers meanwhile. A " +
      "change holds for connections that begin after it.",
    default: "64KiB",
    example: "256KiB",
    seeAlso: ["limits.buffers"],
  }),
  connection_window: key(size(WINDOW_MIN, 64 * MIB), {
    about:
      "The same for all requests of a connection together, as far as the proxy has not looked at it yet. A change holds " +
      "for connections that begin after it.",
    default: "1MiB",
    example: "4MiB",
  }),
  websocket: key(flag(), {
    about:
      "Whether WebSockets may be opened on a connection of HTTP/2 (RFC 8441). A change holds for connections that begin " +
      "after it.",
    default: true,
    example: false,
  }),
  abuse: key(ABUSE, {
    about:
      "What ends a connection with ENHANCE_YOUR_CALM when there is more of it, each with a reason of its own in the metric " +
      "`kakehi_h2_abuse_total`. Changes hold for all connections at once.",
    default: {},
    example: { resets: 100, pings: 20 },
  }),
});

export const CLUSTER_HTTP2: ObjectShape & Of<ClusterHttp2State> = object({
  max_concurrent_streams: key(count(1, STREAMS_MAX), {
    about:
      "How many requests a connection to a backend carries at once. A backend may allow fewer, and then it is these. While " +
      "one allows none, requests go to other backends, or wait for it: as many as this, for up to `timeouts.connect`.",
    unit: "streams for each connection",
    default: 100,
    example: 32,
    seeAlso: ["clusters.NAME.pool.connections"],
  }),
  ping_interval: key(duration(1, HOUR_MS), {
    about:
      "After how long without a byte from a backend that has requests under way it is asked (PING) whether it is there. " +
      "If it does not answer within the same time again, the connection is given up. If it answers and stays silent, it is " +
      "asked again after 310s at the earliest, because servers of gRPC leave clients that ask more often.",
    default: "10s",
    example: "30s",
    seeAlso: ["clusters.NAME.timeouts.response"],
  }),
});
