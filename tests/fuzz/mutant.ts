// A message that is changed again and again until it is hardly one any more. The changes know the grammar: lines, fields,
// numbers, chunks and the places between them, so that many mutants are still accepted and those that are not fail for
// the reasons that attackers look for. All bytes lie in one array; the same random numbers give the same mutant.

import { type Bytes, fromText } from "../support/bytes.ts";
import type { Random } from "../support/random.ts";
import * as words from "./words.ts";

const LENGTH_MAX = 1 << 16;
const LINES_MAX = 256;
/** How often at most something is put in: usually a few times, sometimes as often as the limits on counts allow, or more. */
const MANY: readonly number[] = [20, 40, 40, 1000, 1000, 4000];
const CR = 13;
const LF = 10;

function bytesOf(texts: readonly string[]): Bytes[] {
  return texts.map(fromText);
}

const REQUESTS = bytesOf(words.REQUESTS);
const RESPONSES = bytesOf(words.RESPONSES);
const FIELDS = bytesOf(words.FIELDS.map((line) => line + "\r\n"));
const FIELD_WORDS = bytesOf(words.FIELDS);
const LINE_ENDS = bytesOf(words.LINE_ENDS);
const NUMBERS = bytesOf(words.NUMBERS);
const CHUNKS = bytesOf(words.CHUNKS);
const UNITS = bytesOf(words.UNITS);
const METHODS = bytesOf(words.METHODS);
const TARGETS = bytesOf(words.TARGETS);
const VERSIONS = bytesOf(words.VERSIONS);
const STATUSES = bytesOf(words.STATUSES);
const SPACE = fromText(" ");
const ODD_BYTES = fromText('\0\x01\t\n\x0b\x0c\r "#%,/:;<=@[\\]_{}\x7f\x80\xa0\xff0aAzZ');

export type Side = "request" | "response";

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

export class Mutant {
  readonly bytes: Bytes = new Uint8Array(LENGTH_MAX);
  length = 0;
  readonly #copy: Bytes = new Uint8Array(LENGTH_MAX);
  readonly #lines = new Int32Array(LINES_MAX + 1);
  #lineCount = 0;

  /** The bytes as they are now; the next change overwrites them. */
  view(): Bytes {
    return this.bytes.subarray(0, this.length);
  }

  /** Makes a new mutant: a good message, changed none to four times. */
  make(side: Side, random: Random): void {
    const messages = side === "request" ? REQUESTS : RESPONSES;
    this.length = 0;
    this.#insert(0, messages[random.below(messages.length)]!);
    for (let left = random.below(5); left > 0; left--) this.#change(side, messages, random);
  }

  #change(side: Side, messages: readonly Bytes[], random: Random): void {
    switch (random.below(22)) {
      case 0:
        return this.#flipBit(random);
      case 1:
        return this.#setByte(random);
      case 2:
        return this.#insert(this.#place(random), this.#oddBytes(random));
      case 3:
        return this.#remove(this.#place(random), random.between(1, 4));
      case 4:
        return this.#repeatToken(random);
      case 5:
        return this.#copyLine(random, 1);
      case 6:
        return this.#moveLine(random);
      case 7:
      case 8:
      case 9:
        return this.#insert(this.#fieldPlace(random), pick(FIELDS, random));
      case 10:
      case 11:
        return this.#replaceLineEnd(random);
      case 12:
      case 13:
        return this.#replaceNumber(random);
      case 14:
        return this.#insert(this.#linePlace(random), pick(CHUNKS, random));
      case 15:
        return this.#splice(pick(messages, random), random);
      case 16:
        this.length = this.#place(random);
        return;
      case 17:
        return side === "request" ? this.#newRequestLine(random) : this.#newStatusLine(random);
      case 18:
        return this.#insert(this.#place(random), pick(FIELD_WORDS, random));
      case 19:
        return this.#grow(random);
      case 20:
        return this.#insertMany(this.#fieldPlace(random), random);
      case 21:
        return this.#insertMany(this.#linePlace(random), random);
    }
  }

  // ---- places ----

  #place(random: Random): number {
    return random.below(this.length + 1);
  }

  #findLines(): void {
    this.#lines[0] = 0;
    this.#lineCount = 1;
    const { bytes } = this;
    for (let at = 0; at + 1 < this.length && this.#lineCount < LINES_MAX; at++) {
      if (bytes[at] === CR && bytes[at + 1] === LF) this.#lines[this.#lineCount++] = at + 2;
    }
    this.#lines[this.#lineCount] = this.length;
  }

  #linePlace(random: Random): number {
    this.#findLines();
    return this.#lines[random.below(this.#lineCount)]!;
  }

  /** Where a line begins that is not the first, most likely among the fields. */
  #fieldPlace(random: Random): number {
    this.#findLines();
    return this.#lines[Math.min(1 + random.below(3), this.#lineCount)]!;
  }

  // ---- changes ----

  #insert(at: number, what: Uint8Array): void {
    if (this.length + what.length > LENGTH_MAX) return;
    this.bytes.copyWithin(at + what.length, at, this.length);
    this.bytes.set(what, at);
    this.length += what.length;
  }

  #remove(at: number, count: number): void {
    const end = Math.min(at + count, this.length);
    this.bytes.copyWithin(at, end, this.length);
    this.length -= end - at;
  }

  #flipBit(random: Random): void {
    if (this.length === 0) return;
    const at = random.below(this.length);
    this.bytes[at] = this.bytes[at]! ^ (1 << random.below(8));
  }

  #setByte(random: Random): void {
    if (this.length === 0) return;
    this.bytes[random.below(this.length)] = ODD_BYTES[random.below(ODD_BYTES.length)]!;
  }

  #oddBytes(random: Random): Uint8Array {
    const from = random.below(ODD_BYTES.length - 2);
    return ODD_BYTES.subarray(from, from + random.between(1, 2));
  }

  /** Copies a stretch of bytes to another place. */
  #repeatToken(random: Random): void {
    if (this.length === 0) return;
    const from = random.below(this.length);
    const count = Math.min(random.between(1, 32), this.length - from);
    this.#copy.set(this.bytes.subarray(from, from + count));
    this.#insert(this.#place(random), this.#copy.subarray(0, count));
  }

  #copyLine(random: Random, times: number): void {
    this.#findLines();
    const line = random.below(this.#lineCount);
    const from = this.#lines[line]!;
    const count = this.#lines[line + 1]! - from;
    if (count * times > 40_000) return;
    const text = this.bytes.subarray(from, from + count);
    for (let i = 0; i < times; i++) this.#copy.set(text, i * count);
    this.#insert(this.#lines[random.below(this.#lineCount)]!, this.#copy.subarray(0, count * times));
  }

  #moveLine(random: Random): void {
    this.#findLines();
    const line = random.below(this.#lineCount);
    const from = this.#lines[line]!;
    const count = this.#lines[line + 1]! - from;
    this.#copy.set(this.bytes.subarray(from, from + count));
    this.#remove(from, count);
    this.#insert(this.#linePlace(random), this.#copy.subarray(0, count));
  }

  #replaceLineEnd(random: Random): void {
    this.#findLines();
    if (this.#lineCount < 2) return;
    const at = this.#lines[1 + random.below(this.#lineCount - 1)]! - 2;
    this.#remove(at, 2);
    this.#insert(at, pick(LINE_ENDS, random));
  }

  /** Replaces the first number behind some place. */
  #replaceNumber(random: Random): void {
    let at = this.#place(random);
    while (at < this.length && !isDigit(this.bytes[at]!)) at++;
    let count = 0;
    while (at + count < this.length && isDigit(this.bytes[at + count]!)) count++;
    if (count === 0) return;
    this.#remove(at, count);
    this.#insert(at, pick(NUMBERS, random));
  }

  /** The beginning of this one, and another's end. */
  #splice(other: Uint8Array, random: Random): void {
    this.length = this.#place(random);
    this.#insert(this.length, other.subarray(random.below(other.length)));
  }

  #newFirstLine(parts: readonly Uint8Array[]): void {
    this.#findLines();
    this.#remove(0, this.#lineCount > 1 ? this.#lines[1]! - 2 : 0);
    for (let i = parts.length - 1; i >= 0; i--) {
      this.#insert(0, parts[i]!);
      if (i > 0) this.#insert(0, SPACE);
    }
  }

  #newRequestLine(random: Random): void {
    const few = random.below(3);
    const method = few === 0 ? pick(METHODS, random) : METHODS[random.below(4)]!;
    const target = few === 1 ? pick(TARGETS, random) : TARGETS[0]!;
    this.#newFirstLine([method, target, few === 2 ? pick(VERSIONS, random) : VERSIONS[random.below(2)]!]);
  }

  #newStatusLine(random: Random): void {
    const version = random.below(2) === 0 ? VERSIONS[random.below(2)]! : pick(VERSIONS, random);
    this.#newFirstLine([version, pick(STATUSES, random)]);
  }

  #insertMany(at: number, random: Random): void {
    const unit = pick(UNITS, random);
    const most = MANY[random.below(MANY.length)]!;
    const count = Math.min(random.between(1, most), Math.floor(40_000 / unit.length));
    for (let i = 0; i < count; i++) this.#copy.set(unit, i * unit.length);
    this.#insert(at, this.#copy.subarray(0, count * unit.length));
  }

  /** Something becomes so long, or so much, that a limit is met. */
  #grow(random: Random): void {
    if (this.length === 0) return;
    if (random.below(2) === 0) return this.#copyLine(random, random.between(2, 40) * (random.below(8) === 0 ? 25 : 1));
    const at = random.below(this.length);
    const count = random.between(10, 300) * (random.below(8) === 0 ? 50 : 1);
    this.#copy.fill(this.bytes[at]!, 0, count);
    this.#insert(at, this.#copy.subarray(0, count));
  }
}

function pick(from: readonly Bytes[], random: Random): Bytes {
  return from[random.below(from.length)]!;
}

const NO_CUTS: readonly number[] = [];
const cuts: number[] = [];

/** Where to cut a message of this length: nowhere, behind every byte, or at some places. */
export function makeCuts(length: number, random: Random): readonly number[] {
  const way = random.below(16);
  if (way < 8 || length < 2) return NO_CUTS;
  cuts.length = 0;
  if (way === 8 && length < 2000) {
    for (let at = 1; at < length; at++) cuts.push(at);
    return cuts;
  }
  let at = 0;
  const step = Math.max(1, Math.floor(length / random.between(1, 6)));
  while ((at += random.between(1, step)) < length) cuts.push(at);
  return cuts;
}
