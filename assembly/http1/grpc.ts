// Whether a request is a call of gRPC: who asks in it looks for the outcome in grpc-status, and not in the status of HTTP, so
// the proxy's own answers have to say it there. gRPC-Web is none: its clients read what HTTP says.

import { equals, equalsIgnoreCase, intern, lower } from "../bytes";
import { Record } from "../memory";

const CONTENT_TYPE = intern("content-type");
const NAME_BYTES: u32 = 12;
const GRPC = intern("application/grpc");
const TYPE_BYTES: u32 = 16;

/** The media type is application/grpc, perhaps with a suffix ("+proto") or parameters. Names are in small letters. */
export function isGrpcCall(record: Record): bool {
  const count = record.headerCount;
  for (let i: u32 = 0; i < count; i++) {
    const header = record.entry(i);
    if (header.nameLength != NAME_BYTES || !equals(header.nameAt, CONTENT_TYPE + 2, NAME_BYTES)) continue;
    return isGrpcType(header.valueAt, header.valueLength);
  }
  return false;
}

function isGrpcType(at: usize, length: u32): bool {
  // most other types of applications differ in the first letter behind the slash
  if (length < TYPE_BYTES || lower(load<u8>(at, 12)) != 0x67) return false;
  if (!equalsIgnoreCase(at, GRPC + 2, TYPE_BYTES)) return false;
  if (length == TYPE_BYTES) return true;
  const next = load<u8>(at, TYPE_BYTES);
  return next == 0x2b || next == 0x3b || next == 0x20;
}
