// The hash of what is served: the same for the same objects, however they came, and not moved by a change that is only drafted.

import { ServedHash } from "../../../src/ts/config/served_hash.ts";
import type { ClusterState, RouteState } from "../../../src/ts/config/state.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom, type Random } from "../../support/random.ts";

type Objects = { clusters: Map<string, object>; routes: Map<number, object>; certificates: Map<string, object> };

/** What changes: of each object another version, or none. */
function randomChange(random: Random) {
  const version = () => random.below(3) === 0 ? null : { version: random.below(5) };
  const names = (count: number) => [...new Set(Array.from({ length: count }, () => random.below(6)))];
  return {
    clusters: new Map(names(3).map((n) => [`c${n}`, version() as ClusterState | null])),
    routes: names(4).map((id) => ({ id, route: version() as RouteState | null })),
    certificates: new Map(names(2).map((n) => [`c${n}`, version()])),
  };
}

function note(objects: Objects, change: ReturnType<typeof randomChange>): void {
  const put = <K>(map: Map<K, object>, key: K, value: object | null) => value ? map.set(key, value) : map.delete(key);
  for (const [name, state] of change.clusters) put(objects.clusters, name, state);
  for (const { id, route } of change.routes) put(objects.routes, id, route);
  for (const [name, entry] of change.certificates) put(objects.certificates, name, entry);
}

function hashOf({ clusters, routes, certificates }: Objects): string {
  const hash = new ServedHash();
  for (const [name, entry] of certificates) hash.setCertificate(name, entry);
  for (const [id, route] of routes) hash.setRoute(id, route as RouteState);
  for (const [name, state] of clusters) hash.setCluster(name, state as ClusterState);
  return hash.toString();
}

Deno.test("draft() gives the hash after a change, which holds from commit() on", () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = createRandom(seed);
    const hash = new ServedHash();
    const objects: Objects = { clusters: new Map(), routes: new Map(), certificates: new Map() };
    const seen = new Set<string>();
    for (let step = 0; step < 30; step++) {
      const before = hash.toString();
      const change = randomChange(random);
      const draft = hash.draft(change);
      hash.draft(randomChange(random));
      assertEquals(hash.toString(), before, "nothing has changed yet");
      draft.commit();
      note(objects, change);
      assertEquals(hash.toString(), draft.hash);
      assertEquals(hash.toString(), hashOf(objects), `seed ${seed}, step ${step}`);
      seen.add(draft.hash);
    }
    assert(seen.size > 20, `${seen.size} hashes of 30 states`);
  }
});
