// The microbenches of the codec do what they measure.

import { makeWork } from "../../../benches/codec_work.ts";
import { assertEquals } from "../../support/assert.ts";

Deno.test("each step of codec_bench.ts does its work, again and again", () => {
  const work = makeWork();
  for (let round = 0; round < 3; round++) {
    for (const { name, run, expected } of work) assertEquals([name, run(), run()], [name, expected, expected]);
  }
});
