// TLS as it comes over a wire: records byte by byte and cut off, each direction ended by itself, and what of TLS is refused:
// early data, renegotiation. And what goes with it: staples, names that a certificate does not cover, fields of answers.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { get, readMessage } from "../support/messages.ts";
import type { Peer } from "../support/peer.ts";
import { eventually, runKakehi } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { startRelay } from "../support/relay.ts";
import { requireTools } from "../support/require_tool.ts";
import { startBackend } from "../support/scripted_backend.ts";
import { connectPeer, curl, GET, sClient, serveTls, type TlsStage } from "../support/tls_stage.ts";
import { Client } from "../unit/control/client.ts";

const ignore = requireTools("openssl", "curl");

function client(stage: TlsStage, port = stage.proxy.port("sec"), version?: "TLSv1.2" | "TLSv1.3"): Promise<Peer> {
  const ca = Deno.readTextFileSync(stage.authority.cert);
  const versions = version ? { minVersion: version, maxVersion: version } : {};
  return connectPeer(port, { ca, servername: "a.test", ...versions });
}

Deno.test({
  name: "records that come byte by byte, in both versions: handshakes, requests, bodies",
  ignore,
  async fn() {
    await using stage = await serveTls();
    await using relay = await startRelay(stage.proxy.port("sec"), { bytewise: true });
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      using peer = await client(stage, relay.port, version);
      await peer.write(get("/one"));
      assertEquals(toText((await readMessage(peer)).body), "hello");
      await peer.write(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3000\r\n\r\n${"b".repeat(3000)}`);
      assertEquals(toText((await readMessage(peer)).body), "3000");
      await peer.write(get("/two") + get("/three"));
      for (const _ of [2, 3]) assertEquals(toText((await readMessage(peer)).body), "hello");
    }
    assertEquals((await stage.proxy.counters()).all("tls.failed."), {});
  },
});

Deno.test({
  name: "the flight of the server, its tickets, and the last answer with both ends behind it: a segment each",
  ignore: ignore || requireTools("python3"),
  async fn() {
    await using stage = await serveTls();
    // tcpi_data_segs_in of struct tcp_info lies at 152
    const script = `
import socket, ssl, struct
c = ssl.create_default_context(cafile="${stage.authority.cert}")
s = c.wrap_socket(socket.create_connection(("127.0.0.1", ${stage.proxy.port("sec")})), server_hostname="a.test")
s.sendall(b"GET / HTTP/1.1\\r\\nHost: a.test\\r\\nConnection: close\\r\\n\\r\\n")
t = b""
while piece := s.recv(4096): t += piece
print(t[-5:].decode(), struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 200), 152)[0])
`;
    const { stdout, stderr } = await new Deno.Command("python3", { args: ["-c", script] }).output();
    // four: two for the tickets, if the client's last word was there before the server asked for it
    assertMatch(toText(stdout) + toText(stderr), /^hello [34]\n$/);
  },
});

Deno.test({
  name: "a client that has ended its side still gets all of a large answer, and close_notify behind it",
  ignore,
  async fn() {
    await using stage = await serveTls();
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      using peer = await client(stage, undefined, version);
      await peer.write(get("/large", "Connection: close\r\n"));
      peer.finish();
      const { body } = await readMessage(peer);
      assertEquals(body.length, 1 << 20);
      assertEquals(await peer.untilEnd(), "closed");
    }
    const text = await sClient(stage, ["-servername", "a.test", "-ign_eof"], GET("a.test"));
    assertMatch(text, /hello(?!.*unexpected eof)/s);
  },
});

Deno.test({
  name: "a request that is cut off is none, however its end is told; an answer that is cut off does not look whole",
  ignore,
  async fn() {
    await using stage = await serveTls();
    await using backend = await startBackend(async (peer, index) => {
      await peer.until("the head", () => toText(peer.received).includes("\r\n\r\n") || undefined);
      if (index > 0) return;
      await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
      peer.finish();
    });
    const shown = async (address: string) => {
      using control = await Client.connect(stage.proxy.socket);
      const value = { backends: [address] };
      const { status } = await control.ask({
        verb: "apply",
        orders: [{ order: "update", object: "cluster", name: "app", value }],
      });
      assertEquals(status, "ok");
    };
    await shown(backend.address);
    const cut = await sClient(stage, ["-servername", "a.test", "-ign_eof"], GET("a.test"));
    assertMatch(cut, /0123456789/);
    assertMatch(cut, /unexpected eof|errno=0|errno=104/, "no close_notify behind half an answer");
    // half of a body, and the end of the stream without a word in TLS, or with one
    for (const ends of ["fin", "close_notify"] as const) {
      const before = backend.connections.length;
      using peer = await client(stage);
      await peer.write("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\n0123456789");
      await eventually("the backend has it", () => backend.connections.length, (count) => count > before);
      const asked = backend.connections.at(-1)!;
      await asked.until("the half", () => toText(asked.received).endsWith("0123456789") || undefined);
      if (ends === "close_notify") peer.finish();
      else peer.destroy();
      const end = await asked.untilEnd();
      assert(end === "closed" || end === "reset", end);
      assertEquals(toText(asked.received).split("\r\n\r\n")[1], "0123456789", "nothing was made up");
    }
  },
});

Deno.test({
  name: "records that are cut off in the middle end the connection and are counted; others are served",
  ignore,
  async fn() {
    await using stage = await serveTls({ tls: "default_certificate: ecdsa, handshake_timeout: 1s" });
    const port = stage.proxy.port("sec");
    for (const clientBytesMax of [1, 4, 5, 60, 200]) {
      for (const cut of ["fin", "reset", "silence"] as const) {
        await using relay = await startRelay(port, { clientBytesMax, cut });
        const failed = await client(stage, relay.port).then((peer) => (peer.destroy(), ""), (error) => String(error));
        assert(failed !== "", `${clientBytesMax} ${cut}`);
      }
    }
    const over = await eventually(
      "their end",
      () => stage.proxy.counters(),
      (now) => now.of("connections.active") === 0 && now.of("tls.handshakes.active") === 0,
    );
    const failures = over.all("tls.failed.");
    const sum = Object.values(failures).reduce((total, count) => total + count, 0);
    assertEquals(sum, 15, JSON.stringify(failures));
    assertEquals(await curl(stage, "a.test"), "hello");
  },
});

Deno.test({
  name: "early data and renegotiation are refused, and a request beside them is not",
  ignore,
  async fn() {
    await using stage = await serveTls();
    const session = `${stage.folder.path}/session`;
    const early = stage.folder.write("early", GET("a.test"));
    const first = await sClient(stage, ["-servername", "a.test", "-tls1_3", "-sess_out", session], GET("a.test"));
    assertMatch(first, /Max Early Data: 0/);
    const args = ["-servername", "a.test", "-tls1_3", "-sess_in", session, "-early_data", early];
    const second = await sClient(stage, args, GET("a.test"));
    assertMatch(second, /Early data was not sent/);
    assertMatch(second, /HTTP\/1\.1 200/);
    const again = await sClient(stage, ["-servername", "a.test", "-tls1_2"], "R\n");
    assertMatch(again, /no renegotiation/);
    assertEquals(await curl(stage, "a.test", "--tls-max", "1.2"), "hello");
    assertEquals(stage.heads.length, 3, "the request in the early data has not come");
  },
});

Deno.test({
  name: "the staple of the certificate that is shown, in both versions; none for one that has none",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const ca = folder.make("responder", { authority: true });
    const leaf = folder.make("stapled", { names: ["stapled.test"], issuer: ca });
    const path = (name: string) => `${folder.path}/${name}`;
    const until = new Date(Date.now() + 86_400_000).toISOString().replace(/\D/g, "").slice(2, 14);
    const index = folder.write("index", `V\t${until}Z\t\t02\tunknown\t/CN=stapled\n`);
    folder.run("ocsp", "-issuer", ca.cert, "-cert", leaf.cert, "-reqout", path("request"));
    const by = ["-index", index, "-CA", ca.cert, "-rsigner", ca.cert, "-rkey", ca.key];
    folder.run("ocsp", ...by, "-reqin", path("request"), "-respout", path("staple"), "-ndays", "1");
    await using stage = await serveTls({ folder });
    using control = await Client.connect(stage.proxy.socket);
    const value = { ...leaf, ocsp: path("staple") };
    const order = { order: "add", object: "certificate", name: "stapled", value };
    assertEquals((await control.ask({ verb: "apply", orders: [order] })).status, "ok");
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const text = await sClient(stage, ["-servername", "stapled.test", version, "-status"]);
      assertMatch(text, /OCSP Response Status: successful[^]*Cert Status: good/, version);
      assertMatch(
        await sClient(stage, ["-servername", "a.test", version, "-status"]),
        /OCSP response: no response sent/,
      );
    }
  },
});

Deno.test({
  name: "421 unless the route allows; HSTS on the proxy's own answers, and never in clear; redirects",
  ignore,
  async fn() {
    await using stage = await serveTls({
      tls: 'default_certificate: ecdsa, hsts: "max-age=60"',
      listeners: `  red: { address: "127.0.0.1:0", protocol: http, redirect_https: true }`,
      routes: `  - { host: a.test, cluster: app }
  - { host: x.b.test, cluster: app }
  - { host: free.test, cluster: app, allow_misdirected: true }
  - { host: free.test, path: /strict, cluster: app }`,
    });
    const ask = async (host: string, path = "/", ...args: string[]) => {
      const to = ["-i", "--http1.1", "--request-target", path, "-H", `Host: ${host}`, ...args];
      const text = await curl(stage, "a.test", ...to);
      return [
        Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]),
        /\r\nStrict-Transport-Security: max-age=60\r\n/i.test(text),
      ];
    };
    assertEquals(await ask("a.test"), [200, true]);
    assertEquals(await ask("A.TEST:8443"), [200, true]);
    assertEquals(await ask("x.b.test"), [421, true]);
    assertEquals(await ask("free.test"), [200, true]);
    assertEquals(await ask("free.test", "/strict"), [421, true]);
    assertEquals(await ask("none.test"), [421, true], "whether there is a route is not told");
    assertEquals(await ask("localhost"), [404, true], "a host that the certificate has, and no route");
    assertEquals(await ask("a.test", "/", "-H", "Content-Length: x"), [400, true]);
    using plain = await connect(stage.proxy.port("red"));
    await plain.write(get("/a?b=c", "", "a.test:8080") + get("/", "", "[::1]:80"));
    for (const place of ["a.test", "[::1]"]) {
      const { status, fields } = await readMessage(plain);
      assertEquals([status, fields["strict-transport-security"]], [308, undefined]);
      // a listener that has its port from the system may be on any
      assertMatch(fields["location"]!, /^https:\/\/(a\.test|\[::1\])(:\d+)?\/(a\?b=c)?$/);
      assert(fields["location"]!.startsWith(`https://${place}`), fields["location"]!);
    }
    using web = await connect(stage.proxy.port("web"));
    await web.write(get("/", "", "none.test"));
    const { status, fields } = await readMessage(web);
    assertEquals([status, fields["strict-transport-security"]], [404, undefined]);
  },
});

Deno.test({
  name: "the log and the metrics say how it was spoken",
  ignore,
  async fn() {
    await using stage = await serveTls();
    const session = `${stage.folder.path}/session`;
    await sClient(stage, ["-servername", "a.test", "-tls1_2", "-sess_out", session], GET("a.test"));
    await sClient(stage, ["-servername", "a.test", "-tls1_2", "-sess_in", session], GET("a.test"));
    await sClient(stage, ["-noservername", "-tls1_3"], GET("a.test"));
    const log = () => Deno.readTextFileSync(`${stage.proxy.folder}/access.log`).trim().split("\n");
    const lines = (await eventually("the log", log, (found) => found.length === 3)).map((line) => JSON.parse(line));
    assertEquals(lines.map(({ tls, resumed, sni }) => [tls, resumed, sni]), [
      ["TLSv1.2", false, "a.test"],
      ["TLSv1.2", true, "a.test"],
      ["TLSv1.3", false, ""],
    ]);
    for (const { cipher, group, handshake_ms } of lines) {
      assertMatch(cipher, /^(ECDHE-ECDSA-|TLS_)/);
      assertEquals([typeof group, handshake_ms >= 0 && handshake_ms < 5_000], ["string", true]);
    }
    const { stdout } = await runKakehi("metrics", "--socket", stage.proxy.socket);
    for (
      const pattern of [
        /kakehi_tls_handshakes_total\{worker="0",pid="\d+",version="1\.2"\} 2\n/,
        /kakehi_tls_handshakes_total\{worker="0",pid="\d+",version="1\.3"\} 1\n/,
        /kakehi_tls_resumed_total\{worker="0",pid="\d+"\} 1\n/,
        /kakehi_tls_failed_total\{worker="0",pid="\d+",reason="malformed"\} 0\n/,
        /kakehi_certificate_days_left\{certificate="ecdsa"\} 89\n/,
      ]
    ) assertMatch(stdout, pattern);
  },
});
