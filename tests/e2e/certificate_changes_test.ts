// Certificates change under load, at a size for every run. KAKEHI_CERTIFICATE_CHANGES=1000 is the full length.

import { assert, assertEquals } from "../support/assert.ts";
import { runCertificateChanges } from "../support/certificate_changes.ts";
import { requireTools } from "../support/require_tool.ts";

const CHANGES = Number(Deno.env.get("KAKEHI_CERTIFICATE_CHANGES") ?? 100);
/** What a handshake of a client takes beside four others that work without a pause, on any machine. */
const SLOW_MS = 1_000;
/** Each wrk connects once, to see whether somebody is there. */
const KNOCKS = { "tls.failed.closed": 2 };

Deno.test({
  name: "certificates added, replaced and removed under load: nothing fails, and the next handshake shows it",
  ignore: requireTools("openssl", "wrk"),
  async fn() {
    const changed = await runCertificateChanges({
      changes: CHANGES,
      connections: 8,
      keeping: 2,
      closing: 2,
      watching: 2,
    });
    if (CHANGES > 100) console.log(changed);
    const { applied, refused, seen, watched, verified, failures, wrk, failedHandshakes, memoryMb } = changed;
    assertEquals({ applied, refused, failures, failedHandshakes }, {
      applied: CHANGES,
      refused: [],
      failures: [],
      failedHandshakes: KNOCKS,
    });
    assertEquals([seen.wrong, watched.stale, wrk.errors], [[], [], []]);
    assert(watched.soon > 0, "nobody has watched within 50 ms of an `ok`");
    assertEquals(seen.handshakes, 3 * CHANGES);
    assert(seen.slowestMs < SLOW_MS, `a handshake took ${seen.slowestMs} ms`);
    assert(verified > CHANGES && wrk.keepAlive > CHANGES && wrk.close > CHANGES, JSON.stringify(changed));
    assert(memoryMb.after < memoryMb.before + 30, `${memoryMb.before} MB before, ${memoryMb.after} MB after`);
  },
});
