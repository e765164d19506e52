// What a worker serves by: clusters by name, routes by number, the router, and the settings that can change. A change is
// prepared first (all that can be refused is done, nothing is served by it), then committed: a few assignments.
//
// Streams hold on to their cluster and backend, so what they carry ends as it began; only what comes next is different.

import type { ClusterState, ClusterTlsState, RouteState, State } from "../config/state.ts";
import { liveSettings } from "../config/live_settings.ts";
import { ServedHash } from "../config/served_hash.ts";
import { type Network, networkContains, parseNetwork } from "../config/networks.ts";
import { type BackendOptions, Cluster, type ClusterOptions, type ClusterWatcher } from "../cluster/cluster.ts";
import type { UpstreamContext } from "../cluster/upstream.ts";
import { parseEndpoint } from "../net/endpoint.ts";
import type { TlsClient } from "../net/tls_client.ts";
import type { ClusterClients } from "./cluster_tls.ts";
import type { Timeouts } from "../proxy/context.ts";
import { type PreparedChange, RouteError, Router } from "../routing/router.ts";
import type { Resolved, WorkerChange, WorkerSnapshot } from "./protocol.ts";

/** What of a change cannot be served, and why. */
export class ChangeRefused extends Error {
  override name = "ChangeRefused";
  constructor(readonly object: string, reason: string) {
    super(reason);
  }
}

/** A change that waits to be committed. */
export interface Prepared {
  change: WorkerChange;
  clusters: Map<string, { options: ClusterOptions; backends: BackendOptions[] } | null>;
  /** Of those that are in `clusters`, and of others that only get another client. */
  clients: ClusterClients;
  router: PreparedChange;
  trusted: Network[] | undefined;
}

export class Tables {
  readonly router: Router;
  /** By route number, as the router gives it. */
  readonly routes: Cluster[] = [];
  readonly takesConnect: boolean[] = [];
  readonly allowsMisdirected: boolean[] = [];
  readonly timeouts: Timeouts;
  readonly clusters = new Map<string, Cluster>();
  trusted: Network[] = [];
  revision: number;
  readonly #hash = new ServedHash();

  constructor(
    { state, resolved, routeIds, revision, certificates, files }: WorkerSnapshot,
    private readonly upstreams: UpstreamContext,
    private readonly watcher: ClusterWatcher,
    clients: ClusterClients = new Map(),
  ) {
    this.router = Router.compile([]);
    this.timeouts = timeoutsOf(state.timeouts);
    this.revision = revision - 1;
    const routes = state.routes.map((route, index) => ({ id: routeIds[index]!, route }));
    const settings = liveSettings(state);
    this.commit(this.prepare({
      revision,
      settings,
      clusters: state.clusters,
      resolved,
      routes,
      certificates: certificates.map((entry) => ({ name: entry.name, entry })),
      files,
      listenersTls: {},
      listenersRedirect: {},
      listenersHttp2: {},
      listenersRemoved: [],
    }, clients));
  }

  /** Throws ChangeRefused, and then nothing has changed. */
  prepare(change: WorkerChange, clients: ClusterClients = new Map()): Prepared {
    const clusters: Prepared["clusters"] = new Map();
    for (const [name, state] of Object.entries(change.clusters)) {
      clusters.set(name, state && this.#prepareCluster(name, state, change.resolved, clients.get(name) ?? null));
    }
    for (const { id, route } of change.routes) {
      const exists = route === null ||
        (clusters.has(route.cluster) ? clusters.get(route.cluster) : this.clusters.has(route.cluster));
      if (!exists) {
        throw new ChangeRefused(`route ${id}`, `its cluster ${JSON.stringify(route.cluster)} does not exist`);
      }
    }
    return {
      change,
      clusters,
      clients,
      router: this.#prepareRoutes(change),
      trusted: change.settings?.trusted_proxies.map(parseNetwork),
    };
  }

  #prepareCluster(name: string, state: ClusterState, resolved: Resolved, client: TlsClient | null) {
    try {
      return { options: clusterOptions(name, state, client), backends: backendOptions(state, resolved) };
    } catch (error) {
      throw new ChangeRefused(`cluster ${name}`, (error as Error).message);
    }
  }

  #prepareRoutes(change: WorkerChange): PreparedChange {
    try {
      return this.router.prepare(change.routes.map(({ id, route }) => ({ id, rule: route })));
    } catch (error) {
      if (!(error instanceof RouteError)) throw error;
      const route = change.routes.find(({ id }) => id === error.rule)?.route;
      throw new ChangeRefused(route ? `route ${routeText(route)}` : `route ${error.rule}`, error.reason);
    }
  }

  commit({ change, clusters, clients, router, trusted }: Prepared): void {
    for (const [name, next] of clusters) {
      if (next) this.#cluster(name, next.options).configure(next.options, next.backends);
    }
    for (const [name, client] of clients) {
      if (client && !clusters.has(name)) this.clusters.get(name)?.renewTls(client);
    }
    for (const { id, route } of change.routes) {
      if (route) this.routes[id] = this.clusters.get(route.cluster)!;
      this.takesConnect[id] = route !== null && route.methods.includes("CONNECT");
      this.allowsMisdirected[id] = route !== null && route.allow_misdirected;
    }
    this.router.commit(router);
    for (const [name, state] of Object.entries(change.clusters)) this.#hash.setCluster(name, state);
    for (const { id, route } of change.routes) this.#hash.setRoute(id, route);
    for (const { name, entry } of change.certificates) this.#hash.setCertificate(name, entry);
    for (const [name, next] of clusters) if (!next) this.#removeCluster(name);
    if (change.settings) Object.assign(this.timeouts, timeoutsOf(change.settings.timeouts));
    if (trusted) this.trusted = trusted;
    this.revision = change.revision;
  }

  /** Gives up what was prepared. */
  discard({ router }: Prepared): void {
    this.router.discard(router);
  }

  /** Of the clusters, routes and certificates that are served by now. */
  get hash(): string {
    return this.#hash.toString();
  }

  #cluster(name: string, options: ClusterOptions): Cluster {
    let cluster = this.clusters.get(name);
    if (!cluster) this.clusters.set(name, cluster = new Cluster(options, this.upstreams, this.watcher));
    return cluster;
  }

  #removeCluster(name: string): void {
    const cluster = this.clusters.get(name);
    if (!cluster) return;
    this.clusters.delete(name);
    cluster.configure(cluster.options, []);
  }
}

function timeoutsOf(
  { request_header, request_body, idle, connection_age, write, tunnel, connect, response }: State["timeouts"],
): Timeouts {
  return {
    requestHeaderMs: request_header,
    requestBodyMs: request_body,
    idleMs: idle,
    connectionAgeMs: connection_age,
    writeMs: write,
    tunnelMs: tunnel,
    connectMs: connect,
    responseMs: response,
  };
}

function clusterOptions(
  name: string,
  { protocol, balance, pool, timeouts, http2 }: ClusterState,
  tls: TlsClient | null,
): ClusterOptions {
  return {
    name,
    balance,
    connectionsMax: pool.connections,
    connectTimeoutMs: timeouts.connect,
    responseTimeoutMs: timeouts.response,
    tls,
    http2: protocol === "http/1.1"
      ? null
      : { streamsMax: http2.max_concurrent_streams, pingIntervalMs: http2.ping_interval },
  };
}

function backendOptions({ backends, pool, tls }: ClusterState, resolved: Resolved): BackendOptions[] {
  return backends.flatMap(({ address, weight }) =>
    (resolved[address] ?? [address]).map((text) => ({
      endpoint: parseEndpoint(text),
      tlsName: tls ? tlsNameOf(address, tls) : "",
      weight,
      idleMax: pool.idle,
      idleTimeoutMs: pool.idle_timeout,
    }))
  );
}

/** Nothing but the name tells one certificate from another: without one nobody would be verified. */
function tlsNameOf(address: string, { server_name, verify }: ClusterTlsState): string {
  const name = server_name || hostOf(address);
  if (name === "" && verify) throw new Error(`backend ${address}: tls.server_name must say whose certificate it has`);
  return name;
}

/** As it is written in the state; "" for a path. */
function hostOf(address: string): string {
  if (address.startsWith("unix:")) return "";
  return address.slice(0, address.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
}

function routeText({ host, path, methods }: RouteState): string {
  return [host || "*", path || "/*", ...methods].join(" ");
}

/** Whether the peer whose socket address (struct sockaddr) lies at `at` is in one of the networks. */
export function isTrusted(trusted: readonly Network[], memory: Uint8Array, at: number): boolean {
  if (trusted.length === 0) return false;
  const family = memory[at]!;
  if (family === 10) return trusted.some((network) => networkContains(network, memory, at + 8));
  if (family !== 2) return false;
  mapped.set(memory.subarray(at + 4, at + 8), 12);
  return trusted.some((network) => networkContains(network, mapped));
}

const mapped = new Uint8Array(16).fill(0xff, 10, 12);
