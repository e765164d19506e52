// Which client a cluster has for TLS: another one when what it offers or trusts changes, the same otherwise; and what it
// offers, as a backend reads it.

import type { ClusterState } from "../../../src/ts/config/state.ts";
import { checkState } from "../../../src/ts/config/check_state.ts";
import { Tls } from "../../../src/ts/net/tls.ts";
import { type TlsClient, TlsTarget } from "../../../src/ts/net/tls_client.ts";
import { closeFd, receiveMessage, socketPair } from "../../../src/ts/sys/fds.ts";
import { ClusterTls } from "../../../src/ts/worker/cluster_tls.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const MEMORY = new Uint8Array(32768);

class Scene {
  readonly tls = new Tls(MEMORY, () => {});
  readonly #clusters = new ClusterTls();

  /** Serves the cluster as it is from now on, and gives its client. */
  serve(form: Record<string, unknown>): TlsClient | null {
    const clusters = { app: clusterOf(form) };
    const sources = { files: new Map<string, string>(), material: () => undefined };
    const clients = this.#clusters.prepare(this.tls, { clusters, certificates: [], files: {} }, sources);
    this.#clusters.commit(clients, clusters);
    return clients.get("app") ?? null;
  }

  /** The first bytes that a backend gets. */
  hello(client: TlsClient): Uint8Array {
    const [ours, theirs] = socketPair();
    const ssl = new TlsTarget(client, "app.test").open(ours)!;
    this.tls.calls.handshake(ssl);
    const bytes = new Uint8Array(4096);
    const length = receiveMessage(theirs, bytes, []);
    this.tls.lib.SSL_free(ssl);
    closeFd(ours);
    closeFd(theirs);
    return bytes.slice(0, length);
  }
}

function clusterOf(form: Record<string, unknown>): ClusterState {
  const { state } = checkState({ listeners: {}, clusters: { app: { backends: [], ...form } } }, "f");
  assert(state, JSON.stringify(form));
  return state.clusters["app"]!;
}

const VERIFIES_NOT = { tls: { verify: false } };

Deno.test("a cluster gets another client when its protocol changes, and none without TLS", () => {
  const scene = new Scene();
  const first = scene.serve({ protocol: "http/1.1", ...VERIFIES_NOT })!;
  assertEquals(scene.serve({ balance: "random", ...VERIFIES_NOT }), first, "nothing that it is made of has changed");
  const second = scene.serve({ protocol: "h2", ...VERIFIES_NOT })!;
  assert(second !== first);
  assertEquals([first.options.protocol, second.options.protocol], ["http/1.1", "h2"]);
  assertEquals(scene.serve({ protocol: "h2", http2: { max_concurrent_streams: 7 }, ...VERIFIES_NOT }), second);
  assertEquals(scene.serve({ protocol: "h2c" }), null);
  assert(scene.serve({ protocol: "h2", ...VERIFIES_NOT }) !== second, "the one before was closed");
});

Deno.test("a client offers its protocol by ALPN, and no other", () => {
  const scene = new Scene();
  /** RFC 7301 §3.1: extension 16, its length, that of the list, then each name behind its length. */
  const offer = (name: string) =>
    String.fromCharCode(0, 16, 0, name.length + 3, 0, name.length + 1, name.length) + name;
  const text = (client: TlsClient) => String.fromCharCode(...scene.hello(client));
  assert(text(scene.serve(VERIFIES_NOT)!).includes(offer("http/1.1")));
  assert(text(scene.serve({ protocol: "h2", ...VERIFIES_NOT })!).includes(offer("h2")));
});
