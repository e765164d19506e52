// Checks a plain value against a shape and turns it into its canonical form. It goes on after a problem, so that all of
// them are found at once; what was refused is `undefined` in the result. Linear in the size of the value.

import { FormatError } from "./format_error.ts";
import { nearest } from "./nearest.ts";
import { ERRORS_MAX, oneOf, type Path, type Problem, show } from "./problem.ts";
import type {
  Key,
  ListShape,
  MapShape,
  ObjectShape,
  Of,
  Shape,
  ShorthandShape,
  TableShape,
  TextShape,
  WordShape,
} from "./shape.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

/** What is left of a T when anything in it may have been refused. */
export type Draft<T> = T extends object ? { [K in keyof T]?: Draft<T[K]> | undefined } : T | undefined;

/** Looking for the nearest name costs more than the rest; a file that is wrong everywhere gets no more advice than this. */
const SUGGESTIONS_MAX = 100;

export class Checker {
  readonly problems: Problem[] = [];
  /** How many problems were left out because there are too many. */
  problemsLeftOut = 0;
  private readonly path: (string | number)[] = [];
  private suggestionsLeft = SUGGESTIONS_MAX;

  /** The canonical form of `value`, as far as it could be made; problems are added to `problems`. */
  check<T>(shape: Of<T>, value: unknown): Draft<T> | undefined {
    return this.visit(shape, value) as Draft<T> | undefined;
  }

  /** The same for a value that stands at `path`. */
  checkAt<T>(shape: Of<T>, value: unknown, path: Path): Draft<T> | undefined {
    this.path.push(...path);
    const checked = this.visit(shape, value) as Draft<T> | undefined;
    this.path.length -= path.length;
    return checked;
  }

  refuse(path: Path, expected: string, got: string, hint = "", on: Problem["on"] = "value"): void {
    if (this.problems.length < ERRORS_MAX) this.problems.push({ path: [...path], on, expected, got, hint });
    else this.problemsLeftOut++;
  }

  /**
   * The canonical form of `current`, which is one already, with what `value` says of it: objects and maps are merged,
   * anything else is taken whole, and null is the default of a key or the end of an entry. Where there is no current
   * object, an empty one lets all problems of the value be found.
   */
  change<T>(shape: ObjectShape & Of<T>, value: unknown, current: Partial<T>, path: Path): Draft<T> | undefined {
    this.path.push(...path);
    const changed = this.object(shape, value, current);
    this.path.length -= path.length;
    return changed as Draft<T> | undefined;
  }

  /** A hint at the known name nearest to an unknown one, or "". */
  suggest(word: string, known: Iterable<string>): string {
    if (this.suggestionsLeft-- <= 0) return "";
    const name = nearest(word, known);
    return name === undefined ? "" : `did you mean "${name}"?`;
  }

  /** With `current`, the value is a change to it. */
  private visit(shape: Shape, value: unknown, current?: unknown): unknown {
    switch (shape.kind) {
      case "count":
        return this.count(value, shape.min, shape.max);
      case "duration":
        return this.quantity(value, shape, parseDuration, formatDuration);
      case "size":
        return this.quantity(value, shape, parseSize, formatSize);
      case "flag":
        return this.flag(value);
      case "choice":
        return this.choice(value, shape.words);
      case "text":
        return this.text(shape, value);
      case "list":
        return this.list(shape, value);
      case "map":
        return this.map(shape, value, current);
      case "table":
        return this.table(shape, value);
      case "object":
        return this.object(shape, value, current);
      case "word":
        return this.word(shape, value, current);
      case "shorthand":
        return this.shorthand(shape, value);
      case "patch":
        // What it changes is not at hand here: it is checked together with that.
        return isMap(value) ? value : this.wrong(mapOf(shape.of), value);
    }
  }

  private wrong(expected: string, value: unknown, hint = ""): undefined {
    this.refuse(this.path, expected, show(value), hint);
  }

  private count(value: unknown, min: number, max: number): number | undefined {
    const expected = `a whole number from ${min} to ${max}`;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value || 0;
    const isQuoted = typeof value === "string" && /^-?\d+$/.test(value);
    return this.wrong(expected, value, isQuoted ? "write it without quotes" : "");
  }

  private flag(value: unknown): boolean | undefined {
    if (typeof value === "boolean") return value;
    const meant = typeof value === "string" ? FLAG_WORDS.get(value.toLowerCase()) : undefined;
    return this.wrong("true or false", value, meant === undefined ? "" : `write ${meant}, without quotes`);
  }

  private quantity(
    value: unknown,
    { min, max }: { min: number; max: number },
    parse: (text: string) => number,
    format: (value: number) => string,
  ): number | undefined {
    if (typeof value !== "string" && typeof value !== "number") {
      return this.wrong(parse === parseSize ? 'a size such as "16KiB"' : 'a duration such as "10s"', value);
    }
    const quantity = this.parsed(parse, String(value), value);
    if (quantity === undefined || (quantity >= min && quantity <= max)) return quantity;
    return this.wrong(`${parse === parseSize ? "a size" : "a duration"} from ${format(min)} to ${format(max)}`, value);
  }

  /** Runs one of the parsers of text, whose refusal becomes a problem at the current path. */
  private parsed<T>(
    parse: (text: string) => T,
    text: string,
    value: unknown = text,
    on: Problem["on"] = "value",
  ): T | undefined {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.refuse(this.path, error.expected, show(value), error.hint, on);
      return undefined;
    }
  }

  private choice(value: unknown, words: readonly string[]): string | undefined {
    if (typeof value === "string" && words.includes(value)) return value;
    const hint = typeof value === "string" ? this.suggest(value, words) : "";
    return this.wrong(oneOf(words), value, hint);
  }

  private text(shape: TextShape, value: unknown): string | undefined {
    if (typeof value === "string") return this.parsed(shape.parse, value, shape.secret ? SECRET : value);
    const isScalar = typeof value === "number" || typeof value === "boolean";
    if (shape.secret) return this.wrong(shape.expected, isScalar ? SECRET : value);
    return this.wrong(shape.expected, value, isScalar ? `put it in quotes: "${value}"` : "");
  }

  private list(shape: ListShape, value: unknown): unknown[] | undefined {
    if (value === null) return [];
    if (!Array.isArray(value)) {
      return this.wrong("a list", value, typeof value === "string" ? `write [${value}]` : "");
    }
    const out = value.map((item, at) => this.visitBelow(at, shape.of, item));
    return shape.order === "set" ? [...new Set(out)].sort(ascending) : out;
  }

  private below<T>(step: string | number, visit: () => T): T {
    this.path.push(step);
    const result = visit();
    this.path.pop();
    return result;
  }

  /** The same as `below`, without a function for each value: a large state has half a million. */
  private visitBelow(step: string | number, shape: Shape, value: unknown): unknown {
    this.path.push(step);
    const result = this.visit(shape, value);
    this.path.pop();
    return result;
  }

  private map(shape: MapShape, value: unknown, current?: unknown): Record<string, unknown> | undefined {
    if (value === null) return {};
    if (!isMap(value)) return this.wrong(`a map of ${shape.label} to value`, value);
    const entries = new Map<string, unknown>(Object.entries(current ?? {}));
    const seen = new Set<string>();
    for (const [written, item] of Object.entries(value)) {
      this.below(written, () => {
        const name = this.parsed(shape.name.parse, written, written, "key");
        if (name !== undefined && seen.has(name)) {
          this.refuse(this.path, "each name once", `"${name}" again in another spelling`, "", "key");
        }
        const isRemoval = current !== undefined && item === null;
        const checked = isRemoval ? undefined : this.visit(shape.of, item);
        if (name === undefined) return;
        seen.add(name);
        if (isRemoval) entries.delete(name);
        else entries.set(name, checked);
      });
    }
    const pairs = [...entries];
    if (shape.order === "sorted") pairs.sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(pairs);
  }

  private table(shape: TableShape, value: unknown): Record<string, unknown> | undefined {
    if (value === null) return {};
    if (!Array.isArray(value)) return this.wrong("a list", value);
    const entries = new Map<string, unknown>();
    for (const [at, item] of value.entries()) {
      this.below(at, () => {
        const checked = this.visit(shape.item, item);
        if (!isMap(checked)) return;
        const { name: given, ...entry } = checked;
        const name = given === "" ? shape.nameOf(entry) : given as string | undefined;
        if (name !== undefined && !entries.has(name)) return void entries.set(name, entry);
        const path = [...this.path, "name"];
        if (name !== undefined) this.refuse(path, "each name once", `${show(name)} again`);
        else if (given !== undefined) this.refuse(path, shape.name.expected, "nothing");
      });
    }
    return Object.fromEntries(entries);
  }

  private object(shape: ObjectShape, value: unknown, current?: unknown): Record<string, unknown> | undefined {
    const { keys } = shape;
    const given = value ?? {};
    if (!isMap(given)) return this.wrong(mapOf(shape), value);
    for (const name in given) if (!Object.hasOwn(keys, name)) this.unknownKey(name, Object.keys(keys));
    const isChange = isMap(current);
    const out: Record<string, unknown> = {};
    for (const name in keys) {
      const before = isChange ? current[name] : undefined;
      this.path.push(name);
      if (isChange && !Object.hasOwn(given, name)) out[name] = before;
      else out[name] = this.keyOf(keys[name]!, name, given, isChange, before);
      this.path.pop();
    }
    return out;
  }

  private keyOf(
    key: Key<unknown>,
    name: string,
    given: Record<string, unknown>,
    isChange: boolean,
    before: unknown,
  ): unknown {
    const hasDefault = key.default !== undefined || key.inherits !== undefined || key.derived !== undefined;
    const isReset = isChange && hasDefault && given[name] === null;
    if (Object.hasOwn(given, name) && !isReset) return this.visit(key.shape, given[name], before);
    if (key.default !== undefined) return this.defaultOf(key);
    if (key.inherits !== undefined) return null;
    return hasDefault ? undefined : this.visit(key.shape, undefined);
  }

  /** Checked once, if it is nothing that could be written to afterwards. */
  private defaultOf(key: Key<unknown>): unknown {
    const known = scalarDefaults.get(key);
    if (known !== undefined) return known;
    const value = this.visit(key.shape, key.default);
    if (typeof value !== "object") scalarDefaults.set(key, value);
    return value;
  }

  private unknownKey(name: string, known: string[]): void {
    this.refuse([...this.path, name], oneOf(known), `the unknown key ${show(name)}`, this.suggest(name, known), "key");
  }

  private word(shape: WordShape, value: unknown, current?: unknown): unknown {
    if (value === shape.word || (shape.optional && value === null)) return shape.means;
    const before = this.problems.length;
    const checked = this.visit(shape.or, value, isMap(current) ? current : undefined);
    // The word is an alternative to the value as a whole: what is wrong deeper in it is no reason to speak of the word.
    for (const problem of this.problems.slice(before)) {
      if (problem.path.length > this.path.length) continue;
      problem.expected = `${JSON.stringify(shape.word)} or ${problem.expected}`;
      if (problem.hint !== "" || typeof value !== "string" || typeof shape.word !== "string") continue;
      problem.hint = this.suggest(value, [shape.word]);
    }
    return checked;
  }

  private shorthand(shape: ShorthandShape, value: unknown): unknown {
    if (isMap(value)) return this.visit(shape.of, value);
    if (typeof value !== "string") {
      return this.wrong(`a text or ${mapOf(shape.of)}`, value);
    }
    const before = this.problems.length;
    const checked = this.visit(shape.of, { [shape.key]: value });
    // The key was not written, so problems of the text are problems of the whole.
    for (const problem of this.problems.slice(before)) problem.path = problem.path.slice(0, this.path.length);
    return checked;
  }
}

/** What errors show in the place of a secret; nobody writes it. */
const SECRET = "(not shown)";

/** Defaults in canonical form. */
const scalarDefaults = new WeakMap<Key<unknown>, unknown>();

/** How people write true and false elsewhere. */
const FLAG_WORDS = new Map([["true", true], ["yes", true], ["on", true], ["false", false], ["no", false], [
  "off",
  false,
]]);

function mapOf({ keys }: ObjectShape): string {
  return `a map of ${Object.keys(keys).join(", ")}`;
}

/** The order of texts and of numbers; what was refused (`undefined`) is last without being asked about. */
function ascending(a: unknown, b: unknown): number {
  return (a as string) < (b as string) ? -1 : (a as string) > (b as string) ? 1 : 0;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
