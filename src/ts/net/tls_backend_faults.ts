// Why a backend could not be spoken to by TLS: a word that is counted, from OpenSSL's numbers (SSL_R_… of sslerr.h, X509_V_ERR_…
// of x509_vfy.h, which never change), and a sentence for whoever has to mend it.

import { EPROTO } from "../sys/libc.ts";
import * as openssl from "../sys/openssl.ts";
import type { Ssl, TlsCalls } from "./tls_calls.ts";

export const TLS_FAULTS = [
  "expired",
  "not_yet_valid",
  "name_mismatch",
  "unknown_authority",
  "certificate",
  "version",
  "no_common_choice",
  /** It does not agree to HTTP/2 (ALPN). */
  "no_common_protocol",
  /** The backend refuses: it wants a certificate, for example. */
  "alert",
  "closed",
  /** Its bytes are not TLS. */
  "malformed",
  "timeout",
] as const;
export type TlsFaultName = typeof TLS_FAULTS[number];

export interface TlsFault {
  name: TlsFaultName;
  text: string;
}

const VERIFY_FAILED = 134;
const WRONG_VERSION_NUMBER = 267;
const REASONS: Record<number, TlsFaultName> = {
  258: "version", // UNSUPPORTED_PROTOCOL
  396: "version", // VERSION_TOO_LOW
  1070: "version", // TLSV1_ALERT_PROTOCOL_VERSION
  1120: "no_common_protocol", // TLSV1_ALERT_NO_APPLICATION_PROTOCOL
  181: "no_common_choice", // NO_CIPHERS_AVAILABLE
  193: "no_common_choice", // NO_SHARED_CIPHER
  261: "no_common_choice", // WRONG_CIPHER_RETURNED
};
const VERIFY_RESULTS: Record<number, TlsFaultName> = {
  2: "unknown_authority", // UNABLE_TO_GET_ISSUER_CERT
  9: "not_yet_valid",
  10: "expired",
  18: "unknown_authority", // DEPTH_ZERO_SELF_SIGNED_CERT
  19: "unknown_authority", // SELF_SIGNED_CERT_IN_CHAIN
  20: "unknown_authority", // UNABLE_TO_GET_ISSUER_CERT_LOCALLY
  21: "unknown_authority", // UNABLE_TO_VERIFY_LEAF_SIGNATURE
  62: "name_mismatch", // HOSTNAME_MISMATCH
  64: "name_mismatch", // IP_ADDRESS_MISMATCH
};
const FIRST_ALERT = 1000;
const ALERTS = 256;

export const WITHOUT_HTTP2: TlsFault = { name: "no_common_protocol", text: "it does not agree to HTTP/2 by ALPN" };
export const TIMED_OUT: TlsFault = { name: "timeout", text: "the handshake took too long" };

/** After a handshake, or a read, that gave `result`. `name`: what the backend's certificate must be for. */
export function backendFault(calls: TlsCalls, lib: openssl.OpenSsl, ssl: Ssl, result: number, name: string): TlsFault {
  if (result !== -EPROTO) return { name: "closed", text: "it closed the connection" };
  const reason = calls.lastReason;
  if (reason === VERIFY_FAILED) return certificateFault(lib, ssl, name);
  if (reason === WRONG_VERSION_NUMBER) return { name: "malformed", text: "what it sends is not TLS" };
  if (reason >= FIRST_ALERT && reason < FIRST_ALERT + ALERTS) {
    return { name: REASONS[reason] ?? "alert", text: `it refuses: ${calls.lastReasonText}` };
  }
  return { name: REASONS[reason] ?? "malformed", text: calls.lastReasonText };
}

function certificateFault(lib: openssl.OpenSsl, ssl: Ssl, name: string): TlsFault {
  const result = lib.SSL_get_verify_result(ssl);
  const fault = VERIFY_RESULTS[Number(result)] ?? "certificate";
  const detail = openssl.text(lib.X509_verify_cert_error_string(result));
  const text = fault === "name_mismatch" ? `its certificate is not for ${name}` : `its certificate: ${detail}`;
  return { name: fault, text };
}
