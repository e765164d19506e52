// Bodies in chunks (RFC 9112 §7.1): decoded in place by llhttp, framed anew by us. The decoded bytes are moved together
// at the front of the bytes that were received, so one chunk goes out for all that came in one read. Extensions are
// dropped. Trailer fields are kept in the header table; the buffer they lie in must stay until they are complete.

import {
  CHUNKS_BAD, CHUNKS_DONE, CHUNKS_MORE, CHUNKS_TRAILERS, CHUNKS_TRAILERS_TOO_LARGE, HEADER_TOO_LARGE, R_CONSUMED, R_DECODED, R_OUT_AT,
  R_OUT_LENGTH,
} from "../abi";
import { hexLength, put, putByte, putCrlf, putHex } from "../bytes";
import {
  Header, headerBytesMax, PHASE_BODY, PHASE_DONE, PHASE_TRAILERS, Record, setResult, SPAN_NONE, trailerScratchAt,
} from "../memory";
import { K_DATE, K_OTHER, knownName } from "./fields";
import { trimValue } from "./head";
import { errorPosition, llhttp_execute, llhttp_resume, PAUSED } from "./llhttp";

/** Trailer fields of one message; TAILROOM covers the blank that writing each of them may add. */
export const TRAILERS_MAX: u32 = 32;
/** Size lines and extensions between two bytes of data. */
export const OVERHEAD_MAX: u32 = 16384;

/** Goes on behind a head whose body mode is chunked. `tableAt`: the table of the buffer that trailers will lie in. */
export function beginChunks(record: Record): void {
  llhttp_resume(changetype<usize>(record));
  record.phase = PHASE_BODY;
  record.headerCount = 0;
  record.span = SPAN_NONE;
  record.overhead = 0;
}

/** Decodes `length` bytes at `at`, in place. Fills R_DECODED and R_CONSUMED. */
export function decodeChunks(record: Record, at: u32, length: u32, tableAt: u32): i32 {
  if (record.phase == PHASE_BODY) record.tableAt = tableAt;
  record.outAt = at;
  // counted from addresses meanwhile, so that data may begin the count anew wherever it ends
  record.overhead -= at;
  const code = llhttp_execute(changetype<usize>(record), at, length);
  const decoded = record.outAt - at;
  const consumed = code == PAUSED ? errorPosition(changetype<usize>(record)) - at : length;
  setResult(R_DECODED, decoded);
  setResult(R_CONSUMED, consumed);
  if (record.fault) return record.fault == HEADER_TOO_LARGE ? CHUNKS_TRAILERS_TOO_LARGE : CHUNKS_BAD;
  record.overhead += at + consumed;
  const isDone = record.phase == PHASE_DONE && code == PAUSED;
  if (!isDone && code != 0) return CHUNKS_BAD;
  // the scratch that trailers are written to has room for so much
  if (record.headerCount > 0 && record.overhead > headerBytesMax) return CHUNKS_TRAILERS_TOO_LARGE;
  if (record.headerCount == 0 && record.overhead > OVERHEAD_MAX) return CHUNKS_BAD;
  if (isDone) return CHUNKS_DONE;
  return record.phase == PHASE_TRAILERS ? CHUNKS_TRAILERS : CHUNKS_MORE;
}

/**
 * Frames `length` bytes at `at` as one chunk, in place: the size line goes before them (HEADROOM), the end behind them.
 * With `last`, the last chunk and the trailers of `record` (0: none) follow. Fills R_OUT_AT and R_OUT_LENGTH.
 */
export function frameChunk(at: u32, length: u32, last: bool, record: Record): void {
  // the trailers first, apart: they may lie where the end of the body is going to be written
  const trailers = last && changetype<usize>(record) != 0 && record.headerCount > 0 ? writeTrailers(record) : 0;
  let start = usize(at);
  let end = usize(at) + length;
  if (length > 0) {
    start -= hexLength(length) + 2;
    putCrlf(putHex(start, length));
    end = putCrlf(end);
  }
  if (last) {
    end = putCrlf(putByte(end, 0x30));
    memory.copy(end, trailerScratchAt, trailers);
    end = putCrlf(end + trailers);
  }
  setResult(R_OUT_AT, u32(start));
  setResult(R_OUT_LENGTH, u32(end - start));
}

/** RFC 9110 §6.5.1: what frames, routes or tells of the client has no place in a trailer. */
export function isTrailer(header: Header): bool {
  const known = knownName(header.nameAt, header.nameLength);
  return known == K_OTHER || known == K_DATE;
}

/** Writes the trailer fields of `record` to their scratch; returns their length. */
function writeTrailers(record: Record): u32 {
  let at = usize(trailerScratchAt);
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (!isTrailer(header)) continue;
    trimValue(header);
    at = put(at, header.nameAt, header.nameLength);
    at = putByte(putByte(at, 0x3a), 0x20);
    at = putCrlf(put(at, header.valueAt, header.valueLength));
  }
  return u32(at - trailerScratchAt);
}
