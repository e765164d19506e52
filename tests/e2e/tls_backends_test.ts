// TLS to backends: nginx with both versions, with and without certificates of clients, with all that can be wrong with a
// certificate; and backends that keep no rules.

import { createServer as createTlsServer, type Server } from "node:tls";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { CertificateFolder, type LeafOptions, type Pair } from "../support/certificates.ts";
import { eventually, type Proxy, runKakehi, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { type Script, startBackend } from "../support/scripted_backend.ts";
import { type Face, freePort, startTlsBackends, type TlsBackends, untilListening } from "../support/tls_backends.ts";

const ignore = requireTools("openssl", "nginx");

/** A folder with an authority of backends and one of clients. */
class Scene extends CertificateFolder {
  readonly authority = this.make("authority", { authority: true });
  readonly clients = this.make("clients", { authority: true });

  /** For a backend. */
  issue(name: string, options: LeafOptions = {}): Pair {
    return this.make(name, { names: ["localhost"], issuer: this.authority, ...options });
  }
}

interface Wanted {
  /** Name of the cluster, which is the path's first part. */
  [name: string]: { address: string; tls: string; more?: string };
}

function yamlOf(clusters: Wanted, more = ""): string {
  const texts = Object.entries(clusters).map(([name, { address, tls, more = "" }]) =>
    `  ${name}: { backends: [${address.split(" ").map((one) => `"${one}"`)}], tls: ${tls}${more} }`
  );
  const routes = Object.keys(clusters).map((name) => `  - { path: /${name}/*, cluster: ${name} }`);
  return `workers: 1
${more}
listeners: { web: { address: "127.0.0.1:0", protocol: http } }
clusters:
${texts.join("\n")}
routes:
${routes.join("\n")}
`;
}

interface Seen {
  ssl_protocol: string;
  ssl_session_reused: string;
  ssl_server_name: string;
  ssl_client_s_dn: string;
  ssl_alpn_protocol: string;
  connection: string;
}

async function get(proxy: Proxy, path: string): Promise<Response> {
  return await fetch(`http://127.0.0.1:${proxy.port("web")}/${path}`);
}

async function seen(proxy: Proxy, cluster: string): Promise<Seen> {
  const response = await get(proxy, `${cluster}/`);
  const text = await response.text();
  assertEquals(response.status, 200, `${cluster}: ${text}\n${proxy.log()}`);
  return JSON.parse(text);
}

Deno.test({
  name: "both versions, names, addresses, certificates of ours: what the backend sees",
  ignore,
  async fn() {
    await using on = new Scene();
    const { authority, clients } = on;
    const named = on.issue("named", { names: ["localhost", "app.test"] });
    const addressed = on.issue("addressed", { names: ["127.0.0.1"] });
    const own = on.make("own", { issuer: clients });
    const asks = [`ssl_client_certificate ${clients.cert};`, "ssl_verify_client on;"];
    await using backends = await startTlsBackends(on.path, [
      { certificate: named },
      { certificate: named, lines: ["ssl_protocols TLSv1.2;"] },
      { certificate: addressed },
      { certificate: named, lines: asks },
    ]);
    const [both, old, ip, mutual] = backends.ports;
    const ca = `ca: ${authority.cert}`;
    await using proxy = await startProxy(yamlOf({
      both: { address: `localhost:${both}`, tls: `{ ${ca} }` },
      old: { address: `localhost:${old}`, tls: `{ ${ca} }` },
      other: { address: `127.0.0.1:${both}`, tls: `{ ${ca}, server_name: app.test }` },
      ip: { address: `127.0.0.1:${ip}`, tls: `{ ${ca} }` },
      blind: { address: `127.0.0.1:${both}`, tls: `{ verify: false }` },
      mutual: { address: `localhost:${mutual}`, tls: `{ ${ca}, certificate: own }` },
      silent: { address: `localhost:${mutual}`, tls: `{ ${ca} }` },
    }, `certificates: [{ name: own, cert: ${own.cert}, key: ${own.key} }]`));
    const named13 = await seen(proxy, "both");
    assertEquals([named13.ssl_protocol, named13.ssl_server_name, named13.ssl_alpn_protocol], [
      "TLSv1.3",
      "localhost",
      "http/1.1",
    ]);
    assertEquals((await seen(proxy, "both")).connection, named13.connection, "the connection is used again");
    assertEquals((await seen(proxy, "old")).ssl_protocol, "TLSv1.2");
    assertEquals((await seen(proxy, "other")).ssl_server_name, "app.test");
    assertEquals((await seen(proxy, "ip")).ssl_server_name, "", "an address is not asked for by name");
    assertEquals((await seen(proxy, "blind")).ssl_server_name, "");
    assertMatch((await seen(proxy, "mutual")).ssl_client_s_dn, /CN=own/);
    const response = await get(proxy, "silent/");
    assertEquals(response.status, 400, "nginx answers who shows no certificate");
    assertMatch(await response.text(), /No required SSL certificate/);
  },
});

Deno.test({
  name: "sessions are resumed, in both versions, and no ticket ends a connection that waits",
  ignore,
  async fn() {
    await using on = new Scene();
    const { authority } = on;
    const certificate = on.issue("named");
    const once = "keepalive_requests 1;";
    const faces: Face[] = ["TLSv1.2", "TLSv1.3"].flatMap((version) => [
      { certificate, lines: [`ssl_protocols ${version};`, once] },
      { certificate, lines: [`ssl_protocols ${version};`] },
    ]);
    await using backends = await startTlsBackends(on.path, faces);
    const tls = `{ ca: ${authority.cert} }`;
    const [once12, kept12, once13, kept13] = backends.ports.map((port) => ({ address: `localhost:${port}`, tls }));
    await using proxy = await startProxy(
      yamlOf({ once12: once12!, kept12: kept12!, once13: once13!, kept13: kept13! }),
    );
    for (const name of ["once12", "once13"]) {
      const reused = [];
      for (let i = 0; i < 4; i++) reused.push((await seen(proxy, name)).ssl_session_reused);
      assertEquals(reused, [".", "r", "r", "r"], name);
    }
    for (const name of ["kept12", "kept13"]) {
      const { connection } = await seen(proxy, name);
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        assertEquals((await seen(proxy, name)).connection, connection, name);
      }
    }
    const counters = await proxy.counters();
    assertEquals(counters.of("upstreams.tls.handshakes"), 10);
    assertEquals(counters.of("upstreams.tls.resumed"), 6);
  },
});

Deno.test({
  name: "a certificate that cannot be trusted is a 502 with the reason, in log, counters, explain and events",
  ignore,
  async fn() {
    await using on = new Scene();
    const { authority, clients } = on;
    await using backends = await startTlsBackends(on.path, [
      { certificate: on.issue("wrong", { names: ["elsewhere.test"] }) },
      { certificate: on.issue("old", { days: -1 }) },
      { certificate: on.make("self", { names: ["localhost"] }) },
      { certificate: on.issue("stranger", { issuer: clients }) },
      { certificate: on.issue("good") },
      { certificate: on.issue("tls12"), lines: ["ssl_protocols TLSv1.2;"] },
    ]);
    const [wrong, old, self, stranger, good, tls12] = backends.ports.map((port) => `localhost:${port}`);
    const tls = `{ ca: ${authority.cert} }`;
    await using proxy = await startProxy(yamlOf({
      wrong: { address: wrong!, tls },
      old: { address: old!, tls },
      self: { address: self!, tls },
      stranger: { address: stranger!, tls },
      system: { address: good!, tls: "{}" },
      version: { address: tls12!, tls: `{ ca: ${authority.cert}, min_version: "1.3" }` },
      believed: { address: self!, tls: "{ verify: false }" },
      pinned: { address: self!, tls: `{ ca: ${on.path}/self.pem }` },
      spare: { address: `${wrong} ${good}`, tls },
    }));
    const events = new Deno.Command(Deno.execPath(), { args: eventsOf(proxy), stdout: "piped", stderr: "null" })
      .spawn();
    await new Promise((resolve) => setTimeout(resolve, 700));
    for (const name of ["wrong", "old", "self", "stranger", "system", "version"]) {
      const response = await get(proxy, `${name}/`);
      assertEquals([name, response.status, await response.text()], [
        name,
        502,
        "There is no secure connection to the backend.\n",
      ]);
    }
    for (const name of ["believed", "pinned"]) await seen(proxy, name);
    for (let i = 0; i < 4; i++) await seen(proxy, "spare");
    const counters = await proxy.counters();
    assertEquals(counters.all("upstreams.tls_failed."), {
      "upstreams.tls_failed.name_mismatch": 2,
      "upstreams.tls_failed.expired": 1,
      "upstreams.tls_failed.unknown_authority": 3,
      "upstreams.tls_failed.version": 1,
    });
    assertEquals([counters.of("refused.backend_tls"), counters.of("requests.retried")], [6, 1]);
    const log = await eventually("the log", proxy.log, (text) => text.includes("cluster version"));
    assertMatch(
      log,
      new RegExp(
        `WARN {2}no TLS with a backend of cluster wrong, ${addressOf(wrong!)}: its certificate is not for localhost`,
      ),
    );
    assertMatch(log, /cluster old, .*: its certificate: certificate has expired/);
    assertMatch(log, /cluster self, .*: its certificate: self-signed certificate/);
    assertMatch(log, /cluster stranger, .*: its certificate: unable to get local issuer certificate/);
    assertMatch(log, /cluster version, .*: .*version/);
    const told = await runKakehi("explain", "http://any.test/wrong/", "--socket", proxy.socket);
    assertMatch(told.stdout, /not reached\n {2}127\.0\.0\.1:\d+: its certificate is not for localhost/);
    events.kill("SIGTERM");
    const heard = new TextDecoder().decode((await events.output()).stdout);
    assertMatch(heard, /"name":"backend\.down"[^\n]*/);
    assert(heard.includes('"cluster":"old"') && heard.includes("its certificate: certificate has expired"), heard);
  },
});

/** Names lead to an address before they are told. */
function addressOf(backend: string): string {
  return backend.replace("localhost", "127\\.0\\.0\\.1");
}

function eventsOf(proxy: Proxy): string[] {
  const main = new URL("../../src/ts/main.ts", import.meta.url).href;
  return ["run", "-A", "--no-prompt", main, "events", "backend.down", "--json", "--socket", proxy.socket];
}

// ---- a backend that we write ourselves ----

async function withServer(server: Server, body: (port: number) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body((server.address() as { port: number }).port);
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

Deno.test({
  name: "a node backend: bodies whole, cut short, and without an end",
  ignore,
  async fn() {
    await using on = new Scene();
    const issued = on.issue("named");
    const [cert, key] = [Deno.readTextFileSync(issued.cert), Deno.readTextFileSync(issued.key)];
    const answers: Record<string, string> = {
      whole: "HTTP/1.1 200 OK\r\n\r\nuntil close",
      naked: "HTTP/1.1 200 OK\r\n\r\nuntil close",
      short: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
      chunks: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n",
    };
    const server = createTlsServer({ cert, key }, (socket) => {
      socket.on("error", () => {});
      socket.once("data", (head: Uint8Array) => {
        const name = /^GET \/app\/(\w+)/.exec(new TextDecoder().decode(head))![1]!;
        // the plain socket's end is one without close_notify
        socket.write(
          answers[name]!,
          () => name === "whole" ? socket.end() : (socket as any)._parent?.destroySoon?.() ?? socket.destroy(),
        );
      });
    });
    await withServer(server, async (port) => {
      await using proxy = await startProxy(
        yamlOf({ app: { address: `localhost:${port}`, tls: `{ ca: ${on.authority.cert} }` } }),
      );
      assertEquals(await (await get(proxy, "app/whole")).text(), "until close");
      for (const name of ["naked", "short", "chunks"]) {
        const outcome = await get(proxy, `app/${name}`).then((response) => response.text()).catch(() => "cut");
        assertEquals([name, outcome], [name, "cut"]);
      }
      assertEquals((await proxy.counters()).of("backend.truncated"), 3);
    });
  },
});

Deno.test({
  name: "backends that speak plainly, send garbage, hang, close or reset in the handshake",
  ignore,
  async fn() {
    const scripts: Record<string, Script> = {
      plain: async (peer) => {
        await peer.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      },
      garbage: async (peer) => {
        await peer.write(crypto.getRandomValues(new Uint8Array(64)).fill(0x41, 0, 5));
      },
      hang: () => {},
      close: (peer) => peer.destroy(),
      reset: async (peer) => {
        await peer.until("its first words", () => peer.length > 0 || undefined);
        peer.reset();
      },
    };
    const started = await Promise.all(Object.values(scripts).map(startBackend));
    try {
      const tls = "{ verify: false }";
      const more = ", timeouts: { connect: 300ms }";
      const clusters = Object.keys(scripts).map((name, at) => [name, { address: started[at]!.address, tls, more }]);
      await using proxy = await startProxy(yamlOf(Object.fromEntries(clusters)));
      const statuses: Record<string, number> = {};
      for (const name in scripts) {
        const response = await get(proxy, `${name}/`);
        await response.body?.cancel();
        statuses[name] = response.status;
      }
      assertEquals(statuses, { plain: 502, garbage: 502, hang: 504, close: 502, reset: 502 });
      const counters = await proxy.counters();
      assertEquals(counters.all("upstreams.tls_failed."), {
        "upstreams.tls_failed.malformed": 2,
        "upstreams.tls_failed.timeout": 1,
        "upstreams.tls_failed.closed": 2,
      });
      assertEquals(counters.of("upstreams.active"), 0);
      assertMatch(proxy.log(), /cluster plain, .*: what it sends is not TLS/);
    } finally {
      for (const backend of started) await backend[Symbol.asyncDispose]();
    }
  },
});

/** openssl s_server, which speaks TLS 1.3 and wants a certificate of the authority. */
async function withStrictServer(own: Pair, ca: string, body: (port: number) => Promise<void>): Promise<void> {
  const port = freePort();
  const args = ["s_server", "-accept", `127.0.0.1:${port}`, "-cert", own.cert, "-key", own.key, "-CAfile", ca];
  const strict = ["-Verify", "1", "-verify_return_error", "-tls1_3", "-www"];
  const options = {
    args: [...args, ...strict],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  } satisfies Deno.CommandOptions;
  const child = new Deno.Command("openssl", options).spawn();
  try {
    await untilListening(port);
    await body(port);
  } finally {
    child.kill("SIGTERM");
    await child.status;
  }
}

Deno.test({
  name: "a backend that takes no stranger is told of by its alert, and another one is asked",
  ignore,
  async fn() {
    await using on = new Scene();
    const issued = on.issue("named");
    await withStrictServer(issued, on.clients.cert, async (port) => {
      await using backends = await startTlsBackends(on.path, [{ certificate: issued }]);
      const tls = `{ ca: ${on.authority.cert} }`;
      await using proxy = await startProxy(yamlOf({
        alone: { address: `localhost:${port}`, tls },
        two: { address: `localhost:${port} localhost:${backends.ports[0]}`, tls },
      }));
      const response = await get(proxy, "alone/");
      assertEquals([response.status, await response.text()], [502, "There is no secure connection to the backend.\n"]);
      for (let i = 0; i < 4; i++) await seen(proxy, "two");
      assertEquals((await proxy.counters()).all("upstreams.tls_failed."), { "upstreams.tls_failed.alert": 2 });
      await eventually("the log", proxy.log, (text) => text.includes("it refuses: tlsv13 alert certificate required"));
    });
  },
});

Deno.test({
  name: "TLS of a cluster changes under load, with its certificate, and no request fails",
  ignore: ignore || requireTools("wrk"),
  async fn() {
    await using on = new Scene();
    const { authority, clients } = on;
    const certificate = on.issue("named", { names: ["localhost", "app.test"] });
    const asks = [`ssl_client_certificate ${clients.cert};`, "ssl_verify_client optional;"];
    await using backends = await startTlsBackends(on.path, [{ certificate, lines: asks }]);
    for (const name of ["one", "two"]) on.make(name, { issuer: clients });
    const address = `localhost:${backends.ports[0]}`;
    const pair = (name: string) =>
      `certificates: [{ name: own, cert: ${on.path}/${name}.pem, key: ${on.path}/${name}.key }]`;
    const wanted = (tls: string, name: string) => yamlOf({ app: { address, tls } }, pair(name));
    const ca = `ca: ${authority.cert}`;
    const options = [
      `{ ${ca} }`,
      `{ ${ca}, certificate: own }`,
      `{ ${ca}, server_name: app.test, certificate: own }`,
      `{ ${ca}, min_version: "1.3", certificate: own }`,
      "{ verify: false }",
    ];
    await using proxy = await startProxy(wanted(options[1]!, "one"));
    const port = proxy.port("web");
    const control = (await Deno.readTextFile(`${proxy.folder}/kakehi.yaml`)).match(/^control:.*$/m)![0];
    const apply = async (text: string) => {
      const file = `${proxy.folder}/next.yaml`;
      await Deno.writeTextFile(file, `${text}${control}\n`);
      const { code, stdout, stderr } = await runKakehi("apply", file, "--socket", proxy.socket);
      assertEquals(code, 0, stdout + stderr);
    };
    const load = new Deno.Command("wrk", { args: ["-t1", "-c16", "-d6s", `http://127.0.0.1:${port}/app/`] }).output();
    for (let i = 0; i < 12; i++) {
      const [tls, name] = [options[i % options.length]!, i % 2 === 0 ? "one" : "two"];
      await apply(wanted(tls, name));
      const { ssl_client_s_dn, ssl_server_name } = await seen(proxy, "app");
      assertEquals(ssl_client_s_dn, tls.includes("own") ? `CN=${name}` : "");
      assertEquals(ssl_server_name, tls.includes("server_name") ? "app.test" : "localhost");
    }
    const said = new TextDecoder().decode((await load).stdout);
    assert(!/Non-2xx|Socket errors/.test(said), said);
    const counters = await proxy.counters();
    assertEquals(counters.all("refused."), {});
    assert(counters.of("requests") > 1_000, said);
  },
});

Deno.test({
  name: "an authority or an option that cannot be used is refused with cluster and reason, and nothing changes",
  ignore,
  async fn() {
    await using on = new Scene();
    const good = on.issue("named");
    await using backends = await startTlsBackends(on.path, [{ certificate: good }]);
    const address = `localhost:${backends.ports[0]}`;
    await using proxy = await startProxy(yamlOf({ app: { address, tls: `{ ca: ${on.authority.cert} }` } }));
    const before = (await runKakehi("status", "--json", "--socket", proxy.socket)).stdout;
    const update = async (...options: string[]) => {
      const { code, stderr } = await runKakehi("cluster", "update", "app", "--socket", proxy.socket, ...options);
      assertEquals(code, 1, stderr);
      return stderr;
    };
    await Deno.writeTextFile(`${on.path}/empty.pem`, "nothing\n");
    assertMatch(
      await update("--tls-ca", `${on.path}/empty.pem`),
      /cluster app: tls\.ca: .*expected certificates in PEM/,
    );
    assertMatch(await update("--tls-ca", `${on.path}/none.pem`), /cluster app: tls\.ca: .*a file that can be read/);
    assertMatch(await update("--tls-certificate", "nobody"), /tls\.certificate: expected a certificate that is there/);
    assertMatch(
      await update("--backend", "unix:/tmp/x"),
      /cluster app: .*backend unix:\/tmp\/x: tls\.server_name must say/,
    );
    const after = JSON.parse((await runKakehi("status", "--json", "--socket", proxy.socket)).stdout);
    assertEquals(after.revision, JSON.parse(before).revision);
    assertEquals(after.openssl.from, "host");
    assertMatch(after.openssl.version, /^OpenSSL 3/);
    await seen(proxy, "app");
  },
});

Deno.test({
  name: "the authorities of the system are those where OpenSSL looks, and none are refused",
  ignore,
  async fn() {
    await using on = new Scene();
    await using backends = await startTlsBackends(on.path, [{ certificate: on.issue("named") }]);
    const yaml = yamlOf({ app: { address: `localhost:${backends.ports[0]}`, tls: "{}" } });
    {
      await using proxy = await startProxy(yaml, { SSL_CERT_FILE: on.authority.cert });
      await seen(proxy, "app");
    }
    const hash =
      (await new Deno.Command("openssl", { args: ["x509", "-hash", "-noout", "-in", on.authority.cert] }).output())
        .stdout;
    await Deno.mkdir(`${on.path}/trusted`);
    await Deno.copyFile(on.authority.cert, `${on.path}/trusted/${new TextDecoder().decode(hash).trim()}.0`);
    {
      await using proxy = await startProxy(yaml, { SSL_CERT_FILE: "", SSL_CERT_DIR: `${on.path}/trusted` });
      await seen(proxy, "app");
    }
    const refused = await startProxy(yaml, { SSL_CERT_FILE: `${on.path}/none`, SSL_CERT_DIR: "" }).then(
      () => "",
      (error) => String(error),
    );
    assertMatch(refused, /cluster app: tls\.ca: expected certificates that the system trusts, got none in .*\/none/);
  },
});

Deno.test({
  name: "1 GiB by TLS on both sides",
  ignore,
  async fn() {
    await using on = new Scene();
    const { authority } = on;
    const certificate = on.issue("named");
    await using backends: TlsBackends = await startTlsBackends(on.path, [{ certificate }], 1 << 30);
    await using proxy = await startProxy(`workers: 1
listeners: { sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: own } } }
clusters: { app: { backends: ["localhost:${backends.ports[0]}"], tls: { ca: ${authority.cert} } } }
routes: [{ cluster: app }]
certificates: [{ name: own, cert: ${certificate.cert}, key: ${certificate.key} }]
`);
    const url = `https://localhost:${proxy.port("sec")}/large`;
    const args = ["-sS", "--cacert", authority.cert, "-o", "/dev/null", "-w", "%{http_code} %{size_download}", url];
    const { stdout, stderr } = await new Deno.Command("curl", { args }).output();
    assertEquals(new TextDecoder().decode(stdout), `200 ${1 << 30}`, new TextDecoder().decode(stderr));
  },
});
