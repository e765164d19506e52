// The only file that opens libssl and libcrypto. They are opened when somebody first speaks TLS: a proxy without it starts
// sooner. The functions keep OpenSSL's names; what is above this file speaks of connections and certificates instead.
//
// Addresses in linear memory are `usize` as in libc.ts; objects of OpenSSL are pointers. Macros of OpenSSL's headers are
// calls of the …_ctrl functions with the numbers below, which are part of its binary interface.

import { opensslLibraries } from "./openssl_library.ts";
import { rareCalls } from "./rare_calls.ts";

const P = "pointer";
const I = "i32";
const B = "buffer";
const L = "i64";

/** For each connection. */
const SSL = {
  SSL_new: { parameters: [P], result: "usize" },
  SSL_free: { parameters: ["usize"], result: "void" },
  SSL_set_fd: { parameters: ["usize", I], result: I },
  SSL_set_accept_state: { parameters: ["usize"], result: "void" },
  SSL_set_connect_state: { parameters: ["usize"], result: "void" },
  // it calls back: names, certificates, tickets
  SSL_do_handshake: { parameters: ["usize"], result: I, callback: true },
  SSL_read: { parameters: ["usize", "usize", I], result: I },
  SSL_write: { parameters: ["usize", "usize", I], result: I },
  SSL_shutdown: { parameters: ["usize"], result: I },
  SSL_get_error: { parameters: ["usize", I], result: I },
  SSL_has_pending: { parameters: ["usize"], result: I },
  SSL_get_rbio: { parameters: ["usize"], result: "usize" },
  SSL_get_servername: { parameters: ["usize", I], result: P },
  SSL_session_reused: { parameters: ["usize"], result: I },
  SSL_version: { parameters: ["usize"], result: I },
  SSL_ctrl: { parameters: ["usize", I, L, P], result: L },
  SSL_use_cert_and_key: { parameters: ["usize", P, P, P, I], result: I },
  SSL_certs_clear: { parameters: ["usize"], result: "void" },
  SSL_set1_host: { parameters: ["usize", B], result: I },
  SSL_set_hostflags: { parameters: ["usize", "u32"], result: "void" },
  SSL_get0_param: { parameters: ["usize"], result: P },
  SSL_get1_session: { parameters: ["usize"], result: P },
  SSL_set_session: { parameters: ["usize", P], result: I },
  SSL_SESSION_is_resumable: { parameters: [P], result: I },
  SSL_SESSION_free: { parameters: [P], result: "void" },
  SSL_select_next_proto: { parameters: ["usize", "usize", B, "u32", "usize", "u32"], result: I },
} as const;

/** For each listener or cluster, or for the log. */
const SSL_RARE = {
  TLS_server_method: { parameters: [], result: P },
  TLS_client_method: { parameters: [], result: P },
  SSL_CTX_new: { parameters: [P], result: P },
  SSL_CTX_free: { parameters: [P], result: "void" },
  SSL_CTX_ctrl: { parameters: [P, I, L, B], result: L },
  SSL_CTX_callback_ctrl: { parameters: [P, I, P], result: L },
  SSL_CTX_set_options: { parameters: [P, "u64"], result: "u64" },
  SSL_CTX_set_cipher_list: { parameters: [P, B], result: I },
  SSL_CTX_set_ciphersuites: { parameters: [P, B], result: I },
  SSL_CTX_set_session_id_context: { parameters: [P, B, "u32"], result: I },
  SSL_CTX_set_num_tickets: { parameters: [P, "usize"], result: I },
  SSL_CTX_set_timeout: { parameters: [P, L], result: L },
  SSL_CTX_set_tlsext_ticket_key_evp_cb: { parameters: [P, P], result: I },
  SSL_CTX_set_alpn_select_cb: { parameters: [P, P, P], result: "void" },
  SSL_CTX_set_cert_cb: { parameters: [P, P, P], result: "void" },
  SSL_CTX_set_verify: { parameters: [P, I, P], result: "void" },
  SSL_CTX_set_verify_depth: { parameters: [P, I], result: "void" },
  SSL_CTX_get_cert_store: { parameters: [P], result: P },
  SSL_CTX_set_default_verify_paths: { parameters: [P], result: I },
  SSL_CTX_add_client_CA: { parameters: [P, P], result: I },
  SSL_CTX_set1_cert_store: { parameters: [P, P], result: "void" },
  SSL_CTX_set_alpn_protos: { parameters: [P, B, "u32"], result: I },
  SSL_CTX_use_cert_and_key: { parameters: [P, P, P, P, I], result: I },
  SSL_get0_alpn_selected: { parameters: ["usize", B, B], result: "void" },
  SSL_get_version: { parameters: ["usize"], result: P },
  SSL_get_current_cipher: { parameters: ["usize"], result: P },
  SSL_CIPHER_get_name: { parameters: [P], result: P },
  SSL_group_to_name: { parameters: ["usize", I], result: P },
  SSL_get_certificate: { parameters: ["usize"], result: P },
  SSL_get1_peer_certificate: { parameters: ["usize"], result: P },
  SSL_get_verify_result: { parameters: ["usize"], result: L },
} as const;

const CRYPTO = {
  BIO_new: { parameters: [P], result: P },
  BIO_s_mem: { parameters: [], result: P },
  BIO_new_mem_buf: { parameters: [B, I], result: P },
  BIO_read: { parameters: [P, B, I], result: I },
  BIO_free: { parameters: [P], result: I },
  // a count of 64 bits, of which only differences of the lower half are looked at
  BIO_number_read: { parameters: ["usize"], result: "u32" },
  PEM_read_bio_X509: { parameters: [P, P, P, P], result: P },
  PEM_read_bio_X509_CRL: { parameters: [P, P, P, P], result: P },
  // the last one is the passphrase: an empty one, so that nobody is asked for it at the terminal
  PEM_read_bio_PrivateKey: { parameters: [P, P, P, B], result: P },
  X509_free: { parameters: [P], result: "void" },
  X509_CRL_free: { parameters: [P], result: "void" },
  X509_get0_pubkey: { parameters: [P], result: P },
  X509_verify: { parameters: [P, P], result: I },
  X509_get_subject_name: { parameters: [P], result: P },
  X509_NAME_print_ex: { parameters: [P, P, I, "u64"], result: I },
  X509_digest: { parameters: [P, P, B, P], result: I },
  X509_STORE_new: { parameters: [], result: P },
  X509_STORE_free: { parameters: [P], result: "void" },
  X509_VERIFY_PARAM_set1_ip_asc: { parameters: [P, B], result: I },
  X509_verify_cert_error_string: { parameters: [L], result: P },
  X509_STORE_add_cert: { parameters: [P, P], result: I },
  X509_STORE_add_crl: { parameters: [P, P], result: I },
  X509_STORE_set_flags: { parameters: [P, "u64"], result: I },
  EVP_PKEY_free: { parameters: [P], result: "void" },
  EVP_Digest: { parameters: ["usize", "usize", B, P, P, P], result: I },
  EVP_sha256: { parameters: [], result: P },
  EVP_CIPHER_fetch: { parameters: [P, B, P], result: P },
  EVP_EncryptInit_ex: { parameters: [P, P, P, B, P], result: I },
  EVP_DecryptInit_ex: { parameters: [P, P, P, B, P], result: I },
  EVP_MAC_CTX_set_params: { parameters: [P, B], result: I },
  RAND_bytes: { parameters: [P, I], result: I },
  OPENSSL_sk_new_null: { parameters: [], result: P },
  OPENSSL_sk_push: { parameters: [P, P], result: I },
  OPENSSL_sk_value: { parameters: [P, I], result: P },
  OPENSSL_sk_pop: { parameters: [P], result: P },
  OPENSSL_sk_free: { parameters: [P], result: "void" },
  CRYPTO_malloc: { parameters: ["usize", P, I], result: P },
  ERR_get_error: { parameters: [], result: "u64" },
  ERR_peek_error: { parameters: [], result: "u64" },
  ERR_peek_last_error: { parameters: [], result: "u64" },
  ERR_clear_error: { parameters: [], result: "void" },
  ERR_error_string_n: { parameters: ["u64", B, "usize"], result: "void" },
  ERR_reason_error_string: { parameters: ["u64"], result: P },
} as const;

const LIBC = {
  malloc_trim: { parameters: ["usize"], result: I },
  // into what OpenSSL hands to a callback; a view of it would have to be made each time
  memcpy: { parameters: [P, B, "usize"], result: "void" },
} as const;

// SSL_CTX_ctrl and SSL_ctrl
export const CTRL_MODE = 33;
export const CTRL_SET_READ_AHEAD = 41;
export const CTRL_SET_SESS_CACHE_MODE = 44;
export const CTRL_SET_TLSEXT_SERVERNAME_CB = 53;
export const CTRL_SET_TLSEXT_HOSTNAME = 55;
export const CTRL_SET_TLSEXT_TICKET_KEYS = 59;
export const CTRL_SET_TLSEXT_STATUS_REQ_CB = 63;
export const CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP = 71;
export const CTRL_SET_GROUPS_LIST = 92;
export const CTRL_SET_MIN_PROTO_VERSION = 123;
export const CTRL_SET_MAX_PROTO_VERSION = 124;
export const CTRL_GET_NEGOTIATED_GROUP = 134;

export const MODE_ENABLE_PARTIAL_WRITE = 1;
export const MODE_ACCEPT_MOVING_WRITE_BUFFER = 2;
export const MODE_NO_AUTO_CHAIN = 8;
export const MODE_RELEASE_BUFFERS = 0x10;
export const SESS_CACHE_OFF = 0n;

export const OP_NO_TICKET = 1n << 14n;
export const OP_NO_COMPRESSION = 1n << 17n;
export const OP_PRIORITIZE_CHACHA = 1n << 21n;
export const OP_CIPHER_SERVER_PREFERENCE = 1n << 22n;
export const OP_NO_RENEGOTIATION = 1n << 30n;

export const VERIFY_NONE = 0;
export const VERIFY_PEER = 1;
export const VERIFY_FAIL_IF_NO_PEER_CERT = 2;
export const X509_V_FLAG_CRL_CHECK = 4n;
export const X509_V_FLAG_CRL_CHECK_ALL = 8n;
/** Whatever is in the store is trusted, be it the root of its authority or not. */
export const X509_V_FLAG_PARTIAL_CHAIN = 0x80000n;
/** A "*" stands for a whole label, never for a part of one (RFC 9525 §6.3). */
export const X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS = 4;

export const ERROR_SSL = 1;
export const ERROR_WANT_READ = 2;
export const ERROR_WANT_WRITE = 3;
export const ERROR_SYSCALL = 5;
export const ERROR_ZERO_RETURN = 6;

/** What a callback for names, protocols or staples answers. */
export const TLSEXT_OK = 0;
export const TLSEXT_ALERT_FATAL = 2;
export const TLSEXT_NOACK = 3;
export const ALERT_INTERNAL_ERROR = 80;
export const ALERT_UNRECOGNIZED_NAME = 112;

/** The number that the protocol has for a version. */
export const VERSIONS = { "1.2": 0x0303n, "1.3": 0x0304n } as const;

function open() {
  const { ssl, crypto } = opensslLibraries();
  const { symbols: c } = Deno.dlopen(crypto, CRYPTO);
  const { symbols: s } = Deno.dlopen(ssl, SSL);
  const { symbols: m } = Deno.dlopen("libc.so.6", LIBC);
  return { ...c, ...s, ...m, ...rareCalls(ssl, SSL_RARE) };
}

export type OpenSsl = ReturnType<typeof open>;

let opened: OpenSsl | undefined;

/** The functions; opens the libraries at the first call. Throws when this host has none. */
export function openssl(): OpenSsl {
  return opened ??= open();
}

/** A C string that OpenSSL owns; "" for none. */
export function text(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** Why the last call failed, from OpenSSL's queue, which is empty afterwards. */
export function takeErrors(lib: OpenSsl): string {
  const reasons: string[] = [];
  for (let code = lib.ERR_get_error(); code !== 0n; code = lib.ERR_get_error()) {
    const reason = text(lib.ERR_reason_error_string(code)) || `error ${code.toString(16)}`;
    if (!reasons.includes(reason)) reasons.push(reason);
  }
  return reasons.join("; ") || "no reason given";
}

/** Calls `use` with a BIO that reads these bytes. */
export function withBytes<T>(lib: OpenSsl, bytes: Uint8Array<ArrayBuffer>, use: (bio: Deno.PointerValue) => T): T {
  const bio = lib.BIO_new_mem_buf(bytes, bytes.length);
  try {
    return use(bio);
  } finally {
    lib.BIO_free(bio);
  }
}

/** All certificates of a PEM text, in their order; the caller frees them. */
export function readCertificates(lib: OpenSsl, pem: string): Deno.PointerObject[] {
  const found: Deno.PointerObject[] = [];
  withBytes(lib, new TextEncoder().encode(pem), (bio) => {
    const next = () => lib.PEM_read_bio_X509(bio, null, null, null);
    for (let certificate = next(); certificate; certificate = next()) found.push(certificate);
  });
  lib.ERR_clear_error(); // the end of the text counts as an error
  return found;
}

/** All revocation lists of a PEM text; the caller frees them. */
export function readRevocationLists(lib: OpenSsl, pem: string): Deno.PointerObject[] {
  const found: Deno.PointerObject[] = [];
  withBytes(lib, new TextEncoder().encode(pem), (bio) => {
    const next = () => lib.PEM_read_bio_X509_CRL(bio, null, null, null);
    for (let list = next(); list; list = next()) found.push(list);
  });
  lib.ERR_clear_error();
  return found;
}
