// Servers and clients that are not ours, with the proxy between them in HTTP/2 on both sides: nginx, nghttpx and node as backends,
// without TLS and with; curl and h2load as clients.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { startBothVersions } from "../support/both_versions.ts";
import { CertificateFolder, type Pair } from "../support/certificates.ts";
import { eventually, type Proxy, runKakehi, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { say } from "../support/spoken_program.ts";
import { freePort, startTlsBackends, untilListening } from "../support/tls_backends.ts";

const ignore = requireTools("curl", "h2load", "nginx", "nghttpx", "node", "openssl");
const LARGE = 8 << 20;

interface Scene extends AsyncDisposable {
  folder: CertificateFolder;
  authority: Pair;
  leaf: Pair;
}

function scene(): Scene {
  const folder = new CertificateFolder();
  const authority = folder.make("ca", { authority: true });
  const leaf = folder.make("leaf", { names: ["localhost", "127.0.0.1"], issuer: authority });
  return { folder, authority, leaf, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

function start({ authority, leaf }: Scene, port: number, tls: boolean): Promise<Proxy> {
  return startProxy(`
listeners:
  web: { address: "127.0.0.1:0", h2c: true }
  sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: leaf } }
clusters: { app: { backends: ["localhost:${port}"], ${
    tls ? `protocol: h2, tls: { ca: ${authority.cert} }` : "protocol: h2c"
  } } }
routes: [{ cluster: app }]
certificates: [{ name: leaf, cert: ${leaf.cert}, key: ${leaf.key} }]
`);
}

/** By both clients, over both of the proxy's listeners; `path` gives a long body if `large` says how long. */
async function drive(proxy: Proxy, path: string, large?: string): Promise<void> {
  for (const [listener, scheme] of [["web", "http"], ["sec", "https"]] as const) {
    const url = `${scheme}://127.0.0.1:${proxy.port(listener)}`;
    const load = await say("h2load", ["-n2000", "-c4", "-m32", `${url}${path}`]);
    assertMatch(load, /2000 succeeded, 0 failed/);
    if (large === undefined) continue;
    const version = scheme === "http" ? "--http2-prior-knowledge" : "--http2";
    const args = ["-sk", version, "-o", "/dev/null", "-w", "%{http_code} %{size_download} %{http_version}"];
    assertEquals(await say("curl", [...args, `${url}${large}`]), `200 ${LARGE} 2`);
  }
  const names = ["h2.streams.active", "buffers.used"];
  await eventually("nothing is under way", () => proxy.counters(), (all) => names.every((name) => all.of(name) === 0));
  const counters = await proxy.counters();
  assertEquals([counters.all("refused."), counters.all("upstreams.tls_failed.")], [{}, {}]);
}

Deno.test({
  name: "nginx as a backend of HTTP/2 by TLS",
  ignore,
  async fn() {
    await using on = scene();
    const faces = [{ certificate: on.leaf, protocol: "http2" }] as const;
    await using backends = await startTlsBackends(on.folder.path, faces, LARGE);
    await using proxy = await start(on, backends.ports[0]!, true);
    await drive(proxy, "/", "/large");
  },
});

Deno.test({
  name: "node as a backend of HTTP/2, without TLS and with",
  ignore,
  async fn() {
    await using on = scene();
    await using backend = await startBothVersions(on.leaf);
    for (const tls of [false, true]) {
      await using proxy = await start(on, tls ? backend.secure : backend.plain, tls);
      await drive(proxy, "/");
    }
  },
});

Deno.test({
  name: "nghttpx as a backend of HTTP/2, without TLS and with",
  ignore,
  async fn() {
    await using on = scene();
    const origin = createServer((request, response) => {
      response.end(request.url === "/large" ? new Uint8Array(LARGE) : "hello");
    });
    await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
    const ports = [freePort(), freePort()] as const;
    const args = [
      "--conf=/dev/null",
      "--workers=1",
      "--log-level=ERROR",
      "--accesslog-file=/dev/null",
      `--frontend=127.0.0.1,${ports[0]};no-tls`,
      `--frontend=127.0.0.1,${ports[1]}`,
      `--backend=127.0.0.1,${(origin.address() as AddressInfo).port}`,
      on.leaf.key,
      on.leaf.cert,
    ];
    const child = new Deno.Command("nghttpx", { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
    try {
      for (const [at, port] of ports.entries()) {
        await untilListening(port);
        await using proxy = await start(on, port, at === 1);
        await drive(proxy, "/", "/large");
      }
    } finally {
      child.kill("SIGTERM");
      await child.status;
      origin.closeAllConnections();
      origin.close();
    }
  },
});

Deno.test({
  name: "no request is lost while TLS, limits and protocol of the backend change, and workers are rolled",
  ignore,
  async fn() {
    await using on = scene();
    await using backend = await startBothVersions(on.leaf);
    await using proxy = await start(on, backend.secure, true);
    const script = fileURLToPath(new URL("../support/http2_load.cjs", import.meta.url));
    const load = say("node", [script, `http://127.0.0.1:${proxy.port("web")}`, "4", "8", "5"]);
    const changes = [
      ["cluster", "update", "app", "--http2-max-concurrent-streams", "3"],
      ["cluster", "update", "app", "--tls-min-version", "1.3"],
      ["workers", "restart"],
      ["cluster", "update", "app", "--protocol", "http/1.1"],
      ["cluster", "update", "app", "--protocol", "h2", "--http2-max-concurrent-streams", "50"],
      ["cluster", "update", "app", "--tls-server-name", "localhost"],
    ];
    for (const change of changes) {
      const { code, stderr } = await runKakehi(...change, "--socket", proxy.socket);
      assertEquals(code, 0, `${change}: ${stderr}`);
    }
    const { answered, failures } = JSON.parse(await load);
    assertEquals(failures, []);
    assert(answered > 100, `${answered} answers`);
    const counters = await eventually(
      "all is over",
      () => proxy.counters(),
      (all) => all.of("h2.streams.active") === 0,
    );
    assertEquals(counters.all("refused."), {});
  },
});

Deno.test({
  name: "a certificate that does not do is 502 for all that wait, with its counter, as in HTTP/1.1",
  ignore,
  async fn() {
    await using on = scene();
    for (const fault of ["unknown_authority", "name_mismatch"]) {
      const isKnown = fault === "name_mismatch";
      const issuer = isKnown ? on.authority : on.folder.make("others", { authority: true });
      await using backend = await startBothVersions(on.folder.make(fault, { names: ["other.test"], issuer }));
      await using proxy = await start(on, backend.secure, true);
      const all = await Promise.all(Array.from({ length: 4 }, async () => {
        const response = await fetch(`http://127.0.0.1:${proxy.port("web")}/`);
        return [response.status, await response.text()];
      }));
      assertEquals(all, Array(4).fill([502, "There is no secure connection to the backend.\n"]), fault);
      const counters = await proxy.counters();
      assertEquals(Object.keys(counters.all("upstreams.tls_failed.")), [`upstreams.tls_failed.${fault}`]);
      assertEquals(counters.of("refused.backend_tls"), 4);
      const names = ["upstreams.active", "upstreams.h2.connections.active", "h2.streams.active", "buffers.used"];
      assertEquals(names.map((name) => counters.of(name)), [0, 0, 0, 0]);
    }
  },
});

Deno.test({
  name: "a backend that speaks HTTP/1.1 alone by TLS is 502, counted, and told of in the log",
  ignore,
  async fn() {
    await using on = scene();
    await using backends = await startTlsBackends(on.folder.path, [{ certificate: on.leaf }]);
    await using proxy = await start(on, backends.ports[0]!, true);
    for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
      const url = `http://127.0.0.1:${proxy.port("web")}/`;
      assertEquals(
        await say("curl", ["-s", version, "-w", "%{http_code}", url]),
        "There is no secure connection to the backend.\n502",
      );
    }
    const counters = await proxy.counters();
    assertEquals(counters.all("upstreams.tls_failed."), { "upstreams.tls_failed.no_common_protocol": 2 });
    assertEquals([counters.of("upstreams.active"), counters.of("buffers.used")], [0, 0]);
    await eventually(
      "the log",
      proxy.log,
      (text) => /it refuses: .*no application protocol|does not agree to HTTP\/2/.test(text),
    );
  },
});
