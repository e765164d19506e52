// The bundler on a small program: a text that runs by itself, what is lazy stays lazy, the same bytes twice.

import { assert, assertEquals, assertRejects } from "../../support/assert.ts";
import { blockModule, blockOf, bundle, type BundleSources, wholeModule } from "../../../scripts/bundle.ts";

const MAIN = `
import { join } from "node:path";
console.log("main", join("a", "b"));
export async function main(args: string[]): Promise<number> {
  if (args[0] === "other") console.log(await (await import("./other.ts")).other());
  if (args[0] === "lazy") console.log((await import("./lazy.ts")).lazy());
  if (args[0] === "worker") return (await import("./worker/worker.ts")).run(args.slice(1));
  return 3;
}
if (import.meta.main) Deno.exit(await main(Deno.args));
`;
const SHARED = `
export const shared = { count: 0 };
`;
const LAZY = `
import { shared } from "./shared.ts";
console.log("lazy code runs", ++shared.count);
export function lazy() { return lazy.name; }
`;
const OTHER = `
import { basename } from "node:path";
import { shared } from "./shared.ts";
console.log("other code runs", ++shared.count);
export async function other() { return (await import("./lazy.ts")).lazy() + basename("/a/b"); }
`;
const WORKER = `
import { RE2JS } from "re2js";
import { shared } from "../shared.ts";
declare const KAKEHI_CORE: (() => Uint8Array) | undefined;
console.log("worker code runs");
export function run(args: string[]): number {
  if (args[0] === "match") console.log(RE2JS.compile("a+").testExact(args[1]!), shared.count);
  else console.log(JSON.stringify(args), typeof KAKEHI_CORE === "undefined" ? "none" : KAKEHI_CORE());
  return 4;
}
`;

async function withProgram(main: string, body: (sources: BundleSources, folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/worker`);
    await Deno.writeTextFile(`${folder}/main.ts`, main);
    await Deno.writeTextFile(`${folder}/shared.ts`, SHARED);
    await Deno.writeTextFile(`${folder}/lazy.ts`, LAZY);
    await Deno.writeTextFile(`${folder}/other.ts`, OTHER);
    await Deno.writeTextFile(`${folder}/worker/worker.ts`, WORKER);
    const core = new Uint8Array([0, 97, 115, 109]);
    await body({ main: `${folder}/main.ts`, core }, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(program: string, ...args: string[]): Promise<{ code: number; lines: string[] }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-config", program, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  return { code, lines: new TextDecoder().decode(stdout).trimEnd().split("\n") };
}

Deno.test("bundle() makes a program that runs alone, what is imported dynamically only when it is reached", async () => {
  await withProgram(MAIN, async (sources, folder) => {
    await Deno.mkdir(`${folder}/alone`);
    const program = `${folder}/alone/program.mjs`;
    await Deno.writeTextFile(program, wholeModule(await bundle(sources)));
    assertEquals(await run(program), { code: 3, lines: ["main a/b"] });
    assertEquals(await run(program, "lazy"), { code: 3, lines: ["main a/b", "lazy code runs 1", "lazy"] });
    // One state for all who import it.
    const other = { code: 3, lines: ["main a/b", "other code runs 1", "lazy code runs 2", "lazyb"] };
    assertEquals(await run(program, "other"), other);
    const worker = { code: 4, lines: ["main a/b", "worker code runs", '["-A","7"] Uint8Array(4) [ 0, 97, 115, 109 ]'] };
    assertEquals(await run(program, "worker", "-A", "7"), worker);
    const match = { code: 4, lines: ["main a/b", "worker code runs", "true 0"] };
    assertEquals(await run(program, "worker", "match", "aaa"), match);
  });
});

Deno.test("bundle() gives the same program for the same sources, wherever they lie", async () => {
  let first: string | undefined;
  for (let i = 0; i < 2; i++) {
    await withProgram(MAIN, async (sources) => {
      const text = wholeModule(await bundle(sources));
      assertEquals(text, first ??= text);
    });
  }
});

Deno.test("blockModule() knows where in the block each part lies", async () => {
  await withProgram(MAIN, async (sources) => {
    const program = await bundle(sources);
    const block = blockOf(program);
    const text = blockModule(program, 4096);
    const sizes: number[] = JSON.parse(/kakehiSizes = (\[[^\]]*\])/.exec(text)![1]!);
    let at = 0;
    for (const [i, size] of sizes.entries()) {
      const part = block.subarray(at, at += size);
      if (i === program.chunks.length) assertEquals(part, program.core);
      else assertEquals(new TextDecoder().decode(part), program.chunks[i]);
    }
    assertEquals(at, block.length);
    assert(/\b4096\b/.test(text), "the module does not say where the block begins");
  });
});

Deno.test("bundle() shows what the bundler says of a program that does not parse", async () => {
  await withProgram(`${MAIN}\nexport const = 1;`, async (sources) => {
    await assertRejects(() => bundle(sources), /deno bundle .*main\.ts failed:[^]*main\.ts/);
  });
});
