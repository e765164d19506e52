import { checkState } from "../../../src/ts/config/mod.ts";
import { demoConfiguration, demoInstructions, startDemoBackend } from "../../../src/ts/control/demo.ts";
import { assertEquals, assertMatch } from "../../support/assert.ts";

Deno.test("demoConfiguration() is a configuration without errors", () => {
  const { state, errors } = checkState(demoConfiguration("127.0.0.1:12345"), "demonstration");
  assertEquals(errors, undefined);
  assertEquals(state!.listeners["demo"]!.address, "0.0.0.0:8080");
  assertEquals(state!.clusters["demo"]!.backends[0]!.address, "127.0.0.1:12345");
});

Deno.test("the backend of the demonstration describes what it got", async () => {
  const backend = startDemoBackend();
  const response = await fetch(`http://${backend.address}/a/b?c=d`, {
    method: "PUT",
    body: "x".repeat(100_000),
    headers: { "x-test": "yes" },
  });
  const text = await response.text();
  await backend.close();
  assertMatch(text, /\nPUT \/a\/b\?c=d\n/);
  assertMatch(text, /\n {2}x-test: yes\n/);
  assertMatch(text, /\nbody: 100000 bytes\nconnection from: 127\.0\.0\.1:\d+\n$/);
});

Deno.test("demoInstructions() name the port that is served", () => {
  assertMatch(demoInstructions("0.0.0.0:8081"), /curl http:\/\/127\.0\.0\.1:8081\/hello/);
});
