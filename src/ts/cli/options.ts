// Options of one command: `--name VALUE`, `--name=VALUE`, `-n VALUE`, flags, and what remains. `--` ends the options. Anything
// that is not declared is wrong usage, with the nearest name that is.

import { quote } from "../config/format_error.ts";
import { nearest } from "../config/nearest.ts";
import { UsageError } from "./output.ts";

export interface Options {
  values: Record<string, string>;
  /** Of options that may be given more than once, all values in order. */
  lists: Record<string, string[]>;
  flags: Set<string>;
  /** What is no option, in order. */
  operands: string[];
}

export interface Declared {
  values?: readonly string[];
  /** Options with a value that may be given more than once. */
  lists?: readonly string[];
  flags?: readonly string[];
  /** Short form → name, e.g. {"-c": "config"}. */
  aliases?: Readonly<Record<string, string>>;
  /** Options whose value may be "". */
  empty?: readonly string[];
}

export function parseOptions(args: readonly string[], declared: Declared): Options {
  const parsed: Options = { values: {}, lists: {}, flags: new Set(), operands: [] };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      parsed.operands.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") parsed.operands.push(arg);
    else i += takeOption(parsed, splitOption(arg, declared), args[i + 1], declared);
  }
  return parsed;
}

interface Given {
  /** As it was written. */
  spelling: string;
  name: string;
  /** What is joined to it. */
  value: string | undefined;
}

function splitOption(arg: string, { aliases = {} }: Declared): Given {
  if (arg.startsWith("--")) {
    const equals = arg.indexOf("=");
    const spelling = equals < 0 ? arg : arg.slice(0, equals);
    return { spelling, name: spelling.slice(2), value: equals < 0 ? undefined : arg.slice(equals + 1) };
  }
  const short = arg.slice(0, 2);
  if (!Object.hasOwn(aliases, short)) return { spelling: arg, name: "", value: undefined };
  return { spelling: short, name: aliases[short]!, value: arg.length > 2 ? arg.slice(2) : undefined };
}

/** Gives how many further arguments it took. */
function takeOption(parsed: Options, given: Given, next: string | undefined, declared: Declared): 0 | 1 {
  const { values = [], lists = [], flags = [], empty = [] } = declared;
  const { spelling, name } = given;
  if (flags.includes(name) && given.value === undefined) {
    parsed.flags.add(name);
    return 0;
  }
  if (!values.includes(name) && !lists.includes(name)) {
    throw unknownOption(spelling, name, [...values, ...lists, ...flags]);
  }
  const value = given.value ?? (next !== undefined && isOption(next, declared) ? undefined : next);
  if (value === undefined || (value === "" && !empty.includes(name))) throw new UsageError(`${spelling} needs a value`);
  if (lists.includes(name)) (parsed.lists[name] ??= []).push(value);
  else parsed.values[name] = value;
  return given.value === undefined ? 1 : 0;
}

/** Whether an argument is one of the options, and so no value of the one before it: `--h2c --json` lacks one. */
function isOption(arg: string, declared: Declared): boolean {
  const { values = [], lists = [], flags = [] } = declared;
  const { name } = splitOption(arg, declared);
  return arg.startsWith("--") && [...values, ...lists, ...flags].includes(name);
}

function unknownOption(spelling: string, name: string, known: readonly string[]): UsageError {
  const near = nearest(name, known);
  return new UsageError(near ? `unknown option ${spelling}; did you mean --${near}?` : `unknown option ${spelling}`);
}

/** For commands without operands. */
export function refuseOperands({ operands }: Options): void {
  if (operands.length > 0) throw new UsageError(`unexpected argument ${quote(operands[0]!)}`);
}
