// IP addresses as text and as 16 bytes. IPv4 is held in its mapped form (RFC 4291 §2.5.5.2, ::ffff:a.b.c.d), so that one
// comparison serves both families. Text is strict: no leading zeros, no zone, no short forms of IPv4; what is printed
// follows RFC 5952.

export const IP_BYTES = 16;
export const V4_PREFIX_BITS = 96;

const V4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;
const GROUP = /^[0-9A-Fa-f]{1,4}$/;

/** The 16 bytes of an IPv4 or IPv6 address without brackets; null if the text is neither. */
export function parseIp(text: string): Uint8Array<ArrayBuffer> | null {
  return text.includes(":") ? parseV6(text) : parseV4(text);
}

function parseV4(text: string): Uint8Array<ArrayBuffer> | null {
  const match = V4.exec(text);
  if (!match) return null;
  const bytes = new Uint8Array(IP_BYTES);
  bytes[10] = bytes[11] = 0xff;
  for (let at = 0; at < 4; at++) {
    const value = Number(match[at + 1]);
    if (value > 255) return null;
    bytes[12 + at] = value;
  }
  return bytes;
}

function parseV6(text: string): Uint8Array<ArrayBuffer> | null {
  // The longest spelling has 45 characters (RFC 4291 with an IPv4 tail).
  if (text.length > 45) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
  if (!head || !tail) return null;
  const missing = 8 - head.length - tail.length;
  // "::" stands for at least one group, so that an address has one meaning and no superfluous "::".
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const bytes = new Uint8Array(IP_BYTES);
  [...head, ...Array<number>(missing).fill(0), ...tail].forEach((group, at) => {
    bytes[2 * at] = group >> 8;
    bytes[2 * at + 1] = group & 255;
  });
  return bytes;
}

/** The 16-bit groups of one side of "::"; the last group may be an IPv4 address where `mayEndInV4`. */
function groupsOf(text: string, mayEndInV4: boolean): number[] | null {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [at, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(parseInt(part, 16));
      continue;
    }
    const v4 = mayEndInV4 && at === parts.length - 1 ? parseV4(part) : null;
    if (!v4) return null;
    groups.push(v4[12]! << 8 | v4[13]!, v4[14]! << 8 | v4[15]!);
  }
  return groups;
}

/** True if the 16 bytes at `at` are in ::ffff:0:0/96, which is IPv4. */
export function isV4(bytes: Uint8Array, at = 0): boolean {
  for (let i = at; i < at + 10; i++) {
    if (bytes[i] !== 0) return false;
  }
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
}

/** Canonical text of 16 bytes: IPv4 with dots, IPv6 by RFC 5952 without brackets. */
export function formatIp(bytes: Uint8Array): string {
  if (isV4(bytes)) return bytes.subarray(12, 16).join(".");
  const groups: number[] = [];
  for (let at = 0; at < IP_BYTES; at += 2) groups.push(bytes[at]! << 8 | bytes[at + 1]!);
  const [from, length] = longestZeroRun(groups);
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, from).join(":")}::${hex.slice(from + length).join(":")}`;
}

/** Where the first of the longest runs of zero groups begins, and its length. */
function longestZeroRun(groups: number[]): [number, number] {
  let best: [number, number] = [0, 0];
  for (let from = 0; from < groups.length; from++) {
    let length = 0;
    while (groups[from + length] === 0) length++;
    if (length > best[1]) best = [from, length];
    from += length;
  }
  return best;
}
