// TLS towards the backends of one cluster: OpenSSL's context by its options, and for each backend the name that its
// certificate must have and the session of the last connection, by which the next one is shorter. Other options make
// another client; connections hold on to the one that they began with.

import { cString } from "../sys/fds.ts";
import * as openssl from "../sys/openssl.ts";
import type { Tls } from "./tls.ts";
import { protocolList, type Ssl } from "./tls_calls.ts";
import { type CertificateMaterial, freeParsed, parseMaterial } from "./tls_certificates.ts";

export interface TlsClientOptions {
  /** All that is offered by ALPN. */
  protocol: "http/1.1" | "h2";
  verify: boolean;
  /** PEM of the authorities that are trusted; not looked at without `verify`. */
  ca: string;
  minVersion: "1.2" | "1.3";
  /** What is shown to backends that ask for a certificate. */
  certificate: CertificateMaterial | null;
}

const OPTIONS = openssl.OP_NO_RENEGOTIATION | openssl.OP_NO_COMPRESSION;
const MODES = openssl.MODE_ENABLE_PARTIAL_WRITE | openssl.MODE_ACCEPT_MOVING_WRITE_BUFFER |
  openssl.MODE_RELEASE_BUFFERS;
const HOST_NAME = 0n;

const chosen = new BigUint64Array(1);
const chosenLength = new Uint32Array(1);

export class TlsClient {
  readonly #context: Deno.PointerObject;
  readonly #ca: string | null;

  /** Throws when OpenSSL does not take the options, and says why. */
  constructor(readonly tls: Tls, readonly options: TlsClientOptions) {
    const { lib } = tls;
    lib.ERR_clear_error();
    const context = lib.SSL_CTX_new(lib.TLS_client_method());
    if (context === null) throw new Error(openssl.takeErrors(lib));
    this.#context = context;
    this.#ca = options.verify ? options.ca : null;
    try {
      this.#setUp(options);
    } catch (error) {
      lib.SSL_CTX_free(context);
      throw error;
    }
  }

  #setUp({ protocol, minVersion, certificate }: TlsClientOptions): void {
    const { tls: { lib, authorities } } = this;
    const context = this.#context;
    lib.SSL_CTX_ctrl(context, openssl.CTRL_MODE, BigInt(MODES), null);
    lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_READ_AHEAD, 1n, null);
    lib.SSL_CTX_set_options(context, OPTIONS);
    lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_MIN_PROTO_VERSION, openssl.VERSIONS[minVersion], null);
    lib.SSL_CTX_ctrl(context, openssl.CTRL_SET_SESS_CACHE_MODE, openssl.SESS_CACHE_OFF, null);
    const protocols = protocolList([protocol]);
    lib.SSL_CTX_set_alpn_protos(context, protocols, protocols.length);
    if (certificate !== null) this.#show(certificate);
    if (this.#ca === null) return;
    lib.SSL_CTX_set1_cert_store(context, authorities.enter(this.#ca));
    lib.SSL_CTX_set_verify(context, openssl.VERIFY_PEER, null);
  }

  #show(material: CertificateMaterial): void {
    const { lib } = this.tls;
    const parsed = parseMaterial(lib, "certificate", material);
    const taken = lib.SSL_CTX_use_cert_and_key(this.#context, parsed.x509, parsed.key, parsed.chain, 1);
    freeParsed(lib, parsed);
    if (taken !== 1) throw new Error(`certificate: ${openssl.takeErrors(lib)}`);
  }

  /** OpenSSL's side of a socket that is to be connected; null without memory. */
  open(fd: number): Ssl | null {
    const { lib, calls } = this.tls;
    const ssl = calls.make(this.#context, fd);
    if (ssl !== null) lib.SSL_set_connect_state(ssl);
    return ssl;
  }

  /** What the backend has chosen by ALPN; "" when it knows nothing of that. */
  protocolOf(ssl: Ssl): string {
    this.tls.lib.SSL_get0_alpn_selected(ssl, chosen, chosenLength);
    const at = Deno.UnsafePointer.create(chosen[0]!);
    if (at === null) return "";
    return new TextDecoder().decode(new Deno.UnsafePointerView(at).getArrayBuffer(chosenLength[0]!));
  }

  /** No connection begins by it any more. */
  close(): void {
    this.tls.lib.SSL_CTX_free(this.#context);
    if (this.#ca !== null) this.tls.authorities.leave(this.#ca);
  }
}

/** One backend as a client speaks to it. */
export class TlsTarget {
  #session: Deno.PointerValue = null;
  readonly #name: Uint8Array<ArrayBuffer>;
  readonly #isAddress: boolean;

  /** `name`: a host's, or an IP address; "" only where nothing is verified. */
  constructor(readonly client: TlsClient, readonly name: string) {
    this.#name = cString(name);
    this.#isAddress = name.includes(":") || /^[0-9.]+$/.test(name);
  }

  /** As TlsClient.open, for this backend. */
  open(fd: number): Ssl | null {
    const { lib } = this.client.tls;
    lib.ERR_clear_error();
    const ssl = this.client.open(fd);
    if (ssl === null) return null;
    // RFC 6066 §3: addresses are not asked for by name
    if (this.name !== "" && !this.#isAddress) {
      lib.SSL_ctrl(ssl, openssl.CTRL_SET_TLSEXT_HOSTNAME, HOST_NAME, Deno.UnsafePointer.of(this.#name));
    }
    if (this.client.options.verify) this.#expect(ssl);
    if (this.#session !== null) lib.SSL_set_session(ssl, this.#session);
    return ssl;
  }

  #expect(ssl: Ssl): void {
    const { lib } = this.client.tls;
    if (this.#isAddress) {
      lib.X509_VERIFY_PARAM_set1_ip_asc(lib.SSL_get0_param(ssl), this.#name);
      return;
    }
    lib.SSL_set_hostflags(ssl, openssl.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    lib.SSL_set1_host(ssl, this.#name);
  }

  /** As remember(), if `backend` is still spoken to as the connection was. */
  rememberFor(backend: { tls: TlsTarget | null; retired: boolean }, ssl: Ssl): void {
    if (this === backend.tls && !backend.retired) this.remember(ssl);
  }

  /** Keeps the session of a connection that has worked for the next one. */
  remember(ssl: Ssl): void {
    const { lib } = this.client.tls;
    const session = lib.SSL_get1_session(ssl);
    if (session === null) return;
    if (lib.SSL_SESSION_is_resumable(session) !== 1) return void lib.SSL_SESSION_free(session);
    this.forget();
    this.#session = session;
  }

  forget(): void {
    if (this.#session !== null) this.client.tls.lib.SSL_SESSION_free(this.#session);
    this.#session = null;
  }
}
