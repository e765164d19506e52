// The codec is built anew: the same sources must give the same bytes, and those must be the ones that are used.

import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import { loadCore } from "../../../src/wasm/core_module.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const SCRIPT = fileURLToPath(new URL("../../../scripts/build_wasm.ts", import.meta.url));

async function build(out: string): Promise<Uint8Array> {
  const args = ["run", "-A", SCRIPT, "--quiet", "--out", out];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "piped" })
    .output();
  assert(success, `the build failed:\n${new TextDecoder().decode(stderr)}`);
  return await Deno.readFile(out);
}

Deno.test("build_wasm.ts gives the same bytes again, and they are those of dist/core.wasm", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const built = await build(`${folder}/core.wasm`);
    const used = loadCore();
    if (Buffer.from(built).equals(used)) return;
    // either the build is not repeatable, or dist/core.wasm is older than the sources
    assertEquals(Buffer.from(await build(`${folder}/again.wasm`)).equals(built), true, "two builds differ");
    throw new Error("dist/core.wasm is not what the sources give: run `deno task build`");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
