// The changes at the end of a state file: after the whole state, a line for each time that something changed, with the
// orders that led there and a checksum. So one change costs one small write, however large the state is. Each line names
// the revision that it follows and the hash of the state after it, so that a lost or doubled one is found out.
//
// A line is written at once, at the end. Power that fails meanwhile leaves a last line that is not whole: nobody was told
// that it is there, and it is dropped. Any other line that is wrong was whole once, and what follows it cannot be trusted.

import { applyOrders } from "../config/apply_order.ts";
import { diff } from "../config/diff.ts";
import { formatOrderError, type Order } from "../config/orders.ts";
import { hashAfter } from "../config/state_hash.ts";
import type { State } from "../config/state.ts";

/** A state and where it stands in main's history. */
export interface Revision {
  state: State;
  revision: number;
  hash: string;
}

interface Entry {
  from: number;
  revision: number;
  hash: string;
  at: string;
  orders: Order[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const NEWLINE = 10;
const CHECKSUM = '{"sha256":"';
const ENTRY = '","entry":';
const END = "}\n";
const HEX_LENGTH = 64;

export async function checksum(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The line that leads from one state to the next. O(changes), and a look at each reference. */
export async function entryLine(before: Revision, after: Revision): Promise<Uint8Array<ArrayBuffer>> {
  const { revision, hash } = after;
  const orders = diff(before.state, after.state);
  const entry: Entry = { from: before.revision, revision, hash, at: new Date().toISOString(), orders };
  const text = JSON.stringify(entry);
  return encoder.encode(`${CHECKSUM}${await checksum(encoder.encode(text))}${ENTRY}${text}${END}`);
}

/** The line with the checksum of the whole state, which is the first that begins with one; the changes begin behind it. */
export function endOfWhole(content: Uint8Array): { checksumAt: number; end: number } | undefined {
  for (let at = 0; at < content.length;) {
    const end = content.indexOf(NEWLINE, at) + 1;
    if (end === 0) return undefined;
    if (startsWith(content, at, CHECKSUM)) return { checksumAt: at, end };
    at = end;
  }
  return undefined;
}

function startsWith(content: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (content[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

export interface Replayed extends Revision {
  /** When it was written; "" if there are no lines. */
  at: string;
  /** What was dropped, or "". */
  warning: string;
}

/**
 * The state after all lines from byte `at` on; throws an Error that says which line is wrong. `isOurs`: this version has
 * written them, so that their hashes are what we call these states.
 */
export async function replay(
  whole: Revision,
  content: Uint8Array<ArrayBuffer>,
  at: number,
  isOurs: boolean,
): Promise<Replayed> {
  let now: Replayed = { ...whole, at: "", warning: "" };
  for (let number = 1; at < content.length; number++) {
    const end = content.indexOf(NEWLINE, at) + 1;
    const line = content.subarray(at, end === 0 ? content.length : end);
    const entry = await entryIn(line);
    // A line whose end was lost has swallowed the next one, and was whole once.
    const isLast = (end === 0 || end === content.length) && !holdsAnother(line);
    if (entry === undefined && isLast) {
      const what = `the last change, ${line.length} bytes from byte ${at} on, is not whole and is dropped`;
      return { ...now, warning: `${what}: the state is that of revision ${now.revision}` };
    }
    if (entry === undefined) throw new Error(`change ${number} (from byte ${at} on) is not what its checksum says`);
    now = { ...now, ...changed(now, entry, number, isOurs), at: entry.at };
    at = end;
  }
  return now;
}

/** Whether a line begins in the middle of this one: texts have no such characters, their quotes have a backslash. */
function holdsAnother(line: Uint8Array): boolean {
  for (let at = line.indexOf(CHECKSUM.charCodeAt(0), 1); at > 0; at = line.indexOf(CHECKSUM.charCodeAt(0), at + 1)) {
    if (startsWith(line, at, CHECKSUM)) return true;
  }
  return false;
}

/** What a line says, or undefined if it is not whole. */
async function entryIn(line: Uint8Array<ArrayBuffer>): Promise<Entry | undefined> {
  const entryAt = CHECKSUM.length + HEX_LENGTH + ENTRY.length;
  if (line.length < entryAt + END.length || !startsWith(line, line.length - END.length, END)) return undefined;
  if (!startsWith(line, 0, CHECKSUM) || !startsWith(line, entryAt - ENTRY.length, ENTRY)) return undefined;
  const content = line.slice(entryAt, -END.length);
  const given = String.fromCharCode(...line.subarray(CHECKSUM.length, CHECKSUM.length + HEX_LENGTH));
  if (given !== await checksum(content)) return undefined;
  return JSON.parse(decoder.decode(content));
}

function changed(before: Revision, entry: Entry, number: number, isOurs: boolean): Revision {
  const { from, revision, orders } = entry;
  if (from !== before.revision) {
    throw new Error(`change ${number} follows revision ${from}, expected ${before.revision}: one is missing before it`);
  }
  const { state, errors } = applyOrders(before.state, orders);
  if (!state) throw new Error(`change ${number}, to revision ${revision}: ${errors.map(formatOrderError).join("\n")}`);
  const hash = hashAfter(before.hash, before.state, state, orders);
  if (isOurs && hash !== entry.hash) {
    throw new Error(`change ${number}, to revision ${revision}, leads to another state than its hash says`);
  }
  return { state, revision, hash };
}
