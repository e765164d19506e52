// help [COMMAND]: the commands on one screen, or all about one.

import { nearest } from "../config/nearest.ts";
import { type Command, optionsOf, synopsis } from "./command.ts";
import { allCommands } from "./commands.ts";
import { EXIT_DONE, print, printJson, UsageError } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const commands = await allCommands();
  const words = args.filter((arg) => !arg.startsWith("-"));
  if (words.length === 0) {
    if (json) printJson(Object.entries(commands).map(([name, command]) => ({ name, ...described(name, command) })));
    else print(overview(commands));
    return EXIT_DONE;
  }
  const { name, command } = find(commands, words);
  if (json) printJson({ name, ...described(name, command) });
  else print(commandText(name, command));
  return EXIT_DONE;
}

/** The command that the words begin with; those after it are its arguments. */
function find(commands: Record<string, Command>, [word, ...rest]: string[]): { name: string; command: Command } {
  const command = Object.hasOwn(commands, word!) ? commands[word!]! : undefined;
  if (!command) {
    const near = nearest(word!, Object.keys(commands));
    const advice = near ? `did you mean ${near}?` : `the commands are ${Object.keys(commands).join(", ")}`;
    throw new UsageError(`unknown command ${JSON.stringify(word)}; ${advice}`);
  }
  const verb = rest[0] !== undefined && command.verbs && Object.hasOwn(command.verbs, rest[0]) ? rest[0] : undefined;
  return verb === undefined ? { name: word!, command } : { name: `${word} ${verb}`, command: command.verbs![verb]! };
}

function described(name: string, command: Command): Record<string, unknown> {
  const { does, verbs, more, examples } = command;
  return {
    usage: usageOf(name, command),
    does,
    ...(verbs ? { verbs: Object.keys(verbs) } : { options: optionsOf(command) }),
    ...(more ? { more } : {}),
    ...(examples ? { examples } : {}),
  };
}

function usageOf(name: string, command: Command): string {
  return command.verbs ? `${name} ${Object.keys(command.verbs).join("|")}` : synopsis(name, command);
}

function columns(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length).filter((length) => length <= LEFT_MAX));
  return rows.map(([left, right]) => {
    return left.length > width ? `  ${left}\n  ${" ".repeat(width)}  ${right}` : `  ${left.padEnd(width)}  ${right}`;
  }).join("\n");
}

const LEFT_MAX = 36;

export function commandText(name: string, command: Command): string {
  const { verbs, more, examples = [] } = command;
  const parts = [`${command.does}`];
  if (verbs) {
    parts.unshift(
      Object.entries(verbs).map(([verb, inner]) => `Usage: kakehi ${synopsis(`${name} ${verb}`, inner)}`).join("\n"),
    );
    parts.push(`Commands:\n${columns(Object.entries(verbs).map(([verb, { does }]) => [verb, does]))}`);
  } else {
    parts.unshift(`Usage: kakehi ${synopsis(name, command)}`);
    parts.push(`Options:\n${columns(optionRows(command))}`);
  }
  if (more) parts.push(more);
  if (verbs) parts.push(`kakehi help ${name} ${Object.keys(verbs).at(-1)} says more about one of them.`);
  const all = [...examples, ...Object.values(verbs ?? {}).flatMap(({ examples = [] }) => examples)];
  if (all.length > 0) parts.push(`For example:\n${all.map((example) => `  kakehi ${example}`).join("\n")}`);
  return parts.join("\n\n");
}

function optionRows(command: Command): [string, string][] {
  const rows = Object.entries(optionsOf(command)).map(([name, { short, value, about }]): [string, string] => {
    const spelling = short === undefined ? `--${name}` : `-${short}, --${name}`;
    return [value === undefined ? spelling : `${spelling} ${value}`, about];
  });
  return [...rows, ["--json", "results as JSON"]];
}

function overview(commands: Record<string, Command>): string {
  const rows = Object.entries(commands).map(([name, { does, operands = [] }]): [string, string] => {
    return [synopsis(name, { does, operands }), does];
  });
  return `kakehi: a reverse proxy that never restarts

Usage: kakehi COMMAND [OPTIONS]

${columns(rows)}

Options of every command:
  --json          results as JSON, a line each where there are many
  --help          how the command is used; the same as help COMMAND
  --socket PATH   the control socket; default: /run/kakehi.sock for root, else kakehi.sock in $XDG_RUNTIME_DIR

Signals to a running proxy: TERM or INT stop (twice: at once), HUP read the file again, USR1 open the access log anew.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the proxy cannot be reached.`;
}
