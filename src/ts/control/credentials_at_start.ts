// The credentials of the state that main begins with. A state without TLS needs none, and then nothing of this is loaded: a
// proxy starts in the time that its state takes.

import { speaksTls } from "../config/cross_check_tls.ts";
import { isKeyDigest } from "../config/pem.ts";
import type { State } from "../config/state.ts";
import type { Log } from "../observe/log.ts";
import type { Credentials, HandedCredentials } from "./credentials.ts";

export interface Begun {
  /** Without the keys that came with it. */
  state: State;
  /** Undefined: it needs none. */
  credentials: Credentials | undefined;
}

/** Throws with everything that is wrong. `handed` comes from another main. */
export async function credentialsOf(state: State, log: Pick<Log, "warn">, handed?: HandedCredentials): Promise<Begun> {
  const hasKeys = handed !== undefined && handed.keys.length > 0;
  if (!speaksTls(state) && !hasKeys) return { state, credentials: undefined };
  const { Credentials } = await import("./credentials.ts");
  const { keysPath, readKeys, stateWithoutKeys } = await import("./key_store.ts");
  const credentials = new Credentials((text, fields) => log.warn(text, fields));
  if (handed) credentials.adopt(handed);
  const wantsKept = Object.values(state.certificates).some(({ key }) => isKeyDigest(key) && !credentials.keys.has(key));
  const { state_file } = state.control;
  const keys = wantsKept && state_file !== "" ? await readKeys(keysPath(state_file)) : new Map<string, string>();
  const bare = stateWithoutKeys(state, keys);
  await credentials.load(bare, keys);
  return { state: bare, credentials };
}
