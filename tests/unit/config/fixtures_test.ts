// Files with mistakes, and everything that is said about them: tests/fixtures/config/<name>/input.yaml and expected.txt.

import { formatErrors, loadState } from "../../../src/ts/config/mod.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const FIXTURES = new URL("../../fixtures/config/", import.meta.url);

for (const { name } of [...Deno.readDirSync(FIXTURES)].sort((a, b) => (a.name < b.name ? -1 : 1))) {
  Deno.test(`loadState() says what is wrong with ${name}`, () => {
    const read = (file: string) => Deno.readTextFileSync(new URL(`${name}/${file}`, FIXTURES));
    const { errors } = loadState(read("input.yaml"), "input.yaml");
    assert(errors, "the file was accepted");
    assertEquals(`${formatErrors(errors)}\n`, read("expected.txt"));
  });
}
