// The single binary that carries OpenSSL, where the host has none: in a mount namespace of its own in which the host's
// libraries are empty files, which needs root.

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { compileTo } from "../support/compiled.ts";
import { eventually } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { say } from "../support/spoken_program.ts";
import { freePort, startTlsBackends } from "../support/tls_backends.ts";

const ignore = requireTools("openssl", "curl", "nginx", "unshare") || Deno.uid() !== 0;

/** Where the dynamic linker finds the libraries. */
async function hostLibraries(): Promise<string[]> {
  const { stdout } = await new Deno.Command("/sbin/ldconfig", { args: ["-p"] }).output();
  const found = [...new TextDecoder().decode(stdout).matchAll(/lib(?:ssl|crypto)\.so\.3 .*=> (\S+)$/gm)];
  return [...new Set(found.map(([, path]) => Deno.realPathSync(path!)))];
}

/** A command whose program finds no OpenSSL. */
async function without(program: string, args: string[]): Promise<Deno.Command> {
  const libraries = await hostLibraries();
  assert(libraries.length >= 2, "the host's libraries are not found");
  const hide = libraries.map((path) => `mount --bind /dev/null ${path}`).join(" && ");
  const words = ["-m", "sh", "-c", `${hide} && exec "$@"`, "sh", program, ...args];
  return new Deno.Command("unshare", { args: words, stdin: "null", stdout: "piped", stderr: "piped" });
}

async function outputOf(program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await (await without(program, args)).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

Deno.test({
  name: "a binary with OpenSSL inside serves https and speaks TLS to backends where the host has none",
  ignore,
  async fn() {
    await using files = new CertificateFolder();
    const folder = files.path;
    const [carrying, bare] = [`${folder}/carrying`, `${folder}/bare`];
    await compileTo(carrying, "--with-openssl");
    await compileTo(bare);
    assertMatch(await outputOf(bare, "version"), /; no OpenSSL 3\)/);
    assertMatch(await outputOf(carrying, "version"), /; OpenSSL 3\.[^)]*, which this binary carries\)/);
    assertMatch(await say(carrying, ["version"]), /; OpenSSL 3\.[^,)]*\)/, "the host's comes first");

    const authority = files.make("authority", { authority: true });
    const { cert, key } = files.make("own", { names: ["localhost"], issuer: authority });
    await using backends = await startTlsBackends(folder, [{ certificate: { cert, key } }]);
    const port = freePort();
    const socket = `${folder}/control.sock`;
    const config = `${folder}/kakehi.yaml`;
    await Deno.writeTextFile(
      config,
      `control: { socket: ${socket} }
workers: 2
listeners: { sec: { address: "127.0.0.1:${port}", protocol: https, tls: { default_certificate: own } } }
clusters: { app: { backends: ["localhost:${backends.ports[0]}"], tls: { ca: ${authority.cert} } } }
routes: [{ cluster: app }]
certificates: [{ name: own, cert: ${cert}, key: ${key} }]
`,
    );
    assertMatch(await outputOf(bare, "start", "-c", config), /TLS needs OpenSSL 3/);
    const proxy = (await without(carrying, ["start", "-c", config])).spawn();
    const said = Promise.all([new Response(proxy.stdout).text(), new Response(proxy.stderr).text()]);
    try {
      const curl = () => say("curl", ["-sS", "--cacert", authority.cert, `https://localhost:${port}/`]);
      assertMatch(await eventually("an answer", curl, (text) => text.startsWith("{")), /"ssl_protocol":"TLSv1\.3"/);
      const ask = async () => JSON.parse(await outputOf(carrying, "status", "--json", "--socket", socket));
      const status = await eventually("its status", ask, ({ error }) => error === undefined);
      assertEquals(status.openssl.from, "binary");
      assert(status.counters["upstreams.tls.handshakes"] >= 1, "the backend was reached by TLS");
    } finally {
      proxy.kill("SIGTERM");
      const { code } = await proxy.status;
      assertEquals(code, 0, (await said).join(""));
    }
  },
});
