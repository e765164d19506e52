// What the proxy adds to a request, the same to backends of either protocol: who the client is and what it asked for
// (X-Forwarded-…), an id, its certificate, and that the request went through here (Via, RFC 9110 §7.6.3). What a trusted peer
// says of itself is kept.

import { F_HTTP_1_0, F_HTTP_2, PEER_TRUSTED, REQUEST_ID_BYTES } from "../abi";
import { CLASS_ID, hexDigit, intern, isClass, put, putCrlf, putDecimal, putText } from "../bytes";
import { Header, Record } from "../memory";
import {
  K_X_FORWARDED_FOR, K_X_FORWARDED_HOST, K_X_FORWARDED_PORT, K_X_FORWARDED_PROTO, K_X_REQUEST_ID,
} from "./fields";
import { flags, hostAt, hostLength } from "./request";

const REQUEST_ID_MAX: u32 = 128;

const FORWARDED_FOR = intern("X-Forwarded-For: ");
const FORWARDED_PROTO = intern("X-Forwarded-Proto: ");
const FORWARDED_HOST = intern("X-Forwarded-Host: ");
const FORWARDED_PORT = intern("X-Forwarded-Port: ");
const REQUEST_ID = intern("X-Request-Id: ");
const VIA_1_1 = intern("Via: 1.1 kakehi\r\n");
const VIA_1_0 = intern("Via: 1.0 kakehi\r\n");
const VIA_2 = intern("Via: 2.0 kakehi\r\n");
const HTTP = intern("http");
const HTTPS = intern("https");

/** Each a line. */
@inline
export function putAdded(
  to: usize,
  record: Record,
  port: u32,
  secure: bool,
  idAt: u32,
  identityAt: u32,
  identityLength: u32,
): usize {
  to = putForwarded(to, record, port, secure);
  to = putRequestId(to, record, idAt);
  to = put(to, identityAt, identityLength);
  return putText(to, flags & F_HTTP_1_0 ? VIA_1_0 : flags & F_HTTP_2 ? VIA_2 : VIA_1_1);
}

function putForwarded(to: usize, record: Record, port: u32, secure: bool): usize {
  const trusted = (record.peerFlags & PEER_TRUSTED) != 0;
  to = putText(to, FORWARDED_FOR);
  if (trusted) to = putAllValues(to, record, K_X_FORWARDED_FOR);
  to = putCrlf(put(to, record.peerTextAt, record.peerTextLength));
  to = putText(to, FORWARDED_PROTO);
  let kept = trusted ? valueOf(record, K_X_FORWARDED_PROTO) : changetype<Header>(0);
  to = changetype<usize>(kept) ? put(to, kept.valueAt, kept.valueLength) : putText(to, secure ? HTTPS : HTTP);
  to = putText(putCrlf(to), FORWARDED_HOST);
  kept = trusted ? valueOf(record, K_X_FORWARDED_HOST) : changetype<Header>(0);
  to = changetype<usize>(kept) ? put(to, kept.valueAt, kept.valueLength) : put(to, hostAt, hostLength);
  to = putText(putCrlf(to), FORWARDED_PORT);
  kept = trusted ? valueOf(record, K_X_FORWARDED_PORT) : changetype<Header>(0);
  to = changetype<usize>(kept) ? put(to, kept.valueAt, kept.valueLength) : putDecimal(to, port);
  return putCrlf(to);
}

/** All values of a field, each with ", " behind it. */
function putAllValues(to: usize, record: Record, known: u8): usize {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known != known || header.valueLength == 0) continue;
    to = put(to, header.valueAt, header.valueLength);
    store<u16>(to, 0x202c);
    to += 2;
  }
  return to;
}

function valueOf(record: Record, known: u8): Header {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known == known && header.valueLength > 0) return header;
  }
  return changetype<Header>(0);
}

function putRequestId(to: usize, record: Record, idAt: u32): usize {
  to = putText(to, REQUEST_ID);
  const kept = record.peerFlags & PEER_TRUSTED ? valueOf(record, K_X_REQUEST_ID) : changetype<Header>(0);
  if (changetype<usize>(kept) && isRequestId(kept)) return putCrlf(put(to, kept.valueAt, kept.valueLength));
  for (let i = 0; i < REQUEST_ID_BYTES; i++) {
    const byte = load<u8>(usize(idAt) + i);
    store<u8>(to + 2 * i, hexDigit(byte >> 4));
    store<u8>(to + 2 * i, hexDigit(byte & 15), 1);
  }
  return putCrlf(to + 2 * REQUEST_ID_BYTES);
}

function isRequestId(header: Header): bool {
  if (header.valueLength > REQUEST_ID_MAX) return false;
  for (let i: u32 = 0; i < header.valueLength; i++) {
    if (!isClass(load<u8>(usize(header.valueAt) + i), CLASS_ID)) return false;
  }
  return true;
}
