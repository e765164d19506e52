// The system calls of the data path. Buffers are places in the worker's linear memory, given by their address there;
// results are counts or descriptors, or -errno, so nothing throws and nothing is allocated.
//
// An address is declared `usize` and passed as BigInt.asUintN(64, base + BigInt(at | 0)): V8 keeps that in a register,
// where a plain number for an address costs four times as much and deoptimises the caller again and again.

import { addressOf } from "./fds.ts";
import { rareCalls } from "./rare_calls.ts";

const { symbols: libc } = Deno.dlopen("libc.so.6", {
  accept4: { parameters: ["i32", "usize", "usize", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  connect: { parameters: ["i32", "usize", "u32"], result: "i32" },
  clock_gettime: { parameters: ["i32", "usize"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "usize"], result: "i32" },
  epoll_wait: { parameters: ["i32", "usize", "i32", "i32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "usize", "usize"], result: "i32" },
  recv: { parameters: ["i32", "usize", "u32", "i32"], result: "i32" },
  send: { parameters: ["i32", "usize", "u32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "usize", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  splice: { parameters: ["i32", "usize", "i32", "usize", "u32", "u32"], result: "i32" },
  write: { parameters: ["i32", "usize", "u32"], result: "i32" },
  madvise: { parameters: ["usize", "usize", "i32"], result: "i32" },
});

/** For listeners, pipes that are kept, and the start. */
const rare = rareCalls("libc.so.6", {
  epoll_create1: { parameters: ["i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "usize", "usize"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  pipe2: { parameters: ["usize", "i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
});

/** Of the last call of this thread, in C: for those that call OpenSSL. */
export function lastErrno(): number {
  return errnoView[0]!;
}

const errnoView = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(rare.__errno_location()!, 4));

export const EINTR = 4;
export const EPROTO = 71;
export const ECONNRESET = 104;
export const EAGAIN = 11;
export const ECONNABORTED = 103;
export const ETIMEDOUT = 110;
export const EINPROGRESS = 115;
export const EMFILE = 24;
export const ENFILE = 23;
export const ENOBUFS = 105;
export const ENOMEM = 12;
export const EADDRNOTAVAIL = 99;

export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
export const EPOLLET = 0x80000000 | 0;

export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;

export const SHUT_WR = 1;
/** The bytes stay to be read. */
export const MSG_PEEK = 0x2;
/** With recv on TCP: throw the bytes away instead of copying them. */
export const MSG_TRUNC = 0x20;

/** struct epoll_event in words of 4 bytes: packed on x86-64, padded elsewhere. */
export const EPOLL_EVENT_WORDS = Deno.build.arch === "x86_64" ? 3 : 4;
export const EPOLL_DATA_WORD = Deno.build.arch === "x86_64" ? 1 : 2;

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_CORK = 3;
const TCP_NOTSENT_LOWAT = 25;
const SPLICE_MOVE_NONBLOCK = 3;
const F_SETPIPE_SZ = 1031;
const CLOCK_MONOTONIC_COARSE = 6;
const MADV_DONTNEED = 4;

/** Blocks until something can be read from `fd`, or its other side is gone: for a worker that has nothing to do yet. */
export function waitReadable(fd: number): void {
  const request = new Int32Array([fd, EPOLLIN]);
  while (rare.poll(new Uint8Array(request.buffer), 1n, -1) < 0 && errnoView[0] === EINTR);
}

/** The calls over one linear memory. `scratchAt`: 64 bytes there that only these functions use. */
export type System = ReturnType<typeof bindSystem>;

export function bindSystem(memory: Uint8Array<ArrayBuffer>, scratchAt: number) {
  const base = addressOf(memory);
  const words = new Int32Array(memory.buffer);
  const scratch = BigInt.asUintN(64, base + BigInt(scratchAt));
  const scratchLength = BigInt.asUintN(64, base + BigInt(scratchAt + 32));
  const word = scratchAt >> 2;
  const lengthWord = (scratchAt + 32) >> 2;

  return {
    recv(fd: number, at: number, length: number, flags: number): number {
      const n = libc.recv(fd, BigInt.asUintN(64, base + BigInt(at | 0)), length, flags);
      return n < 0 ? -errnoView[0]! : n;
    },
    /** Like recv; what is received is received again later. */
    peek(fd: number, at: number, length: number): number {
      const n = libc.recv(fd, BigInt.asUintN(64, base + BigInt(at | 0)), length, MSG_PEEK);
      return n < 0 ? -errnoView[0]! : n;
    },
    send(fd: number, at: number, length: number): number {
      const n = libc.send(fd, BigInt.asUintN(64, base + BigInt(at | 0)), length, 0);
      return n < 0 ? -errnoView[0]! : n;
    },
    /** Non-blocking, close-on-exec; the peer's address is written at `addressAt` (28 bytes). */
    accept(fd: number, addressAt: number): number {
      words[lengthWord] = 28;
      const accepted = libc.accept4(
        fd,
        BigInt.asUintN(64, base + BigInt(addressAt | 0)),
        scratchLength,
        SOCK_NONBLOCK | SOCK_CLOEXEC,
      );
      return accepted < 0 ? -errnoView[0]! : accepted;
    },
    streamSocket(family: number): number {
      const fd = libc.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      return fd < 0 ? -errnoView[0]! : fd;
    },
    connect(fd: number, addressAt: number, length: number): number {
      return libc.connect(fd, BigInt.asUintN(64, base + BigInt(addressAt | 0)), length) < 0 ? -errnoView[0]! : 0;
    },
    close(fd: number): void {
      libc.close(fd);
    },
    shutdownWrite(fd: number): void {
      libc.shutdown(fd, SHUT_WR);
    },
    /** What became of a connect: 0 or -errno. */
    socketError(fd: number): number {
      words[lengthWord] = 4;
      return libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, scratch, scratchLength) < 0 ? -errnoView[0]! : -words[word]!;
    },
    /** Port that a listening socket is bound to; 0 for one without ports. */
    localPort(fd: number): number {
      words[lengthWord] = 32;
      if (rare.getsockname(fd, scratch, scratchLength) < 0) return 0;
      const family = words[word]! & 0xffff;
      const port = words[word]! >>> 16;
      return family === 2 || family === 10 ? ((port & 255) << 8) | (port >> 8) : 0;
    },
    setNoDelay(fd: number): void {
      words[word] = 1;
      libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, scratch, 4);
    },
    /** What is written from now on waits, for a fifth of a second at most, until it is let go. */
    holdWrites(fd: number, held: boolean): void {
      words[word] = held ? 1 : 0;
      libc.setsockopt(fd, IPPROTO_TCP, TCP_CORK, scratch, 4);
    },
    /** Writes come back short when so many bytes wait in the socket that have not been sent once (Linux, tcp(7)). */
    setUnsentMax(fd: number, bytes: number): void {
      words[word] = bytes;
      libc.setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, scratch, 4);
    },
    /** The next close sends RST and forgets what was not sent: for answers that must not look complete. */
    setResetOnClose(fd: number): void {
      words[word] = 1;
      words[word + 1] = 0;
      libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch, 8);
    },
    epollCreate(): number {
      return rare.epoll_create1(SOCK_CLOEXEC);
    },
    /** `slot` and `generation` come back with each event. */
    epollControl(
      epoll: number,
      operation: number,
      fd: number,
      events: number,
      slot: number,
      generation: number,
    ): number {
      words[word] = events;
      words[word + EPOLL_DATA_WORD] = slot;
      words[word + EPOLL_DATA_WORD + 1] = generation;
      return libc.epoll_ctl(epoll, operation, fd, scratch) < 0 ? -errnoView[0]! : 0;
    },
    epollWait(epoll: number, at: number, eventsMax: number, timeoutMs: number): number {
      const n = libc.epoll_wait(epoll, BigInt.asUintN(64, base + BigInt(at | 0)), eventsMax, timeoutMs);
      return n < 0 ? -errnoView[0]! : n;
    },
    /** Both ends non-blocking, the pipe as large as `bytes` if the system allows; 0 or -errno. Ends at word(0), word(1). */
    pipe(bytes: number): number {
      if (rare.pipe2(scratch, SOCK_NONBLOCK | SOCK_CLOEXEC) < 0) return -errnoView[0]!;
      rare.fcntl(words[word]!, F_SETPIPE_SZ, bytes);
      return 0;
    },
    word(index: number): number {
      return words[word + index]!;
    },
    splice(from: number, to: number, length: number): number {
      const n = libc.splice(from, 0n, to, 0n, length, SPLICE_MOVE_NONBLOCK);
      return n < 0 ? -errnoView[0]! : n;
    },
    write(fd: number, at: number, length: number): number {
      const n = libc.write(fd, BigInt.asUintN(64, base + BigInt(at | 0)), length);
      return n < 0 ? -errnoView[0]! : n;
    },
    /** Milliseconds of a clock that only goes forward, to the kernel's tick (1–10 ms). */
    monotonicMs(): number {
      libc.clock_gettime(CLOCK_MONOTONIC_COARSE, scratch);
      return words[word]! * 1000 + ((words[word + 2]! / 1_000_000) | 0);
    },
    /** Gives the pages inside the range back to the system; they read as zero afterwards. */
    discard(at: number, length: number): void {
      libc.madvise(BigInt.asUintN(64, base + BigInt(at | 0)), BigInt(length), MADV_DONTNEED);
    },
  };
}
