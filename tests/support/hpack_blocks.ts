// Well-formed header blocks in every form that RFC 7541 has, made from a seed: it is the writer's choice whether a field is an
// index, or a literal that is inserted or not, whether a string is in Huffman code, how long a number is written. Names and
// values come from small stocks, so that tables fill, wrap, and have things to find.

import hpackJs from "hpack.js";
import { fromText } from "./bytes.ts";
import { encodeHuffman, sizeOf } from "./hpack_reference.ts";
import type { Random } from "./random.ts";

const STATIC: { name: string; value: string }[] = hpackJs["static-table"].table;

export interface MadeField {
  name: string;
  value: string;
  never: boolean;
}

const NAMES = [
  "accept",
  "x-a",
  "x-forwarded-for",
  "cookie",
  "a",
  "content-type",
  "authorization",
  "x_forwarded_for",
  "",
];
const CHARS = "abcdefghijklmnopqrstuvwxyz0123456789-/=;, ABC%\x00\xff\x7f";

export function makeText(random: Random, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) text += CHARS[random.below(CHARS.length)];
  return text;
}

export class BlockMaker {
  table: { name: string; value: string }[] = [];
  size = 0;
  sizeMax = 4096;
  allowed = 4096;
  /** The least that was allowed since the last block. */
  least = 4096;

  constructor(readonly random: Random, readonly valueMax = 60) {}

  /** A block of up to `fieldsMax` fields. */
  make(fieldsMax = 8): { bytes: number[]; fields: MadeField[] } {
    const bytes: number[] = [];
    const fields: MadeField[] = [];
    // a size that has to be signalled is forgotten now and then
    if (this.least < this.sizeMax && this.random.below(8) > 0) this.#resize(bytes, this.random.below(this.least + 1));
    this.least = this.allowed;
    while (this.random.below(12) === 0) this.#resize(bytes, this.random.below(this.allowed + 1));
    for (let left = this.random.below(fieldsMax + 1); left > 0; left--) fields.push(this.#field(bytes));
    return { bytes, fields };
  }

  #resize(bytes: number[], size: number): void {
    this.#integer(bytes, 0x20, 5, size);
    this.sizeMax = size;
    this.#evict();
  }

  #field(bytes: number[]): MadeField {
    const { random } = this;
    const entries = STATIC.length + this.table.length;
    if (random.below(3) === 0) {
      const index = random.between(1, entries);
      this.#integer(bytes, 0x80, 7, index);
      return { ...this.#entry(index), never: false };
    }
    const form = random.below(4);
    const [pattern, prefix] = form < 2 ? [0x40, 6] : form === 2 ? [0x00, 4] : [0x10, 4];
    const index = random.below(2) === 0 ? random.between(1, entries) : 0;
    this.#integer(bytes, pattern!, prefix!, index);
    let name = index > 0 ? this.#entry(index).name : NAMES[random.below(NAMES.length)]!;
    if (index === 0) {
      if (random.below(4) === 0) name += makeText(random, random.below(20));
      this.#string(bytes, name);
    }
    const value = makeText(random, random.below(random.below(30) === 0 ? 20 * this.valueMax : this.valueMax));
    this.#string(bytes, value);
    if (form < 2) this.#insert({ name, value });
    return { name, value, never: form === 3 };
  }

  #entry(index: number): { name: string; value: string } {
    const { name, value } = index <= STATIC.length ? STATIC[index - 1]! : this.table[index - STATIC.length - 1]!;
    return { name, value };
  }

  #insert(entry: { name: string; value: string }): void {
    this.table.unshift(entry);
    this.size += sizeOf(entry);
    this.#evict();
  }

  #evict(): void {
    while (this.size > this.sizeMax) this.size -= sizeOf(this.table.pop()!);
  }

  #integer(bytes: number[], pattern: number, prefix: number, value: number): void {
    const mask = 2 ** prefix - 1;
    if (value < mask) {
      bytes.push(pattern | value);
      return;
    }
    bytes.push(pattern | mask);
    let octets = 1;
    for (value -= mask; value >= 128; value >>= 7, octets++) bytes.push(value & 127 | 128);
    // longer than need be, as far as every reader goes along
    const padding = this.random.below(40) === 0 ? this.random.below(4 - octets) : 0;
    bytes.push(padding > 0 ? value | 128 : value);
    for (let left = padding; left > 0; left--) bytes.push(left > 1 ? 128 : 0);
  }

  #string(bytes: number[], text: string): void {
    const coded = this.random.below(2) === 0;
    const octets = coded ? encodeHuffman(text) : fromText(text);
    this.#integer(bytes, coded ? 0x80 : 0, 7, octets.length);
    for (const octet of octets) bytes.push(octet);
  }
}

/** Spoils a block in one to three places. */
export function mutate(bytes: number[], random: Random): void {
  for (let left = random.between(1, 3); left > 0; left--) {
    const at = random.below(bytes.length + 1);
    const kind = random.below(7);
    if (kind === 0) bytes.length = at;
    else if (kind === 1) bytes.splice(at, random.between(1, 3));
    else if (kind === 2) bytes.splice(at, 0, random.below(256));
    else if (kind === 3) bytes.splice(at, 0, 255, 255, random.below(256), 255, random.below(256));
    else if (kind === 4 && at < bytes.length) bytes[at]! ^= 1 << random.below(8);
    else if (kind === 5) bytes.splice(at, 0, ...bytes.slice(random.below(bytes.length + 1)).slice(0, 20));
    else bytes.splice(at, 1, [0x00, 0x10, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xbe, 0xff][random.below(9)]!);
  }
}
