// What all frames have in common (RFC 9113 §4.1): nine octets of length, type, flags and stream, the types, and the flags.
//
//    0  length  u24 | 3  type  u8 | 4  flags  u8 | 5  stream  u32, its highest bit reserved and ignored

import { H2_FRAME_HEADER } from "../abi";

export const FRAME_HEADER: u32 = H2_FRAME_HEADER;

export const DATA: u32 = 0;
export const HEADERS: u32 = 1;
export const PRIORITY: u32 = 2;
export const RST_STREAM: u32 = 3;
export const SETTINGS: u32 = 4;
export const PUSH_PROMISE: u32 = 5;
export const PING: u32 = 6;
export const GOAWAY: u32 = 7;
export const WINDOW_UPDATE: u32 = 8;
export const CONTINUATION: u32 = 9;
/** RFC 9218 §7.1 */
export const PRIORITY_UPDATE: u32 = 16;

export const END_STREAM: u32 = 1;
export const ACK: u32 = 1;
export const END_HEADERS: u32 = 4;
export const PADDED: u32 = 8;
export const WITH_PRIORITY: u32 = 32;

/** SETTINGS_MAX_FRAME_SIZE before anything else was said, and all that we ever take (§6.5.2). */
export const FRAME_SIZE_AT_FIRST: u32 = 16384;
export const FRAME_SIZE_MAX: u32 = 16777215;
export const STREAM_ID_MAX: u32 = 0x7fffffff;
export const WINDOW_MAX: u32 = 0x7fffffff;
export const WINDOW_AT_FIRST: i32 = 65535;

@inline
export function frameLength(at: usize): u32 { return bswap<u32>(load<u32>(at)) >> 8; }
@inline
export function frameType(at: usize): u32 { return load<u8>(at, 3); }
@inline
export function frameFlags(at: usize): u32 { return load<u8>(at, 4); }
@inline
export function frameStream(at: usize): u32 { return load31(at + 5); }

/** Four octets without their highest bit. */
@inline
export function load31(at: usize): u32 { return bswap<u32>(load<u32>(at)) & 0x7fffffff; }
@inline
export function load32(at: usize): u32 { return bswap<u32>(load<u32>(at)); }

@inline
export function put32(to: usize, value: u32): usize {
  store<u32>(to, bswap<u32>(value));
  return to + 4;
}

@inline
export function put16(to: usize, value: u32): usize {
  store<u16>(to, bswap<u16>(u16(value)));
  return to + 2;
}

@inline
export function putFrameHeader(to: usize, length: u32, type: u32, flags: u32, stream: u32): usize {
  store<u32>(to, bswap<u32>(length << 8 | type));
  store<u8>(to, u8(flags), 4);
  store<u32>(to, bswap<u32>(stream), 5);
  return to + FRAME_HEADER;
}
