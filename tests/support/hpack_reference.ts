// A second decoder of header blocks, written from RFC 7541 for the tests alone: as plain as it can be, strict, and without
// a line of the one that it is compared with. Its Huffman code is the one in npm's hpack.js; bits are taken one by one.

import hpackJs from "hpack.js";

const CODES: [bits: number, code: number][] = hpackJs.huffman.encode;
const STATIC: { name: string; value: string }[] = hpackJs["static-table"].table;
const END_OF_STRING = 256;

/** Key: 1 and then the code's bits, as a number. */
const symbols = new Map(CODES.map(([bits, code], symbol) => [2 ** bits + code, symbol]));

export interface ReferenceField {
  name: string;
  value: string;
  never: boolean;
}

/** What is wrong with a block: the names of decoder.ts's results. */
export type Fault =
  | "BLOCK_CUT"
  | "NUMBER_TOO_LARGE"
  | "INDEX_UNKNOWN"
  | "STRING_BAD"
  | "SIZE_LATE"
  | "SIZE_TOO_LARGE"
  | "SIZE_MISSING";

export class ReferenceError extends Error {
  constructor(readonly fault: Fault) {
    super(fault);
  }
}

/** What a field counts for (§4.1). */
export function sizeOf({ name, value }: { name: string; value: string }): number {
  return name.length + value.length + 32;
}

export class ReferenceDecoder {
  table: { name: string; value: string }[] = [];
  allowed = 4096;
  sizeMax = 4096;
  size = 0;
  /** The least that `allowed` has been since the last block. */
  least = 4096;
  #bytes: Uint8Array = new Uint8Array();
  #at = 0;

  allow(size: number): void {
    this.allowed = size;
    this.least = Math.min(this.least, size);
  }

  decode(bytes: Uint8Array): ReferenceField[] {
    this.#bytes = bytes;
    this.#at = 0;
    const fields: ReferenceField[] = [];
    while (this.#next() >> 5 === 1) {
      const size = this.#integer(5);
      if (size > (this.least < this.sizeMax ? this.least : this.allowed)) throw new ReferenceError("SIZE_TOO_LARGE");
      this.sizeMax = size;
      this.least = this.allowed;
      this.#evict();
    }
    if (this.least < this.sizeMax) throw new ReferenceError("SIZE_MISSING");
    this.least = this.allowed;
    while (this.#at < bytes.length) fields.push(this.#field());
    return fields;
  }

  #next(): number {
    return this.#at < this.#bytes.length ? this.#bytes[this.#at]! : 0;
  }

  #field(): ReferenceField {
    const first = this.#next();
    if (first & 0x80) return { ...this.#entry(this.#integer(7)), never: false };
    if ((first & 0xe0) === 0x20) throw new ReferenceError("SIZE_LATE");
    const inserts = (first & 0x40) !== 0;
    const index = this.#integer(inserts ? 6 : 4);
    const name = index === 0 ? this.#string() : this.#entry(index).name;
    const value = this.#string();
    if (inserts) {
      this.table.unshift({ name, value });
      this.size += sizeOf({ name, value });
      this.#evict();
    }
    return { name, value, never: !inserts && (first & 0x10) !== 0 };
  }

  #entry(index: number): { name: string; value: string } {
    const entry = index <= STATIC.length ? STATIC[index - 1] : this.table[index - STATIC.length - 1];
    if (entry === undefined) throw new ReferenceError("INDEX_UNKNOWN");
    return { name: entry.name, value: entry.value };
  }

  #evict(): void {
    while (this.size > this.sizeMax) this.size -= sizeOf(this.table.pop()!);
  }

  #octet(): number {
    if (this.#at >= this.#bytes.length) throw new ReferenceError("BLOCK_CUT");
    return this.#bytes[this.#at++]!;
  }

  #integer(prefix: number): number {
    const mask = 2 ** prefix - 1;
    let value = this.#octet() & mask;
    if (value < mask) return value;
    for (let place = 0; place < 5; place++) {
      const octet = this.#octet();
      value += (octet & 127) * 128 ** place;
      if (octet < 128) {
        if (value >= 2 ** 31) break;
        return value;
      }
    }
    throw new ReferenceError("NUMBER_TOO_LARGE");
  }

  #string(): string {
    if (this.#at >= this.#bytes.length) throw new ReferenceError("BLOCK_CUT");
    const coded = this.#next() >= 128;
    const length = this.#integer(7);
    if (length > this.#bytes.length - this.#at) throw new ReferenceError("BLOCK_CUT");
    const bytes = this.#bytes.subarray(this.#at, this.#at += length);
    return coded ? decodeHuffman(bytes) : String.fromCharCode(...bytes);
  }
}

/** Of a Huffman code, bit by bit. */
export function decodeHuffman(bytes: Uint8Array): string {
  let text = "";
  let key = 1;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      key = key * 2 + ((byte >> bit) & 1);
      const symbol = symbols.get(key);
      if (symbol === undefined) continue;
      if (symbol === END_OF_STRING) throw new ReferenceError("STRING_BAD");
      text += String.fromCharCode(symbol);
      key = 1;
    }
  }
  // what is left is up to 7 ones: 1, 11, 111 …
  if (key >= 256 || (key & (key + 1)) !== 0) throw new ReferenceError("STRING_BAD");
  return text;
}

/** The bits of a text's code, without padding, as a string of "0" and "1". */
export function huffmanBits(text: string): string {
  let bits = "";
  for (let at = 0; at < text.length; at++) {
    const [length, code] = CODES[text.charCodeAt(at)]!;
    bits += code.toString(2).padStart(length, "0");
  }
  return bits;
}

/** Octets of a string of bits, filled up with ones. */
export function octetsOf(bits: string): Uint8Array<ArrayBuffer> {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "1");
  return Uint8Array.from(padded.match(/.{8}/g) ?? [], (octet) => parseInt(octet, 2));
}

export function encodeHuffman(text: string): Uint8Array<ArrayBuffer> {
  return octetsOf(huffmanBits(text));
}
