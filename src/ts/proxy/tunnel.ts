// What a connection becomes behind a 101, or a 2xx to CONNECT: bytes go through in both directions as they are, each until
// its side ends it, which the other side is told.

import * as abi from "../../../assembly/abi.ts";
import type { Upstream } from "../cluster/upstream.ts";
import type { ProxyContext } from "./context.ts";
import type { Downstream } from "./downstream.ts";
import * as pumping from "./pump.ts";
import { pump } from "./pump.ts";

/** What either side has sent behind its head belongs to the tunnel. */
export function beginTunnel(session: Downstream, upstream: Upstream): void {
  session.beginTunnel(abi.BODY_CLOSE);
  upstream.beginTunnel(abi.BODY_CLOSE);
}

/** What has become of it. */
export const TUNNEL_OPEN = 0;
/** Both directions have ended. */
export const TUNNEL_ENDED = 1;
/** One side has failed. */
export const TUNNEL_CUT = 2;

/** Moves what can be moved: TUNNEL_. */
export function pumpTunnel(context: ProxyContext, session: Downstream, upstream: Upstream): number {
  const down = pump(context, upstream, session);
  const up = down === pumping.SINK_LOST ? down : pump(context, session, upstream);
  if (down >= pumping.SOURCE_LOST || up >= pumping.SOURCE_LOST) return TUNNEL_CUT;
  if (down === pumping.DONE && session.noteWriteEnd()) session.shutdownWrite();
  if (up === pumping.DONE && upstream.noteWriteEnd()) upstream.shutdownWrite();
  if (down === pumping.DONE && up === pumping.DONE) return TUNNEL_ENDED;
  session.armTimer(context.timeouts.tunnelMs);
  return TUNNEL_OPEN;
}

/** Behind CONNECT, the side that is left learns by a reset that not everything has come (RFC 9113 §8.5). */
export function cutTunnel(context: ProxyContext, session: Downstream, upstream: Upstream): void {
  session.cutTunnel();
  if (!upstream.isShared) context.loop.system.setResetOnClose(upstream.fd);
}
