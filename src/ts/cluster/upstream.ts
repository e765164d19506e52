// What carries a request to a backend: a connection of HTTP/1, or a stream of HTTP/2 on one that others share.

import type { Http2Context } from "../http2/pool.ts";
import type { Connection } from "../net/connection.ts";
import type { Cuts } from "./cuts.ts";
import type { Http1Upstream } from "./http1_upstream.ts";
import type { Http2Client } from "./http2_client.ts";
import type { Http2Upstream } from "./http2_upstream.ts";

export type Upstream = Http1Upstream | Http2Upstream;

/** Who a busy upstream works for. */
export interface UpstreamOwner {
  /** Whose body goes to the backend. */
  readonly session: Connection | null;
  onUpstreamEvents(): void;
  onUpstreamTimeout(): void;
  /** A request may be sent now, or connecting has failed with -errno. */
  onUpstreamConnected(error: number): void;
  /** The handshake has failed. */
  onUpstreamTlsFailed(): void;
  /** There is no place for the request after all, and nothing of it has been sent. */
  onUpstreamCrowded(): void;
  /** A buffer is needed and none is left: gives one up if the owner can do without it. */
  yieldBuffer(): void;
}

/** What all upstreams of a worker share. */
export interface UpstreamContext extends Http2Context {
  /** Scratch for a socket address. */
  addressAt: number;
  memory: Uint8Array;
  recordAt(slot: number): number;
  cuts: Cuts;
  /** Besides what Http2Context has, for clusters that have none of their own. */
  timeouts: { writeMs: number; connectMs: number; responseMs: number };
  /** Objects that are not in use. */
  idleObjects: Http1Upstream[];
  idleHttp2Clients: Http2Client[];
  idleHttp2Streams: Http2Upstream[];
  /** Open connections, of either protocol. */
  upstreamsActive: number;
  /** Requests that go over HTTP/2. */
  streamsActive: number;
  /** Of connections and such requests together. */
  readonly upstreamsMax: number;
}
