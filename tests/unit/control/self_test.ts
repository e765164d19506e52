// What a worker is started with.

import { workerEnvironment } from "../../../src/ts/control/self.ts";
import { assertEquals } from "../../support/assert.ts";

const NAMES = ["DENO_V8_FLAGS", "GLIBC_TUNABLES", "NOTIFY_SOCKET"];
const ENGINE = "--invocation-count-for-turbofan=500,--max-valid-polymorphic-map-count=8," +
  "--max-inlined-bytecode-size-cumulative=2400,--wasm-inlining-budget=20000,--wasm-inlining-factor=8";
const ALLOCATOR = "glibc.malloc.tcache_count=100";

/** With these variables in the environment of main, and of them what a worker gets. */
function workerGets(given: Record<string, string>): (string | undefined)[] {
  const before = NAMES.map((name) => [name, Deno.env.get(name)] as const);
  for (const name of NAMES) Deno.env.delete(name);
  for (const [name, value] of Object.entries(given)) Deno.env.set(name, value);
  const environment = workerEnvironment();
  for (const [name, value] of before) value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  return NAMES.map((name) => environment[name]);
}

Deno.test("workerEnvironment() tunes the worker, the operator's own words behind, and keeps what is main's alone", () => {
  assertEquals(workerGets({}), [ENGINE, ALLOCATOR, undefined]);
  const own = { DENO_V8_FLAGS: "--max-lazy,--no-opt", GLIBC_TUNABLES: "glibc.malloc.check=1", NOTIFY_SOCKET: "/run/x" };
  const tuned = [`${ENGINE},--max-lazy,--no-opt`, `${ALLOCATOR}:glibc.malloc.check=1`, undefined];
  assertEquals(workerGets(own), tuned);
});
