// CONTINUATION (RFC 9113 §6.10): the next part of a header block. What has come of the block lies at the front of the input;
// it is moved up to the new part, over the padding and the header between them, so that the block stays in one piece. How
// many there may be is bounded, and so is the whole: it has to fit into a buffer.

import {
  ABUSE_CONTINUATIONS, ABUSE_EMPTY_FRAMES, ABUSE_HEADER_BLOCK, H2_FRAME_SIZE_ERROR, H2_PROTOCOL_ERROR,
} from "../abi";
import { bufferBytes } from "../memory";
import { abuseError, BLOCK_GROWS, Connection, connectionError, isAbused, profileWord } from "./connection";
import {
  CONTINUATION, END_HEADERS, FRAME_HEADER, FRAME_SIZE_AT_FIRST, frameFlags, frameLength, frameStream, frameType,
} from "./frame";
import { endBlock } from "./headers";
import { need, NEXT, take } from "./input";

/** `at`: where the block begins; whatever follows it must be its continuation (§4.3, §6.10). */
export function recvContinuation(connection: Connection, at: usize, length: u32): i32 {
  const behind = connection.blockBytes + connection.blockGap;
  if (length < behind + FRAME_HEADER) return need();
  const frame = at + behind;
  const bytes = frameLength(frame);
  if (frameType(frame) != CONTINUATION || frameStream(frame) != connection.blockStream) return connectionError(connection, H2_PROTOCOL_ERROR);
  if (bytes > FRAME_SIZE_AT_FIRST) return connectionError(connection, H2_FRAME_SIZE_ERROR);
  if (behind + FRAME_HEADER + bytes > bufferBytes) return abuseError(connection, ABUSE_HEADER_BLOCK);
  if (length < behind + FRAME_HEADER + bytes) return need();
  if (++connection.continuations > profileWord(connection, ABUSE_CONTINUATIONS)) return abuseError(connection, ABUSE_CONTINUATIONS);
  const isLast = (frameFlags(frame) & END_HEADERS) != 0;
  if (bytes == 0 && !isLast && isAbused(connection, ABUSE_EMPTY_FRAMES)) return abuseError(connection, ABUSE_EMPTY_FRAMES);
  const gap = connection.blockGap + FRAME_HEADER;
  memory.copy(at + gap, at, connection.blockBytes);
  take(gap);
  connection.blockBytes += bytes;
  connection.blockGap = 0;
  if (isLast) return endBlock(connection, at + gap);
  connection.block = BLOCK_GROWS;
  return NEXT;
}
