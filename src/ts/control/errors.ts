// Errors with which main refuses what is asked of it.

import type { ErrorFields } from "./protocol.ts";

/** Becomes the answer at the control socket; after it the state is what it was. */
export class ControlError extends Error {
  override name = "ControlError";
  readonly fields: ErrorFields;

  constructor(code: ErrorFields["code"], reason: string, more: Omit<ErrorFields, "code" | "reason"> = {}) {
    super(reason);
    this.fields = { code, reason, ...more };
  }
}

/** A change cannot be served, for a reason that only showed when it was tried; nothing serves by it. */
export class ChangeRefused extends Error {
  override name = "ChangeRefused";

  /** `object` is what cannot be served, e.g. `listener web`; "" for the state as a whole. */
  constructor(readonly object: string, reason: string) {
    super(object === "" ? reason : `${object}: ${reason}`);
  }
}
