// What a connection asks of OpenSSL, with the results of system calls: a count, 0 at the end of the stream, WOULD_BLOCK, or
// -errno, so that the data path is the same with TLS and without. Buffers are places in linear memory, nothing is allocated:
// that is why the calls of the data path take the address of OpenSSL's object, not the runtime's object for a pointer, whose
// way through the call costs about 40 bytes.
//
// OpenSSL says why a call failed only through its queue of errors and SSL_get_error(), which takes an entry that an earlier
// call of anybody left there for one of the last call: so the queue is emptied before each call.

import { addressOf } from "../sys/fds.ts";
import { EAGAIN, ECONNRESET, EPROTO, lastErrno } from "../sys/libc.ts";
import * as openssl from "../sys/openssl.ts";

/** Where an object of OpenSSL lies. */
export type Address = bigint;
/** A connection's object. */
export type Ssl = Address;

/** Reading goes on when the socket can be written. */
export const WANTS_WRITE = -(EAGAIN | 0x1000);
const WOULD_BLOCK = -EAGAIN;

/** SSL_R_UNEXPECTED_EOF_WHILE_READING: the peer has closed without saying so in TLS. */
const UNEXPECTED_EOF = 294;
/** The reason is the lower part of an error's number. */
const REASON_MASK = 0x7fffffn;
/** A read of OpenSSL's that begins a record asks for more than this: if it got less, it has emptied the socket. */
export const READ_AHEAD_BYTES = 16384;

/** For ALPN (RFC 7301 §3.1): each name with its length before it. */
export function protocolList(names: readonly string[]): Uint8Array<ArrayBuffer> {
  const texts = names.map((name) => new TextEncoder().encode(name));
  return new Uint8Array(texts.flatMap((text) => [text.length, ...text]));
}

export class TlsCalls {
  readonly #lib: openssl.OpenSsl;
  readonly #base: bigint;
  /** Of the last call that failed by what the peer sent. */
  #failure = 0n;

  constructor(memory: Uint8Array<ArrayBuffer>) {
    this.#lib = openssl.openssl();
    this.#base = addressOf(memory);
  }

  /** At most one record's bytes. */
  read(ssl: Address, at: number, length: number): number {
    const lib = this.#lib;
    lib.ERR_clear_error();
    const n = lib.SSL_read(BigInt.asUintN(64, ssl), BigInt.asUintN(64, this.#base + BigInt(at | 0)), length);
    return n > 0 ? n : this.#failed(ssl, n);
  }

  /** Writes until all is written, or the socket takes no more; the rest must be offered again then, with all that follows. */
  write(ssl: Address, at: number, length: number): number {
    const lib = this.#lib;
    let done = 0;
    while (done < length) {
      lib.ERR_clear_error();
      const n = lib.SSL_write(
        BigInt.asUintN(64, ssl),
        BigInt.asUintN(64, this.#base + BigInt((at + done) | 0)),
        length - done,
      );
      if (n <= 0) {
        const failure = this.#failed(ssl, n);
        return done > 0 ? done : failure;
      }
      done += n;
    }
    return done;
  }

  /** Whether OpenSSL has read something from the socket that it has not given out. */
  holdsMore(ssl: Address): boolean {
    return this.#lib.SSL_has_pending(BigInt.asUintN(64, ssl)) !== 0;
  }

  /** How many bytes have been read from the socket, modulo 2^32. */
  received(bio: Address): number {
    return this.#lib.BIO_number_read(BigInt.asUintN(64, bio));
  }

  /** Speaks on a socket from now on, as soon as it is told which side it is; null without memory. */
  make(context: Deno.PointerObject, fd: number): Ssl | null {
    const lib = this.#lib;
    const ssl = lib.SSL_new(context);
    if (ssl !== 0n && lib.SSL_set_fd(BigInt.asUintN(64, ssl), fd) === 1) return ssl;
    lib.SSL_free(BigInt.asUintN(64, ssl));
    return null;
  }

  readBio(ssl: Ssl): Address {
    return this.#lib.SSL_get_rbio(BigInt.asUintN(64, ssl));
  }

  /** 1 when it is complete; WOULD_BLOCK, WANTS_WRITE; 0 when the peer ended it; -errno, see `lastReason`. */
  handshake(ssl: Ssl): number {
    this.#lib.ERR_clear_error();
    const result = this.#lib.SSL_do_handshake(BigInt.asUintN(64, ssl));
    return result === 1 ? 1 : this.#failed(ssl, result);
  }

  /** Says to the peer that nothing more follows. What the socket does not take now is lost. */
  notifyClose(ssl: Ssl): void {
    this.#lib.ERR_clear_error();
    this.#lib.SSL_shutdown(BigInt.asUintN(64, ssl));
    this.#lib.ERR_clear_error();
  }

  free(ssl: Ssl): void {
    this.#lib.SSL_free(BigInt.asUintN(64, ssl));
  }

  /** Why the last call gave -EPROTO: a number of OpenSSL (SSL_R_…). */
  get lastReason(): number {
    return Number(this.#failure & REASON_MASK);
  }

  get lastReasonText(): string {
    return openssl.text(this.#lib.ERR_reason_error_string(this.#failure)) || "no reason given";
  }

  #failed(ssl: Address, result: number): number {
    const lib = this.#lib;
    switch (lib.SSL_get_error(BigInt.asUintN(64, ssl), result)) {
      case openssl.ERROR_WANT_READ:
        return WOULD_BLOCK;
      case openssl.ERROR_WANT_WRITE:
        return WANTS_WRITE;
      case openssl.ERROR_ZERO_RETURN:
        return 0;
      case openssl.ERROR_SYSCALL:
        return -(lastErrno() || ECONNRESET);
      default: {
        this.#failure = lib.ERR_peek_last_error();
        lib.ERR_clear_error();
        return this.lastReason === UNEXPECTED_EOF ? -ECONNRESET : -EPROTO;
      }
    }
  }
}
