// Where header compression (RFC 7541) meets the connection: its two tables lie in the connection's record, and every block
// that comes has to pass through the decoder, also one that nobody wants, since the table must stay in step (§4.3).

import { H2_COMPRESSION_ERROR } from "../abi";
import {
  beginEncoderTable, beginTable, DECODED, decodeBlock, decodeInto, DynamicTable, encoderTableBytes, LIST_TOO_LARGE,
  listCount, listEnd, SIZE_AT_FIRST, tableBytes,
} from "../hpack/mod";
import {
  h2BlockScratchAt, h2DecoderOffset, h2EncoderOffset, headerBytesMax, headersMax, Record,
  tableBytes as headerTableBytes,
} from "../memory";
import { Connection, connectionError } from "./connection";

/** A list may be so many times as large as it should be before the connection is given up (RFC 9113 §10.5.1). */
const HARD_FACTOR: u32 = 4;
const HARD_BYTES_MIN: u32 = 262144;
/** Behind the bytes of the block scratch. */
const SLACK: u32 = 64;

export function decoderBytes(): u32 { return tableBytes(SIZE_AT_FIRST) + SLACK; }
export function encoderBytes(): u32 { return encoderTableBytes(SIZE_AT_FIRST) + SLACK; }

@inline
export function encoderOf(connection: Connection): DynamicTable {
  return changetype<DynamicTable>(changetype<usize>(connection) + h2EncoderOffset);
}

export function beginCompression(connection: Connection): void {
  beginTable(changetype<usize>(connection) + h2DecoderOffset, SIZE_AT_FIRST);
  beginEncoderTable(changetype<usize>(connection) + h2EncoderOffset, SIZE_AT_FIRST);
}

/** What decodes the block at hand. 0, 1: the list is too large, or -1: the connection cannot go on. */
function decode(connection: Connection, entries: usize, bytes: usize, room: u32): i32 {
  const scratch = usize(h2BlockScratchAt) + headerTableBytes + headerBytesMax + SLACK;
  decodeInto(entries, headersMax, bytes, room, scratch);
  const table = changetype<DynamicTable>(changetype<usize>(connection) + h2DecoderOffset);
  const most = connection.headerList;
  const result = decodeBlock(table, connection.blockAt, connection.blockBytes, most, max(most * HARD_FACTOR, HARD_BYTES_MIN));
  return result == DECODED ? 0 : result == LIST_TOO_LARGE ? 1 : -1;
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
  return decode(connection, h2BlockScratchAt, bytes, headerBytesMax) < 0 ? connectionError(connection, H2_COMPRESSION_ERROR) : 0;
}
