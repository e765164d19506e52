// From OpenSSL's numbers to words that are counted. The numbers are asked of the library, so that a table with a wrong one fails.

import { failureReason } from "../../../src/ts/net/tls_reasons.ts";
import { Counters } from "../../../src/ts/observe/counters.ts";
import { openssl, text } from "../../../src/ts/sys/openssl.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { requireTools } from "../../support/require_tool.ts";

const ignore = requireTools("openssl");
const EPROTO = -71;
const ECONNRESET = -104;
/** The number of libssl in an error. */
const SSL_LIBRARY = 20n << 23n;

const WORDS: [reason: number, says: string, word: ReturnType<typeof failureReason>][] = [
  [258, "unsupported protocol", "version"],
  [267, "wrong version number", "version"],
  [396, "version too low", "version"],
  [101, "no suitable key share", "no_common_choice"],
  [118, "no suitable signature algorithm", "no_common_choice"],
  [193, "no shared cipher", "no_common_choice"],
  [376, "no shared signature algorithms", "no_common_choice"],
  [410, "no shared groups", "no_common_choice"],
  [235, "no application protocol", "no_common_protocol"],
  [234, "callback failed", "unknown_name"],
  [377, "cert cb error", "certificate"],
  [134, "certificate verify failed", "client_certificate"],
  [199, "peer did not return a certificate", "client_certificate"],
  [1042, "sslv3 alert bad certificate", "alert"],
  [1048, "tlsv1 alert unknown ca", "alert"],
  [156, "http request", "malformed"],
];

Deno.test({
  name: "failureReason() has a counter's word for each number, and the library means the same by it",
  ignore,
  fn() {
    const lib = openssl();
    lib.SSL_CTX_free(lib.SSL_CTX_new(lib.TLS_server_method())); // the words are loaded by then
    for (const [reason, says, word] of WORDS) {
      const known = text(lib.ERR_reason_error_string(SSL_LIBRARY | BigInt(reason)));
      // the words for alerts differ between versions
      if (reason < 1000) assertEquals(known, says);
      assertEquals(failureReason(EPROTO, reason), word, says);
      assert(Counters.index(`tls.failed.${word}`) >= 0, `tls.failed.${word} is counted`);
    }
    assertEquals([failureReason(0, 0), failureReason(ECONNRESET, 193)], ["closed", "closed"]);
    assertEquals([failureReason(EPROTO, 999), failureReason(EPROTO, 1256)], ["malformed", "malformed"]);
  },
});
