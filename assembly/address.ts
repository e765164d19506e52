// Socket addresses (struct sockaddr, as accept4 writes it) as text: IPv4 dotted, IPv6 as RFC 5952 says, IPv4-mapped
// IPv6 as IPv4.

import { intern, putByte, putDecimal, putHex, putText } from "./bytes";

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const LOCAL = intern("unix");

/** Writes the address at `from` without its port; returns the address behind the text (PEER_TEXT_MAX is enough). */
export function putAddress(to: usize, from: usize): usize {
  const family = load<u16>(from);
  if (family == AF_INET) return putIpv4(to, from + 4);
  return family == AF_INET6 ? putIpv6(to, from + 8) : putText(to, LOCAL);
}

function putIpv4(to: usize, from: usize): usize {
  for (let i = 0; i < 4; i++) {
    if (i) to = putByte(to, 0x2e);
    to = putDecimal(to, load<u8>(from + i));
  }
  return to;
}

@inline
function group(from: usize, index: i32): u32 {
  return bswap<u16>(load<u16>(from + 2 * index));
}

function putIpv6(to: usize, from: usize): usize {
  // ::ffff:a.b.c.d
  if (load<u64>(from) == 0 && load<u32>(from, 8) == 0xffff0000) return putIpv4(to, from + 12);
  // the longest run of at least two zero groups, the first of equals (RFC 5952 §4.2)
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && group(from, i + length) == 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    i += length;
  }
  for (let i = 0; i < 8; i++) {
    if (i == best) {
      to = putByte(putByte(to, 0x3a), 0x3a);
      i += bestLength - 1;
      continue;
    }
    if (i > 0 && i != best + bestLength) to = putByte(to, 0x3a);
    to = putHex(to, group(from, i));
  }
  return to;
}
