// From one state to another by orders, in an order that leaves no hole: after each of them the state is a valid one, and
// whatever both states answer is answered throughout. First comes what gives more room or adds something that others need
// (settings, certificates, clusters, backends), then routes and listeners; what takes away comes last, the other way round.

import { type Change, changesBetween } from "./changes.ts";
import { type FieldChange, fieldChanges, patchOf } from "./fields.ts";
import { shortForm } from "./file_form.ts";
import { listenerMoves } from "./listener_moves.ts";
import { BACKEND_VALUE, ROUTE_KEY, ROUTE_VALUE } from "./order_shapes.ts";
import type { BackendOrder, Fields, NamedOrder, Order, RouteKey, RouteOrder, SettingsOrder } from "./orders.ts";
import { CLUSTER, SETTINGS } from "./schema.ts";
import { CERTIFICATE } from "./schema_tls.ts";
import type { ObjectShape } from "./shape.ts";
import type { BackendState, ClusterState, RouteState, State } from "./state.ts";

/**
 * The orders that lead from `a` to `b`; none if both mean the same. The order of routes and backends means nothing, and is
 * not made the same. Cost as `changesBetween`.
 */
export function diff(a: State, b: State): Order[] {
  const changes = changesBetween(a, b);
  const settings = settingOrders(changes);
  const certificates = certificateOrders(changes);
  const clusters = clusterOrders(changes);
  const routes = routeOrders(changes);
  const listeners = listenerMoves(changes);
  return [
    ...settings.first,
    ...certificates.added,
    ...clusters.added,
    ...routes.added,
    ...listeners.moves,
    ...routes.removed,
    ...clusters.removed,
    ...listeners.removals,
    ...certificates.removed,
    ...settings.last,
  ];
}

/** Numbers that must fit each other at every moment, and therefore change together. */
const TOGETHER = ["limits.buffers", "limits.buffer_size", "limits.header_bytes", "limits.target_bytes"];

const NO_LIMIT_AT_ZERO = ["limits.body_bytes"];

/** Settings that only become smaller change last, all others first. */
function settingOrders(changes: readonly Change[]): { first: SettingsOrder[]; last: SettingsOrder[] } {
  const [before, after]: Record<string, unknown>[] = [{}, {}];
  for (const change of changes) {
    if (change.object !== "settings") continue;
    before![change.name] = change.before;
    after![change.name] = change.after;
  }
  const fields = fieldChanges(SETTINGS, before!, after!);
  const somethingGrows = fields.some((field) => TOGETHER.includes(nameOf(field)) && !shrinks(field));
  const isLast = (field: FieldChange) => shrinks(field) && !(somethingGrows && TOGETHER.includes(nameOf(field)));
  return {
    first: settingsOrder(fields.filter((field) => !isLast(field))),
    last: settingsOrder(fields.filter(isLast)),
  };
}

function nameOf({ path }: FieldChange): string {
  return path.join(".");
}

function shrinks(field: FieldChange): boolean {
  const { before, after } = field;
  if (typeof before !== "number" || typeof after !== "number") return false;
  if (NO_LIMIT_AT_ZERO.includes(nameOf(field)) && (before === 0 || after === 0)) return before === 0;
  return after < before;
}

function settingsOrder(fields: readonly FieldChange[]): SettingsOrder[] {
  return fields.length === 0 ? [] : [{ order: "update", object: "settings", value: patchOf(fields) }];
}

function clusterOrders(changes: readonly Change[]): { added: Order[]; removed: Order[] } {
  const [added, backendsRemoved, clustersRemoved]: [Order[], Order[], Order[]] = [[], [], []];
  for (const change of changes) {
    if (change.object !== "cluster") continue;
    const { name, before, after } = change;
    if (!after) clustersRemoved.push({ order: "remove", object: "cluster", name });
    else if (!before) added.push({ order: "add", object: "cluster", name, value: form(CLUSTER, after) });
    else {
      added.push(...clusterUpdate(name, before, after));
      const backends = backendOrders(name, before, after);
      added.push(...backends.added);
      backendsRemoved.push(...backends.removed);
    }
  }
  return { added, removed: [...backendsRemoved, ...clustersRemoved] };
}

/** What changes beside the backends. */
function clusterUpdate(name: string, before: ClusterState, after: ClusterState): NamedOrder<"cluster">[] {
  const changes = fieldChanges(CLUSTER, { ...before, backends: after.backends }, after);
  return changes.length === 0 ? [] : [{ order: "update", object: "cluster", name, value: patchOf(changes) }];
}

function backendOrders(
  cluster: string,
  before: ClusterState,
  after: ClusterState,
): { added: BackendOrder[]; removed: BackendOrder[] } {
  const { gone, come, changed } = backendChanges(before, after);
  const order = (verb: BackendOrder["order"], { address }: BackendState): BackendOrder => {
    return { order: verb, object: "backend", cluster, name: address };
  };
  const added = come.map((backend): BackendOrder => {
    const { address: _, ...value } = backend;
    const weight = form(BACKEND_VALUE, value) as NonNullable<BackendOrder["value"]>;
    return Object.keys(weight).length === 0 ? order("add", backend) : { ...order("add", backend), value: weight };
  });
  const updated = changed.map(([, to]): BackendOrder => ({ ...order("update", to), value: { weight: to.weight } }));
  return { added: [...added, ...updated], removed: gone.map((backend) => order("remove", backend)) };
}

/** The backends that only one of two forms of a cluster has, and those that are not the same in both. */
export function backendChanges(
  before: ClusterState,
  after: ClusterState,
): { gone: BackendState[]; come: BackendState[]; changed: [from: BackendState, to: BackendState][] } {
  const old = new Map(before.backends.map((backend) => [backend.address, backend]));
  const come: BackendState[] = [];
  const changed: [BackendState, BackendState][] = [];
  for (const backend of after.backends) {
    const from = old.get(backend.address);
    old.delete(backend.address);
    if (!from) come.push(backend);
    else if (from.weight !== backend.weight) changed.push([from, backend]);
  }
  return { gone: [...old.values()], come, changed };
}

function certificateOrders(changes: readonly Change[]): { added: Order[]; removed: Order[] } {
  const [added, removed]: [Order[], Order[]] = [[], []];
  for (const change of changes) {
    if (change.object !== "certificate") continue;
    const { name, before, after } = change;
    if (!after) removed.push({ order: "remove", object: "certificate", name });
    else if (!before) added.push({ order: "add", object: "certificate", name, value: form(CERTIFICATE, after) });
    else {
      const value = patchOf(fieldChanges(CERTIFICATE, before, after));
      added.push({ order: "update", object: "certificate", name, value });
    }
  }
  return { added, removed };
}

function form(shape: ObjectShape, value: unknown): Fields {
  return shortForm(shape, value) as Fields;
}

function routeOrders(changes: readonly Change[]): { added: RouteOrder[]; removed: RouteOrder[] } {
  const [added, removed]: [RouteOrder[], RouteOrder[]] = [[], []];
  for (const change of changes) {
    if (change.object !== "route") continue;
    const { before, after } = change;
    const key = keyOf((after ?? before)!);
    if (!after) removed.push({ order: "remove", object: "route", key });
    else if (!before) added.push({ order: "add", object: "route", key, value: form(ROUTE_VALUE, after) });
    else {added.push({
        order: "update",
        object: "route",
        key,
        value: patchOf(fieldChanges(ROUTE_VALUE, before, after)),
      });}
  }
  return { added, removed };
}

function keyOf(route: RouteState): RouteKey {
  return form(ROUTE_KEY, route) as RouteKey;
}
