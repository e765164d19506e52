// The opening handshake of a WebSocket in HTTP/1.1 (RFC 6455 §4), for a message whose other side speaks HTTP/2, where there is
// neither key nor answer to it (RFC 8441 §5). To a client of HTTP/1.1 the proxy gives the answer that a backend of HTTP/2
// does not; to a backend of HTTP/1.1 it gives a key of its own, and looks whether the answer is the right one. The answer
// that belongs to the key waits in the record of the HTTP/2 stream, whichever side that is.

import { CLASS_BASE64, equals, intern, isClass, put, putBase64, putCrlf, putText, textLength } from "../bytes";
import { ACCEPT_BYTES, DROP, Header, Record } from "../memory";
import { sha1, SHA1_BYTES } from "../sha1";
import { K_SEC_WEBSOCKET_ACCEPT, K_SEC_WEBSOCKET_KEY, K_UPGRADE } from "./fields";
import { hasToken } from "./framing";

/** 16 bytes in base64 (§4.1). */
const KEY_BYTES: u32 = 24;
const GUID = intern("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
const WEBSOCKET = intern("websocket");
const UPGRADE_AND_ACCEPT = intern("Upgrade: websocket\r\nSec-WebSocket-Accept: ");

assert(ACCEPT_BYTES == (SHA1_BYTES + 2) / 3 * 4);

/** Key and GUID, and their digest; `put` writes up to 15 bytes behind. */
const text: usize = memory.data(96);
const digest: usize = memory.data(20);

/** Of a GET that asks for an upgrade: whether it is one to a WebSocket, with a key that can be answered (§4.2.1). */
export function asksForWebSocket(record: Record): bool {
  const key = onlyField(record, K_SEC_WEBSOCKET_KEY);
  if (changetype<usize>(key) == 0 || !isKey(key)) return false;
  const upgrade = onlyField(record, K_UPGRADE);
  return changetype<usize>(upgrade) != 0 && hasToken(upgrade, WEBSOCKET + 2, textLength(WEBSOCKET));
}

/** The field of this name, or null: there is none, or more than one. */
function onlyField(record: Record, known: u8): Header {
  let found = changetype<Header>(0);
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known != known) continue;
    if (changetype<usize>(found) != 0) return changetype<Header>(0);
    found = header;
  }
  return found;
}

function isKey(header: Header): bool {
  if (header.valueLength != KEY_BYTES || load<u16>(header.valueAt, 22) != 0x3d3d) return false;
  for (let i: u32 = 0; i < KEY_BYTES - 2; i++) {
    if (!isClass(load<u8>(usize(header.valueAt) + i), CLASS_BASE64)) return false;
  }
  return true;
}

/** Notes in the record of a stream what answers the key of `source`, a request that asks for a WebSocket. */
export function noteKeyOf(stream: Record, source: Record): void {
  noteKey(stream, onlyField(source, K_SEC_WEBSOCKET_KEY).valueAt);
}

/** The same for the KEY_BYTES at `keyAt` (§4.2.2, step 5.4). */
export function noteKey(stream: Record, keyAt: usize): void {
  const end = put(put(text, keyAt, KEY_BYTES), GUID + 2, textLength(GUID));
  sha1(text, u32(end - text), digest);
  putBase64(stream.acceptAt, digest, SHA1_BYTES);
}

/** What makes an answer of HTTP/2 the one that the client of HTTP/1.1 waits for (§4.2.2). */
export function putAccept(to: usize, stream: Record): usize {
  return putCrlf(put(putText(to, UPGRADE_AND_ACCEPT), stream.acceptAt, ACCEPT_BYTES));
}

/** Of a 101 answer: whether it is the one to the key that was noted in `stream` (§4.1). */
export function isAccepted(answer: Record, stream: Record): bool {
  const upgrade = onlyField(answer, K_UPGRADE);
  if (changetype<usize>(upgrade) == 0 || !hasToken(upgrade, WEBSOCKET + 2, textLength(WEBSOCKET))) return false;
  const accept = onlyField(answer, K_SEC_WEBSOCKET_ACCEPT);
  if (changetype<usize>(accept) == 0 || accept.valueLength != ACCEPT_BYTES) return false;
  return equals(accept.valueAt, stream.acceptAt, ACCEPT_BYTES);
}

/** Fields of this name end here: what they say holds for one side only. */
export function dropFields(record: Record, known: u8): void {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.known == known) header.flags |= DROP;
  }
}
