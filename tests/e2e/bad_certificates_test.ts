// Bad certificates and keys of each kind through every door: the file at the start, HUP, a whole state, an order, and the
// command line with paths and with text. Each is refused with the name of the certificate and with what was expected, nothing
// changes, and no line of a key is said to anybody.

// deno-lint-ignore-file no-explicit-any

import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { CertificateFolder, type Pair } from "../support/certificates.ts";
import { eventually, runKakehi, startProxy } from "../support/proxy.ts";
import { requireTools } from "../support/require_tool.ts";
import { connectSecurely } from "../support/tls_stage.ts";
import { Client } from "../unit/control/client.ts";

const ignore = requireTools("openssl");

interface Bad {
  kind: string;
  cert: string;
  key: string;
  /** What is said of it when it is given by paths, and when it is given as text. */
  said: RegExp;
  saidOfText: RegExp;
}

/** Whatever can be wrong with the two files. */
function badOnes(folder: CertificateFolder, good: Pair): Bad[] {
  const other = folder.make("other", { names: ["a.test"] });
  const weak = folder.make("weak", { names: ["a.test"], key: "rsa1024" });
  const rsa = folder.make("rsa", { names: ["a.test"], key: "rsa" });
  const file = (name: string) => `${folder.path}/${name}`;
  folder.run("pkcs8", "-topk8", "-in", good.key, "-passout", "pass:x", "-out", file("encrypted.key"));
  folder.run("x509", "-in", good.cert, "-outform", "der", "-out", file("der.pem"));
  const [cert, key] = [good.cert, good.key].map((path) => Deno.readTextFileSync(path)) as [string, string];
  const bare = key.split("\n").slice(1, -2).join("");
  const cutOff = folder.write("cut.pem", cert.slice(0, 200));
  const bareFile = folder.write("bare.pem", bare);
  const same = (said: RegExp) => ({ said, saidOfText: said });
  return [
    {
      kind: "another key",
      cert: good.cert,
      key: other.key,
      ...same(/expected the key of the certificate, got another/),
    },
    { kind: "an encrypted key", cert: good.cert, key: file("encrypted.key"), ...same(/the key is encrypted/) },
    { kind: "a weak key", ...weak, ...same(/ee key too small/) },
    {
      kind: "the wrong way round",
      cert: good.key,
      key: good.cert,
      said: /got only: private key/,
      saidOfText: /a private key belongs in "key"/,
    },
    {
      kind: "a key as certificate",
      cert: rsa.key,
      key: rsa.key,
      said: /got only: private key/,
      saidOfText: /a private key belongs in "key"/,
    },
    {
      kind: "DER",
      cert: file("der.pem"),
      key: good.key,
      said: /got DER/,
      saidOfText: /an absolute path, or a certificate in PEM/,
    },
    {
      kind: "cut off",
      cert: cutOff,
      key: good.key,
      said: /no block of PEM that is whole/,
      saidOfText: /no block of it is whole/,
    },
    {
      kind: "a key without its lines",
      cert: bareFile,
      key: good.key,
      said: /expected a certificate in PEM/,
      saidOfText: /got a long text in base64/,
    },
    {
      kind: "no file",
      cert: file("none.pem"),
      key: good.key,
      said: /expected a file that can be read/,
      saidOfText: /^/,
    },
  ];
}

/** The lines that are secret; the last ones of a key on a curve are those of its public half. */
function secretLines(folder: CertificateFolder): string[] {
  const files = [...Deno.readDirSync(folder.path)].filter(({ name }) => name.endsWith(".key"));
  return files.flatMap(({ name }) => Deno.readTextFileSync(`${folder.path}/${name}`).split("\n").slice(1, 3));
}

Deno.test({
  name: "bad certificates and keys are refused at every door, nothing changes, and no key is said",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const good = folder.make("good", { names: ["a.test"] });
    const bad = badOnes(folder, good);
    const secrets = secretLines(folder);
    const said: string[] = [];
    const yaml = (more = "", control = "{folder}") => `
control: { socket: "${control}/control.sock", state_file: "${control}/state" }
listeners: { sec: { address: "127.0.0.1:0", protocol: https, tls: { default_certificate: good } } }
certificates:
  - { name: good, cert: ${good.cert}, key: ${good.key} }
${more}`;
    const entry = ({ cert, key }: Pair) => `  - { name: bad, cert: ${cert}, key: ${key} }\n`;
    await using proxy = await startProxy(yaml());
    using client = await Client.connect(proxy.socket);
    const served = async () => {
      const socket = await connectSecurely(proxy.port("sec"), { servername: "a.test", rejectUnauthorized: false });
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      const { state, revision } = await client.ask({ verb: "get" });
      return { fingerprint256, state: JSON.stringify(state), revision };
    };
    const before = await served();
    const refuse = async (what: string, request: object, reason: RegExp) => {
      const answer: any = await client.ask(request);
      said.push(JSON.stringify(answer));
      assertEquals(answer.status, "error", what);
      assertMatch(answer.reason, reason, what);
      assertMatch(JSON.stringify(answer), /certificate bad|certificates\[1\]/, what);
    };
    for (const { kind, cert, key, said: reason, saidOfText } of bad) {
      const order = (value: Pair) => ({ order: "add", object: "certificate", name: "bad", value });
      await refuse(`${kind}, order`, { verb: "apply", orders: [order({ cert, key })] }, reason);
      const text = (path: string) => kind === "no file" ? "/none" : Deno.readTextFileSync(path);
      if (kind !== "no file") {
        const inline = { cert: text(cert), key: text(key) };
        await refuse(`${kind}, order with text`, { verb: "apply", orders: [order(inline)] }, saidOfText);
        const form = yaml(entry({ cert: JSON.stringify(inline.cert), key: JSON.stringify(inline.key) }), proxy.folder);
        await refuse(`${kind}, state with text`, { verb: "apply", text: form }, saidOfText);
      }
      await refuse(`${kind}, state`, { verb: "apply", text: yaml(entry({ cert, key }), proxy.folder) }, reason);
      await refuse(`${kind}, plan`, { verb: "plan", orders: [order({ cert, key })] }, reason);
    }
    for (const { kind, cert, key, said: reason } of bad.slice(0, 3)) {
      const from = proxy.log().length;
      await Deno.writeTextFile(`${proxy.folder}/kakehi.yaml`, yaml(entry({ cert, key }), proxy.folder));
      Deno.kill(proxy.pid, "SIGHUP");
      await eventually(`${kind}, HUP`, () => proxy.log().slice(from), (log) => reason.test(log));
      const file = folder.write("start.yaml", yaml(entry({ cert, key }), folder.path));
      const started = await runKakehi("start", "-c", file);
      said.push(started.stdout + started.stderr);
      assertEquals(started.code, 1, `${kind}, start`);
      assertMatch(started.stderr, reason, `${kind}, start`);
      for (const how of [[], ["--inline"]]) {
        const words = ["certificate", "add", "bad", "--cert", cert, "--key", key, ...how, "--socket", proxy.socket];
        const added = await runKakehi(...words);
        said.push(added.stdout + added.stderr);
        assertEquals([added.code, added.stdout], [1, ""], `${kind}, ${words.join(" ")}`);
        assertMatch(added.stderr, reason, `${kind}, ${words.join(" ")}`);
      }
    }
    assertEquals(await served(), before, "nothing has changed");
    const files = ["state", "kakehi.yaml"].map((name) => Deno.readTextFileSync(`${proxy.folder}/${name}`));
    const all = [...said, ...files, proxy.log()].join("\n");
    for (const secret of secrets) assert(!all.includes(secret.slice(0, 24)), "a line of a key");
  },
});

Deno.test({
  name:
    "a key that stands where something else is expected is not said: as cert, as a name, as keys of YAML, as an argument",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    for (const kind of ["ec", "rsa", "ed25519"] as const) {
      const { cert, key } = folder.make(kind, { key: kind });
      const text = Deno.readTextFileSync(key);
      const lines = text.split("\n").slice(1, -2);
      const asKeys = lines.map((line) => `    ${line}: x`).join("\n");
      const forms = [
        `certificates: [ { name: a, cert: ${JSON.stringify(lines.join(""))}, key: /k } ]`,
        `certificates: [ { name: ${JSON.stringify(lines.join(""))}, cert: "", key: /k } ]`,
        `certificates: [ { name: a, cert: ${cert}, key: ${JSON.stringify(lines.join("\n"))} } ]`,
        `certificates:\n  - name: a\n    cert: ${cert}\n${asKeys}`,
        `certificates:\n  - name: a\n    cert: ${cert}\n    key: |\n${text}`,
        `certificates:\n  - name: a\n    cert: ${cert}\n    key: ${text.replaceAll("\n", "\n    ")}`,
        `certificates:\n  - { name: a, cert: ${cert}, key: ${text} }`,
        `certificates: [ { name: a, cert: ${cert}, key: "${lines.join("")}`,
        `clusters: { app: { backends: [ ${JSON.stringify(lines[0])} ] } }`,
        `routes: [ { host: ${JSON.stringify(lines[0])}, cluster: ${JSON.stringify(lines[0])} } ]`,
        `listeners: { ${JSON.stringify(lines[0])}: { address: x } }`,
      ];
      const said: string[] = [];
      for (const form of forms) {
        const { code, stdout, stderr } = await runKakehi("check", folder.write("bad.yaml", form));
        said.push(stdout + stderr);
        assertEquals(code, 1, `${form}\n${stdout}`);
      }
      for (const args of [[lines[0]!], ["--names", lines[0]!], ["--kye", lines[0]!], ["--key", lines[0]!]]) {
        const words = ["certificate", "add", "a", "--cert", cert, ...args, "--socket", `${folder.path}/none`];
        const { stdout, stderr } = await runKakehi(...words);
        said.push(stdout + stderr);
      }
      for (const line of lines.filter(({ length }) => length >= 32)) {
        const found = said.find((text) => text.includes(line.slice(0, 24)));
        assertEquals(found, undefined, `${kind}: a line of the key`);
      }
    }
  },
});
