// From the state to the tables that a worker serves by: clusters with their backends' addresses in binary, the compiled
// router, networks, times. Made once per snapshot; whatever is wrong with it throws before anything is served.

import type { State } from "../config/mod.ts";
import { type Network, networkContains, parseNetwork } from "../config/networks.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { UpstreamContext } from "../cluster/upstream.ts";
import { parseEndpoint } from "../net/endpoint.ts";
import type { Timeouts } from "../proxy/context.ts";
import { Router } from "../routing/router.ts";
import type { WorkerSnapshot } from "./protocol.ts";

export interface Tables {
  router: Router;
  /** By the router's index. */
  routes: Cluster[];
  takesConnect: boolean[];
  timeouts: Timeouts;
  trusted: Network[];
}

export function compileTables({ state, resolved }: WorkerSnapshot, upstreams: UpstreamContext): Tables {
  const clusters = new Map<string, Cluster>();
  for (const name of Object.keys(state.clusters)) clusters.set(name, makeCluster(name, state, resolved, upstreams));
  const routes = state.routes.map((route) => {
    const cluster = clusters.get(route.cluster);
    if (!cluster) throw new Error(`a route names the cluster ${JSON.stringify(route.cluster)}, which does not exist`);
    return cluster;
  });
  const { request_header, request_body, idle, write, tunnel } = state.timeouts;
  return {
    router: Router.compile(state.routes),
    routes,
    takesConnect: state.routes.map((route) => route.methods.includes("CONNECT")),
    timeouts: {
      requestHeaderMs: request_header,
      requestBodyMs: request_body,
      idleMs: idle,
      writeMs: write,
      tunnelMs: tunnel,
    },
    trusted: state.trusted_proxies.map(parseNetwork),
  };
}

function makeCluster(
  name: string,
  state: State,
  resolved: Record<string, string[]>,
  upstreams: UpstreamContext,
): Cluster {
  const { backends, balance, pool, timeouts } = state.clusters[name]!;
  const options = {
    name,
    balance,
    connectionsMax: pool.connections,
    connectTimeoutMs: timeouts.connect,
    responseTimeoutMs: timeouts.response,
  };
  const cluster = new Cluster(options, upstreams, () => {});
  cluster.configure(
    options,
    backends.flatMap(({ address, weight }) =>
      (resolved[address] ?? [address]).map((text) => ({
        endpoint: parseEndpoint(text),
        weight,
        idleMax: pool.idle,
        idleTimeoutMs: pool.idle_timeout,
      }))
    ),
  );
  return cluster;
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
