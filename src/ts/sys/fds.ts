// Descriptors: close, socket pairs, memfds, files for appending, and messages that carry descriptors (SCM_RIGHTS).
// Everything is made with CLOEXEC; a child gets a descriptor only by being spawned with it (process.ts) or by a message.
// Nothing here is on the path of a request: calls take buffers and throw SystemError. One scratch area is shared by all
// messages, which is sound because every call ends before the next begins.

import { checked, EAGAIN, EINTR, errno, SystemError } from "./errno.ts";
import { rareCalls } from "./rare_calls.ts";

const libc = rareCalls("libc.so.6", {
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "i32" },
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
});

export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
const O_WRONLY = 1;
const O_CREAT = 0o100;
const O_APPEND = 0o2000;
const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;
const F_ADD_SEALS = 1033;
const ALL_SEALS = 0xf; // no more seals, shrinking, growing, writing
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_CTRUNC = 8;

/** More descriptors than this the kernel does not take in one message (SCM_MAX_FD is 253). */
export const MESSAGE_FDS_MAX = 250;

const encoder = new TextEncoder();

/** A string as C wants it; a NUL inside would cut it silently. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError(`a NUL character in ${JSON.stringify(text)}`);
  return encoder.encode(text + "\0");
}

/** Address of a buffer that stays where it is as long as it is referenced. */
export function addressOf(buffer: Uint8Array<ArrayBuffer>): bigint {
  return BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer)));
}

export function closeFd(fd: number): void {
  libc.close(fd);
}

/** A second descriptor of the same open file, CLOEXEC. */
export function duplicateFd(fd: number): number {
  return checked(libc.fcntl(fd, F_DUPFD_CLOEXEC, 3), "fcntl", `duplicate ${fd}`);
}

/**
 * Makes a descriptor that was passed to this program its own: no child gets it by being there. False when it is not open, or
 * was made here, where everything has CLOEXEC from the beginning.
 */
export function takeInherited(fd: number): boolean {
  const flags = libc.fcntl(fd, F_GETFD, 0);
  return flags >= 0 && (flags & FD_CLOEXEC) === 0 && libc.fcntl(fd, F_SETFD, FD_CLOEXEC) === 0;
}

/** For all who share the open file. */
export function setNonBlocking(fd: number): void {
  const flags = checked(libc.fcntl(fd, F_GETFL, 0), "fcntl", `descriptor ${fd}`);
  checked(libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK), "fcntl", `descriptor ${fd}`);
}

/** Two connected stream sockets, CLOEXEC and non-blocking. */
export function socketPair(): [number, number] {
  const pair = new Int32Array(2);
  const type = SOCK_STREAM | O_CLOEXEC | O_NONBLOCK;
  checked(libc.socketpair(AF_UNIX, type, 0, new Uint8Array(pair.buffer)), "socketpair", "for a worker");
  return [pair[0]!, pair[1]!];
}

/** Opens a log file for appending, made with mode 0640 when it is not there. */
export function openForAppend(path: string): number {
  return checked(libc.open(cString(path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640), "open", path);
}

/** A sealed, anonymous file that holds `content`: readers share it and nobody can change it. */
export function memoryFile(name: string, content: Uint8Array<ArrayBuffer>): number {
  const fd = checked(libc.memfd_create(cString(name), MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create", name);
  for (let done = 0; done < content.length;) {
    const rest = content.subarray(done);
    done += checked(libc.write(fd, rest, BigInt(rest.length)), "write", name);
  }
  checked(libc.fcntl(fd, F_ADD_SEALS, ALL_SEALS), "fcntl", `seal ${name}`);
  return fd;
}

/** `length` bytes of a file from `at` on. */
export function readRange(fd: number, at: number, length: number): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const rest = content.subarray(done);
    const count = checked(libc.pread(fd, rest, BigInt(rest.length), BigInt(at + done)), "pread", `descriptor ${fd}`);
    if (count === 0) throw new Error(`descriptor ${fd} ends before ${at + length}`);
    done += count;
  }
  return content;
}

/** The whole content of a file, read from its start; does not move the offset that other holders share. */
export function readWhole(fd: number): Uint8Array<ArrayBuffer> {
  let content = new Uint8Array(64 * 1024);
  let length = 0;
  for (;;) {
    const rest = content.subarray(length);
    const count = checked(libc.pread(fd, rest, BigInt(rest.length), BigInt(length)), "pread", `descriptor ${fd}`);
    if (count === 0) return content.slice(0, length);
    length += count;
    if (length === content.length) {
      const larger = new Uint8Array(content.length * 2);
      larger.set(content);
      content = larger;
    }
  }
}

/**
 * Sends one datagram to a unix socket by its path; a leading "@" means the abstract namespace (systemd's NOTIFY_SOCKET).
 * Never waits: throws SystemError with EAGAIN when the receiver has no room.
 */
export function sendDatagram(path: string, text: string): void {
  const fd = checked(libc.socket(AF_UNIX, SOCK_DGRAM | O_CLOEXEC, 0), "socket", path);
  try {
    const address = unixAddress(path);
    const data = encoder.encode(text);
    checked(
      libc.sendto(fd, data, BigInt(data.length), MSG_NOSIGNAL | MSG_DONTWAIT, address, address.length),
      "sendto",
      path,
    );
  } finally {
    closeFd(fd);
  }
}

/** struct sockaddr_un: family, then the path. 108 bytes hold the path and its closing NUL. */
export function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const name = encoder.encode(path.startsWith("@") ? "\0" + path.slice(1) : path + "\0");
  if (name.length > 108) throw new TypeError(`socket path ${path} is ${name.length - 1} bytes long, at most 107 fit`);
  const address = new Uint8Array(2 + name.length);
  address[0] = AF_UNIX;
  address.set(name, 2);
  return address;
}

// The scratch area of a message:  msghdr 0..56 | iovec 64..80 | control: cmsghdr 96..112, descriptors from 112 on
const IOVEC_AT = 64;
const CONTROL_AT = 96;
const RIGHTS_AT = 112;
const CONTROL_BYTES = 16 + 4 * MESSAGE_FDS_MAX + 8;
const message = new Uint8Array(CONTROL_AT + CONTROL_BYTES);
const view = new DataView(message.buffer);
const messageAddress = addressOf(message);

function layMessage(data: Uint8Array<ArrayBuffer>, controlBytes: number): void {
  view.setBigUint64(0, 0n, true); // no address
  view.setUint32(8, 0, true);
  view.setBigUint64(16, messageAddress + BigInt(IOVEC_AT), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, controlBytes > 0 ? messageAddress + BigInt(CONTROL_AT) : 0n, true);
  view.setBigUint64(40, BigInt(controlBytes), true);
  view.setInt32(48, 0, true);
  view.setBigUint64(IOVEC_AT, addressOf(data), true);
  view.setBigUint64(IOVEC_AT + 8, BigInt(data.length), true);
}

/**
 * Sends bytes with descriptors attached to the first of them, without waiting.
 * Gives the number of bytes taken (descriptors went along if it is not 0); 0 when the socket is full.
 */
export function sendMessage(socket: number, data: Uint8Array<ArrayBuffer>, fds: readonly number[]): number {
  if (data.length === 0) return 0;
  if (fds.length > MESSAGE_FDS_MAX) throw new RangeError(`${fds.length} descriptors in one message`);
  const length = 16 + 4 * fds.length;
  view.setBigUint64(CONTROL_AT, BigInt(length), true);
  view.setInt32(CONTROL_AT + 8, SOL_SOCKET, true);
  view.setInt32(CONTROL_AT + 12, SCM_RIGHTS, true);
  fds.forEach((fd, i) => view.setInt32(RIGHTS_AT + 4 * i, fd, true));
  layMessage(data, fds.length > 0 ? (length + 7) & ~7 : 0);
  for (;;) {
    const sent = libc.sendmsg(socket, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno() === EAGAIN) return 0;
    if (errno() !== EINTR) throw new SystemError("sendmsg", `descriptor ${socket}`, errno());
  }
}

/**
 * Receives bytes into `into` without waiting and appends the descriptors that came along to `fds`.
 * Gives the number of bytes, 0 at the end of the stream, -1 when nothing is there.
 */
export function receiveMessage(socket: number, into: Uint8Array<ArrayBuffer>, fds: number[]): number {
  for (;;) {
    layMessage(into, CONTROL_BYTES);
    const count = libc.recvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count >= 0) {
      takeDescriptors(fds);
      if (view.getInt32(48, true) & MSG_CTRUNC) {
        throw new Error("descriptors of a message were lost: no free descriptors");
      }
      return count;
    }
    if (errno() === EAGAIN) return -1;
    if (errno() !== EINTR) throw new SystemError("recvmsg", `descriptor ${socket}`, errno());
  }
}

function takeDescriptors(fds: number[]): void {
  const end = CONTROL_AT + Number(view.getBigUint64(40, true));
  for (let at = CONTROL_AT; at + 16 <= end;) {
    const length = Number(view.getBigUint64(at, true));
    if (length < 16) return;
    if (view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS) {
      for (let i = at + 16; i + 4 <= at + length; i += 4) fds.push(view.getInt32(i, true));
    }
    at += (length + 7) & ~7;
  }
}
