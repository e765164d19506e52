// Bundles the program for the single binary: src/ts/main.ts and all it imports, and dist/core.wasm.
//
// The bundler (`deno bundle`) splits the program where it imports dynamically, so that a process reads and compiles only the
// chunks that it runs: a worker nothing of the commands, a command nothing of the worker, nobody the regular expressions of
// routes where there are none. Of the chunks only the entry, a few KB, is a module that Deno loads; the others are functions in
// texts that the entry gets by number, and V8 compiles them (scripts/chunk.ts says why). What two chunks share is in a third,
// once, so that each module has one state.
//
// Texts and WebAssembly are either part of the entry (`wholeModule`: one file that runs by itself, for `deno compile`), or one
// block of bytes that it reads from the executable (`blockModule`, for scripts/elf.ts).
//
// What the sources keep to: dynamic imports are literal, nothing but main.ts awaits at the top level or needs `import.meta` to
// start, and no exported variable is assigned after its module has run. They see the function KAKEHI_CORE, which gives the
// WebAssembly and is not declared when they run as a script; and KAKEHI_OPENSSL, which gives the libraries that the binary
// carries, or is undefined.

import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Chunk,
  chunkFunction,
  entryCode,
  importedChunks,
  LAZY_PACKAGES,
  PARAMETERS,
  reachedChunks,
} from "./chunk.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

export interface BundleSources {
  main: string;
  core: Uint8Array;
}

export interface Program {
  /** Module code that runs with the PARAMETERS of chunks in scope. */
  entry: string;
  /** A function each, by their numbers. */
  chunks: string[];
  core: Uint8Array;
  /** libcrypto and libssl to carry along; only a block has room for them. */
  openssl?: readonly [Uint8Array, Uint8Array];
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

/** Same sources, same program, wherever they lie. */
export async function bundle({ main, core }: BundleSources): Promise<Program> {
  const folder = await Deno.makeTempDir({ prefix: "kakehi-bundle-" });
  try {
    const more = ["--code-splitting", ...LAZY_PACKAGES.map((name) => `--external=${name}`)];
    const [written, ...packages] = await Promise.all([
      runBundler(main, `${folder}/main`, more),
      ...LAZY_PACKAGES.map((name) => bundlePackage(name, folder)),
    ]);
    const [entry, ...chunks] = [...inOrder(written!, basename(main, ".ts") + ".js"), ...packages.flat()];
    const numberOf = (name: string) => {
      const number = chunks.findIndex((chunk) => chunk.name === name);
      if (number < 0) throw new Error(`a chunk of the bundle imports ${name}, which is no other chunk`);
      return number;
    };
    refuseCycles(chunks, numberOf);
    return { entry: entryCode(entry!, numberOf), chunks: chunks.map((chunk) => chunkFunction(chunk, numberOf)), core };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The entry, then the others in the order in which they are reached from it; their names have no order that stays. */
function inOrder(chunks: Chunk[], entryName: string): Chunk[] {
  const byName = new Map(chunks.map((chunk) => [chunk.name, chunk]));
  const ordered = new Set([entryName]);
  for (const name of ordered) {
    const chunk = byName.get(name);
    if (!chunk) throw new Error(`the bundler made no ${name}`);
    for (const reached of reachedChunks(chunk)) ordered.add(reached);
  }
  return [...ordered].map((name) => byName.get(name)!);
}

async function bundlePackage(name: string, folder: string): Promise<Chunk[]> {
  const source = `${folder}/${name}.ts`;
  await Deno.writeTextFile(source, `export * from ${JSON.stringify(name)};\n`);
  return await runBundler(source, `${folder}/${name}`, []);
}

/** The files that the bundler makes of one. */
async function runBundler(main: string, output: string, more: string[]): Promise<Chunk[]> {
  // For the browser, because packages have a form for it that asks nothing of node; modules of node stay imports.
  const format = ["--minify", "--keep-names", "--platform", "browser", "--format", "esm", ...more];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", ...format, "--outdir", output, main],
    cwd: ROOT, // Where deno.json says what the imported names mean.
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`deno bundle ${main} failed:\n${new TextDecoder().decode(stderr)}`);
  return [...Deno.readDirSync(output)].map(({ name }) => ({ name, text: Deno.readTextFileSync(`${output}/${name}`) }));
}

/** Chunks run one after the other, each before those that import it: that order must exist. */
function refuseCycles(chunks: Chunk[], numberOf: (name: string) => number): void {
  const done = new Set<number>();
  const visit = (number: number, path: number[]) => {
    if (path.includes(number)) {
      const names = [...path, number].map((at) => chunks[at]!.name).join(" → ");
      throw new Error(`chunks of the bundle import each other: ${names}`);
    }
    if (done.has(number)) return;
    for (const name of importedChunks(chunks[number]!)) visit(numberOf(name), [...path, number]);
    done.add(number);
  };
  for (const number of chunks.keys()) visit(number, []);
}

/** Declares the parameters of chunks; `kakehiText` and `KAKEHI_CORE` come from what is put before it. */
const LOADER = `const kakehiLoaded = [];
const kakehiBuiltin = (name) => globalThis.process.getBuiltinModule(name);
const kakehiImport = async (chunk) => kakehiLoad(chunk);
function kakehiLoad(chunk) {
  return kakehiLoaded[chunk] ??= (0, eval)(kakehiText(chunk))(${PARAMETERS});
}
// The text is read now: who needs it later may no longer open files.
function kakehiLater(chunk, name) {
  const text = kakehiText(chunk);
  const get = (_, key) => (kakehiLoaded[chunk] ??= (0, eval)(text)(${PARAMETERS}))[name][key];
  return new Proxy({}, { get });
}
`;

/** The whole program as one module. */
export function wholeModule({ entry, chunks, core }: Program): string {
  return `const kakehiChunks = [${chunks.map((chunk) => JSON.stringify(chunk)).join(",\n")}];
const kakehiText = (chunk) => kakehiChunks[chunk];
const KAKEHI_CORE = () => Uint8Array.fromBase64("${core.toBase64()}");
const KAKEHI_OPENSSL = undefined;
${LOADER}${entry}`;
}

/** Chunks, WebAssembly and libraries: they lie one behind the other. */
function partsOf({ chunks, core, openssl }: Program): Uint8Array[] {
  const encoder = new TextEncoder();
  return [...chunks.map((chunk) => encoder.encode(chunk)), core, ...openssl ?? []];
}

export function blockOf(program: Program): Uint8Array<ArrayBuffer> {
  const parts = partsOf(program);
  const block = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    block.set(part, at);
    at += part.length;
  }
  return block;
}

/** The entry as a module that finds everything else in the file it runs from, where `blockOf` the program lies at `at`. */
export function blockModule(program: Program, at: number): string {
  const { entry, chunks: { length: core }, openssl } = program;
  const sizes = partsOf(program).map(({ length }) => length);
  const libraries = openssl ? `() => [kakehiBytes(${core + 1}), kakehiBytes(${core + 2})]` : "undefined";
  return `const kakehiSizes = [${sizes}];
function kakehiBytes(part) {
  const bytes = new Uint8Array(kakehiSizes[part]);
  const file = Deno.openSync("/proc/self/exe");
  try {
    file.seekSync(kakehiSizes.slice(0, part).reduce((at, size) => at + size, ${at}), 0);
    for (let done = 0; done < bytes.length;) {
      const count = file.readSync(bytes.subarray(done));
      if (!count) throw new Error("the executable ends before the program in it");
      done += count;
    }
  } finally {
    file.close();
  }
  return bytes;
}
const kakehiText = (chunk) => new TextDecoder().decode(kakehiBytes(chunk));
const KAKEHI_CORE = () => kakehiBytes(${core});
const KAKEHI_OPENSSL = ${libraries};
${LOADER}${entry}`;
}

if (import.meta.main) {
  const text = wholeModule(await bundle(await projectSources()));
  await Deno.writeTextFile(`${ROOT}dist/kakehi.js`, text);
  console.log(`dist/kakehi.js: ${text.length} bytes`);
}
