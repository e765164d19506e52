// history [--limit N]: the revisions, the newest first.

import type { HistoryAnswer, RevisionReport } from "../control/protocol.ts";
import { readArguments, wholeNumber } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask } from "./connection.ts";
import { EXIT_DONE, print, printJson, table, visible } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { values, socket } = readArguments("history", COMMANDS.history, args);
  const { limit } = values;
  const answer = await ask<HistoryAnswer>(
    socket,
    "history",
    limit === undefined ? {} : { limit: wholeNumber("--limit", limit, 1) },
  );
  if (json) printJson(answer);
  else print(table(["REVISION", "WHEN", "BY", "FROM", "WHAT", "WHY"], answer.revisions.map(row)));
  return EXIT_DONE;
}

function row({ revision, at, who, source, what, why }: RevisionReport): string[] {
  return [String(revision), localTime(at), visible(who.name ?? `uid ${who.uid}`), source, visible(what), visible(why)];
}

/** `2026-01-31 17:05:09`, by the clock of whoever reads it. */
export function localTime(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return visible(iso);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace("T", " ");
}
