// certificate list|show|add|update|remove.

import { runObject } from "./noun.ts";

export function run(args: string[], json: boolean): Promise<number> {
  return runObject("certificate", args, json);
}
