// schema [--protocol]: the JSON Schema of the configuration file, or of the control protocol.

import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_DONE, print } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const { flags } = readArguments("schema", COMMANDS.schema, args);
  const schema = flags.has("protocol")
    ? (await import("../control/protocol_schema.ts")).protocolSchema()
    : (await import("../config/json_schema.ts")).jsonSchema();
  print(JSON.stringify(schema, null, json ? 0 : 2));
  return EXIT_DONE;
}
