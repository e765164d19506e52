// TLS towards clients, with clients that are not ours: curl, openssl s_client, node and Python; and with clients that mean no
// good: garbage, plain HTTP, halves of handshakes.

import { connect as connectTls } from "node:tls";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { CertificateFolder, type Pair } from "../support/certificates.ts";
import { eventually } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { requireTools } from "../support/require_tool.ts";
import { say } from "../support/spoken_program.ts";
import { curl, GET, sClient, serveTls as serve } from "../support/tls_stage.ts";

const ignore = requireTools("openssl", "curl");

Deno.test({
  name: "certificates are chosen by name, and by what the client can verify",
  ignore,
  async fn() {
    await using served = await serve();
    const subject = async (...args: string[]) =>
      (await sClient(served, args)).match(/^subject=CN = (\S+)/m)?.[1] ?? "none";
    assertEquals(await subject("-servername", "A.test"), "a.test");
    assertEquals(await subject("-servername", "x.b.test"), "x.b.test");
    assertEquals(await subject("-servername", "y.b.test"), "*.b.test");
    assertEquals(await subject("-noservername"), "a.test", "the default");
    assertEquals(await subject("-servername", "z.y.b.test"), "a.test", "a wildcard is for one label");
    const keys = async (...args: string[]) =>
      (await sClient(served, ["-servername", "a.test", ...args])).match(/Peer signature type: (\S+)/)?.[1];
    assertEquals(await keys("-tls1_3"), "ECDSA");
    assertEquals(await keys("-tls1_3", "-sigalgs", "RSA-PSS+SHA256"), "RSA-PSS");
    assertEquals(await keys("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "RSA-PSS");
    assertMatch(await sClient(served, ["-servername", "a.test", "-alpn", "h2,http/1.1"]), /ALPN protocol: http\/1\.1/);
    assertMatch(await sClient(served, ["-servername", "a.test", "-tls1_2"]), /Secure Renegotiation IS supported/);
  },
});

Deno.test({
  name: "a name that nobody knows, old versions and unknown protocols end in an alert, and are counted",
  ignore,
  async fn() {
    await using served = await serve({ tls: 'default_certificate: "", min_version: "1.3"' });
    assertMatch(await sClient(served, ["-servername", "nobody.test"]), /unrecognized name/);
    assertMatch(await sClient(served, ["-noservername"]), /unrecognized name/);
    assertMatch(await sClient(served, ["-servername", "a.test", "-tls1_2"]), /alert protocol version/);
    assertMatch(await sClient(served, ["-servername", "a.test", "-alpn", "h3"]), /no application protocol/);
    assertMatch(await sClient(served, ["-servername", "a.test", "-groups", "X448"]), /handshake failure/);
    const counters = await served.proxy.counters();
    assertEquals(counters.all("tls.failed."), {
      "tls.failed.unknown_name": 2,
      "tls.failed.version": 1,
      "tls.failed.no_common_protocol": 1,
      "tls.failed.no_common_choice": 1,
    });
  },
});

Deno.test({
  name: "requests, bodies in both directions, and what the backend and the log are told",
  ignore,
  async fn() {
    await using served = await serve({ tls: 'alpn: [h2, http/1.1], default_certificate: ecdsa, hsts: "max-age=60"' });
    const forged = ["-H", "X-Client-Cert-Subject: CN=forged", "-H", "X_Client_Cert_Verified: 1"];
    for (const [version, status] of [["--http1.1", "HTTP/1.1 200 OK"], ["--http2", "HTTP/2 200 "]] as const) {
      const head = await curl(served, "a.test", "-i", version, ...forged);
      assert(head.startsWith(`${status}\r\n`), head);
      assertMatch(head, /\r\nStrict-Transport-Security: max-age=60\r\n/i);
      assert(head.endsWith("hello"), head);
    }
    const told = Object.fromEntries(served.heads.at(-1)!);
    assertEquals(told["x-forwarded-proto"], "https");
    assertEquals(Object.keys(told).filter((name) => /client.cert/i.test(name)), []);
    const port = served.proxy.port("sec");
    const where = ["-s", "--cacert", served.authority.cert, "--resolve", `a.test:${port}:127.0.0.1`];
    const large = await say("curl", [...where, `https://a.test:${port}/large`]);
    assert(large.length === 1 << 20 && /^a+$/.test(large), `${large.length} bytes`);
    await Deno.writeFile(`${served.folder.path}/body`, new Uint8Array(300_000));
    assertEquals(await curl(served, "a.test", "--data-binary", `@${served.folder.path}/body`), "300000");
    const other = ["-i", "-H", "Host: other.test"];
    assertMatch(await curl(served, "a.test", "--http1.1", ...other), /^HTTP\/1\.1 421 Misdirected Request/);
    assertMatch(await curl(served, "a.test", "--http2", ...other), /^HTTP\/2 421 /);
    const line = await eventually(
      "the log",
      () => Deno.readTextFileSync(`${served.proxy.folder}/access.log`).split("\n")[0]!,
      (text) => text !== "",
    );
    const { tls, cipher, group, resumed, sni } = JSON.parse(line);
    assertEquals({ tls, cipher, group, resumed, sni }, {
      tls: "TLSv1.3",
      cipher: "TLS_AES_256_GCM_SHA384",
      group: group,
      resumed: false,
      sni: "a.test",
    });
    assertMatch(group, /x25519/i);
  },
});

Deno.test({
  name: "a session is resumed by any worker, in both versions",
  ignore,
  async fn() {
    await using served = await serve({ workers: 2 });
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const file = `${served.folder.path}/session${version}`;
      await sClient(served, ["-servername", "a.test", version, "-sess_out", file], GET("a.test"));
      const before = await served.proxy.status();
      for (let i = 0; i < 12; i++) {
        const text = await sClient(served, ["-servername", "a.test", version, "-sess_in", file]);
        assertMatch(text, /^Reused, TLSv1\.[23]/m);
      }
      const resumed = (status: typeof before) => status.workers.map(({ counters }) => counters!["tls.resumed"]!);
      const after = resumed(await served.proxy.status());
      const gained = after.map((count, i) => count - resumed(before)[i]!);
      assert(gained.every((count) => count > 0), `resumed by each worker: ${gained}`);
    }
  },
});

Deno.test({
  name: "clients show certificates: required, of the authority, not revoked",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const clients = folder.make("clients", { authority: true });
    const good = folder.make("good", { subject: "/O=Acme, Inc./CN=Good", issuer: clients });
    const revoked = folder.make("revoked", { issuer: clients });
    const expired = folder.make("expired", { issuer: clients, days: -1 });
    const others = folder.make("others", { authority: true });
    const stranger = folder.make("stranger", { issuer: others });
    const crl = folder.revoke("list", clients, revoked);
    const asks = (how: string) =>
      `default_certificate: ecdsa, client_certificate: ${how}, client_ca: ${clients.cert}, client_crl: ${crl}`;
    await using served = await serve({ tls: asks("required"), folder });
    const shown = (of: Pair) => ["--cert", of.cert, "--key", of.key];
    assertEquals(await curl(served, "a.test", ...shown(good), "-H", "X-Client-Cert-Subject: CN=forged"), "hello");
    const told = served.heads.at(-1)!;
    assertEquals(told.get("x-client-cert-verified"), "SUCCESS");
    assertEquals(told.get("x-client-cert-subject"), "CN=Good,O=Acme\\, Inc.");
    assertMatch(told.get("x-client-cert-fingerprint")!, /^[0-9a-f]{64}$/);
    assertEquals(await curl(served, "a.test"), "");
    for (const bad of [revoked, expired, stranger]) assertEquals(await curl(served, "a.test", ...shown(bad)), "");
    const alerts: [Pair | undefined, RegExp][] = [
      [undefined, /certificate required/],
      [revoked, /certificate revoked/],
      [expired, /certificate expired/],
      [stranger, /unknown ca/],
    ];
    for (const [of, alert] of alerts) {
      const args = of ? ["-cert", of.cert, "-key", of.key] : [];
      assertMatch(await sClient(served, ["-servername", "a.test", ...args], GET("a.test")), alert);
    }
    assertEquals((await served.proxy.counters()).of("tls.failed.client_certificate"), 8);
    await using optional = await serve({ tls: asks("optional"), folder });
    assertEquals(await curl(optional, "a.test"), "hello");
    assertEquals(optional.heads.at(-1)!.get("x-client-cert-verified"), "NONE");
    assertEquals(await curl(optional, "a.test", ...shown(good)), "hello");
    assertEquals(optional.heads.at(-1)!.get("x-client-cert-verified"), "SUCCESS");
    assertEquals(await curl(optional, "a.test", ...shown(expired)), "", "one that is shown must be right");
  },
});

Deno.test({
  name: "plain HTTP on the port of TLS, TLS on the plain port, and garbage",
  ignore,
  async fn() {
    await using served = await serve({
      listeners: `  red: { address: "127.0.0.1:0", protocol: http, redirect_https: 8443 }`,
    });
    const talk = async (listener: string, bytes: Uint8Array | string) => {
      using peer = await connect(served.proxy.port(listener));
      await peer.write(bytes);
      await peer.untilEnd();
      return new TextDecoder().decode(peer.received);
    };
    const plain = await talk("sec", GET("a.test"));
    assertMatch(
      plain,
      /^HTTP\/1\.1 400 Bad Request\r\n[^]*This port speaks TLS: the request has to come by https\.\n$/,
    );
    assertEquals(await talk("sec", "\x00\x01\x02"), "");
    const hello = new Uint8Array([22, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
    assertMatch(await talk("web", hello), /^HTTP\/1\.1 400/);
    const alert = await talk("sec", hello);
    assertEquals(alert.charCodeAt(0), 21, "a record that carries an alert");
    const sent = await talk("red", "GET /a%20b?c=d HTTP/1.1\r\nHost: a.test:80\r\nConnection: close\r\n\r\n");
    assertMatch(sent, /^HTTP\/1\.1 308 [^]*\r\nLocation: https:\/\/a\.test:8443\/a%20b\?c=d\r\n/);
    const counters = await served.proxy.counters();
    assertEquals(counters.all("tls.failed."), { "tls.failed.plain_http": 1, "tls.failed.malformed": 2 });
    assertEquals(counters.of("requests.redirected"), 1);
  },
});

Deno.test({
  name: "half-open handshakes are bounded and counted, and others are served",
  ignore,
  async fn() {
    const tls = "default_certificate: ecdsa, handshakes: 16, handshake_timeout: 3s";
    await using served = await serve({ tls });
    const port = served.proxy.port("sec");
    const silent: Deno.TcpConn[] = [];
    const begun: Deno.TcpConn[] = [];
    try {
      for (let i = 0; i < 200; i++) silent.push(await Deno.connect({ hostname: "127.0.0.1", port }));
      for (let i = 0; i < 40; i++) {
        const one = await Deno.connect({ hostname: "127.0.0.1", port });
        await one.write(new Uint8Array([22, 3, 1, 2, 0, 1]));
        begun.push(one);
      }
      const at = performance.now();
      assertEquals(await curl(served, "a.test"), "hello");
      const tookMs = performance.now() - at;
      assert(tookMs < 2_500, `served after ${tookMs} ms`);
      const counters = await served.proxy.counters();
      assert(counters.of("tls.handshakes.active") <= 16, `${counters.of("tls.handshakes.active")} in progress`);
      assert(counters.of("tls.waited") > 0 && counters.of("tls.failed.crowded_out") > 0, "the oldest give way");
      const over = await eventually(
        "their end",
        () => served.proxy.counters(),
        (now) => now.of("connections.active") === 0 && now.of("tls.handshakes.active") === 0,
        8_000,
      );
      assert(over.of("tls.failed.timeout") >= 200, "the silent ones are over in time");
    } finally {
      for (const one of [...silent, ...begun]) one.close();
    }
  },
});

Deno.test({
  name: "node and Python: several requests on a connection, and close_notify behind the last answer",
  ignore: ignore || requireTools("python3"),
  async fn() {
    await using served = await serve();
    const port = served.proxy.port("sec");
    const ca = await Deno.readTextFile(served.authority.cert);
    const node = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({ host: "127.0.0.1", port, servername: "a.test", ca });
      let text = "";
      socket.on("data", (piece: Uint8Array) => text += new TextDecoder().decode(piece));
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
      socket.write("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    });
    assertMatch(node, /^HTTP\/1\.1 200[^]*hello$/);
    const script = `
import socket, ssl, sys
c = ssl.create_default_context(cafile="${served.authority.cert}")
c.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
s = c.wrap_socket(socket.create_connection(("127.0.0.1", ${port})), server_hostname="a.test", suppress_ragged_eofs=False)
for i in range(3):
    s.sendall(b"GET / HTTP/1.1\\r\\nHost: a.test\\r\\n" + (b"Connection: close\\r\\n" if i == 2 else b"") + b"\\r\\n")
    t = b""
    while b"hello" not in t: t += s.recv(4096)
rest = s.recv(4096)
print("ended", len(rest), s.version())
`;
    assertMatch(await say("python3", ["-c", script]), /^ended 0 TLSv1\.3/);
  },
});
