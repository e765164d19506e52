// The methods that the parser of HTTP/1 takes, by its numbers, so that the same ones are taken in HTTP/2.

import { equals, intern } from "../bytes";

export const METHOD_OTHER: u32 = u32.MAX_VALUE;

const NAMES: StaticArray<string> = [
  "DELETE", "GET", "HEAD", "POST", "PUT", "CONNECT", "OPTIONS", "TRACE", "COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH",
  "SEARCH", "UNLOCK", "BIND", "REBIND", "UNBIND", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY",
  "SUBSCRIBE", "UNSUBSCRIBE", "PATCH", "PURGE", "MKCALENDAR", "LINK", "UNLINK",
];
/** llhttp's 33 is SOURCE, which belongs to another protocol; 45 is PRI, and those between are RTSP's. */
const QUERY: u32 = 46;

const COUNT: i32 = 33;
/** Addresses of the names: no array of its own, which would lie where the map begins. */
const texts: usize = memory.data(132);
const QUERY_TEXT = intern("QUERY");

function fillTexts(): void {
  assert(NAMES.length == COUNT);
  for (let i = 0; i < COUNT; i++) store<u32>(texts + (usize(i) << 2), u32(intern(NAMES[i])));
}

fillTexts();

/** The number of a method, whose letters are capital ones. */
export function methodNumberOf(at: usize, length: u32): u32 {
  for (let i = 0; i < COUNT; i++) {
    const text = usize(load<u32>(texts + (usize(i) << 2)));
    if (load<u16>(text) == length && equals(at, text + 2, length)) return i;
  }
  return length == load<u16>(QUERY_TEXT) && equals(at, QUERY_TEXT + 2, length) ? QUERY : METHOD_OTHER;
}
