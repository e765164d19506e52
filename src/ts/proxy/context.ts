// What the sessions of a worker share: the loop, the codec, the pools, the settings, and the tables of the snapshot that
// is in force. Made by the worker; the proxy itself changes only gauges and pools.

import type { Core } from "../../wasm/core.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { UpstreamContext } from "../cluster/upstream.ts";
import type { Http2Pool } from "../http2/pool.ts";
import type { EventLoop } from "../loop/event_loop.ts";
import type { Buffers } from "../net/buffers.ts";
import type { Pipes } from "../net/pipes.ts";
import type { Counters } from "../observe/counters.ts";
import type { HeaderLookup, Router } from "../routing/router.ts";
import type { AccessLog } from "./access_log.ts";
import type { Answers } from "./answers.ts";
import type { Connects } from "./beginnings.ts";
import type { Clock } from "./clock.ts";
import type { Http2Downstream } from "./http2_downstream.ts";
import type { Http2Session } from "./http2_session.ts";
import type { Session } from "./session.ts";
import type { Stream } from "./stream.ts";

/** Times in milliseconds. */
export interface Timeouts {
  requestHeaderMs: number;
  requestBodyMs: number;
  idleMs: number;
  /** How old a client's connection may become; 0: any age. */
  connectionAgeMs: number;
  writeMs: number;
  tunnelMs: number;
  /** Of clusters that have none of their own. */
  connectMs: number;
  responseMs: number;
}

/** A request's fields, for routes that ask for them. */
export interface RequestFields extends HeaderLookup {
  /** The record whose head has just been read. */
  record: number;
}

export interface ProxyContext {
  loop: EventLoop;
  core: Core;
  buffers: Buffers;
  pipes: Pipes;
  upstreams: UpstreamContext;
  counters: Counters;
  answers: Answers;
  clock: Clock;
  accessLog: AccessLog | null;
  timeouts: Timeouts;
  /** 0: no limit. */
  bodyBytesMax: number;
  headerBytesMax: number;
  router: Router;
  /** By the router's index. */
  routes: Cluster[];
  /** Routes that name the method CONNECT, by the router's index. */
  takesConnect: boolean[];
  /** Routes that answer hosts which the connection's certificate is not for, by the router's index. */
  allowsMisdirected: boolean[];
  fields: RequestFields;
  /** Where short texts lie that the codec is to read in the same call. */
  textScratchAt: number;
  /** Where one byte may be written that nobody needs. */
  byteAt: number;
  /** The log has members for TLS. */
  logsTls: boolean;
  draining: boolean;
  sessionsActive: number;
  streamsActive: number;
  idleSessions: Session[];
  idleStreams: Stream[];
  idleHttp2Sessions: Http2Session[];
  idleHttp2Streams: Http2Downstream[];
  http2: Http2Pool;
  /** Connections to backends that are begun for streams of clients. */
  connects: Connects;
  /** Called when a session has ended. */
  onSessionEnd(): void;
}
