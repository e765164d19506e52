// What becomes of a request's fields on the way to the backend, told by the codec that would do it: the head is put together,
// parsed and written anew as if a client had sent it, in a record and a buffer that nobody uses.

import * as abi from "../../../assembly/abi.ts";
import { parseEndpoint } from "../net/endpoint.ts";
import { REFUSALS } from "../proxy/answers.ts";
import type { ProxyContext } from "../proxy/context.ts";
import type { Rewritten, WorkerOrder } from "./protocol.ts";
import { isTrusted, type Tables } from "./tables.ts";

type Request = Extract<WorkerOrder, { order: "explain" }>;

/** Stands for a client whose address nobody said. */
const NO_ADDRESS = "0.0.0.0:0";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Undefined when there is no room to try it. */
export function rewrite(context: ProxyContext, tables: Tables, request: Request): Rewritten | undefined {
  const { loop, buffers } = context;
  const buffer = buffers.take();
  if (buffer === 0) return undefined;
  const slot = loop.takeSlot();
  try {
    return slot < 0 ? undefined : rewriteIn(context, tables, request, slot, buffer);
  } finally {
    if (slot >= 0) loop.freeSlot(slot);
    buffers.give(buffer);
  }
}

function rewriteIn(
  { core, buffers, upstreams: { addressAt }, clock }: ProxyContext,
  tables: Tables,
  request: Request,
  slot: number,
  buffer: number,
): Rewritten | undefined {
  const { codec, u8 } = core;
  const sent = encoder.encode(headOf(request));
  if (sent.length > buffers.capacity) return undefined;
  const record = core.recordAt(slot);
  const at = buffer + buffers.bytesOffset;
  u8.set(parseEndpoint(request.client ?? NO_ADDRESS).bytes, addressAt);
  u8.set(sent, at);
  codec.beginConnection(record, addressAt, isTrusted(tables.trusted, u8, addressAt) ? abi.PEER_TRUSTED : 0);
  codec.beginRequest(record, at, buffer);
  const result = codec.feedRequest(record, sent.length);
  if (result < 0) return { refusal: REFUSALS.get(result)!.name, added: [], removed: [] };
  if (result !== abi.HEAD_DONE) return undefined;
  const length = codec.writeRequestHead(record, request.port, request.secure ? 1 : 0, clock.nextRequestId(), 0, 0);
  const from = codec.headScratchAt();
  const written = fieldsIn(decoder.decode(u8.slice(from, from + length)));
  return difference(request, written);
}

function headOf({ method, path, host, headers }: Request): string {
  const fields = headers.filter(([name]) => name !== "host").map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields.join("")}\r\n`;
}

function fieldsIn(head: string): [string, string][] {
  return head.split("\r\n").slice(1).filter((line) => line !== "").map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
}

function difference({ headers, client }: Request, written: [string, string][]): Rewritten {
  const isIn = (list: [string, string][], [name, value]: [string, string]) =>
    list.some(([other, text]) => other.toLowerCase() === name.toLowerCase() && text === value);
  const added = written.filter((field) => field[0] !== "Host" && !isIn(headers, field));
  const removed = headers.filter((field) => field[0] !== "host" && !isIn(written, field));
  return {
    refusal: null,
    added: added.map(([name, value]) => [name, shown(name, value, client)]),
    removed: removed.map(([name]) => name),
  };
}

/** What depends on a request that does not exist, in words. */
function shown(name: string, value: string, client: string | null): string {
  if (name === "X-Request-Id") return "32 hexadecimal digits";
  return name === "X-Forwarded-For" && client === null ? value.replace(/0\.0\.0\.0$/, "the client's address") : value;
}
