// What is asked for → what it would change. The next state is always made from the one that is served by orders, so that
// the two share all that stays the same: then everything after that costs as much as the change, whatever the state's size.

import { applyOrders } from "../config/apply_order.ts";
import { type Change, changesOf } from "../config/changes.ts";
import { diff } from "../config/diff.ts";
import { describeDifference, type Difference } from "../config/difference.ts";
import { formatOrderError, type Order } from "../config/orders.ts";
import { hashAfter } from "../config/state_hash.ts";
import type { State } from "../config/state.ts";
import { ControlError } from "./errors.ts";
import type { ChangeError, Effect } from "./protocol.ts";

/** A change to the state that is served, or another whole state. */
export type Wanted = { orders: unknown; state?: never } | { state: State; orders?: never };

export interface Plan {
  before: State;
  after: State;
  /** That lead from one to the other. */
  orders: readonly Order[];
  changes: readonly Change[];
  effects: Effect[];
}

/** Throws a ControlError with everything that is wrong. */
export function plan(before: State, wanted: Wanted): Plan {
  const orders = wanted.state ? diff(before, wanted.state) : wanted.orders;
  const { state: after, errors } = applyOrders(before, orders);
  if (!after) {
    throw invalid(
      errors.map(({ hint, ...error }) => hint === "" ? error : { ...error, hint }),
      errors.map(formatOrderError),
    );
  }
  const changes = changesOf(before, after, orders as Order[]);
  return { before, after, orders: orders as Order[], changes, effects: effectsOf(changes) };
}

/** An error about a change that makes no valid state. */
export function invalid(errors: ChangeError[], texts: readonly string[]): ControlError {
  const [first] = errors;
  return new ControlError("invalid", texts.join("\n"), { ...(first ? { object: first.object } : {}), errors });
}

/** The hash of the state after it, given that of the state before. */
export function hashAfterPlan(hash: string, { before, after, orders, changes }: Plan): string {
  return changes.length === 0 ? hash : hashAfter(hash, before, after, orders);
}

/** Object by object; looks at nothing but what changes. */
export function differencesOf({ before, after, changes }: Plan): Difference[] {
  const [a, b] = [onlyChanged(before, changes, "before"), onlyChanged(after, changes, "after")];
  return describeDifference(a, b);
}

function onlyChanged(state: State, changes: readonly Change[], side: "before" | "after"): State {
  const small: State = { ...state, listeners: {}, clusters: {}, routes: [] };
  for (const change of changes) {
    if (change.object === "settings" || change[side] === null) continue;
    if (change.object === "listener") small.listeners[change.name] = change[side];
    else if (change.object === "cluster") small.clusters[change.name] = change[side];
    else small.routes.push(change[side]);
  }
  return small;
}

/** Settings by which a process is made, or which it gives up the right to change. */
const ROLLING: readonly string[] = ["user", "sandbox", "access_log"];

function effectsOf(changes: readonly Change[]): Effect[] {
  if (changes.length === 0) return [];
  return changes.some(rollsWorkers) ? ["rolls workers"] : ["live"];
}

function rollsWorkers({ object, name, before, after }: Change): boolean {
  if (object !== "settings") return false;
  if (name !== "limits") return ROLLING.includes(name);
  const [a, b] = [before as State["limits"], after as State["limits"]];
  return Object.keys(b).some((key) => key !== "body_bytes" && a[key as keyof typeof a] !== b[key as keyof typeof b]);
}
