// Options of one command: `--name VALUE`, `--name=VALUE`, flags, and what remains. `--` ends the options. Anything that is not
// declared is wrong usage, with the nearest name that is.

import { nearest } from "../config/nearest.ts";
import { UsageError } from "./output.ts";

export interface Options {
  values: Record<string, string>;
  flags: Set<string>;
  /** What is no option, in order. */
  operands: string[];
}

/** `aliases`: short form → name, e.g. {"-c": "config"}. */
export function parseOptions(
  args: readonly string[],
  { values = [], flags = [], aliases = {} }: { values?: string[]; flags?: string[]; aliases?: Record<string, string> },
): Options {
  const parsed: Options = { values: {}, flags: new Set(), operands: [] };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      parsed.operands.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      parsed.operands.push(arg);
      continue;
    }
    const equals = arg.startsWith("--") ? arg.indexOf("=") : -1;
    const given = equals < 0 ? arg : arg.slice(0, equals);
    const name = aliases[given] ?? (given.startsWith("--") ? given.slice(2) : "");
    if (values.includes(name)) {
      const value = equals < 0 ? args[++i] : arg.slice(equals + 1);
      if (value === undefined || value === "") throw new UsageError(`${given} needs a value`);
      parsed.values[name] = value;
    } else if (flags.includes(name) && equals < 0) {
      parsed.flags.add(name);
    } else {
      const known = [...values, ...flags];
      const near = nearest(name, known);
      throw new UsageError(near ? `unknown option ${given}; did you mean --${near}?` : `unknown option ${given}`);
    }
  }
  return parsed;
}

/** For commands without operands. */
export function refuseOperands({ operands }: Options): void {
  if (operands.length > 0) throw new UsageError(`unexpected argument ${JSON.stringify(operands[0])}`);
}
