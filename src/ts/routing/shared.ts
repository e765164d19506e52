// Values that rules share, such as a condition or a compiled expression: each text's value is there once, under a number
// that the records hold. Counted, so that the number of one that no rule asks for any more is given to another.

export class Shared<T> {
  /** By number. The first is none: no value has the number 0. */
  readonly values: (T | undefined)[] = [undefined];
  private readonly keys: string[] = [""];
  private readonly counts: number[] = [0];
  private readonly numbers = new Map<string, number>();
  private readonly free: number[] = [];

  /** The number of a text's value, which is made if there is none yet; for each call there is one `release`. */
  acquire(key: string, make: () => T): number {
    const known = this.numbers.get(key);
    if (known !== undefined) {
      this.counts[known]!++;
      return known;
    }
    const value = make();
    const number = this.free.pop() ?? this.values.length;
    this.values[number] = value;
    this.keys[number] = key;
    this.counts[number] = 1;
    this.numbers.set(key, number);
    return number;
  }

  release(number: number): void {
    if (--this.counts[number]! > 0) return;
    this.numbers.delete(this.keys[number]!);
    this.values[number] = undefined;
    this.keys[number] = "";
    this.free.push(number);
  }

  /** The value of a text, if any rule asks for it. */
  find(key: string): T | undefined {
    return this.values[this.numbers.get(key) ?? 0];
  }

  /** Estimate of the bytes held, given those of a value. */
  bytesUsed(ofValue: (value: T) => number): number {
    let bytes = 0;
    for (const [key, number] of this.numbers) bytes += ENTRY_BYTES + 2 * key.length + ofValue(this.values[number]!);
    return bytes;
  }
}

/** An entry of the map, and of the three arrays. */
const ENTRY_BYTES = 64;
