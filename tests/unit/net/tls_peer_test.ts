// What is said of the other side of a handshake, and how a session is resumed when keys change: with both sides in this
// process, on a pair of sockets.

import { X509Certificate } from "node:crypto";
import { type Accepting, Tls } from "../../../src/ts/net/tls.ts";
import { parseMaterial } from "../../../src/ts/net/tls_certificates.ts";
import { describe, identityFields } from "../../../src/ts/net/tls_peer.ts";
import { type Ssl } from "../../../src/ts/net/tls_calls.ts";
import { TlsServer, type TlsServerOptions } from "../../../src/ts/net/tls_server.ts";
import { closeFd, socketPair } from "../../../src/ts/sys/fds.ts";
import * as openssl from "../../../src/ts/sys/openssl.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { CertificateFolder, type Pair, pemOf } from "../../support/certificates.ts";
import { requireTools } from "../../support/require_tool.ts";

const ignore = requireTools("openssl");

class Scene implements AsyncDisposable {
  readonly folder = new CertificateFolder();
  readonly authority = this.folder.make("clients", { authority: true });
  readonly memory = new Uint8Array(32768);
  readonly complaints: string[] = [];
  readonly tls = new Tls(this.memory, (text) => this.complaints.push(text));
  readonly server: TlsServer;

  constructor(options: Partial<TlsServerOptions> = {}) {
    const own = pemOf(this.folder.make("own", { names: ["a.test"] }));
    const read = () => ({ ...own, ocsp: "" });
    this.tls.certificates.set({ name: "own", names: ["a.test"], keyType: "ecdsa", read });
    this.server = new TlsServer(this.tls, "sec", {
      minVersion: "1.2",
      maxVersion: "1.3",
      ciphers: "",
      cipherSuites: "",
      groups: "X25519",
      defaultCertificate: "own",
      ticketLifetimeMs: 3_600_000,
      handshakeTimeoutMs: 10_000,
      handshakesMax: 10,
      clientCertificate: "optional",
      clientCa: Deno.readTextFileSync(this.authority.cert),
      clientCrl: "",
      clientDepth: 1,
      alpn: ["http/1.1"],
      ...options,
    });
  }

  /** Calls `use` with the server's and the client's side once they have agreed. */
  meet<T>(shown: Pair | null, session: Deno.PointerValue, use: (server: Ssl, client: Ssl) => T): T {
    const { lib, calls } = this.tls;
    const [one, two] = socketPair();
    const given = this.server.givenSet();
    const accepting: Accepting = {
      ssl: this.server.accept(one),
      certificates: null,
      given,
      serverName: "",
      mayHttp2: false,
      isHttp2: false,
    };
    const context = lib.SSL_CTX_new(lib.TLS_client_method());
    const client = lib.SSL_new(context);
    lib.SSL_set_fd(client, two);
    lib.SSL_set_connect_state(client);
    if (session) lib.SSL_set_session(client, session);
    if (shown) {
      const { x509, key, chain } = parseMaterial(lib, "client", { ...pemOf(shown), ocsp: "" });
      lib.SSL_use_cert_and_key(client, x509, key, chain, 1);
    }
    try {
      let [here, there] = [0, 0];
      for (let turn = 0; turn < 10 && (here !== 1 || there !== 1); turn++) {
        there = calls.handshake(client);
        here = this.tls.handshake(accepting, this.server);
      }
      assertEquals([here, there], [1, 1], `${this.complaints} ${calls.lastReasonText}`);
      return use(accepting.ssl!, client);
    } finally {
      calls.notifyClose(client); // OpenSSL gives a session up whose connection did not end
      lib.SSL_free(client);
      lib.SSL_free(accepting.ssl!);
      lib.SSL_CTX_free(context);
      closeFd(one);
      closeFd(two);
    }
  }

  identity(shown: Pair | null): string {
    return this.meet(shown, null, (server) => new TextDecoder().decode(identityFields(this.tls.lib, server)));
  }

  async [Symbol.asyncDispose]() {
    await this.folder[Symbol.asyncDispose]();
  }
}

Deno.test({
  name: "identityFields() has the subject as RFC 4514 writes it, and the fingerprint; nothing that could be misread",
  ignore,
  async fn() {
    await using scene = new Scene();
    const { folder, authority } = scene;
    assertEquals(scene.identity(null), "X-Client-Cert-Verified: NONE\r\n");
    const of = (name: string, subject: string) => {
      const pair = folder.make(name, { subject, issuer: authority });
      const { fingerprint256 } = new X509Certificate(Deno.readTextFileSync(pair.cert));
      const tail = `X-Client-Cert-Fingerprint: ${fingerprint256.replaceAll(":", "").toLowerCase()}\r\n`;
      const fields = scene.identity(pair);
      assert(fields.startsWith("X-Client-Cert-Verified: SUCCESS\r\n") && fields.endsWith(tail), fields);
      return fields.slice("X-Client-Cert-Verified: SUCCESS\r\n".length, -tail.length);
    };
    assertEquals(of("plain", "/C=DE/O=Acme/CN=joe"), "X-Client-Cert-Subject: CN=joe,O=Acme,C=DE\r\n");
    assertEquals(of("comma", '/O=Acme, "Inc."/CN=a\\+b'), 'X-Client-Cert-Subject: CN=a\\+b,O=Acme\\, \\"Inc.\\"\r\n');
    assertEquals(
      of("line", "/CN=a\r\nX-Client-Cert-Subject: CN=b"),
      "X-Client-Cert-Subject: CN=a\\0D\\0AX-Client-Cert-Subject: CN=b\r\n",
    );
    const parts = Array.from({ length: 12 }, (_, at) => `/OU=${"u".repeat(50)}${at}`).join("");
    assertEquals(of("long", `${parts}/CN=x`), "", "half of a name could be somebody else's");
  },
});

Deno.test({
  name: "describe() says what was agreed on, as members of a JSON object",
  ignore,
  async fn() {
    await using scene = new Scene();
    const said = (resumed: boolean, name: string) =>
      scene.meet(null, null, (server) => {
        return new TextDecoder().decode(describe(scene.tls.lib, server, resumed, name, 3));
      });
    const text = said(false, 'a"\\.test');
    assertMatch(text, /^,"tls":/);
    // newer versions spell it with a capital
    assertEquals(JSON.parse(`{"a":1${text}}`.replace("X25519", "x25519")), {
      a: 1,
      tls: "TLSv1.3",
      cipher: "TLS_AES_256_GCM_SHA384",
      group: "x25519",
      resumed: false,
      sni: 'a"\\.test',
      handshake_ms: 3,
    });
  },
});

Deno.test({
  name: "a session is resumed with the key before, which gives another ticket, and not when that key is gone",
  ignore,
  async fn() {
    for (const maxVersion of ["1.2", "1.3"] as const) {
      await using scene = new Scene({ maxVersion });
      const { lib, calls, tickets } = scene.tls;
      const [first, second, third] = [1, 2, 3].map((fill) => new Uint8Array(80).fill(fill).toBase64()) as [
        string,
        string,
        string,
      ];
      /** Whether it was resumed, and the session for the next time. */
      const meet = (session: Deno.PointerValue) =>
        scene.meet(null, session, (server, client): [boolean, Deno.PointerValue] => {
          calls.read(client, 0, 1000); // tickets of TLS 1.3 come behind the handshake
          return [lib.SSL_session_reused(server) === 1, lib.SSL_get1_session(client)];
        });
      tickets.replace([first]);
      const [fresh, one] = meet(null);
      assertEquals([fresh, meet(one)[0]], [false, true], maxVersion);
      tickets.replace([second, first]);
      const [again, two] = meet(one);
      assertEquals(again, true, "by the key before");
      tickets.replace([third, second]);
      assertEquals(meet(one)[0], false, "its key is gone");
      assertEquals(meet(two)[0], true, "the ticket that it was given then is of the next key");
      for (const session of [one, two]) lib.SSL_SESSION_free(session);
    }
    assertEquals(openssl.takeErrors(openssl.openssl()), "no reason given");
  },
});
