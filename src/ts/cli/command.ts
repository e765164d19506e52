// What a command takes, as data: reading its arguments, its usage text and the completions of shells are all derived from it.

import { quote } from "../config/format_error.ts";
import { nearest } from "../config/nearest.ts";
import { type Options, parseOptions } from "./options.ts";
import { UsageError } from "./output.ts";

/** Where words to complete come from: files, a fixed list, or the names of objects that the proxy has. */
export type Words = "file" | "listener" | "cluster" | "backend" | "certificate" | readonly string[];

export interface Option {
  about: string;
  /** What its value is called; without it, the option is a flag. */
  value?: string;
  /** One letter. */
  short?: string;
  /** May be given more than once. */
  repeated?: boolean;
  /** Its value may be "". */
  empty?: boolean;
  words?: Words;
}

export interface Operand {
  name: string;
  optional?: boolean;
  /** Any number of it. */
  repeated?: boolean;
  words?: Words;
}

export interface Command {
  /** One line. */
  does: string;
  operands?: readonly Operand[];
  options?: Readonly<Record<string, Option>>;
  /** It talks to a running proxy. */
  remote?: boolean;
  /** Paragraphs. */
  more?: string;
  /** Arguments, without the name of the program. */
  examples?: readonly string[];
  /** A command that is a family of commands has nothing else. */
  verbs?: Readonly<Record<string, Command>>;
}

/** The options of every command that changes something. */
export const CHANGE_OPTIONS: Readonly<Record<string, Option>> = {
  "if-revision": { value: "N", about: "refuse if another revision is served by now" },
  why: { value: "TEXT", about: "for the history" },
};

const SOCKET: Option = { value: "PATH", about: "the control socket of the proxy", words: "file" };

export function optionsOf({ options = {}, remote = false }: Command): Record<string, Option> {
  return remote ? { ...options, socket: SOCKET } : { ...options };
}

export interface Arguments extends Options {
  socket: string | undefined;
}

/** Reads the arguments of `kakehi NAME`; what does not fit is a UsageError with the usage. */
export function readArguments(name: string, command: Command, args: readonly string[]): Arguments {
  return withUsage(name, command, () => {
    const options = Object.entries(optionsOf(command));
    const named = (test: (option: Option) => boolean) =>
      options.filter(([, option]) => test(option)).map(([name]) => name);
    const parsed = parseOptions(args, {
      values: named(({ value, repeated }) => value !== undefined && !repeated),
      lists: named(({ value, repeated }) => value !== undefined && repeated === true),
      flags: named(({ value }) => value === undefined),
      empty: named(({ empty }) => empty === true),
      aliases: Object.fromEntries(options.flatMap(([name, { short }]) => short ? [[`-${short}`, name]] : [])),
    });
    checkOperands(command.operands ?? [], parsed.operands);
    return { ...parsed, socket: parsed.values["socket"] };
  });
}

/** Runs what may throw a UsageError, which then says how the command is used. */
export function withUsage<T>(name: string, command: Command, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof UsageError && error.usage === "") {
      error.usage = `usage: kakehi ${synopsis(name, command)} (kakehi help ${name} says more)`;
    }
    throw error;
  }
}

/** The verb of a family, and the arguments that are left for it. */
export function readVerb(
  name: string,
  { verbs = {} }: Command,
  args: readonly string[],
): { verb: string; rest: string[] } {
  const [verb, ...rest] = args;
  const known = Object.keys(verbs);
  if (verb !== undefined && known.includes(verb)) return { verb, rest };
  const near = verb === undefined ? undefined : nearest(verb, known);
  const advice = near ? `did you mean ${near}?` : `expected one of ${known.join(", ")}`;
  const error = new UsageError(
    verb === undefined ? `${name}: ${advice}` : `${name}: unknown ${shownVerb(verb)}; ${advice}`,
  );
  error.usage = `usage: kakehi ${name} ${known.join("|")} … (kakehi help ${name} says more)`;
  throw error;
}

function shownVerb(verb: string): string {
  return verb.startsWith("-") ? `option ${verb}` : `command ${JSON.stringify(verb)}`;
}

function checkOperands(expected: readonly Operand[], given: readonly string[]): void {
  const missing = expected.find(({ optional }, at) => !optional && given.length <= at);
  if (missing) throw new UsageError(`${missing.name} is missing`);
  const last = expected.at(-1);
  if (given.length > expected.length && !last?.repeated) {
    throw new UsageError(`unexpected argument ${quote(given[expected.length]!)}`);
  }
}

/** `apply FILE [--if-revision N] [--why TEXT]`; options that all commands have are left out. */
export function synopsis(name: string, { operands = [], options = {} }: Command): string {
  const words = operands.map(({ name, optional, repeated }) => {
    const word = repeated ? `${name}…` : name;
    return optional ? `[${word}]` : word;
  });
  const few = Object.entries(options).slice(0, OPTIONS_SHOWN).map(([name, { value, short, repeated }]) => {
    const spelling = short === undefined ? `--${name}` : `-${short}`;
    return `[${value === undefined ? spelling : `${spelling} ${value}`}]${repeated ? "…" : ""}`;
  });
  if (Object.keys(options).length > OPTIONS_SHOWN) few.splice(0, few.length, "[OPTIONS]");
  return [name, ...words, ...few].join(" ");
}

const OPTIONS_SHOWN = 4;

/** A number that an option or operand must be. */
export function wholeNumber(what: string, text: string, min = 0): number {
  const value = Number(text);
  if (/^\d{1,15}$/.test(text) && value >= min) return value;
  throw new UsageError(
    `${what}: expected a whole number${min > 0 ? ` of at least ${min}` : ""}, got ${JSON.stringify(text)}`,
  );
}

/** One of some words. */
export function oneOf<W extends string>(what: string, text: string, words: readonly W[]): W {
  if (words.includes(text as W)) return text as W;
  const near = nearest(text, words);
  const advice = near ? `; did you mean ${near}?` : "";
  throw new UsageError(`${what}: expected one of ${words.join(", ")}, got ${JSON.stringify(text)}${advice}`);
}
