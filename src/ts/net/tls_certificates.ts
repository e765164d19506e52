// Certificates by the names that clients ask for: an exact name before a wildcard of one label (RFC 6125 §6.4.3), and for
// one name a certificate of each kind of key, between which OpenSSL chooses by what the client can verify.
//
// Material is parsed when a handshake first needs it, and as many are kept parsed as LOADED_MAX, those used last: ten thousand
// certificates cost an index. Connections hold on to what they began with, so any certificate can go at any time.

import * as openssl from "../sys/openssl.ts";
import type { Ssl } from "./tls_calls.ts";

/** How many are kept parsed: about 10 KB each. */
const LOADED_MAX = 1024;

export interface CertificateMaterial {
  /** PEM, the certificate itself first. */
  cert: string;
  key: string;
  /** OCSP response in DER, base64; "" for none. */
  ocsp: string;
}

export interface CertificateSource {
  name: string;
  /** Lower case; `*.example.com` is for one label. */
  names: readonly string[];
  keyType: string;
  read(): CertificateMaterial;
}

interface Loaded {
  x509: Deno.PointerObject;
  key: Deno.PointerObject;
  chain: Deno.PointerObject;
  /** OCSP response; empty for none. */
  staple: Uint8Array<ArrayBuffer>;
}

export class Certificate {
  loaded: Loaded | null = null;
  /** The signatures of its chain have been looked at. */
  isChecked = false;
  constructor(readonly source: CertificateSource) {}
}

/** What a connection may be answered with: at most one certificate for each kind of key, and the names that these are for. */
export class CertificateSet {
  readonly #names: Uint8Array[];

  constructor(readonly certificates: readonly Certificate[]) {
    const names = new Set(certificates.flatMap(({ source }) => source.names));
    this.#names = [...names].map((name) => new TextEncoder().encode(name));
  }

  /** Whether one of the names is that of the host (with or without port) that lies there. */
  covers(memory: Uint8Array, at: number, length: number): boolean {
    const end = hostEnd(memory, at, at + length);
    for (let i = 0; i < this.#names.length; i++) if (matches(this.#names[i]!, memory, at, end)) return true;
    return false;
  }
}

const COLON = 0x3a;
const DOT = 0x2e;
const BRACKET = 0x5d;
const STAR = 0x2a;

/** Where a host ends without its port and without the dot of the root. */
export function hostEnd(memory: Uint8Array, at: number, end: number): number {
  for (let i = end - 1; i > at && memory[i] !== BRACKET; i--) {
    if (memory[i] !== COLON) continue;
    end = i;
    break;
  }
  return end > at && memory[end - 1] === DOT ? end - 1 : end;
}

function matches(name: Uint8Array, memory: Uint8Array, at: number, end: number): boolean {
  let from = 0;
  if (name[0] === STAR) {
    const label = at;
    while (at < end && memory[at] !== DOT) at++;
    if (at === label) return false;
    from = 1;
  }
  if (name.length - from !== end - at) return false;
  for (let i = from; i < name.length; i++, at++) {
    const byte = memory[at]!;
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== name[i]) return false;
  }
  return true;
}

/** What a name leads to. The set is made when it is first asked for. */
interface Named {
  certificates: Certificate[];
  set: CertificateSet | null;
}

export class Certificates {
  /** Another one after each change. */
  version = 0;
  readonly #lib: openssl.OpenSsl;
  readonly #byName = new Map<string, Certificate>();
  readonly #byHost = new Map<string, Named>();
  /** Those that are parsed, the one used last at the end. */
  readonly #loaded = new Set<Certificate>();
  readonly #ownSets = new WeakMap<Certificate, CertificateSet>();

  /** `complain`: is told of chains that clients will not trust. */
  constructor(private readonly complain: (message: string) => void, private readonly loadedMax = LOADED_MAX) {
    this.#lib = openssl.openssl();
  }

  get count(): number {
    return this.#byName.size;
  }

  get loadedCount(): number {
    return this.#loaded.size;
  }

  /** Adds a certificate, or puts it in the place of the one of its name. */
  set(source: CertificateSource): void {
    this.remove(source.name);
    this.version++;
    const certificate = new Certificate(source);
    this.#byName.set(source.name, certificate);
    for (const host of source.names) this.#addHost(host, certificate);
  }

  #addHost(host: string, certificate: Certificate): void {
    const named = this.#byHost.get(host);
    if (!named) {
      this.#byHost.set(host, { certificates: [certificate], set: null });
      return;
    }
    // by name, so that the order in which they came decides nothing
    named.certificates.push(certificate);
    named.certificates.sort((a, b) => a.source.name < b.source.name ? -1 : 1);
    named.set = null;
  }

  remove(name: string): void {
    const certificate = this.#byName.get(name);
    if (!certificate) return;
    this.version++;
    this.#byName.delete(name);
    for (const host of certificate.source.names) {
      const named = this.#byHost.get(host);
      if (!named) continue;
      named.certificates = named.certificates.filter((one) => one !== certificate);
      named.set = null;
      if (named.certificates.length === 0) this.#byHost.delete(host);
    }
    this.#unload(certificate);
  }

  /** For a host in lower case; null: there is none. */
  find(host: string): CertificateSet | null {
    const exact = this.#byHost.get(host);
    if (exact) return this.#setOf(exact);
    const dot = host.indexOf(".");
    const wildcard = dot > 0 ? this.#byHost.get("*" + host.slice(dot)) : undefined;
    return wildcard ? this.#setOf(wildcard) : null;
  }

  /** The material of a name of the state; undefined: there is none. */
  material(name: string): CertificateMaterial | undefined {
    return this.#byName.get(name)?.source.read();
  }

  /** The certificate of a name of the state, whatever hosts it is for. */
  named(name: string): CertificateSet | null {
    const certificate = this.#byName.get(name);
    return certificate ? this.#ownSet(certificate) : null;
  }

  #setOf(named: Named): CertificateSet {
    return named.set ??= this.#makeSet(named.certificates);
  }

  #makeSet(certificates: Certificate[]): CertificateSet {
    const types = new Set<string>();
    const chosen = certificates.filter(({ source: { keyType } }) => !types.has(keyType) && types.add(keyType));
    return chosen.length === 1 ? this.#ownSet(chosen[0]!) : new CertificateSet(chosen);
  }

  /** Shared by all names that lead to this certificate alone. */
  #ownSet(certificate: Certificate): CertificateSet {
    let set = this.#ownSets.get(certificate);
    if (!set) this.#ownSets.set(certificate, set = new CertificateSet([certificate]));
    return set;
  }

  /** Gives a connection the certificates of a set. Throws when one cannot be used. */
  use(ssl: Ssl, { certificates }: CertificateSet): void {
    const lib = this.#lib;
    for (const certificate of certificates) {
      const { x509, key, chain } = this.load(certificate);
      if (lib.SSL_use_cert_and_key(ssl, x509, key, chain, 1) !== 1) {
        throw new Error(`certificate ${certificate.source.name}: ${openssl.takeErrors(lib)}`);
      }
    }
  }

  /** The parsed form; parses it now if nobody has needed it lately. */
  load(certificate: Certificate): Loaded {
    // behind all others in the order of use
    this.#loaded.delete(certificate);
    this.#loaded.add(certificate);
    if (certificate.loaded) return certificate.loaded;
    certificate.loaded = parse(this.#lib, certificate.source);
    if (!certificate.isChecked) this.#checkSignatures(certificate, certificate.loaded);
    if (this.#loaded.size > this.loadedMax) this.#unload(this.#loaded.values().next().value!);
    return certificate.loaded;
  }

  /** Main has no time for that when it reads many at once. What is wrong is only said: a client may have the right ones. */
  #checkSignatures(certificate: Certificate, loaded: Loaded): void {
    certificate.isChecked = true;
    const at = firstUnsigned(this.#lib, loaded);
    if (at === 0) return;
    const text = `certificate ${at} of its file has not signed the one before it, so clients will not trust it`;
    this.complain(`certificate ${certificate.source.name}: ${text}`);
  }

  /** Connections that use it have references of their own. */
  #unload(certificate: Certificate): void {
    this.#loaded.delete(certificate);
    if (certificate.loaded === null) return;
    freeParsed(this.#lib, certificate.loaded);
    certificate.loaded = null;
  }
}

/** An empty passphrase: main lets no encrypted key pass, and OpenSSL would ask for one at the terminal. */
const NO_PASSPHRASE = new Uint8Array(1);

function parse(lib: openssl.OpenSsl, source: CertificateSource): Loaded {
  return parseMaterial(lib, `certificate ${source.name}`, source.read());
}

/** Throws, with `what` in front, when OpenSSL cannot read it. */
export function parseMaterial(
  lib: openssl.OpenSsl,
  what: string,
  { cert, key: keyPem, ocsp }: CertificateMaterial,
): Loaded {
  const [x509, ...others] = openssl.readCertificates(lib, cert);
  const key = openssl.withBytes(
    lib,
    new TextEncoder().encode(keyPem),
    (bio) => lib.PEM_read_bio_PrivateKey(bio, null, null, NO_PASSPHRASE),
  );
  if (!x509 || !key) throw new Error(`${what}: ${openssl.takeErrors(lib)}`);
  const chain = lib.OPENSSL_sk_new_null()!;
  for (const one of others) lib.OPENSSL_sk_push(chain, one);
  return { x509, key, chain, staple: Uint8Array.from(atob(ocsp), (char) => char.charCodeAt(0)) };
}

/** Number of the first certificate that has not signed the one before it, as a user counts; 0 when all have. */
function firstUnsigned(lib: openssl.OpenSsl, { x509, chain }: Loaded): number {
  let signed = x509;
  for (let at = 0;; at++) {
    const signer = lib.OPENSSL_sk_value(chain, at);
    if (signer === null) return 0;
    const isSigned = lib.X509_verify(signed, lib.X509_get0_pubkey(signer)) === 1;
    lib.ERR_clear_error();
    if (!isSigned) return at + 2;
    signed = signer;
  }
}

/** Whatever uses it has references of its own. */
export function freeParsed(lib: openssl.OpenSsl, { x509, key, chain }: Loaded): void {
  lib.X509_free(x509);
  lib.EVP_PKEY_free(key);
  for (let next = lib.OPENSSL_sk_pop(chain); next; next = lib.OPENSSL_sk_pop(chain)) lib.X509_free(next);
  lib.OPENSSL_sk_free(chain);
}
