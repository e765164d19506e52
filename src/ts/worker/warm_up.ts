// What a worker does before it says that it is ready, so that the first change is not the one that pays for it: the engine
// compiles functions when they are called for the first time, and copies what has just been made when its space for new
// objects is full, which for a large state is a pause of 5 to 20 ms at any later moment. Both take place here, before
// anybody waits.

import type { WorkerChange, WorkerSnapshot } from "./protocol.ts";
import type { Tables } from "./tables.ts";

/** Below this many objects neither is felt, and the time of a start is. */
const OBJECTS_MIN = 1_000;

/** V8's space for new objects is 32 MiB at most; what survives two collections of it has left it. */
const NEW_SPACE_BYTES = 32 << 20;
const GARBAGE_BYTES = 32 << 10;

export function warmUp(tables: Tables, { state: { clusters, routes }, routeIds }: WorkerSnapshot): void {
  const [name] = Object.keys(clusters);
  if (routes.length < OBJECTS_MIN || name === undefined) return;
  const route = { ...routes[0]!, host: "warm-up.invalid", path: "/warm-up/*" };
  // What is prepared and given up leaves nothing behind.
  const id = routeIds[0]!;
  const changes = [{ id: routes.length, route }, { id, route: routes[0]! }, { id, route: null }];
  const change: WorkerChange = {
    revision: 0,
    clusters: { [name]: clusters[name]! },
    resolved: {},
    routes: [],
    certificates: [],
    files: {},
    listenersTls: {},
    listenersRedirect: {},
    listenersHttp2: {},
    listenersRemoved: [],
  };
  for (const one of changes) tables.discard(tables.prepare({ ...change, routes: [one] }));
  fillNewSpace();
}

function fillNewSpace(): void {
  let last: number[] = [];
  for (let bytes = 0; bytes < 2 * NEW_SPACE_BYTES; bytes += GARBAGE_BYTES) {
    // One that no other refers to could be optimised away.
    last = new Array(GARBAGE_BYTES / 8).fill(last.length);
  }
}
