// TLS of a worker: what all its listeners share. The certificates, the ticket keys, and the callbacks by which OpenSSL asks,
// inside a handshake, which certificate a client is to see. A callback learns of whom it is asked from `current`: one
// handshake runs at a time, and it runs to its end before anything else does.

import * as openssl from "../sys/openssl.ts";
import { Authorities } from "./tls_authorities.ts";
import { Certificates, type CertificateSet } from "./tls_certificates.ts";
import { TicketKeys } from "./tls_tickets.ts";
import { type Ssl, TlsCalls } from "./tls_calls.ts";

/** A connection as the callbacks see it. */
export interface Accepting {
  ssl: Ssl | null;
  /** What is set out for it; null until its client has named a host, or when none is. */
  certificates: CertificateSet | null;
  /** What its object of OpenSSL had from the beginning. */
  given: CertificateSet | null;
  /** As the client says it, in lower case; "" when it does not. */
  serverName: string;
  /** Whether there is room for a connection that speaks HTTP/2; and whether that is what was agreed on. */
  readonly mayHttp2: boolean;
  isHttp2: boolean;
}

/** What of a listener the callbacks ask for. */
export interface Offer {
  /** For clients that name no host, or one that nobody knows; null refuses them. */
  defaultSet(): CertificateSet | null;
  /** Protocols in the order of preference, each with its length before it. */
  protocols: Uint8Array<ArrayBuffer>;
  /** The same without HTTP/2. */
  withoutHttp2: Uint8Array<ArrayBuffer>;
  /** `reads`: the client may come with a ticket; otherwise it may only be given some. */
  prepareTickets(reads: boolean): void;
}

/** Of "h2", which no other protocol here has. */
const HTTP2_LENGTH = 2;
/** From how many connections more or fewer on, memory is given back to the system. */
const TRIM_CHANGE = 1_000;
/** More opened or closed within a second than this: there is more to come. */
const TRIM_QUIET = 100;

// What comes behind the parameters that are named here is not looked at.
const SERVER_NAME_CALLBACK = { parameters: ["usize", "pointer"], result: "i32" } as const;
const PLAIN_CALLBACK = { parameters: ["usize"], result: "i32" } as const;
const ALPN_CALLBACK = { parameters: ["usize", "usize", "usize", "usize", "u32"], result: "i32" } as const;

export class Tls {
  readonly lib: openssl.OpenSsl;
  readonly calls: TlsCalls;
  readonly certificates: Certificates;
  readonly tickets: TicketKeys;
  readonly authorities: Authorities;
  /** Connections that hold an object of OpenSSL. */
  connections = 0;
  /** The most and the fewest since memory was given back. */
  #peak = 0;
  #low = 0;
  #changes = 0;
  #current: Accepting | null = null;
  #offer!: Offer;

  /** `complain`: is told of certificates that cannot be used. */
  constructor(memory: Uint8Array<ArrayBuffer>, private readonly complain: (message: string) => void) {
    this.lib = openssl.openssl();
    this.calls = new TlsCalls(memory);
    this.certificates = new Certificates(complain);
    this.tickets = new TicketKeys();
    this.authorities = new Authorities(this.lib);
  }

  /** Has OpenSSL do once what it does at first use: it may read files for that, which the sandbox forbids. */
  warmUp(): void {
    const { lib } = this;
    for (const asClient of [false, true]) {
      const context = lib.SSL_CTX_new(asClient ? lib.TLS_client_method() : lib.TLS_server_method());
      const ssl = lib.SSL_new(context);
      if (asClient) lib.SSL_set_connect_state(ssl);
      else lib.SSL_set_accept_state(ssl);
      lib.SSL_do_handshake(ssl); // fails, without a socket
      lib.SSL_free(ssl);
      lib.SSL_CTX_free(context);
    }
    lib.RAND_bytes(Deno.UnsafePointer.of(new Uint8Array(32)), 32);
    lib.ERR_clear_error();
  }

  /** Goes on with a handshake; as TlsCalls.handshake. */
  handshake(connection: Accepting, offer: Offer): number {
    this.#current = connection;
    this.#offer = offer;
    offer.prepareTickets(connection.certificates === null);
    const result = this.calls.handshake(connection.ssl!);
    this.#current = null;
    return result;
  }

  // ---- what OpenSSL asks ----

  readonly serverNameCallback = new Deno.UnsafeCallback(SERVER_NAME_CALLBACK, (ssl, alert) => {
    const known = this.#answer(false, () => this.#chooseByName(ssl));
    if (known) return openssl.TLSEXT_OK;
    new Int32Array(Deno.UnsafePointerView.getArrayBuffer(alert!, 4))[0] = openssl.ALERT_UNRECOGNIZED_NAME;
    return openssl.TLSEXT_ALERT_FATAL;
  });

  #chooseByName(ssl: Ssl): boolean {
    const current = this.#current!;
    const name = openssl.text(this.lib.SSL_get_servername(ssl, 0)).toLowerCase();
    current.serverName = name;
    current.certificates = (name === "" ? null : this.certificates.find(name)) ?? this.#offer.defaultSet();
    return current.certificates !== null;
  }

  readonly certificateCallback = new Deno.UnsafeCallback(PLAIN_CALLBACK, (ssl) =>
    this.#answer(0, () => {
      const { certificates, given } = this.#current!;
      if (certificates === given) return 1;
      if (given !== null) this.lib.SSL_certs_clear(ssl);
      this.certificates.use(ssl, certificates!);
      return 1;
    }));

  readonly protocolCallback = new Deno.UnsafeCallback(ALPN_CALLBACK, (_ssl, out, outLength, wanted, wantedLength) => {
    // the answer points into `protocols`, which the listener keeps
    const current = this.#current!;
    const { protocols: all, withoutHttp2 } = this.#offer;
    const protocols = current.mayHttp2 || withoutHttp2.length === 0 ? all : withoutHttp2;
    const chosen = this.lib.SSL_select_next_proto(
      out,
      outLength,
      protocols,
      protocols.length,
      wanted,
      wantedLength,
    );
    if (chosen === 1) {
      current.isHttp2 = new Deno.UnsafePointerView(Deno.UnsafePointer.create(outLength)!).getUint8() === HTTP2_LENGTH;
    }
    // RFC 7301 §3.2: nothing in common ends the handshake
    return chosen === 1 ? openssl.TLSEXT_OK : openssl.TLSEXT_ALERT_FATAL;
  });

  readonly stapleCallback = new Deno.UnsafeCallback(
    PLAIN_CALLBACK,
    (ssl) => this.#answer(openssl.TLSEXT_NOACK, () => this.#staple(ssl)),
  );

  #staple(ssl: Ssl): number {
    const { lib } = this;
    const chosen = lib.SSL_get_certificate(ssl);
    const set = this.#current?.certificates?.certificates ?? [];
    // one alone may have been parsed again since the context got it, and has another address then
    const used = set.length === 1
      ? set[0]
      : set.find(({ loaded }) => loaded !== null && Deno.UnsafePointer.equals(loaded.x509, chosen));
    const staple = used && this.certificates.load(used).staple;
    if (staple === undefined || staple.length === 0) return openssl.TLSEXT_NOACK;
    // OpenSSL frees it
    const copy = lib.CRYPTO_malloc(BigInt(staple.length), null, 0)!;
    new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(copy, staple.length)).set(staple);
    lib.SSL_ctrl(ssl, openssl.CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, BigInt(staple.length), copy);
    return openssl.TLSEXT_OK;
  }

  /** Nothing may be thrown through OpenSSL. */
  #answer<T>(failed: T, ask: () => T): T {
    try {
      return ask();
    } catch (error) {
      this.complain((error as Error).message);
      return failed;
    }
  }

  /** Gives all connections of a context a certificate from the beginning; false when it cannot be used. */
  give(context: Deno.PointerObject, { certificates }: CertificateSet): boolean {
    return this.#answer(false, () => {
      for (const certificate of certificates) {
        const { x509, key, chain } = this.certificates.load(certificate);
        if (this.lib.SSL_CTX_use_cert_and_key(context, x509, key, chain, 1) !== 1) return false;
      }
      return true;
    });
  }

  // ---- memory ----

  opened(): void {
    this.connections++;
    this.#changes++;
    if (this.connections > this.#peak) this.#peak = this.connections;
  }

  closed(): void {
    this.connections--;
    this.#changes++;
    if (this.connections < this.#low) this.#low = this.connections;
  }

  /** There may be memory to give back soon. */
  get mayTrim(): boolean {
    return this.#peak - this.connections >= TRIM_CHANGE || this.connections - this.#low >= TRIM_CHANGE;
  }

  /**
   * Once a second. The allocator keeps what connections leave behind, and what their handshakes needed for a while; asking it
   * to give that up takes milliseconds, so it is done once, when many have come or gone and no more do.
   */
  upkeep(): void {
    const quiet = this.#changes < TRIM_QUIET;
    this.#changes = 0;
    if (!quiet || !this.mayTrim) return;
    this.lib.malloc_trim(0n);
    this.#peak = this.#low = this.connections;
  }
}
