// Chunks as the bundler writes them, run as the functions that they become.

import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { type Chunk, chunkFunction, entryCode, importedChunks, reachedChunks } from "../../../scripts/chunk.ts";

const NAMES = ["first.js", "second-ABCDEFGH.js", "chunk-01234567.js", "re2js.js"];

function numberOf(name: string): number {
  const number = NAMES.indexOf(name);
  if (number < 0) throw new Error(`no ${name}`);
  return number;
}

/** What the chunk exports when the chunks that it loads are `modules`; `later` collects what it asks for lazily. */
function run(text: string, modules: Record<number, unknown> = {}, later: string[] = []): Record<string, any> {
  const load = (number: number) => modules[number];
  const lazily = (number: number, name: string) => (later.push(`${number} ${name}`), { name });
  const builtin = (name: string) => ({ builtin: name, default: `default of ${name}` });
  const wasm = () => Uint8Array.of(1);
  const code = chunkFunction({ name: "first.js", text }, numberOf);
  return (0, eval)(code)(load, (number: number) => Promise.resolve(load(number)), lazily, builtin, wasm);
}

Deno.test("chunkFunction() gives what a chunk exports, under the names for outside", () => {
  const { a, b, default: c } = run("var x=1,y=2;function b(){return x+y}export{x as a,b,y as default};\n");
  assertEquals([a, b(), c], [1, 3, 2]);
  assertEquals(run("globalThis.ignored = 1;"), {});
});

Deno.test("chunkFunction() takes imports wherever they stand among the statements", () => {
  const modules = { 1: { a: 10, default: 20 }, 2: { z: 30 } };
  const text = 'import{a as p,default as q}from"./second-ABCDEFGH.js";import"./chunk-01234567.js";' +
    'import*as all from"./chunk-01234567.js";var r=p+q;\nimport{z}from"./chunk-01234567.js";export{r,z,all};';
  assertEquals(run(text, modules), { r: 30, z: 30, all: { z: 30 } });
  assertEquals(importedChunks({ name: "", text }), [1, 2, 2, 2].map((number) => NAMES[number]!));
});

Deno.test("chunkFunction() takes modules of node from the runtime, now or later", async () => {
  const text = 'import{builtin as b}from"node:path";import d from"node:fs";var l=()=>import("node:os");export{b,d,l};';
  const { b, d, l } = run(text);
  assertEquals([b, d], ["node:path", "default of node:fs"]);
  assertEquals(typeof (await l()).cpus, "function");
});

Deno.test("chunkFunction() leaves dynamic imports lazy", async () => {
  const text = 'var l=()=>import("./second-ABCDEFGH.js");export{l};';
  assertEquals(await run(text, { 1: { a: 5 } })["l"](), { a: 5 });
  assertEquals([importedChunks({ name: "", text }), reachedChunks({ name: "", text })], [[], ["second-ABCDEFGH.js"]]);
});

Deno.test("chunkFunction() asks for the objects of a lazy package by name", () => {
  const later: string[] = [];
  const { x } = run('import{RE2JS as x,Other}from"re2js";export{x,Other};', {}, later);
  assertEquals([x.name, ...later], ["RE2JS", "3 RE2JS", "3 Other"]);
});

Deno.test("chunkFunction() gives the WebAssembly, and keeps notices", () => {
  const text = "var c=KAKEHI_CORE(),u=import.meta.url;export{c,u};\n/*! by A */\n/*! by B */\n";
  assertEquals(run(text), { c: Uint8Array.of(1), u: undefined });
  const code = chunkFunction({ name: "first.js", text }, numberOf);
  assert(code.includes("/*! by A */") && code.includes("/*! by B */"), code);
});

Deno.test("chunkFunction() names the chunk in traces, without the bundler's hash", () => {
  const shown = (name: string) => /sourceURL=(.*)$/.exec(chunkFunction({ name, text: "" }, numberOf))![1];
  assertEquals(NAMES.map(shown), ["kakehi/first.js", "kakehi/second.js", "kakehi/chunk2.js", "kakehi/re2js.js"]);
});

Deno.test("entryCode() keeps what only a module can do, and exports nothing", () => {
  const entry: Chunk = {
    name: "main.js",
    text: 'import{a}from"./first.js";import.meta.main&&await import("./second-ABCDEFGH.js");export{a};',
  };
  assertEquals(entryCode(entry, numberOf), "const{a:a}=kakehiLoad(0);import.meta.main&&await kakehiImport(1);");
});

Deno.test("chunkFunction() refuses what it does not understand", () => {
  const refuses = (text: string, pattern: RegExp) => assertThrows(() => run(text), pattern);
  refuses("export default 5;", /chunk first\.js .* not understood: export default 5/);
  refuses("export{a};var b=1;", /not understood/);
  refuses("import x,{y}from'z';", /not understood/);
  refuses('import{x}from"unknown";', /imports unknown, which is in none of its chunks/);
  refuses('var l=()=>import("unknown");', /imports unknown/);
  refuses('import"./gone.js";', /no gone\.js/);
});
