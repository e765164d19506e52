// The certificate that all proxies show in the scenarios with TLS: P-256, as most sites have it, signed by itself and made anew
// for each run.

import { HOST } from "./client.ts";
import type { Credentials } from "./proxies.ts";
import { findProgram, type Stage } from "./stage.ts";

export interface Secrets {
  credentials: Credentials;
  /** PEM: whom a client that verifies has to trust. */
  authority: string;
}

export async function makeCredentials(stage: Stage): Promise<Secrets> {
  const openssl = findProgram("openssl");
  if (openssl === null) throw new Error("openssl is not on this machine: the scenarios with TLS need it");
  const dir = stage.folder("credentials");
  const credentials = { cert: `${dir}/cert.pem`, key: `${dir}/key.pem`, both: `${dir}/both.pem` };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", credentials.key];
  const extensions = [`subjectAltName=DNS:${HOST}`, "basicConstraints=critical,CA:FALSE"];
  const names = ["-subj", `/CN=${HOST}`, ...extensions.flatMap((one) => ["-addext", one])];
  await stage.run("openssl", openssl, ["req", "-x509", "-days", "2", ...key, ...names, "-out", credentials.cert]);
  const authority = Deno.readTextFileSync(credentials.cert);
  Deno.writeTextFileSync(credentials.both, authority + Deno.readTextFileSync(credentials.key));
  return { credentials, authority };
}
