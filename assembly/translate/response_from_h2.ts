// An answer that came in HTTP/2 (RFC 9113 §8.3.2), and trailers from either side (§8.1): checked, then what http1/response.ts
// makes of any answer.

import { F_CONNECT, F_HEAD, F_WEBSOCKET, H2_STREAM_FAILED, HEAD_DONE, R_HEAD_END, R_HEADER_COUNT } from "../abi";
import { intern } from "../bytes";
import { contentLength } from "../http1/framing";
import { finishFields } from "../http1/response";
import { Connection, CONTENT_ANY, CONTENT_TUNNEL, MESSAGE_BODY, MESSAGE_HEAD, MESSAGE_OVER } from "../http2/mod";
import { DROP, Header, PSEUDO, Record, setResult } from "../memory";
import { areFields } from "./fields_from_h2";

const STATUS = intern(":status");
const STATUS_BYTES: u32 = 3;

/** HEAD_DONE (R_STATUS below 200: another head will come) or H2_STREAM_FAILED. */
export function responseFromH2(connection: Connection, record: Record): i32 {
  const ends = connection.blockEnds != 0;
  const status = takeStatus(record);
  if (status == 0 || !areFields(record, 1)) return H2_STREAM_FAILED;
  // §8.1, §8.6: an interim answer does not end the stream, and nothing is switched here
  if (status < 200 && (ends || status == 101)) return H2_STREAM_FAILED;
  if (finishFields(record, status, record.exchange, ends) != HEAD_DONE) return H2_STREAM_FAILED;
  record.message = status < 200 ? MESSAGE_HEAD : ends ? MESSAGE_OVER : MESSAGE_BODY;
  if (status >= 200) record.contentLeft = expectedContent(record.exchange, status);
  return HEAD_DONE;
}

/** What the DATA frames must make (§8.1.1), or CONTENT_. */
function expectedContent(request: u32, status: u32): i64 {
  if ((request & (F_CONNECT | F_WEBSOCKET)) != 0 && status < 300) return CONTENT_TUNNEL;
  if ((request & F_HEAD) != 0 || status == 204 || status == 304) return 0;
  return contentLength < 0 ? CONTENT_ANY : i64(contentLength);
}

/** §8.3.2: the one pseudo-header field of an answer, first of all; 0: it is not. */
function takeStatus(record: Record): u32 {
  if (record.headerCount == 0) return 0;
  const header = record.entry(0);
  if (!(header.flags & PSEUDO) || header.nameLength != load<u16>(STATUS)) return 0;
  if (memory.compare(header.nameAt, STATUS + 2, header.nameLength) != 0 || header.valueLength != STATUS_BYTES) return 0;
  header.flags |= DROP;
  return parseStatus(header);
}

function parseStatus(header: Header): u32 {
  let status: u32 = 0;
  for (let i: u32 = 0; i < STATUS_BYTES; i++) {
    const digit = load<u8>(usize(header.valueAt) + i) - 0x30;
    if (digit > 9) return 0;
    status = status * 10 + digit;
  }
  return status < 100 || status > 599 ? 0 : status;
}

/** Trailers have no pseudo-header fields; the rest is checked as anywhere (§8.1, §8.2). */
export function trailersFromH2(record: Record): i32 {
  if (!areFields(record, 0)) return H2_STREAM_FAILED;
  record.message = MESSAGE_OVER;
  setResult(R_HEADER_COUNT, record.headerCount);
  setResult(R_HEAD_END, record.headAt);
  return HEAD_DONE;
}
