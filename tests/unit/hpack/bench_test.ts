// The microbench of header compression does what it measures.

import { makeHpackWork } from "../../../benches/hpack_work.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("each step of hpack_bench.ts does its work, again and again", () => {
  for (const { name, run, expected } of makeHpackWork("fixtures")) {
    assertEquals([name, run(), run()], [name, expected, expected]);
  }
});
