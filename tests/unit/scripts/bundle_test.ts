// The bundler on a small program: one text that runs by itself, what is lazy stays lazy, the same bytes twice.

import { assertEquals, assertRejects } from "../../support/assert.ts";
import { bundle, type BundleSources } from "../../../scripts/bundle.ts";

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
const LAZY = `
console.log("lazy code runs");
export function lazy() { return lazy.name; }
`;
const OTHER = `
import { basename } from "node:path";
console.log("other code runs");
export async function other() { return (await import("./lazy.ts")).lazy() + basename("/a/b"); }
`;
const WORKER = `
declare const KAKEHI_CORE_BASE64: string | undefined;
console.log("worker code runs");
export function run(args: string[]): number {
  console.log(JSON.stringify(args), typeof KAKEHI_CORE_BASE64 === "undefined" ? "none" : KAKEHI_CORE_BASE64);
  return 4;
}
`;

async function withProgram(main: string, body: (sources: BundleSources, folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/worker`);
    await Deno.writeTextFile(`${folder}/main.ts`, main);
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

Deno.test("bundle() makes one text that runs alone, what is imported dynamically only when it is reached", async () => {
  await withProgram(MAIN, async (sources, folder) => {
    const text = await bundle(sources);
    await Deno.mkdir(`${folder}/alone`);
    const program = `${folder}/alone/program.mjs`;
    await Deno.writeTextFile(program, text);
    assertEquals(await run(program), { code: 3, lines: ["main a/b"] });
    assertEquals(await run(program, "lazy"), { code: 3, lines: ["main a/b", "lazy code runs", "lazy"] });
    const other = { code: 3, lines: ["main a/b", "other code runs", "lazy code runs", "lazyb"] };
    assertEquals(await run(program, "other"), other);
    const worker = { code: 4, lines: ["main a/b", "worker code runs", '["-A","7"] AGFzbQ=='] };
    assertEquals(await run(program, "worker", "-A", "7"), worker);
  });
});

Deno.test("bundle() gives the same text for the same sources", async () => {
  await withProgram(MAIN, async (sources) => {
    assertEquals(await bundle(sources), await bundle(sources));
  });
});

Deno.test("bundle() shows what the bundler says of a program that does not parse", async () => {
  await withProgram(`${MAIN}\nexport const = 1;`, async (sources) => {
    await assertRejects(() => bundle(sources), /deno bundle .*main\.ts failed:[^]*main\.ts/);
  });
});
