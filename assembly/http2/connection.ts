// One HTTP/2 connection (RFC 9113): its record, the replies that it owes, and how it fails. Addresses of h2 records come
// from the caller and are trusted; everything from the peer is checked where it is read.
//
// A connection error writes GOAWAY and ends everything; a stream error writes RST_STREAM and forgets the stream. Both
// are values: the event, with the code in the result area. What goes into the replies while a frame is looked at always
// fits (REPLY_RESERVE is free before); what the caller asks for is written when there is room, and owed until then.

import {
  EV_CONNECTION_ERROR, EV_STREAM_ERROR, H2_ENHANCE_YOUR_CALM, H2_PROFILE_WORDS, H2_REPLIES, H2_REPLIES_AT,
  H2_ROLE_SERVER, H2_STATE, R_ABUSE, R_ERROR_CODE, R_SLOT, R_STREAM_ID, ABUSE_COUNT, ABUSE_RESETS_CAUSED, ABUSE_NONE,
  RECORD,
} from "../abi";
import { h2ProfilesAt, h2RecordBytes, h2RecordsAt, h2SpareBytes, h2SparesAt, Record, recordsAt, setResult } from "../memory";
import { GOAWAY, put32, putFrameHeader, RST_STREAM, STREAM_ID_MAX } from "./frame";
import { CLOSED, IDLE_OURS, IDLE_THEIRS, RESET } from "./states";
import { beginStreams, forgetStream } from "./streams";

/** Waits for the client's magic (§3.4). */
export const PHASE_MAGIC: u8 = 0;
/** Waits for the peer's SETTINGS, which come first. */
export const PHASE_SETTINGS: u8 = 1;
export const PHASE_OPEN: u8 = 2;
/** After a connection error. */
export const PHASE_FAILED: u8 = 3;

/** The frame at hand is part of a header block that has not ended: only CONTINUATION may follow. */
export const BLOCK_NONE: u8 = 0;
export const BLOCK_GROWS: u8 = 1;
/** It has ended, and the caller has been told. */
export const BLOCK_READY: u8 = 2;

/** What one frame may cause: RST_STREAM, GOAWAY, an acknowledgement and two WINDOW_UPDATEs. */
export const REPLY_RESERVE: u32 = 80;
/** Streams that were reset last, for which frames may be under way (§5.1). */
const RESETS_KEPT: u32 = 32;
/** Urgencies that came before their stream (RFC 9218 §7.1). */
const EARLY_PRIORITIES: u32 = 4;
/** No GOAWAY has come; 2^31-1 is what the first of two says, after which no stream may be begun either (§6.8). */
export const GOAWAY_NONE: u32 = u32.MAX_VALUE;
/** RFC 9218 §4.1 and §4.2: urgency 3, not incremental. */
export const PRIORITY_AT_FIRST: u8 = 3;

@unmanaged
export class Connection {
  role: u8;
  phase: u8;
  /** BLOCK_ */
  block: u8;
  /** END_STREAM stands on the block at hand. */
  blockEnds: u8;
  /** END_STREAM stands on the DATA at hand. */
  dataEnds: u8;
  /** Our SETTINGS that have not been acknowledged. */
  settingsSent: u8;
  /** The peer has sent SETTINGS before. */
  settingsSeen: u8;
  /** A WINDOW_UPDATE or RST_STREAM did not fit into the replies. */
  owes: u8;
  /** The record of the socket: who the peer is. */
  record: u32;
  profile: u32;

  /** The peer's settings (§6.5.2). */
  peerWindow: u32;
  peerFrameMax: u32;
  peerStreamsMax: u32;
  peerConnectProtocol: u8;
  peerNoPriorities: u8;
  /** The block at hand begins a stream of the peer's. */
  blockIsNew: u8;
  unused: u8;

  /** Our settings. */
  streamWindow: u32;
  connectionWindow: u32;
  streamsMax: u32;
  headerList: u32;
  connectProtocol: u32;

  /** §6.9: what may be sent, what the peer may send, and what has been used of that and not been announced. */
  sendWindow: i32;
  recvWindow: i32;
  owed: u32;

  /** Streams of both sides that are not forgotten. */
  streams: u32;
  lastTheirs: u32;
  lastOurs: u32;
  /** What we have said in GOAWAY, 2^31-1 when nothing; and what the peer has, or GOAWAY_NONE. */
  goawaySent: u32;
  goawaySeen: u32;

  /** The DATA frame at hand: bytes of data and then of padding that are still to come. The second is also what is skipped. */
  dataStream: u32;
  dataLeft: u32;
  skipLeft: u32;

  /** The header block at hand: it lies at the front of the input, `blockGap` bytes of padding behind it. */
  blockStream: u32;
  blockBytes: u32;
  blockGap: u32;
  /** Address; good from the call of h2Feed that told of the block until the next one. */
  blockAt: u32;
  continuations: u32;

  replyLength: u32;
  failure: u32;
  abuse: u32;

  /** A ring of resets of ours, and the highest id that has left it: below that, we do not know any more. */
  resetNext: u32;
  resetForgotten: u32;
  earlyNext: u32;

  /** The table of streams: its address, and its places less one. */
  placesAt: u32;
  placesMask: u32;
  /** Address of what belongs to the connection beside its record. */
  spareAt: u32;

  @inline get repliesAt(): usize { return changetype<usize>(this) + H2_REPLIES_AT; }
  @inline get replyRoom(): u32 { return H2_REPLIES - this.replyLength; }
  @inline get isServer(): bool { return this.role == H2_ROLE_SERVER; }
}

const COUNTS: usize = 192;
const RESETS: usize = COUNTS + usize(ABUSE_COUNT + 1) * 4;
const EARLY: usize = RESETS + usize(RESETS_KEPT) * 4;
const STATE_END: usize = EARLY + usize(EARLY_PRIORITIES) * 8;
assert(offsetof<Connection>() <= COUNTS);
assert(STATE_END <= usize(H2_STATE));

/**
 * Forgets whatever the record held. The tables behind the state are begun by those who own them; pages of theirs that are
 * never used cost nothing.
 */
export function beginConnection(connection: Connection, role: u8, profile: u32, record: u32): void {
  memory.fill(changetype<usize>(connection), 0, H2_STATE);
  connection.spareAt = h2SparesAt + (u32(changetype<usize>(connection)) - h2RecordsAt) / h2RecordBytes * h2SpareBytes;
  beginStreams(connection);
  connection.role = role;
  connection.record = record;
  connection.profile = h2ProfilesAt + profile * H2_PROFILE_WORDS * 4;
  connection.goawaySent = STREAM_ID_MAX;
  connection.goawaySeen = GOAWAY_NONE;
  connection.phase = role == H2_ROLE_SERVER ? PHASE_MAGIC : PHASE_SETTINGS;
}

@inline
export function profileWord(connection: Connection, word: u32): u32 {
  return load<u32>(usize(connection.profile + (word << 2)));
}

@inline
export function slotOf(record: Record): u32 {
  return changetype<usize>(record) == 0 ? u32(-1) : (u32(changetype<usize>(record)) - recordsAt) / RECORD;
}

@inline
export function tellStream(id: u32, record: Record): void {
  setResult(R_STREAM_ID, id);
  setResult(R_SLOT, slotOf(record));
}

// ---- failing ----

/** §5.4.1. The caller closes when the replies have been sent. */
export function connectionError(connection: Connection, code: u32): i32 {
  if (connection.phase != PHASE_FAILED) {
    connection.phase = PHASE_FAILED;
    connection.failure = code;
    replyGoaway(connection, connection.lastTheirs, code);
  }
  setResult(R_ERROR_CODE, connection.failure);
  setResult(R_ABUSE, connection.abuse);
  return EV_CONNECTION_ERROR;
}

/** Too much of something (ENHANCE_YOUR_CALM). */
export function abuseError(connection: Connection, abuse: u32): i32 {
  connection.abuse = abuse;
  return connectionError(connection, H2_ENHANCE_YOUR_CALM);
}

/** Counts one more; true when it is more than is borne until the next tick. */
export function isAbused(connection: Connection, abuse: u32): bool {
  const at = changetype<usize>(connection) + COUNTS + (abuse << 2);
  const count = load<i32>(at) + 1;
  store<i32>(at, count);
  return count > i32(profileWord(connection, abuse));
}

/** Whether more of it has been counted than is borne. */
@inline
export function isOver(connection: Connection, abuse: u32): bool {
  return load<i32>(changetype<usize>(connection) + COUNTS + (abuse << 2)) > i32(profileWord(connection, abuse));
}

/** For what has been earned by something useful; never below 0. */
@inline
export function discount(connection: Connection, abuse: u32, by: i32): void {
  const at = changetype<usize>(connection) + COUNTS + (abuse << 2);
  store<i32>(at, max(0, load<i32>(at) - by));
}

export function tick(connection: Connection): void {
  memory.fill(changetype<usize>(connection) + COUNTS, 0, usize(ABUSE_COUNT + 1) * 4);
}

/** §5.4.2, for a stream that has a record: it is reset and forgotten. */
export function streamError(connection: Connection, record: Record, code: u32): i32 {
  const id = record.streamId;
  tellStream(id, record);
  setResult(R_ERROR_CODE, code);
  setResult(R_ABUSE, ABUSE_NONE);
  forgetStream(connection, record);
  replyReset(connection, id, code);
  if (isAbused(connection, ABUSE_RESETS_CAUSED)) return abuseError(connection, ABUSE_RESETS_CAUSED);
  return EV_STREAM_ERROR;
}

// ---- streams that have no record (any more) ----

/** Row of the state table for a stream that is not in the table of streams. */
export function absentState(connection: Connection, id: u32): u8 {
  const isTheirs = (id & 1) == (connection.isServer ? 1 : 0);
  if (!isTheirs) return id > connection.lastOurs || connection.isServer ? IDLE_OURS : closedState(connection, id);
  // §5.1.1: servers would open the even ones by pushing, which nobody may
  if (!connection.isServer) return IDLE_OURS;
  if (id <= connection.lastTheirs) return closedState(connection, id);
  return id > connection.goawaySent ? RESET : IDLE_THEIRS;
}

function closedState(connection: Connection, id: u32): u8 {
  return id <= connection.resetForgotten || id > connection.goawaySent || wasReset(connection, id) ? RESET : CLOSED;
}

function wasReset(connection: Connection, id: u32): bool {
  const ring = changetype<usize>(connection) + RESETS;
  for (let i: u32 = 0; i < RESETS_KEPT; i++) {
    if (load<u32>(ring + (i << 2)) == id) return true;
  }
  return false;
}

export function noteReset(connection: Connection, id: u32): void {
  const at = changetype<usize>(connection) + RESETS + (connection.resetNext << 2);
  connection.resetForgotten = max(connection.resetForgotten, load<u32>(at));
  store<u32>(at, id);
  connection.resetNext = (connection.resetNext + 1) % RESETS_KEPT;
}

// ---- priorities before their stream ----

export function keepEarlyPriority(connection: Connection, id: u32, priority: u8): void {
  const at = changetype<usize>(connection) + EARLY;
  let place = connection.earlyNext;
  for (let i: u32 = 0; i < EARLY_PRIORITIES; i++) if (load<u32>(at + (i << 3)) == id) place = i;
  store<u32>(at + (place << 3), id);
  store<u8>(at + (place << 3), priority, 4);
  if (place == connection.earlyNext) connection.earlyNext = (place + 1) % EARLY_PRIORITIES;
}

/** What was kept for a stream that begins now, or -1. */
export function takeEarlyPriority(connection: Connection, id: u32): i32 {
  const at = changetype<usize>(connection) + EARLY;
  for (let i: u32 = 0; i < EARLY_PRIORITIES; i++) {
    if (load<u32>(at + (i << 3)) != id) continue;
    store<u32>(at + (i << 3), 0);
    return load<u8>(at + (i << 3), 4);
  }
  return -1;
}

// ---- replies ----

/** Where the next `length` bytes go. Unchecked: there is room for them. */
@inline
export function reply(connection: Connection, length: u32): usize {
  const at = connection.repliesAt + connection.replyLength;
  connection.replyLength += length;
  return at;
}

/** §6.8: the last id never rises. */
export function replyGoaway(connection: Connection, last: u32, code: u32): void {
  connection.goawaySent = min(connection.goawaySent, last);
  const to = putFrameHeader(reply(connection, 17), 8, GOAWAY, 0, 0);
  put32(put32(to, connection.goawaySent), code);
}

export function replyReset(connection: Connection, id: u32, code: u32): void {
  noteReset(connection, id);
  putReset(connection, id, code);
}

export function putReset(connection: Connection, id: u32, code: u32): void {
  put32(putFrameHeader(reply(connection, 13), 4, RST_STREAM, 0, id), code);
}
