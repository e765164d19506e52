// Addresses of backends as the kernel takes them: struct sockaddr bytes, made once when a snapshot is compiled.

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;

/** A place to connect to. */
export interface Endpoint {
  family: number;
  /** struct sockaddr_in, sockaddr_in6 or sockaddr_un. */
  bytes: Uint8Array<ArrayBuffer>;
  text: string;
}

/** `ip:port`, `[ipv6]:port` or `unix:/path`; names have been resolved before. Throws on anything else. */
export function parseEndpoint(text: string): Endpoint {
  if (text.startsWith("unix:")) return { family: AF_UNIX, bytes: unixAddress(text.slice(5)), text };
  const parts = text.match(/^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d+)$/);
  if (!parts) throw new Error(`address ${JSON.stringify(text)}: expected ip:port, [ipv6]:port or unix:/path`);
  const port = Number(parts[3]);
  if (parts[2] !== undefined) return { family: AF_INET, bytes: ipv4Address(parts[2], port), text };
  return { family: AF_INET6, bytes: ipv6Address(parts[1]!, port), text };
}

function header(bytes: Uint8Array<ArrayBuffer>, family: number, port: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family, true);
  view.setUint16(2, port, false);
  return bytes;
}

function ipv4Address(ip: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = header(new Uint8Array(16), AF_INET, port);
  bytes.set(ip.split(".").map(Number), 4);
  return bytes;
}

function ipv6Address(ip: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = header(new Uint8Array(28), AF_INET6, port);
  // the URL parser brings every spelling, also with a dotted end, to hexadecimal groups
  const [left = "", right] = new URL(`http://[${ip}]/`).hostname.slice(1, -1).split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const head = groups(left);
  const tail = right === undefined ? [] : groups(right);
  const all = right === undefined ? head : [...head, ...new Array(8 - head.length - tail.length).fill(0), ...tail];
  all.forEach((group, index) => bytes.set([group >> 8, group & 255], 8 + 2 * index));
  return bytes;
}

function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(path);
  if (name.length > 107) throw new Error(`unix:${path}: a socket's path has at most 107 bytes`);
  const bytes = header(new Uint8Array(110), AF_UNIX, 0);
  bytes.fill(0, 2);
  bytes.set(name, 2);
  return bytes.slice(0, 2 + name.length + 1);
}
