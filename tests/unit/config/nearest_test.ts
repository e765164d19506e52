// Which name is near enough to be suggested.

import { nearest } from "../../../src/ts/config/nearest.ts";
import { assertEquals } from "../../support/assert.ts";

const NAMES = ["listeners", "clusters", "routes", "limits", "timeouts", "log"];

Deno.test("nearest() finds slips of the finger", () => {
  const slips: [string, string | undefined][] = [
    ["listners", "listeners"],
    ["listener", "listeners"],
    ["cluters", "clusters"],
    ["rotues", "routes"],
    ["LIMITS", "limits"],
    ["timeout", "timeouts"],
    ["lgo", "log"],
    ["x", undefined],
    ["certificates", undefined],
    ["", undefined],
  ];
  for (const [word, expected] of slips) assertEquals(nearest(word, NAMES), expected, word);
});

Deno.test("nearest() prefers the nearer, and the first of equals", () => {
  assertEquals(nearest("app2", ["app1", "app3"]), "app1");
  assertEquals(nearest("backend-1", ["backend", "backend-10", "backend-1"]), "backend-1");
});
