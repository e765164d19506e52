// Bundles the program for the single binary: src/ts/main.ts and all it imports, with dist/core.wasm inside, as one text
// that `deno eval` or `deno compile` runs as it is.
//
// The text is main.ts, and what it imports dynamically as texts that are evaluated when they are reached: one for each folder
// it imports from, so the commands together, the worker by itself, each bundled by itself (`deno bundle`). As texts, because
// Deno analyses the modules it loads for their imports, which costs 90 ms for 750 KB where its result cannot be cached (no HOME,
// a read-only system), and a text costs a tenth of that. The worker apart, because then it compiles none of the commands'
// code, and because its constants stay constants: code behind a dynamic import inside one bundle is wrapped in a function that
// assigns them as variables. Among the commands a dynamic import stays lazy in that way: its code runs when it is first
// reached. What two texts import is in both, each with its own module state.
//
// What the sources keep to: main.ts imports by `import("literal")` alone, nothing but main.ts awaits at the top level or needs
// `import.meta` to start. They see the constant KAKEHI_CORE_BASE64, which is not declared when they run as a script.

import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import { findImports } from "./source_words.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

export interface BundleSources {
  main: string;
  core: Uint8Array;
}

/** The sources of this project, the WebAssembly built. */
export async function projectSources(): Promise<BundleSources> {
  const corePath = `${ROOT}dist/core.wasm`;
  let core: Uint8Array;
  try {
    core = await Deno.readFile(corePath);
  } catch (cause) {
    throw new Error(`cannot read ${corePath}: build it first (deno task build)`, { cause });
  }
  return { main: `${ROOT}src/ts/main.ts`, core };
}

/** One ES module as text that imports nothing but the runtime's own modules. Same sources, same text. */
export async function bundle({ main, core }: BundleSources): Promise<string> {
  const imported = lazyImportsOf(main, await Deno.readTextFile(main));
  const folders = Object.values(Object.groupBy(imported, dirname)) as string[][];
  const drafts = await Deno.makeTempDir({ prefix: "kakehi-bundle-" });
  try {
    const bundled = await Promise.allSettled([
      runBundler(main, "esm", `${drafts}/main.js`, imported),
      ...folders.map((paths, i) => bundleProgram(paths, `${drafts}/${i}`)),
    ]);
    const [entry = "", ...programs] = bundled.map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    });
    const text = joinPrograms(redirectImports(entry, folders), programs, core.toBase64());
    if (text.includes("\0")) throw new Error("the bundle contains a NUL, with which the binary's text would end");
    return text;
  } finally {
    await Deno.remove(drafts, { recursive: true });
  }
}

function lazyImportsOf(file: string, source: string): string[] {
  const paths = findImports(source).filter(({ lazy }) => lazy).map(({ specifier }) => join(dirname(file), specifier));
  return [...new Set(paths)];
}

/** A program whose `exports.modules[i]()` gives the module `paths[i]`, run when it is first asked for. */
async function bundleProgram(paths: string[], draft: string): Promise<string> {
  // A program of one module is that module, run at once: only so are its constants left as they are.
  const source = paths.length === 1
    ? `import * as only from ${JSON.stringify(paths[0])};\nexport const modules = [() => only];\n`
    : `export const modules = [${paths.map((path) => `() => import(${JSON.stringify(path)})`)}];\n`;
  await Deno.writeTextFile(`${draft}.ts`, source);
  return await runBundler(`${draft}.ts`, "cjs", `${draft}.js`);
}

async function runBundler(entry: string, format: "esm" | "cjs", output: string, external: string[] = []) {
  const flags = ["--quiet", "--minify", "--keep-names", "--platform", "deno", "--format", format, "--output", output];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", ...flags, ...external.map((path) => `--external=${path}`), entry],
    cwd: ROOT, // Where deno.json says what the imported names mean.
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`deno bundle ${entry} failed:\n${new TextDecoder().decode(stderr)}`);
  return await Deno.readTextFile(output);
}

/** The `import()`s that the bundler was told to leave become calls that give a module of a program. */
function redirectImports(entry: string, folders: string[][]): string {
  return entry.replaceAll(/\bimport\("([^"]*)"\)/g, (_, specifier: string) => {
    // The bundler leaves some specifiers as they are written and makes others absolute.
    const end = specifier.replace(/^(\.\.?\/)+/, "/");
    for (const [program, paths] of folders.entries()) {
      const module = paths.findIndex((path) => path.endsWith(end));
      if (module >= 0) return `kakehiProgram(${program}, ${module})`;
    }
    throw new Error(`the bundled main imports ${specifier}, which its source does not`);
  });
}

const PARAMETERS = ["exports", "require", "KAKEHI_CORE_BASE64"];

function joinPrograms(entry: string, programs: string[], core: string): string {
  const texts = programs.map((program, i) =>
    JSON.stringify(
      `(function(${PARAMETERS}){const module={exports};${program}\nreturn module.exports})\n//# sourceURL=kakehi/${i}.js`,
    )
  );
  return `const kakehiPrograms = [${texts.join(",\n")}];
const kakehiLoaded = [];
async function kakehiProgram(program, module) {
  const require = (id) => globalThis.process.getBuiltinModule(id);
  kakehiLoaded[program] ??= (0, eval)(kakehiPrograms[program])({}, require, "${core}");
  return await kakehiLoaded[program].modules[module]();
}
${entry}`;
}

if (import.meta.main) {
  const sources = await projectSources();
  const text = await bundle(sources);
  await Deno.writeTextFile(`${ROOT}dist/kakehi.js`, text);
  console.log(`dist/kakehi.js: ${text.length} bytes, ${sources.core.length} of them WebAssembly before base64`);
}
