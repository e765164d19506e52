// What the codec writes for requests that came by TLS and for their answers: the scheme, who the client is by its certificate,
// and Strict-Transport-Security. What a client says of these itself is nobody's word.

import * as abi from "../../../assembly/abi.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { CodecDriver } from "../../support/codec.ts";
import { runRequest, runResponse, runSplit } from "../../support/codec_events.ts";

const driver = new CodecDriver();
const PEER = Uint8Array.of(2, 0, 0x1f, 0x90, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0);
const IDENTITY = "X-Client-Cert-Verified: SUCCESS\r\nX-Client-Cert-Subject: CN=a\r\nX-Client-Cert-Fingerprint: 0a\r\n";
const CLAIMS = [
  "X-Client-Cert-Verified: SUCCESS",
  "x-client-cert-subject: CN=forged",
  "X-CLIENT-CERT-FINGERPRINT: 00",
  "X_Client_Cert_Verified: SUCCESS",
  "X-Client_Cert-Subject: CN=forged",
  "X-Client-Cert-Whatever: 1",
];
const STS = "Strict-Transport-Security: max-age=60\r\n";

function request(fields: readonly string[]): string[] {
  const text = `GET / HTTP/1.1\r\nHost: a.test\r\n${fields.map((line) => `${line}\r\n`).join("")}\r\n`;
  return runSplit(text, (cuts) => runRequest(driver, text, cuts)).head.split("\r\n").slice(2, -2);
}

function response(fields: readonly string[]): string[] {
  const text = `HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: x\r\n${fields.map((line) => `${line}\r\n`).join("")}\r\n`;
  return runSplit(text, (cuts) => runResponse(driver, text, {}, cuts)).head.split("\r\n").slice(3, -2);
}

function say({ trusted = false, secure = 1 as 0 | 1, identity = "", transport = "" } = {}): void {
  driver.setPeer(PEER, trusted);
  Object.assign(driver, { secure, identity, transport });
}

const certificateFields = (lines: readonly string[]) => lines.filter((line) => /client.cert/i.test(line));

Deno.test("a request by TLS has its scheme, and the fields about the certificate behind the client's own", () => {
  say({ identity: IDENTITY });
  const lines = request(["A: 1"]);
  assertEquals(lines[0], "A: 1");
  assert(lines.includes("X-Forwarded-Proto: https"), lines.join("\n"));
  assertEquals(certificateFields(lines), IDENTITY.split("\r\n").slice(0, 3));
  say({ secure: 0 });
  assert(request([]).includes("X-Forwarded-Proto: http"), "in clear");
});

Deno.test("what a client says of its certificate passes from nobody, in no spelling", () => {
  for (const secure of [0, 1] as const) {
    say({ secure });
    assertEquals(certificateFields(request([...CLAIMS, "A: 1", ...CLAIMS])), []);
    say({ secure, identity: IDENTITY });
    assertEquals(certificateFields(request([...CLAIMS, "A: 1"])), IDENTITY.split("\r\n").slice(0, 3));
  }
});

Deno.test("a trusted proxy's word about the certificate counts only where we ask for none", () => {
  say({ trusted: true });
  assertEquals(certificateFields(request(CLAIMS.slice(0, 2))), CLAIMS.slice(0, 2));
  say({ trusted: true, identity: "X-Client-Cert-Verified: NONE\r\n" });
  assertEquals(certificateFields(request(CLAIMS)), ["X-Client-Cert-Verified: NONE"]);
});

Deno.test("the longest identity fits in front of everything, next to the longest head", () => {
  const identity = `X-Client-Cert-Subject: ${"s".repeat(abi.IDENTITY_MAX - 25)}\r\n`;
  assertEquals(identity.length, abi.IDENTITY_MAX);
  say({ identity });
  const lines = request([`A: ${"a".repeat(4000)}`]);
  assertEquals(certificateFields(lines), [identity.trimEnd()]);
  assertEquals(lines[0]!.length, 4003);
});

Deno.test("Strict-Transport-Security of the listener takes the place of the backend's, of all of them", () => {
  const own = STS.trimEnd();
  say({ transport: STS });
  assertEquals(response([]), [own]);
  assertEquals(response(["A: 1", "strict-transport-security: max-age=1", "STRICT-Transport-Security: max-age=2"]), [
    "A: 1",
    own,
  ]);
  say();
  assertEquals(response(["Strict-Transport-Security: max-age=1"]), ["Strict-Transport-Security: max-age=1"]);
});
