// The head of a request as it goes to a backend of HTTP/1.1 (RFC 9112 §3), written anew from the table of the message at hand
// (request.ts): which of the client's fields go on, and what the proxy says itself.

import {
  BODY_CHUNKED, BODY_STREAM, F_HTTP_1_0, F_HTTP_2, F_OPTIONS, F_UPGRADE, F_WEBSOCKET, PEER_TRUSTED, REQUEST_ID_BYTES,
} from "../abi";
import { intern, put, putBase64, putByte, putCrlf, putText } from "../bytes";
import { DROP, Header, headScratchAt, Record } from "../memory";
import { putAdded } from "./added_fields";
import {
  K_EXPECT, K_FORWARDED, K_HOST, K_OTHER, K_UPGRADE, K_X_CLIENT_CERT, K_X_FORWARDED_FOR, K_X_FORWARDED_OTHER, K_X_REAL_IP,
  K_X_REQUEST_ID,
} from "./fields";
import { CHUNKED_FIELD, NO_CONTENT, putField, UPGRADE_FIELD } from "./lines";
import {
  bodyMode, flags, hasPath, hostAt, hostLength, methodAt, methodLength, saysNoContent, targetAt, targetLength,
} from "./request";
import { noteKey } from "./websocket";

const VERSION_END = intern(" HTTP/1.1\r\nHost: ");
const WEBSOCKET_KEY = intern("Upgrade: websocket\r\nSec-WebSocket-Key: ");

/** The proxy itself says which certificate the client has shown: nobody else's word passes. */
let identified: bool = false;

/**
 * Writes the head for the backend to the head scratch and returns its length. `idAt`: REQUEST_ID_BYTES random bytes
 * for a request id. `identityAt`: whole fields about the client's certificate, IDENTITY_MAX bytes at most, or none. At
 * most HEADROOM longer than what was received: host (twice), address, port, id, identity and the names.
 */
export function writeRequestHead(
  record: Record,
  port: u32,
  secure: bool,
  idAt: u32,
  identityAt: u32,
  identityLength: u32,
): u32 {
  identified = identityLength > 0;
  let to = put(headScratchAt, methodAt, methodLength);
  to = putText(putTarget(putByte(to, 0x20)), VERSION_END);
  to = putCrlf(put(to, hostAt, hostLength));
  to = putFields(to, record);
  if (bodyMode == BODY_CHUNKED || bodyMode == BODY_STREAM) to = putText(to, CHUNKED_FIELD);
  if (flags & F_UPGRADE) to = putText(to, UPGRADE_FIELD);
  if (flags & F_HTTP_2) to = putMissing(to, record, idAt);
  to = putAdded(to, record, port, secure, idAt, identityAt, identityLength);
  return u32(putCrlf(to) - headScratchAt);
}

/** What HTTP/1.1 needs to be told and HTTP/2 does not say. */
function putMissing(to: usize, record: Record, idAt: u32): usize {
  if (saysNoContent) to = putText(to, NO_CONTENT);
  return flags & F_WEBSOCKET ? putKey(to, record, idAt) : to;
}

/** A key for the backend; what has to answer it is noted in the record of the client's stream. */
function putKey(to: usize, record: Record, idAt: u32): usize {
  const key = putText(to, WEBSOCKET_KEY);
  const end = putBase64(key, idAt, REQUEST_ID_BYTES);
  noteKey(record, key);
  return putCrlf(end);
}

/** The client's own fields, in their order and spelling. */
function putFields(to: usize, record: Record): usize {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (isPassed(record, header)) to = putField(to, header);
  }
  return to;
}

/** Before isPassed(): whether the proxy itself says who the client is. */
@inline
export function setIdentified(is: bool): void { identified = is; }

/** Whether a field of the client goes on to the backend. */
@inline
export function isPassed(record: Record, header: Header): bool {
  return header.known == K_OTHER ? (header.flags & DROP) == 0 : isKnownPassed(record, header);
}

@inline
function isKnownPassed(record: Record, header: Header): bool {
  const known = header.known;
  if (known == K_UPGRADE ? !(flags & F_UPGRADE) : (header.flags & DROP) != 0) return false;
  if (known == K_HOST || (isForwarded(known) && !isKept(record, known))) return false;
  return known != K_EXPECT || !(flags & F_HTTP_1_0);
}

/** Fields that tell of the client. */
@inline
function isForwarded(known: u8): bool {
  return (known >= K_X_FORWARDED_FOR && known <= K_X_REQUEST_ID) || known == K_X_FORWARDED_OTHER ||
    known == K_X_CLIENT_CERT;
}

/** What added_fields.ts does not write passes when the peer is trusted. */
@inline
function isKept(record: Record, known: u8): bool {
  return (known == K_FORWARDED || known == K_X_REAL_IP || known == K_X_FORWARDED_OTHER ||
    (known == K_X_CLIENT_CERT && !identified)) && (record.peerFlags & PEER_TRUSTED) != 0;
}

/** The target as origin-form or asterisk-form (RFC 9112 §3.2). */
@inline
export function putTarget(to: usize): usize {
  if (!hasPath()) to = putByte(to, targetLength == 0 && flags & F_OPTIONS ? 0x2a : 0x2f);
  return put(to, targetAt, targetLength);
}
