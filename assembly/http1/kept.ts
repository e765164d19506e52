// A message whose head has been read and is written later, when others have been read in between: over HTTP/2 an answer waits
// for its turn, and a request for a connection. What the module at hand knows of it beside the header table lies meanwhile
// in the last bytes of the headroom of its buffer, in front of the bytes that came, where nothing is written before the
// head goes on. One shape for both directions; what a direction does not use, it leaves alone.

import { HEADROOM, KEPT_BYTES } from "../abi";
import { Record, tableBytes } from "../memory";

@unmanaged
export class Kept {
  /** As read from Content-Length; -1 without. */
  contentLength: f64;
  flags: u32;
  bodyMode: i32;
  headerCount: u32;
  saysNoContent: bool;

  // of a request
  methodAt: u32;
  methodLength: u32;
  targetAt: u32;
  targetLength: u32;
  hostAt: u32;
  hostLength: u32;

  // of an answer
  status: u32;
  /** Behind the head. */
  headEnd: u32;
}

assert(offsetof<Kept>() <= usize(KEPT_BYTES));
assert(KEPT_BYTES <= HEADROOM && HEADROOM % 64 == 0 && KEPT_BYTES % 64 == 0);

@inline
export function keptIn(buffer: u32): Kept {
  return changetype<Kept>(usize(buffer + tableBytes + HEADROOM - KEPT_BYTES));
}

/** The table of `buffer`, as it was filled, is that of the record again. */
@inline
export function useTable(record: Record, buffer: u32, kept: Kept): void {
  record.tableAt = buffer;
  record.headerCount = kept.headerCount;
}

/** Trailers are their table and nothing else. */
export function keepTrailers(record: Record, buffer: u32): void {
  keptIn(buffer).headerCount = record.headerCount;
}

export function restoreTrailers(record: Record, buffer: u32): void {
  useTable(record, buffer, keptIn(buffer));
}
