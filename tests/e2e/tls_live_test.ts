// TLS changes while it serves: each option of a listener, the files that it names, the first listener of a proxy that had no
// TLS; and sessions go on over dying workers and an upgrade. A connection that was there before serves through all of it.

// deno-lint-ignore-file no-explicit-any

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { toText } from "../support/bytes.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { get, readMessage } from "../support/messages.ts";
import { otherVersion } from "../support/programs.ts";
import { eventually, runKakehi, startProxy } from "../support/proxy.ts";
import { connect } from "../support/raw_client.ts";
import { requireTools } from "../support/require_tool.ts";
import { connectPeer, curl, GET, sClient, serveTls } from "../support/tls_stage.ts";
import { serveEcho, Traffic } from "../support/traffic.ts";
import { Client } from "../unit/control/client.ts";

const ignore = requireTools("openssl", "curl");

async function apply(client: Client, ...orders: unknown[]): Promise<void> {
  const answer: any = await client.ask({ verb: "apply", orders });
  assertEquals(answer.status, "ok", JSON.stringify(answer));
}

const listener = (tls: object) => ({ order: "update", object: "listener", name: "sec", value: { tls } });

Deno.test({
  name: "each option of a listener holds for the next handshake, and connections that are there stay",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const clients = folder.make("clients", { authority: true });
    const middle = folder.make("middle", { authority: true, issuer: clients });
    const leaf = folder.make("leaf", { issuer: middle });
    const chain = folder.join("leaf-chain.pem", leaf.cert, middle.cert);
    await using stage = await serveTls({ folder });
    using client = await Client.connect(stage.proxy.socket);
    const ca = Deno.readTextFileSync(stage.authority.cert);
    using kept = await connectPeer(stage.proxy.port("sec"), { ca, servername: "a.test" });
    const shows = ["-cert", leaf.cert, "-key", leaf.key, "-cert_chain", chain];
    const rows: [options: object, args: string[], before: RegExp, after: RegExp][] = [
      [{ max_version: "1.2" }, [], /New, TLSv1\.3/, /New, TLSv1\.2/],
      [{ ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305" }, ["-tls1_2"], /AES256-GCM/, /ECDHE-ECDSA-CHACHA20-POLY1305/],
      [{ max_version: "1.3" }, [], /New, TLSv1\.2/, /New, TLSv1\.3/],
      [{ cipher_suites: "TLS_AES_128_GCM_SHA256" }, [], /TLS_AES_256_GCM_SHA384/, /TLS_AES_128_GCM_SHA256/],
      [{ groups: "P-384" }, [], /Server Temp Key: X25519/, /Server Temp Key: ECDH, secp384r1/],
      [{ min_version: "1.3" }, ["-tls1_2"], /New, TLSv1\.2/, /alert protocol version/],
      [{ ticket_lifetime: "1h" }, [], /lifetime hint: 43200/, /lifetime hint: 3600/],
      [{ ticket_lifetime: "0s" }, [], /lifetime hint: 3600/, /^(?![^]*lifetime hint)/],
      [{ default_certificate: "exact" }, ["-noservername"], /subject=CN = a\.test/, /subject=CN = x\.b\.test/],
      [{ default_certificate: "" }, ["-noservername"], /subject=CN = x\.b\.test/, /unrecognized name/],
      [{ alpn: [] }, ["-alpn", "http/1.1"], /ALPN protocol: http\/1\.1/, /No ALPN negotiated/],
      [{ hsts: "max-age=1" }, [], /200 OK\r\n(?![^]*Strict)/, /Strict-Transport-Security: max-age=1\r\n/],
      [{ client_certificate: "required", client_ca: clients.cert }, [], /200 OK/, /certificate required/],
      [{ client_depth: 0 }, shows, /200 OK/, /alert/],
      [{ client_depth: 1 }, shows, /alert/, /200 OK/],
      [{ client_certificate: "optional" }, [], /certificate required/, /200 OK/],
    ];
    for (const [options, args, before, after] of rows) {
      const words = args.includes("-noservername") ? args : ["-servername", "a.test", ...args];
      const look = () => sClient(stage, words, GET("a.test"));
      assertMatch(await look(), before, `before ${JSON.stringify(options)}`);
      await apply(client, listener(options));
      assertMatch(await look(), after, `after ${JSON.stringify(options)}`);
      await kept.write(get("/"));
      assertEquals(toText((await readMessage(kept)).body), "hello", "on the connection of before");
    }
    await apply(client, listener({ handshake_timeout: "300ms" }));
    using silent = await connect(stage.proxy.port("sec"));
    await silent.untilEnd(2_000);
    await apply(client, listener({ handshakes: 1, handshake_timeout: "5s" }));
    using half = await connect(stage.proxy.port("sec"));
    await half.write(Uint8Array.of(22, 3, 1, 2, 0, 1));
    await eventually("it began", () => stage.proxy.counters(), (now) => now.of("tls.handshakes.active") === 1);
    assertEquals(await curl(stage, "a.test"), "hello", "the oldest gave way");
    const counters = await stage.proxy.counters();
    assert(counters.of("tls.waited") === 1 && counters.of("tls.failed.crowded_out") === 1, "the only place was taken");
  },
});

Deno.test({
  name: "authorities and lists of revoked ones that change in their files, by order and by HUP",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const [one, other] = [folder.make("one", { authority: true }), folder.make("two", { authority: true })];
    const [mine, theirs] = [folder.make("mine", { issuer: one }), folder.make("theirs", { issuer: other })];
    const [bundle, list] = [`${folder.path}/bundle.pem`, `${folder.path}/list.pem`];
    Deno.copyFileSync(one.cert, bundle);
    Deno.copyFileSync(folder.revoke("none", one), list);
    const tls = `default_certificate: ecdsa, client_certificate: required, client_ca: ${bundle}, client_crl: ${list}`;
    await using stage = await serveTls({ folder, tls });
    const answers = () =>
      Promise.all([mine, theirs].map(({ cert, key }) => curl(stage, "a.test", "--cert", cert, "--key", key)));
    const again = async (what: string, expected: string[]) => {
      Deno.kill(stage.proxy.pid, "SIGHUP");
      await eventually(what, answers, (found) => `${found}` === `${expected}`);
    };
    assertEquals(await answers(), ["hello", ""]);
    Deno.copyFileSync(folder.revoke("revoked", one, mine), list);
    await again("one is revoked", ["", ""]);
    const empty = folder.join("empty.crl", folder.revoke("one-none", one), folder.revoke("two-none", other));
    Deno.copyFileSync(empty, list);
    Deno.copyFileSync(folder.join("both.pem", one.cert, other.cert), bundle);
    await again("both authorities", ["hello", "hello"]);
    Deno.writeTextFileSync(bundle, "nothing");
    Deno.kill(stage.proxy.pid, "SIGHUP");
    await eventually(
      "a word",
      () => stage.proxy.log(),
      (log) => /client_ca: .*bundle\.pem: expected certificates/.test(log),
    );
    assertEquals(await answers(), ["hello", "hello"], "what cannot be used changes nothing");
  },
});

Deno.test({
  name: "the first TLS listener of a proxy without TLS comes while it serves; nothing fails",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const own = folder.make("own", { names: ["a.test"] });
    const backend = serveEcho();
    try {
      await using proxy = await startProxy(`
workers: 2
listeners: { web: { address: "127.0.0.1:0" } }
clusters: { app: { backends: ["${backend.address}"] } }
routes: [ { cluster: app } ]
`);
      const traffic = new Traffic(proxy.port("web"));
      using client = await Client.connect(proxy.socket);
      await apply(
        client,
        { order: "add", object: "certificate", name: "own", value: own },
        { order: "add", object: "listener", name: "sec", value: { address: "127.0.0.1:0", protocol: "https" } },
      );
      const { listeners } = await proxy.status();
      const { address } = listeners.find(({ name }) => name === "sec")!;
      const ca = Deno.readTextFileSync(own.cert);
      for (let i = 0; i < 8; i++) {
        using peer = await connectPeer(Number(address.split(":")[1]), { ca, servername: "a.test" });
        await peer.write(get(`/${i}`));
        assertEquals(toText((await readMessage(peer)).body), `/${i}`);
      }
      await traffic.more(50);
      await traffic.stop();
      assertEquals(traffic.failures, []);
    } finally {
      await backend.shutdown();
    }
  },
});

Deno.test({
  name: "sessions are resumed by a worker that replaced another, and by those of another program",
  ignore,
  async fn() {
    await using stage = await serveTls({ workers: 2 });
    const versions = ["-tls1_2", "-tls1_3"];
    const file = (version: string) => `${stage.folder.path}/session${version}`;
    for (const version of versions) {
      await sClient(stage, ["-servername", "a.test", version, "-sess_out", file(version)], GET("a.test"));
    }
    const resume = async (when: string) => {
      for (const version of versions) {
        for (let i = 0; i < 4; i++) {
          const text = await sClient(stage, ["-servername", "a.test", version, "-sess_in", file(version)]);
          assertMatch(text, /^Reused, TLSv1\.[23]/m, `${when}, ${version}`);
        }
      }
    };
    await resume("at first");
    const before = await stage.proxy.workers();
    for (const pid of before) Deno.kill(pid, "SIGKILL");
    const replaced = (pids: number[]) => pids.length === 2 && pids.every((pid) => !before.includes(pid));
    await eventually("other workers", () => stage.proxy.workers(), replaced);
    await eventually("they serve", () => curl(stage, "a.test"), (text) => text === "hello");
    await resume("after the death of the workers");
    const version = { file: "src/ts/control/version.ts", from: 'VERSION = "0.1.0"', to: 'VERSION = "9.9.9"' };
    const binary = await otherVersion(stage.folder.path, "other", [version]);
    const { code, stderr } = await runKakehi("upgrade", "--binary", binary, "--socket", stage.proxy.socket);
    assertEquals([code, stderr], [0, ""]);
    await resume("after an upgrade");
  },
});

Deno.test({
  name:
    "a program is not upgraded while a certificate on the disk is broken; the old one serves on and says which file",
  ignore,
  async fn() {
    await using stage = await serveTls();
    const path = `${stage.folder.path}/exact.pem`;
    const whole = Deno.readTextFileSync(path);
    Deno.writeTextFileSync(path, whole.slice(0, 200));
    const upgrade = () => runKakehi("upgrade", "--socket", stage.proxy.socket);
    const refused = await upgrade();
    assertEquals(refused.code, 1);
    assertMatch(
      refused.stderr,
      /cannot take over: .*certificate exact: cert: .*exact\.pem: expected a certificate in PEM/,
    );
    assertMatch(
      await sClient(stage, ["-servername", "x.b.test"]),
      /subject=CN = x\.b\.test/,
      "what was read is served",
    );
    assertEquals((await stage.proxy.status() as any).upgrades, 0);
    Deno.writeTextFileSync(path, whole);
    const done = await upgrade();
    assertEquals([done.code, done.stderr], [0, ""]);
    assertMatch(await sClient(stage, ["-servername", "x.b.test"]), /subject=CN = x\.b\.test/);
  },
});

Deno.test({
  name: "a certificate that ends soon is told of, in the log, to subscribers and by the metrics",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const short = folder.make("short", { names: ["short.test"], days: 2 });
    const over = folder.make("over", { names: ["over.test"], days: -1 });
    await using stage = await serveTls({ folder });
    using client = await Client.connect(stage.proxy.socket);
    const told: unknown[] = [];
    client.follow({ verb: "subscribe", events: ["certificate.expiring"] }, (line) => {
      if (line?.event) told.push([line.event.certificate, line.event.days_left]);
    });
    for (const [name, value] of Object.entries({ short, over })) {
      await apply(client, { order: "add", object: "certificate", name, value });
    }
    await eventually("it is told", () => told.length, (count) => count === 2);
    assertEquals(told, [["short", 1], ["over", -2]]);
    const { stdout } = await runKakehi("metrics", "--socket", stage.proxy.socket);
    assertMatch(stdout, /kakehi_certificate_days_left\{certificate="short"\} 1\n/);
    assertMatch(stage.proxy.log(), /a certificate expires soon {2}certificate=short/);
    assertMatch(stage.proxy.log(), /a certificate has expired {2}certificate=over/);
  },
});
