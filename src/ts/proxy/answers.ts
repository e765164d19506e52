// What the proxy answers by itself: one table from each refusal to its name (the counter and the log's word), status
// and body, and the texts made from it once, in linear memory. A refusal whose body nobody should have to read again
// has a stable name; the words may be replaced in the configuration (`answers`).

import * as abi from "../../../assembly/abi.ts";
import type { Core } from "../../wasm/core.ts";
import { CUT_SHORT, grpcFields } from "./grpc_status.ts";

export interface Refusal {
  name: string;
  status: number;
  body: string;
}

// Refusals that parsing finds are the negative numbers of the ABI; these are found by the proxy.
export const BODY_TOO_LARGE = -20;
export const REQUEST_TIMEOUT = -21;
export const NO_ROUTE = -22;
export const NO_BACKEND = -23;
export const UPSTREAM_LIMIT = -24;
export const CONNECT_FAILED = -25;
export const CONNECT_TIMEOUT = -26;
export const RESPONSE_TIMEOUT = -27;
export const BACKEND_CLOSED = -28;
export const TRAILERS_TOO_LARGE = -29;
export const PLAIN_HTTP = -30;
export const MISDIRECTED = -31;
export const BACKEND_TLS = -32;
export const NO_WEBSOCKET = -33;

export const REFUSALS: ReadonlyMap<number, Refusal> = new Map<number, Refusal>([
  [abi.BAD_REQUEST, { name: "bad_request", status: 400, body: "The request is malformed." }],
  [abi.URI_TOO_LONG, { name: "uri_too_long", status: 414, body: "The request target is too long." }],
  [abi.HEADER_TOO_LARGE, { name: "header_too_large", status: 431, body: "The request's header fields are too large." }],
  [abi.VERSION_NOT_SUPPORTED, {
    name: "version_not_supported",
    status: 505,
    body: "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
  }],
  [abi.TRANSFER_CODING_UNKNOWN, {
    name: "transfer_coding_unknown",
    status: 501,
    body: "The only transfer coding known here is chunked.",
  }],
  [abi.METHOD_NOT_ALLOWED, { name: "method_not_allowed", status: 405, body: "This is not a forward proxy." }],
  [abi.METHOD_UNKNOWN, { name: "method_unknown", status: 501, body: "The request method is not known here." }],
  [abi.BAD_RESPONSE, { name: "bad_response", status: 502, body: "The backend's answer is malformed." }],
  [abi.RESPONSE_HEADER_TOO_LARGE, {
    name: "response_header_too_large",
    status: 502,
    body: "The backend's header fields are too large.",
  }],
  [BODY_TOO_LARGE, { name: "body_too_large", status: 413, body: "The request body is too large." }],
  [REQUEST_TIMEOUT, { name: "request_timeout", status: 408, body: "The request did not arrive in time." }],
  [NO_ROUTE, { name: "no_route", status: 404, body: "Nothing is served here." }],
  [NO_BACKEND, { name: "no_backend", status: 503, body: "No backend is available." }],
  [UPSTREAM_LIMIT, { name: "upstream_limit", status: 503, body: "Too many requests are in progress." }],
  [CONNECT_FAILED, { name: "connect_failed", status: 503, body: "The backend cannot be reached." }],
  [CONNECT_TIMEOUT, { name: "connect_timeout", status: 504, body: "The backend cannot be reached in time." }],
  [RESPONSE_TIMEOUT, { name: "response_timeout", status: 504, body: "The backend did not answer in time." }],
  [BACKEND_CLOSED, { name: "backend_closed", status: 502, body: "The backend closed the connection." }],
  [TRAILERS_TOO_LARGE, { name: "trailers_too_large", status: 431, body: "The trailer fields are too large." }],
  [PLAIN_HTTP, { name: "plain_http", status: 400, body: "This port speaks TLS: the request has to come by https." }],
  [BACKEND_TLS, { name: "backend_tls", status: 502, body: "There is no secure connection to the backend." }],
  [NO_WEBSOCKET, { name: "no_websocket", status: 502, body: "The backend takes no WebSockets over HTTP/2." }],
  [MISDIRECTED, { name: "misdirected", status: 421, body: "This connection is for other hosts." }],
]);

const REASONS: Record<number, string> = {
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  421: "Misdirected Request",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

/** Numbers of refusals are smaller. */
const REFUSALS_MAX = 40;
/** Seconds after which a client that was refused for want of room may come again. */
const RETRY_AFTER_S = 1;

const REDIRECT = "HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 0\r\nLocation: https://";
/** In front of fields for clients of gRPC, for which HTTP has nothing to say. */
const GRPC_LINE = "HTTP/1.1 200 OK\r\n";
const CRLF = "\r\n";
const COLON = 0x3a;
const SLASH = 0x2f;
const QUERY = 0x3f;

const CLOSE = "Connection: close\r\n\r\n";
const KEEP = "\r\n";
const KEEP_1_0 = "Connection: keep-alive\r\n\r\n";

export interface Piece {
  at: number;
  length: number;
}

/** The texts of all refusals, in the text area. Counting them is the caller's: `counts` by refusal, as a typed array. */
export class Answers {
  readonly #core: Core;
  readonly #heads: Piece[] = [];
  readonly #bodies: Piece[] = [];
  readonly #names: Piece[] = [];
  /** The same for calls of gRPC, in fields alone. */
  readonly #grpcHeads: Piece[] = [];
  readonly #statuses = new Int32Array(REFUSALS_MAX);
  readonly #counts = new Float64Array(REFUSALS_MAX);
  readonly #close: Piece;
  readonly #keep: Piece;
  readonly #keep10: Piece;
  readonly #redirect: Piece;
  readonly #crlf: Piece;
  /** Trailers of an answer to a call of gRPC that cannot be completed, as lines of fields. */
  readonly grpcCutShort: Piece;
  /** Where the texts begin that depend on the configuration, and where the next one goes. */
  readonly #begin: number;
  #end: number;

  /** `bodies`: texts of the configuration, by status. */
  constructor(core: Core, bodies: Readonly<Record<string, string>>) {
    this.#core = core;
    this.#end = core.textAt + abi.TEXT_ANSWERS;
    this.#close = this.#store(CLOSE);
    this.#keep = this.#store(KEEP);
    this.#keep10 = this.#store(KEEP_1_0);
    this.#redirect = this.#store(REDIRECT);
    this.#crlf = this.#store(CRLF);
    this.grpcCutShort = this.#store(CUT_SHORT);
    this.#begin = this.#end;
    this.setBodies(bodies);
  }

  /** Writes all texts anew; what is counted stays. */
  setBodies(bodies: Readonly<Record<string, string>>): void {
    this.#end = this.#begin;
    for (const [code, { name, status, body }] of REFUSALS) {
      const words = bodies[status] ?? body + "\n";
      const text = new TextEncoder().encode(words);
      const retry = status === 503 ? `Retry-After: ${RETRY_AFTER_S}\r\n` : "";
      const allow = status === 405 ? "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, TRACE\r\n" : "";
      const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
        `Content-Length: ${text.length}\r\n${retry}${allow}`;
      this.#heads[-code] = this.#store(head);
      this.#bodies[-code] = this.#storeBytes(text);
      this.#grpcHeads[-code] = this.#store(GRPC_LINE + grpcFields(status, words));
      this.#names[-code] = this.#store(name);
      this.#statuses[-code] = status;
    }
  }

  status(refusal: number): number {
    return this.#statuses[-refusal]!;
  }

  /** The refusal's name as bytes in linear memory, for the log. */
  nameAt(refusal: number): number {
    return this.#names[-refusal]!.at;
  }

  nameLength(refusal: number): number {
    return this.#names[-refusal]!.length;
  }

  count(refusal: number): void {
    this.#counts[-refusal]! += 1;
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const [code, { name }] of REFUSALS) counts[`refused.${name}`] = this.#counts[-code]!;
    return counts;
  }

  /** Writes a whole answer at `to`; returns its length. `fields`: further ones; `toHead`: without the body. */
  write(
    to: number,
    refusal: number,
    fields: Uint8Array<ArrayBuffer> | null,
    close: boolean,
    keepAlive10: boolean,
    toHead: boolean,
  ): number {
    let at = this.#put(to, this.#heads[-refusal]!.at, this.#heads[-refusal]!.length);
    if (fields !== null) {
      this.#core.u8.set(fields, at);
      at += fields.length;
    }
    at = this.#putEnd(at, close, keepAlive10);
    if (!toHead) at = this.#put(at, this.#bodies[-refusal]!.at, this.#bodies[-refusal]!.length);
    return at - to;
  }

  /** The same for a call of gRPC in HTTP/2: a head that is all of the answer. */
  writeGrpc(to: number, refusal: number): number {
    const { at, length } = this.#grpcHeads[-refusal]!;
    return this.#putEnd(this.#put(to, at, length), false, false) - to;
  }

  /**
   * Writes an answer that sends the client to https, with path and query as they are; returns its length. `host` is without
   * port; `port` is that of https.
   */
  writeRedirect(
    to: number,
    host: Piece,
    port: number,
    target: Piece,
    close: boolean,
    keepAlive10: boolean,
  ): number {
    const { u8 } = this.#core;
    let at = this.#put(to, this.#redirect.at, this.#redirect.length);
    at = this.#put(at, host.at, host.length);
    if (port !== 443) {
      u8[at++] = COLON;
      for (const digit of String(port)) u8[at++] = digit.charCodeAt(0);
    }
    // "*" of OPTIONS, and an absolute target without a path
    const first = target.length === 0 ? 0 : u8[target.at]!;
    if (first !== SLASH) u8[at++] = SLASH;
    if (first === SLASH || first === QUERY) at = this.#put(at, target.at, target.length);
    at = this.#put(at, this.#crlf.at, this.#crlf.length);
    return this.#putEnd(at, close, keepAlive10) - to;
  }

  /** The date, what becomes of the connection, and the empty line. */
  #putEnd(at: number, close: boolean, keepAlive10: boolean): number {
    const dateAt = this.#core.textAt + abi.TEXT_DATE;
    at = this.#put(at, dateAt + 4, this.#core.i32[dateAt >> 2]!);
    const end = close ? this.#close : keepAlive10 ? this.#keep10 : this.#keep;
    return this.#put(at, end.at, end.length);
  }

  bodyLength(refusal: number): number {
    return this.#bodies[-refusal]!.length;
  }

  #put(to: number, from: number, length: number): number {
    this.#core.codec.copy(to, from, length);
    return to + length;
  }

  #store(text: string): Piece {
    return this.#storeBytes(new TextEncoder().encode(text));
  }

  #storeBytes(bytes: Uint8Array): Piece {
    const at = this.#end;
    this.#core.u8.set(bytes, at);
    this.#end += bytes.length;
    return { at, length: bytes.length };
  }
}
