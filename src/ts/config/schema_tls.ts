// The part of the schema that is about TLS: what a listener offers its clients, how a cluster speaks to its backends, and
// the certificates that both name. Texts that only OpenSSL can judge (ciphers, groups, the content of files) are judged by
// the main process when they are applied; here they only need the form that keeps them from being something else.

import { parseAbsolutePath } from "./names.ts";
import {
  canonicalCertificateHost,
  canonicalServerName,
  certificateNameOf,
  parseCertificateFile,
  parseCertificateName,
  parseFieldLine,
  parseKeyFile,
  parseOpensslList,
  parsePemFile,
  parseProtocolName,
  parseReference,
} from "./pem.ts";
import {
  choice,
  count,
  duration,
  flag,
  key,
  list,
  object,
  type ObjectShape,
  type Of,
  table,
  text,
  type TextShape,
} from "./shape.ts";
import type { CertificateState, ClusterTlsState, ListenerTlsState } from "./state.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const FILE_OR_PEM = "an absolute path, or the text of it in PEM";
const pemFile = text(FILE_OR_PEM, parsePemFile);
const reference = text("the name of a certificate", parseReference);
const opensslList = text("a list in the notation of OpenSSL", parseOpensslList);

export const LISTENER_TLS: ObjectShape & Of<ListenerTlsState> = object({
  min_version: key(choice("1.2", "1.3"), {
    about: "The oldest version of TLS that is spoken.",
    default: "1.2",
    example: "1.3",
    seeAlso: ["listeners.NAME.tls.max_version"],
  }),
  max_version: key(choice("1.2", "1.3"), {
    about: "The newest version of TLS that is spoken.",
    default: "1.3",
    example: "1.3",
  }),
  ciphers: key(opensslList, {
    about:
      "Ciphers of TLS 1.2, as OpenSSL writes a list of them. Empty is a list of those that are forward secret and " +
      "authenticated (AEAD).",
    default: "",
    example: "ECDHE+AESGCM:ECDHE+CHACHA20",
  }),
  cipher_suites: key(opensslList, {
    about: "Cipher suites of TLS 1.3, by name, with colons between them. Empty is what OpenSSL takes.",
    default: "",
    example: "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
  }),
  groups: key(opensslList, {
    about:
      "Groups for the exchange of keys, by name, with colons between them. Empty is X25519MLKEM768 where OpenSSL has " +
      "it, then X25519, P-256 and P-384.",
    default: "",
    example: "X25519:P-256",
  }),
  default_certificate: key(reference, {
    about:
      "The certificate for clients that name no host, or one that no certificate has. Empty refuses them with the alert " +
      "`unrecognized_name`.",
    default: "",
    example: "example",
    seeAlso: ["certificates"],
  }),
  ticket_lifetime: key(duration(0, 7 * DAY_MS), {
    about:
      "How long a client may resume a session by its ticket; 0s gives out none. The keys of tickets are shared by all " +
      "workers and changed in time. Early data is never taken.",
    default: "12h",
    example: "1h",
  }),
  handshake_timeout: key(duration(1, HOUR_MS), {
    about: "How long a handshake may take.",
    default: "10s",
    example: "5s",
  }),
  handshakes: key(count(1, 1_000_000), {
    about: "How many handshakes may be in progress at once.",
    unit: "handshakes for each worker and listener",
    default: 1024,
    example: 256,
  }),
  client_certificate: key(choice("off", "optional", "required"), {
    about: "Whether clients are asked for a certificate, and whether they must have one.",
    default: "off",
    example: "required",
    seeAlso: ["listeners.NAME.tls.client_ca"],
  }),
  client_ca: key(pemFile, {
    about:
      "The certificates of authorities that clients' certificates must come from: a path, or the PEM itself. Must be " +
      "there unless `client_certificate` is `off`.",
    default: "",
    bounds: FILE_OR_PEM,
    example: "/etc/kakehi/clients_ca.pem",
  }),
  client_crl: key(pemFile, {
    about: "Lists of revoked client certificates: a path, or the PEM itself. Empty checks none.",
    default: "",
    bounds: FILE_OR_PEM,
    example: "/etc/kakehi/clients_crl.pem",
  }),
  client_depth: key(count(0, 100), {
    about: "How many authorities may stand between a client's certificate and one of `client_ca`.",
    unit: "certificates",
    default: 3,
    example: 1,
  }),
  hsts: key(text("the value of a header field", parseFieldLine), {
    about: "Value of the field Strict-Transport-Security that answers carry; empty adds none.",
    default: "",
    example: "max-age=31536000",
  }),
  alpn: key(list(text("a protocol", parseProtocolName)), {
    about:
      "Protocols that are offered by ALPN, the best first; `h2` is HTTP/2. Clients that ask for none speak HTTP/1.1, and so " +
      "do all with an empty list.",
    default: ["h2", "http/1.1"],
    bounds: "`h2`, `http/1.1`",
    example: ["http/1.1"],
  }),
});

export const CLUSTER_TLS: ObjectShape & Of<ClusterTlsState> = object({
  ca: key(pemFile, {
    about:
      "The certificates of authorities that those of the backends must come from: a path, or the PEM itself. Empty is " +
      "those that the system trusts.",
    default: "",
    bounds: FILE_OR_PEM,
    example: "/etc/kakehi/backends_ca.pem",
  }),
  verify: key(flag(), {
    about:
      "Whether the certificates of the backends are verified. Without it, whoever can answer for a backend's address is " +
      "believed.",
    default: true,
    example: false,
  }),
  server_name: key(text("the name of a host", canonicalServerName), {
    about:
      "The name that is asked for (SNI) and that the certificate must have. Empty is the name in the backend's address; " +
      "a backend without a name is verified by its IP address.",
    default: "",
    example: "app.internal",
  }),
  certificate: key(reference, {
    about: "The certificate that is shown to backends that ask for one.",
    default: "",
    example: "proxy",
    seeAlso: ["certificates"],
  }),
  min_version: key(choice("1.2", "1.3"), {
    about: "The oldest version of TLS that is spoken.",
    default: "1.2",
    example: "1.3",
  }),
});

export const CERTIFICATE: ObjectShape & Of<CertificateState> = object({
  cert: key(text(FILE_OR_PEM, parseCertificateFile), {
    about: "The certificate, and behind it those that lead to the authority: a path, or the PEM itself.",
    bounds: FILE_OR_PEM,
    example: "/etc/kakehi/example.pem",
  }),
  key: key({ ...text("an absolute path, or the text of a key in PEM", parseKeyFile), secret: true as const }, {
    about:
      "The private key, without a passphrase: a path, or the PEM itself. Empty takes it from the file of `cert`. A key that " +
      "is given as PEM is kept apart from the state, which has `sha256:` and its digest.",
    default: "",
    bounds: FILE_OR_PEM,
    example: "/etc/kakehi/example.key",
  }),
  names: key(list(text("the name of a host", canonicalCertificateHost), "set"), {
    about:
      "The hosts that it is chosen for; `*.example.com` is one label below example.com. Empty takes the names that the " +
      "certificate has.",
    default: [],
    example: ["example.com", "*.example.com"],
  }),
  ocsp: key(text("an absolute path", parseAbsolutePath), {
    about: "File with the answer of the authority's OCSP responder (DER), which clients that ask for it are given.",
    default: "",
    bounds: "an absolute path",
    example: "/etc/kakehi/example.ocsp",
  }),
});

/** Its files may be its name: that is what it is called when it is given none. */
export const CERTIFICATE_NAME: TextShape & Of<string> = text("a name", parseCertificateName);

export const CERTIFICATES: Of<Record<string, CertificateState>> = table(
  key(CERTIFICATE_NAME, {
    about: "What other parts and orders call it. Empty is the path in `cert`.",
    default: "",
    example: "example",
  }) as Parameters<typeof table>[0],
  CERTIFICATE,
  certificateNameOf,
);
