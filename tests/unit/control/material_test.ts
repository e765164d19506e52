// Reading certificates: what is right gives what workers need, and everything that is wrong with certificates and keys in
// practice is refused with the object, the file and what was expected.

import { type MaterialError, readMaterial } from "../../../src/ts/control/material.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { CertificateFolder } from "../../support/certificates.ts";
import { requireTools } from "../../support/require_tool.ts";

const ignore = requireTools("openssl");
const NO_KEYS = () => undefined;
const NOTHING = { names: [], ocsp: "" };

function secretsOf(file: string): string[] {
  return Deno.readTextFileSync(file).split("\n").slice(1, 3);
}

Deno.test("readMaterial() gives chain, key, names, dates and kind of key", { ignore }, async () => {
  await using folder = new CertificateFolder();
  const root = folder.make("root", { authority: true });
  const middle = folder.make("middle", { authority: true, issuer: root });
  for (const [kind, type] of [["ec", "ecdsa"], ["rsa", "rsa"], ["ed25519", "ed25519"]] as const) {
    const leaf = folder.make(`leaf-${kind}`, { key: kind, names: ["A.test", "*.b.test"], issuer: middle, days: 20 });
    const cert = folder.join(`chain-${kind}.pem`, leaf.cert, middle.cert);
    for (const quick of [false, true]) {
      const { report, content } = readMaterial("x", { ...NOTHING, cert, key: leaf.key }, NO_KEYS, quick);
      assertEquals([report.names, report.keyType], [["a.test", "*.b.test"], type], `${kind} ${quick}`);
      assertEquals([report.subject, report.issuer], [`CN=leaf-${kind}`, "CN=middle"]);
      assert(Math.abs(report.notAfterMs - Date.now() - 20 * 86_400_000) < 120_000, "20 days from now");
      const sent = JSON.parse(new TextDecoder().decode(content));
      assertEquals([sent.cert, sent.key, sent.ocsp], [
        Deno.readTextFileSync(cert),
        Deno.readTextFileSync(leaf.key),
        "",
      ]);
    }
  }
  const plain = folder.make("common.test");
  assertEquals(readMaterial("x", { ...NOTHING, ...plain }, NO_KEYS).report.names, ["common.test"]);
  const bare = folder.make("bare", { names: ["a.test", "192.0.2.1", "2001:db8::1"] });
  assertEquals(readMaterial("x", { ...NOTHING, ...bare }, NO_KEYS).report.names, [
    "a.test",
    "192.0.2.1",
    "[2001:db8::1]",
  ]);
  const given = { ...NOTHING, ...plain, names: ["other.test"] };
  assertEquals(readMaterial("x", given, NO_KEYS).report.names, ["other.test"], "names that were given");
  const both = folder.join("both.pem", plain.cert, plain.key);
  assertEquals(readMaterial("x", { ...NOTHING, cert: both, key: "" }, NO_KEYS).report.names, ["common.test"]);
  const inline = { ...NOTHING, cert: Deno.readTextFileSync(plain.cert), key: "sha256:1" };
  const found = readMaterial("x", { ...inline, key: Deno.readTextFileSync(plain.key) }, NO_KEYS);
  assertEquals(found.report.fingerprint.length, 64);
});

Deno.test("readMaterial() refuses every kind of bad certificate and key, quickly or not, without a word of the key", {
  ignore,
}, async () => {
  await using folder = new CertificateFolder();
  const root = folder.make("root", { authority: true });
  const leaf = folder.make("leaf", { names: ["leaf.test"], issuer: root });
  const other = folder.make("other", { names: ["other.test"], issuer: root });
  const rsa = folder.make("rsa", { key: "rsa" });
  const weak = folder.make("weak", { key: "rsa1024" });
  const impostor = folder.make("root2", { authority: true });
  folder.run("x509", "-in", leaf.cert, "-outform", "der", "-out", `${folder.path}/leaf.der`);
  folder.run("pkey", "-in", leaf.key, "-outform", "der", "-out", `${folder.path}/key.der`);
  folder.run("pkcs8", "-topk8", "-in", leaf.key, "-passout", "pass:x", "-out", `${folder.path}/encrypted.key`);
  folder.run("rsa", "-in", rsa.key, "-aes128", "-passout", "pass:x", "-traditional", "-out", `${folder.path}/old.key`);
  const file = (name: string) => `${folder.path}/${name}`;
  const text = Deno.readTextFileSync(leaf.cert);
  const broken = text.replace(/^(-+BEGIN.*\n.{20}).{24}/, "$1QUJDREVGR0hJSktMTU5PUFFS");
  const badKey = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49\n-----END PRIVATE KEY-----\n";
  const cases: [string, { cert?: string; key?: string; ocsp?: string }, RegExp][] = [
    [
      "no file",
      { cert: file("none.pem") },
      /cert: .*none\.pem: expected a file that can be read, got none of this name/,
    ],
    [
      "no key file",
      { key: file("none.key") },
      /key: .*none\.key: expected a file that can be read, got none of this name/,
    ],
    ["a folder", { cert: folder.path }, /cert: .*a file that can be read, got a directory|Is a directory/],
    ["empty", { cert: folder.write("empty.pem", "") }, /expected a certificate in PEM, got an empty file/],
    ["text", { cert: folder.write("text.pem", "hello") }, /expected a certificate in PEM, got something else/],
    ["DER", { cert: file("leaf.der") }, /got DER; "openssl x509 -inform der -in .*leaf\.der" writes it as PEM/],
    ["a key in DER", { key: file("key.der") }, /key: .*got DER; "openssl pkey -inform der/],
    ["a key for a certificate", { cert: leaf.key }, /cert: .*expected a certificate in PEM, got only: private key/],
    ["a certificate for a key", { key: leaf.cert }, /key: .*expected a private key in PEM, got only: certificate/],
    ["no key in the file", { key: "" }, /key: .*leaf\.pem: .*got only: certificate; its own file goes under "key"/],
    ["cut off", { cert: folder.write("cut.pem", text.slice(0, 300)) }, /got no block of PEM that is whole/],
    ["broken", { cert: folder.write("broken.pem", broken) }, /cert: .*broken\.pem: expected certificates/],
    ["a broken key", { key: folder.write("broken.key", badKey) }, /key: .*expected a key that OpenSSL takes, got \w/],
    ["another key", { key: other.key }, /key: .*other\.key: expected the key of the certificate, got another one/],
    ["another kind of key", { key: rsa.key }, /key: .*expected the key of the certificate, got another one/],
    ["an encrypted key", { key: file("encrypted.key") }, /the key is encrypted; write it without its passphrase/],
    ["an encrypted key, old", { ...rsa, key: file("old.key") }, /the key is encrypted; write it without/],
    ["two keys", { key: folder.join("two.key", leaf.key, other.key) }, /expected one private key, got 2/],
    [
      "a weak key",
      weak,
      /cert: .*weak\.pem: expected certificates that OpenSSL takes, got certificate 1: ee key too small/,
    ],
    ["order", { cert: folder.join("order.pem", root.cert, leaf.cert) }, /got the authority CN=root first/],
    ["two leaves", { cert: folder.join("leaves.pem", leaf.cert, other.cert) }, /got several: CN=leaf; CN=other/],
    [
      "no issuer",
      { cert: folder.join("no.pem", leaf.cert, impostor.cert) },
      /CN=root2 behind CN=leaf, whose issuer is CN=root/,
    ],
    [
      "a key forgotten",
      { key: `sha256:${"0".repeat(64)}` },
      /expected a key that is kept here, got sha256:0+…; give the key/,
    ],
    ["ocsp", { ocsp: leaf.cert }, /ocsp: .*expected a response of OCSP in DER, got something else/],
  ];
  const secrets = [leaf, other, rsa, weak].flatMap(({ key }) => secretsOf(key));
  for (const [what, change, reason] of cases) {
    for (const quick of [false, true]) {
      const state = { ...NOTHING, ...leaf, ...change };
      const error = assertThrows(() => readMaterial("mine", state, NO_KEYS, quick), reason) as MaterialError;
      assertMatch(error.message, /^certificate mine: /, what);
      for (const secret of secrets) assert(!error.message.includes(secret), what);
    }
  }
});

Deno.test(
  "readMaterial() refuses a chain in which one has not signed the other, quickly or not",
  { ignore },
  async () => {
    await using folder = new CertificateFolder();
    const root = folder.make("root", { authority: true });
    const leaf = folder.make("leaf", { issuer: root });
    const impostor = folder.make("root", { authority: true });
    const cert = folder.join("forged.pem", leaf.cert, impostor.cert);
    const reason = /each certificate signed by the next, got certificate 2, which has not signed the one before it/;
    for (const quick of [false, true]) {
      assertThrows(() => readMaterial("mine", { ...NOTHING, cert, key: leaf.key }, NO_KEYS, quick), reason);
    }
  },
);
