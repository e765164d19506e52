// The client's side of an exchange, whichever protocol it speaks: a connection of HTTP/1, which carries one exchange after
// the other, or a stream of HTTP/2, one of many on its connection. Bodies go through it as through any connection
// (net/connection.ts); here is what only a client's side does: heads, ends, and what becomes of it when things go wrong.

import type { Upstream } from "../cluster/upstream.ts";
import type { Connection } from "../net/connection.ts";
import type { Listener } from "../net/listener.ts";
import type { SecureSession } from "./secure_session.ts";
import type { Stream } from "./stream.ts";

export interface Downstream extends Connection {
  /** The exchange at hand. */
  stream: Stream | null;
  listener: Listener;
  /** null when the client speaks plainly. */
  secure: SecureSession | null;
  /** When the first byte of the head at hand arrived; in a handshake, when the connection came. */
  headBeganMs: number;

  /** Other exchanges are on the same connection, so that nothing in an answer is about the connection. */
  readonly isShared: boolean;

  /** Its connection takes no further request: the answer says so. One that is shared says it by itself. */
  readonly isTooOld: boolean;

  /** The request at hand is a call of gRPC: what its client reads is grpc-status, in a head or trailers that end the stream. */
  readonly isGrpc: boolean;

  /**
   * The head for the backend lies in the head scratch, `length` bytes: puts it in front of what has come of the body, behind
   * `headEnd`. DONE, or MALFORMED of pump.ts.
   */
  placeRequestHead(length: number, headEnd: number): number;

  /** Keeps the head as it was received, until a stream of a backend takes it, and what has come behind `headEnd`. */
  keepRequestHead(headEnd: number): void;

  /** A head that was kept goes on as that of a request of HTTP/1 after all: as placeRequestHead(). */
  placeKeptHead(length: number): number;

  /** That stream has taken it: what has come of the body may go on. DONE, or MALFORMED of pump.ts. */
  beginRequestBody(): number;

  /** Whether a head can be sent now; if not, the slot is called again when it may be. */
  mayPutHead(): boolean;

  /** Writes the interim answer that was parsed last, so that flushing `upstream` sends it. */
  putInterim(upstream: Upstream): void;

  /**
   * Writes the head of the answer that was parsed last; its length. `how`: W_ bits; `transport`: bytes at textScratchAt of a
   * Strict-Transport-Security field; `ends`: nothing follows.
   */
  writeResponseHead(upstream: Upstream, how: number, transport: number, ends: boolean): number;

  /** Puts that head in front of what has come of the body. How many bytes have been sent to the client with it. */
  placeResponseHead(upstream: Upstream, length: number): number;

  /** Sends an answer of the proxy's own, which lies at `at` as HTTP/1 has it: head, then body. False: not all of it. */
  sendAnswer(at: number, headLength: number, length: number, status: number): boolean;

  /** All of the answer's body has been sent; its trailers are still with `upstream`. */
  endResponse(upstream: Upstream): void;

  /** The answer cannot be completed. `looksComplete`: nothing that was sent tells of it. */
  cutShort(looksComplete: boolean): void;

  /** The far end of the tunnel that CONNECT has made is gone. */
  cutTunnel(): void;

  /** The exchange is over: the next one, or the end. */
  endStream(closes: boolean): void;

  /** The exchange is over, and so is what carried it. */
  close(): void;
}
