// The single binary, made as `deno task compile` makes it.

import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Writes the binary to `output`; throws with what was said when that fails. */
export async function compileTo(output: string, ...options: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", `${ROOT}scripts/compile.ts`, "--output", output, ...options],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`scripts/compile.ts failed:\n${decoder.decode(stdout)}${decoder.decode(stderr)}`);
}
