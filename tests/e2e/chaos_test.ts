// Clients, backends and changes that do anything at any time, in both protocols, with TLS and without: every answer is the one
// that was asked for or is explained by a fault, nothing hangs, and nothing is left behind. KAKEHI_SEED chooses another course,
// KAKEHI_CHAOS_SECONDS a longer one.

import { assert, assertEquals } from "../support/assert.ts";
import { type ChaosOptions, runChaos } from "../support/chaos/run.ts";

const GIVEN = Deno.env.get("KAKEHI_CHAOS_SECONDS");
const SECONDS = Number(GIVEN ?? 4);
const SEED = Number(Deno.env.get("KAKEHI_SEED") ?? 1);
const ANY = 1 + Math.floor(Math.random() * 1e6);

const COURSES: [string, Omit<ChaosOptions, "seed">, number][] = [
  ["two workers", { seconds: SECONDS, workers: 2, clients: 12, buffers: 4096, paceMs: 200 }, SEED],
  ["one worker", { seconds: SECONDS, workers: 1, clients: 12, buffers: 4096, paceMs: 200 }, ANY],
  ["few buffers", { seconds: SECONDS, workers: 1, clients: 8, buffers: 64, paceMs: 500 }, ANY + 1],
];

// between the two others it is much of the same
const SHORT = COURSES.filter(([name]) => name !== "one worker");

for (const [name, options, seed] of GIVEN === undefined ? SHORT : COURSES) {
  Deno.test(`chaos with ${name}: only what a fault explains fails, and nothing is left`, async () => {
    console.log(`KAKEHI_SEED=${seed}`);
    const { faults, asked, tally, applied, notes, log } = await runChaos({ ...options, seed });
    if (faults.length > 0) console.log(`${notes.join("\n")}\n${log}`);
    assertEquals(faults, [], `KAKEHI_SEED=${seed}`);
    // the machine may be busy, but not so much that nothing was tried
    assert(tally.whole! > 50 && asked > 100 && applied > 0, JSON.stringify({ asked, applied, tally }));
  });
}
