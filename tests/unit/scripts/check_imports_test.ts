// The import-direction check: what it must let pass, and each kind of thing it must report, with the place.

import { assertEquals } from "../../support/assert.ts";
import { checkImports, folderOf, RULES } from "../../../scripts/check_imports.ts";

function check(sources: Record<string, string>): string[] {
  return checkImports(new Map(Object.entries(sources))).map(({ file, line, reason }) => `${file}:${line}: ${reason}`);
}

Deno.test("folderOf() counts files to their layer", () => {
  assertEquals(folderOf("src/ts/proxy/deep/session.ts"), "src/ts/proxy");
  assertEquals(folderOf("src/ts/main.ts"), "src/ts/main");
  assertEquals(folderOf("src/wasm/core.ts"), "src/wasm");
  assertEquals(folderOf("assembly/http1/head.ts"), "assembly/http1");
  assertEquals(folderOf("assembly/bytes.ts"), "assembly/bytes");
});

Deno.test("RULES has no cycle, so that a rule can never allow one", () => {
  const state = new Map<string, "open" | "done">();
  const visit = (folder: string, path: string[]): void => {
    if (state.get(folder) === "done") return;
    if (state.get(folder) === "open") throw new Error(`the rules allow ${[...path, folder].join(" → ")}`);
    state.set(folder, "open");
    for (const next of RULES[folder]?.folders ?? []) visit(next, [...path, folder]);
    state.set(folder, "done");
  };
  for (const folder of Object.keys(RULES)) visit(folder, []);
});

Deno.test("checkImports() lets what the layout allows pass", () => {
  const violations = check({
    "src/ts/main.ts": `import { start } from "./cli/start.ts";\nconst w = await import("./worker/worker.ts");`,
    "src/ts/cli/start.ts": `import { x } from "../config/mod.ts";`,
    "src/ts/control/server.ts": `import type { Order } from "../worker/protocol.ts";\nimport net from "node:net";`,
    "src/ts/worker/worker.ts": `import { s } from "../proxy/session.ts";\nimport { p } from "./protocol.ts";`,
    "src/ts/worker/protocol.ts": `import type { State } from "../config/mod.ts";`,
    "src/ts/proxy/session.ts": `import { core } from "../../wasm/core.ts";`,
    "src/ts/config/mod.ts": `import { parse } from "yaml";`,
    "src/wasm/core.ts": `import { ABI } from "../../assembly/abi.ts";`,
    "src/ts/sys/libc.ts": `Deno.dlopen("libc.so.6", {});`,
    "assembly/abi.ts": "export const ABI = 1;",
    "assembly/translate/request.ts": `import { x } from "../http2/frame";`,
    "assembly/http2/frame.ts": `import { ABI } from "../abi";\nimport { t } from "../hpack/table";`,
    "assembly/hpack/table.ts": "",
  });
  assertEquals(violations, []);
});

Deno.test("checkImports() reports an import that goes up, with its line", () => {
  const violations = check({
    "src/ts/config/mod.ts": "",
    "src/ts/net/socket.ts": `// sockets\n\nimport {\n  a,\n} from "../config/mod.ts";`,
  });
  assertEquals(violations, [
    "src/ts/net/socket.ts:3: src/ts/net must not import src/ts/config (src/ts/config/mod.ts); it may import src/ts/loop, src/ts/sys",
  ]);
});

Deno.test("checkImports() reports a re-export, a bare import, a dynamic import and a type that go up", () => {
  const up = "../control/server.ts";
  for (
    const line of [
      `export * from "${up}";`,
      `export { x } from '${up}';`,
      `import "${up}";`,
      `const x = await import("${up}");`,
      `import type { X } from "${up}";`,
      `let x: import("${up}").X;`,
    ]
  ) {
    const violations = check({ "src/ts/control/server.ts": "", "src/ts/routing/router.ts": line });
    assertEquals(violations.length, 1, line);
  }
});

Deno.test("checkImports() holds types-only and lazy exceptions to their form", () => {
  const sources = { "src/ts/worker/protocol.ts": "", "src/ts/worker/worker.ts": "" };
  assertEquals(check({ ...sources, "src/ts/control/a.ts": `import { x } from "../worker/protocol.ts";` }), [
    "src/ts/control/a.ts:1: src/ts/control may import src/ts/worker/protocol.ts by `import type` only",
  ]);
  assertEquals(check({ ...sources, "src/ts/main.ts": `import { run } from "./worker/worker.ts";` }), [
    "src/ts/main.ts:1: src/ts/main may import src/ts/worker/worker.ts by `import()` only",
  ]);
});

Deno.test("checkImports() reports a cycle once, at the import that closes it", () => {
  const violations = check({
    "assembly/bytes.ts": `import { m } from "./memory";`,
    "assembly/memory.ts": `import { a } from "./abi";\nimport { b } from "./bytes";`,
    "assembly/abi.ts": "",
  });
  assertEquals(violations.filter((violation) => violation.includes("cycle")), [
    "assembly/memory.ts:2: a cycle: assembly/bytes → assembly/memory → assembly/bytes",
  ]);
});

Deno.test("checkImports() reports dlopen outside src/ts/sys, but not in comments and texts", () => {
  const violations = check({
    "src/ts/net/a.ts":
      `// Deno.dlopen is for sys\nconst s = "dlopen";\nconst t = \`dlopen \${s} dlopen\`;\nconst { dlopen } = Deno;`,
  });
  assertEquals(violations, ["src/ts/net/a.ts:4: only src/ts/sys opens libraries (dlopen)"]);
});

Deno.test("checkImports() reports a folder without a rule and an import that leaves the sources", () => {
  const violations = check({ "src/ts/extras/a.ts": `import { x } from "../../../tests/support/assert.ts";` });
  assertEquals(violations, [
    "src/ts/extras/a.ts:1: src/ts/extras has no rule in scripts/check_imports.ts",
    "src/ts/extras/a.ts:1: tests/support/assert.ts is no source file of src or assembly",
  ]);
});
