// Builds the codec: assembly/codec.ts (AssemblyScript) joined with llhttp (the WebAssembly inside the npm package
// llhttp-wasm) into one module without imports, dist/core.wasm.
//
//   asc assembly/codec.ts ─┐
//                          ├─ wasm-merge ─ wasm-metadce (only our exports stay) ─ wasm-opt ─ dist/core.wasm
//   llhttp-wasm (base64) ──┘
//
// llhttp imports our `wasm_on_*` callbacks and we import its parser, so that no callback crosses into JavaScript.
// The same sources give the same bytes. Options: --quiet; --out FILE writes there instead; --if-stale builds only when a
// source is newer than the result; --each also compiles every file as an entry of its own into dist/test/, since asc does
// not look at what the entry's exports do not reach; --only FILE compiles that assembly file there and nothing else.

import asc from "assemblyscript/asc";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { llhttpBytes } from "./llhttp.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const outFile = option("--out") ?? `${root}dist/core.wasm`;
const quiet = Deno.args.includes("--quiet");

/** The value that stands behind `name` on the command line, as a path. */
function option(name: string): string | undefined {
  const index = Deno.args.indexOf(name);
  if (index < 0) return undefined;
  const value = Deno.args[index + 1];
  if (value === undefined) throw new Error(`${name} needs a file`);
  return resolve(value);
}

/** Where llhttp's statics and stack end, rounded up; ours begin behind it (assembly/memory.ts asserts it). */
const MEMORY_BASE = 131072;
/** Pages (64 KiB) of the merged module before src/wasm grows it: llhttp's two, and ours. */
const MEMORY_PAGES = 4;

/** `npm:binaryen@VERSION` as deno.json has it: the tools are files of the package, not exports that could be imported. */
const BINARYEN: string = JSON.parse(Deno.readTextFileSync(`${root}deno.json`)).imports.binaryen;

const FEATURES = [
  "--enable-simd",
  "--enable-bulk-memory",
  "--enable-bulk-memory-opt",
  "--enable-multimemory",
  "--enable-nontrapping-float-to-int",
  "--enable-sign-ext",
  "--enable-mutable-globals",
];

function* sources(folder: string): Generator<string> {
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  for (const entry of entries) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sources(path);
    else if (entry.name.endsWith(".ts")) yield path;
  }
}

function isStale(): boolean {
  let built: number;
  try {
    built = Deno.statSync(outFile).mtime!.getTime();
  } catch {
    return true;
  }
  const scripts = ["build_wasm.ts", "llhttp.ts"].map((name) => `${root}scripts/${name}`);
  const inputs = [...sources(`${root}assembly`), ...scripts, `${root}deno.json`];
  return inputs.some((path) => Deno.statSync(path).mtime!.getTime() > built);
}

/** Compiles one AssemblyScript entry; throws with the compiler's own messages. Paths are relative to the root. */
async function compile(entry: string, out: string): Promise<void> {
  const args = [entry, "-o", out, "-O3", "--importMemory", "--runtime", "stub", "--use", "abort="];
  args.push("--memoryBase", String(MEMORY_BASE), "--enable", "simd");
  const { error, stderr } = await asc.main([...args, "--baseDir", root]);
  if (error) throw new Error(`asc ${entry}: ${error.message}\n${stderr.toString()}`);
}

/**
 * Widens the memory that llhttp declares (two pages, no maximum) so that our statics, which lie behind it, are inside.
 * In the binary format the memory section of one memory is: 5, size, count, flags, minimum.
 */
function withPages(module: Uint8Array<ArrayBuffer>, pages: number): Uint8Array<ArrayBuffer> {
  let at = 8;
  while (at < module.length) {
    const id = module[at++];
    let size = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      size |= (module[at]! & 127) << shift;
      more = module[at++]! > 127;
    }
    if (id === 5) {
      if (size !== 3 || module[at] !== 1 || module[at + 1] !== 0 || module[at + 2]! > pages) {
        throw new Error("llhttp-wasm declares its memory otherwise than expected: one memory, no maximum");
      }
      const copy = module.slice();
      copy[at + 2] = pages;
      return copy;
    }
    at += size;
  }
  throw new Error("llhttp-wasm has no memory section");
}

/**
 * Runs one of Binaryen's tools in a process of its own. They are CommonJS inside a package that says it is not, hence
 * the globals; the program's arguments are put where they look for them.
 */
async function binaryen(tool: string, args: string[]): Promise<void> {
  const code = `import { createRequire } from "node:module";
    import process from "node:process";
    Object.assign(globalThis, { require: createRequire("file:///"), __filename: "${tool}", __dirname: "/", module: {} });
    process.argv = ["deno", ${JSON.stringify(tool)}, ...${JSON.stringify(args)}];
    await import("${BINARYEN}/bin/${tool}");`;
  const { success, stderr, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-config", code],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  if (!success) throw new Error(`${tool} failed:\n${text.decode(stdout)}${text.decode(stderr)}`);
}

function exportsOf(bytes: Uint8Array): string[] {
  const module = new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>);
  return WebAssembly.Module.exports(module).map((entry) => entry.name);
}

async function build(): Promise<void> {
  const temp = await Deno.makeTempDir({ dir: `${root}dist`, prefix: "build-" });
  try {
    const relative = temp.slice(root.length);
    await compile("assembly/codec.ts", `${relative}/ours.wasm`);
    await Deno.writeFile(`${temp}/llhttp.wasm`, withPages(await llhttpBytes(), MEMORY_PAGES));
    const ours = exportsOf(await Deno.readFile(`${temp}/ours.wasm`)).filter((name) => !name.startsWith("wasm_on_"));
    const roots = [...ours, "memory", "_initialize"];
    const graph = roots.map((name) => ({ name: `export:${name}`, root: true, export: name }));
    await Deno.writeTextFile(`${temp}/graph.json`, JSON.stringify(graph));
    const merged = [`${temp}/llhttp.wasm`, "env", `${temp}/ours.wasm`, "env", "-o", `${temp}/merged.wasm`];
    await binaryen("wasm-merge", [...merged, "--skip-export-conflicts", ...FEATURES]);
    const kept = [`${temp}/merged.wasm`, `--graph-file=${temp}/graph.json`, "-o", `${temp}/kept.wasm`];
    await binaryen("wasm-metadce", [...kept, ...FEATURES]);
    await binaryen("wasm-opt", [`${temp}/kept.wasm`, "-O4", "-o", `${temp}/core.wasm`, ...FEATURES]);
    const core = await Deno.readFile(`${temp}/core.wasm`);
    const imports = WebAssembly.Module.imports(new WebAssembly.Module(core));
    if (imports.length) throw new Error(`core.wasm still imports ${imports.map((entry) => entry.name).join(", ")}`);
    // another file system perhaps, where nothing can be renamed to
    if (option("--out")) await Deno.copyFile(`${temp}/core.wasm`, outFile);
    else await Deno.rename(`${temp}/core.wasm`, outFile);
    if (!quiet) console.log(`${outFile.replace(root, "")}: ${core.length} bytes, ${roots.length} exports, no imports`);
  } finally {
    await Deno.remove(temp, { recursive: true });
  }
}

/** Compiles each assembly file by itself, so that code which no export reaches is checked too. */
async function compileEach(): Promise<void> {
  for (const path of sources(`${root}assembly`)) await compileAlone(path);
}

/** One at a time or all: what is there is always whole, since tests that run at once may read and build it. */
async function compileAlone(path: string): Promise<void> {
  const entry = path.slice(root.length);
  const out = `dist/test/${entry.slice("assembly/".length).replaceAll("/", "_").replace(/\.ts$/, "")}`;
  await compile(entry, `${out}.${Deno.pid}.wasm`);
  await Deno.rename(`${root}${out}.${Deno.pid}.wasm`, `${root}${out}.wasm`);
}

await Deno.mkdir(`${root}dist/test`, { recursive: true });
const only = option("--only");
if (only) await compileAlone(only);
else if (!Deno.args.includes("--if-stale") || isStale()) {
  await build();
  if (Deno.args.includes("--each")) await compileEach();
}
