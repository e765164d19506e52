// Tables of slots with open addressing: a slot is two words, a key and a record, which is 0 where the slot is free. A name
// or path is looked for from the slot that its key names up to the first free one. A record is taken out by moving up
// those behind it, so no trace is left of what has been, and probes stay as short as in a new table.

/** Number of slots for so many records: a third of them at least is free, so that runs stay short. */
export function slotCount(records: number): number {
  let slots = 1;
  while (2 * slots < 3 * records) slots *= 2;
  return slots;
}

/** The number of slots for so many records of a table that has `slots`: it shrinks when it is far too large only. */
export function nextSlotCount(records: number, slots: number): number {
  const fitting = slotCount(records);
  return fitting > slots || 4 * fitting <= slots ? fitting : slots;
}

/** The words of a table, wherever they are. */
export interface SlotWords {
  get(at: number): number;
  set(at: number, value: number): void;
}

/** Puts a record into the table that begins at `table`. */
export function insertSlot(words: SlotWords, table: number, mask: number, key: number, record: number): void {
  const at = findSlot(words, table, mask, key, 0);
  words.set(at, key);
  words.set(at + 1, record);
}

/** Puts another record in the place of one. */
export function replaceSlot(
  words: SlotWords,
  table: number,
  mask: number,
  key: number,
  old: number,
  record: number,
): void {
  words.set(findSlot(words, table, mask, key, old) + 1, record);
}

/** Takes a record out; those that were put behind it because its slot was taken move up (Knuth 6.4, algorithm R). */
export function eraseSlot(words: SlotWords, table: number, mask: number, key: number, record: number): void {
  let hole = (findSlot(words, table, mask, key, record) - table) >> 1;
  for (let slot = (hole + 1) & mask;; slot = (slot + 1) & mask) {
    const at = table + 2 * slot;
    const moving = words.get(at + 1);
    if (moving === 0) break;
    const home = words.get(at) & mask;
    if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
    words.set(table + 2 * hole, words.get(at));
    words.set(table + 2 * hole + 1, moving);
    hole = slot;
  }
  words.set(table + 2 * hole + 1, 0);
}

/** Where the slot of a record that is there lies, or with 0 the free slot for a key. */
function findSlot(words: SlotWords, table: number, mask: number, key: number, record: number): number {
  let slot = key & mask;
  while (words.get(table + 2 * slot + 1) !== record) slot = (slot + 1) & mask;
  return table + 2 * slot;
}

/** A table on its own: that of the hosts. */
export class SlotTable implements SlotWords {
  readonly words: Int32Array;

  constructor(slots: number) {
    this.words = new Int32Array(2 * slots);
  }

  get mask(): number {
    return (this.words.length >> 1) - 1;
  }

  get(at: number): number {
    return this.words[at]!;
  }

  set(at: number, value: number): void {
    this.words[at] = value;
  }
}

/** Puts the records of the table that begins at `table`, but for some, into another table. */
export function copySlots(
  from: SlotWords,
  table: number,
  mask: number,
  without: ReadonlySet<number>,
  to: SlotWords,
  toTable: number,
  toMask: number,
): void {
  const end = table + 2 * (mask + 1);
  for (let at = table; at < end; at += 2) {
    const record = from.get(at + 1);
    if (record !== 0 && !without.has(record)) insertSlot(to, toTable, toMask, from.get(at), record);
  }
}
