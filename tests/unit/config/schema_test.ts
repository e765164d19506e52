// What is derived from the schema: defaults, examples, the JSON Schema (against zod's reading of it, which is an
// independent one) and CONFIGURATION.md.

import { z } from "zod";
import { formatErrors, jsonSchema, loadState } from "../../../src/ts/config/mod.ts";
import { Checker } from "../../../src/ts/config/check.ts";
import { boundsOf, entries, referenceText } from "../../../src/ts/config/reference.ts";
import { parse } from "yaml";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";

Deno.test("every default and every example is accepted by its key", () => {
  for (const { name, key } of entries()) {
    for (const value of [key.default, key.example]) {
      if (value === undefined) continue;
      const checker = new Checker();
      checker.check(key.shape, value);
      assertEquals(checker.problems, [], name);
    }
  }
});

Deno.test("every key is documented, and refers to keys that are there", () => {
  const names = new Set(entries().map((entry) => entry.name));
  assert(names.size > 40);
  for (const { name, key } of entries()) {
    assertMatch(key.about, /^[A-Z`].*\.$/s, name);
    for (const other of [...(key.seeAlso ?? []), ...(key.inherits === undefined ? [] : [key.inherits])]) {
      assert(names.has(other), `${name}: see ${other}`);
    }
    if (["count", "duration", "size", "choice"].includes(key.shape.kind)) assert(boundsOf(key) !== "", name);
  }
});

Deno.test("referenceText() has an entry for every key", () => {
  const text = referenceText("listeners: {}");
  for (const { name } of entries()) assert(text.includes(`\n### \`${name}\`\n`), name);
});

/** Files without a mistake that a schema could not say, and the same with one mistake each. */
const GOOD = [
  "listeners: {}",
  "listeners:\nclusters:\nroutes:\n",
  `{ workers: 64, user: "", listeners: { a: { address: "0.0.0.0:80", protocol: http } }, access_log: off }`,
  `{ listeners: {}, clusters: { a: { backends: ["a:1", { address: "b:1", weight: 2 }], pool: { idle_timeout: 1.5m } } } }`,
  `{ listeners: {}, clusters: { a: { backends: [] } }, routes: [{ cluster: a, methods: [GET], headers: { X: "1" } }] }`,
  `{ listeners: {}, limits: { buffer_size: 65536, header_bytes: 12KiB }, access_log: { format: json }, answers: { 404: x } }`,
];
const BAD = [
  "{}",
  "[]",
  "{ listeners: [] }",
  "{ listeners: {}, nothing: 1 }",
  "{ listeners: {}, workers: 65 }",
  "{ listeners: {}, workers: many }",
  "{ listeners: { a: {} } }",
  `{ listeners: { a: { address: "0.0.0.0:80", protocol: ftp } } }`,
  `{ listeners: { "-": { address: "0.0.0.0:80" } } }`,
  "{ listeners: {}, timeouts: { idle: 10 } }",
  `{ listeners: {}, timeouts: { idle: "10" } }`,
  "{ listeners: {}, limits: { buffer_size: 4 } }",
  "{ listeners: {}, limits: { headers: 1.5 } }",
  "{ listeners: {}, clusters: { a: {} } }",
  "{ listeners: {}, clusters: { a: { backends: [{ weight: 1 }] } } }",
  `{ listeners: {}, clusters: { a: { backends: [] } }, routes: [{ cluster: a, methods: ["a b"] }] }`,
  "{ listeners: {}, answers: { 200: x } }",
  "{ listeners: {}, access_log: on }",
];

Deno.test("jsonSchema() and the checker agree on what a schema can say", () => {
  const schema = z.fromJSONSchema(JSON.parse(JSON.stringify(jsonSchema())));
  for (const text of GOOD) {
    const { errors } = loadState(text, "f");
    assert(!errors, errors && formatErrors(errors));
    const result = schema.safeParse(parse(text));
    assert(result.success, `${text}: ${result.error?.message}`);
  }
  for (const text of BAD) {
    assert(loadState(text, "f").errors, text);
    assert(!schema.safeParse(parse(text)).success, text);
  }
});

Deno.test("jsonSchema() names its draft and describes every key", () => {
  const schema = jsonSchema();
  assertEquals(schema.$schema, "https://json-schema.org/draft/2020-12/schema");
  const count = JSON.stringify(schema).match(/"description":/g)!.length;
  // The shorthand of a backend names the form of its address a second time, without the documentation.
  assertEquals(count, entries().length);
});
