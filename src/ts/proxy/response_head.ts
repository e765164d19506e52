// Heads of answers on their way to an exchange: read from a connection of HTTP/1, or taken from a stream of HTTP/2.

import * as abi from "../../../assembly/abi.ts";
import type { Http1Upstream } from "../cluster/http1_upstream.ts";
import { HEAD_LOST } from "../cluster/http2_upstream.ts";
import type { Upstream } from "../cluster/upstream.ts";
import { WOULD_BLOCK } from "../net/connection.ts";
import type { ProxyContext } from "./context.ts";
import { makeRoomForHead } from "./pump.ts";

export { HEAD_LOST };

/**
 * The next head is the message at hand (HEAD_DONE), has to be waited for (HEAD_MORE), will not come (HEAD_LOST), or is a refusal.
 * `request`: F_ bits of the request that it answers.
 */
export function readHead(context: ProxyContext, upstream: Upstream, request: number): number {
  return upstream.isShared ? upstream.takeHead() : readHttp1(context, upstream, request);
}

function readHttp1(context: ProxyContext, upstream: Http1Upstream, request: number): number {
  const { codec } = context.core;
  for (;;) {
    let fresh = upstream.inEnd - upstream.inAt;
    if (fresh === 0 || upstream.headBegun) {
      fresh = receive(upstream);
      if (fresh === 0) return abi.HEAD_MORE;
      if (fresh < 0) return HEAD_LOST;
    }
    if (!upstream.headBegun) {
      makeRoomForHead(context, upstream);
      codec.beginResponse(upstream.record, upstream.inAt, upstream.buffer);
      upstream.headBegun = true;
    }
    const code = codec.feedResponse(upstream.record, fresh, request);
    if (code !== abi.HEAD_MORE) {
      if (code === abi.HEAD_DONE) upstream.headBegun = false;
      return code;
    }
    if (upstream.room === 0) return abi.RESPONSE_HEADER_TOO_LARGE;
  }
}

/** How many bytes have come; 0: none now, -1: the connection is lost. */
function receive(upstream: Http1Upstream): number {
  if (!upstream.readable) return rest(upstream);
  if (upstream.buffer === 0 && !upstream.acquireBuffer()) return 0;
  const n = upstream.receive(upstream.room);
  if (n > 0) {
    if (!upstream.hasAnswered) upstream.noteAnswered();
    return n;
  }
  if (n === WOULD_BLOCK) return rest(upstream);
  if (!upstream.hasAnswered) upstream.noteLost(n);
  return -1;
}

function rest(upstream: Http1Upstream): number {
  if (upstream.inAt === upstream.inEnd) upstream.releaseBuffer();
  return 0;
}
