// The field names that the proxy itself understands, each with a number, found by its length and two of its characters.
// Everything else is carried without being looked at.

import { intern, lower } from "../bytes";

export const K_OTHER: u8 = 0;
export const K_HOST: u8 = 1;
export const K_CONNECTION: u8 = 2;
export const K_CONTENT_LENGTH: u8 = 3;
export const K_TRANSFER_ENCODING: u8 = 4;
export const K_UPGRADE: u8 = 5;
export const K_TE: u8 = 6;
export const K_TRAILER: u8 = 7;
export const K_KEEP_ALIVE: u8 = 8;
export const K_PROXY_CONNECTION: u8 = 9;
export const K_EXPECT: u8 = 10;
export const K_X_FORWARDED_FOR: u8 = 11;
export const K_X_FORWARDED_PROTO: u8 = 12;
export const K_X_FORWARDED_HOST: u8 = 13;
export const K_X_FORWARDED_PORT: u8 = 14;
export const K_X_REAL_IP: u8 = 15;
export const K_FORWARDED: u8 = 16;
export const K_X_REQUEST_ID: u8 = 17;
export const K_DATE: u8 = 18;
export const K_USER_AGENT: u8 = 19;
export const K_REFERER: u8 = 20;
export const K_VIA: u8 = 21;
export const K_HTTP2_SETTINGS: u8 = 22;
/**
 * A known name spelled with "_" for "-". Applications behind CGI-like gateways take both for the same field, so a
 * client could say by this what it may not say otherwise: such fields are dropped.
 */
export const K_UNDERSCORE: u8 = 23;
/** Any other name that begins with "X-Forwarded-": by custom it tells of the client too. */
export const K_X_FORWARDED_OTHER: u8 = 24;
/** Any name that begins with "X-Client-Cert-": it tells which certificate the client has shown. */
export const K_X_CLIENT_CERT: u8 = 25;
export const K_STRICT_TRANSPORT_SECURITY: u8 = 26;
export const K_SEC_WEBSOCKET_KEY: u8 = 27;
export const K_SEC_WEBSOCKET_ACCEPT: u8 = 28;

const X_FORWARDED = intern("x-forwarded-");
const X_CLIENT_CERT = intern("x-client-cert-");

/** 128 places of 8 bytes: name text u32 | known u8. Filled at start; two names in one place trap there. */
const places: usize = memory.data(128 * 8);

/** Where the character stands that, with the length and the last one, tells all known names apart. */
@inline
function keyIndex(length: u32): u32 {
  return length < 4 ? 0 : length - 4;
}

@inline
function placeOf(length: u32, key: u8, last: u8): usize {
  return places + ((length ^ (u32(key) << 2) ^ (u32(last) << 4)) & 127) * 8;
}

/** Lower case, and "-" for "_", so that spelling with "_" finds the same place. */
@inline
function folded(byte: u8): u8 {
  return byte == 0x5f ? 0x2d : lower(byte);
}

function add(name: string, known: u8): void {
  const length = u32(name.length);
  const place = placeOf(length, u8(name.charCodeAt(keyIndex(length))), u8(name.charCodeAt(length - 1)));
  assert(load<u32>(place) == 0, "two known names share a place: choose another keyIndex");
  store<u32>(place, u32(intern(name)));
  store<u8>(place, known, 4);
}

add("host", K_HOST);
add("connection", K_CONNECTION);
add("content-length", K_CONTENT_LENGTH);
add("transfer-encoding", K_TRANSFER_ENCODING);
add("upgrade", K_UPGRADE);
add("te", K_TE);
add("trailer", K_TRAILER);
add("keep-alive", K_KEEP_ALIVE);
add("proxy-connection", K_PROXY_CONNECTION);
add("expect", K_EXPECT);
add("x-forwarded-for", K_X_FORWARDED_FOR);
add("x-forwarded-proto", K_X_FORWARDED_PROTO);
add("x-forwarded-host", K_X_FORWARDED_HOST);
add("x-forwarded-port", K_X_FORWARDED_PORT);
add("x-real-ip", K_X_REAL_IP);
add("forwarded", K_FORWARDED);
add("x-request-id", K_X_REQUEST_ID);
add("date", K_DATE);
add("user-agent", K_USER_AGENT);
add("referer", K_REFERER);
add("via", K_VIA);
add("http2-settings", K_HTTP2_SETTINGS);
add("strict-transport-security", K_STRICT_TRANSPORT_SECURITY);
add("sec-websocket-key", K_SEC_WEBSOCKET_KEY);
add("sec-websocket-accept", K_SEC_WEBSOCKET_ACCEPT);

/** The number of a field name, whatever its case. */
export function knownName(at: usize, length: u32): u8 {
  if (length == 0) return K_OTHER;
  const place = placeOf(length, folded(load<u8>(at + keyIndex(length))), lower(load<u8>(at + length - 1)));
  const text = usize(load<u32>(place));
  if (text != 0 && load<u16>(text) == length) {
    const spelling = compareName(at, text + 2, length);
    if (spelling != DIFFERENT) return spelling == SAME ? load<u8>(place, 4) : K_UNDERSCORE;
  }
  return lower(load<u8>(at)) == 0x78 ? otherOfClient(at, length) : K_OTHER;
}

const DIFFERENT: i32 = 0;
const SAME: i32 = 1;
const UNDERSCORED: i32 = 2;

/** Compares a name with one in lower case, "_" standing for "-". */
function compareName(at: usize, known: usize, length: u32): i32 {
  let result = SAME;
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(at + i);
    if (lower(byte) == load<u8>(known + i)) continue;
    if (byte != 0x5f || load<u8>(known + i) != 0x2d) return DIFFERENT;
    result = UNDERSCORED;
  }
  return result;
}

/** The families of names that tell of the client. */
function otherOfClient(at: usize, length: u32): u8 {
  const forwarded = ofFamily(at, length, X_FORWARDED, K_X_FORWARDED_OTHER);
  return forwarded != K_OTHER ? forwarded : ofFamily(at, length, X_CLIENT_CERT, K_X_CLIENT_CERT);
}

function ofFamily(at: usize, length: u32, family: usize, known: u8): u8 {
  const prefix = u32(load<u16>(family));
  if (length <= prefix) return K_OTHER;
  const spelling = compareName(at, family + 2, prefix);
  if (spelling == DIFFERENT) return K_OTHER;
  return spelling == SAME ? known : K_UNDERSCORE;
}

/** Fields that hold for one connection only (RFC 9110 §7.6.1) or that the proxy writes itself. */
@inline
export function isHopByHop(known: u8): bool {
  return known == K_CONNECTION || known == K_KEEP_ALIVE || known == K_PROXY_CONNECTION || known == K_TE ||
    known == K_UPGRADE || known == K_TRANSFER_ENCODING || known == K_HTTP2_SETTINGS || known == K_UNDERSCORE;
}
