// settings show|update.

import { runObject } from "./noun.ts";

export function run(args: string[], json: boolean): Promise<number> {
  return runObject("settings", args, json);
}
