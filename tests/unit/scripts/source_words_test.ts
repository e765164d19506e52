// The blanking scanner: imports are found wherever they stand, and nothing is taken for one that is text, comment or pattern.

import { assertEquals } from "../../support/assert.ts";
import { findImports, findWords } from "../../../scripts/source_words.ts";

function imports(source: string): string[] {
  return findImports(source).map(({ specifier, line, typesOnly, lazy }) =>
    `${line} ${specifier}${typesOnly ? " types" : ""}${lazy ? " lazy" : ""}`
  );
}

Deno.test("findImports() finds each form", () => {
  const source = [
    `import a from "a";`,
    `import * as b from 'b';`,
    `import { c, type D } from "c";`,
    `import type { E } from "e";`,
    `import "f";`,
    `export * from "g";`,
    `export type { H } from "h";`,
    `import type from "i";`,
    `const j = await import("j");`,
    `let k: import("k").K;`,
    `import l, {`,
    `  m,`,
    `} from "l";`,
  ].join("\n");
  assertEquals(imports(source), [
    "1 a",
    "2 b",
    "3 c",
    "4 e types",
    "5 f",
    "6 g",
    "7 h types",
    "8 i",
    "9 j lazy",
    "10 k types",
    "11 l",
  ]);
});

Deno.test("findImports() ignores what only looks like an import", () => {
  const source = [
    `// import a from "a";`,
    `/* import b from "b"; */`,
    `const c = 'import c from "c";';`,
    'const d = `import d from "d"; ${`${\'import e from "e"\'}`} import("e")`;',
    `const f = /import f from "f"/;`,
    `export const g = Array.from("g");`,
  ].join("\n");
  assertEquals(imports(source), []);
});

Deno.test("findImports() is not led astray by quotes in patterns, or by division", () => {
  const source = [
    `const a = x.replace(/["'\`]/g, "").split(/[/"]/);`,
    `const b = c / d; const e = "/";`,
    "const t = `${{ a: '}' }.a}` / 2;",
    `import { z } from "z";`,
  ].join("\n");
  assertEquals(imports(source), ["4 z"]);
});

Deno.test("findImports() keeps lines right behind comments and templates of several lines", () => {
  assertEquals(imports("/*\n\n*/\nconst a = `\n\n`;\nimport 'z';"), ["7 z"]);
});

Deno.test("findWords() gives lines, whole words only", () => {
  assertEquals(findWords("dlopen();\nxdlopen; dlopens;\n(Deno.dlopen)", "dlopen"), [1, 3]);
});
