import { tooOldMs } from "../../../src/ts/proxy/connection_age.ts";
import { assert, assertEquals } from "../../support/assert.ts";

Deno.test("without a limit no connection becomes too old; with one, they do so one after the other", () => {
  assertEquals(tooOldMs(1000, 0, 7), Infinity);
  const due = Array.from({ length: 1000 }, (_, slot) => tooOldMs(1000, 80_000, slot)).sort((a, b) => a - b);
  assertEquals(due.at(-1), 81_000);
  assert(due[0]! > 71_000, "an eighth less at most");
  const gaps = due.slice(1).map((ms, i) => ms - due[i]!);
  assert(Math.max(...gaps) < 40, `a thousand of them go at an even pace, not ${Math.max(...gaps)} ms apart`);
});
