// The single-binary writer on a hand-made executable: what it changes, what it leaves, and what it refuses. That the code it
// writes runs is shown by tests/e2e/binary_test.ts.

import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { blockOffset, embedLaunch, type Launch } from "../../../scripts/elf.ts";

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_NOTE = 4;
const ENTRY = 0x1234n;
const SLOT = 0x2a00n;
const BASE_SIZE = 0x900;

interface Options {
  symbol?: string;
  noteType?: number;
  machine?: number;
}

/** Headers, then at 0x400 the dynamic section, at 0x500 a relocation, at 0x600 the symbols, at 0x700 their names. */
function baseExecutable({ symbol = "environ", noteType = PT_NOTE, machine = 62 }: Options = {}): Uint8Array {
  const bytes = new Uint8Array(BASE_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, machine, true);
  view.setBigUint64(24, ENTRY, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 4, true);
  const header = (i: number, type: number, offset: number, address: number, size: number) => {
    const at = 64 + i * 56;
    view.setUint32(at, type, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 16, BigInt(address), true);
    view.setBigUint64(at + 32, BigInt(size), true);
    view.setBigUint64(at + 40, BigInt(size), true);
  };
  header(0, PT_LOAD, 0, 0x1000, BASE_SIZE);
  header(1, noteType, 0, 0x1000, 16);
  header(2, PT_LOAD, 0x800, 0x12800, 0x100);
  header(3, PT_DYNAMIC, 0x400, 0x1400, 80);
  const dynamic = [[5, 0x1700], [6, 0x1600], [7, 0x1500], [8, 24], [0, 0]];
  dynamic.flat().forEach((value, i) => view.setBigUint64(0x400 + i * 8, BigInt(value), true));
  view.setBigUint64(0x500, SLOT, true);
  view.setBigUint64(0x508, (1n << 32n) | 6n, true);
  view.setUint32(0x600 + 24, 1, true);
  bytes.set(new TextEncoder().encode(symbol), 0x701);
  return bytes;
}

const LAUNCH: Launch = { command: ["name", "eval", "the program"], environment: ["ADDED=1"] };

Deno.test("embedLaunch() appends one segment and leads the entry point to it", () => {
  const base = baseExecutable();
  const out = embedLaunch(base, LAUNCH);
  const view = new DataView(out.buffer);
  assertEquals(view.getBigUint64(24, true), 0x20000n, "entry point: the next 64 KiB behind what is loaded");
  const types = [0, 1, 2, 3].map((i) => view.getUint32(64 + i * 56, true));
  assertEquals(types, [PT_LOAD, PT_LOAD, PT_LOAD, PT_DYNAMIC], "the note gave its place to the last loadable segment");
  const at = 64 + 2 * 56;
  assertEquals(view.getUint32(at + 4, true), 5, "readable and executable, not writable");
  assertEquals(view.getBigUint64(at + 8, true), 0x1000n, "file offset");
  assertEquals(view.getBigUint64(at + 16, true), 0x20000n, "address");
  assertEquals(view.getBigUint64(at + 32, true), BigInt(out.length - 0x1000), "size");
  assertEquals(out.subarray(64 + 4 * 56, BASE_SIZE), base.subarray(64 + 4 * 56), "behind the headers nothing changes");
});

Deno.test("embedLaunch() writes the strings, each ended by a NUL, behind a table of their offsets", () => {
  const out = embedLaunch(baseExecutable(), LAUNCH);
  const strings = "name\0eval\0the program\0ADDED=1\0";
  const start = out.length - strings.length;
  assertEquals(new TextDecoder().decode(out.subarray(start)), strings);
  const tableAt = start - 4 * 4;
  const view = new DataView(out.buffer);
  const read = (i: number) => {
    const at = tableAt + view.getUint32(tableAt + 4 * i, true);
    return new TextDecoder().decode(out.subarray(at, out.indexOf(0, at)));
  };
  assertEquals([0, 1, 2, 3].map(read), [...LAUNCH.command, ...LAUNCH.environment]);
});

Deno.test("embedLaunch() ends its code with a jump to the original entry point", () => {
  const out = embedLaunch(baseExecutable(), LAUNCH);
  const view = new DataView(out.buffer);
  const jumps: bigint[] = [];
  for (let at = 0x1000; at < out.length - 5; at++) {
    if (out[at] === 0xe9) jumps.push(0x20000n + BigInt(at - 0x1000 + 5 + view.getInt32(at + 1, true)));
  }
  assert(jumps.includes(ENTRY), `none of the jumps goes to ${ENTRY}: ${jumps}`);
});

Deno.test("embedLaunch() gives the same bytes for the same input, and does not write to the input", () => {
  const base = baseExecutable();
  assertEquals(embedLaunch(base, LAUNCH), embedLaunch(base, LAUNCH));
  assertEquals(base, baseExecutable());
});

Deno.test("embedLaunch() takes a program larger than the kernel allows for an argument", () => {
  const out = embedLaunch(baseExecutable(), { command: ["name", "x".repeat(1 << 20)], environment: [] });
  assert(out.length > (1 << 20));
});

Deno.test("embedLaunch() carries a block between the base and its segment, at a known place, and loads none of it", () => {
  const base = baseExecutable();
  const block = new Uint8Array(5000).fill(7);
  const out = embedLaunch(base, LAUNCH, block);
  const at = blockOffset(base);
  assertEquals(at, 0x1000);
  assertEquals(out.subarray(at, at + block.length), block);
  const view = new DataView(out.buffer);
  const header = 64 + 2 * 56;
  assertEquals(view.getBigUint64(header + 8, true), 0x3000n, "file offset: the next page");
  assertEquals(view.getBigUint64(header + 16, true), 0x20000n, "address");
  assertEquals(out.subarray(0x3000), embedLaunch(base, LAUNCH).subarray(0x1000), "the segment is the same");
});

Deno.test("embedLaunch() refuses what it cannot carry", () => {
  const refuses = (base: Uint8Array, pattern: RegExp) => assertThrows(() => embedLaunch(base, LAUNCH), pattern);
  refuses(new TextEncoder().encode("#!/bin/sh\n".repeat(10)), /not an ELF file/);
  refuses(new Uint8Array(0), /not an ELF file/);
  refuses(baseExecutable({ machine: 183 }), /machine 183; expected 64-bit x86-64/);
  refuses(baseExecutable({ noteType: 0 }), /no PT_NOTE/);
  refuses(baseExecutable({ symbol: "stdout" }), /does not import the variable environ/);
  refuses(baseExecutable().subarray(0, 100), /damaged/);
  assertThrows(() => embedLaunch(baseExecutable(), { command: ["a", "b\0c"], environment: [] }), /contains a NUL/);
});
