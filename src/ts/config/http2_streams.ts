// How many streams each HTTP/2 connection of a worker has room for: its records have a table that is sized when it starts.

import type { ListenerState } from "./state.ts";

/** Whatever the listeners say, so that most changes of theirs need no new workers. */
const STREAMS_MIN = 128;

export function streamsPerConnection(listeners: Iterable<Pick<ListenerState, "http2">>): number {
  let most = STREAMS_MIN;
  for (const { http2 } of listeners) most = Math.max(most, http2.max_concurrent_streams);
  return most;
}
