// What is asked for → what it would change. The next state is always made from the one that is served, so that the two share
// all that stays the same: then everything after that costs as much as the change, whatever the state's size.

import { applyOrders } from "../config/apply_order.ts";
import { type Change, changesBetween, changesOf, withChanges } from "../config/changes.ts";
import { diff } from "../config/diff.ts";
import { describeChanges, type Difference } from "../config/difference.ts";
import { speaksHttp2, streamsPerConnection } from "../config/http2_streams.ts";
import { formatOrderError, type Order } from "../config/orders.ts";
import { hashAfterChanges } from "../config/state_hash.ts";
import type { ClusterState, State } from "../config/state.ts";
import { ControlError } from "./errors.ts";
import type { ChangeError, Effect } from "./protocol.ts";

/** A change to the state that is served, or another whole state. */
export type Wanted = { orders: unknown; state?: never } | { state: State; orders?: never };

export interface Plan {
  before: State;
  after: State;
  /** Those that were given; none of a whole state. */
  asked: readonly Order[];
  /** That lead from one to the other; of a whole state made when they are asked for. */
  readonly orders: readonly Order[];
  changes: readonly Change[];
  effects: Effect[];
}

/** Throws a ControlError with everything that is wrong. */
export function plan(before: State, wanted: Wanted): Plan {
  return wanted.state ? planState(before, wanted.state) : planOrders(before, wanted.orders);
}

/** A whole state is valid already: what it changes need not be carried out order by order. */
function planState(before: State, wanted: State): Plan {
  const changes = changesBetween(before, wanted);
  const after = withChanges(before, changes);
  return {
    before,
    after,
    changes,
    effects: effectsOf(before, changes),
    asked: [],
    get orders() {
      return diff(before, wanted);
    },
  };
}

function planOrders(before: State, orders: unknown): Plan {
  const { state: after, errors } = applyOrders(before, orders);
  if (!after) {
    throw invalid(
      errors.map(({ hint, ...error }) => hint === "" ? error : { ...error, hint }),
      errors.map(formatOrderError),
    );
  }
  const changes = changesOf(before, after, orders as Order[]);
  const asked = orders as Order[];
  return { before, after, asked, orders: asked, changes, effects: effectsOf(before, changes) };
}

/** An error about a change that makes no valid state. */
export function invalid(errors: ChangeError[], texts: readonly string[]): ControlError {
  const [first] = errors;
  return new ControlError("invalid", texts.join("\n"), { ...(first ? { object: first.object } : {}), errors });
}

/** The hash of the state after it, given that of the state before. */
export function hashAfterPlan(hash: string, { changes }: Plan): string {
  return changes.length === 0 ? hash : hashAfterChanges(hash, changes);
}

/** Object by object; looks at nothing but what changes. */
export function differencesOf({ changes }: Plan): Difference[] {
  return describeChanges(changes);
}

/** Settings by which a process is made, or which it gives up the right to change. */
const ROLLING: readonly string[] = ["user", "sandbox", "access_log"];

/**
 * So many routes, clusters and backends the processes that serve can take over while they stand still for less than 5 ms:
 * each takes them 5 to 12 µs, some of it when it is made ready and some when it is put into force. What is more is taken
 * by new processes, which get ready while the old ones serve.
 */
export const LIVE_OBJECTS_MAX = 400;

function effectsOf(before: State, changes: readonly Change[]): Effect[] {
  if (changes.length === 0) return [];
  let objects = 0;
  for (const change of changes) objects += objectsIn(change);
  const rolls = objects > LIVE_OBJECTS_MAX || changes.some(rollsWorkers) || bringsTls(before, changes) ||
    raisesStreams(before, changes);
  return rolls ? ["rolls workers"] : ["live"];
}

/** What a worker has to make or to end for a change. */
function objectsIn(change: Change): number {
  if (change.object === "cluster") return Math.max(objectsOf(change.before), objectsOf(change.after));
  return change.object === "route" || change.object === "certificate" ? 1 : 0;
}

export function objectsOf(cluster: ClusterState | null): number {
  return cluster ? 1 + cluster.backends.length : 0;
}

/** A worker opens OpenSSL before it gives up the file system: one that began without TLS cannot take it up. */
function bringsTls({ listeners, clusters }: State, changes: readonly Change[]): boolean {
  const speaksTls = ({ tls }: { tls: object | null }) => tls !== null;
  const brings = changes.some(({ object, after }) =>
    (object === "listener" || object === "cluster") && after !== null && speaksTls(after as { tls: object | null })
  );
  return brings && !Object.values(listeners).some(speaksTls) && !Object.values(clusters).some(speaksTls);
}

/** Each connection of HTTP/2 has its table of streams from the start of a worker on. */
function raisesStreams({ listeners, clusters }: State, changes: readonly Change[]): boolean {
  let wanted = 0;
  for (const { object, after } of changes) {
    if (after === null || (object !== "listener" && !(object === "cluster" && speaksHttp2(after)))) continue;
    wanted = Math.max(wanted, after.http2.max_concurrent_streams);
  }
  return wanted > 0 && wanted > streamsPerConnection(Object.values(listeners), Object.values(clusters));
}

function rollsWorkers({ object, name, before, after }: Change): boolean {
  if (object !== "settings") return false;
  if (name !== "limits") return ROLLING.includes(name);
  const [a, b] = [before as State["limits"], after as State["limits"]];
  return Object.keys(b).some((key) => key !== "body_bytes" && a[key as keyof typeof a] !== b[key as keyof typeof b]);
}
