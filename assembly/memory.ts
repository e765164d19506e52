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
//             buffers                bufferStride × buffers:  header table | HEADROOM | bytes | TAILROOM
//
// A record, one for each socket:
//
//        0  parser           llhttp_t, 64 bytes (its address is what the callbacks are given)
//       64  headAt      u32  first byte of the head          68  seen         u32  bytes given to the parser
//       72  tableAt     u32  the buffer's header table       76  headerCount  u16
//       78  span         u8  what the last span was          79  phase         u8  head, body or trailers
//       80  targetAt    u32  target, or reason phrase        84  targetLength u32
//       88  overhead    u32  chunk framing since the last data byte; while decoding, less the address looked at
//       92  fault       i32  what one of our callbacks refused
//       96  outAt       u32  where the next decoded byte goes
//      100  peerFlags   u32                                  104  peerTextLength u32
//      108  peerText  48 B  the peer's address
//      156  … 192            unused

import { HEADER_ENTRY, HEADROOM, PEER_TEXT_MAX, RECORD, RESULT_WORDS, TAILROOM } from "./abi";

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
  bufferBytes: u32,
  headers: u32,
  headerBytes: u32,
  targetBytes: u32,
): f64 {
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
  buffersAt = u32(at);
  at += u64(buffers) * bufferStride;
  return at > 0x7fff0000 ? 0 : f64(at);
}

// ---- the record's fields ----

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

assert(PEER_TEXT + usize(PEER_TEXT_MAX) <= usize(RECORD));

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

@inline
export function setResult(word: u32, value: u32): void {
  store<u32>(resultAt + (word << 2), value);
}
