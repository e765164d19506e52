// A YAML file as a plain value, with a way back from a path of keys to the place in the file. Anchors, aliases and merge
// keys ("<<") are resolved here, in document order, once each: an alias shares the value of its anchor, and what all
// aliases stand for is counted without writing it out, so that a few lines cannot be made to mean billions of values.
//
// YAML 1.2 core schema. Nothing in a text makes this throw; what is wrong is in `errors`.

import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Alias, Document, Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import { secretWord } from "./format_error.ts";
import { type ConfigurationError, ERRORS_MAX, formatPath, type Path, type Problem, show } from "./problem.ts";

/** Largest file that is read, in UTF-16 units of text: some 200,000 routes. */
export const SOURCE_LENGTH_MAX = 16 * 1024 * 1024;

/** The schema is five levels deep; what nests deeper than this is a mistake or an attack. */
const DEPTH_MAX = 64;

/** How many values a file may stand for once its aliases are resolved: more than 200,000 routes have. */
export const VALUES_MAX = 2_000_000;

/** What is expected and got, for errors of the parser that are said better in the words of this program. */
const SYNTAX: Record<string, [expected: string, got: string]> = {
  MULTIPLE_DOCS: ["one document", 'a second one after "---"'],
  TAB_AS_INDENT: ["spaces as indentation", "a tab"],
  TAG_RESOLVE_FAILED: ["a value without a tag of its own", 'one with "!"'],
};

/** A converted node: its value, and how many values that is with all aliases in it written out. */
interface Converted {
  value: unknown;
  count: number;
}

const NOTHING: Converted = { value: null, count: 1 };

export class Source {
  /** The whole file as maps, lists and scalars; undefined if it could not be read. */
  readonly value: unknown;
  /** What is wrong with the file as YAML, and the problems that were added; in no order. */
  readonly errors: ConfigurationError[] = [];
  /** How many errors were left out because there are too many. */
  errorsLeftOut = 0;

  private readonly lines = new LineCounter();
  private readonly root: unknown = null;
  private readonly path: (string | number)[] = [];
  private readonly anchors = new Map<string, unknown>();
  private readonly targets = new Map<Alias, unknown>();
  private readonly converted = new Map<unknown, Converted>();
  private readonly open = new Set<unknown>();
  private readonly pairs = new Map<YAMLMap, Map<string, Pair>>();
  private mergedCount = 0;

  constructor(text: string, readonly file: string) {
    if (text.length > SOURCE_LENGTH_MAX) {
      this.refuseWhole(`at most ${SOURCE_LENGTH_MAX >> 20} MiB`, `${(text.length / 2 ** 20).toFixed(1)} MiB`);
      return;
    }
    const document = this.parse(text);
    if (!document) return;
    for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
      const [expected, got] = SYNTAX[code] ??
        ["valid YAML", `an error: ${secretWord(message) || message.split("\n")[0]}`];
      this.addAt(pos[0], [], expected, got, "");
    }
    if (document.errors.length > 0) return;
    this.root = document.contents;
    const { value, count } = this.convert(this.root);
    if (count <= VALUES_MAX && this.mergedCount <= VALUES_MAX) this.value = value;
    else this.refuseWhole(`at most ${VALUES_MAX} values`, "more, with all aliases written out");
  }

  /** Adds a problem to the errors, at its place in the file. */
  add({ path, on, expected, got, hint }: Problem): void {
    this.addAt(this.offsetOf(path, on), path, expected, got, hint);
  }

  /** How a message names something in the file. */
  nameOf(path: Path): string {
    return `${formatPath(path)} in line ${this.lineAt(this.offsetOf(path, "key"))}`;
  }

  private parse(text: string): Document | null {
    try {
      return parseDocument(text, {
        lineCounter: this.lines,
        schema: "core",
        prettyErrors: false,
        // It compares each key with all others; the conversion finds repeats in linear time.
        uniqueKeys: false,
        logLevel: "error",
      });
    } catch (error) {
      // The composer is recursive: the only thing that it is known to throw is the end of the stack.
      const got = error instanceof RangeError ? "lists or maps too deep in each other" : String(error);
      this.refuseWhole("valid YAML", got);
      return null;
    }
  }

  private refuseWhole(expected: string, got: string): void {
    this.errors.push({ file: this.file, line: 0, column: 0, key: "", expected, got, hint: "" });
  }

  private refuse(node: unknown, expected: string, got: string, hint = ""): void {
    this.addAt(startOf(node), this.path, expected, got, hint);
  }

  private addAt(offset: number, path: Path, expected: string, got: string, hint: string): void {
    if (this.errors.length >= ERRORS_MAX) {
      this.errorsLeftOut++;
      return;
    }
    const { line, col } = this.lines.linePos(offset);
    this.errors.push({
      file: this.file,
      line: line || 1,
      column: col || 1,
      key: formatPath(path),
      expected,
      got,
      hint,
    });
  }

  private lineAt(offset: number): number {
    return this.lines.linePos(offset).line || 1;
  }

  private below<T>(step: string | number, visit: () => T): T {
    this.path.push(step);
    const result = visit();
    this.path.pop();
    return result;
  }

  private convert(node: unknown): Converted {
    if (!isNode(node)) return NOTHING;
    if (isAlias(node)) return this.alias(node);
    if (node.anchor !== undefined) this.anchors.set(node.anchor, node);
    this.open.add(node);
    const result = this.content(node);
    this.open.delete(node);
    // Only what has an anchor is asked for again.
    if (node.anchor !== undefined) this.converted.set(node, result);
    return result;
  }

  private content(node: Node): Converted {
    if (isScalar(node)) return { value: node.value, count: 1 };
    if (this.path.length < DEPTH_MAX) return isMap(node) ? this.map(node) : this.list(node as YAMLSeq);
    this.refuse(node, `at most ${DEPTH_MAX} levels`, "more");
    return NOTHING;
  }

  private alias(node: Alias): Converted {
    const target = this.anchors.get(node.source);
    const result = this.converted.get(target);
    if (result) {
      this.targets.set(node, target);
      return result;
    }
    const place = this.open.has(target) ? "inside of itself" : `without a "&${node.source}"`;
    this.refuse(node, "an alias of something before it", `"*${node.source}" ${place}`);
    return NOTHING;
  }

  private list(node: YAMLSeq): Converted {
    const value: unknown[] = [];
    let count = 1;
    for (const [at, item] of node.items.entries()) {
      const part = this.below(at, () => this.convert(item));
      value.push(part.value);
      count += part.count;
    }
    return { value, count };
  }

  private map(node: YAMLMap): Converted {
    const entries = new Map<string, unknown>();
    const pairs = new Map<string, Pair>();
    const merged: object[] = [];
    let count = 1;
    for (const pair of node.items) {
      if (isMergeKey(pair.key)) {
        merged.push(...this.merged(pair));
        continue;
      }
      const name = this.nameOfPair(pair, pairs);
      if (name === null) continue;
      const part = this.below(name, () => this.convert(pair.value));
      pairs.set(name, pair);
      entries.set(name, part.value);
      count += part.count;
    }
    this.pairs.set(node, pairs);
    for (const map of merged) this.merge(map, entries);
    return { value: Object.fromEntries(entries), count: count + entries.size };
  }

  /** The name of a pair, or null after an error if it is no scalar or was there before. */
  private nameOfPair(pair: Pair, pairs: Map<string, Pair>): string | null {
    this.convert(pair.key);
    const key = this.resolved(pair.key);
    if (!isScalar(key) || key.value === null) {
      const got = isScalar(key) ? "nothing" : isSeq(key) ? "a list" : "a map";
      this.refuse(hasPlace(pair.key) ? pair.key : pair.value, "a name before the colon", got);
      return null;
    }
    const name = typeof key.value === "string" ? key.value : key.source ?? String(key.value);
    const first = pairs.get(name);
    if (!first) return name;
    const hint = `the first is in line ${this.lineAt(startOf(first.key))}`;
    this.below(name, () => this.refuse(pair.key, "each key once", `a second ${show(name)}`, hint));
    return null;
  }

  /** What a merge key brings in: the map of an alias, or those of a list of aliases. */
  private merged(pair: Pair): object[] {
    const { value } = this.below("<<", () => this.convert(pair.value));
    const maps: unknown[] = Array.isArray(value) ? value : [value];
    const isMerge = maps.every((map) => typeof map === "object" && map !== null && !Array.isArray(map));
    if (isMerge) return maps as object[];
    this.below("<<", () => this.refuse(pair.value ?? pair.key, "a map, or a list of maps", show(value)));
    return [];
  }

  /** Adds those entries of a merged map that are not there yet. */
  private merge(map: object, entries: Map<string, unknown>): void {
    if (this.mergedCount > VALUES_MAX) return;
    for (const [name, value] of Object.entries(map)) {
      this.mergedCount++;
      if (!entries.has(name)) entries.set(name, value);
    }
  }

  /** Where the value or the last key of a path stands; of a path that is not in the file, what is nearest above it. */
  private offsetOf(path: Path, on: Problem["on"]): number {
    let node: unknown = this.root;
    let offset = startOf(node);
    for (const [at, step] of path.entries()) {
      const found = this.step(this.resolved(node), step);
      if (!found) return offset;
      node = found.value;
      const isLast = at === path.length - 1;
      const pointsAtKey = found.key !== null && (!isLast || on === "key" || !hasPlace(node));
      offset = startOf(pointsAtKey ? found.key : node);
    }
    return offset;
  }

  private resolved(node: unknown): unknown {
    return isAlias(node) ? this.targets.get(node) : node;
  }

  private step(node: unknown, step: string | number): { key: unknown; value: unknown } | null {
    if (isSeq(node)) {
      return typeof step === "number" && step < node.items.length ? { key: null, value: node.items[step] } : null;
    }
    if (!isMap(node)) return null;
    const pair = this.pairs.get(node)?.get(String(step));
    if (pair) return { key: pair.key, value: pair.value };
    for (const { key, value } of node.items) {
      if (!isMergeKey(key)) continue;
      const merged = this.resolved(value);
      for (const map of isSeq(merged) ? merged.items : [merged]) {
        const found = this.step(this.resolved(map), step);
        if (found) return found;
      }
    }
    return null;
  }
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.value === "<<" && key.type === "PLAIN";
}

function hasPlace(node: unknown): boolean {
  return isNode(node) && !!node.range && (!isScalar(node) || node.range[1] > node.range[0]);
}

function startOf(node: unknown): number {
  return isNode(node) && node.range ? node.range[0] : 0;
}
