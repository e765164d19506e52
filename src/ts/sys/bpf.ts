// Programs of classic BPF, in which socket filters and seccomp filters are written: laid out as the kernel reads them.

import { addressOf } from "./fds.ts";

/** Operation, jump if true, jump if false, operand. */
export type Instruction = readonly [op: number, yes: number, no: number, operand: number];

export const LOAD_WORD = 0x20;
export const LOAD_BYTE = 0x30;
export const AND = 0x54;
export const JUMP_IF_EQUAL = 0x15;
export const RETURN = 0x06;

/** struct sock_fprog and what it points to; `program` must stay referenced until the kernel has read it. */
export function layProgram(
  code: readonly Instruction[],
): { header: Uint8Array<ArrayBuffer>; program: Uint8Array<ArrayBuffer> } {
  const program = new Uint8Array(code.length * 8);
  const view = new DataView(program.buffer);
  code.forEach(([op, yes, no, operand], i) => {
    view.setUint16(i * 8, op, true);
    view.setUint8(i * 8 + 2, yes);
    view.setUint8(i * 8 + 3, no);
    view.setUint32(i * 8 + 4, operand, true);
  });
  const header = new Uint8Array(16);
  const headerView = new DataView(header.buffer);
  headerView.setUint16(0, code.length, true);
  headerView.setBigUint64(8, addressOf(program), true);
  return { header, program };
}
