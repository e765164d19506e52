// The machine code that a single binary starts with (x86-64), and the strings it hands to the program it starts.
//
// At the entry point rsp points at argc, argv…, 0, envp…, 0, auxv…, as the kernel laid them; rdx holds the dynamic
// linker's finaliser and must survive. The code writes the same shape anew below it:
//   argc + k, the command's words, the user's arguments, 0, added variables, kept variables, 0, auxv.
// Variables that steer Deno or Node are dropped, so that the environment cannot run code in the binary or
// reconfigure its runtime: every NODE_… (NODE_OPTIONS preloads modules, opens a debugger), every DENO_… except
// DENO_V8_FLAGS, and OTEL_DENO. LD_… belong to the dynamic linker, which has run before this code.
// Source: System V ABI, AMD64 supplement, 3.4 "Process Initialization"; Intel SDM volume 2 for the encodings.

export interface Entry {
  /** Where the code is loaded, before relocation. */
  address: bigint;
  /** Where the program's own entry point is, before relocation. */
  originalEntry: bigint;
  /** The slot of the global offset table that holds the address of libc's `environ`. */
  environSlot: bigint;
  command: string[];
  environment: string[];
}

/** Code, table of strings, strings: one block that is loaded at `entry.address`. */
export function entryCode(entry: Entry): Uint8Array {
  const strings = [...entry.command, ...entry.environment].map(zeroTerminated);
  const code = assemble(entry);
  const tableSize = strings.length * 4;
  const size = strings.reduce((sum, bytes) => sum + bytes.length, code.length + tableSize);
  const block = new Uint8Array(size);
  block.set(code);
  const table = new DataView(block.buffer, code.length, tableSize);
  let at = code.length + tableSize;
  strings.forEach((bytes, i) => {
    table.setUint32(i * 4, at - code.length, true); // Offsets count from the table, which the code has in a register.
    block.set(bytes, at);
    at += bytes.length;
  });
  return block;
}

function zeroTerminated(text: string): Uint8Array {
  if (text.includes("\0")) {
    throw new Error(`a string of the command contains a NUL: ${JSON.stringify(text.slice(0, 40))}`);
  }
  return new TextEncoder().encode(text + "\0");
}

/** The first `length` bytes of `text` as the little-endian number that a load of them gives. */
function asNumber(text: string, length: number): bigint {
  return [...text].slice(0, length).reduceRight((n, c) => (n << 8n) | BigInt(c.charCodeAt(0)), 0n);
}

// Eight bytes from the start of a variable decide. They can always be read: behind the last variable the kernel puts the
// file name and eight zero bytes.
const KEPT = asNumber("DENO_V8_FLAGS", 8);
const DROPPED = asNumber("OTEL_DENO", 8);
// The first five bytes, moved to the top of the register by a shift that pushes out the other three.
const DROPPED_PREFIXES = [asNumber("NODE_", 5) << 24n, asNumber("DENO_", 5) << 24n] as const;

function assemble({ address, originalEntry, environSlot, command, environment }: Entry): Uint8Array {
  const a = new Assembler(address);
  const insertedArguments = command.length - 1; // The first word replaces argv[0].
  const insertedSlots = insertedArguments + environment.length;

  a.emit(0x48, 0x89, 0xe6); //                     mov rsi, rsp             old stack
  a.emit(0x48, 0x8b, 0x0e); //                     mov rcx, [rsi]           argc
  a.emit(0x48, 0x8d, 0x7c, 0xce, 0x10); //         lea rdi, [rsi+rcx*8+16]  envp
  a.label("variable");
  a.emit(0x48, 0x83, 0x3f, 0x00); //               cmp qword [rdi], 0
  a.emit(0x48, 0x8d, 0x7f, 0x08); //               lea rdi, [rdi+8]
  a.jump("notZero", "variable");
  a.label("auxiliary");
  a.emit(0x48, 0x83, 0x3f, 0x00); //               cmp qword [rdi], 0
  a.emit(0x48, 0x8d, 0x7f, 0x10); //               lea rdi, [rdi+16]
  a.jump("notZero", "auxiliary");
  a.emit(0x49, 0x89, 0xfc); //                     mov r12, rdi             end of auxv

  a.emit(0x48, 0x29, 0xf7); //                     sub rdi, rsi
  a.emit(0x48, 0x81, 0xc7).i32(insertedSlots * 8); // add rdi, inserted     size of the new stack
  a.emit(0x48, 0x29, 0xfc); //                     sub rsp, rdi
  a.emit(0x48, 0x83, 0xe4, 0xf0); //               and rsp, -16             as the ABI demands
  a.emit(0x48, 0x89, 0xe7); //                     mov rdi, rsp             destination

  a.emit(0x48, 0x8d, 0x81).i32(insertedArguments); // lea rax, [rcx+inserted]
  a.emit(0x48, 0xab); //                           stosq                    argc
  a.emit(0x4c, 0x8d, 0x05).rel32("table"); //      lea r8, [rip+table]
  a.storeStrings(0, command.length);
  a.emit(0x48, 0x83, 0xc6, 0x10); //               add rsi, 16              argv[1]
  a.emit(0xf3, 0x48, 0xa5); //                     rep movsq                argc words: arguments and their 0
  a.emit(0x49, 0x89, 0xfd); //                     mov r13, rdi             new envp
  a.storeStrings(command.length, environment.length);

  a.emit(0x49, 0xb9).i64(KEPT); //                 mov r9, …
  a.emit(0x49, 0xba).i64(DROPPED); //              mov r10, …
  a.emit(0x49, 0xbb).i64(DROPPED_PREFIXES[0]); //  mov r11, …
  a.emit(0x49, 0xbf).i64(DROPPED_PREFIXES[1]); //  mov r15, …
  a.label("next");
  a.emit(0x48, 0xad); //                           lodsq
  a.emit(0x48, 0x85, 0xc0); //                     test rax, rax
  a.jump("zero", "last");
  a.emit(0x4c, 0x8b, 0x30); //                     mov r14, [rax]
  a.emit(0x4d, 0x39, 0xce); //                     cmp r14, r9
  a.jump("zero", "keep");
  a.emit(0x4d, 0x39, 0xd6); //                     cmp r14, r10
  a.jump("zero", "next");
  a.emit(0x49, 0xc1, 0xe6, 0x18); //               shl r14, 24
  a.emit(0x4d, 0x39, 0xde); //                     cmp r14, r11
  a.jump("zero", "next");
  a.emit(0x4d, 0x39, 0xfe); //                     cmp r14, r15
  a.jump("zero", "next");
  a.label("keep");
  a.emit(0x48, 0xab); //                           stosq
  a.jump("always", "next");
  a.label("last");
  a.emit(0x48, 0xab); //                           stosq                    the 0 in rax

  a.emit(0x4c, 0x89, 0xe1); //                     mov rcx, r12
  a.emit(0x48, 0x29, 0xf1); //                     sub rcx, rsi
  a.emit(0x48, 0xc1, 0xe9, 0x03); //               shr rcx, 3
  a.emit(0xf3, 0x48, 0xa5); //                     rep movsq                auxv
  a.emit(0x48, 0x8b, 0x05).relTo(environSlot); //  mov rax, [rip+slot]
  a.emit(0x4c, 0x89, 0x28); //                     mov [rax], r13           environ
  a.emit(0xe9).relTo(originalEntry); //            jmp original entry
  a.align(8);
  a.label("table");
  return a.finish();
}

const JUMPS = { zero: 0x74, notZero: 0x75, always: 0xeb } as const;

/** Collects bytes; labels may be used before they are placed. */
class Assembler {
  readonly #address: bigint;
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #fixes: { at: number; size: 1 | 4; label: string }[] = [];

  constructor(address: bigint) {
    this.#address = address;
  }

  emit(...bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  i32(n: number): this {
    return this.emit(n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255);
  }

  i64(n: bigint): this {
    return this.i32(Number(BigInt.asIntN(32, n))).i32(Number(BigInt.asIntN(32, n >> 32n)));
  }

  label(name: string): void {
    this.#labels.set(name, this.#bytes.length);
  }

  jump(condition: keyof typeof JUMPS, label: string): void {
    this.emit(JUMPS[condition]);
    this.#fixes.push({ at: this.#bytes.length, size: 1, label });
    this.emit(0);
  }

  rel32(label: string): this {
    this.#fixes.push({ at: this.#bytes.length, size: 4, label });
    return this.i32(0);
  }

  /** The distance from the end of this operand, the last of its instruction, to an address of the base executable. */
  relTo(target: bigint): this {
    const distance = target - (this.#address + BigInt(this.#bytes.length + 4));
    if (BigInt.asIntN(32, distance) !== distance) throw new Error("the base executable is larger than a jump reaches");
    return this.i32(Number(distance));
  }

  /** Writes the addresses of strings `first…first+count-1`: r8 is the table, rdi the destination. */
  storeStrings(first: number, count: number): void {
    for (let i = first; i < first + count; i++) {
      this.emit(0x41, 0x8b, 0x80).i32(i * 4); // mov eax, [r8+i*4]
      this.emit(0x4c, 0x01, 0xc0); //           add rax, r8
      this.emit(0x48, 0xab); //                 stosq
    }
  }

  align(unit: number): void {
    while (this.#bytes.length % unit) this.emit(0x90);
  }

  finish(): Uint8Array {
    for (const { at, size, label } of this.#fixes) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new Error(`label ${label} is not placed`);
      const distance = target - (at + size);
      if (size === 1 && (distance < -128 || distance > 127)) {
        throw new Error(`label ${label} is too far for a short jump`);
      }
      for (let i = 0; i < size; i++) this.#bytes[at + i] = (distance >> (8 * i)) & 255;
    }
    return Uint8Array.from(this.#bytes);
  }
}
