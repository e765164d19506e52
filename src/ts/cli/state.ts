// state save [FILE] | load FILE | diff FILE [FILE]: the whole state as a file.

import { describeDifference } from "../config/difference.ts";
import { diff } from "../config/diff.ts";
import type { State } from "../config/state.ts";
import { hashState } from "../config/state_hash.ts";
import type { GetAnswer } from "../control/protocol.ts";
import { applyFile } from "./apply.ts";
import { readChange, reasonOf, showPlan } from "./change.ts";
import { readArguments, readVerb } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask } from "./connection.ts";
import { differenceCounts, differenceText } from "./differences.ts";
import { loadFile } from "./load.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

const STATE = COMMANDS.state;

export async function run(args: string[], json: boolean): Promise<number> {
  const { verb, rest } = readVerb("state", STATE, args);
  if (verb === "load") return await applyFile("state load", STATE.verbs.load, rest, json);
  return verb === "save" ? await save(rest, json) : await compare(rest, json);
}

async function save(args: string[], json: boolean): Promise<number> {
  const { operands: [file = "-"], socket } = readArguments("state save", STATE.verbs.save, args);
  const { state, revision } = await ask<GetAnswer>(socket, "get");
  const toStdout = file === "-";
  const asJson = toStdout ? json : file.endsWith(".json");
  const text = asJson
    ? JSON.stringify(state, null, toStdout ? 0 : 2) + "\n"
    : (await import("./yaml.ts")).yamlText(state);
  if (toStdout) print(text);
  else {
    await writeWhole(file, text);
    if (json) printJson({ file, revision });
    else print(`${file}: revision ${revision}`);
  }
  return EXIT_DONE;
}

/** Nobody ever reads half of it. */
async function writeWhole(file: string, text: string): Promise<void> {
  const unfinished = `${file}.${Deno.pid}.new`;
  try {
    await Deno.writeTextFile(unfinished, text, { createNew: true });
    await Deno.rename(unfinished, file);
  } catch (error) {
    await Deno.remove(unfinished).catch(() => {});
    throw new Error(`${file}: cannot be written: ${reasonOf(error)}`);
  }
}

async function compare(args: string[], json: boolean): Promise<number> {
  const { operands: [first, second], socket } = readArguments("state diff", STATE.verbs.diff, args);
  if (second === undefined) return await showPlan(socket, await readChange(first!), json);
  const [before, after] = [await load(first!), await load(second)];
  const differences = describeDifference(before, after);
  if (json) {
    printJson({
      differences,
      orders: diff(before, after),
      hash_before: hashState(before),
      hash_after: hashState(after),
    });
  } else if (differences.length === 0) print("nothing differs");
  else print(`${differenceText(differences)}\n\n${differenceCounts(differences)}`);
  return EXIT_DONE;
}

async function load(file: string): Promise<State> {
  try {
    return await loadFile(file);
  } catch (error) {
    throw error instanceof Deno.errors.NotFound ? new Error(`${file}: ${reasonOf(error)}`) : error;
  }
}
