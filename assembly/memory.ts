// The map of linear memory, and the picture of a connection's record. Everything is placed once, by layout(), from the
// limits of the configuration; nothing is allocated after that.
//
//          0  llhttp: statics, stack, its two parser templates
//     131072  our statics (--memoryBase)
//      base   result area            RESULT_WORDS × 4
//             system scratch         epoll events, socket addresses, clock, pipe pairs (src/ts/loop and net use it)
//             head scratch           a head being written, before it is put in front of its body
//             trailer scratch        trailers being written, before they are put behind their body
//             text                   request-id randomness, dates, fixed answers (written by src/wasm)
//             log lines              one batch
//             records                RECORD bytes × (clients + upstreams)
//             log records            logBytes × clients, only with an access log
//             HTTP/2                 nothing of this without HTTP/2 connections:
//               profiles             H2_PROFILE_WORDS × 4 × H2_PROFILES: limits and settings
//               block scratch        header table | bytes | a decoder's own: blocks that only keep tables in step
//               records              h2RecordBytes × HTTP/2 connections
//               spares               h2SpareBytes × HTTP/2 connections: what a busy one needs beside its record
//             buffers                bufferStride × buffers:  header table | HEADROOM | bytes | TAILROOM
//
// A record, one for each socket:
//
//        0  parser           llhttp_t, 64 bytes (its address is what the callbacks are given); in a stream of HTTP/2,
//                            which has none, ACCEPT_BYTES of text: what answers the key of a WebSocket
//       64  headAt      u32  first byte of the head          68  seen         u32  bytes given to the parser
//       72  tableAt     u32  the buffer's header table       76  headerCount  u16
//       78  span         u8  what the last span was          79  phase         u8  head, body or trailers
//       80  targetAt    u32  target, or reason phrase        84  targetLength u32
//       88  overhead    u32  chunk framing since the last data byte; while decoding, less the address looked at
//       92  fault       i32  what one of our callbacks refused
//       96  outAt       u32  where the next decoded byte goes
//      100  peerFlags   u32                                  104  peerTextLength u32
//      108  peerText  48 B  the peer's address
//      156  streamId    u32  HTTP/2 stream, or 0             160  contentLeft  i64  of the body announced, or CONTENT_
//      168  sendWindow  i32  may go below 0 (RFC 9113 §6.9.2) 172  recvWindow  i32
//      176  held        u32  of its body, with the caller    180  owed        u32  bytes to announce by WINDOW_UPDATE
//      184  exchange    u32  F_ bits of the request          188  state        u8  row of http2/states.ts
//      189  message      u8  head, body or over              190  priority     u8  urgency 0–2, incremental 3
//      191  hasPriority  u8  a frame has said the priority
//
// A record of an HTTP/2 connection, drawn by http2/connection.ts up to H2_STATE:
//
//        0  state            windows, settings, the frame at hand, counts
//      512  replies          H2_REPLIES bytes: frames that are owed to the peer
//     1536  streams          H2_PLACES_SMALL × 8: id u32 | address of its record u32, of a few streams
//           decoder          dynamic table of what is received, as long as it is small
//           encoder          dynamic table of what is sent, as long as it is small, with its index
//
// and its spare, of which nothing is touched before it is needed:
//
//        0  streams          h2StreamSlots × 8, as above; h2StreamSlots ≥ 2 × streams
//           decoder          both rings of the table
//           encoder          both rings of the table

import {
  H2_PROFILE_WORDS, H2_PROFILES, H2_REPLIES, H2_REPLIES_AT, HEADER_ENTRY, HEADROOM, PEER_TEXT_MAX, RECORD, RECORD_STREAM_ID,
  RESULT_WORDS, TAILROOM,
} from "./abi";

export const PAGE: u32 = 4096;
export const SYSTEM_SCRATCH: u32 = 16384;
export const TEXT_AREA: u32 = 65536;
export const LOG_BATCH: u32 = 65536;
/** What a request line or response head may grow by, twice, so that whole vectors may be stored past the end. */
const SCRATCH_SLACK: u32 = 4096;

export let resultAt: u32 = 0;
export let systemAt: u32 = 0;
export let headScratchAt: u32 = 0;
export let trailerScratchAt: u32 = 0;
export let textAt: u32 = 0;
export let logBatchAt: u32 = 0;
export let recordsAt: u32 = 0;
export let logRecordsAt: u32 = 0;
export let logRecordBytes: u32 = 0;
export let buffersAt: u32 = 0;
export let bufferStride: u32 = 0;
export let tableBytes: u32 = 0;

export let h2ProfilesAt: u32 = 0;
export let h2BlockScratchAt: u32 = 0;
export let h2RecordsAt: u32 = 0;
export let h2RecordBytes: u32 = 0;
export let h2SparesAt: u32 = 0;
export let h2SpareBytes: u32 = 0;
export let h2StreamsMax: u32 = 0;
export let h2StreamSlots: u32 = 0;
/** Places of the table of streams of a connection that has few of them at once. */
export const H2_PLACES_SMALL: u32 = 32;
export let h2DecoderOffset: u32 = 0;
export let h2EncoderOffset: u32 = 0;

export let bufferBytes: u32 = 0;
export let headersMax: u32 = 0;
export let headerBytesMax: u32 = 0;
export let targetBytesMax: u32 = 0;

@inline
function alignUp(value: u64, to: u64): u64 {
  return (value + to - 1) & ~(to - 1);
}

/** Places every region. Returns the bytes of memory needed, or 0 when they do not fit below 2 GiB (addresses are int32). */
export function layout(
  records: u32,
  logRecords: u32,
  logBytes: u32,
  buffers: u32,
  bytesPerBuffer: u32,
  headers: u32,
  headerBytes: u32,
  targetBytes: u32,
  h2Records: u32,
  h2Streams: u32,
  h2DecoderBytes: u32,
  h2EncoderBytes: u32,
  h2TableSpareBytes: u32,
): f64 {
  bufferBytes = bytesPerBuffer;
  headersMax = headers;
  headerBytesMax = headerBytes;
  targetBytesMax = targetBytes;
  logRecordBytes = logBytes;
  tableBytes = u32(alignUp(headers * HEADER_ENTRY, 64));
  bufferStride = u32(alignUp(tableBytes + HEADROOM + bufferBytes + TAILROOM, PAGE));
  let at = alignUp(__heap_base, PAGE);
  resultAt = u32(at);
  at = alignUp(at + RESULT_WORDS * 4, 64);
  systemAt = u32(at);
  at += SYSTEM_SCRATCH;
  headScratchAt = u32(at);
  at = alignUp(at + headerBytes + HEADROOM + SCRATCH_SLACK, PAGE);
  trailerScratchAt = u32(at);
  at = alignUp(at + headerBytes + SCRATCH_SLACK, PAGE);
  textAt = u32(at);
  at += TEXT_AREA;
  logBatchAt = u32(at);
  at += LOG_BATCH + 2 * logBytes;
  recordsAt = u32(alignUp(at, PAGE));
  at = alignUp(u64(recordsAt) + u64(records) * RECORD, PAGE);
  logRecordsAt = u32(at);
  at = alignUp(at + u64(logRecords) * logBytes, PAGE);
  if (h2Records > 0) at = layoutH2(at, h2Records, h2Streams, h2DecoderBytes, h2EncoderBytes, h2TableSpareBytes);
  buffersAt = u32(at);
  at += u64(buffers) * bufferStride;
  return at > 0x7fff0000 ? 0 : f64(at);
}

function layoutH2(
  from: u64, records: u32, streams: u32, decoderBytes: u32, encoderBytes: u32, tableSpareBytes: u32,
): u64 {
  h2StreamsMax = streams;
  h2StreamSlots = 8;
  while (h2StreamSlots < 2 * streams) h2StreamSlots <<= 1;
  h2DecoderOffset = H2_REPLIES_AT + H2_REPLIES + H2_PLACES_SMALL * 8;
  h2EncoderOffset = u32(alignUp(h2DecoderOffset + decoderBytes, 64));
  h2RecordBytes = u32(alignUp(h2EncoderOffset + encoderBytes, 64));
  h2SpareBytes = u32(alignUp(h2StreamSlots * 8 + 2 * tableSpareBytes, 64));
  h2ProfilesAt = u32(from);
  let at = alignUp(from + H2_PROFILES * H2_PROFILE_WORDS * 4, 64);
  h2BlockScratchAt = u32(at);
  at = alignUp(at + tableBytes + headerBytesMax + SCRATCH_SLACK + tableSpareBytes, PAGE);
  h2RecordsAt = u32(at);
  at = alignUp(at + u64(records) * h2RecordBytes, PAGE);
  h2SparesAt = u32(at);
  return alignUp(at + u64(records) * h2SpareBytes, PAGE);
}

// ---- the record's fields ----

/** 20 bytes in base64 (RFC 6455 §4.2.2). */
export const ACCEPT_BYTES: u32 = 28;

const HEAD_AT: usize = 64;
const SEEN: usize = 68;
const TABLE_AT: usize = 72;
const HEADER_COUNT: usize = 76;
const SPAN: usize = 78;
const PHASE: usize = 79;
const TARGET_AT: usize = 80;
const TARGET_LENGTH: usize = 84;
const OVERHEAD: usize = 88;
const FAULT: usize = 92;
const OUT_AT: usize = 96;
const PEER_FLAGS: usize = 100;
const PEER_TEXT_LENGTH: usize = 104;
const PEER_TEXT: usize = 108;

const STREAM_ID: usize = 156;
const CONTENT_LEFT: usize = 160;
const SEND_WINDOW: usize = 168;
const RECV_WINDOW: usize = 172;
const HELD: usize = 176;
const OWED: usize = 180;
const EXCHANGE: usize = 184;
const STATE: usize = 188;
const MESSAGE: usize = 189;
const PRIORITY: usize = 190;
const HAS_PRIORITY: usize = 191;
/** What a stream takes over from the record of its connection: who the peer is. */
const PEER_BYTES: usize = STREAM_ID - PEER_FLAGS;

assert(PEER_TEXT + usize(PEER_TEXT_MAX) <= STREAM_ID);
assert(HAS_PRIORITY < usize(RECORD));
assert(STREAM_ID == usize(RECORD_STREAM_ID));

export const SPAN_NONE: u8 = 0;
export const SPAN_NAME: u8 = 1;
export const SPAN_VALUE: u8 = 2;

export const PHASE_HEAD: u8 = 0;
export const PHASE_HEAD_DONE: u8 = 1;
export const PHASE_BODY: u8 = 2;
export const PHASE_TRAILERS: u8 = 3;
export const PHASE_DONE: u8 = 4;
/** The method is none that llhttp knows: its end is waited for. */
export const PHASE_METHOD_UNKNOWN: u8 = 5;

/** A view over one record; costs nothing. */
@unmanaged
export class Record {
  @inline get acceptAt(): u32 { return u32(changetype<usize>(this)); }
  @inline get headAt(): u32 { return load<u32>(changetype<usize>(this) + HEAD_AT); }
  @inline set headAt(value: u32) { store<u32>(changetype<usize>(this) + HEAD_AT, value); }
  @inline get seen(): u32 { return load<u32>(changetype<usize>(this) + SEEN); }
  @inline set seen(value: u32) { store<u32>(changetype<usize>(this) + SEEN, value); }
  @inline get tableAt(): u32 { return load<u32>(changetype<usize>(this) + TABLE_AT); }
  @inline set tableAt(value: u32) { store<u32>(changetype<usize>(this) + TABLE_AT, value); }
  @inline get headerCount(): u32 { return load<u16>(changetype<usize>(this) + HEADER_COUNT); }
  @inline set headerCount(value: u32) { store<u16>(changetype<usize>(this) + HEADER_COUNT, value); }
  @inline get span(): u8 { return load<u8>(changetype<usize>(this) + SPAN); }
  @inline set span(value: u8) { store<u8>(changetype<usize>(this) + SPAN, value); }
  @inline get phase(): u8 { return load<u8>(changetype<usize>(this) + PHASE); }
  @inline set phase(value: u8) { store<u8>(changetype<usize>(this) + PHASE, value); }
  @inline get targetAt(): u32 { return load<u32>(changetype<usize>(this) + TARGET_AT); }
  @inline set targetAt(value: u32) { store<u32>(changetype<usize>(this) + TARGET_AT, value); }
  @inline get targetLength(): u32 { return load<u32>(changetype<usize>(this) + TARGET_LENGTH); }
  @inline set targetLength(value: u32) { store<u32>(changetype<usize>(this) + TARGET_LENGTH, value); }
  @inline get overhead(): u32 { return load<u32>(changetype<usize>(this) + OVERHEAD); }
  @inline set overhead(value: u32) { store<u32>(changetype<usize>(this) + OVERHEAD, value); }
  @inline get fault(): i32 { return load<i32>(changetype<usize>(this) + FAULT); }
  @inline set fault(value: i32) { store<i32>(changetype<usize>(this) + FAULT, value); }
  @inline get outAt(): u32 { return load<u32>(changetype<usize>(this) + OUT_AT); }
  @inline set outAt(value: u32) { store<u32>(changetype<usize>(this) + OUT_AT, value); }
  @inline get peerFlags(): u32 { return load<u32>(changetype<usize>(this) + PEER_FLAGS); }
  @inline set peerFlags(value: u32) { store<u32>(changetype<usize>(this) + PEER_FLAGS, value); }
  @inline get peerTextLength(): u32 { return load<u32>(changetype<usize>(this) + PEER_TEXT_LENGTH); }
  @inline set peerTextLength(value: u32) { store<u32>(changetype<usize>(this) + PEER_TEXT_LENGTH, value); }
  @inline get peerTextAt(): u32 { return u32(changetype<usize>(this) + PEER_TEXT); }
  @inline get streamId(): u32 { return load<u32>(changetype<usize>(this) + STREAM_ID); }
  @inline set streamId(value: u32) { store<u32>(changetype<usize>(this) + STREAM_ID, value); }
  @inline get contentLeft(): i64 { return load<i64>(changetype<usize>(this) + CONTENT_LEFT); }
  @inline set contentLeft(value: i64) { store<i64>(changetype<usize>(this) + CONTENT_LEFT, value); }
  @inline get sendWindow(): i32 { return load<i32>(changetype<usize>(this) + SEND_WINDOW); }
  @inline set sendWindow(value: i32) { store<i32>(changetype<usize>(this) + SEND_WINDOW, value); }
  @inline get recvWindow(): i32 { return load<i32>(changetype<usize>(this) + RECV_WINDOW); }
  @inline set recvWindow(value: i32) { store<i32>(changetype<usize>(this) + RECV_WINDOW, value); }
  @inline get held(): u32 { return load<u32>(changetype<usize>(this) + HELD); }
  @inline set held(value: u32) { store<u32>(changetype<usize>(this) + HELD, value); }
  @inline get owed(): u32 { return load<u32>(changetype<usize>(this) + OWED); }
  @inline set owed(value: u32) { store<u32>(changetype<usize>(this) + OWED, value); }
  @inline get exchange(): u32 { return load<u32>(changetype<usize>(this) + EXCHANGE); }
  @inline set exchange(value: u32) { store<u32>(changetype<usize>(this) + EXCHANGE, value); }
  @inline get state(): u8 { return load<u8>(changetype<usize>(this) + STATE); }
  @inline set state(value: u8) { store<u8>(changetype<usize>(this) + STATE, value); }
  @inline get message(): u8 { return load<u8>(changetype<usize>(this) + MESSAGE); }
  @inline set message(value: u8) { store<u8>(changetype<usize>(this) + MESSAGE, value); }
  @inline get priority(): u8 { return load<u8>(changetype<usize>(this) + PRIORITY); }
  @inline set priority(value: u8) { store<u8>(changetype<usize>(this) + PRIORITY, value); }
  @inline get hasPriority(): bool { return load<u8>(changetype<usize>(this) + HAS_PRIORITY) != 0; }
  @inline set hasPriority(value: bool) { store<u8>(changetype<usize>(this) + HAS_PRIORITY, u8(value)); }
  @inline takePeer(from: Record): void { memory.copy(changetype<usize>(this) + PEER_FLAGS, changetype<usize>(from) + PEER_FLAGS, PEER_BYTES); }
  /** Header entry `index`; unchecked: index < headerCount. */
  @inline entry(index: u32): Header { return changetype<Header>(usize(this.tableAt + index * HEADER_ENTRY)); }
}

/** One entry of a header block (HEADER_ENTRY bytes, drawn in abi.ts). */
@unmanaged
export class Header {
  nameAt: u32;
  valueAt: u32;
  valueLength: u32;
  nameLength: u16;
  known: u8;
  flags: u8;
}

/** Entry flag: not passed on. */
export const DROP: u8 = 1;
/** Entry flag: every hop writes it as a literal that is never indexed (RFC 7541 §6.2.3). */
export const NEVER_INDEXED: u8 = 2;
/** Entry flag: the name begins with ":" (RFC 9113 §8.3); it is no field, and never written as one in HTTP/1. */
export const PSEUDO: u8 = 4;

@inline
export function setResult(word: u32, value: u32): void {
  store<u32>(resultAt + (word << 2), value);
}
