// rollback [REVISION] [--if-revision N] [--why TEXT]: the state of an earlier revision is served again, as a new one.

import { carryOut, changeOptions } from "./change.ts";
import { readArguments, wholeNumber } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { openConnection } from "./connection.ts";
import { EXIT_DONE } from "./output.ts";

export async function run(args: string[], json: boolean): Promise<number> {
  const read = readArguments("rollback", COMMANDS.rollback, args);
  const [revision] = read.operands;
  const wanted = revision === undefined ? {} : { revision: wholeNumber("REVISION", revision) };
  const rollback = { ...wanted, ...changeOptions(read) };
  using connection = await openConnection(read.socket);
  await carryOut(connection, { rollback }, json);
  return EXIT_DONE;
}
