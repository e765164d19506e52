// Why a handshake failed, in a word that is counted: from OpenSSL's numbers (SSL_R_… of sslerr.h, which never change).

import { EPROTO } from "../sys/libc.ts";

const REASONS = {
  /** The client speaks no version that the listener does. */
  258: "version", // UNSUPPORTED_PROTOCOL
  267: "version", // WRONG_VERSION_NUMBER
  396: "version", // VERSION_TOO_LOW
  101: "no_common_choice", // NO_SUITABLE_KEY_SHARE
  118: "no_common_choice", // NO_SUITABLE_SIGNATURE_ALGORITHM
  193: "no_common_choice", // NO_SHARED_CIPHER
  376: "no_common_choice", // NO_SHARED_SIGNATURE_ALGORITHMS
  410: "no_common_choice", // NO_SHARED_GROUPS
  235: "no_common_protocol", // NO_APPLICATION_PROTOCOL
  234: "unknown_name", // CALLBACK_FAILED: the one for names
  377: "certificate", // CERT_CB_ERROR: the one that gives the certificate
  134: "client_certificate", // CERTIFICATE_VERIFY_FAILED
  199: "client_certificate", // PEER_DID_NOT_RETURN_A_CERTIFICATE
} as const;

export type TlsFailure =
  | typeof REASONS[keyof typeof REASONS]
  /** The client has refused: it does not trust the certificate, for example. */
  | "alert"
  /** It went away. */
  | "closed"
  /** Its bytes are not TLS, or not as they must be. */
  | "malformed";

const FIRST_ALERT = 1000;

/** `result`: of the handshake; `reason`: of OpenSSL's last error, 0 for none. */
export function failureReason(result: number, reason: number): TlsFailure {
  if (result !== -EPROTO) return "closed";
  if (reason >= FIRST_ALERT && reason < FIRST_ALERT + 256) return "alert";
  return (REASONS as Record<number, TlsFailure>)[reason] ?? "malformed";
}
