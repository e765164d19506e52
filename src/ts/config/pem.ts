// The texts that are about TLS: paths or PEM, names of certificates, hosts of certificates, lists for OpenSSL. Each parser
// gives the canonical text or throws a FormatError. What a certificate or key says is not looked into here: that takes
// OpenSSL, which the library does not load.

import { FormatError } from "./format_error.ts";
import { canonicalName } from "./hosts.ts";

/** How the state names a key whose text is kept apart from it. */
const KEY_DIGEST = /^sha256:[0-9a-f]{64}$/;
const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g;

const NAME_LENGTH_MAX = 255;
/** Far beyond a certificate with its chain, and beyond a bundle of all public authorities. */
const PEM_LENGTH_MAX = 1024 * 1024;

export function isPem(text: string): boolean {
  return text.includes("-----BEGIN ");
}

export function isKeyDigest(text: string): boolean {
  return KEY_DIGEST.test(text);
}

/** The blocks of a PEM text without what stands around them, each with its lines ended alike. */
export function canonicalPem(text: string): string {
  const blocks = text.replaceAll("\r", "").match(PEM_BLOCK) ?? [];
  return blocks.map((block) => `${block.split("\n").map((line) => line.trim()).join("\n")}\n`).join("");
}

export function parsePemFile(text: string): string {
  if (text === "") return text;
  if (isPem(text)) return pemWithout(text, /PRIVATE KEY/, "certificates or revocation lists in PEM");
  return absolutePath(text, "an absolute path, or PEM");
}

export function parseCertificateFile(text: string): string {
  if (isPem(text)) return pemWithout(text, /PRIVATE KEY/, "a certificate in PEM");
  if (text === "") throw new FormatError("the path of a certificate, or its PEM", text);
  return absolutePath(text, "an absolute path, or a certificate in PEM");
}

export function parseKeyFile(text: string): string {
  if (text === "" || isKeyDigest(text)) return text;
  const expected = "an absolute path, or one private key in PEM";
  if (!isPem(text)) return absolutePath(text, expected);
  const pem = canonicalPem(checkedLength(text));
  const keys = pem.match(/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/g)?.length ?? 0;
  if (keys === 1) return pem;
  const hint = keys > 1 ? "it holds several keys" : "it holds no private key, or one that is cut off";
  throw new FormatError(expected, "PRIVATE KEY", hint);
}

function pemWithout(text: string, refused: RegExp, expected: string): string {
  if (refused.test(text)) throw new FormatError(expected, text, 'a private key belongs in "key"');
  const pem = canonicalPem(checkedLength(text));
  if (pem === "") throw new FormatError(expected, text, "no block of it is whole");
  return pem;
}

function checkedLength(text: string): string {
  if (text.length <= PEM_LENGTH_MAX) return text;
  throw new FormatError(`at most ${PEM_LENGTH_MAX >> 10} KiB of PEM`, "PRIVATE KEY");
}

function absolutePath(text: string, expected: string): string {
  // deno-lint-ignore no-control-regex
  if (text.startsWith("/") && !/[\x00-\x1f\x7f]/.test(text)) return text;
  throw new FormatError(expected, text);
}

export function parseCertificateName(text: string): string {
  if (text === "") return text;
  // deno-lint-ignore no-control-regex
  if (text.length <= NAME_LENGTH_MAX && !/[\x00-\x20\x7f]/.test(text)) return text;
  throw new FormatError(`a name of at most ${NAME_LENGTH_MAX} characters, without space`, text);
}

/** A reference may be empty; else it is a name. */
export const parseReference = parseCertificateName;

/** A certificate that is given by its path is called by it; one that is given as PEM must be given a name. */
export function certificateNameOf({ cert }: Record<string, unknown>): string | undefined {
  if (typeof cert !== "string" || isPem(cert)) return undefined;
  return cert.length <= NAME_LENGTH_MAX && !cert.includes(" ") ? cert : undefined;
}

/** A host that a certificate is for, or a wildcard of one label. */
export function canonicalCertificateHost(text: string): string {
  const isWildcard = text.startsWith("*.");
  const name = canonicalName(isWildcard ? text.slice(2) : text);
  if (name !== null) return isWildcard ? `*.${name}` : name;
  throw new FormatError('a host such as "example.com" or "*.example.com"', text);
}

export function canonicalServerName(text: string): string {
  if (text === "") return text;
  const name = canonicalName(text);
  if (name !== null) return name;
  throw new FormatError('a host such as "app.internal"', text);
}

export function parseOpensslList(text: string): string {
  if (/^[A-Za-z0-9_.:!+@=*?,\/-]*$/.test(text) && text.length <= 2048) return text;
  throw new FormatError('names with ":" between them, as OpenSSL writes them', text);
}

/** A value of a header field in one line, without space around it. */
export function parseFieldLine(text: string): string {
  if (/^([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?$/.test(text) && text.length <= 256) return text;
  throw new FormatError("a value of at most 256 printable characters, without space around it", text);
}

export function parseProtocolName(text: string): string {
  if (text === "h2" || text === "http/1.1") return text;
  throw new FormatError('"h2" or "http/1.1"', text);
}
