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

const texts: StaticArray<u32> = new StaticArray<u32>(33);
const QUERY_TEXT = intern("QUERY");

function fillTexts(): void {
  for (let i = 0; i < NAMES.length; i++) texts[i] = u32(intern(NAMES[i]));
}

fillTexts();

/** The number of a method, whose letters are capital ones. */
export function methodNumberOf(at: usize, length: u32): u32 {
  for (let i = 0; i < texts.length; i++) {
    const text = usize(unchecked(texts[i]));
    if (load<u16>(text) == length && equals(at, text + 2, length)) return i;
  }
  return length == load<u16>(QUERY_TEXT) && equals(at, QUERY_TEXT + 2, length) ? QUERY : METHOD_OTHER;
}
