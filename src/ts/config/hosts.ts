// Names of hosts: those of backends, and the patterns of routes. The canonical form is what a Host field carries: lower
// case, no trailing dot, ASCII (internationalised names by IDNA, in their xn-- form).

import { FormatError } from "./format_error.ts";
import { formatIp, parseIp } from "./ip.ts";

/** Longest name and longest label (RFC 1035 §2.3.4). */
const NAME_LENGTH_MAX = 253;
const LABELS = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;

/** A name whose last label is a number is an IPv4 address, perhaps a malformed one (WHATWG URL, "ends in a number"). */
const ENDS_IN_NUMBER = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

// deno-lint-ignore no-control-regex
const BEYOND_ASCII = /[^\x00-\x7f]/g;

const HOST = 'a name such as "example.com", "*.example.com" or "[::1]", or "*" for any';

/** The canonical form of a name, or null if it is none. IP addresses are no names. */
export function canonicalName(text: string): string | null {
  if (text.length > NAME_LENGTH_MAX + 1) return null;
  let name = text.toLowerCase();
  if (name.endsWith(".")) name = name.slice(0, -1);
  if (name.search(BEYOND_ASCII) >= 0) {
    // The URL parser does IDNA, but takes other characters for a port, a user, a path: only what is a name but for its
    // letters may go there.
    if (!LABELS.test(name.replace(BEYOND_ASCII, "a"))) return null;
    name = URL.parse(`http://${name}`)?.hostname ?? "";
  }
  return LABELS.test(name) && name.length <= NAME_LENGTH_MAX && !ENDS_IN_NUMBER.test(name) ? name : null;
}

/**
 * The canonical form of a route's host: a name, `*.name`, an IPv4 address, an IPv6 address in brackets, or "" for any;
 * throws a FormatError.
 */
export function parseHostPattern(text: string): string {
  if (text === "*") return "";
  if (text === "") throw new FormatError(HOST, text, 'write "*" for any host, or leave the key out');
  if (text.startsWith("[")) return bracketed(text);
  const isWildcard = text.startsWith("*.");
  const name = canonicalName(isWildcard ? text.slice(2) : text);
  if (name !== null) return isWildcard ? `*.${name}` : name;
  if (!isWildcard && parseIp(text)) return text.includes(":") ? `[${formatIp(parseIp(text)!)}]` : text;
  throw new FormatError(HOST, text, hostHint(text));
}

function bracketed(text: string): string {
  const bytes = text.endsWith("]") ? parseIp(text.slice(1, -1)) : null;
  if (!bytes || !text.includes(":")) throw new FormatError(HOST, text, hostHint(text));
  const address = formatIp(bytes);
  return address.includes(":") ? `[${address}]` : address;
}

function hostHint(text: string): string {
  if (/^\w+:\/\//.test(text)) return "write the host alone, without scheme and path";
  if (/:\d+$/.test(text)) return "write it without port: a route holds for every port";
  if (text.includes("/")) return 'the path belongs under "path"';
  if (text.includes("*")) return 'a wildcard is the whole first label: "*.example.com"';
  return "";
}
