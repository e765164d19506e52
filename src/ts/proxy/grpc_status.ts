// What a call of gRPC is told when the proxy answers it by itself: its client reads grpc-status, from fields that end the stream,
// and takes a body for messages. The fields are made once for each refusal; the code follows from the status that HTTP gives it.
//
// The codes are those of gRPC's own table from HTTP to gRPC, by which clients understand proxies that know nothing of gRPC.
// Where that says UNKNOWN and servers of gRPC have a code for the same thing, it is theirs.

const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNKNOWN = 2;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const UNIMPLEMENTED = 12;

const CODES: Readonly<Record<number, number>> = {
  400: INTERNAL,
  404: UNIMPLEMENTED,
  429: UNAVAILABLE,
  502: UNAVAILABLE,
  503: UNAVAILABLE,
  504: UNAVAILABLE,
  // not in the table: what servers say of a call that stops coming, of messages, names and metadata that are too large
  408: DEADLINE_EXCEEDED,
  413: RESOURCE_EXHAUSTED,
  414: RESOURCE_EXHAUSTED,
  431: RESOURCE_EXHAUSTED,
};

/** Clients take 8 KiB of fields as a rule, and what is longer than a line or two is read by nobody. */
const MESSAGE_BYTES_MAX = 1024;
const PERCENT = 0x25;

/** Of what a client learns when an answer that has begun cannot be completed. */
export const CUT_SHORT = `Grpc-Status: ${UNAVAILABLE}\r\nGrpc-Message: The answer was cut short.\r\n`;

/** Fields that tell a client of gRPC of a refusal; the status of HTTP is 200 with them. */
export function grpcFields(status: number, message: string): string {
  const code = CODES[status] ?? UNKNOWN;
  const said = percentEncoded(message.trim());
  return `Content-Type: application/grpc\r\nGrpc-Status: ${code}\r\nGrpc-Message: ${said}\r\n`;
}

/** As grpc-message has it: visible ASCII and blanks, the rest of UTF-8 as %XX; no character is cut. */
function percentEncoded(text: string): string {
  let encoded = "";
  for (const character of text) {
    const next = [...new TextEncoder().encode(character)].map(encodedByte).join("");
    if (encoded.length + next.length > MESSAGE_BYTES_MAX) break;
    encoded += next;
  }
  return encoded;
}

function encodedByte(byte: number): string {
  if (byte >= 0x20 && byte <= 0x7e && byte !== PERCENT) return String.fromCharCode(byte);
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}
