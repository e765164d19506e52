// The parts of a URI that a request names (RFC 3986 §3): a host, perhaps with a port, and a target of allowed characters. A
// request that leaves room for two readings of where it goes is refused.

import { CLASS_HEX, CLASS_HOST, CLASS_TARGET, isClass } from "../bytes";
import { isIpv6 } from "./ipv6";

/** 253 bytes of name, and a port; "[…]" of an IPv6 address is shorter. */
const HOST_BYTES_MAX: u32 = 261;

/** RFC 3986 §3.3 and §3.4: allowed characters, and whole escapes. */
export function isTarget(at: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    const byte = load<u8>(at + i);
    if (isClass(byte, CLASS_TARGET)) continue;
    if (byte != 0x25 || i + 2 >= length || !isHexPair(at + i + 1)) return false;
  }
  return length > 0;
}

@inline
function isHexPair(at: usize): bool {
  return isClass(load<u8>(at), CLASS_HEX) && isClass(load<u8>(at + 1), CLASS_HEX);
}

/** Length of a host without the port that goes without saying. */
export function withoutPort(at: usize, length: u32, defaultPort: u32): u32 {
  const digits: u32 = defaultPort == 80 ? 2 : 3;
  if (length <= digits + 1 || load<u8>(at + length - digits - 1) != 0x3a) return length;
  let port: u32 = 0;
  for (let i: u32 = 0; i < digits; i++) {
    const digit = load<u8>(at + length - digits + i) - 0x30;
    if (digit > 9) return length;
    port = port * 10 + digit;
  }
  return port == defaultPort ? length - digits - 1 : length;
}

/** RFC 3986 §3.2.2 and §3.2.3: a name or an IP address, and perhaps a port. No user information. */
export function isHost(at: usize, length: u32): bool {
  if (length == 0 || length > HOST_BYTES_MAX) return false;
  const end = at + length;
  let stop = at;
  if (load<u8>(at) == 0x5b) {
    stop++;
    while (stop < end && (isClass(load<u8>(stop), CLASS_HEX) || load<u8>(stop) == 0x3a || load<u8>(stop) == 0x2e)) stop++;
    if (stop == end || load<u8>(stop) != 0x5d || !isIpv6(at + 1, u32(stop - at - 1))) return false;
    stop++;
  } else {
    while (stop < end && load<u8>(stop) != 0x3a) {
      const byte = load<u8>(stop);
      if (byte == 0x25) {
        if (stop + 2 >= end || !isHexPair(stop + 1)) return false;
      } else if (!isClass(byte, CLASS_HOST)) return false;
      stop++;
    }
    if (stop == at) return false;
  }
  return stop == end || (load<u8>(stop) == 0x3a && isPort(stop + 1, u32(end - stop - 1)));
}

function isPort(at: usize, length: u32): bool {
  if (length == 0 || length > 5) return false;
  let port: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const digit = load<u8>(at + i) - 0x30;
    if (digit > 9) return false;
    port = port * 10 + digit;
  }
  return port > 0 && port < 65536;
}

/** Whether a host is followed by a port. */
export function hasPort(at: usize, length: u32): bool {
  let digits: u32 = 0;
  while (digits < length && load<u8>(at + length - digits - 1) != 0x3a) digits++;
  return isPort(at + length - digits, digits);
}
