// What everything in a worker works with, made from the limits of the state: codec, loop, buffers and pools. Nothing of it grows
// afterwards.

import { instantiateCore } from "../../wasm/core.ts";
import { Cuts } from "../cluster/cuts.ts";
import type { UpstreamContext } from "../cluster/upstream.ts";
import { streamsPerConnection } from "../config/http2_streams.ts";
import type { State } from "../config/state.ts";
import { Http2Pool } from "../http2/pool.ts";
import { EventLoop, SCRATCH_ADDRESS_AT, SCRATCH_TEXT_AT } from "../loop/event_loop.ts";
import { Buffers } from "../net/buffers.ts";
import { Pipes } from "../net/pipes.ts";
import { Counters } from "../observe/counters.ts";
import { AccessLog, LOG_RECORD_BYTES, logFormatNumber } from "../proxy/access_log.ts";
import { Answers } from "../proxy/answers.ts";
import { Connects } from "../proxy/beginnings.ts";
import { Clock } from "../proxy/clock.ts";
import type { ProxyContext } from "../proxy/context.ts";
import { Fields } from "../proxy/fields.ts";
import type { Tables } from "./tables.ts";

/** Slots beside those of clients and backends: the channel, the listeners, the clock's. */
export const OTHER_SLOTS = 1024;

type FromTables = Pick<Tables, "router" | "routes" | "takesConnect" | "allowsMisdirected" | "timeouts">;

/** `logFd`: where the access log goes, if there is one. What the tables have is not in it before serveBy(). */
export function makeContext(
  module: WebAssembly.Module,
  state: State,
  logFd: number | undefined,
  onSessionEnd: () => void,
): ProxyContext {
  const { limits } = state;
  const slots = limits.connections + limits.upstream_connections + limits.http2_streams + OTHER_SLOTS;
  const log = logFd === undefined ? null : state.access_log;
  const core = instantiateCore({
    records: slots,
    logRecords: log ? slots : 0,
    logRecordBytes: LOG_RECORD_BYTES,
    buffers: limits.buffers,
    bufferBytes: limits.buffer_size,
    headersMax: limits.headers,
    headerBytesMax: limits.header_bytes,
    targetBytesMax: limits.target_bytes,
    h2Connections: limits.http2_connections,
    h2Streams: streamsPerConnection(Object.values(state.listeners), Object.values(state.clusters)),
  }, module);
  const loop = new EventLoop(core.u8, core.systemAt, slots);
  const region = {
    at: core.buffersAt,
    stride: core.bufferStride,
    count: limits.buffers,
    bytesOffset: core.bytesOffset,
    capacity: limits.buffer_size,
  };
  const buffers = new Buffers(region, loop, slots);
  const counters = new Counters();
  const http2 = new Http2Pool(core, limits.http2_streams);
  const upstreams: UpstreamContext = {
    loop,
    buffers,
    addressAt: core.systemAt + SCRATCH_ADDRESS_AT,
    memory: core.u8,
    recordAt: (slot) => core.recordAt(slot),
    core,
    counters,
    http2,
    timeouts: { writeMs: 0, connectMs: 0, responseMs: 0 }, // until the tables are there
    cuts: new Cuts(loop),
    idleObjects: [],
    idleHttp2Clients: [],
    idleHttp2Streams: [],
    upstreamsActive: 0,
    streamsActive: 0,
    upstreamsMax: limits.upstream_connections,
  };
  const context: Omit<ProxyContext, keyof FromTables> = {
    loop,
    core,
    buffers,
    counters,
    upstreams,
    pipes: new Pipes(loop.system, limits.pipes),
    answers: new Answers(core, state.answers),
    clock: new Clock(core, logFormatNumber(log?.format ?? null)),
    accessLog: log ? new AccessLog(core, loop, counters, logFd!, log.format) : null,
    bodyBytesMax: limits.body_bytes,
    headerBytesMax: limits.header_bytes,
    fields: new Fields(core),
    textScratchAt: core.systemAt + SCRATCH_TEXT_AT,
    byteAt: core.systemAt + SCRATCH_ADDRESS_AT,
    logsTls: log?.format === "json",
    draining: false,
    sessionsActive: 0,
    streamsActive: 0,
    idleSessions: [],
    idleStreams: [],
    idleHttp2Sessions: [],
    idleHttp2Streams: [],
    http2,
    connects: new Connects(loop),
    onSessionEnd,
  };
  return context as ProxyContext;
}

/** From now on requests go where the tables say. */
export function serveBy(
  context: ProxyContext,
  { router, routes, takesConnect, allowsMisdirected, timeouts }: FromTables,
): void {
  Object.assign(context, { router, routes, takesConnect, allowsMisdirected, timeouts } satisfies FromTables);
  context.upstreams.timeouts = timeouts;
}
