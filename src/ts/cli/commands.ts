// The command line on one page: what each command takes. Reading arguments, `help` and `completions` are made of it. The
// commands for objects are in objects.ts, because their options come from the schema of the configuration.

import { EVENT_NAMES } from "../control/protocol.ts";
import { LOG_LEVELS } from "../observe/log.ts";
import { CHANGE_OPTIONS, type Command } from "./command.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;

const FILE = [{ name: "FILE", words: "file" }] as const;
const FROM_STDIN = "FILE is a whole configuration; - reads it from standard input.";

const CHECK: Command = { does: "say what is wrong with a configuration file", operands: FILE };

const PLAN: Command = {
  does: "show what a configuration file would change, and change nothing",
  operands: FILE,
  remote: true,
  more: `${FROM_STDIN} + is new, ~ is different, - is gone, by object and field.`,
};

const APPLY: Command = {
  does: "make the proxy serve a configuration file, in one transaction",
  operands: FILE,
  options: CHANGE_OPTIONS,
  remote: true,
  more: `${FROM_STDIN} Either all workers take all of it or nothing changes.`,
  examples: ["apply kakehi.yaml --why 'new cluster for images'"],
};

const STATE = {
  does: "save, load, diff: the whole state as a file",
  verbs: {
    save: {
      does: "write the state that is served, as a configuration file",
      operands: [{ name: "FILE", optional: true, words: "file" }],
      remote: true,
      more: "Without FILE, or with -, it goes to standard output. A FILE that ends in .json is JSON, any other YAML.",
    },
    load: { ...APPLY, does: "serve a state that was saved: the same as apply", examples: ["state load saved.yaml"] },
    diff: {
      does: "show what differs between the state that is served and a file, or between two files",
      operands: [...FILE, { name: "FILE", optional: true, words: "file" }],
      remote: true,
      more: "Of two files the first is the one before. Then no proxy is asked.",
    },
  },
} satisfies Command;

const EXPLAIN: Command = {
  does: "tell which rule answers a request, which others do not and why, and who would be asked",
  operands: [{ name: "URL" }],
  options: {
    request: { short: "X", value: "METHOD", about: "default: GET", words: ["GET", "HEAD", "POST", "PUT", "DELETE"] },
    header: {
      short: "H",
      value: "NAME:VALUE",
      repeated: true,
      about: "a header field of the request (may be repeated)",
    },
    client: { value: "ADDRESS", about: "where the request comes from" },
  },
  remote: true,
  examples: ["explain http://example.com/api/users -X POST -H 'X-Beta: 1'"],
};

const WORKERS = {
  does: "list, set, restart: the processes that carry the traffic",
  verbs: {
    list: { does: "show them", remote: true },
    set: { does: "serve with as many, without loss", operands: [{ name: "N" }], remote: true },
    restart: { does: "put new ones in the place of all, without loss", remote: true },
  },
} satisfies Command;

export const COMMANDS = {
  start: {
    does: "serve; without a file a demonstration on port 8080",
    options: {
      config: { short: "c", value: "FILE", about: "the configuration", words: "file" },
      "from-state": { about: "begin with what control.state_file has, if it is there, in place of the file's objects" },
    },
    remote: true,
    more: "The state file has what was served last, with all changes since the configuration file was read.",
    examples: ["start -c /etc/kakehi/kakehi.yaml --from-state"],
  },
  check: CHECK,
  plan: PLAN,
  apply: APPLY,
  rollback: {
    does: "come back to the state of an earlier revision",
    operands: [{ name: "REVISION", optional: true }],
    options: CHANGE_OPTIONS,
    remote: true,
    more: "Without REVISION it is the one before the current. It makes a new revision; `history` has them all.",
  },
  history: {
    does: "show the revisions that were served, the newest first",
    options: { limit: { value: "N", about: "only as many" } },
    remote: true,
  },
  explain: EXPLAIN,
  state: STATE,
  status: { does: "show workers, listeners and counters", remote: true },
  metrics: { does: "print the metrics as text for Prometheus", remote: true },
  events: {
    does: "print what happens as it happens, until it is interrupted",
    operands: [{ name: "NAME", optional: true, repeated: true, words: [...EVENT_NAMES] }],
    remote: true,
    more: `Without NAME, all. The names are ${EVENT_NAMES.join(", ")}; the part before the dot stands for all of it.`,
    examples: ["events backend worker.died"],
  },
  top: {
    does: "show rates and workers, again each second; q ends it",
    options: { once: { about: "print one table, over one second, and end" } },
    remote: true,
  },
  workers: WORKERS,
  log: {
    does: "set what the proxy writes to its log, until it is set again",
    operands: [{ name: "LEVEL", words: LOG_LEVELS }],
    remote: true,
  },
  upgrade: {
    does: "go on as another version, without losing a connection",
    options: { binary: { value: "FILE", about: "the new program; default: the file that was started", words: "file" } },
    remote: true,
    more:
      "The new program is tried first, with the state that is served. If it cannot serve it, or does not come up, the " +
      "old one serves on and the command says why.",
    examples: ["upgrade", "upgrade --binary /opt/kakehi-next/kakehi"],
  },
  stop: {
    does: "finish what is carried, then end",
    options: { now: { about: "end at once" } },
    remote: true,
  },
  schema: {
    does: "print the JSON Schema of the configuration",
    options: { protocol: { about: "that of the control protocol instead" } },
  },
  completions: {
    does: "print what makes a shell complete kakehi's commands",
    operands: [{ name: "SHELL", words: SHELLS }],
    more:
      "bash: source <(kakehi completions bash)\nzsh:  source <(kakehi completions zsh)\nfish: kakehi completions fish | source",
  },
  version: { does: "show the version" },
  help: { does: "show the commands, or how one is used" },
} satisfies Record<string, Command>;

/** With those for objects. */
export async function allCommands(): Promise<Record<string, Command>> {
  const { NOUNS, objectCommand } = await import("./objects.ts");
  const { start, check, plan, apply, rollback, history, explain, help, ...rest } = COMMANDS;
  const objects = Object.fromEntries(NOUNS.map((noun) => [noun, objectCommand(noun)]));
  const all = { start, check, plan, apply, rollback, history, explain, ...objects, ...rest };
  const operands = [{ name: "COMMAND", optional: true, repeated: true, words: Object.keys(all) }];
  return { ...all, help: { ...help, operands } };
}
