// Every vector of tests/vectors against the real process: each file with a proxy of its own, each vector whole, byte by
// byte and split at random, with the bytes compared at both ends. At the end of a file the counters of refusals must have
// gone up by exactly what its vectors say. KAKEHI_VECTOR=WORDS runs only the vectors whose name contains the words.

import { assertEquals, AssertionError } from "../support/assert.ts";
import type { SendMode } from "../support/peer.ts";
import { type Counters, startProxy } from "../support/proxy.ts";
import { runVectors, startVectorBackend, type VectorBackend } from "../support/vector_run.ts";
import { loadVectors, type Vector, type VectorFile } from "../support/vectors.ts";

const LANES = 24;
const MODES: SendMode[] = ["whole", "byte by byte", "split"];
const SHOWN_MAX = 25;

const wanted = Deno.env.get("KAKEHI_VECTOR") ?? "";

function configuration(file: VectorFile, backend: VectorBackend): string {
  const lanes = Array.from({ length: LANES }, (_, lane) => `  lane${lane}: { address: "127.0.0.1:0", protocol: http }`);
  return [
    file.yaml,
    "listeners:",
    ...lanes,
    "clusters:",
    `  vectors: { backends: ["${backend.address}"] }`,
    "routes:",
    "  - { cluster: vectors }",
    "",
  ].join("\n");
}

/** What the counters must have gone up by; a broken answer may count as a refusal or not. */
function checkCounters(vectors: readonly Vector[], before: Counters, after: Counters): void {
  const least: Record<string, number> = {};
  const most: Record<string, number> = {};
  for (const { outcome } of vectors) {
    if (!outcome.refusal) continue;
    const name = `refused.${outcome.refusal}`;
    most[name] = (most[name] ?? 0) + MODES.length;
    least[name] = (least[name] ?? 0) + (outcome.cut ? 0 : MODES.length);
  }
  const gained: Record<string, number> = {};
  for (const [name, value] of Object.entries(after.all("refused."))) gained[name] = value - before.of(name);
  for (const name of new Set([...Object.keys(most), ...Object.keys(gained)])) {
    const got = gained[name] ?? 0;
    const fits = got >= (least[name] ?? 0) && got <= (most[name] ?? 0);
    if (!fits) {
      throw new AssertionError(`${name} went up by ${got}, expected ${least[name] ?? 0} to ${most[name] ?? 0}`);
    }
  }
}

function report(faults: readonly string[]): void {
  if (faults.length === 0) return;
  const left = faults.length > SHOWN_MAX ? `\n… and ${faults.length - SHOWN_MAX} more` : "";
  throw new AssertionError(`${faults.length} faults\n\n${faults.slice(0, SHOWN_MAX).join("\n\n")}${left}`);
}

for (const file of [...loadVectors("request_"), ...loadVectors("response_")]) {
  const vectors = file.vectors.filter((vector) => vector.name.includes(wanted));
  if (vectors.length === 0) continue;
  Deno.test(`vectors ${file.name}`, async (test) => {
    await using backend = await startVectorBackend();
    await using proxy = await startProxy(configuration(file, backend));
    const ports = Array.from({ length: LANES }, (_, lane) => proxy.port(`lane${lane}`));
    const before = await proxy.counters();
    let good = true;
    for (const mode of MODES) {
      good = await test.step(mode, async () => report(await runVectors(vectors, mode, ports, backend))) && good;
    }
    await test.step("nothing else reached the backend", () => assertEquals(backend.stray, []));
    if (good) {
      await test.step("refusals are counted", async () => checkCounters(vectors, before, await proxy.counters()));
    }
  });
}

Deno.test("vectors cover what they must", () => {
  const count = (prefix: string) => loadVectors(prefix).reduce((sum, file) => sum + file.vectors.length, 0);
  assertEquals([count("request_") >= 120, count("response_") >= 40], [true, true]);
});
