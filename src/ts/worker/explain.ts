// What `explain` asks of a worker: the rules that were considered for a request, and how the backends of the cluster stand.

import type { Backend } from "../cluster/backend.ts";
import type { BackendStanding, Explained, WorkerOrder } from "./protocol.ts";
import type { Tables } from "./tables.ts";

type Request = Pick<Extract<WorkerOrder, { order: "explain" }>, "host" | "path" | "method" | "headers">;

export function explain(
  tables: Tables,
  { host, path, method, headers }: Request,
): Omit<Explained, "rewritten"> {
  const lookup = {
    has: (name: string, value: string | null) =>
      headers.some(([given, text]) => given === name && (value === null || value === text)),
  };
  const { winner, considered } = tables.router.explain(host, path, method, lookup);
  const cluster = winner < 0 ? undefined : tables.routes[winner];
  const backends = cluster ? [...cluster.backends, ...cluster.retired] : [];
  return {
    winner,
    considered: considered.map(({ rule, reason }) => ({ route: rule, reason })),
    cluster: cluster?.options.name ?? null,
    backends: backends.map(standing),
    wouldPick: cluster?.peek()?.endpoint.text ?? null,
  };
}

function standing(backend: Backend): BackendStanding {
  const { endpoint, weight, requests, connections, retired, failures, fault } = backend;
  const isDraining = retired || weight === 0;
  return {
    address: endpoint.text,
    weight,
    standing: isDraining ? "draining" : failures > 0 ? "avoided" : "up",
    fault,
    requests,
    connections,
  };
}
