// What the commands that change something have in common: the file or the orders go to the proxy, and what came of it is
// said.

import type { ApplyAnswer, ApplyRequest, ChangeFields, PlanAnswer, RollbackRequest } from "../control/protocol.ts";
import { REQUEST_BYTES_MAX } from "../control/protocol.ts";
import { type Arguments, wholeNumber } from "./command.ts";
import { CHANGE_LIMIT_MS, type Connection, openConnection } from "./connection.ts";
import { differenceCounts, differenceText } from "./differences.ts";
import { complain, EXIT_DONE, paint, print, printJson } from "./output.ts";

const READ_BYTES = 64 * 1024;
/** For what a request has beside the text of a file. */
const REQUEST_ROOM_BYTES = 64 * 1024;

/** The text of a configuration file, of standard input for `-`. It is the proxy that reads it. */
export async function readChange(file: string): Promise<ChangeFields> {
  const bytes = file === "-" ? await readStdin() : await readFile(file);
  const name = file === "-" ? "standard input" : file;
  const text = new TextDecoder().decode(bytes);
  const length = new TextEncoder().encode(JSON.stringify(text)).length;
  if (length > REQUEST_BYTES_MAX - REQUEST_ROOM_BYTES) {
    throw new Error(`${name}: too large for one request: ${length} bytes; expected at most ${REQUEST_BYTES_MAX}`);
  }
  return { text, file_name: name };
}

async function readFile(file: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(file);
  } catch (error) {
    throw new Error(`${file}: cannot be read: ${reasonOf(error)}`);
  }
}

export function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "there is no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  return (error as Error).message;
}

async function readStdin(): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const buffer = new Uint8Array(READ_BYTES);
  for (let count = await Deno.stdin.read(buffer); count !== null; count = await Deno.stdin.read(buffer)) {
    pieces.push(buffer.slice(0, count));
  }
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** `--if-revision` and `--why`. */
export function changeOptions({ values }: Arguments): { if_revision?: number; why?: string } {
  const revision = values["if-revision"];
  const why = values["why"];
  return {
    ...(revision === undefined ? {} : { if_revision: wholeNumber("--if-revision", revision) }),
    ...(why === undefined ? {} : { why }),
  };
}

/** Plans, and says what would change. */
export async function showPlan(socket: string | undefined, change: ChangeFields, json: boolean): Promise<number> {
  using connection = await openConnection(socket);
  const answer = await connection.request<PlanAnswer>("plan", change, { quietLimitMs: CHANGE_LIMIT_MS });
  if (json) printJson(answer);
  else print(planText(answer));
  return EXIT_DONE;
}

function planText({ differences, effects, revision }: PlanAnswer): string {
  if (differences.length === 0) return `nothing differs from revision ${revision}`;
  const effect = effects.length === 0 ? "" : `; takes effect: ${effects.map((effect) => EFFECTS[effect]).join(", ")}`;
  return `${differenceText(differences)}\n\n${differenceCounts(differences)} against revision ${revision}${effect}`;
}

const EFFECTS = { live: "at once", "rolls workers": "with new workers, in the place of the old ones" } as const;

/** Applies, and says what has changed. */
export async function carryOut(
  connection: Connection,
  change: { apply: ApplyRequest } | { rollback: RollbackRequest },
  json: boolean,
): Promise<void> {
  const [verb, fields] = "apply" in change ? ["apply", change.apply] as const : ["rollback", change.rollback] as const;
  const answer = await connection.request<ApplyAnswer>(verb, fields, { quietLimitMs: CHANGE_LIMIT_MS });
  if (json) printJson(answer);
  else print(appliedText(answer));
  if (answer.not_durable !== undefined && !json) {
    complain(`it is served, but not kept over a restart: the state file could not be written: ${answer.not_durable}`);
  }
}

function appliedText({ differences, effects, revision, took_ms, paused_us, read_anew }: ApplyAnswer): string {
  if (differences.length === 0 && read_anew) {
    return `revision ${revision} is served: certificates read anew: ${read_anew.join(", ")}`;
  }
  if (differences.length === 0) return `nothing differs from revision ${revision}`;
  const by = effects.includes("rolls workers") ? ", by new workers" : "";
  const pause = paused_us > 0 ? `, no worker stood still for more than ${(paused_us / 1000).toFixed(1)} ms` : "";
  const done = `revision ${revision} is served: ${differenceCounts(differences)} in ${
    took_ms.toFixed(1)
  } ms${by}${pause}`;
  return `${differenceText(differences)}\n\n${paint("bold", done)}`;
}
