import { resolveBackends } from "../../../src/ts/control/resolve.ts";
import { assertEquals, assertRejects } from "../../support/assert.ts";
import { makeCluster } from "../../support/states.ts";

const never = () => Promise.reject(new Error("nobody asks for it"));

Deno.test("resolveBackends() leaves addresses as they are", async () => {
  const addresses = ["10.0.0.1:80", "[2001:db8::1]:8080", "unix:/run/app.sock"];
  const clusters = [makeCluster(...addresses), makeCluster(addresses[0]!)];
  assertEquals(await resolveBackends(clusters, {}, never, never), {});
});

Deno.test("resolveBackends() gives all addresses of a name once", async () => {
  const clusters = [makeCluster("app.example:81")];
  const lookup = (name: string) =>
    Promise.resolve(name === "app.example" ? ["10.0.0.2", "2001:db8::2", "10.0.0.2"] : []);
  assertEquals(await resolveBackends(clusters, {}, never, lookup), {
    "app.example:81": ["10.0.0.2:81", "[2001:db8::2]:81"],
  });
});

Deno.test("resolveBackends() asks the host", async () => {
  const clusters = [makeCluster("localhost:82")];
  const resolved = await resolveBackends(clusters, {}, never);
  assertEquals(resolved["localhost:82"]!.every((a) => a === "127.0.0.1:82" || a === "[::1]:82"), true);
});

Deno.test("resolveBackends() names everything that does not resolve, and warns where it knows an address", async () => {
  const clusters = [makeCluster("one.example:1", "two.example:2", "10.0.0.1:3")];
  const lookup = (name: string) => Promise.reject(new Error(`no ${name}`));
  await assertRejects(
    () => resolveBackends(clusters, {}, never, lookup),
    /backend one\.example:1 does not resolve: no one\.example\nbackend two\.example:2 does not resolve/,
  );
  const warnings: string[] = [];
  const known = { "one.example:1": ["10.0.0.9:1"], "two.example:2": ["10.0.0.8:2"] };
  const resolved = await resolveBackends(clusters, known, (text) => warnings.push(text), lookup);
  assertEquals(resolved, known);
  assertEquals(warnings.sort()[0], "backend one.example:1 does not resolve: no one.example; keeping 10.0.0.9:1");
});
