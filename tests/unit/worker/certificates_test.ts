// What of a refused change OpenSSL still holds: nothing.

import { checkState } from "../../../src/ts/config/check_state.ts";
import type { ListenerTlsState } from "../../../src/ts/config/state.ts";
import { WorkerTls } from "../../../src/ts/worker/certificates.ts";
import type { WorkerChange } from "../../../src/ts/worker/protocol.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const NAMES = ["first", "second"];

/** Two https listeners, the second with these ciphers. */
function stateOf(ciphers: string) {
  const listeners = Object.fromEntries(NAMES.map((name, at) => {
    const tls = { default_certificate: "", ...(at === 1 ? { ciphers } : {}) };
    return [name, { address: `127.0.0.1:${8443 + at}`, protocol: "https", tls }];
  }));
  const { state, errors } = checkState(
    { listeners, certificates: [{ name: "a", cert: "/a.pem", key: "/a.key" }] },
    "f",
  );
  assert(state, JSON.stringify(errors));
  return state;
}

Deno.test("a change that one listener refuses leaves nothing of the others with OpenSSL", () => {
  const state = stateOf("");
  const snapshot = {
    revision: 1,
    state,
    routeIds: [],
    resolved: {},
    certificates: [],
    files: {},
    redirects: {},
    ticketKeys: [],
  };
  const worker = new WorkerTls(snapshot, undefined, new Uint8Array(32768), () => {});
  const lib = worker.tls!.lib as { SSL_CTX_new: (method: never) => unknown; SSL_CTX_free: (context: never) => void };
  const { SSL_CTX_new: make, SSL_CTX_free: free } = lib;
  let held = 0;
  lib.SSL_CTX_new = (method) => (held++, make(method));
  lib.SSL_CTX_free = (context) => (held--, free(context));
  try {
    const listeners = stateOf("NONE-OF-THIS-NAME").listeners;
    const listenersTls = Object.fromEntries(
      NAMES.map((name) => [name, listeners[name]!.tls as ListenerTlsState]),
    );
    const change: WorkerChange = {
      revision: 2,
      clusters: {},
      resolved: {},
      routes: [],
      certificates: [],
      listenersTls,
      listenersRedirect: {},
      listenersHttp2: {},
      files: {},
      listenersRemoved: [],
    };
    const error = assertThrows(() => worker.prepare(change, undefined)) as Error & { object: string };
    assertEquals([error.name, error.object], ["ChangeRefused", "listener second"]);
    assertEquals(held, 0);
  } finally {
    Object.assign(lib, { SSL_CTX_new: make, SSL_CTX_free: free });
  }
});
