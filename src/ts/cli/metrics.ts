// metrics: what Prometheus would be given.

import type { MetricsAnswer } from "../control/protocol.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { ask } from "./connection.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { socket } = readArguments("metrics", COMMANDS.metrics, args);
  const answer = await ask<MetricsAnswer>(socket, "metrics");
  if (json) printJson(answer);
  else print(answer.text);
  return EXIT_DONE;
}
