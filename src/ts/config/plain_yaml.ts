// The part of YAML that large files are written in, read some twenty times as fast as by the parser of all of it: block maps
// and lists, flow ones in braces and brackets, plain and quoted scalars on one line, literal texts, comments. No places are kept, and
// nothing is an error here: at the first thing that is unusual or may be wrong (anchors, tags, merge keys, a name twice,
// scalars over several lines) reading is given up, and the whole parser reads the text from its beginning.
//
// What is given is what source.ts gives, in YAML 1.2 core schema: tests compare the two over fixtures and random texts.

/** Nested deeper is given up. */
const DEPTH_MAX = 32;

/** An implicit key may have 1024 characters (YAML 1.2 §7.4.2). */
const KEY_LENGTH_MAX = 1000;

/** Anything but line feeds, ASCII and what is surely printable: tabs, carriage returns and marks are left to the parser. */
const UNUSUAL = /[^\n\x20-\x7e\u00a1-\u1fff\u2010-\u2027\u2030-\ufefe\uff00-\uffef]/;

const INTEGER = /^[-+]?[0-9]{1,15}$/;

/** Other numbers of the core schema. */
const OTHER_NUMBER =
  /^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ...["~", "null", "Null", "NULL"].map((word) => [word, null] as const),
  ...["true", "True", "TRUE"].map((word) => [word, true] as const),
  ...["false", "False", "FALSE"].map((word) => [word, false] as const),
]);

const [LF, SPACE, DOUBLE, HASH, SINGLE, COMMA, DASH, COLON] = [10, 0x20, 0x22, 0x23, 0x27, 0x2c, 0x2d, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN_MAP, CLOSE_MAP, BACKSLASH, BAR] = [0x5b, 0x5d, 0x7b, 0x7d, 0x5c, 0x7c];

/** By character: 1 may not begin a plain scalar, 2 may do so where a character follows that is no space. */
const FIRST = new Uint8Array(128);
for (const char of ",[]{}#&*!|>'\"%@`?:") FIRST[char.charCodeAt(0)] = 1;
FIRST[DASH] = 2;

/** Reading was given up. */
class Unusual extends Error {}

/** The value of a text whose root is a block map, or undefined if it is for the whole parser. Counts up to `valuesMax`. */
export function readPlainYaml(text: string, valuesMax: number): Record<string, unknown> | undefined {
  if (UNUSUAL.test(text)) return undefined;
  try {
    return new PlainReader(text, valuesMax).read();
  } catch (error) {
    if (error instanceof Unusual) return undefined;
    throw error;
  }
}

class PlainReader {
  private at = 0;
  /** Where the line begins that is being read. */
  private lineAt = 0;
  private depth = 0;
  /** Columns at which lines of a flow collection must not begin, nor left of them: that of the block around it. */
  private blockIndent = -1;
  /** Whether there was a line with nothing but a comment before this one. */
  private skippedComment = false;
  /** Whether the scalar just read was plain. */
  private wasPlain = false;

  constructor(private readonly text: string, private valuesLeft: number) {}

  read(): Record<string, unknown> {
    if (this.nextLine() !== 0) this.giveUp();
    const value = this.block(0);
    if (this.at < this.text.length || typeof value !== "object" || value === null || Array.isArray(value)) {
      this.giveUp();
    }
    return value as Record<string, unknown>;
  }

  private giveUp(): never {
    throw new Unusual();
  }

  private enter(): void {
    if (++this.depth > DEPTH_MAX) this.giveUp();
  }

  private count(): void {
    if (--this.valuesLeft < 0) this.giveUp();
  }

  // ---- lines ----

  /** From the end of a line to the next one with content; gives its indentation, -1 at the end of the text. */
  private nextLine(): number {
    const { text } = this;
    this.skippedComment = false;
    for (;;) {
      this.lineAt = this.at;
      while (text.charCodeAt(this.at) === SPACE) this.at++;
      if (this.at >= text.length) return -1;
      const char = text.charCodeAt(this.at);
      if (char === HASH) {
        this.skippedComment = true;
        this.skipComment();
      } else if (char !== LF) return this.indentation();
      if (this.at < text.length) this.at++;
    }
  }

  /** Of the line that begins with content here; markers of documents are not read. */
  private indentation(): number {
    const { text, at } = this;
    const indent = at - this.lineAt;
    if (indent === 0 && (text.startsWith("---", at) || text.startsWith("...", at))) this.giveUp();
    return indent;
  }

  private skipComment(): void {
    const end = this.text.indexOf("\n", this.at);
    this.at = end < 0 ? this.text.length : end;
  }

  private skipSpaces(): void {
    while (this.text.charCodeAt(this.at) === SPACE) this.at++;
  }

  /** After spaces: true at the end of the line, which a comment may come before. */
  private isLineOver(): boolean {
    const { text, at } = this;
    const char = text.charCodeAt(at);
    if (char === HASH && at > 0 && text.charCodeAt(at - 1) === SPACE) this.skipComment();
    else if (char !== LF && at < text.length) return false;
    return true;
  }

  /** Nothing more is on this line; gives the indentation of the next one. */
  private endLine(): number {
    this.skipSpaces();
    if (!this.isLineOver()) this.giveUp();
    if (this.at < this.text.length) this.at++;
    return this.nextLine();
  }

  // ---- blocks: each reads on to the next line with content, whose indentation is `indent` afterwards ----

  private indent = 0;

  /** The node whose first character is here, in this column. */
  private block(column: number): unknown {
    const { text, at } = this;
    if (this.isDash(at)) return this.blockList(column);
    const first = text.charCodeAt(at);
    if (first === OPEN_LIST || first === OPEN_MAP) return this.lastOnLine(this.flow());
    const start = this.at;
    const scalar = this.scalar(false);
    this.skipSpaces();
    if (text.charCodeAt(this.at) === COLON) return this.blockMap(column, this.keyFrom(start, scalar));
    // The parser takes offence at comments between a key and such a scalar.
    if (this.skippedComment) this.giveUp();
    this.count();
    return this.lastOnLine(this.wasPlain ? this.resolved(scalar) : scalar);
  }

  private lastOnLine<T>(value: T): T {
    this.indent = this.endLine();
    return value;
  }

  private isDash(at: number): boolean {
    return this.text.charCodeAt(at) === DASH && this.isSpace(at + 1);
  }

  private isSpace(at: number): boolean {
    const char = this.text.charCodeAt(at);
    return char === SPACE || char === LF || at >= this.text.length;
  }

  private blockList(column: number): unknown[] {
    this.enter();
    this.count();
    const list: unknown[] = [];
    do {
      this.at++;
      list.push(this.itemOf(column));
    } while (this.indent === column && this.isDash(this.at));
    if (this.indent > column) this.giveUp();
    this.depth--;
    return list;
  }

  private itemOf(column: number): unknown {
    const outer = this.blockIndent;
    this.blockIndent = column;
    this.skipSpaces();
    const item = this.isLineOver() ? this.below(column, column + 1) : this.block(this.at - this.lineAt);
    this.blockIndent = outer;
    return item;
  }

  /** What stands under a line that is over, if it is indented so far at least. */
  private below(column: number, least: number): unknown {
    const indent = this.endLine();
    if (indent >= least) return this.block(indent);
    this.count();
    this.indent = indent;
    if (indent > column) this.giveUp();
    return null;
  }

  private blockMap(column: number, first: string): Record<string, unknown> {
    this.enter();
    this.count();
    const outer = this.blockIndent;
    this.blockIndent = column;
    const map: Record<string, unknown> = {};
    for (let key = first;; key = this.nextKey()) {
      if (Object.hasOwn(map, key)) this.giveUp();
      map[key] = this.valueOf(column);
      if (this.indent !== column) break;
      // A list under a key of the same indentation has ended; an item here belongs to no key.
      if (this.isDash(this.at)) this.giveUp();
    }
    if (this.indent > column) this.giveUp();
    this.blockIndent = outer;
    this.depth--;
    return map;
  }

  private nextKey(): string {
    const start = this.at;
    const scalar = this.scalar(false);
    this.skipSpaces();
    return this.keyFrom(start, scalar);
  }

  /** The key of a scalar that began at `start`; its colon is here, and is read. */
  private keyFrom(start: number, key: string): string {
    const { text, at } = this;
    if (text.charCodeAt(at) !== COLON || !this.isSpace(at + 1) || at - start > KEY_LENGTH_MAX) this.giveUp();
    this.checkKey(key);
    this.at++;
    return key;
  }

  private checkKey(key: string): void {
    if (key === "__proto__" || (this.wasPlain && (key === "<<" || WORDS.get(key) === null))) this.giveUp();
  }

  /** What follows the colon of a key in this column. */
  private valueOf(column: number): unknown {
    this.skipSpaces();
    if (!this.isLineOver()) return this.inlineValue(column);
    const indent = this.endLine();
    if (indent > column) return this.block(indent);
    if (indent === column && this.isDash(this.at)) return this.blockList(column);
    this.count();
    this.indent = indent;
    return null;
  }

  private inlineValue(column: number): unknown {
    const first = this.text.charCodeAt(this.at);
    if (first === OPEN_LIST || first === OPEN_MAP) return this.lastOnLine(this.flow());
    this.count();
    if (first === BAR) return this.literal(column);
    const scalar = this.scalar(false);
    return this.lastOnLine(this.wasPlain ? this.resolved(scalar) : scalar);
  }

  /** A text such as a certificate: "|" or "|-", and lines that are indented more than the key. */
  private literal(column: number): string {
    const { text } = this;
    const isStripped = text.charCodeAt(this.at + 1) === DASH;
    this.at += isStripped ? 2 : 1;
    if (text.charCodeAt(this.at++) !== LF) this.giveUp();
    const lineAt = this.at;
    this.skipSpaces();
    const indent = this.at - lineAt;
    // A blank first line is indented as a later line says.
    if (indent <= column || text.charCodeAt(this.at) === LF) this.giveUp();
    this.at = lineAt;
    const lines = this.linesOf(indent);
    this.indent = this.nextLine();
    return lines.join("\n") + (isStripped ? "" : "\n");
  }

  /** Lines that are indented so far, without it and without blank ones at the end. */
  private linesOf(indent: number): string[] {
    const { text } = this;
    const lines: string[] = [];
    let count = 0;
    for (let at = this.at; at < text.length; at = this.at) {
      const end = text.indexOf("\n", at);
      this.skipSpaces();
      const isBlank = this.at === end;
      if (end < 0 || (isBlank && end - at > indent)) this.giveUp();
      if (!isBlank && this.at - at < indent) {
        this.at = at;
        break;
      }
      lines.push(isBlank ? "" : text.slice(at + indent, end));
      if (!isBlank) count = lines.length;
      this.at = end + 1;
    }
    return lines.slice(0, count);
  }

  // ---- flow ----

  private flow(): unknown {
    this.count();
    this.enter();
    const isMap = this.text.charCodeAt(this.at++) === OPEN_MAP;
    const value = isMap ? this.flowMap() : this.flowList();
    this.depth--;
    return value;
  }

  private flowList(): unknown[] {
    const list: unknown[] = [];
    this.skipLines();
    while (this.text.charCodeAt(this.at) !== CLOSE_LIST) {
      list.push(this.flowValue());
      this.endEntry(CLOSE_LIST);
    }
    this.at++;
    return list;
  }

  private flowMap(): Record<string, unknown> {
    const { text } = this;
    const map: Record<string, unknown> = {};
    this.skipLines();
    while (text.charCodeAt(this.at) !== CLOSE_MAP) {
      const start = this.at;
      const key = this.scalar(true);
      this.skipSpaces();
      const { at } = this;
      // A colon ends a quoted key whatever follows; a plain key would go on where no space does.
      if (text.charCodeAt(at) !== COLON || (this.wasPlain && !this.isSpace(at + 1))) this.giveUp();
      if (at - start > KEY_LENGTH_MAX || Object.hasOwn(map, key)) this.giveUp();
      this.checkKey(key);
      this.at++;
      this.skipLines();
      map[key] = this.flowValue();
      this.endEntry(CLOSE_MAP);
    }
    this.at++;
    return map;
  }

  private flowValue(): unknown {
    const first = this.text.charCodeAt(this.at);
    if (first === OPEN_LIST || first === OPEN_MAP) return this.flow();
    this.count();
    const scalar = this.scalar(true);
    return this.wasPlain ? this.resolved(scalar) : scalar;
  }

  /** Reads a comma, or goes to the end of the collection. */
  private endEntry(close: number): void {
    this.skipLines();
    const char = this.text.charCodeAt(this.at);
    if (char !== COMMA) {
      if (char !== close) this.giveUp();
      return;
    }
    this.at++;
    this.skipLines();
  }

  /** Spaces, ends of lines and comments inside a flow collection, whose lines are indented more than what is around it. */
  private skipLines(): void {
    this.skipSpaces();
    if (!this.isLineOver()) return;
    const indent = this.endLine();
    if (indent <= this.blockIndent) this.giveUp();
  }

  // ---- scalars ----

  /** The text of a scalar on this line. */
  private scalar(inFlow: boolean): string {
    const first = this.text.charCodeAt(this.at);
    this.wasPlain = first !== DOUBLE && first !== SINGLE;
    if (first === DOUBLE) return this.doubleQuoted();
    return first === SINGLE ? this.singleQuoted() : this.plain(inFlow);
  }

  private plain(inFlow: boolean): string {
    const { text } = this;
    const start = this.at;
    const first = text.charCodeAt(start);
    const kind = first < 128 ? FIRST[first]! : 0;
    if (kind === 1 || start >= text.length) this.giveUp();
    if (kind === 2 && (this.isSpace(start + 1) || isFlowMark(text.charCodeAt(start + 1)))) this.giveUp();
    let at = start;
    let end = start;
    for (;; at++) {
      const char = text.charCodeAt(at);
      if (char === SPACE) continue;
      if (char === LF || at >= text.length) break;
      if (char === COLON && (this.isSpace(at + 1) || (inFlow && isFlowMark(text.charCodeAt(at + 1))))) break;
      if (char === HASH && text.charCodeAt(at - 1) === SPACE) break;
      if (inFlow && isFlowMark(char)) break;
      end = at + 1;
    }
    this.at = end;
    return text.slice(start, end);
  }

  private resolved(text: string): unknown {
    const first = text.charCodeAt(0);
    // Numbers begin with a digit, a sign or a point.
    if (first <= 0x39 && first >= 0x2b && first !== 0x2f) {
      if (INTEGER.test(text)) return Number(text);
      if (OTHER_NUMBER.test(text)) this.giveUp();
      return text;
    }
    if (text.length > 5) return text;
    const word = WORDS.get(text);
    return word === undefined ? text : word;
  }

  private doubleQuoted(): string {
    const { text } = this;
    const start = this.at;
    let hasEscapes = false;
    for (let at = start + 1;; at++) {
      const char = text.charCodeAt(at);
      if (char === DOUBLE) {
        this.at = at + 1;
        return hasEscapes ? this.unescaped(text.slice(start, this.at)) : text.slice(start + 1, at);
      }
      if (char === LF || at >= text.length) this.giveUp();
      if (char !== BACKSLASH) continue;
      hasEscapes = true;
      at++;
    }
  }

  /** The escapes of JSON are YAML's, too. */
  private unescaped(quoted: string): string {
    try {
      return JSON.parse(quoted);
    } catch {
      return this.giveUp();
    }
  }

  private singleQuoted(): string {
    const { text } = this;
    const start = this.at + 1;
    for (let at = start;; at++) {
      at = text.indexOf("'", at);
      if (at < 0) this.giveUp();
      if (text.charCodeAt(at + 1) === SINGLE) {
        at++;
        continue;
      }
      this.at = at + 1;
      const inner = text.slice(start, at);
      if (inner.includes("\n")) this.giveUp();
      return inner.replaceAll("''", "'");
    }
  }
}

function isFlowMark(char: number): boolean {
  return char === COMMA || char === OPEN_LIST || char === CLOSE_LIST || char === OPEN_MAP || char === CLOSE_MAP;
}
