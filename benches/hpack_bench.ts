// Cost of header compression: stories of the fixtures, or with KAKEHI_HPACK_STORIES those of the whole collection, decoded and
// encoded. `deno bench -A benches/hpack_bench.ts`; run as a program it prints ns per field, and the bytes beside nghttp2's.

import { hasCollection, loadStories } from "../tests/support/stories.ts";
import { type HpackWork, makeHpackWork } from "./hpack_work.ts";

const REQUESTS = ["05", "08", "16"];
const RESPONSES = ["24", "26", "28"];
const ROUNDS_MS = 400;

/** The least ns per field of many runs. */
function measure({ run, fields }: HpackWork): number {
  let least = Infinity;
  for (const end = performance.now() + ROUNDS_MS; performance.now() < end;) {
    const began = performance.now();
    run();
    least = Math.min(least, performance.now() - began);
  }
  return least * 1e6 / fields;
}

function print(numbers: readonly string[]): void {
  const work = makeHpackWork("collection", numbers);
  for (const step of work) console.log(`${step.group} ${step.name}: ${measure(step).toFixed(1)} ns per field`);
  const bytes = work.filter(({ group }) => group === "encode").map(({ expected }) => expected);
  const nghttp2 = loadStories("nghttp2", "collection")
    .filter(({ name }) => numbers.some((number) => name.endsWith(`_${number}.json`)))
    .reduce((sum, { cases }) => sum + cases.reduce((all, { wire }) => all + wire.length / 2, 0), 0);
  console.log(`bytes: ours ${bytes[0]}, hpack.js ${bytes[1]}, nghttp2 ${nghttp2}`);
}

if (import.meta.main && hasCollection()) {
  for (const numbers of [REQUESTS, RESPONSES]) print(numbers);
} else {
  for (const { group, name, run } of makeHpackWork("fixtures")) Deno.bench(name, { group }, () => void run());
}
