import { VERSION } from "../../../src/ts/control/version.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("VERSION is the version of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(new URL("../../../deno.json", import.meta.url)));
  assertEquals(VERSION, version);
});
