// A transaction as the workers are told of it: what each of them has to make, to end or to serve differently, and nothing
// that stays the same.

import type { Change } from "../config/changes.ts";
import { redirectPort } from "../config/cross_check_tls.ts";
import { LIVE_SETTINGS, liveSettings } from "../config/live_settings.ts";
import type { ClusterState, ListenerState, State } from "../config/state.ts";
import type { WorkerChange } from "../worker/protocol.ts";
import type { CredentialsDraft } from "./credentials.ts";
import type { Plan } from "./planning.ts";
import type { Resolved } from "./resolve.ts";
import type { NumbersDraft } from "./route_numbers.ts";

/** What a transaction is made of. */
export interface Parts {
  plan: Plan;
  revision: number;
  numbers: NumbersDraft;
  /** Clusters that the workers have to be told of; null: removed. */
  clusters: Map<string, ClusterState | null>;
  resolved: Resolved;
  credentials: CredentialsDraft;
}

/** Which listeners end is known when their sockets are ready. */
export type UnpreparedChange = Omit<WorkerChange, "listenersRemoved">;

export function workerChange({ plan, revision, numbers, clusters, resolved, credentials }: Parts): UnpreparedChange {
  const { before, after, changes } = plan;
  const change: UnpreparedChange = {
    revision,
    clusters: Object.fromEntries(clusters),
    resolved,
    routes: numbers.routes,
    certificates: Array.from(credentials.certificates, ([name, known]) => ({ name, entry: known?.entry ?? null })),
    listenersTls: ofListeners(changes, ({ tls }) => tls),
    listenersRedirect: redirects(before, after),
    listenersHttp2: ofListeners(changes, ({ h2c, http2 }) => ({ h2c, http2 })),
    files: Object.fromEntries(credentials.files),
  };
  return changes.some(isLiveSetting) ? { ...change, settings: liveSettings(after) } : change;
}

/** Something of each listener that differs or begins. */
function ofListeners<T>(changes: readonly Change[], part: (listener: ListenerState) => T): Record<string, T> {
  return Object.fromEntries(
    changes.flatMap((change) =>
      change.object === "listener" && change.after ? [[change.name, part(change.after)]] : []
    ),
  );
}

/** Where one redirects to may follow another listener. */
function redirects(before: State, after: State): Record<string, number> {
  const all: Record<string, number> = {};
  if (before.listeners === after.listeners) return all;
  const [old, now] = [Object.values(before.listeners), Object.values(after.listeners)];
  for (const [name, listener] of Object.entries(after.listeners)) {
    const port = redirectPort(listener, now);
    const earlier = before.listeners[name];
    if (!earlier || redirectPort(earlier, old) !== port) all[name] = port;
  }
  return all;
}

function isLiveSetting(change: Change): boolean {
  return change.object === "settings" && LIVE_SETTINGS.includes(change.name);
}
