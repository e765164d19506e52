// Listening sockets: opened by main, kept for its whole life, passed to the workers. TCP sockets of one listener form a
// SO_REUSEPORT group, so that the kernel spreads connections over the workers. The kernel lets any process of the same user
// join such a group silently; therefore the first socket of a group claims the address without SO_REUSEPORT before.
// A listening socket is closed only when nobody waits in it: `sealListener` turns new connections away, `queuedConnections`
// tells how many still wait.

import { AND, JUMP_IF_EQUAL, layProgram, LOAD_BYTE, RETURN } from "./bpf.ts";
import { closeFd, cString, O_CLOEXEC, O_NONBLOCK, setNonBlocking, unixAddress } from "./fds.ts";
import { checked, EADDRINUSE, EAGAIN, errno, SystemError } from "./errno.ts";
import { rareCalls } from "./rare_calls.ts";

const libc = rareCalls("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  inet_pton: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  inet_ntop: { parameters: ["i32", "buffer", "buffer", "u32"], result: "pointer" },
});

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const SO_TYPE = 3;
const SO_PEERCRED = 17;
const SO_ATTACH_FILTER = 26;
const SO_ACCEPTCONN = 30;
const SO_PROTOCOL = 38;
const SO_DOMAIN = 39;
const IPPROTO_TCP = 6;
const IPPROTO_MPTCP = 262;
const TCP_NODELAY = 1;
const TCP_INFO = 11;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

/** struct tcp_info: of a listening socket, tcpi_unacked is the length of its accept queue. */
const TCPI_UNACKED_AT = 24;

const ON = int32(1);

function int32(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Int32Array([value]).buffer);
}

export interface Endpoint {
  /** An IPv4 or IPv6 address, without brackets. */
  ip: string;
  port: number;
}

/** "ip:port" or "[v6]:port" → its parts; undefined when it is neither. */
export function parseEndpoint(address: string): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3] ?? -1);
  if (!match || port > 65535) return undefined;
  const ip = match[1] ?? match[2]!;
  return isIp(match[1] === undefined ? AF_INET : AF_INET6, ip) ? { ip, port } : undefined;
}

function isIp(family: number, text: string): boolean {
  return !text.includes("\0") && libc.inet_pton(family, cString(text), new Uint8Array(16)) === 1;
}

export function formatEndpoint({ ip, port }: Endpoint): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress({ ip, port }: Endpoint): Uint8Array<ArrayBuffer> {
  const v6 = ip.includes(":");
  const address = new Uint8Array(v6 ? 28 : 16);
  address[0] = v6 ? AF_INET6 : AF_INET;
  address[2] = port >> 8;
  address[3] = port & 255;
  libc.inet_pton(address[0], cString(ip), address.subarray(v6 ? 8 : 4));
  return address;
}

/**
 * Opens `count` listening sockets on one address and gives them with the real port (for port 0).
 * Throws SystemError, with nothing left open, when the address cannot be had or is already served by someone else.
 */
export function openListeners(address: string, count: number, backlog: number): { fds: number[]; address: string } {
  const endpoint = parseEndpoint(address);
  if (!endpoint) throw new TypeError(`listener address ${address}: expected ip:port or [v6]:port`);
  if (endpoint.port !== 0) claim(endpoint);
  const fds: number[] = [];
  try {
    for (let i = 0; i < count; i++) {
      fds.push(openTcp(endpoint, backlog, address));
      if (endpoint.port === 0) endpoint.port = localPort(fds[0]!);
    }
  } catch (error) {
    fds.forEach(closeFd);
    throw error;
  }
  return { fds, address: formatEndpoint(endpoint) };
}

/** Changes the length of the accept queue of a socket that already listens. */
export function listenAgain(fd: number, backlog: number): void {
  checked(libc.listen(fd, backlog), "listen", `descriptor ${fd}`);
}

/** More sockets for the group of an address that is already ours. */
export function joinListeners(address: string, count: number, backlog: number): number[] {
  const endpoint = parseEndpoint(address)!;
  const fds: number[] = [];
  try {
    while (fds.length < count) fds.push(openTcp(endpoint, backlog, address));
  } catch (error) {
    fds.forEach(closeFd);
    throw error;
  }
  return fds;
}

function claim(endpoint: Endpoint): void {
  const fd = newTcpSocket(endpoint);
  try {
    bindTcp(fd, endpoint, formatEndpoint(endpoint));
  } finally {
    closeFd(fd);
  }
}

function newTcpSocket({ ip }: Endpoint): number {
  const family = ip.includes(":") ? AF_INET6 : AF_INET;
  const fd = checked(libc.socket(family, SOCK_STREAM | O_CLOEXEC | O_NONBLOCK, 0), "socket", ip);
  libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, ON, 4);
  // An IPv6 listener takes IPv6 only: the same port on 0.0.0.0 is a listener of its own.
  if (family === AF_INET6) libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, ON, 4);
  return fd;
}

function bindTcp(fd: number, endpoint: Endpoint, name: string): void {
  const address = socketAddress(endpoint);
  checked(libc.bind(fd, address, address.length), "bind", name);
}

function openTcp(endpoint: Endpoint, backlog: number, name: string): number {
  const fd = newTcpSocket(endpoint);
  try {
    checked(libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, ON, 4), "setsockopt SO_REUSEPORT", name);
    // Accepted sockets inherit it.
    checked(libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ON, 4), "setsockopt TCP_NODELAY", name);
    bindTcp(fd, endpoint, name);
    checked(libc.listen(fd, backlog), "listen", name);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

function localPort(fd: number): number {
  const address = new Uint8Array(28);
  checked(libc.getsockname(fd, address, int32(address.length)), "getsockname", `descriptor ${fd}`);
  return address[2]! << 8 | address[3]!;
}

export interface Inspected {
  /** What it is bound to: `ip:port`, `unix:/path`, or "" where that has no text. */
  address: string;
  /** Why it cannot be listened on; "" for a TCP socket that listens. */
  fault: string;
}

/** What a descriptor that somebody else opened is. */
export function inspectListener(fd: number): Inspected {
  const family = socketOption(fd, SO_DOMAIN);
  if (family < 0) return { address: "", fault: "it is no socket" };
  const address = boundAddress(fd);
  if (family === AF_UNIX) return { address, fault: "it is a unix socket" };
  if (family !== AF_INET && family !== AF_INET6) {
    return { address, fault: `it is a socket of address family ${family}` };
  }
  const protocol = socketOption(fd, SO_PROTOCOL);
  const isTcp = protocol === IPPROTO_TCP || protocol === IPPROTO_MPTCP;
  if (socketOption(fd, SO_TYPE) !== SOCK_STREAM || !isTcp) return { address, fault: "it is no TCP socket" };
  return { address, fault: socketOption(fd, SO_ACCEPTCONN) === 1 ? "" : "it does not listen" };
}

function socketOption(fd: number, option: number): number {
  const value = int32(-1);
  return libc.getsockopt(fd, SOL_SOCKET, option, value, int32(4)) < 0 ? -1 : new Int32Array(value.buffer)[0]!;
}

function boundAddress(fd: number): string {
  const address = new Uint8Array(110);
  const length = new Int32Array([address.length]);
  if (libc.getsockname(fd, address, new Uint8Array(length.buffer)) < 0) return "";
  if (address[0] === AF_UNIX) return unixText(address.subarray(2, length[0]));
  if (address[0] !== AF_INET && address[0] !== AF_INET6) return "";
  const v6 = address[0] === AF_INET6;
  const text = new Uint8Array(46);
  libc.inet_ntop(address[0], address.subarray(v6 ? 8 : 4), text, text.length);
  const ip = new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  return formatEndpoint({ ip, port: address[2]! << 8 | address[3]! });
}

/** A path, or a name in the abstract namespace; "" for a socket without either. */
function unixText(path: Uint8Array): string {
  if (path.length === 0) return "";
  const text = new TextDecoder().decode(path);
  return `unix:${text.startsWith("\0") ? `@${text.slice(1)}` : text.replace(/\0.*/, "")}`;
}

/** Whether two texts of `ip:port` are the same address, however its IPv6 is written. */
export function isSameAddress(a: string, b: string): boolean {
  const [first, second] = [parseEndpoint(a), parseEndpoint(b)];
  if (!first || !second) return false;
  const bytes = socketAddress(second);
  return socketAddress(first).every((byte, at) => byte === bytes[at]);
}

/** Makes a listening TCP socket that somebody else opened like our own: as we would have opened it, but alone. */
export function adoptListener(fd: number, backlog: number): void {
  setNonBlocking(fd);
  checked(libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ON, 4), "setsockopt TCP_NODELAY", `descriptor ${fd}`);
  listenAgain(fd, backlog);
}

/** How many connections wait in a listening TCP socket to be accepted; 0 when the kernel does not tell. */
export function queuedConnections(fd: number): number {
  const info = new Uint8Array(104);
  if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, int32(info.length)) < 0) return 0;
  return new DataView(info.buffer).getUint32(TCPI_UNACKED_AT, true);
}

/**
 * Turns new connections away from a listening TCP socket while those that wait in it can still be accepted: a classic BPF
 * program drops segments with SYN and without ACK. Handshakes under way complete. The program is inherited by the sockets
 * accepted later, where such segments mean nothing.
 */
export function sealListener(fd: number): void {
  const { header } = layProgram([
    [LOAD_BYTE, 0, 0, 13], // the flags
    [AND, 0, 0, 0x12], // SYN and ACK
    [JUMP_IF_EQUAL, 0, 1, 0x02],
    [RETURN, 0, 0, 0], // SYN alone: drop
    [RETURN, 0, 0, 0xffffffff], // anything else: take it whole
  ]);
  libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, header, header.length);
}

/** A unix listening socket with mode 0600 from its first moment. The path must be free. */
export function openUnixListener(path: string, backlog: number): number {
  const fd = checked(libc.socket(AF_UNIX, SOCK_STREAM | O_CLOEXEC | O_NONBLOCK, 0), "socket", path);
  const umask = Deno.umask(0o177);
  try {
    const address = unixAddress(path);
    checked(libc.bind(fd, address, address.length), "bind", path);
    checked(libc.listen(fd, backlog), "listen", path);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  } finally {
    Deno.umask(umask);
  }
}

/** Accepts one connection, non-blocking and CLOEXEC; -1 when none waits. */
export function acceptConnection(listener: number): number {
  const fd = libc.accept4(listener, null, null, O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) return fd;
  // Whatever else went wrong (a peer that left, no free descriptor) leaves the listening socket as it was.
  if (errno() === EAGAIN || errno() !== 9) return -1;
  throw new SystemError("accept4", `descriptor ${listener}`, errno());
}

/** Process and user at the other end of a connected unix socket, as the kernel saw them when it connected. */
export function peerOf(fd: number): { pid: number; uid: number } {
  const credentials = new Uint8Array(12); // struct ucred: pid, uid, gid
  checked(
    libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, int32(12)),
    "getsockopt SO_PEERCRED",
    `descriptor ${fd}`,
  );
  const view = new DataView(credentials.buffer);
  return { pid: view.getInt32(0, true), uid: view.getUint32(4, true) };
}

/** Whether an error of opening says that someone else has the address. */
export function isAddressInUse(error: unknown): boolean {
  return error instanceof SystemError && error.code === EADDRINUSE;
}
