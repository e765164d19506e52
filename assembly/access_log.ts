// Lines of the access log. What is known of a request only while its head is at hand is kept, already escaped, in its
// log record; the line is put together in the batch when the exchange ends. What does not fit in a log record is cut.
//
//   log record:  0 u32 length of A | 4 u32 length of B | 8 A, then B
//   common:      ADDRESS - - [TIME] "A" STATUS BYTES
//   combined:    …the same… B            B is ` "REFERER" "USER AGENT"`
//   json:        {"time":…,"client":…,A,"status":…}

import { F_HTTP_1_0, F_HTTP_2, LOG_COMBINED, LOG_JSON, TEXT_LOG_TIME } from "./abi";
import { hexDigit, intern, put, putByte, putDecimal, putText } from "./bytes";
import { logRecordBytes, Record, textAt, Header } from "./memory";
import { K_REFERER, K_USER_AGENT } from "./http1/fields";

const PROTOCOL_1_1 = intern(" HTTP/1.1");
const PROTOCOL_1_0 = intern(" HTTP/1.0");
const PROTOCOL_2 = intern(" HTTP/2.0");
const QUOTE_QUOTE = intern('" "');
const BLANK_QUOTE = intern(' "');
const ADDRESS_TIME = intern(" - - [");
const TIME_REQUEST = intern('] "');
const REQUEST_STATUS = intern('" ');
const DASH = intern("-");
const J_TIME = intern('{"time":"');
const J_CLIENT = intern('","client":"');
const J_METHOD = intern('"method":"');
const J_HOST = intern('","host":"');
const J_TARGET = intern('","target":"');
const J_PROTOCOL = intern('","protocol":"');
const J_REFERER = intern('","referer":"');
const J_AGENT = intern('","user_agent":"');
const J_STATUS = intern(',"status":');
const J_BYTES = intern(',"bytes":');
const J_DURATION = intern(',"duration_ms":');
const J_BACKEND = intern(',"backend":"');
const J_REFUSAL = intern(',"refusal":"');
const J_COMMA = intern('",');
const J_NOTHING = intern('"method":null');

/** Room that the fixed parts of A and B need behind what is cut. */
const RESERVE: u32 = 128;

let json: bool = false;

/** Copies text so that it can stand between quotes; what would end behind `limit` is cut. */
function putEscaped(to: usize, from: usize, length: u32, limit: usize): usize {
  for (let i: u32 = 0; i < length && to + 6 < limit; i++) {
    const byte = load<u8>(from + i);
    if (byte >= 0x20 && byte < 0x7f && byte != 0x22 && byte != 0x5c) {
      to = putByte(to, byte);
      continue;
    }
    to = putByte(to, 0x5c);
    if (json && (byte == 0x22 || byte == 0x5c)) {
      to = putByte(to, byte);
      continue;
    }
    if (json) {
      store<u16>(to, 0x3075); // u00…: a byte stands for the character of its number
      store<u8>(to, 0x30, 2);
      to += 3;
    } else {
      to = putByte(to, 0x78);
    }
    to = putByte(putByte(to, hexDigit(byte >> 4)), hexDigit(byte & 15));
  }
  return to;
}

function putFieldValue(to: usize, record: Record, known: u8, limit: usize): usize {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header: Header = record.entry(i);
    if (header.known == known) return putEscaped(to, header.valueAt, header.valueLength, limit);
  }
  return json ? to : putText(to, DASH);
}

@inline
function protocolOf(flags: u32): usize {
  return flags & F_HTTP_1_0 ? PROTOCOL_1_0 : flags & F_HTTP_2 ? PROTOCOL_2 : PROTOCOL_1_1;
}

/** Keeps what the line will need of the request at hand. `methodLength` 0: no request could be read. */
export function logBegin(
  record: u32,
  at: u32,
  format: i32,
  flags: u32,
  methodAt: u32,
  methodLength: u32,
  targetAt: u32,
  targetLength: u32,
  hostAt: u32,
  hostLength: u32,
): void {
  json = format == LOG_JSON;
  const connection = changetype<Record>(usize(record));
  const start = usize(at) + 8;
  // each variable part may take up to its own limit, so that a long target leaves room for what follows
  const room = (logRecordBytes - RESERVE) / 8;
  const targetLimit = start + 32 + room * 5;
  let to = start;
  if (methodLength == 0) {
    to = putText(to, json ? J_NOTHING : DASH);
  } else if (json) {
    to = putEscaped(putText(to, J_METHOD), methodAt, min(methodLength, 32), targetLimit);
    to = putEscaped(putText(to, J_TARGET), targetAt, targetLength, targetLimit - room);
    to = putEscaped(putText(to, J_HOST), hostAt, hostLength, targetLimit);
    to = putText(to, J_PROTOCOL);
    to = put(to, protocolOf(flags) + 3, 8);
    to = putFieldValue(putText(to, J_REFERER), connection, K_REFERER, targetLimit + room);
    to = putFieldValue(putText(to, J_AGENT), connection, K_USER_AGENT, targetLimit + 2 * room);
    to = putByte(to, 0x22);
  } else {
    to = putByte(put(to, methodAt, min(methodLength, 32)), 0x20);
    to = putEscaped(to, targetAt, targetLength, targetLimit);
    to = putText(to, protocolOf(flags));
  }
  store<u32>(at, u32(to - start));
  const second = to;
  if (format == LOG_COMBINED) {
    const none = methodLength == 0;
    to = putText(to, BLANK_QUOTE);
    to = none ? putText(to, DASH) : putFieldValue(to, connection, K_REFERER, second + 8 + room);
    to = putText(to, QUOTE_QUOTE);
    to = none ? putText(to, DASH) : putFieldValue(to, connection, K_USER_AGENT, second + 16 + 2 * room);
    to = putByte(to, 0x22);
  }
  store<u32>(at, u32(to - second), 4);
}

/**
 * Writes one line at `to` and returns the address behind it: at most one log record and 1536 bytes. `backend` and
 * `refusal` are texts (empty: none) that only the JSON format has, and so are the fields of the connection, `tls`, which
 * begin with a comma.
 */
export function logEnd(
  record: u32,
  at: u32,
  to: u32,
  format: i32,
  status: u32,
  bytes: f64,
  durationMs: u32,
  backendAt: u32,
  backendLength: u32,
  refusalAt: u32,
  refusalLength: u32,
  tlsAt: u32,
  tlsLength: u32,
): u32 {
  const connection = changetype<Record>(usize(record));
  const timeAt = usize(textAt) + TEXT_LOG_TIME;
  const first = load<u32>(at);
  const second = load<u32>(at, 4);
  let end = usize(to);
  if (format == LOG_JSON) {
    end = put(putText(end, J_TIME), timeAt + 4, load<u32>(timeAt));
    end = put(putText(end, J_CLIENT), connection.peerTextAt, connection.peerTextLength);
    end = put(putText(end, J_COMMA), usize(at) + 8, first);
    end = putDecimal(putText(end, J_STATUS), status);
    end = putDecimal(putText(end, J_BYTES), u64(bytes));
    end = putDecimal(putText(end, J_DURATION), durationMs);
    if (backendLength) end = putByte(put(putText(end, J_BACKEND), backendAt, backendLength), 0x22);
    if (refusalLength) end = putByte(put(putText(end, J_REFUSAL), refusalAt, refusalLength), 0x22);
    end = putByte(put(end, tlsAt, tlsLength), 0x7d);
  } else {
    end = put(end, connection.peerTextAt, connection.peerTextLength);
    end = put(putText(end, ADDRESS_TIME), timeAt + 4, load<u32>(timeAt));
    end = put(putText(end, TIME_REQUEST), usize(at) + 8, first);
    end = putByte(putDecimal(putText(end, REQUEST_STATUS), status), 0x20);
    end = putDecimal(end, u64(bytes));
    if (format == LOG_COMBINED) end = put(end, usize(at) + 8 + first, second);
  }
  return u32(putByte(end, 0x0a));
}
