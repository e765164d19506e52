// What main needs for the first change to a large state, made while the workers behind the first one make their tables of it:
// main has nothing to do then, and somebody serves already. On a host with one processor it would take the workers' time; there
// it is made when all of them serve.

import { indexState } from "../config/route_index.ts";
import { ServedHash } from "../config/served_hash.ts";
import { hashState } from "../config/state_hash.ts";
import type { State } from "../config/state.ts";
import type { Credentials } from "./credentials.ts";
import { RouteNumbers } from "./route_numbers.ts";

export interface EarlyWork {
  /** Of the whole state. */
  hash: string;
  served: ServedHash;
  numbers: RouteNumbers;
}

/** Undefined where it is left for later. Main does other things between its parts. */
export async function earlyWork(state: State, known: Credentials["known"]): Promise<EarlyWork | undefined> {
  if (navigator.hardwareConcurrency < 2) return undefined;
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

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
