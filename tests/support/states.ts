// Whole states for tests that have no file: every key is there, and what a test does not care about has its smallest sense.

import type { State } from "../../src/ts/config/mod.ts";

/** What a listener has that says nothing of HTTP/2. */
export const HTTP2: State["listeners"][string]["http2"] = {
  max_concurrent_streams: 128,
  stream_window: 65_536,
  connection_window: 1_048_576,
  websocket: true,
  abuse: {
    resets: 200,
    resets_caused: 100,
    pings: 100,
    settings: 50,
    empty_frames: 100,
    window_updates: 1000,
    priorities: 500,
    refused_streams: 100,
    ignored_frames: 1000,
    small_frames: 1000,
    continuations: 20,
  },
};

export function makeState(changes: Partial<State> = {}): State {
  return {
    workers: 1,
    user: "",
    sandbox: "off",
    control: { socket: "", state_file: "", history: 100, watch: false, uids: [] },
    trusted_proxies: [],
    listeners: { web: makeListener("127.0.0.1:0") },
    clusters: {},
    routes: [],
    certificates: {},
    limits: {
      connections: 64,
      upstream_connections: 64,
      buffers: 64,
      buffer_size: 16384,
      header_bytes: 12288,
      headers: 100,
      target_bytes: 8192,
      body_bytes: 0,
      pipes: 8,
      http2_connections: 16,
      http2_streams: 64,
    },
    timeouts: {
      request_header: 10_000,
      request_body: 60_000,
      idle: 75_000,
      connection_age: 0,
      write: 60_000,
      connect: 3_000,
      response: 60_000,
      tunnel: 3_600_000,
      drain: 2_000,
    },
    access_log: null,
    log: { level: "info" },
    answers: {},
    ...changes,
  };
}

/** A cluster with these backends. */
export function makeCluster(...addresses: string[]): State["clusters"][string] {
  return {
    backends: addresses.map((address) => ({ address, weight: 1 })),
    protocol: "http/1.1",
    balance: "round_robin",
    pool: { connections: 0, idle: 16, idle_timeout: 60_000 },
    timeouts: { connect: null, response: null },
    tls: null,
    http2: { max_concurrent_streams: 100, ping_interval: 10_000 },
  };
}

/** A listener for plain HTTP. */
export function makeListener(address: string, backlog = 128): State["listeners"][string] {
  return { address, protocol: "http", backlog, redirect_https: false, tls: null, h2c: false, http2: HTTP2 };
}
