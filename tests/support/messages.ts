// Reads whole HTTP/1 messages from a peer, for tests that look at meaning and not at bytes. Independent of the proxy's
// parser on purpose, and simple: it believes its input and knows lengths, chunks and the end of the connection.

import { type Bytes, concat, indexOf, toText } from "./bytes.ts";
import type { Peer } from "./peer.ts";

export interface Message {
  /** Request line or status line. */
  line: string;
  /** Of a response; 0 for a request. */
  status: number;
  /** Names in lower case; fields of one name joined by ", ". */
  fields: Record<string, string>;
  /** The head as it came, with its empty line. */
  head: string;
  body: Bytes;
  /** Trailer fields. */
  trailers: Record<string, string>;
  /** Bytes of the whole message. */
  size: number;
}

function readFields(lines: string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  return fields;
}

interface Body {
  body: Bytes;
  end: number;
  trailers: Record<string, string>;
}

function readChunks(bytes: Bytes, from: number): Body | undefined {
  const pieces: Bytes[] = [];
  let at = from;
  while (true) {
    const lineEnd = indexOf(bytes, "\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = parseInt(toText(bytes.subarray(at, lineEnd)), 16);
    if (Number.isNaN(size)) throw new Error(`no chunk size: ${toText(bytes.subarray(at, lineEnd))}`);
    at = lineEnd + 2;
    if (size === 0) break;
    if (bytes.length < at + size + 2) return undefined;
    pieces.push(bytes.subarray(at, at + size));
    at += size + 2;
  }
  const lines: string[] = [];
  while (true) {
    const lineEnd = indexOf(bytes, "\r\n", at);
    if (lineEnd < 0) return undefined;
    if (lineEnd === at) return { body: concat(pieces), end: at + 2, trailers: readFields(lines) };
    lines.push(toText(bytes.subarray(at, lineEnd)));
    at = lineEnd + 2;
  }
}

export interface Expected {
  /** The response answers a HEAD. */
  toHead?: boolean;
  /** The connection has ended: a body without length or chunks is complete. */
  ended?: boolean;
}

/** The message at the beginning of `bytes`, or undefined as long as it is not complete. */
export function parseMessage(bytes: Bytes, { toHead = false, ended = false }: Expected = {}): Message | undefined {
  const headEnd = indexOf(bytes, "\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = toText(bytes.subarray(0, headEnd + 4));
  const [line = "", ...rest] = head.slice(0, -4).split("\r\n");
  const fields = readFields(rest);
  const status = Number(line.match(/^HTTP\/1\.1 (\d{3}) /)?.[1] ?? 0);
  const from = headEnd + 4;
  const noBody = toHead || (status >= 100 && status < 200) || status === 204 || status === 304;
  let body: Body | undefined;
  if (noBody) body = { body: new Uint8Array(), end: from, trailers: {} };
  else if (fields["transfer-encoding"] === "chunked") body = readChunks(bytes, from);
  else if (fields["content-length"] !== undefined || status === 0) {
    const end = from + Number(fields["content-length"] ?? 0);
    if (bytes.length >= end) body = { body: bytes.slice(from, end), end, trailers: {} };
  } else if (ended) body = { body: bytes.slice(from), end: bytes.length, trailers: {} };
  return body && { line, status, fields, head, body: body.body, trailers: body.trailers, size: body.end };
}

/** Waits for a whole message and takes its bytes from the peer. */
export async function readMessage(peer: Peer, expected: Expected = {}, waitMs?: number): Promise<Message> {
  const message = await peer.until("a whole message", () => {
    return parseMessage(peer.received, { ended: peer.end === "closed", ...expected });
  }, waitMs);
  peer.take(message.size);
  return message;
}

/** A response with a length, as a test's backend sends it. */
export function response(body: string, fields = "", status = "200 OK"): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
}

/** A request without a body. */
export function get(target: string, fields = "", host = "a.test"): string {
  return `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`;
}
