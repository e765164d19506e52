// The single-binary writer: puts a program for `deno eval` inside Deno's own executable, without a compiler or a linker.
//
// The note segment's program header is turned into a loadable segment, appended to the file, that holds a few hundred bytes of
// code and the strings of a command line. The entry point leads to that code. It lays a new initial stack below the
// kernel's (command line with the program in front, environment filtered, auxiliary vector as it was), points libc's
// `environ` at the new environment, and jumps to the original entry point. The program is thus a mapped string, to
// which the kernel's limit on the length of an argument does not apply, and nothing is unpacked at start.
//
// x86-64 Linux only: the code is machine code. Formats: System V ABI, ELF-64 object file format; System V ABI AMD64
// supplement, "Process Initialization" and "Relocation". Knows nothing of kakehi.

import { entryCode } from "./elf_entry.ts";

/** What the written executable does when it is started. */
export interface Launch {
  /** The first words of the command line, `argv[0]` included; the user's arguments follow. */
  command: string[];
  /** `NAME=value` strings put before what is kept of the caller's environment. */
  environment: string[];
}

const HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
const PAGE_SIZE = 0x1000;
const SEGMENT_ALIGN = 0x10000n; // Also suits kernels with pages of 64 KiB.
const MACHINE_X86_64 = 62;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_NOTE = 4;
const PF_READ_EXECUTE = 5;
const DT_STRTAB = 5n;
const DT_SYMTAB = 6n;
const DT_RELA = 7n;
const DT_RELASZ = 8n;
const RELA_SIZE = 24;
const SYMBOL_SIZE = 24;
const R_X86_64_GLOB_DAT = 6n;

interface ProgramHeader {
  type: number;
  flags: number;
  fileOffset: bigint;
  address: bigint;
  fileSize: bigint;
  memorySize: bigint;
  align: bigint;
}

interface Elf {
  bytes: Uint8Array;
  view: DataView;
  entry: bigint;
  headersOffset: number;
  headers: ProgramHeader[];
}

/** Where in the written file the block of `embedLaunch` lies. */
export function blockOffset(base: Uint8Array): number {
  return alignUp(base.length, PAGE_SIZE);
}

/**
 * The bytes of an executable that runs `launch` in `base`, and carries `block`, which nothing loads, at `blockOffset(base)`.
 * Same input, same bytes. Throws where `base` cannot carry it.
 */
export function embedLaunch(base: Uint8Array, launch: Launch, block = new Uint8Array(0)): Uint8Array {
  const elf = readElf(base);
  const noteIndex = elf.headers.findIndex((header) => header.type === PT_NOTE);
  if (noteIndex < 0) throw new Error("the base executable has no PT_NOTE program header to give up for the program");
  const fileOffset = alignUp(blockOffset(base) + block.length, PAGE_SIZE);
  const address = segmentAddress(elf.headers);
  const segment = entryCode({
    address,
    originalEntry: elf.entry,
    environSlot: globalSlotAddress(elf, "environ"),
    ...launch,
  });
  const size = BigInt(segment.length);
  const added: ProgramHeader = {
    type: PT_LOAD,
    flags: PF_READ_EXECUTE,
    fileOffset: BigInt(fileOffset),
    address,
    fileSize: size,
    memorySize: size,
    align: BigInt(PAGE_SIZE),
  };

  const out = new Uint8Array(fileOffset + segment.length);
  out.set(base);
  out.set(block, blockOffset(base));
  out.set(segment, fileOffset);
  const view = new DataView(out.buffer);
  view.setBigUint64(24, address, true);
  const headers = elf.headers.toSpliced(noteIndex, 1);
  // Loadable segments must stand in order of their addresses.
  headers.splice(headers.findLastIndex((header) => header.type === PT_LOAD) + 1, 0, added);
  headers.forEach((header, i) => writeProgramHeader(view, elf.headersOffset + i * PROGRAM_HEADER_SIZE, header));
  return out;
}

function readElf(bytes: Uint8Array): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_SIZE || view.getUint32(0, false) !== 0x7f454c46) {
    throw new Error("the base executable is not an ELF file");
  }
  const machine = view.getUint16(18, true);
  if (bytes[4] !== 2 || bytes[5] !== 1 || machine !== MACHINE_X86_64) {
    throw new Error(`the base executable is for ELF machine ${machine}; expected 64-bit x86-64 (${MACHINE_X86_64})`);
  }
  const headersOffset = Number(view.getBigUint64(32, true));
  const count = view.getUint16(56, true);
  if (view.getUint16(54, true) !== PROGRAM_HEADER_SIZE || headersOffset + count * PROGRAM_HEADER_SIZE > bytes.length) {
    throw new Error("the program headers of the base executable are damaged");
  }
  const headers = Array.from(
    { length: count },
    (_, i) => readProgramHeader(view, headersOffset + i * PROGRAM_HEADER_SIZE),
  );
  return { bytes, view, entry: view.getBigUint64(24, true), headersOffset, headers };
}

function readProgramHeader(view: DataView, at: number): ProgramHeader {
  return {
    type: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    fileOffset: view.getBigUint64(at + 8, true),
    address: view.getBigUint64(at + 16, true),
    fileSize: view.getBigUint64(at + 32, true),
    memorySize: view.getBigUint64(at + 40, true),
    align: view.getBigUint64(at + 48, true),
  };
}

function writeProgramHeader(view: DataView, at: number, header: ProgramHeader): void {
  view.setUint32(at, header.type, true);
  view.setUint32(at + 4, header.flags, true);
  view.setBigUint64(at + 8, header.fileOffset, true);
  view.setBigUint64(at + 16, header.address, true);
  view.setBigUint64(at + 24, header.address, true); // The physical address, which Linux does not read.
  view.setBigUint64(at + 32, header.fileSize, true);
  view.setBigUint64(at + 40, header.memorySize, true);
  view.setBigUint64(at + 48, header.align, true);
}

/** The first free address behind all that is loaded. */
function segmentAddress(headers: ProgramHeader[]): bigint {
  let top = 0n;
  for (const { type, address, memorySize } of headers) {
    if (type === PT_LOAD && address + memorySize > top) top = address + memorySize;
  }
  return (top + SEGMENT_ALIGN - 1n) & ~(SEGMENT_ALIGN - 1n);
}

/**
 * Where the dynamic linker will have written the address of the imported variable `name`: its entry in the global offset
 * table, by the R_X86_64_GLOB_DAT relocation that fills it.
 */
function globalSlotAddress(elf: Elf, name: string): bigint {
  const dynamic = dynamicEntries(elf);
  const need = (tag: bigint) => {
    const value = dynamic.get(tag);
    if (value === undefined) {
      throw new Error(`the base executable has no dynamic entry ${tag}; is it linked statically?`);
    }
    return value;
  };
  const relocations = fileOffsetOf(elf, need(DT_RELA));
  const symbols = fileOffsetOf(elf, need(DT_SYMTAB));
  const strings = fileOffsetOf(elf, need(DT_STRTAB));
  const end = relocations + Number(need(DT_RELASZ));
  for (let at = relocations; at < end; at += RELA_SIZE) {
    const info = elf.view.getBigUint64(at + 8, true);
    if ((info & 0xffffffffn) !== R_X86_64_GLOB_DAT) continue;
    const symbol = symbols + Number(info >> 32n) * SYMBOL_SIZE;
    if (cString(elf.bytes, strings + elf.view.getUint32(symbol, true)) === name) return elf.view.getBigUint64(at, true);
  }
  throw new Error(`the base executable does not import the variable ${name}`);
}

function dynamicEntries(elf: Elf): Map<bigint, bigint> {
  const entries = new Map<bigint, bigint>();
  const header = elf.headers.find((header) => header.type === PT_DYNAMIC);
  if (!header) return entries;
  const start = Number(header.fileOffset);
  for (let at = start; at < start + Number(header.fileSize); at += 16) {
    entries.set(elf.view.getBigUint64(at, true), elf.view.getBigUint64(at + 8, true));
  }
  return entries;
}

function fileOffsetOf(elf: Elf, address: bigint): number {
  for (const { type, fileOffset, address: start, fileSize } of elf.headers) {
    if (type === PT_LOAD && address >= start && address < start + fileSize) return Number(address - start + fileOffset);
  }
  throw new Error(`address 0x${address.toString(16)} of the base executable is in no loaded segment`);
}

function cString(bytes: Uint8Array, at: number): string {
  return new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));
}

function alignUp(n: number, unit: number): number {
  return Math.ceil(n / unit) * unit;
}
