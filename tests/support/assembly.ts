// A file of assembly/ compiled as an entry of its own, for tests of what the codec does not export.

import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

function modified(path: string): number {
  return Deno.statSync(`${ROOT}${path}`).mtime!.getTime();
}

/** Builds dist/test/….wasm when one of `sources`, all that the entry imports, is newer; paths are relative to the root. */
export function compileAlone(entry: string, sources: readonly string[]): WebAssembly.Module {
  const name = entry.slice("assembly/".length).replaceAll("/", "_").replace(/\.ts$/, ".wasm");
  const module = `dist/test/${name}`;
  let built = 0;
  try {
    built = modified(module);
  } catch {
    // there is none yet
  }
  if ([entry, ...sources].some((path) => modified(path) > built)) {
    const args = ["run", "-A", `${ROOT}scripts/build_wasm.ts`, "--only", `${ROOT}${entry}`];
    const { success, stderr } = new Deno.Command(Deno.execPath(), { args, stdout: "null" }).outputSync();
    if (!success) throw new Error(`${entry} does not compile:\n${new TextDecoder().decode(stderr)}`);
  }
  return new WebAssembly.Module(Deno.readFileSync(`${ROOT}${module}`));
}
