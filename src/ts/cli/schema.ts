// `kakehi schema`: prints the JSON Schema of the configuration file.

import { jsonSchema } from "../config/json_schema.ts";
import { EXIT_DONE, EXIT_USAGE, print } from "./output.ts";

/** Exit code 0, or 2 for wrong usage. */
// deno-lint-ignore require-await
export async function run(args: string[], json: boolean): Promise<number> {
  if (args.length > 0) {
    console.error("usage: kakehi schema [--json]");
    return EXIT_USAGE;
  }
  print(JSON.stringify(jsonSchema(), null, json ? 0 : 2));
  return EXIT_DONE;
}
