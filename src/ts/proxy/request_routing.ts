// Where the request at hand goes, by the result area that describes it.

import * as abi from "../../../assembly/abi.ts";
import type { ProxyContext } from "./context.ts";
import type { Downstream } from "./downstream.ts";
import type { SecureSession } from "./secure_session.ts";

/** Number of the route, or -1. */
export function findRoute({ router, fields, core }: ProxyContext, session: Downstream): number {
  const r = core.result;
  fields.record = session.record;
  return router.lookup(
    core.u8,
    r[abi.R_HOST_AT]!,
    r[abi.R_HOST_LENGTH]!,
    r[abi.R_PATH_AT]!,
    r[abi.R_PATH_LENGTH]!,
    r[abi.R_METHOD_AT]!,
    r[abi.R_METHOD_LENGTH]!,
    fields,
  );
}

/** RFC 9110 §15.5.20: whether the certificate that the client was shown is for the host that it asks for. */
export function coversHost({ core }: ProxyContext, { certificates }: SecureSession): boolean {
  const { result: r, u8 } = core;
  return certificates !== null && certificates.covers(u8, r[abi.R_HOST_AT]!, r[abi.R_HOST_LENGTH]!);
}
