// What connections are given up for that do too much of something: the codec counts it (assembly/http2) and names it by a
// number, which has a counter here.

import * as abi from "../../../assembly/abi.ts";
import { Counters } from "../observe/counters.ts";

const COUNTERS = new Map<number, number>([
  [abi.ABUSE_RESETS, Counters.index("h2.abuse.rapid_reset")],
  [abi.ABUSE_RESETS_CAUSED, Counters.index("h2.abuse.made_you_reset")],
  [abi.ABUSE_PINGS, Counters.index("h2.abuse.ping")],
  [abi.ABUSE_SETTINGS, Counters.index("h2.abuse.settings")],
  [abi.ABUSE_EMPTY_FRAMES, Counters.index("h2.abuse.empty_frames")],
  [abi.ABUSE_WINDOW_UPDATES, Counters.index("h2.abuse.window_update")],
  [abi.ABUSE_PRIORITIES, Counters.index("h2.abuse.priority")],
  [abi.ABUSE_CONTINUATIONS, Counters.index("h2.abuse.continuation")],
  [abi.ABUSE_REFUSED_STREAMS, Counters.index("h2.abuse.refused_streams")],
  [abi.ABUSE_IGNORED_FRAMES, Counters.index("h2.abuse.ignored_frames")],
  [abi.ABUSE_SMALL_FRAMES, Counters.index("h2.abuse.small_frames")],
  [abi.ABUSE_HEADER_BLOCK, Counters.index("h2.abuse.header_block")],
  [abi.ABUSE_SETTINGS_SIZE, Counters.index("h2.abuse.settings_size")],
  [abi.ABUSE_HEADER_LIST, Counters.index("h2.abuse.header_list")],
]);

/** Index of the counter for an ABUSE_ number. */
export function abuseCounter(abuse: number): number {
  return COUNTERS.get(abuse)!;
}
