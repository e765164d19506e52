// What HTTP/2 asks of a worker when it starts: each of its connections, to clients and to backends, has a table of streams that
// is sized then, and is the same for all.

import type { ClusterState, ListenerState } from "./state.ts";

/** Whatever the state says, so that most changes of it need no new workers. */
const STREAMS_MIN = 128;

export function speaksHttp2({ protocol }: Pick<ClusterState, "protocol">): boolean {
  return protocol !== "http/1.1";
}

export function streamsPerConnection(
  listeners: Iterable<Pick<ListenerState, "http2">>,
  clusters: Iterable<Pick<ClusterState, "protocol" | "http2">>,
): number {
  let most = STREAMS_MIN;
  for (const { http2 } of listeners) most = Math.max(most, http2.max_concurrent_streams);
  for (const cluster of clusters) {
    if (speaksHttp2(cluster)) most = Math.max(most, cluster.http2.max_concurrent_streams);
  }
  return most;
}
