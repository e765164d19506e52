// What `get` answers: the state or a part of it in the form of the file, without what is the default.

import { toFile } from "../config/file_form.ts";
import { secretWord } from "../config/format_error.ts";
import { nearest } from "../config/nearest.ts";
import { orderObject, type RouteKey } from "../config/orders.ts";
import { routeIdentity } from "../config/order_shapes.ts";
import { entryOf } from "../config/records.ts";
import { indexOf } from "../config/route_index.ts";
import { routeKey } from "../config/route_key.ts";
import type { ClusterState, RouteState, State } from "../config/state.ts";
import { ControlError } from "./errors.ts";
import type { ObjectKind } from "./protocol.ts";

export interface Asked {
  object: ObjectKind | undefined;
  name: string | undefined;
  key: RouteKey | undefined;
  filter: { host?: string; cluster?: string };
}

type Part = { state: unknown } | { value: unknown } | { values: unknown };

/** Throws a ControlError when what is asked for is not there. */
export function getObject(state: State, { object, name, key, filter }: Asked): Part {
  switch (object) {
    case undefined:
      return { state: toFile(state) };
    case "settings":
      return { value: settingsForm(state) };
    case "listener":
      if (name === undefined) return { values: listenersForm(state, state.listeners) };
      return { value: listenersForm(state, { [name]: named(state.listeners, "listener", name) })[name] };
    case "cluster":
      if (name === undefined) return { values: clustersForm(state, filtered(state, filter)) };
      return { value: clustersForm(state, { [name]: named(state.clusters, "cluster", name) })[name] };
    case "certificate":
      if (name === undefined) return { values: certificatesForm(state, certificatesOf(state, filter)) };
      return {
        value: certificatesForm(state, { [name]: named(state.certificates, "certificate", name) })[0],
      };
    case "backend":
      return backends(state, name, filter);
    case "route":
      return key === undefined ? { values: routesForm(state, routesOf(state, filter)) } : { value: route(state, key) };
  }
}

function settingsForm(state: State): unknown {
  const { listeners: _, clusters: __, routes: ___, certificates: ____, ...settings } = toFile(bare(state));
  return settings;
}

function bare(state: State): State {
  return { ...state, listeners: {}, clusters: {}, routes: [], certificates: {} };
}

/** Each with its name, though the file need not say it. */
function certificatesForm(state: State, certificates: State["certificates"]): Record<string, unknown>[] {
  const forms = toFile({ ...bare(state), certificates })["certificates"] as Record<string, unknown>[] ?? [];
  return Object.keys(certificates).map((name, at) => ({ ...forms[at], name }));
}

/** Those that say themselves that they are for a host. */
function certificatesOf({ certificates }: State, { host }: Asked["filter"]): State["certificates"] {
  if (host === undefined) return certificates;
  return Object.fromEntries(Object.entries(certificates).filter(([, { names }]) => names.includes(host)));
}

function listenersForm(state: State, listeners: State["listeners"]): Record<string, unknown> {
  return toFile({ ...bare(state), listeners })["listeners"] as Record<string, unknown> ?? {};
}

function clustersForm(state: State, clusters: State["clusters"]): Record<string, unknown> {
  return toFile({ ...bare(state), clusters })["clusters"] as Record<string, unknown> ?? {};
}

function routesForm(state: State, routes: RouteState[]): unknown[] {
  return toFile({ ...bare(state), routes })["routes"] as unknown[] ?? [];
}

function named<T>(record: Record<string, T>, kind: string, name: string): T {
  const found = entryOf(record, name);
  if (found !== undefined) return found;
  throw missing(`${kind} ${name}`, nearest(name, Object.keys(record)));
}

function missing(object: string, similar: string | undefined): ControlError {
  const hint = similar === undefined ? "" : `; did you mean "${similar}"?`;
  const shown = secretWord(object) || object.slice(0, 200);
  return new ControlError("missing", `there is no ${shown}${hint}`, { object: shown });
}

function filtered(state: State, { cluster }: Asked["filter"]): Record<string, ClusterState> {
  if (cluster === undefined) return state.clusters;
  const found = entryOf(state.clusters, cluster);
  return found ? { [cluster]: found } : {};
}

function backends(state: State, name: string | undefined, filter: Asked["filter"]): Part {
  if (filter.cluster !== undefined) named(state.clusters, "cluster", filter.cluster);
  const values = Object.entries(filtered(state, filter)).flatMap(([cluster, { backends }]) =>
    backends.flatMap(({ address, weight }) =>
      name === undefined || name === address ? [{ cluster, address, weight }] : []
    )
  );
  if (name === undefined) return { values };
  if (values.length === 0) {
    const all = Object.values(filtered(state, filter)).flatMap(({ backends }) =>
      backends.map(({ address }) => address)
    );
    throw missing(`backend ${name}`, nearest(name, all));
  }
  return values.length === 1 ? { value: values[0] } : { values };
}

function routesOf({ routes }: State, { host, cluster }: Asked["filter"]): RouteState[] {
  return routes.filter((route) =>
    (host === undefined || (route.host || "*") === (host || "*")) &&
    (cluster === undefined || route.cluster === cluster)
  );
}

function route(state: State, key: RouteKey): unknown {
  let found: RouteState | undefined;
  try {
    found = indexOf(state.routes).byKey.get(routeKey(routeIdentity({ order: "remove", object: "route", key })));
  } catch {
    throw new ControlError("bad_request", "key: expected host, path, methods, headers and priority of a route");
  }
  if (found) return routesForm(state, [found])[0];
  throw missing(orderObject({ object: "route", key }), undefined);
}
