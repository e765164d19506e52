// A state in the making: the one that orders start from, and what they have made of it so far. Nothing of the first is
// copied before the end, and then only the lists and records in which something has changed; everything else is shared
// by both states.

import { entryOf, namesOf, recordWith } from "./records.ts";
import { indexOf, routesWith } from "./route_index.ts";
import { routeKey } from "./route_key.ts";
import type { CertificateState, ClusterState, ListenerState, RouteState, Settings, State } from "./state.ts";

/** A record and its changes by name. */
export class RecordDraft<T> {
  readonly changes = new Map<string, T | undefined>();

  constructor(private readonly base: Readonly<Record<string, T>>) {}

  get(name: string): T | undefined {
    return this.changes.has(name) ? this.changes.get(name) : entryOf(this.base, name);
  }

  /** `undefined` removes. */
  set(name: string, value: T | undefined): void {
    this.changes.set(name, value);
  }

  *names(): Generator<string> {
    for (const name of namesOf(this.base)) if (this.get(name) !== undefined) yield name;
    for (const [name, value] of this.changes) {
      if (value !== undefined && !Object.hasOwn(this.base, name)) yield name;
    }
  }

  finish(): Record<string, T> {
    return this.changes.size === 0 ? this.base as Record<string, T> : recordWith(this.base, this.changes);
  }
}

export class RoutesDraft {
  readonly changes = new Map<string, RouteState | undefined>();

  constructor(readonly base: RouteState[]) {}

  get(key: string): RouteState | undefined {
    return this.changes.has(key) ? this.changes.get(key) : indexOf(this.base).byKey.get(key);
  }

  set(route: RouteState): void {
    this.changes.set(routeKey(route), route);
  }

  remove(key: string): void {
    this.changes.set(key, undefined);
  }

  /** How many routes of the base lead to a cluster and were not touched, for any cluster. O(changes), once. */
  untouchedUsers(): (cluster: string) => number {
    const { byKey, users } = indexOf(this.base);
    const touched = new Map<string, number>();
    for (const key of this.changes.keys()) {
      const cluster = byKey.get(key)?.cluster;
      if (cluster !== undefined) touched.set(cluster, (touched.get(cluster) ?? 0) + 1);
    }
    return (cluster) => (users.get(cluster) ?? 0) - (touched.get(cluster) ?? 0);
  }

  /** One of those; O(routes). */
  untouchedUserOf(cluster: string): RouteState | undefined {
    return this.base.find((route) => route.cluster === cluster && !this.changes.has(routeKey(route)));
  }

  finish(): RouteState[] {
    return this.changes.size === 0 ? this.base : routesWith(this.base, this.changes);
  }
}

export class StateDraft {
  readonly listeners: RecordDraft<ListenerState>;
  readonly clusters: RecordDraft<ClusterState>;
  readonly certificates: RecordDraft<CertificateState>;
  readonly routes: RoutesDraft;
  settings: Settings;

  constructor(private readonly base: State) {
    const { listeners, clusters, routes, certificates, ...settings } = base;
    this.listeners = new RecordDraft(listeners);
    this.clusters = new RecordDraft(clusters);
    this.certificates = new RecordDraft(certificates);
    this.routes = new RoutesDraft(routes);
    this.settings = settings;
  }

  finish(): State {
    const { listeners, clusters, routes, certificates } = this;
    const named = { listeners: listeners.finish(), clusters: clusters.finish(), certificates: certificates.finish() };
    return { ...this.base, ...this.settings, ...named, routes: routes.finish() };
  }
}
