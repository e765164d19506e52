// What differs between two states, for people: object by object, field by field, with the values as the file has them.

import { backendChanges } from "./diff.ts";
import { type Change, changesBetween } from "./changes.ts";
import { type FieldChange, fieldChanges } from "./fields.ts";
import { fullForm, shortForm } from "./file_form.ts";
import { BACKEND_VALUE, ROUTE_VALUE } from "./order_shapes.ts";
import { formatPath } from "./problem.ts";
import { routeName } from "./route_key.ts";
import { CLUSTER, LISTENER, SETTINGS } from "./schema.ts";
import { CERTIFICATE } from "./schema_tls.ts";
import type { ObjectShape } from "./shape.ts";
import type { ClusterState, State } from "./state.ts";

export interface FieldDifference {
  /** Dotted, e.g. `timeouts.response`. */
  field: string;
  /** As the file has it; null if there was nothing. */
  before: unknown;
  /** As the file has it; null if there is nothing any more. */
  after: unknown;
}

export interface Difference {
  /** There now, different, or no longer there. */
  sign: "+" | "~" | "-";
  object: "settings" | "listener" | "cluster" | "backend" | "route" | "certificate";
  /** Of a backend its address, of a route its rule (`example.com /api/* GET`), "" for the settings. */
  name: string;
  /** The cluster that a backend is in; "" for everything else. */
  cluster: string;
  /** Those that differ; of what is there now or no longer, those that are not the default. */
  fields: FieldDifference[];
}

/**
 * All that differs between two states: settings, listeners, clusters with their backends, routes, each by name. Backends
 * are told one by one where their cluster is in both states, and as a field of it where it is not. Cost as `changesBetween`.
 */
export function describeDifference(a: State, b: State): Difference[] {
  return describeChanges(changesBetween(a, b));
}

/** The same for who knows already what differs. */
export function describeChanges(changes: readonly Change[]): Difference[] {
  const differences = [...settings(changes), ...changes.flatMap(describe)];
  return differences.sort((x, y) => RANK[x.object] - RANK[y.object] || compare(placeOf(x), placeOf(y)));
}

/** A cluster comes before its own backends. */
const RANK = { settings: 0, listener: 1, cluster: 2, backend: 2, route: 3, certificate: 4 } as const;

function placeOf({ object, cluster, name }: Difference): readonly string[] {
  return object === "backend" ? [cluster, name] : [name, ""];
}

function compare(a: readonly string[], b: readonly string[]): number {
  if (a[0] !== b[0]) return a[0]! < b[0]! ? -1 : 1;
  return a[1]! < b[1]! ? -1 : a[1]! > b[1]! ? 1 : 0;
}

function settings(changes: readonly Change[]): Difference[] {
  const fields: FieldDifference[] = [];
  for (const change of changes) {
    if (change.object !== "settings") continue;
    const { name, before, after } = change;
    fields.push(...fieldChanges(SETTINGS_BY_NAME[name]!, { [name]: before }, { [name]: after }).map(fieldOf));
  }
  return fields.length === 0 ? [] : [{ sign: "~", object: "settings", name: "", cluster: "", fields }];
}

/** Each setting as an object with that key alone. */
const SETTINGS_BY_NAME: Readonly<Record<string, ObjectShape>> = Object.fromEntries(
  Object.entries(SETTINGS.keys).map(([name, key]) => [name, { kind: "object", keys: { [name]: key } }]),
);

type NamedChange = Exclude<Change, { object: "settings" }>;

function describe(change: Change): Difference[] {
  const one = (name: string, shape: ObjectShape) => difference(change as NamedChange, name, shape);
  switch (change.object) {
    case "settings":
      return [];
    case "listener":
      return [one(change.name, LISTENER)];
    case "certificate":
      return [one(change.name, CERTIFICATE)];
    case "route":
      return [one(routeName((change.after ?? change.before)!), ROUTE_VALUE)];
    case "cluster":
      return change.before && change.after
        ? cluster(change.name, change.before, change.after)
        : [one(change.name, CLUSTER)];
  }
}

function difference({ object, before, after }: NamedChange, name: string, shape: ObjectShape): Difference {
  const head = { object, name, cluster: "" };
  if (before && after) return { sign: "~", ...head, fields: fieldChanges(shape, before, after).map(fieldOf) };
  if (after) return { sign: "+", ...head, fields: fieldsOf(shape, after, "after") };
  return { sign: "-", ...head, fields: fieldsOf(shape, before!, "before") };
}

function cluster(name: string, before: ClusterState, after: ClusterState): Difference[] {
  const fields = fieldChanges(CLUSTER, { ...before, backends: after.backends }, after).map(fieldOf);
  const differences: Difference[] = [];
  if (fields.length > 0) differences.push({ sign: "~", object: "cluster", name, cluster: "", fields });
  const { gone, come, changed } = backendChanges(before, after);
  const add = (sign: Difference["sign"], address: string, fields: FieldDifference[]) =>
    differences.push({ sign, object: "backend", name: address, cluster: name, fields });
  for (const backend of come) add("+", backend.address, fieldsOf(BACKEND_VALUE, backend, "after"));
  for (const [from, to] of changed) add("~", to.address, fieldChanges(BACKEND_VALUE, from, to).map(fieldOf));
  for (const backend of gone) add("-", backend.address, fieldsOf(BACKEND_VALUE, backend, "before"));
  return differences;
}

function fieldOf({ path, shape, before, after }: FieldChange): FieldDifference {
  const form = (value: unknown) => value === undefined ? null : fullForm(shape, value);
  return { field: formatPath(path), before: form(before), after: form(after) };
}

/** What an object has that only one of the states has; what is the default goes without saying. */
function fieldsOf(shape: ObjectShape, value: object, side: "before" | "after"): FieldDifference[] {
  const fields: FieldDifference[] = [];
  const flatten = (form: Record<string, unknown>, path: readonly string[]) => {
    for (const [name, item] of Object.entries(form)) {
      const at = [...path, name];
      if (typeof item === "object" && item !== null && !Array.isArray(item)) {
        flatten(item as Record<string, unknown>, at);
      } else fields.push({ field: formatPath(at), before: null, after: null, [side]: item });
    }
  };
  flatten(shortForm(shape, value) as Record<string, unknown>, []);
  return fields;
}
