// What is right in itself and wrong together: references to clusters that are not there, listeners and routes that say
// the same twice, limits that do not fit each other. Works on drafts, in which anything that was refused is missing, so
// that these problems are found in the same run as all others. Linear in the size of the state.

import type { Checker, Draft } from "./check.ts";
import { type Path, show } from "./problem.ts";
import { routeKey } from "./route_key.ts";
import {
  checkCertificate,
  checkClusterTls,
  checkListenerTls,
  type Refuse,
  type Surroundings,
} from "./cross_check_tls.ts";
import { BUFFER_MEMORY_MAX, HEAD_ROOM_BYTES } from "./schema_limits.ts";
import type { ClusterState, LimitsState, RouteState, State } from "./state.ts";
import { formatSize } from "./units.ts";

/** What is known of where a draft comes from. */
export interface Origin {
  /** True if the path was written, false if it is a default. */
  isGiven(path: Path): boolean;
  /** How a message names something else in the same place. */
  nameOf(path: Path): string;
}

/** Checks a draft, and fills in what depends on other keys. */
export function crossCheck(draft: Draft<State>, checker: Checker, origin: Origin): void {
  checkListeners(draft, checker);
  for (const [name, cluster] of Object.entries(draft.clusters ?? {})) {
    if (cluster) checkBackends(cluster, checker, ["clusters", name]);
  }
  checkTls(draft, checker, origin);
  checkRoutes(draft, checker, origin);
  if (draft.limits) checkLimits(draft.limits, checker, origin);
  if (draft.limits?.http2_connections === 0) refuseHttp2(draft, checker);
}

/** Clients are offered HTTP/1.1 where HTTP/2 is switched off; to backends there would be no way. */
function refuseHttp2({ clusters }: Draft<State>, checker: Checker): void {
  for (const [name, cluster] of Object.entries(clusters ?? {})) {
    const protocol = cluster?.protocol;
    if (protocol === undefined || protocol === "http/1.1") continue;
    checker.refuse(["clusters", name, "protocol"], WITHOUT_HTTP2, show(protocol));
  }
}

export const WITHOUT_HTTP2 = '"http/1.1" with "limits.http2_connections: 0"';

function checkListeners({ listeners }: Draft<State>, checker: Checker): void {
  const owners = new Map<string, string>();
  for (const [name, listener] of Object.entries(listeners ?? {})) {
    const address = listener?.address;
    if (address === undefined || address.endsWith(":0")) continue;
    const owner = owners.get(address);
    if (owner === undefined) owners.set(address, name);
    else {checker.refuse(
        ["listeners", name, "address"],
        "an address of its own",
        `${show(address)}, which "${owner}" has`,
      );}
  }
}

function checkTls({ listeners, clusters, certificates }: Draft<State>, checker: Checker, origin: Origin): void {
  // If the certificates could not be read at all, nothing can be said of references to them.
  const around: Surroundings = {
    hasCertificate: (name) => certificates === undefined || Object.hasOwn(certificates, name),
    suggest: (name) => checker.suggest(name, Object.keys(certificates ?? {})),
  };
  const below = (...start: Path): Refuse => (path, ...rest) => checker.refuse([...start, ...path], ...rest);
  for (const [name, listener] of Object.entries(listeners ?? {})) {
    const isGiven = (key: string) => origin.isGiven(["listeners", name, key]);
    if (listener) checkListenerTls(listener, around, below("listeners", name), isGiven);
  }
  for (const [name, cluster] of Object.entries(clusters ?? {})) {
    // of most there is nothing to say, and there may be ten thousand
    if (!cluster || (!cluster.tls && cluster.protocol === "http/1.1")) continue;
    const isGiven = (key: string) => origin.isGiven(["clusters", name, key]);
    checkClusterTls(cluster, around, below("clusters", name), isGiven);
  }
  let at = 0;
  for (const certificate of Object.values(certificates ?? {})) {
    if (certificate) checkCertificate(certificate, below("certificates", at));
    at++;
  }
}

/** Checks that each backend is there once; `path` is where the cluster stands. */
export function checkBackends(cluster: Draft<ClusterState>, checker: Checker, path: Path): void {
  const seen = new Map<string, number>();
  for (const [at, backend] of (cluster.backends ?? []).entries()) {
    const address = backend?.address;
    if (address === undefined) continue;
    const first = seen.get(address);
    if (first === undefined) seen.set(address, at);
    else {
      const place = [...path, "backends", at];
      checker.refuse(place, "each backend once", `${show(address)} again`, 'a larger share is a larger "weight"');
    }
  }
}

function checkRoutes(draft: Draft<State>, checker: Checker, origin: Origin): void {
  const clusters = draft.clusters;
  const seen = new Map<string, number>();
  for (const [at, route] of (draft.routes ?? []).entries()) {
    if (!route) continue;
    // If the clusters could not be read at all, nothing can be said of references to them.
    if (route.cluster !== undefined && clusters && !Object.hasOwn(clusters, route.cluster)) {
      const names = Object.keys(clusters);
      const expected = names.length === 0
        ? "a cluster, of which there are none"
        : 'the name of a cluster in "clusters"';
      checker.refuse(["routes", at, "cluster"], expected, show(route.cluster), checker.suggest(route.cluster, names));
    }
    const text = ruleText(route);
    if (text === null) continue;
    const first = seen.get(text);
    if (first === undefined) seen.set(text, at);
    else {checker.refuse(
        ["routes", at],
        "each rule once",
        `the same as ${origin.nameOf(["routes", first])}`,
        REPEATED_RULE,
      );}
  }
}

const REPEATED_RULE = "remove one, or give them priorities";

/** All that a route asks for, as one text; null if something of it was refused. */
function ruleText({ host, path, methods, headers, priority }: Draft<RouteState>): string | null {
  if (host === undefined || path === undefined || priority === undefined || !methods || !headers) return null;
  const values = Object.values(headers);
  if (methods.includes(undefined) || values.includes(undefined)) return null;
  return routeKey({ host, path, priority, methods: methods as string[], headers: headers as Record<string, string> });
}

export function checkLimits(limits: Draft<LimitsState>, checker: Checker, origin: Pick<Origin, "isGiven">): void {
  /** Of the keys that are at odds, the first that the file has is the one to point at. */
  const refuse = (keys: (keyof LimitsState)[], expected: string, got: string, hint: string) => {
    const key = keys.find((name) => origin.isGiven(["limits", name])) ?? keys[0]!;
    checker.refuse(["limits", key], expected, got, hint);
  };
  const { buffers, buffer_size: buffer, header_bytes: head, target_bytes: target } = limits;
  if (head !== undefined && buffer !== undefined && head > buffer - HEAD_ROOM_BYTES) {
    const expected = `header_bytes at least ${formatSize(HEAD_ROOM_BYTES)} below buffer_size`;
    const got = `${formatSize(head)} with buffers of ${formatSize(buffer)}`;
    refuse(
      ["header_bytes", "buffer_size"],
      expected,
      got,
      `header_bytes may be ${formatSize(buffer - HEAD_ROOM_BYTES)}`,
    );
  }
  if (target !== undefined && head !== undefined && target > head) {
    const got = `${formatSize(target)} with heads of ${formatSize(head)}`;
    refuse(
      ["target_bytes", "header_bytes"],
      "target_bytes at most header_bytes",
      got,
      `target_bytes may be ${formatSize(head)}`,
    );
  }
  if (buffers !== undefined && buffer !== undefined && buffers * buffer > BUFFER_MEMORY_MAX) {
    const expected = `buffers of at most ${formatSize(BUFFER_MEMORY_MAX)} together`;
    const got = `${buffers} of ${formatSize(buffer)}`;
    refuse(["buffers", "buffer_size"], expected, got, `buffers may be ${Math.floor(BUFFER_MEMORY_MAX / buffer)}`);
  }
}
