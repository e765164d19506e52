// What a connection bears and announces, by number: the caller writes the words of a profile, and whatever is changed holds at
// once for the connections that have it, but for settings, which are said when a connection begins. Where no standard says how
// much is too much, the defaults are what browsers and load generators stay well below.

import {
  ABUSE_CONTINUATIONS, ABUSE_EMPTY_FRAMES, ABUSE_IGNORED_FRAMES, ABUSE_PINGS, ABUSE_PRIORITIES, ABUSE_REFUSED_STREAMS,
  ABUSE_RESETS, ABUSE_RESETS_CAUSED, ABUSE_SETTINGS, ABUSE_SMALL_FRAMES, ABUSE_WINDOW_UPDATES, H2_PROFILE_WORDS,
  H2_PROFILES, P_CONNECT_PROTOCOL, P_CONNECTION_WINDOW, P_HEADER_LIST, P_STREAM_WINDOW, P_STREAMS,
} from "../abi";
import { h2ProfilesAt, h2StreamsMax, headerBytesMax } from "../memory";

@inline
export function profileAt(number: u32): u32 { return h2ProfilesAt + number * H2_PROFILE_WORDS * 4; }

@inline
function set(number: u32, word: u32, value: u32): void {
  store<u32>(usize(profileAt(number) + (word << 2)), value);
}

export function beginProfiles(): void {
  for (let number: u32 = 0; number < u32(H2_PROFILES); number++) {
    // a browser that leaves a page resets all that it had asked for
    set(number, ABUSE_RESETS, 200);
    set(number, ABUSE_RESETS_CAUSED, 100);
    set(number, ABUSE_PINGS, 100);
    set(number, ABUSE_SETTINGS, 50);
    set(number, ABUSE_EMPTY_FRAMES, 100);
    set(number, ABUSE_WINDOW_UPDATES, 1000);
    set(number, ABUSE_PRIORITIES, 500);
    set(number, ABUSE_CONTINUATIONS, 20);
    set(number, ABUSE_REFUSED_STREAMS, 100);
    set(number, ABUSE_IGNORED_FRAMES, 1000);
    set(number, ABUSE_SMALL_FRAMES, 1000);
    set(number, P_STREAMS, h2StreamsMax);
    set(number, P_STREAM_WINDOW, 65535);
    set(number, P_CONNECTION_WINDOW, 1048576);
    set(number, P_HEADER_LIST, headerBytesMax);
    set(number, P_CONNECT_PROTOCOL, 0);
  }
}
