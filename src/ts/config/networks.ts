// Networks (CIDR, RFC 4632 and RFC 4291 §2.3) as text and in the binary form in which a worker compares addresses: 16
// bytes, IPv4 mapped into IPv6, and a prefix length of 0 to 128 that counts the 96 bits of the mapping.

import { FormatError } from "./format_error.ts";
import { formatIp, isV4, parseIp, V4_PREFIX_BITS } from "./ip.ts";

export interface Network {
  /** 16 bytes; those bits that the prefix does not cover are zero. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Bits that count, of 128. */
  prefix: number;
}

const NETWORK = 'a network such as "10.0.0.0/8" or "fd00::/8", or a single address';

/** Reads `address` or `address/prefix`; throws a FormatError, also when bits beyond the prefix are set. */
export function parseNetwork(text: string): Network {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const bytes = parseIp(address);
  if (!bytes) throw new FormatError(NETWORK, text, /^\[.*\]/.test(text) ? "write it without brackets" : "");
  // The family is the one that was written: "::ffff:0.0.0.0/96" counts the bits of IPv6, and means all of IPv4.
  const isWrittenAsV4 = !address.includes(":");
  const width = isWrittenAsV4 ? 32 : 128;
  const digits = slash < 0 ? String(width) : text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > width) {
    throw new FormatError(`a prefix length of 0 to ${width} after the "/"`, text);
  }
  const prefix = Number(digits) + (isWrittenAsV4 ? V4_PREFIX_BITS : 0);
  const network = { bytes: masked(bytes, prefix), prefix };
  if (!bytes.every((byte, at) => byte === network.bytes[at])) {
    throw new FormatError(
      "no bits set beyond the prefix length",
      text,
      `did you mean "${formatNetwork(network)}", or "${formatIp(bytes)}" alone?`,
    );
  }
  return network;
}

function masked(bytes: Uint8Array, prefix: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes);
  for (let at = 0; at < out.length; at++) {
    const bits = Math.max(0, Math.min(8, prefix - 8 * at));
    out[at]! &= 0xff << (8 - bits);
  }
  return out;
}

/** Canonical text, always with the prefix length. */
export function formatNetwork({ bytes, prefix }: Network): string {
  if (isV4(bytes) && prefix >= V4_PREFIX_BITS) return `${formatIp(bytes)}/${prefix - V4_PREFIX_BITS}`;
  return `${formatIp(bytes)}/${prefix}`;
}

/**
 * True if the 16 bytes at `at` are an address of the network; allocates nothing. A network of IPv6 holds no IPv4
 * address, "::/0" included: who means both families names both.
 */
export function networkContains(network: Network, bytes: Uint8Array, at = 0): boolean {
  if (network.prefix < V4_PREFIX_BITS && isV4(bytes, at)) return false;
  const whole = network.prefix >> 3;
  for (let i = 0; i < whole; i++) {
    if (network.bytes[i] !== bytes[at + i]) return false;
  }
  const rest = network.prefix & 7;
  return rest === 0 || ((network.bytes[whole]! ^ bytes[at + whole]!) >> (8 - rest)) === 0;
}
