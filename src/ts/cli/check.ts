// `kakehi check FILE`: reads a configuration as `start` would and says everything that is wrong with it, or what it has.

import { loadStateFile } from "../config/parse.ts";
import { formatErrors } from "../config/problem.ts";
import type { State } from "../config/state.ts";
import { readArguments } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_DONE, EXIT_FAILED, print, printJson } from "./output.ts";

/** Exit code 0 if the file can be used, 1 if not, 2 for wrong usage. */
export async function run(args: string[], json: boolean): Promise<number> {
  const { operands: [file] } = readArguments("check", COMMANDS.check, args);
  const { state, errors } = await loadStateFile(file!);
  const wrong = state ? await credentialErrors(state) : [];
  if (wrong.length > 0) {
    if (json) printJson({ file, ok: false, errors: wrong });
    else console.error(wrong.map(({ reason }) => `${file}: ${reason}`).join("\n"));
    return EXIT_FAILED;
  }
  if (json) printJson(errors ? { file, ok: false, errors } : { file, ok: true, ...countsOf(state) });
  else if (errors) console.error(formatErrors(errors));
  else print(`${file}: ok (${summary(state)})`);
  return errors ? EXIT_FAILED : EXIT_DONE;
}

/** What is wrong with certificates and the files of TLS options. */
async function credentialErrors(state: State): Promise<{ object: string; reason: string }[]> {
  const { credentialsOf } = await import("../control/credentials_at_start.ts");
  const { ControlError } = await import("../control/errors.ts");
  const warn = (text: string, fields: Record<string, unknown> = {}) => {
    console.error([text, ...Object.entries(fields).map(([name, value]) => `${name}=${value}`)].join(" "));
  };
  try {
    const { credentials } = await credentialsOf(state, { warn });
    credentials?.close();
    return [];
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    const objects = error.fields.errors ?? [];
    return error.message.split("\n").map((reason, at) => ({ object: objects[at]?.object ?? "", reason }));
  }
}

function countsOf(state: State): Record<string, number> {
  const clusters = Object.values(state.clusters);
  const certificates = Object.keys(state.certificates).length;
  return {
    listeners: Object.keys(state.listeners).length,
    clusters: clusters.length,
    backends: clusters.reduce((count, cluster) => count + cluster.backends.length, 0),
    routes: state.routes.length,
    ...(certificates > 0 ? { certificates } : {}),
  };
}

function summary(state: State): string {
  const counts = Object.entries(countsOf(state));
  return counts.map(([name, count]) => `${count} ${count === 1 ? name.slice(0, -1) : name}`).join(", ");
}
