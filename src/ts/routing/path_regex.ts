// A path rule that is a regular expression (RE2 syntax, linear time), of the whole path. Most requests are told apart
// by the literal text with which the expression begins, before any text is made of the path's bytes.

import { RE2JS } from "re2js";
import { RouteError } from "./rule.ts";

/** Longest source: beyond it an expression is a list of paths, which has better forms. */
const SOURCE_LENGTH_MAX = 1024;

const META = /[\\.+*?()[\]{}^$|]/;

export class PathRegex {
  private readonly literal: Uint8Array;

  private constructor(readonly source: string, private readonly expression: RE2JS, literal: string) {
    this.literal = new TextEncoder().encode(literal);
  }

  /** Compiles the expression of the rule at `index`; throws a RouteError that says what is wrong with it. */
  static compile(source: string, index: number): PathRegex {
    if (source.length > SOURCE_LENGTH_MAX) {
      throw new RouteError(
        index,
        `path: an expression of ${source.length} characters, expected at most ${SOURCE_LENGTH_MAX}`,
      );
    }
    const expression = compileExpression(source, index);
    const literal = literalPrefix(source);
    // "*" is the target of OPTIONS for the server as a whole; everything else that can be asked for begins with "/".
    if (literal !== "" && literal[0] !== "/" && literal[0] !== "*") {
      const reason = `path "~${source}": can match no path, since paths begin with "/" and the whole path is compared`;
      throw new RouteError(index, `${reason}; did you mean "~.*${source}"?`);
    }
    return new PathRegex(source, expression, literal);
  }

  /** False if the path in normal form cannot match; costs no allocation. */
  mayMatch(bytes: Uint8Array, at: number, length: number): boolean {
    const literal = this.literal;
    if (length < literal.length) return false;
    for (let i = 0; i < literal.length; i++) {
      if (bytes[at + i] !== literal[i]) return false;
    }
    return true;
  }

  /** True if the whole text matches: every branch of an alternation is bound at both ends. */
  matches(text: string): boolean {
    return this.expression.testExact(text);
  }

  /** Estimate of what the program holds, in bytes. */
  get bytesUsed(): number {
    return this.expression.programSize() * INSTRUCTION_BYTES + 2 * this.source.length + this.literal.length;
  }
}

/** An instruction of RE2JS is an object of about eight fields. */
const INSTRUCTION_BYTES = 96;

/**
 * What the automaton of one expression may remember, in bytes. It is built from what clients ask for, so it must be
 * bounded; the library's own bound is 8 MiB. Past it the automaton starts anew, or the slower simulation takes over.
 */
const AUTOMATON_BYTES_MAX = 256 * 1024;

function compileExpression(source: string, index: number): RE2JS {
  try {
    const expression = RE2JS.compile(source);
    const automaton = expression.re2().dfa;
    automaton.maxMem = automaton.stateBudget = automaton.memBudget = AUTOMATON_BYTES_MAX;
    return expression;
  } catch (error) {
    throw new RouteError(index, `path "~${source}": ${error instanceof Error ? error.message : error}`);
  }
}

/** ASCII text with which every match begins; "" where that is not plain to see. */
function literalPrefix(source: string): string {
  if (source.includes("|")) return "";
  let literal = "";
  let at = source.startsWith("^") ? 1 : 0;
  for (; at < source.length; at++) {
    let character = source[at]!;
    if (character === "\\" && /[!-/:-@[-`{-~]/.test(source[at + 1] ?? "")) character = source[++at]!;
    else if (META.test(character) || character > "~") break;
    literal += character;
  }
  // A quantifier that admits zero repeats takes the last character back.
  return /[?*{]/.test(source[at] ?? "") ? literal.slice(0, -1) : literal;
}
