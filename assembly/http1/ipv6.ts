// IPv6 addresses as RFC 3986 §3.2.2 has them between the brackets of a host: eight groups of up to four hexadecimal
// digits, "::" once for one or more groups of zeros, and perhaps an IPv4 address for the last two.

import { CLASS_HEX, isClass } from "../bytes";

const GROUPS: i32 = 8;

export function isIpv6(from: usize, length: u32): bool {
  const end = from + length;
  let at = from;
  let groups = 0;
  let isShort = false;
  if (length >= 2 && load<u16>(at) == 0x3a3a) {
    isShort = true;
    at += 2;
  }
  while (at < end) {
    let stop = at;
    while (stop < end && isClass(load<u8>(stop), CLASS_HEX)) stop++;
    if (stop < end && load<u8>(stop) == 0x2e) {
      groups += 2;
      return isIpv4(at, end) && (isShort ? groups < GROUPS : groups == GROUPS);
    }
    if (stop == at || stop > at + 4) return false;
    groups++;
    if (stop == end) break;
    if (load<u8>(stop) != 0x3a || stop + 1 == end) return false;
    at = stop + 1;
    if (load<u8>(at) != 0x3a) continue;
    if (isShort) return false;
    isShort = true;
    at++;
  }
  return isShort ? groups < GROUPS : groups == GROUPS;
}

/** Four numbers up to 255 without zeros in front. */
function isIpv4(from: usize, end: usize): bool {
  let at = from;
  for (let octets = 0; octets < 4; octets++) {
    if (octets > 0 && (at >= end || load<u8>(at++) != 0x2e)) return false;
    const start = at;
    let value: u32 = 0;
    while (at < end && load<u8>(at) - 0x30 < 10 && at < start + 3) value = value * 10 + load<u8>(at++) - 0x30;
    if (at == start || value > 255 || (at > start + 1 && load<u8>(start) == 0x30)) return false;
  }
  return at == end;
}
