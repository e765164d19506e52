// The lines of a head as they are written: a field as it came, and those that heads of both directions have.

import { intern, put, putCrlf } from "../bytes";
import { Header } from "../memory";

export const CHUNKED_FIELD = intern("Transfer-Encoding: chunked\r\n");
export const UPGRADE_FIELD = intern("Connection: Upgrade\r\n");
export const NO_CONTENT = intern("Content-Length: 0\r\n");

@inline
export function putField(to: usize, header: Header): usize {
  to = put(to, header.nameAt, header.nameLength);
  store<u16>(to, 0x203a);
  return putCrlf(put(to + 2, header.valueAt, header.valueLength));
}
