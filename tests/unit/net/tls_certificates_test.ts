// Which certificates a name leads to, what they cover, and how many stay parsed.

import { Certificates, type CertificateSource, hostEnd } from "../../../src/ts/net/tls_certificates.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { CertificateFolder, pemOf } from "../../support/certificates.ts";
import { requireTools } from "../../support/require_tool.ts";

const ignore = requireTools("openssl");
const NOTHING = { cert: "", key: "", ocsp: "" };

const fail = (message: string) => {
  throw new Error(message);
};

function source(name: string, keyType: string, ...names: string[]): CertificateSource {
  return { name, keyType, names, read: () => NOTHING };
}

const names = (set: ReturnType<Certificates["find"]>) => set?.certificates.map(({ source }) => source.name) ?? [];

function covers(set: NonNullable<ReturnType<Certificates["find"]>>, host: string): boolean {
  const bytes = new TextEncoder().encode(`//${host}//`);
  return set.covers(bytes, 2, bytes.length - 4);
}

Deno.test({
  name: "find() takes the exact name before a wildcard of one label, and one certificate for each kind of key",
  ignore,
  fn() {
    const certificates = new Certificates(fail);
    certificates.set(source("z", "ecdsa", "a.test"));
    certificates.set(source("wild", "ecdsa", "*.a.test"));
    certificates.set(source("x", "ecdsa", "x.a.test"));
    certificates.set(source("old", "ecdsa", "a.test"));
    certificates.set(source("r", "rsa", "a.test"));
    assertEquals(names(certificates.find("a.test")), ["old", "r"], "by name, whatever came first");
    assertEquals(names(certificates.find("x.a.test")), ["x"]);
    assertEquals(names(certificates.find("y.a.test")), ["wild"]);
    assertEquals(names(certificates.find("y.x.a.test")), []);
    assertEquals(names(certificates.find(".a.test")), [], "the label must be there");
    certificates.remove("old");
    assertEquals(names(certificates.find("a.test")), ["r", "z"]);
    certificates.set(source("x", "ecdsa", "other.test"));
    assertEquals(names(certificates.find("x.a.test")), ["wild"], "the names of before lead nowhere");
    assertEquals(names(certificates.named("x")), ["x"]);
    assertEquals(certificates.named("old"), null);
  },
});

Deno.test({
  name: "covers() reads a host with any case, port and the dot of the root",
  ignore,
  fn() {
    const certificates = new Certificates(fail);
    certificates.set(source("one", "ecdsa", "a.test", "*.b.test", "[::1]"));
    const set = certificates.named("one")!;
    for (
      const host of ["a.test", "A.TEST", "a.test:8443", "a.test.", "a.test.:1", "x.b.test", "X.B.test:443", "[::1]:443"]
    ) {
      assert(covers(set, host), host);
    }
    for (const host of ["b.test", ".b.test", "y.x.b.test", "a.test2", "aa.test", "", ":443", "xb.test", "[::2]"]) {
      assert(!covers(set, host), host);
    }
    const bytes = new TextEncoder().encode("[::1]");
    assertEquals(hostEnd(bytes, 0, bytes.length), 5, "a colon of an address is not that of a port");
  },
});

Deno.test({
  name: "load() keeps a bounded number parsed, those used last",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const material = { ...pemOf(folder.make("one", { names: ["a.test"] })), ocsp: "AQID" };
    let reads = 0;
    const certificates = new Certificates(fail, 3);
    for (let i = 0; i < 5; i++) {
      const read = () => (reads++, material);
      certificates.set({ name: `${i}`, names: [`${i}.test`], keyType: "ecdsa", read });
    }
    assertEquals(reads, 0, "nothing is parsed before it is needed");
    const load = (i: number) => certificates.load(certificates.find(`${i}.test`)!.certificates[0]!);
    for (const i of [0, 1, 2, 0, 3]) load(i);
    assertEquals([reads, certificates.loadedCount], [4, 3]);
    load(0);
    assertEquals(reads, 4, "the one used last was kept");
    assertEquals([...load(1).staple], [1, 2, 3]);
    assertEquals(reads, 5, "the one used longest ago was not");
    certificates.remove("1");
    assertEquals(certificates.loadedCount, 2);
  },
});

Deno.test({
  name: "load() says once of a chain that one has not signed the other",
  ignore,
  async fn() {
    await using folder = new CertificateFolder();
    const root = folder.make("root", { authority: true });
    const middle = folder.make("middle", { authority: true, issuer: root });
    const leaf = folder.make("leaf", { issuer: middle });
    const chains = [["right", folder.join("right.chain", leaf.cert, middle.cert, root.cert)]];
    const impostor = folder.make("root", { authority: true });
    chains.push(["wrong", folder.join("wrong.chain", leaf.cert, middle.cert, impostor.cert)]);
    const complaints: string[] = [];
    const certificates = new Certificates((text) => complaints.push(text), 1);
    for (const [name = "", path = ""] of chains) {
      const cert = Deno.readTextFileSync(path);
      const material = { ...pemOf(leaf), cert, ocsp: "" };
      certificates.set({ name, names: [`${name}.test`], keyType: "ecdsa", read: () => material });
    }
    for (const name of ["right", "wrong", "right", "wrong"]) {
      certificates.load(certificates.named(name)!.certificates[0]!);
    }
    const text = "certificate 3 of its file has not signed the one before it, so clients will not trust it";
    assertEquals(complaints, [`certificate wrong: ${text}`]);
  },
});
