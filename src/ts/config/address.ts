// Addresses of sockets as text: `ip:port` and `[ipv6]:port` for listeners and backends, `name:port` and `unix:/path` for
// backends only. Names are not looked up here.

import { FormatError } from "./format_error.ts";
import { canonicalName } from "./hosts.ts";
import { formatIp, isV4, parseIp } from "./ip.ts";

export type Address =
  /** `bytes` are 16, IPv4 mapped; `ip` is their canonical text without brackets. */
  | { kind: "ip"; family: 4 | 6; ip: string; bytes: Uint8Array<ArrayBuffer>; port: number }
  | { kind: "name"; name: string; port: number }
  | { kind: "unix"; path: string };

/** sun_path of Linux holds 108 bytes, the last of them zero (unix(7)). */
export const UNIX_PATH_BYTES_MAX = 107;

const ADDRESS = 'an address such as "10.0.0.1:8080", "[::1]:8080", "name:8080" or "unix:/run/app.sock"';
const BOUND_ADDRESS = 'an address to bind, such as "0.0.0.0:80" or "[::]:80"';
const BAD_PORT = "a port is a number up to 65535, without zeros before it";
const PORT = /^(0|[1-9]\d{0,4})$/;

/** Reads any address; throws a FormatError. A port of 0 is refused, since nobody can connect to it. */
export function parseAddress(text: string): Address {
  const address = split(text, ADDRESS);
  if (address.kind !== "unix" && address.port === 0) throw new FormatError("a port of 1 to 65535", text);
  return address;
}

/** Reads what a listener binds: an IP address and a port, 0 for one that the kernel chooses; throws a FormatError. */
export function parseBoundAddress(text: string): Address & { kind: "ip" } {
  const address = split(text, BOUND_ADDRESS);
  if (address.kind === "ip") return address;
  const isLocal = address.kind === "name" && address.name === "localhost";
  throw new FormatError(BOUND_ADDRESS, text, isLocal ? `did you mean "127.0.0.1:${address.port}"?` : "");
}

function split(text: string, expected: string): Address {
  if (text.startsWith("unix:")) return unixAddress(text);
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, Math.max(colon, 0));
  const port = portOf(text.slice(colon + 1));
  if (host === "" || port === null) throw new FormatError(expected, text, hintFor(text, host));
  const bytes = host.startsWith("[") && host.endsWith("]") ? bracketedIp(host) : parseIp(host);
  if (bytes && (host.startsWith("[") || !host.includes(":"))) {
    return { kind: "ip", family: isV4(bytes) ? 4 : 6, ip: formatIp(bytes), bytes, port };
  }
  if (bytes) throw new FormatError(expected, text, hintFor(text, host));
  const name = canonicalName(host);
  if (name === null) throw new FormatError(expected, text, hintFor(text, host));
  return { kind: "name", name, port };
}

function bracketedIp(host: string): Uint8Array<ArrayBuffer> | null {
  return host.includes(":") ? parseIp(host.slice(1, -1)) : null;
}

function portOf(digits: string): number | null {
  return PORT.test(digits) && Number(digits) <= 65535 ? Number(digits) : null;
}

function unixAddress(text: string): Address {
  const path = text.slice("unix:".length);
  checkSocketPath(path, text);
  return { kind: "unix", path };
}

/** Throws a FormatError unless `path` can be the path of a unix socket; `text` is what the error shows. */
export function checkSocketPath(path: string, text: string): void {
  if (!path.startsWith("/") || path.includes("\0")) throw new FormatError("an absolute path of a socket", text);
  if (new TextEncoder().encode(path).length > UNIX_PATH_BYTES_MAX) {
    throw new FormatError(`a path of at most ${UNIX_PATH_BYTES_MAX} bytes, which is what the kernel takes`, text);
  }
}

function hintFor(text: string, host: string): string {
  if (/^\w+:\/\//.test(text)) return "write the address alone, without scheme and path";
  // "::1:80" is an address, too, but rather meant as one with a port.
  if (host.includes(":") && parseIp(host)) return `did you mean "[${host}]${text.slice(host.length)}"?`;
  if (text.includes(":") && parseIp(text)) return `write it in brackets, with a port: "[${text}]:80"`;
  if (/^:\d+$/.test(text)) return `write "0.0.0.0${text}" for all of IPv4, "[::]${text}" for all of IPv6`;
  if (text.startsWith("/")) return `write "unix:${text}"`;
  if (!text.includes(":") || text.endsWith("]")) return "the port is missing";
  return /:\d+$/.test(text) && portOf(text.slice(host.length + 1)) === null ? BAD_PORT : "";
}

/** The canonical text of an address; `parseAddress` reads it back. */
export function formatAddress(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  if (address.kind === "name") return `${address.name}:${address.port}`;
  return address.family === 6 ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}
