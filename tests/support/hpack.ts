// Header compression by itself, for tests and benches: assembly/hpack compiled as an entry of its own, with tables, blocks
// and lists in a memory where nothing else is. Texts are latin1: a character is a byte.

import { Buffer } from "node:buffer";
import { compileAlone } from "./assembly.ts";

const FOLDER = "assembly/hpack";
const OTHERS = ["assembly/abi.ts", "assembly/bytes.ts", "assembly/memory.ts", "assembly/http1/fields.ts"];

const PAGE = 65536;
/** Where tests may put something: behind everything that the module has itself. */
const FREE_AT = 8 * PAGE;
const MEMORY_PAGES = 64;
const ENTRY_BYTES = 16;
/** Behind each piece of memory: what may be written there, and a canary. */
const SLACK = 16;
const CANARY = 0xa5;

export const NEVER_INDEXED = 2;
export const PSEUDO = 4;

type Global = WebAssembly.Global;

export interface HpackExports {
  tableBytes(capacity: number): number;
  encoderTableBytes(capacity: number): number;
  beginTable(at: number, capacity: number): number;
  beginEncoderTable(at: number, capacity: number): number;
  ringsBytes(capacity: number): number;
  lookupBytes(capacity: number): number;
  beginSmallTable(at: number, capacity: number, small: number, spareAt: number): number;
  beginSmallEncoderTable(at: number, capacity: number, small: number, spareAt: number): number;
  allowSize(table: number, size: number): void;
  decodeInto(entries: number, count: number, bytes: number, room: number, scratch: number): void;
  decodeBlock(table: number, at: number, length: number, sizeMax: number, sizeHardMax: number): number;
  beginBlock(table: number, to: number): number;
  encodeField(
    table: number,
    to: number,
    nameAt: number,
    nameLength: number,
    valueAt: number,
    valueLength: number,
    flags: number,
  ): number;
  encodeStaticName(
    table: number,
    to: number,
    index: number,
    valueAt: number,
    valueLength: number,
    flags: number,
  ): number;
  encodeNumber(table: number, to: number, index: number, value: bigint): number;
  encodeStatus(table: number, to: number, status: number): number;
  decodeHuffman(at: number, length: number, to: number, room: number): number;
  huffmanLength(at: number, length: number): number;
  putHuffman(to: number, at: number, length: number): number;
  readInteger(at: number, end: number, mask: number): number;
  putInteger(to: number, pattern: number, mask: number, value: number): number;
  staticEntry(index: number): number;
  listCount: Global;
  listSize: Global;
  listEnd: Global;
  integerEnd: Global;
  DECODED: Global;
  LIST_TOO_LARGE: Global;
  BLOCK_CUT: Global;
  NUMBER_TOO_LARGE: Global;
  INDEX_UNKNOWN: Global;
  STRING_BAD: Global;
  SIZE_LATE: Global;
  SIZE_TOO_LARGE: Global;
  SIZE_MISSING: Global;
  LIST_FAR_TOO_LARGE: Global;
  FIELD_BYTES_MAX: Global;
  BLOCK_BYTES_MAX: Global;
}

export interface Field {
  name: string;
  value: string;
  /** NEVER_INDEXED, or nothing. */
  flags?: number;
}

/** A field of a decoded list. */
export interface Entry {
  name: string;
  value: string;
  known: number;
  flags: number;
}

let compiled: WebAssembly.Module | undefined;

function compile(): WebAssembly.Module {
  const folder = [...Deno.readDirSync(new URL(`../../${FOLDER}`, import.meta.url))].map(({ name }) =>
    `${FOLDER}/${name}`
  );
  return compileAlone(`${FOLDER}/mod.ts`, [...OTHERS, ...folder]);
}

/** A piece of memory with a canary on both sides. */
export interface Piece {
  at: number;
  bytes: number;
}

/** One instance of the module. */
export class Hpack {
  readonly memory = new WebAssembly.Memory({ initial: MEMORY_PAGES });
  readonly exports: HpackExports;
  readonly u8: Uint8Array<ArrayBuffer>;
  readonly buffer: Buffer;
  readonly view: DataView;
  #pieces: Piece[] = [];
  #free = FREE_AT;

  constructor() {
    compiled ??= compile();
    const instance = new WebAssembly.Instance(compiled, { env: { memory: this.memory } });
    this.exports = instance.exports as unknown as HpackExports;
    this.u8 = new Uint8Array(this.memory.buffer as ArrayBuffer);
    this.buffer = Buffer.from(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
  }

  /** `bytes` bytes, with SLACK behind them that may be written to, and canaries around. */
  place(bytes: number): Piece {
    const at = this.#free + SLACK;
    this.#free = (at + bytes + 2 * SLACK + 15) & ~15;
    if (this.#free > this.u8.length) throw new Error("the test's memory is used up");
    this.u8.fill(CANARY, at - SLACK, at);
    this.u8.fill(CANARY, at + bytes + SLACK, at + bytes + 2 * SLACK);
    const piece = { at, bytes };
    this.#pieces.push(piece);
    return piece;
  }

  /** Gives up all pieces; those who have some go on with memory that is not theirs. */
  forget(): void {
    this.checkCanaries();
    this.#pieces = [];
    this.#free = FREE_AT;
  }

  /** Fails when a byte outside of the pieces has been written. */
  checkCanaries(): void {
    for (const { at, bytes } of this.#pieces) {
      for (let i = 0; i < SLACK; i++) {
        if (this.u8[at - SLACK + i] !== CANARY) throw new Error(`a byte in front of ${at} was written`);
        if (this.u8[at + bytes + SLACK + i] !== CANARY) throw new Error(`a byte behind ${at} + ${bytes} was written`);
      }
    }
  }

  text(at: number, length: number): string {
    return this.buffer.toString("latin1", at, at + length);
  }
}

export interface DecoderOptions {
  capacity?: number;
  entriesMax?: number;
  room?: number;
  sizeMax?: number;
  sizeHardMax?: number;
}

const BLOCK_BYTES = 1 << 18;

/** A decoder with its table. */
export class Decoder {
  table: number;
  readonly sizeMax: number;
  readonly sizeHardMax: number;
  readonly #block: Piece;
  readonly #entries: Piece;
  readonly #bytes: Piece;
  readonly #scratch: Piece;
  readonly #entriesMax: number;
  readonly #tableAt: Piece;
  readonly #capacity: number;

  constructor(readonly hpack: Hpack, options: DecoderOptions = {}) {
    const { capacity = 4096, entriesMax = 2000, room = 1 << 16, sizeMax = 1 << 17, sizeHardMax = 1 << 19 } = options;
    this.#tableAt = hpack.place(hpack.exports.tableBytes(capacity));
    this.table = hpack.exports.beginTable(this.#tableAt.at, capacity);
    this.#capacity = capacity;
    this.sizeMax = sizeMax;
    this.sizeHardMax = sizeHardMax;
    this.#entriesMax = entriesMax;
    this.#block = hpack.place(BLOCK_BYTES);
    this.#entries = hpack.place(entriesMax * ENTRY_BYTES);
    this.#bytes = hpack.place(room);
    this.#scratch = hpack.place(capacity);
  }

  /** As for a new connection. */
  restart(): void {
    this.hpack.exports.beginTable(this.#tableAt.at, this.#capacity);
  }

  /** The code; `list()` has what came. */
  run(block: Uint8Array): number {
    const { exports, u8 } = this.hpack;
    u8.set(block, this.#block.at);
    exports.decodeInto(this.#entries.at, this.#entriesMax, this.#bytes.at, this.#bytes.bytes, this.#scratch.at);
    return exports.decodeBlock(this.table, this.#block.at, block.length, this.sizeMax, this.sizeHardMax);
  }

  list(): Entry[] {
    const count = this.hpack.exports.listCount.value;
    const entries: Entry[] = [];
    for (let index = 0; index < count; index++) entries.push(this.#entry(this.#entries.at + index * ENTRY_BYTES));
    return entries;
  }

  #entry(at: number): Entry {
    const { hpack } = this;
    return {
      name: hpack.text(hpack.view.getUint32(at, true), hpack.view.getUint16(at + 12, true)),
      value: hpack.text(hpack.view.getUint32(at + 4, true), hpack.view.getUint32(at + 8, true)),
      known: hpack.u8[at + 14]!,
      flags: hpack.u8[at + 15]!,
    };
  }

  /** The list of a block that is well-formed and within the bounds. */
  decode(block: Uint8Array): Entry[] {
    const code = this.run(block);
    if (code !== 0) throw new Error(`decodeBlock() gave ${code} for ${Buffer.from(block).toString("hex")}`);
    return this.list();
  }

  /** Size of the table, its maximum, and the number of its entries. */
  state(): { size: number; sizeMax: number; count: number } {
    return tableState(this.hpack, this.table);
  }
}

function tableState({ view }: Hpack, table: number): { size: number; sizeMax: number; count: number } {
  return {
    sizeMax: view.getUint32(table + 8, true),
    size: view.getUint32(table + 12, true),
    count: view.getUint32(table + 16, true),
  };
}

/** An encoder with its table. */
export class Encoder {
  table: number;
  readonly #input: Piece;
  readonly #output: Piece;
  readonly #tableAt: Piece;

  constructor(readonly hpack: Hpack, readonly capacity = 4096) {
    this.#tableAt = hpack.place(hpack.exports.encoderTableBytes(capacity));
    this.table = hpack.exports.beginEncoderTable(this.#tableAt.at, capacity);
    this.#input = hpack.place(BLOCK_BYTES);
    this.#output = hpack.place(BLOCK_BYTES);
  }

  restart(): void {
    this.hpack.exports.beginEncoderTable(this.#tableAt.at, this.capacity);
  }

  /** The block, a view that holds until the next one; checks that it takes no more than was said. */
  encode(fields: readonly Field[]): Uint8Array {
    const { exports, buffer } = this.hpack;
    const start = this.#output.at;
    let to = exports.beginBlock(this.table, start);
    let from = this.#input.at;
    for (const { name, value, flags = 0 } of fields) {
      buffer.write(name, from, "latin1");
      buffer.write(value, from + name.length, "latin1");
      const end = exports.encodeField(this.table, to, from, name.length, from + name.length, value.length, flags);
      if (end - to > name.length + value.length + exports.FIELD_BYTES_MAX.value) {
        throw new Error("a field took too much");
      }
      from += name.length + value.length;
      to = end;
    }
    return this.hpack.u8.subarray(start, to);
  }

  /** What `write` writes at the address that it is given. */
  raw(write: (to: number) => number): Uint8Array {
    return this.hpack.u8.slice(this.#output.at, write(this.#output.at));
  }

  state(): { size: number; sizeMax: number; count: number } {
    return tableState(this.hpack, this.table);
  }
}

export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
