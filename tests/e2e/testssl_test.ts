// What testssl.sh finds: versions, ciphers, groups, the certificate, and the vulnerabilities that can be seen from outside.
// All of its tests take two minutes; these take 20 s and are those whose answers come from us and not from OpenSSL alone.

import { assert, assertEquals } from "../support/assert.ts";
import { requireTools } from "../support/require_tool.ts";
import { serveTls } from "../support/tls_stage.ts";

interface Finding {
  id: string;
  severity: "OK" | "INFO" | "LOW" | "MEDIUM" | "HIGH" | "CRITICAL" | "WARN" | "DEBUG" | "FATAL";
  finding: string;
}

const LIMIT_MS = 120_000;
/** Protocols, forward secrecy, server defaults, Heartbleed, CCS, Ticketbleed, ROBOT, renegotiation, compression. */
const PARTS = ["-p", "-f", "-S", "-H", "-I", "-T", "-BB", "-R", "-C"];
const ABOVE_LOW = ["MEDIUM", "HIGH", "CRITICAL", "FATAL"];
/** Where each part is seen to have run. */
const EXPECTED = [
  "TLS1_2",
  "TLS1_3",
  "PFS",
  "cert_commonName",
  "heartbleed",
  "CCS",
  "ROBOT",
  "secure_renego",
  "CRIME_TLS",
];

Deno.test({
  name: "testssl finds nothing above LOW",
  ignore: requireTools("testssl", "openssl"),
  async fn() {
    await using stage = await serveTls({ tls: 'default_certificate: ecdsa, hsts: "max-age=31536000"', workers: 2 });
    const path = `${stage.folder.path}/findings.json`;
    const quiet = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"];
    const files = ["--add-ca", stage.authority.cert, "--jsonfile", path];
    const url = `https://localhost:${stage.proxy.port("sec")}/`;
    const { stdout } = await new Deno.Command("testssl", {
      args: [...quiet, ...files, ...PARTS, url],
      stdin: "null",
      signal: AbortSignal.timeout(LIMIT_MS),
    }).output();
    const findings: Finding[] = JSON.parse(await Deno.readTextFile(path));
    // the authority of the tests has neither lists nor a responder
    const bad = findings.filter(({ id, severity }) =>
      ABOVE_LOW.includes(severity) && !id.startsWith("cert_revocation")
    );
    assertEquals(bad, [], new TextDecoder().decode(stdout));
    for (const id of EXPECTED) assert(findings.some((one) => one.id.startsWith(id)), `no finding about ${id}`);
    assert(findings.filter(({ severity }) => severity === "OK").length > 15, "most of it is well");
  },
});
