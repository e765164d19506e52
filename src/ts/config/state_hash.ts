// The hash of a state: by it the workers show that they all have the same one. It is a sum over the objects of the state,
// so that after a change it is known from the hash before and the objects that changed. States that mean the same have
// the same hash: that is, those with the same canonical text.

import { canonicalText } from "./canonical.ts";
import { type Change, changesOf } from "./changes.ts";
import { HashSum } from "./hash128.ts";
import type { Order } from "./orders.ts";
import { CLUSTER, LISTENER, ROUTE, SETTINGS } from "./schema.ts";
import { CERTIFICATE } from "./schema_tls.ts";
import type { ObjectShape, Shape } from "./shape.ts";
import type { Settings, State } from "./state.ts";

/** 32 hexadecimal digits. O(size of the state): some microseconds for each object. */
export function hashState(state: State): string {
  const hash = new HashSum();
  for (const name of Object.keys(SETTINGS.keys) as (keyof Settings)[]) {
    hash.add(textOf("settings", name, state[name]));
  }
  for (const [name, listener] of Object.entries(state.listeners)) hash.add(textOf("listener", name, listener));
  for (const [name, cluster] of Object.entries(state.clusters)) hash.add(textOf("cluster", name, cluster));
  for (const [name, certificate] of Object.entries(state.certificates)) {
    hash.add(textOf("certificate", name, certificate));
  }
  for (const route of state.routes) hash.add(textOf("route", "", route));
  return hash.toString();
}

/** The hash of `after`, given that of `before` and the orders that led from one to the other. O(orders). */
export function hashAfter(hash: string, before: State, after: State, orders: readonly Order[]): string {
  return hashAfterChanges(hash, changesOf(before, after, orders));
}

/** The same for who knows the changes already. */
export function hashAfterChanges(hash: string, changes: readonly Change[]): string {
  const sum = HashSum.from(hash);
  for (const change of changes) {
    const name = change.object === "route" ? "" : change.name;
    if (change.before !== null || change.object === "settings") sum.remove(textOf(change.object, name, change.before));
    if (change.after !== null || change.object === "settings") sum.add(textOf(change.object, name, change.after));
  }
  return sum.toString();
}

const OBJECT_SHAPES: Readonly<Record<Exclude<Change["object"], "settings">, ObjectShape>> = {
  listener: LISTENER,
  cluster: CLUSTER,
  certificate: CERTIFICATE,
  route: ROUTE,
};

/** Different for different objects: names have no spaces. */
function textOf(object: Change["object"], name: string, value: unknown): string {
  const shape: Shape = object === "settings" ? SETTINGS.keys[name]!.shape : OBJECT_SHAPES[object];
  return `${object} ${name} ${canonicalText(shape, value)}`;
}
