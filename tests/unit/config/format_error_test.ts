// What errors show of a text, and what they only name: keys must not get into logs because they stood in the wrong place.

import { quote } from "../../../src/ts/config/format_error.ts";
import { formatPath } from "../../../src/ts/config/problem.ts";
import { assertEquals } from "../../support/assert.ts";

const LINE = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2";

Deno.test("quote() shows texts, cuts long ones, and only names what may be a key", () => {
  const hidden = "a long text in base64";
  const cases: [text: string, shown: string][] = [
    ["a\nb", '"a\\nb"'],
    ["x".repeat(61), `"${"x".repeat(60)}…"`],
    ["-----BEGIN EC PRIVATE KEY-----\n", "a private key"],
    ["-----BEGIN CERTIFICATE-----\nMIIB", "PEM"],
    [LINE, hidden],
    [`text before ${LINE} and behind`, hidden],
    [`${LINE}\n${LINE}`, hidden],
    [LINE.slice(0, 32), hidden],
    ["Ab3/" + LINE.slice(0, 40).replaceAll("g", "/"), hidden],
    // what is long and no key
    ["/home/Alice/projects2026/certificates/kakehi/x", '"/home/Alice/projects2026/certificates/kakehi/x"'],
    ["sha256:" + "0123456789abcdef".repeat(2), `"sha256:${"0123456789abcdef".repeat(2)}"`],
    ["ECDHE-ECDSA-AES256-GCM-SHA384", '"ECDHE-ECDSA-AES256-GCM-SHA384"'],
    ["550e8400-E29B-41d4-a716-446655440000", '"550e8400-E29B-41d4-a716-446655440000"'],
  ];
  for (const [text, shown] of cases) assertEquals(quote(text), shown, text);
});

Deno.test("formatPath() does not have what may be a key", () => {
  assertEquals(formatPath(["certificates", 0, "key"]), "certificates[0].key");
  assertEquals(formatPath(["certificates", 0, LINE]), "certificates[0][a long text in base64]");
});
