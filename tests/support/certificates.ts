// Certificates for tests, made by the openssl command in a folder of their own: authorities, leaves of every kind of key, lists
// of what an authority revoked, and everything that is wrong with such files in practice. Tests that use it are left out
// where there is no such command.

export interface Pair {
  /** Path of the certificate with its chain. */
  cert: string;
  key: string;
}

export interface LeafOptions {
  /** DNS names and IP addresses. */
  names?: string[];
  key?: "ec" | "rsa" | "ed25519" | "rsa1024";
  /** From now on. */
  days?: number;
  /** Signed by it; by itself without. */
  issuer?: Pair;
  authority?: boolean;
  /** Instead of `/CN=` and the name of the file. */
  subject?: string;
}

const KEYS = {
  ec: ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
  rsa: ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  rsa1024: ["RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
  ed25519: ["ED25519"],
} as const;

export class CertificateFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "kakehi-certificates-" });
  #serial = 0;

  constructor() {
    Deno.chmodSync(this.path, 0o755);
  }

  /** Files `NAME.pem` and `NAME.key`; the first has the leaf alone. */
  make(name: string, options: LeafOptions = {}): Pair {
    const { key = "ec", days = 90, issuer } = options;
    const pair = { cert: `${this.path}/${name}.pem`, key: `${this.path}/${name}.key` };
    this.run("genpkey", "-algorithm", ...KEYS[key], "-out", pair.key);
    const [request, extensions] = this.#request(name, pair, options);
    const signer = issuer ? ["-CA", issuer.cert, "-CAkey", issuer.key] : ["-key", pair.key];
    const serial = ["-set_serial", String(++this.#serial)];
    const common = ["-req", "-in", request, "-extfile", extensions, "-days", String(days)];
    this.run("x509", ...common, ...signer, ...serial, "-out", pair.cert);
    return pair;
  }

  #request(name: string, pair: Pair, { names = [], authority = false, subject }: LeafOptions): [string, string] {
    const extensions = [
      `basicConstraints=critical,CA:${authority ? "TRUE" : "FALSE"}`,
      "subjectKeyIdentifier=hash",
      "authorityKeyIdentifier=keyid",
    ];
    if (names.length > 0) extensions.push(`subjectAltName=${names.map(alternativeName).join(",")}`);
    const request = `${pair.cert}.req`;
    this.run("req", "-new", "-key", pair.key, "-subj", subject ?? `/CN=${name}`, "-out", request);
    return [request, this.write(`${name}.pem.ext`, extensions.join("\n"))];
  }

  /** A list that revokes these certificates of an authority. */
  revoke(name: string, issuer: Pair, ...revoked: Pair[]): string {
    const path = `${this.path}/${name}.crl`;
    const index = this.write(`${name}.index`, "");
    const settings = `[ca]\ndefault_ca=o\n[o]\ndatabase=${index}\ndefault_md=sha256\ndefault_crl_days=5\n`;
    const by = ["-config", this.write(`${name}.cnf`, settings), "-cert", issuer.cert, "-keyfile", issuer.key];
    for (const { cert } of revoked) this.run("ca", ...by, "-revoke", cert);
    this.run("ca", ...by, "-gencrl", "-out", path);
    return path;
  }

  /** A file with the content of others. */
  join(name: string, ...files: string[]): string {
    return this.write(name, files.map((file) => Deno.readTextFileSync(file)).join(""));
  }

  write(name: string, content: string | Uint8Array): string {
    const path = `${this.path}/${name}`;
    Deno.writeFileSync(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
    return path;
  }

  run(...args: string[]): void {
    const { code, stderr } = new Deno.Command("openssl", { args, stdin: "null", stderr: "piped", stdout: "null" })
      .outputSync();
    if (code !== 0) throw new Error(`openssl ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }

  async [Symbol.asyncDispose]() {
    await Deno.remove(this.path, { recursive: true });
  }
}

function alternativeName(name: string): string {
  return /^[0-9.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`;
}

/** The text of both files, as it is given inline. */
export function pemOf({ cert, key }: Pair): Pair {
  return { cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) };
}
