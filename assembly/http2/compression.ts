// Where header compression (RFC 7541) meets the connection: its two tables lie in the connection's record, and every block
// that comes has to pass through the decoder, also one that nobody wants, since the table must stay in step (§4.3).

import { ABUSE_HEADER_LIST, H2_COMPRESSION_ERROR } from "../abi";
import {
  beginSmallEncoderTable, beginSmallTable, decodeBlock, decodeInto, DynamicTable, LIST_FAR_TOO_LARGE, LIST_TOO_LARGE,
  listCount, listEnd, lookupBytes, ringsBytes, SIZE_AT_FIRST, tableBytes,
} from "../hpack/mod";
import {
  h2BlockScratchAt, h2DecoderOffset, h2EncoderOffset, h2StreamSlots, headerBytesMax, headersMax, Record,
  tableBytes as headerTableBytes,
} from "../memory";
import { abuseError, Connection, connectionError } from "./connection";

/** A list may be so many times as large as it should be before the connection is given up (RFC 9113 §10.5.1). */
const HARD_FACTOR: u32 = 4;
const HARD_BYTES_MIN: u32 = 262144;
/** Behind the bytes of the block scratch. */
const SLACK: u32 = 64;

/** The tables begin small, so that all that an idle connection needs lies together: a browser's first request takes about 800. */
const DECODER_SMALL: u32 = 1024;
const ENCODER_SMALL: u32 = 512;

export function decoderBytes(): u32 { return tableBytes(DECODER_SMALL); }
export function encoderBytes(): u32 { return tableBytes(ENCODER_SMALL) + lookupBytes(SIZE_AT_FIRST); }
/** What either table moves to when it grows; and what a decoder needs for what it does not keep. */
export function spareBytes(): u32 { return ringsBytes(SIZE_AT_FIRST) + SLACK; }

@inline
export function encoderOf(connection: Connection): DynamicTable {
  return changetype<DynamicTable>(changetype<usize>(connection) + h2EncoderOffset);
}

export function beginCompression(connection: Connection): void {
  const spare = connection.spareAt + (h2StreamSlots << 3);
  beginSmallTable(changetype<usize>(connection) + h2DecoderOffset, SIZE_AT_FIRST, DECODER_SMALL, spare);
  beginSmallEncoderTable(
    changetype<usize>(connection) + h2EncoderOffset, SIZE_AT_FIRST, ENCODER_SMALL, spare + spareBytes(),
  );
}

/** What decodes the block at hand. 0, 1: the list is too large, or -1: the connection has failed. */
function decode(connection: Connection, entries: usize, bytes: usize, room: u32): i32 {
  const scratch = usize(h2BlockScratchAt) + headerTableBytes + headerBytesMax + SLACK;
  decodeInto(entries, headersMax, bytes, room, scratch);
  const table = changetype<DynamicTable>(changetype<usize>(connection) + h2DecoderOffset);
  const most = connection.headerList;
  const result = decodeBlock(table, connection.blockAt, connection.blockBytes, most, max(most * HARD_FACTOR, HARD_BYTES_MIN));
  if (result >= 0) return result == LIST_TOO_LARGE ? 1 : 0;
  if (result == LIST_FAR_TOO_LARGE) abuseError(connection, ABUSE_HEADER_LIST);
  else connectionError(connection, H2_COMPRESSION_ERROR);
  return -1;
}

/** Behind the last byte that a list has taken. */
export let listBytesEnd: u32 = 0;

/** Decodes the block at hand into the record's header block. */
export function decodeHeaders(connection: Connection, record: Record, entries: u32, bytes: u32, room: u32): i32 {
  record.tableAt = entries;
  record.headAt = bytes;
  const result = decode(connection, entries, bytes, min(room, headerBytesMax));
  record.headerCount = result < 0 ? 0 : listCount;
  listBytesEnd = u32(listEnd);
  return result;
}

/** Decodes the block at hand for the table's sake. 0, or the event of a connection error. */
export function decodeUnheard(connection: Connection): i32 {
  const bytes = usize(h2BlockScratchAt) + headerTableBytes;
  return decode(connection, h2BlockScratchAt, bytes, headerBytesMax) < 0 ? connectionError(connection, 0) : 0;
}
