// From a certificate of the state to what a worker needs of it: files are read, and everything that can be wrong with a
// certificate, its chain and its key is found here and said by the name of the object and of the file, before any worker
// hears of it. Nothing of a key is ever part of a message.

import { createHash } from "node:crypto";
import { canonicalName } from "../config/hosts.ts";
import { isKeyDigest, isPem } from "../config/pem.ts";
import type { CertificateState } from "../config/state.ts";
import { checkPair, type PairProblem } from "../sys/x509.ts";
import type { CertificateEntry } from "../worker/protocol.ts";
import { type CertificateFacts, certificateFacts, type PemBlock, pemBlocks, publicKeyIn } from "./pem_file.ts";

/** What is wrong with a certificate. */
export class MaterialError extends Error {
  override name = "MaterialError";

  constructor(
    readonly certificate: string,
    readonly key: "cert" | "key" | "ocsp",
    /** The path, or what stands for it. */
    readonly place: string,
    readonly expected: string,
    readonly got: string,
    readonly hint = "",
  ) {
    super(`certificate ${certificate}: ${key}: ${place}: expected ${expected}, got ${got}${hint && `; ${hint}`}`);
  }
}

/** What is told of a certificate to whoever asks. */
export interface CertificateReport {
  names: string[];
  subject: string;
  issuer: string;
  /** SHA-256 of the leaf, in hexadecimal digits. */
  fingerprint: string;
  notBeforeMs: number;
  notAfterMs: number;
  keyType: CertificateEntry["keyType"];
}

export interface Material {
  report: CertificateReport;
  /** What workers read: {cert, key, ocsp} as JSON. */
  content: Uint8Array<ArrayBuffer>;
  /** Tells one content from another. */
  digest: string;
  /** Of the files it was read from. */
  stamp: string;
}

/** Far beyond any chain of certificates. */
const FILE_BYTES_MAX = 1024 * 1024;
const OCSP_BYTES_MAX = 64 * 1024;
/** A file that was changed so lately may change again without being told apart from what was read. */
const STAMP_REST_MS = 2_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Reads and checks a certificate. `quick` believes what can be seen without cryptography, which is that the key belongs to
 * the certificate and each issuer is the next in the chain, by its name and by what both call its key; whatever cannot be
 * seen so is checked in full. That leaves signatures, which a worker looks at when it first uses the certificate: one of
 * them takes up to half a millisecond. 0.8 ms, or 0.1 with `quick`. Throws a MaterialError.
 */
export function readMaterial(
  name: string,
  state: CertificateState,
  keys: (digest: string) => string | undefined,
  quick = false,
): Material {
  const reading = new Reading(name, state, keys);
  const stamp = stampOf(state);
  const { chain, facts } = reading.chain();
  const key = reading.key();
  if (!(quick && isSurelyPair(facts, key.der))) reading.check(chain, key);
  const leaf = facts[0]!;
  const cert = chain.map(({ text }) => text).join("");
  const ocsp = reading.ocsp();
  const content = encoder.encode(JSON.stringify({ cert, key: key.text, ocsp }));
  const own = [...leaf.names.flatMap((host) => certificateHost(host) ?? []), ...leaf.addresses];
  const names = state.names.length > 0 ? state.names : own;
  const report = {
    names: [...new Set(names)],
    subject: leaf.subject,
    issuer: leaf.issuer,
    fingerprint: sha256(chain[0]!.der),
    notBeforeMs: leaf.notBeforeMs,
    notAfterMs: leaf.notAfterMs,
    keyType: leaf.keyType!,
  };
  return { report, content, digest: sha256(content), stamp };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Names that are none, such as those of persons, are for nobody. */
function certificateHost(host: string): string | undefined {
  const name = canonicalName(host.startsWith("*.") ? host.slice(2) : host);
  return name === null ? undefined : host.startsWith("*.") ? `*.${name}` : name;
}

/** What tells one content of the files of a certificate from another without reading it; "" where it cannot be told. */
export function stampOf({ cert, key, ocsp }: Pick<CertificateState, "cert" | "key" | "ocsp">): string {
  const paths = [cert, key, ocsp].filter((path) => path.startsWith("/"));
  const stamps = paths.map(fileStamp);
  return stamps.includes("") ? "" : stamps.join("|") || "inline";
}

export function fileStamp(path: string): string {
  try {
    const { ino, size, mtime, ctime } = Deno.statSync(path);
    const changedMs = Math.max(mtime?.getTime() ?? 0, ctime?.getTime() ?? 0);
    return Date.now() - changedMs < STAMP_REST_MS ? "" : `${ino} ${size} ${mtime?.getTime()} ${ctime?.getTime()}`;
  } catch {
    return "";
  }
}

/** Object identifiers of signatures that every security level takes: SHA-2 with RSA or ECDSA, Ed25519. */
const SOUND_SIGNATURES = new Set([
  "2a864886f70d01010b",
  "2a864886f70d01010c",
  "2a864886f70d01010d",
  "2a8648ce3d040302",
  "2a8648ce3d040303",
  "2a8648ce3d040304",
]);
/** DER of a modulus of 2048 bits and an exponent; a point on a curve of 256 bits. */
const SOUND_BYTES = { rsa: 260, ecdsa: 65, ed25519: Infinity };

/** True if it can be seen that OpenSSL would take the pair; false says nothing. */
function isSurelyPair(facts: readonly CertificateFacts[], key: Uint8Array): boolean {
  const [leaf] = facts;
  const own = publicKeyIn(key);
  return own !== undefined && facts.every(isSound) && isEqual(own, leaf!.publicKey) && isLinked(facts);
}

/** Whether each certificate names the next one's key as its issuer's. */
function isLinked(facts: readonly CertificateFacts[]): boolean {
  return facts.every(({ issuerKeyId }, at) => {
    const next = facts[at + 1];
    return next === undefined || (issuerKeyId.length > 0 && isEqual(issuerKeyId, next.keyId));
  });
}

function isSound({ keyType, publicKey, signedWith }: CertificateFacts): boolean {
  return keyType !== undefined && publicKey.length >= SOUND_BYTES[keyType] && SOUND_SIGNATURES.has(signedWith);
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** One certificate while it is read. */
class Reading {
  readonly #certPlace: string;
  readonly #keyPlace: string;
  #certText: string | undefined;

  constructor(
    private readonly name: string,
    private readonly state: CertificateState,
    private readonly keys: (digest: string) => string | undefined,
  ) {
    const { cert, key } = state;
    this.#certPlace = isPem(cert) ? "the PEM" : cert;
    this.#keyPlace = key === "" ? this.#certPlace : key.startsWith("/") ? key : "the PEM";
  }

  #refuse(key: "cert" | "key" | "ocsp", expected: string, got: string, hint = ""): never {
    const place = key === "cert" ? this.#certPlace : key === "key" ? this.#keyPlace : this.state.ocsp;
    throw new MaterialError(this.name, key, place, expected, got, hint);
  }

  #cert(): string {
    const { cert } = this.state;
    return this.#certText ??= isPem(cert) ? cert : this.#text("cert", cert, "a certificate in PEM", "x509");
  }

  chain(): { chain: PemBlock[]; facts: CertificateFacts[] } {
    const blocks = pemBlocks(this.#cert());
    const chain = blocks.filter(({ label }) => /^(?:X509 )?CERTIFICATE$/.test(label));
    if (chain.length === 0) {
      const labels = blocks.map(({ label }) => label.toLowerCase()).join(", ");
      this.#refuse("cert", "a certificate in PEM", labels === "" ? "no block of PEM that is whole" : `only: ${labels}`);
    }
    const facts = chain.map(({ der }, index) => {
      return certificateFacts(der) ?? this.#refuse("cert", "certificates", `something else in block ${index + 1}`);
    });
    this.#checkOrder(facts);
    if (facts[0]!.keyType === undefined) {
      this.#refuse("cert", "a certificate for a key of RSA, ECDSA or Ed25519", "one for another kind of key");
    }
    return { chain, facts };
  }

  #checkOrder(facts: readonly CertificateFacts[]): void {
    const order = "the certificate first, then each one's issuer behind it";
    const servers = facts.filter(({ isAuthority }) => !isAuthority).map(({ subject }) =>
      subject || "one without a subject"
    );
    if (servers.length > 1) {
      this.#refuse(
        "cert",
        "one certificate, and those of authorities",
        `several: ${servers.join("; ")}`,
        "each is a certificate of its own in the configuration",
      );
    }
    if (facts[0]!.isAuthority && servers.length === 1) {
      this.#refuse("cert", order, `the authority ${facts[0]!.subject} first`);
    }
    for (let at = 1; at < facts.length; at++) {
      const [before, next] = [facts[at - 1]!, facts[at]!];
      if (isEqual(before.issuerDer, next.subjectDer)) continue;
      this.#refuse("cert", order, `${next.subject} behind ${before.subject}, whose issuer is ${before.issuer}`);
    }
  }

  key(): PemBlock {
    const { key } = this.state;
    const expected = "a private key in PEM";
    const text = key === "" ? this.#cert() : isKeyDigest(key)
      ? this.keys(key) ??
        this.#refuse("key", "a key that is kept here", `${key.slice(0, 19)}…`, "give the key itself again")
      : isPem(key)
      ? key
      : this.#text("key", key, expected, "pkey");
    const blocks = pemBlocks(text);
    const found = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"));
    if (found.length > 1) this.#refuse("key", "one private key", `${found.length}`);
    const [block] = found;
    if (!block) return this.#noKey(blocks);
    if (block.label.startsWith("ENCRYPTED") || /ENCRYPTED/.test(block.headers)) {
      const hint = 'write it without its passphrase: "openssl pkey -in KEY -out NEW"';
      this.#refuse("key", "a key without passphrase", "one that is encrypted", `the key is encrypted; ${hint}`);
    }
    return block;
  }

  #noKey(blocks: readonly PemBlock[]): never {
    const labels = blocks.map(({ label }) => label.toLowerCase()).join(", ");
    const hint = this.state.key === "" ? 'its own file goes under "key"' : "";
    this.#refuse(
      "key",
      "a private key in PEM",
      labels === "" ? "no block of PEM that is whole" : `only: ${labels}`,
      hint,
    );
  }

  check(chain: readonly PemBlock[], key: PemBlock): void {
    const problem = checkPair(chain.map(({ der }) => der), key.der);
    if (problem) this.#refusePair(problem);
  }

  #refusePair({ part, index, reason }: PairProblem): never {
    if (part === "key") {
      const expected = reason === "it is not the key of the certificate"
        ? "the key of the certificate"
        : "a key that OpenSSL takes";
      this.#refuse("key", expected, expected === "the key of the certificate" ? "another one" : reason);
    }
    if (reason === "it has not signed the one before it") {
      this.#refuse(
        "cert",
        "each certificate signed by the next",
        `certificate ${index + 1}, which has not signed the one before it`,
      );
    }
    this.#refuse("cert", "certificates that OpenSSL takes", `certificate ${index + 1}: ${reason}`);
  }

  /** In base64. */
  ocsp(): string {
    const { ocsp } = this.state;
    if (ocsp === "") return "";
    const bytes = this.#read("ocsp", ocsp, OCSP_BYTES_MAX);
    const hint = "a response of OCSP in DER";
    if (bytes[0] !== 0x30 || bytes.length < 5) {
      this.#refuse("ocsp", hint, bytes.length === 0 ? "nothing" : "something else");
    }
    const status = bytes.indexOf(0x0a);
    if (bytes[status + 2] !== 0) this.#refuse("ocsp", `${hint}, with status "successful"`, "one that says it failed");
    return bytes.toBase64();
  }

  #text(key: "cert" | "key", path: string, expected: string, command: string): string {
    const bytes = this.#read(key, path, FILE_BYTES_MAX);
    if (bytes.length === 0) this.#refuse(key, expected, "an empty file");
    const text = decoder.decode(bytes);
    if (isPem(text)) return text;
    const isDer = bytes[0] === 0x30 && ((bytes[1]! & 0x80) !== 0 || bytes[1] === bytes.length - 2);
    const hint = isDer ? `"openssl ${command} -inform der -in ${path}" writes it as PEM` : "";
    this.#refuse(key, expected, isDer ? "DER" : "something else", hint);
  }

  #read(key: "cert" | "key" | "ocsp", path: string, max: number): Uint8Array<ArrayBuffer> {
    try {
      const { size } = Deno.statSync(path);
      if (size <= max) return Deno.readFileSync(path);
    } catch (error) {
      this.#refuse(key, "a file that can be read", reasonOf(error));
    }
    this.#refuse(key, `a file of at most ${max >> 10} KiB`, "a longer one");
  }
}

export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "none of this name";
  if (error instanceof Deno.errors.PermissionDenied) return "one without permission";
  if (error instanceof Deno.errors.IsADirectory) return "a directory";
  return (error as Error).message;
}
