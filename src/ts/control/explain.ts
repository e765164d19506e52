// What `explain` answers: how a request would be served, without one being sent. Main knows the listeners and the rules by
// their numbers; which rule wins, and how the backends stand, is what a worker says.

import type { ClusterState, RouteState, State } from "../config/state.ts";
import { formatEndpoint, parseEndpoint } from "../sys/listen.ts";
import { ControlError } from "./errors.ts";
import type { Fields } from "./fields.ts";
import type { ExplainAnswer } from "./protocol.ts";
import type { Supervisor } from "./supervisor.ts";
import type { Transactions } from "./transactions.ts";

const ANSWER_LIMIT_MS = 2_000;
const HEADERS_MAX = 1_000;

export async function explainRequest(
  fields: Fields,
  supervisor: Supervisor,
  transactions: Transactions,
): Promise<ExplainAnswer> {
  const url = readUrl(fields.text("url"));
  const method = fields.text("method") ?? "GET";
  const headers = readHeaders(fields.list("headers") ?? []);
  const client = fields.text("client");
  fields.refuseOthers();
  const worker = supervisor.slots.find(({ worker }) => worker?.state === "serving")?.worker;
  const { state } = transactions;
  const numbers = transactions.routesByNumber();
  const secure = url.protocol === "https:";
  const port = Number(url.port || (secure ? 443 : 80));
  const request = { host: url.host, path: url.pathname, method, headers, client: readClient(client), port, secure };
  const explained = await worker?.explain(request, ANSWER_LIMIT_MS);
  if (!explained) throw new ControlError("failed", "no worker answers");
  const { winner, considered, cluster, backends, wouldPick, rewritten } = explained;
  const route = numbers(winner);
  const clusterState = cluster === null ? undefined : state.clusters[cluster];
  return {
    listener: listenerOf(supervisor, url),
    route: route ? { key: keyOf(route), cluster: route.cluster } : null,
    considered: considered.flatMap(({ route: id, reason }) => {
      const lost = id === winner ? undefined : numbers(id);
      return lost ? [{ key: keyOf(lost), reason }] : [];
    }),
    cluster: clusterState ? clusterFacts(cluster!, clusterState) : null,
    backends,
    would_pick: wouldPick,
    refusal: rewritten?.refusal ?? null,
    headers_added: rewritten?.added ?? [],
    headers_removed: rewritten?.removed ?? [],
    timeouts: { ...timeoutsOf(state), ...(clusterState ? ownTimeouts(clusterState, state) : {}) },
  };
}

function clusterFacts(name: string, { balance, protocol, tls }: ClusterState): ExplainAnswer["cluster"] {
  return { name, balance, protocol, tls: tls !== null };
}

function readUrl(text: string | undefined): URL {
  if (text === undefined) throw new ControlError("bad_request", "url: expected http://host/path");
  try {
    return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  } catch {
    throw new ControlError("bad_request", "url: expected http://host/path");
  }
}

function readHeaders(list: unknown[]): [string, string][] {
  const isPair = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string");
  if (list.length > HEADERS_MAX || !list.every(isPair)) {
    throw new ControlError("bad_request", `headers: expected at most ${HEADERS_MAX} pairs of name and value`);
  }
  return (list as [string, string][]).map(([name, value]) => [name.toLowerCase(), value]);
}

/** `ip`, `[ip]` or either with a port, as `ip:port`. */
function readClient(text: string | undefined): string | null {
  if (text === undefined) return null;
  const bare = /^\[?([0-9a-fA-F:.]+?)\]?$/.exec(text)?.[1];
  for (const address of [text, ...(bare ? [formatEndpoint({ ip: bare, port: 0 })] : [])]) {
    const endpoint = parseEndpoint(address);
    if (endpoint) return formatEndpoint(endpoint);
  }
  throw new ControlError("bad_request", "client: expected an IP address such as 192.0.2.1 or 2001:db8::1");
}

/** The listener whose port the URL has; the only one there is, if it has none of a listener. */
function listenerOf({ listeners }: Supervisor, { port, protocol }: URL): string | null {
  const wanted = port || (protocol === "https:" ? "443" : "80");
  const found = listeners.find(({ address }) => address.endsWith(`:${wanted}`)) ??
    (listeners.length === 1 ? listeners[0] : undefined);
  return found?.name ?? null;
}

function keyOf({ cluster: _, ...key }: RouteState) {
  return key;
}

/** With those of all where the cluster has none of its own. */
function ownTimeouts({ timeouts: own }: ClusterState, { timeouts: all }: State): Record<string, number> {
  return { connect: own.connect ?? all.connect, response: own.response ?? all.response };
}

function timeoutsOf(
  { timeouts: { request_header, request_body, idle, connection_age, write, tunnel } }: State,
): Record<string, number> {
  return { request_header, request_body, idle, connection_age, write, tunnel };
}
