// The canonical text of a state and its hash.

import { canonicalJson, hashAfter, hashState, loadState, type State } from "../../../src/ts/config/mod.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";

function stateOf(text: string): State {
  const { state } = loadState(text, "test.yaml");
  assert(state);
  return state;
}

const ONE = `
workers: auto
listeners: { a: { address: "127.0.0.1:80" }, b: { address: "[::1]:80" } }
clusters: { x: { backends: ["A:1", "b:1"] }, routes: { backends: [] } }
routes: [{ host: a.example, cluster: x }, { host: "*.B.example", methods: [PUT, GET], cluster: routes }]
timeouts: { idle: 90s }
answers: { 404: '"routes":[]' }
`;

const SAME = `
answers: { 404: "\\"routes\\":[]" }
timeouts: { idle: 1.5m }
routes: [{ cluster: routes, methods: [GET, PUT], host: "*.b.example." }, { cluster: x, host: A.example }]
clusters: { routes: { backends: [] }, x: { backends: ["b:1", { weight: 1, address: "a:1" }] } }
listeners: { b: { address: "[0::1]:80" }, a: { address: "127.0.0.1:80" } }
`;

Deno.test("canonicalJson() is one text for files that mean the same", () => {
  assertEquals(canonicalJson(stateOf(ONE)), canonicalJson(stateOf(SAME)));
  assertEquals(hashState(stateOf(ONE)), hashState(stateOf(SAME)));
  assertMatch(hashState(stateOf(ONE)), /^[0-9a-f]{32}$/);
});

Deno.test("canonicalJson() is JSON of the state", () => {
  const state = stateOf(ONE);
  const { routes, ...rest } = JSON.parse(canonicalJson(state)) as State;
  const { routes: expected, ...expectedRest } = state; // the backends are in order of their addresses already
  assertEquals(rest, expectedRest);
  const byHost = (list: State["routes"]) => [...list].sort((a, b) => (a.host < b.host ? -1 : 1));
  assertEquals(byHost(routes), byHost(expected));
});

Deno.test("hashState() tells states apart that differ in anything", () => {
  const texts = [ONE, ONE.replace("90s", "91s"), ONE.replace("[PUT, GET]", "[PUT]"), ONE.replace('"A:1"', '"A:2"')];
  assertEquals(new Set(texts.map((text) => hashState(stateOf(text)))).size, texts.length);
});

Deno.test("hashAfter() refuses what is no hash", () => {
  const state = stateOf(ONE);
  assertEquals(hashAfter(hashState(state), state, state, []), hashState(state));
  for (const hash of ["", "0", "g".repeat(32), "A".repeat(32), "0".repeat(33)]) {
    assertThrows(() => hashAfter(hash, state, state, []), /RangeError: expected a hash of 32/);
  }
});
