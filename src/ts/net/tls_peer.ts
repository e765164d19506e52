// What is known of the other side once a handshake is complete: the client's certificate, as fields for the backend, and
// what was agreed on, for the log. Made once for a connection.

import * as openssl from "../sys/openssl.ts";
import type { Ssl } from "./tls_calls.ts";

/** XN_FLAG_RFC2253: as in RFC 4514, the common name first, everything beyond ASCII escaped. */
const SUBJECT_FORM = 0x1110317n;
/** A longer subject is left out: half of a name could be somebody else's. IDENTITY_MAX of the ABI has room for it. */
const SUBJECT_BYTES_MAX = 600;

const encoder = new TextEncoder();
const NO_CERTIFICATE = encoder.encode("X-Client-Cert-Verified: NONE\r\n");

/** Whole fields, each with its CRLF. OpenSSL has verified the certificate, or the handshake would have failed. */
export function identityFields(lib: openssl.OpenSsl, ssl: Ssl): Uint8Array<ArrayBuffer> {
  const certificate = lib.SSL_get1_peer_certificate(ssl);
  if (certificate === null) return NO_CERTIFICATE;
  const subject = subjectOf(lib, certificate);
  const named = subject === "" || subject.length > SUBJECT_BYTES_MAX ? "" : `X-Client-Cert-Subject: ${subject}\r\n`;
  const fingerprint = `X-Client-Cert-Fingerprint: ${fingerprintOf(lib, certificate)}\r\n`;
  lib.X509_free(certificate);
  return encoder.encode(`X-Client-Cert-Verified: SUCCESS\r\n${named}${fingerprint}`);
}

/** "" when it cannot stand in a field. */
function subjectOf(lib: openssl.OpenSsl, certificate: Deno.PointerObject): string {
  const bio = lib.BIO_new(lib.BIO_s_mem());
  lib.X509_NAME_print_ex(bio, lib.X509_get_subject_name(certificate), 0, SUBJECT_FORM);
  const bytes = new Uint8Array(SUBJECT_BYTES_MAX + 1);
  const length = Math.max(0, lib.BIO_read(bio, bytes, bytes.length));
  lib.BIO_free(bio);
  const text = new TextDecoder().decode(bytes.subarray(0, length));
  return /^[\x20-\x7e]*$/.test(text) ? text : "";
}

/** SHA-256 of the certificate, in hexadecimal. */
function fingerprintOf(lib: openssl.OpenSsl, certificate: Deno.PointerObject): string {
  const digest = new Uint8Array(32);
  lib.X509_digest(certificate, lib.EVP_sha256(), digest, null);
  return digest.toHex();
}

/** Members for a JSON object, each with a comma before it. */
export function describe(
  lib: openssl.OpenSsl,
  ssl: Ssl,
  resumed: boolean,
  serverName: string,
  tookMs: number,
): Uint8Array<ArrayBuffer> {
  const members = {
    tls: openssl.text(lib.SSL_get_version(ssl)),
    cipher: openssl.text(lib.SSL_CIPHER_get_name(lib.SSL_get_current_cipher(ssl))),
    group: groupOf(lib, ssl),
    resumed,
    sni: serverName,
    handshake_ms: tookMs,
  };
  return encoder.encode("," + JSON.stringify(members).slice(1, -1));
}

/** "" without an exchange of keys, as in a session of TLS 1.2 that is resumed. */
function groupOf(lib: openssl.OpenSsl, ssl: Ssl): string {
  const group = Number(lib.SSL_ctrl(ssl, openssl.CTRL_GET_NEGOTIATED_GROUP, 0n, null));
  return group <= 0 ? "" : openssl.text(lib.SSL_group_to_name(ssl, group));
}
