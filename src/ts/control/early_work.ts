// What main needs for the first change to a large state, made while the workers make their tables of it, if that leaves a
// processor to main; otherwise when they serve.

import { indexState } from "../config/route_index.ts";
import { ServedHash } from "../config/served_hash.ts";
import { hashState } from "../config/state_hash.ts";
import type { State } from "../config/state.ts";
import type { Credentials } from "./credentials.ts";
import { RouteNumbers } from "./route_numbers.ts";
import { turn } from "./waiting.ts";

export interface EarlyWork {
  /** Of the whole state. */
  hash: string;
  served: ServedHash;
  numbers: RouteNumbers;
}

/** Main does other things between its parts. */
export async function earlyWork(state: State, known: Credentials["known"]): Promise<EarlyWork> {
  indexState(state);
  await turn();
  const hash = hashState(state);
  await turn();
  const numbers = new RouteNumbers(state.routes);
  const served = servedHashOf(state, numbers, known);
  await turn();
  numbers.makeReady();
  return { hash, served, numbers };
}

/** Of what every worker should serve. O(size of the state). */
export function servedHashOf(state: State, numbers: RouteNumbers, known: Credentials["known"]): ServedHash {
  const served = new ServedHash();
  for (const [name, cluster] of Object.entries(state.clusters)) served.setCluster(name, cluster);
  const ids = numbers.idsOf(state.routes);
  state.routes.forEach((route, at) => served.setRoute(ids[at]!, route));
  for (const [name, { entry }] of known) served.setCertificate(name, entry);
  return served;
}
