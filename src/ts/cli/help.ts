// help: the commands in one screen.

import { EXIT_DONE, print, printJson } from "./output.ts";

export const COMMANDS: Record<string, { usage: string; does: string }> = {
  start: { usage: "start [-c FILE]", does: "serve; without FILE a demonstration on port 8080" },
  check: { usage: "check FILE", does: "say what is wrong with a configuration file" },
  status: { usage: "status", does: "show workers, listeners and counters" },
  stop: { usage: "stop [--now]", does: "finish what is carried, then end; --now: end at once" },
  version: { usage: "version", does: "show the version" },
  schema: { usage: "schema", does: "print the JSON Schema of the configuration" },
  help: { usage: "help", does: "show this" },
};

export function run(_args: string[], json: boolean): Promise<number> {
  if (json) printJson(Object.entries(COMMANDS).map(([name, entry]) => ({ name, ...entry })));
  else print(helpText());
  return Promise.resolve(EXIT_DONE);
}

function helpText(): string {
  const width = Math.max(...Object.values(COMMANDS).map(({ usage }) => usage.length));
  const commands = Object.values(COMMANDS).map(({ usage, does }) => `  ${usage.padEnd(width)}  ${does}`).join("\n");
  return `kakehi: a reverse proxy that never restarts

Usage: kakehi COMMAND [OPTIONS]

${commands}

Options of every command:
  --json          results as JSON
  --socket PATH   the control socket (start, status, stop); default: /run/kakehi.sock for root,
                  else kakehi.sock in $XDG_RUNTIME_DIR

Signals to a running proxy: TERM or INT stop (twice: at once), HUP read the file again, USR1 open the access log anew.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the proxy cannot be reached.`;
}
