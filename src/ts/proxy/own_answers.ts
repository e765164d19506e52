// Answers of the proxy's own, sent to a client: refusals, and the redirect to https.

import * as abi from "../../../assembly/abi.ts";
import { hostEnd } from "../net/tls_certificates.ts";
import { Counters } from "../observe/counters.ts";
import type { ProxyContext } from "./context.ts";
import type { Downstream } from "./downstream.ts";

export const PERMANENT_REDIRECT = 308;
/** What HTTP says of an answer whose meaning is in grpc-status. */
const GRPC_STATUS = 200;
const REDIRECTED = Counters.index("requests.redirected");

/** `flags`: F_ bits of the request; `closes`: the connection of HTTP/1 ends with it. False: not all of it has been sent. */
export function sendRefusal(
  context: ProxyContext,
  session: Downstream,
  refusal: number,
  flags: number,
  closes: boolean,
): boolean {
  const { core, loop, clock, answers } = context;
  clock.refresh(loop.nowMs);
  const to = core.codec.headScratchAt();
  if (session.isGrpc) {
    const length = answers.writeGrpc(to, refusal);
    return session.sendAnswer(to, length, length, GRPC_STATUS);
  }
  const toHead = (flags & abi.F_HEAD) !== 0;
  const isOld = (flags & abi.F_KEEP_ALIVE_1_0) !== 0;
  // what did not come by TLS has no say in how it is to come (RFC 6797 §7.2)
  const fields = session.secure === null ? null : session.listener.transportSecurity;
  const length = answers.write(to, refusal, fields, closes && !session.isShared, isOld, toHead);
  const bodyLength = refusalBodyLength(context, session, refusal, flags);
  return session.sendAnswer(to, length - bodyLength, length, answers.status(refusal));
}

export function refusalBodyLength(
  { answers }: ProxyContext,
  session: Downstream,
  refusal: number,
  flags: number,
): number {
  return session.isGrpc || flags & abi.F_HEAD ? 0 : answers.bodyLength(refusal);
}

/** To the same host and target, at the port that the listener names; the request at hand has a host. As sendRefusal(). */
export function sendRedirect(context: ProxyContext, session: Downstream, flags: number, closes: boolean): boolean {
  const { core, loop, clock, answers, counters } = context;
  const r = core.result;
  const at = r[abi.R_HOST_AT]!;
  const host = { at, length: hostEnd(core.u8, at, at + r[abi.R_HOST_LENGTH]!) - at };
  const target = { at: r[abi.R_TARGET_AT]!, length: r[abi.R_TARGET_LENGTH]! };
  const isOld = (flags & abi.F_KEEP_ALIVE_1_0) !== 0;
  counters.add(REDIRECTED, 1);
  clock.refresh(loop.nowMs);
  const to = core.codec.headScratchAt();
  const port = session.listener.redirectPort;
  const written = answers.writeRedirect(to, host, port, target, closes && !session.isShared, isOld);
  return session.sendAnswer(to, written, written, PERMANENT_REDIRECT);
}
