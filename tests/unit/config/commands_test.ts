// The commands `check` and `schema`: exit codes and what they print.

import { assert, assertEquals, assertMatch } from "../../support/assert.ts";

const MAIN = new URL("../../../src/ts/main.ts", import.meta.url).href;

async function kakehi(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("check says what a good file has", async () => {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(
      file,
      `{ listeners: { a: { address: "0.0.0.0:80" } }, clusters: { b: { backends: ["c:1", "d:1"] } }, routes: [] }`,
    );
    assertEquals(await kakehi("check", file), {
      code: 0,
      stdout: `${file}: ok (1 listener, 1 cluster, 2 backends, 0 routes)\n`,
      stderr: "",
    });
    const { stdout } = await kakehi("check", file, "--json");
    assertEquals(JSON.parse(stdout), { file, ok: true, listeners: 1, clusters: 1, backends: 2, routes: 0 });
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("check says all that is wrong with a bad file", async () => {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, "workers: 0\nlisteners: []\n");
    const { code, stdout, stderr } = await kakehi("check", file);
    assertEquals([code, stdout], [1, ""]);
    assertEquals(stderr.split("\n").map((line) => line.slice(file.length, file.length + 6)), [":1:10:", ":2:12:", ""]);
    const json = await kakehi("check", file, "--json");
    assertEquals(json.code, 1);
    const { ok, errors } = JSON.parse(json.stdout);
    assertEquals(ok, false);
    assertEquals(errors[1], {
      file,
      line: 2,
      column: 12,
      key: "listeners",
      expected: "a map of NAME to value",
      got: "a list",
      hint: "",
    });
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("check and schema refuse wrong usage", async () => {
  for (const args of [["check"], ["check", "a", "b"], ["check", "--all"], ["schema", "a"]]) {
    const { code, stdout, stderr } = await kakehi(...args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^usage: kakehi /);
  }
});

Deno.test("schema prints a JSON Schema", async () => {
  const { code, stdout } = await kakehi("schema");
  assertEquals(code, 0);
  assert("listeners" in JSON.parse(stdout).properties);
});
