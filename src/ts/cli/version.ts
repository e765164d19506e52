// version: of this program and of what it runs on.

import { VERSION } from "../control/version.ts";
import { type OpensslInUse, opensslInUse, opensslLibraries } from "../sys/openssl_library.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_DONE, print, printJson } from "./output.ts";
import { opensslText } from "./status.ts";

export function run(args: string[], json: boolean): Promise<number> {
  readArguments("version", COMMANDS.version, args);
  const { deno, v8 } = Deno.version;
  const target = Deno.build.target;
  const openssl = findOpenssl();
  if (json) printJson({ version: VERSION, deno, v8, target, openssl });
  else {print(
      `kakehi ${VERSION} (deno ${deno}, v8 ${v8}, ${target}; ${openssl ? opensslText(openssl) : "no OpenSSL 3"})`,
    );}
  return Promise.resolve(EXIT_DONE);
}

/** The library that TLS would be spoken by; null: there is none. */
function findOpenssl(): OpensslInUse | null {
  try {
    opensslLibraries();
    return opensslInUse()!;
  } catch {
    return null;
  }
}
