// TLS of one listener: OpenSSL's context by its options, and its handshakes. New options make a new context; connections
// hold on to the one that they began with.

import { addressOf, cString } from "../sys/fds.ts";
import * as openssl from "../sys/openssl.ts";
import { Handshakes } from "./handshakes.ts";
import type { Offer, Tls } from "./tls.ts";
import type { CertificateSet } from "./tls_certificates.ts";
import { protocolList, type Ssl } from "./tls_calls.ts";

export interface TlsServerOptions {
  minVersion: "1.2" | "1.3";
  maxVersion: "1.2" | "1.3";
  /** OpenSSL's notation; "" for ours. */
  ciphers: string;
  cipherSuites: string;
  groups: string;
  defaultCertificate: string;
  ticketLifetimeMs: number;
  handshakeTimeoutMs: number;
  handshakesMax: number;
  clientCertificate: "off" | "optional" | "required";
  /** PEM. */
  clientCa: string;
  clientCrl: string;
  clientDepth: number;
  alpn: readonly string[];
}

/** Of TLS 1.2: forward secret and authenticated; hardware has AES, and who has none says so by preferring ChaCha20. */
const CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20";
/** The first that the library has; OpenSSL before 3.5 knows no hybrid and takes no list with an unknown name. */
const GROUPS = ["X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384"];
const SERVER_OPTIONS = openssl.OP_NO_RENEGOTIATION | openssl.OP_NO_COMPRESSION | openssl.OP_CIPHER_SERVER_PREFERENCE |
  openssl.OP_PRIORITIZE_CHACHA;
const MODES = openssl.MODE_ENABLE_PARTIAL_WRITE | openssl.MODE_ACCEPT_MOVING_WRITE_BUFFER |
  openssl.MODE_RELEASE_BUFFERS | openssl.MODE_NO_AUTO_CHAIN;

/** For each full handshake of TLS 1.3; one more comes with each connection that is resumed. */
const TICKETS = 2n;

/** Options and the context made by them. */
export interface PreparedOptions {
  options: TlsServerOptions;
  context: Deno.PointerObject;
}

/** Sessions that have not begun their handshake refer to a listener's object after the listener is gone. */
const abandoned = new FinalizationRegistry<Deno.PointerObject>((context) => openssl.openssl().SSL_CTX_free(context));

export class TlsServer implements Offer {
  readonly handshakes: Handshakes;
  handshakeTimeoutMs = 0;
  asksForCertificate = false;
  protocols!: Uint8Array<ArrayBuffer>;
  withoutHttp2!: Uint8Array<ArrayBuffer>;
  #context: Deno.PointerObject;
  #options: TlsServerOptions;
  // the default certificate is looked up again when it has been replaced
  #default: CertificateSet | null = null;
  #defaultOf = -1;
  // the one that the context has: its connections, most of all where there is no other, need no call for it
  #given: CertificateSet | null = null;
  // what the context has of the ticket keys
  #ticketsOf = -1;
  #asksForKeys = false;

  /** Throws when OpenSSL does not take the options, and says why. */
  constructor(readonly tls: Tls, readonly name: string, options: TlsServerOptions) {
    this.handshakes = new Handshakes(options.handshakesMax);
    this.#options = options;
    this.#context = makeContext(tls, name, options);
    abandoned.register(this, this.#context, this);
    this.#adopt(options);
  }

  /** Other options, for configure(); throws as the constructor does. */
  prepare(options: TlsServerOptions): PreparedOptions {
    return { options, context: makeContext(this.tls, this.name, options) };
  }

  discard({ context }: PreparedOptions): void {
    this.tls.lib.SSL_CTX_free(context);
  }

  /** From here on, new connections have these options. */
  configure({ options, context }: PreparedOptions): void {
    this.#useContext(context);
    this.#adopt(options);
  }

  #useContext(context: Deno.PointerObject): void {
    this.tls.lib.SSL_CTX_free(this.#context);
    abandoned.unregister(this);
    abandoned.register(this, context, this);
    this.#context = context;
    this.#given = null;
    this.#ticketsOf = -1;
    this.#asksForKeys = false;
  }

  /** A certificate in a context is not taken out again: another one gets another context. */
  #giveDefault(set: CertificateSet): void {
    if (this.#given !== null) this.#useContext(makeContext(this.tls, this.name, this.#options));
    if (this.tls.give(this.#context, set)) this.#given = set;
  }

  #adopt(options: TlsServerOptions): void {
    this.#options = options;
    this.#defaultOf = -1;
    this.handshakes.max = options.handshakesMax;
    this.handshakeTimeoutMs = options.handshakeTimeoutMs;
    this.asksForCertificate = options.clientCertificate !== "off";
    this.protocols = protocolList(options.alpn);
    this.withoutHttp2 = protocolList(options.alpn.filter((name) => name !== "h2"));
  }

  defaultSet(): CertificateSet | null {
    const { certificates } = this.tls;
    if (this.#defaultOf !== certificates.version) {
      this.#defaultOf = certificates.version;
      const { defaultCertificate } = this.#options;
      this.#default = defaultCertificate === "" ? null : certificates.named(defaultCertificate);
      if (this.#default !== null && this.#default !== this.#given) this.#giveDefault(this.#default);
    }
    return this.#default;
  }

  /** What accept() gives a connection from the beginning. */
  givenSet(): CertificateSet | null {
    this.defaultSet();
    return this.#given;
  }

  /** Before a step of a handshake: what the callback is for is over when a name has been asked for. */
  prepareTickets(reads: boolean): void {
    const { tickets } = this.tls;
    if (this.#options.ticketLifetimeMs === 0) return;
    if (this.#ticketsOf !== tickets.version) {
      this.#ticketsOf = tickets.version;
      tickets.give(this.#context);
    }
    const asks = reads && tickets.count > 1;
    if (asks === this.#asksForKeys) return;
    this.#asksForKeys = asks;
    tickets.ask(this.#context, asks);
  }

  /** OpenSSL's side of an accepted socket; null without memory. */
  accept(fd: number): Ssl | null {
    const { lib, calls } = this.tls;
    const ssl = calls.make(this.#context, fd);
    if (ssl !== null) lib.SSL_set_accept_state(BigInt.asUintN(64, ssl));
    return ssl;
  }
}

function makeContext(tls: Tls, name: string, options: TlsServerOptions): Deno.PointerObject {
  const { lib } = tls;
  lib.ERR_clear_error();
  const context = lib.SSL_CTX_new(lib.TLS_server_method());
  if (context === null) throw new Error(openssl.takeErrors(lib));
  try {
    setProtocol(lib, context, options);
    setCallbacks(tls, context, options);
    setTickets(tls, context, name, options);
    if (options.clientCertificate !== "off") setClientCertificates(lib, context, options);
    lib.ERR_clear_error();
    return context;
  } catch (error) {
    lib.SSL_CTX_free(context);
    lib.ERR_clear_error();
    throw error;
  }
}

function setProtocol(lib: openssl.OpenSsl, context: Deno.PointerObject, options: TlsServerOptions): void {
  const { minVersion, maxVersion, ciphers, cipherSuites, groups } = options;
  const check = (done: boolean, what: string) => {
    if (!done) throw new Error(`${what}: ${openssl.takeErrors(lib)}`);
  };
  lib.SSL_CTX_ctrl(context, openssl.CTRL_MODE, BigInt(MODES), null);
  lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_READ_AHEAD, 1n, null);
  lib.SSL_CTX_set_options(context, SERVER_OPTIONS);
  lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_MIN_PROTO_VERSION, openssl.VERSIONS[minVersion], null);
  lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_MAX_PROTO_VERSION, openssl.VERSIONS[maxVersion], null);
  check(lib.SSL_CTX_set_cipher_list(context, cString(ciphers || CIPHERS)) === 1, `ciphers ${JSON.stringify(ciphers)}`);
  if (cipherSuites) {
    check(
      lib.SSL_CTX_set_ciphersuites(context, cString(cipherSuites)) === 1,
      `cipher_suites ${JSON.stringify(cipherSuites)}`,
    );
  }
  const lists = groups ? [groups] : GROUPS;
  const taken = lists.some((list) => lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_GROUPS_LIST, 0n, cString(list)) === 1n);
  check(taken, `groups ${JSON.stringify(groups)}`);
}

function setCallbacks(tls: Tls, context: Deno.PointerObject, { alpn }: TlsServerOptions): void {
  const { lib } = tls;
  lib.SSL_CTX_callback_ctrl(context, openssl.CTRL_SET_TLSEXT_SERVERNAME_CB, tls.serverNameCallback.pointer);
  lib.SSL_CTX_set_cert_cb(context, tls.certificateCallback.pointer, null);
  lib.SSL_CTX_callback_ctrl(context, openssl.CTRL_SET_TLSEXT_STATUS_REQ_CB, tls.stapleCallback.pointer);
  if (alpn.length > 0) lib.SSL_CTX_set_alpn_select_cb(context, tls.protocolCallback.pointer, null);
}

/**
 * Sessions are kept by clients alone, in tickets. The identifier of the session context keeps a ticket to the listener, and
 * to those whom it trusts: otherwise one who was let in elsewhere, or before a revocation, could come in by it.
 */
function setTickets(tls: Tls, context: Deno.PointerObject, name: string, options: TlsServerOptions): void {
  const { lib } = tls;
  const { clientCertificate, clientCa, clientCrl, clientDepth, ticketLifetimeMs } = options;
  lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_SESS_CACHE_MODE, openssl.SESS_CACHE_OFF, null);
  const identifier = sha256(lib, JSON.stringify([name, clientCertificate, clientCa, clientCrl, clientDepth]));
  lib.SSL_CTX_set_session_id_context(context, identifier, identifier.length);
  if (ticketLifetimeMs === 0) {
    lib.SSL_CTX_set_options(context, openssl.OP_NO_TICKET);
    lib.SSL_CTX_set_num_tickets(context, 0n);
    return;
  }
  lib.SSL_CTX_set_num_tickets(context, TICKETS);
  lib.SSL_CTX_set_timeout(context, BigInt(Math.max(1, Math.round(ticketLifetimeMs / 1000))));
}

function setClientCertificates(lib: openssl.OpenSsl, context: Deno.PointerObject, options: TlsServerOptions): void {
  const { clientCertificate, clientCa, clientCrl, clientDepth } = options;
  const required = clientCertificate === "required" ? openssl.VERIFY_FAIL_IF_NO_PEER_CERT : 0;
  lib.SSL_CTX_set_verify(context, openssl.VERIFY_PEER | required, null);
  lib.SSL_CTX_set_verify_depth(context, clientDepth);
  const store = lib.SSL_CTX_get_cert_store(context);
  const authorities = openssl.readCertificates(lib, clientCa);
  if (authorities.length === 0) throw new Error("client_ca: there is no certificate in it");
  for (const authority of authorities) {
    lib.X509_STORE_add_cert(store, authority);
    lib.SSL_CTX_add_client_CA(context, authority);
    lib.X509_free(authority);
  }
  if (clientCrl === "") return;
  const lists = openssl.readRevocationLists(lib, clientCrl);
  if (lists.length === 0) throw new Error("client_crl: there is no revocation list in it");
  for (const list of lists) {
    lib.X509_STORE_add_crl(store, list);
    lib.X509_CRL_free(list);
  }
  lib.X509_STORE_set_flags(store, openssl.X509_V_FLAG_CRL_CHECK);
}

function sha256(lib: openssl.OpenSsl, text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text);
  const digest = new Uint8Array(32);
  lib.EVP_Digest(addressOf(bytes), BigInt(bytes.length), digest, null, lib.EVP_sha256(), null);
  return digest;
}
