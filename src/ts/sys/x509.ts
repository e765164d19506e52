// What main asks of OpenSSL: whether a certificate, its chain and its key make a pair that a server can use, whether a text
// is a bundle of certificates or revocation lists, and whether it knows the names in a list of ciphers or groups. The check
// of a pair is the very thing that a worker will do with it (a context that takes all of it), so the security level of the
// host's OpenSSL decides what is too weak, and not a list of ours.
//
// Loaded when there is something to check, never before. Nothing here is on the path of a request. An object of OpenSSL lives
// for one call.

import { cString } from "./fds.ts";
import { opensslLibraries } from "./openssl_library.ts";

const P = "pointer", B = "buffer", I = "i32", V = "void";

function open() {
  const libraries = opensslLibraries();
  const ssl = Deno.dlopen(libraries.ssl, {
    TLS_server_method: { parameters: [], result: P },
    SSL_CTX_new: { parameters: [P], result: P },
    SSL_CTX_free: { parameters: [P], result: V },
    SSL_CTX_use_certificate: { parameters: [P, P], result: I },
    SSL_CTX_use_PrivateKey: { parameters: [P, P], result: I },
    SSL_CTX_ctrl: { parameters: [P, I, "i64", P], result: "i64" },
    SSL_CTX_ctrl_text: { name: "SSL_CTX_ctrl", parameters: [P, I, "i64", B], result: "i64" },
    SSL_CTX_set_cipher_list: { parameters: [P, B], result: I },
    SSL_CTX_set_ciphersuites: { parameters: [P, B], result: I },
  });
  const crypto = Deno.dlopen(libraries.crypto, {
    d2i_X509: { parameters: [P, B, "i64"], result: P },
    d2i_X509_CRL: { parameters: [P, B, "i64"], result: P },
    d2i_AutoPrivateKey: { parameters: [P, B, "i64"], result: P },
    X509_free: { parameters: [P], result: V },
    X509_CRL_free: { parameters: [P], result: V },
    EVP_PKEY_free: { parameters: [P], result: V },
    X509_get0_pubkey: { parameters: [P], result: P },
    X509_verify: { parameters: [P, P], result: I },
    X509_check_private_key: { parameters: [P, P], result: I },
    ERR_get_error: { parameters: [], result: "u64" },
    ERR_reason_error_string: { parameters: ["u64"], result: P },
    ERR_clear_error: { parameters: [], result: V },
    X509_get_default_cert_file: { parameters: [], result: P },
    X509_get_default_cert_dir: { parameters: [], result: P },
  });
  return { ssl: ssl.symbols, crypto: crypto.symbols };
}

let opened: ReturnType<typeof open> | undefined;

/** Throws where the host has no OpenSSL. */
function openssl(): ReturnType<typeof open> {
  return opened ??= open();
}

/** Whether OpenSSL can be had, and if not, why. */
export function opensslMissing(): string | undefined {
  try {
    openssl();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Where this OpenSSL looks for the certificates of authorities: a file, and a folder of files named by hashes. */
export function authorityPlaces(): { file: string; folder: string } {
  const { crypto } = openssl();
  const text = (pointer: Deno.PointerValue) => new Deno.UnsafePointerView(pointer!).getCString();
  return { file: text(crypto.X509_get_default_cert_file()), folder: text(crypto.X509_get_default_cert_dir()) };
}

const SSL_CTRL_CHAIN_CERT = 89;
const SSL_CTRL_SET_GROUPS_LIST = 92;

type Pointer = Deno.PointerObject;
type Der = Uint8Array<ArrayBuffer>;

/** The reason of the last error, in OpenSSL's words, and the queue emptied. */
function reason(): string {
  const { crypto } = openssl();
  const first = crypto.ERR_get_error();
  const text = crypto.ERR_reason_error_string(first);
  crypto.ERR_clear_error();
  return text === null ? "it gives no reason" : new Deno.UnsafePointerView(text).getCString();
}

/** The functions of the form d2i_… move a pointer behind what they have read. */
function decoded(decode: (into: null, at: Uint8Array<ArrayBuffer>, length: bigint) => Deno.PointerValue, der: Der) {
  const at = new BigUint64Array([BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(der)))]);
  return decode(null, new Uint8Array(at.buffer), BigInt(der.length));
}

/** What of a pair is not right: `part` is the certificate, the key, or the one of the chain at `index`. */
export interface PairProblem {
  part: "cert" | "key" | "chain";
  index: number;
  reason: string;
}

/**
 * Checks a leaf, its chain and its key as a server would use them; undefined if all is well. With `signatures`, each
 * certificate must be signed by the next. About 0.2 ms for a key on P-256, more for long RSA keys.
 */
export function checkPair(chain: readonly Der[], key: Der, signatures = true): PairProblem | undefined {
  const { ssl, crypto } = openssl();
  crypto.ERR_clear_error();
  const certificates: Pointer[] = [];
  let pkey: Deno.PointerValue = null;
  const context = ssl.SSL_CTX_new(ssl.TLS_server_method());
  try {
    for (const [index, der] of chain.entries()) {
      const certificate = decoded(crypto.d2i_X509, der);
      if (certificate === null) return { part: index === 0 ? "cert" : "chain", index, reason: reason() };
      certificates.push(certificate);
    }
    pkey = decoded(crypto.d2i_AutoPrivateKey, key);
    if (pkey === null) return { part: "key", index: 0, reason: reason() };
    const leaf = certificates[0]!;
    if (ssl.SSL_CTX_use_certificate(context, leaf) !== 1) return { part: "cert", index: 0, reason: reason() };
    if (crypto.X509_check_private_key(leaf, pkey) !== 1) {
      crypto.ERR_clear_error();
      return { part: "key", index: 0, reason: "it is not the key of the certificate" };
    }
    if (ssl.SSL_CTX_use_PrivateKey(context, pkey) !== 1) return { part: "key", index: 0, reason: reason() };
    return checkChain(certificates, context!, signatures);
  } finally {
    if (pkey !== null) crypto.EVP_PKEY_free(pkey);
    certificates.forEach((certificate) => crypto.X509_free(certificate));
    ssl.SSL_CTX_free(context);
  }
}

function checkChain(certificates: readonly Pointer[], context: Pointer, signatures: boolean): PairProblem | undefined {
  const { ssl, crypto } = openssl();
  for (let index = 1; index < certificates.length; index++) {
    const certificate = certificates[index]!;
    if (ssl.SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1n, certificate) !== 1n) {
      return { part: "chain", index, reason: reason() };
    }
    if (!signatures) continue;
    if (crypto.X509_verify(certificates[index - 1]!, crypto.X509_get0_pubkey(certificate)) === 1) continue;
    crypto.ERR_clear_error();
    return { part: "chain", index, reason: "it has not signed the one before it" };
  }
  return undefined;
}

/** Whether all of these are certificates, or with `crl` revocation lists; the number of the first that is not, and why. */
export function checkBundle(ders: readonly Der[], crl: boolean): { index: number; reason: string } | undefined {
  const { crypto } = openssl();
  crypto.ERR_clear_error();
  for (const [index, der] of ders.entries()) {
    const object = decoded(crl ? crypto.d2i_X509_CRL : crypto.d2i_X509, der);
    if (object === null) return { index, reason: reason() };
    if (crl) crypto.X509_CRL_free(object);
    else crypto.X509_free(object);
  }
  return undefined;
}

export interface NameLists {
  ciphers: string;
  cipher_suites: string;
  groups: string;
}

/** The key of the first list that OpenSSL refuses, and why; undefined if it takes all. Empty lists are not looked at. */
export function checkNameLists(lists: NameLists): { key: keyof NameLists; reason: string } | undefined {
  const { ssl, crypto } = openssl();
  crypto.ERR_clear_error();
  const context = ssl.SSL_CTX_new(ssl.TLS_server_method());
  const takes: Record<keyof NameLists, (text: Uint8Array<ArrayBuffer>) => boolean> = {
    ciphers: (text) => ssl.SSL_CTX_set_cipher_list(context, text) === 1,
    cipher_suites: (text) => ssl.SSL_CTX_set_ciphersuites(context, text) === 1,
    groups: (text) => ssl.SSL_CTX_ctrl_text(context, SSL_CTRL_SET_GROUPS_LIST, 0n, text) === 1n,
  };
  try {
    for (const key of Object.keys(takes) as (keyof NameLists)[]) {
      if (lists[key] !== "" && !takes[key](cString(lists[key]))) return { key, reason: reason() };
    }
    return undefined;
  } finally {
    ssl.SSL_CTX_free(context);
  }
}
