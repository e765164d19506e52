// A lookup allocates nothing: neither grows the heap, nor does V8 ever have to collect.

import { assert } from "../../support/assert.ts";

interface Run {
  collections: number;
  grownBytes: number;
}

async function lookups(count: number): Promise<Run> {
  const script = new URL("./lookups.ts", import.meta.url).pathname;
  const args = ["run", "-A", "--no-prompt", "--v8-flags=--trace-gc", script, String(count)];
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), { args }).output();
  const text = new TextDecoder().decode(stdout);
  assert(success, new TextDecoder().decode(stderr));
  const grown = text.match(/heap grew by (-?\d+)/);
  assert(grown, text);
  return { collections: text.match(/Scavenge|Mark-Compact/g)?.length ?? 0, grownBytes: Number(grown[1]) };
}

Deno.test("lookup() allocates nothing in 2,000,000 lookups", async () => {
  const few = await lookups(200_000);
  const many = await lookups(2_000_000);
  // Of 16 bytes a lookup, the least that V8 allocates, the second million would leave 16 MB or a collection or two;
  // what there is, is the compiler's.
  const grown = Math.abs(many.grownBytes);
  assert(grown < 1_000_000, `the heap grew by ${grown} bytes in 1,000,000 lookups`);
  assert(many.collections <= few.collections + 1, `${many.collections} collections, ${few.collections} with a tenth`);
});
