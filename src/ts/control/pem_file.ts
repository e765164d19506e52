// PEM and what is in it, as far as main has to know it without OpenSSL: the blocks of a text, and of a certificate its names,
// dates, issuer and kind of key (X.509, RFC 5280 §4.1; DER, X.690). OpenSSL has the last word on whether a certificate is
// right; this reading only has to find what is there, and never reads beyond the bytes that it is given.

export interface PemBlock {
  /** `CERTIFICATE`, `EC PRIVATE KEY`, … */
  label: string;
  der: Uint8Array<ArrayBuffer>;
  /** Has header lines, as encrypted keys of the old form do. */
  headers: string;
  /** The block as it is written, with its two lines. */
  text: string;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([^-]*(?:-(?!----)[^-]*)*)-----END \1-----/g;

/** All blocks of a text, in their order; one whose content is no base64 has no bytes. */
export function pemBlocks(text: string): PemBlock[] {
  return Array.from(text.matchAll(BLOCK), ([whole, label, body]) => {
    const end = body!.search(/\r?\n[ \t]*\r?\n/);
    const headers = body!.includes(":") && end >= 0 ? body!.slice(0, end) : "";
    return {
      label: label!,
      headers,
      der: fromBase64(body!.slice(headers.length)),
      text: `${whole.replaceAll("\r", "")}\n`,
    };
  });
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.fromBase64(text.replace(/\s+/g, ""));
  } catch {
    return new Uint8Array(0);
  }
}

export type KeyType = "rsa" | "ecdsa" | "ed25519";

export interface CertificateFacts {
  /** DNS names of the subject alternative names, or the common name where there are none; in lower case. */
  names: string[];
  /** IP addresses of the subject alternative names, as a Host field has them: `192.0.2.1`, `[2001:db8::1]`. */
  addresses: string[];
  subject: string;
  issuer: string;
  /** DER of the names, by which chains are followed. */
  subjectDer: Uint8Array;
  issuerDer: Uint8Array;
  notBeforeMs: number;
  notAfterMs: number;
  /** Undefined: of a kind that no client of today verifies. */
  keyType: KeyType | undefined;
  /** The public key as the certificate has it: a point, or the modulus and exponent of RSA in DER. */
  publicKey: Uint8Array;
  /** Object identifier of the signature's algorithm, in hexadecimal digits. */
  signedWith: string;
  isAuthority: boolean;
  /** What the certificate calls its own key, and what it calls its issuer's; empty where it does not. */
  keyId: Uint8Array;
  issuerKeyId: Uint8Array;
}

/** One element of DER: its tag, and where its content begins and ends. */
interface Element {
  tag: number;
  start: number;
  end: number;
  /** Where the element itself begins. */
  from: number;
}

const SEQUENCE = 0x30, OID = 0x06, BOOLEAN = 0x01, OCTETS = 0x04;
const EXTENSIONS = 0xa3, VERSION = 0xa0, POINT = 0xa1, DNS_NAME = 0x82, IP_ADDRESS = 0x87, KEY_ID = 0x80;
const UTC_TIME = 0x17;

const KEY_TYPES: Readonly<Record<string, KeyType>> = {
  "2a864886f70d010101": "rsa",
  "2a864886f70d01010a": "rsa",
  "2a8648ce3d0201": "ecdsa",
  "2b6570": "ed25519",
};
const COMMON_NAME = "550403", ALTERNATIVE_NAMES = "551d11", CONSTRAINTS = "551d13";
const OWN_KEY_ID = "551d0e", ISSUER_KEY_ID = "551d23";
const NAME_PARTS: Readonly<Record<string, string>> = {
  [COMMON_NAME]: "CN",
  "55040a": "O",
  "55040b": "OU",
  "550406": "C",
};

const decoder = new TextDecoder();

/**
 * The public key in a private key, in the form of `publicKey`: of PKCS #8 and of the older forms of RSA and of elliptic
 * curves. Undefined where the key does not say it, or is built otherwise.
 */
export function publicKeyIn(der: Uint8Array): Uint8Array | undefined {
  try {
    return new Reader(der).publicKey();
  } catch {
    return undefined;
  }
}

/** What a certificate says of itself; undefined if it is not built as one. */
export function certificateFacts(der: Uint8Array): CertificateFacts | undefined {
  try {
    return new Reader(der).certificate();
  } catch {
    return undefined;
  }
}

class Reader {
  constructor(private readonly der: Uint8Array) {}

  publicKey(whole = this.element(0, this.der.length, SEQUENCE)): Uint8Array | undefined {
    const fields = this.children(whole);
    const [, second, third] = fields;
    // PKCS #8: version, algorithm, key. Of curves: version, key, …, [1] point. Of RSA: version, modulus, exponent, …
    if (second?.tag === SEQUENCE) return this.publicKey(this.element(third!.start, third!.end, SEQUENCE));
    if (second?.tag === OCTETS) {
      const point = fields.find(({ tag }) => tag === POINT);
      const bits = point && this.element(point.start, point.end);
      return bits && this.der.subarray(bits.start + 1, bits.end);
    }
    return second && third ? this.der.subarray(second.from, third.end) : undefined;
  }

  certificate(): CertificateFacts {
    const whole = this.element(0, this.der.length, SEQUENCE);
    const signed = this.element(whole.start, whole.end, SEQUENCE);
    const signature = this.children(this.element(signed.end, whole.end, SEQUENCE))[0]!;
    const fields = this.children(signed);
    if (fields[0]?.tag === VERSION) fields.shift();
    const [, , issuer, validity, subject, key, ...rest] = fields;
    const [notBefore, notAfter] = this.children(validity!);
    const extensions = this.extensions(rest.find(({ tag }) => tag === EXTENSIONS));
    const [algorithms, bits] = this.children(key!);
    const algorithm = this.children(algorithms!)[0]!;
    const alternative = this.dnsNames(extensions.get(ALTERNATIVE_NAMES));
    const common = this.nameParts(subject!).filter(([part]) => part === "CN").map(([, text]) => text.toLowerCase());
    const constraints = extensions.get(CONSTRAINTS);
    const authority = constraints && this.children(this.element(constraints.start, constraints.end))[0];
    return {
      names: alternative ?? common,
      addresses: this.addresses(extensions.get(ALTERNATIVE_NAMES)),
      subject: this.nameText(subject!),
      issuer: this.nameText(issuer!),
      subjectDer: this.der.subarray(subject!.from, subject!.end),
      issuerDer: this.der.subarray(issuer!.from, issuer!.end),
      notBeforeMs: this.time(notBefore!),
      notAfterMs: this.time(notAfter!),
      keyType: KEY_TYPES[this.hex(algorithm)],
      publicKey: this.publicBits(KEY_TYPES[this.hex(algorithm)], bits!),
      signedWith: this.hex(signature),
      isAuthority: authority?.tag === BOOLEAN && this.der[authority.start] !== 0,
      keyId: this.keyId(extensions.get(OWN_KEY_ID), OCTETS),
      issuerKeyId: this.keyId(extensions.get(ISSUER_KEY_ID), SEQUENCE),
    };
  }

  private publicBits(type: KeyType | undefined, { start, end }: Element): Uint8Array {
    if (type !== "rsa") return this.der.subarray(start + 1, end);
    const pair = this.element(start + 1, end, SEQUENCE);
    return this.der.subarray(pair.start, pair.end);
  }

  private element(at: number, limit: number, tag?: number): Element {
    const found = this.der[at]!;
    let length = this.der[at + 1]!;
    let start = at + 2;
    if (length > 0x80) {
      const bytes = length & 0x7f;
      length = 0;
      for (let i = 0; i < bytes; i++) length = length * 256 + this.der[start++]!;
    }
    const end = start + length;
    if (!(end <= limit) || (tag !== undefined && found !== tag)) throw new RangeError("not what is expected here");
    return { tag: found, start, end, from: at };
  }

  private children({ start, end }: Element): Element[] {
    const all: Element[] = [];
    for (let at = start; at < end; at = all.at(-1)!.end) all.push(this.element(at, end));
    return all;
  }

  private hex({ start, end }: Element): string {
    return this.der.subarray(start, end).toHex();
  }

  private text({ start, end }: Element): string {
    return decoder.decode(this.der.subarray(start, end));
  }

  /** By object identifier: the content of the extension. */
  private extensions(field: Element | undefined): Map<string, Element> {
    const found = new Map<string, Element>();
    if (!field) return found;
    for (const extension of this.children(this.element(field.start, field.end, SEQUENCE))) {
      const parts = this.children(extension);
      const content = parts.at(-1)!;
      if (parts[0]!.tag === OID && content.tag === OCTETS) found.set(this.hex(parts[0]!), content);
    }
    return found;
  }

  private dnsNames(extension: Element | undefined): string[] | undefined {
    return extension && this.alternatives(extension, DNS_NAME).map((name) => this.text(name).toLowerCase());
  }

  private addresses(extension: Element | undefined): string[] {
    if (!extension) return [];
    const addresses = this.alternatives(extension, IP_ADDRESS).map(({ start, end }) => this.der.subarray(start, end));
    return addresses.flatMap((bytes) => addressText(bytes) ?? []);
  }

  /** RFC 5280 §4.2.1.1, where it is the first field of some, and §4.2.1.2, where it stands alone. */
  private keyId(extension: Element | undefined, tag: number): Uint8Array {
    const none = this.der.subarray(0, 0);
    if (!extension) return none;
    const { start, end } = this.element(extension.start, extension.end, tag);
    if (tag === OCTETS) return this.der.subarray(start, end);
    const id = start < end ? this.element(start, end) : undefined;
    return id?.tag === KEY_ID ? this.der.subarray(id.start, id.end) : none;
  }

  private alternatives({ start, end }: Element, kind: number): Element[] {
    return this.children(this.element(start, end, SEQUENCE)).filter(({ tag }) => tag === kind);
  }

  private nameParts(name: Element): [part: string, text: string][] {
    return this.children(name).flatMap((set) => this.children(set)).flatMap((pair): [string, string][] => {
      const [oid, value] = this.children(pair);
      const part = NAME_PARTS[this.hex(oid!)];
      return part ? [[part, this.text(value!)]] : [];
    });
  }

  private nameText(name: Element): string {
    return this.nameParts(name).map(([part, text]) => `${part}=${text}`).join(", ");
  }

  /** UTCTime has two digits of the year, from 1950 on; GeneralizedTime has four (RFC 5280 §4.1.2.5). */
  private time(element: Element): number {
    const text = this.text(element);
    const short = element.tag === UTC_TIME;
    const year = short ? Number(text.slice(0, 2)) + (text < "50" ? 2000 : 1900) : Number(text.slice(0, 4));
    const [, month, day, hour, minute, second] = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text.slice(short ? 2 : 4))!;
    return Date.UTC(year, Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  }
}

/** RFC 5280 §4.2.1.6: 4 or 16 octets. */
function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  const groups = bytes.toHex().match(/.{4}/g)!;
  return new URL(`http://[${groups.join(":")}]/`).hostname;
}
