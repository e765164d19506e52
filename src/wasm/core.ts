// The codec as TypeScript sees it: the instance, its exports with their types, views over its memory, and the addresses
// of the map. One Core a worker. Addresses are numbers in linear memory; what the kernel is given is `base` + address.
//
// Memory is sized once, here, from the limits, and never grows: the views and the kernel's addresses stay valid.

import * as abi from "../../assembly/abi.ts";
import { loadCore } from "./core_module.ts";

/** What the map is sized from; all per worker. */
export interface CoreLimits {
  /** Sockets that carry a message: clients and backends. */
  records: number;
  /** Exchanges that may be logged at once; 0 without an access log. */
  logRecords: number;
  /** Bytes of a log record: what of a request its line may keep. */
  logRecordBytes: number;
  buffers: number;
  bufferBytes: number;
  headersMax: number;
  headerBytesMax: number;
  targetBytesMax: number;
  /** Connections that speak HTTP/2, of clients and to backends, and the streams that each may have. */
  h2Connections: number;
  h2Streams: number;
}

/** The functions of assembly/codec.ts; addresses and lengths in bytes. */
export interface CodecExports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  abiVersion(): number;
  layout(
    records: number,
    logRecords: number,
    logBytes: number,
    buffers: number,
    bufferBytes: number,
    headers: number,
    headerBytes: number,
    targetBytes: number,
    h2Records: number,
    h2Streams: number,
  ): number;
  start(): number;
  resultAt(): number;
  systemAt(): number;
  textAt(): number;
  logBatchAt(): number;
  recordsAt(): number;
  logRecordsAt(): number;
  buffersAt(): number;
  bufferStride(): number;
  tableBytes(): number;
  headScratchAt(): number;
  beginConnection(record: number, socketAddressAt: number, peerFlags: number): void;
  beginRequest(record: number, at: number, tableAt: number): void;
  feedRequest(record: number, length: number): number;
  beginResponse(record: number, at: number, tableAt: number): void;
  feedResponse(record: number, length: number, request: number): number;
  requestContentLength(): number;
  responseContentLength(): number;
  hasField(record: number, nameAt: number, nameLength: number, valueAt: number, valueLength: number): number;
  writeRequestHead(
    record: number,
    port: number,
    secure: number,
    idAt: number,
    identityAt: number,
    identityLength: number,
  ): number;
  writeResponseHead(record: number, how: number, transportAt: number, transportLength: number): number;
  isWebSocketAccepted(record: number, client: number): number;
  placeHead(end: number, length: number): void;
  keepRequest(record: number, buffer: number): void;
  restoreRequest(record: number, buffer: number): void;
  keepResponse(record: number, buffer: number): void;
  restoreResponse(record: number, buffer: number): void;
  keepTrailers(record: number, buffer: number): void;
  restoreTrailers(record: number, buffer: number): void;
  beginChunks(record: number): void;
  decodeChunks(record: number, at: number, length: number, tableAt: number): number;
  frameChunk(at: number, length: number, last: number, record: number): void;
  copy(to: number, from: number, length: number): void;
  h2RecordsAt(): number;
  h2RecordBytes(): number;
  h2ProfileAt(number: number): number;
  h2Begin(h2: number, role: number, profile: number, record: number): void;
  h2Preface(h2: number, to: number): number;
  h2Feed(h2: number, from: number, length: number): number;
  h2Headers(h2: number, stream: number, tableAt: number, bytesAt: number, room: number): number;
  h2Refuse(h2: number): number;
  h2Replies(h2: number): number;
  h2RepliesSent(h2: number, bytes: number): number;
  h2Consumed(h2: number, stream: number, bytes: number): void;
  h2Stored(h2: number, stream: number, bytes: number): void;
  h2Passed(h2: number, stream: number, bytes: number): void;
  h2Window(h2: number): number;
  h2Sendable(h2: number, stream: number): number;
  h2PutData(h2: number, stream: number, to: number, length: number, end: number): number;
  h2HeadBytesMax(): number;
  h2PutRequest(
    h2: number,
    stream: number,
    source: number,
    port: number,
    secure: number,
    idAt: number,
    identityAt: number,
    identityLength: number,
    scheme: number,
    end: number,
    to: number,
  ): number;
  h2PutResponse(
    h2: number,
    stream: number,
    source: number,
    how: number,
    transportAt: number,
    transportLength: number,
    end: number,
    to: number,
  ): number;
  h2PutLines(
    h2: number,
    stream: number,
    status: number,
    linesAt: number,
    linesLength: number,
    end: number,
    to: number,
  ): number;
  h2HasTrailers(source: number): number;
  h2PutTrailers(h2: number, stream: number, source: number, to: number): number;
  h2PeerTakesWebSockets(h2: number): number;
  h2Openable(h2: number): number;
  h2PeerStreamsMax(h2: number): number;
  h2Open(h2: number, stream: number): number;
  h2Reset(h2: number, stream: number, code: number): void;
  h2EndStream(h2: number, stream: number): void;
  h2Goaway(h2: number, last: number, code: number): number;
  h2LastStream(h2: number): number;
  h2Ping(h2: number): number;
  h2Tick(h2: number): void;
  logBegin(
    record: number,
    at: number,
    format: number,
    flags: number,
    methodAt: number,
    methodLength: number,
    targetAt: number,
    targetLength: number,
    hostAt: number,
    hostLength: number,
  ): void;
  logEnd(
    record: number,
    at: number,
    to: number,
    format: number,
    status: number,
    bytes: number,
    durationMs: number,
    backendAt: number,
    backendLength: number,
    refusalAt: number,
    refusalLength: number,
    tlsAt: number,
    tlsLength: number,
  ): number;
}

const PAGE = 65536;

/** An instance with its memory laid out. Make it with `instantiateCore`. */
export class Core {
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly i32: Int32Array<ArrayBuffer>;
  /** The result area: `result[abi.R_…]` after a call that says it fills it. */
  readonly result: Int32Array<ArrayBuffer>;
  readonly systemAt: number;
  readonly textAt: number;
  readonly logBatchAt: number;
  readonly recordsAt: number;
  readonly logRecordsAt: number;
  readonly h2RecordsAt: number;
  readonly h2RecordBytes: number;
  readonly buffersAt: number;
  readonly bufferStride: number;
  /** From a buffer's first byte to where received bytes go: the header table and the headroom. */
  readonly bytesOffset: number;

  constructor(readonly codec: CodecExports, readonly limits: CoreLimits) {
    const memory = codec.memory.buffer as ArrayBuffer;
    this.u8 = new Uint8Array(memory);
    this.i32 = new Int32Array(memory);
    this.result = new Int32Array(memory, codec.resultAt(), abi.RESULT_WORDS);
    this.systemAt = codec.systemAt();
    this.textAt = codec.textAt();
    this.logBatchAt = codec.logBatchAt();
    this.recordsAt = codec.recordsAt();
    this.logRecordsAt = codec.logRecordsAt();
    this.h2RecordsAt = codec.h2RecordsAt();
    this.h2RecordBytes = codec.h2RecordBytes();
    this.buffersAt = codec.buffersAt();
    this.bufferStride = codec.bufferStride();
    this.bytesOffset = codec.tableBytes() + abi.HEADROOM;
  }

  /** Address of record `index`; unchecked: index < limits.records. */
  recordAt(index: number): number {
    return this.recordsAt + index * abi.RECORD;
  }
}

/** Loads and compiles the codec: what can be done before the limits are known. */
export function compileCore(): WebAssembly.Module {
  return new WebAssembly.Module(loadCore());
}

/** Makes an instance, checks its ABI, lays out its memory and starts it. Throws when the limits need 2 GiB or more. */
export function instantiateCore(limits: CoreLimits, module = compileCore()): Core {
  const instance = new WebAssembly.Instance(module);
  const codec = instance.exports as unknown as CodecExports;
  if (codec.abiVersion() !== abi.ABI_VERSION) {
    throw new Error(`core.wasm has ABI ${codec.abiVersion()}, this program expects ${abi.ABI_VERSION}: build it again`);
  }
  codec._initialize();
  const { records, logRecords, logRecordBytes, buffers, bufferBytes } = limits;
  const { headersMax, headerBytesMax, targetBytesMax, h2Connections, h2Streams } = limits;
  const bytes = codec.layout(
    records,
    logRecords,
    logRecordBytes,
    buffers,
    bufferBytes,
    headersMax,
    headerBytesMax,
    targetBytesMax,
    h2Connections,
    h2Streams,
  );
  if (bytes === 0) {
    throw new Error("limits: connections, buffers and buffer_size need more than the 2 GiB that a worker can have");
  }
  const missing = Math.ceil((bytes - codec.memory.buffer.byteLength) / PAGE);
  if (missing > 0) codec.memory.grow(missing);
  if (!codec.start()) throw new Error("core.wasm: llhttp's parser is not laid out as assembly/http1/llhttp.ts says");
  return new Core(codec, limits);
}
