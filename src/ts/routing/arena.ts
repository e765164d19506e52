// The memory of the router's records: 32-bit words in one array, so that a lookup follows plain indexes. Owned here: which
// words are free, and that no change has to wait until all of them are copied.
//
// The array is divided into regions. Records are laid one after the other into free regions, the lowest first, and may span
// several. Of a region only the number of words in use is known: one without any is free again, and the gaps in others
// come back when compaction (compaction.ts) moves away what is left in them. So a record costs no word beyond its own.
//
// The array grows and shrinks by a copy that is made region by region beside what is in force; a region that is written
// meanwhile is copied again. Only a record that fits nowhere has the rest of the copy made at once.

/** Words of a region, as a power of two: 16 KiB, of which a copy into fresh memory takes some 15 µs. */
export const REGION_BITS = 12;

/** The first words are zero for ever: no record, and the table of a host without paths. */
const FIRST = 4;

export class Arena {
  /** Replaced where a resize ends: in `reserve`, `advance` and `trim`. */
  words: Int32Array;
  /** The same memory as bytes. */
  chars: Uint8Array;
  /** Words given back since the beginning: what tells compaction that another pass may find something. */
  releasedWords = 0;
  private liveWords = FIRST;
  /** By region: words in use, and 1 for those that are being emptied. */
  private live: Int32Array;
  private condemned: Uint8Array;
  private usedRegions = 1;
  /** Where the next record goes, and where the free regions that it goes to end. */
  private at = FIRST;
  private limit: number;
  /** No record goes to this word or beyond: less than all while the array is about to shrink. */
  private ceiling: number;
  // A resize under way: the array that is to be, which regions are copied, how many are not, where to look next.
  private next: Int32Array | null = null;
  private copied = new Uint8Array(0);
  private uncopied = 0;
  private cursor = 0;

  constructor(capacity: number, private readonly regionBits = REGION_BITS) {
    this.words = new Int32Array(this.wholeRegions(capacity));
    this.chars = new Uint8Array(this.words.buffer);
    this.live = new Int32Array(this.words.length >> regionBits);
    this.condemned = new Uint8Array(this.live.length);
    this.live[0] = FIRST;
    this.limit = this.ceiling = this.words.length;
  }

  // ---- records ----

  /** A new record of so many zero words; gives where it begins. */
  reserve(count: number): number {
    for (;;) {
      const record = this.tryReserve(count);
      if (record !== 0) return record;
      this.makeRoom(count);
    }
  }

  /** As `reserve`, but 0 where more room would have to be made at once. */
  tryReserve(count: number): number {
    if (this.at + count > this.limit && !this.openRun(count)) return 0;
    const record = this.at;
    this.at += count;
    this.account(record, count, 1);
    // For a few words a loop is faster than the call.
    if (count > 64) this.words.fill(0, record, this.at);
    else for (let at = record; at < this.at; at++) this.words[at] = 0;
    return record;
  }

  /** Gives a record back. */
  release(record: number, count: number): void {
    this.releasedWords += count;
    this.account(record, count, -1);
  }

  /** Changes a word of a record that was written before. */
  patch(at: number, value: number): void {
    this.words[at] = value;
    if (this.next) this.touch(at >> this.regionBits);
  }

  private account(record: number, count: number, sign: 1 | -1): void {
    this.liveWords += sign * count;
    const end = record + count;
    for (let at = record; at < end;) {
      const region = at >> this.regionBits;
      const regionEnd = (region + 1) << this.regionBits;
      const stop = regionEnd < end ? regionEnd : end;
      const before = this.live[region]!;
      const after = before + sign * (stop - at);
      this.live[region] = after;
      if (before === 0) this.usedRegions++;
      if (after === 0) {
        this.usedRegions--;
        this.condemned[region] = 0;
      }
      if (sign > 0 && this.next) this.touch(region);
      at = stop;
    }
  }

  /** Goes on in the lowest free regions that hold so many words in a row; false if there are none. */
  private openRun(count: number): boolean {
    const { live, regionBits } = this;
    const end = this.ceiling >> regionBits;
    const needed = this.wholeRegions(count) >> regionBits;
    for (let first = 0, last = 0; first < end; first = last + 1) {
      for (last = first; last < end && live[last] === 0;) last++;
      if (last - first < needed) continue;
      this.at = first << regionBits;
      this.limit = last << regionBits;
      return true;
    }
    return false;
  }

  private wholeRegions(count: number): number {
    return Math.max(1, (count + (1 << this.regionBits) - 1) >> this.regionBits) << this.regionBits;
  }

  // ---- room ----

  /** Bytes of all that is held. */
  get bytes(): number {
    return this.words.byteLength + (this.next?.byteLength ?? 0) + 5 * this.live.length;
  }

  /** Words of regions in use that hold nothing: gaps, and the rest of the region that is being filled. */
  get wastedWords(): number {
    return this.usedWords - this.liveWords;
  }

  private get usedWords(): number {
    return this.usedRegions << this.regionBits;
  }

  get isResizing(): boolean {
    return this.next !== null;
  }

  /** Begins to grow while there is still room for what comes during the copy. */
  keepRoom(): void {
    const capacity = this.words.length;
    if (!this.next && capacity - this.usedWords < capacity >> 4) this.beginResize(capacity + (capacity >> 2));
  }

  /** Cuts off what is more than an eighth above what is used, at once: for the end of a compilation. */
  trim(): void {
    this.advance(Infinity);
    if (this.lowerCeiling(this.usedWords + (this.usedWords >> 3))) this.beginResize(this.ceiling);
    else this.raiseCeiling();
    this.advance(Infinity);
  }

  /** Makes room for a change that needs about so many words, if that is much beside what there is. */
  expect(count: number): void {
    const capacity = this.words.length;
    if (count > capacity >> 1 && count > capacity - this.usedWords) this.makeRoom(count);
  }

  private makeRoom(count: number): void {
    if (this.ceiling < this.words.length) return this.raiseCeiling();
    if (!this.next) this.beginResize(this.words.length + Math.max(this.words.length >> 1, count));
    this.advance(Infinity);
  }

  /** Keeps new records below so many words; false if that is no less than there is, or if there are records beyond. */
  private lowerCeiling(words: number): boolean {
    const ceiling = this.wholeRegions(words);
    if (this.next || ceiling >= this.words.length) return false;
    this.ceiling = ceiling;
    if (this.limit > ceiling) this.limit = this.at < ceiling ? ceiling : 0;
    if (this.limit === 0) this.at = 0;
    return this.isFreeAboveCeiling();
  }

  private isFreeAboveCeiling(): boolean {
    return this.live.subarray(this.ceiling >> this.regionBits).every((words) => words === 0);
  }

  /** Shrinks no more. */
  private raiseCeiling(): void {
    this.ceiling = this.words.length;
    this.next = null;
  }

  // ---- the copy of a resize ----

  private beginResize(capacity: number): void {
    this.next = new Int32Array(this.wholeRegions(capacity));
    const regions = Math.min(this.next.length, this.words.length) >> this.regionBits;
    // What a free region holds is of no use to anyone.
    this.copied = Uint8Array.from(this.live.subarray(0, regions), (words) => words === 0 ? 1 : 0);
    this.uncopied = this.copied.reduce((count, isCopied) => count + 1 - isCopied, 0);
    this.cursor = 0;
  }

  /** Copies so many regions at most; the last one puts the new array into force. */
  advance(regions: number): void {
    const { next, copied, regionBits } = this;
    if (!next) return;
    for (; this.uncopied > 0 && regions > 0; regions--) {
      while (copied[this.cursor] === 1) this.cursor = (this.cursor + 1) % copied.length;
      const at = this.cursor << regionBits;
      next.set(this.words.subarray(at, at + (1 << regionBits)), at);
      copied[this.cursor] = 1;
      this.uncopied--;
    }
    if (this.uncopied === 0) this.swap(next);
  }

  private swap(next: Int32Array): void {
    const { words, regionBits } = this;
    // The free regions that are being filled go on in what is new.
    if (this.limit === words.length && next.length > words.length) this.limit = next.length;
    this.words = next;
    this.chars = new Uint8Array(next.buffer);
    this.live = resized(this.live, new Int32Array(next.length >> regionBits));
    this.condemned = resized(this.condemned, new Uint8Array(next.length >> regionBits));
    this.raiseCeiling();
  }

  /** The region has been written: a copy that was made of it is out of date. */
  private touch(region: number): void {
    if (this.copied[region] !== 1) return;
    this.copied[region] = 0;
    this.uncopied++;
  }

  // ---- compaction ----

  /** Whether a pass of compaction is worth its while: more is wasted than in use, or most of the array is free. */
  get isWasteful(): boolean {
    return !this.next && (this.wastedWords > this.liveWords + (MARGIN << this.regionBits) || this.shrunkWords > 0);
  }

  /** What the array may shrink to, or 0: to twice of what is used, when that is a quarter of it. */
  private get shrunkWords(): number {
    const words = this.wholeRegions(2 * this.usedWords);
    return 2 * words < this.words.length ? words : 0;
  }

  /** Chooses the regions that are to be emptied: those beyond what is needed, and the sparsest that the free ones hold. */
  condemn(): void {
    const { live, condemned, regionBits } = this;
    if (this.shrunkWords > 0) this.lowerCeiling(this.shrunkWords);
    condemned.fill(1, this.ceiling >> regionBits);
    let room = this.ceiling - this.usedWords;
    const sparse = [...live.keys()].filter((region) => this.isSparse(region));
    for (const region of sparse.sort((a, b) => live[a]! - live[b]!)) {
      room -= live[region]!;
      if (room < 0) break;
      condemned[region] = 1;
    }
  }

  /** Three quarters are in use at most, and it is not the one that is being filled. */
  private isSparse(region: number): boolean {
    const words = this.live[region]!;
    return words > 0 && 4 * words < 3 << this.regionBits && region !== this.at >> this.regionBits;
  }

  isCondemned(record: number, count: number): boolean {
    const { condemned, regionBits } = this;
    return condemned[record >> regionBits] === 1 || condemned[(record + count - 1) >> regionBits] === 1;
  }

  /** Ends a pass; shrinks the array if nothing is left beyond what is needed. */
  acquit(): void {
    this.condemned.fill(0);
    if (this.next || this.ceiling === this.words.length) return;
    if (this.isFreeAboveCeiling()) this.beginResize(this.ceiling);
    else this.raiseCeiling();
  }
}

/** Regions that may be wasted however little is in use. */
const MARGIN = 2;

function resized<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from.subarray(0, to.length));
  return to;
}
