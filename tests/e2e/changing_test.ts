// Everything changes while traffic flows, at a size for every run: what benches/changing.ts does for a minute.

import { faultsOf } from "../../benches/changing.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { runChanging } from "../support/changing.ts";
import { requireTools } from "../support/require_tool.ts";

const SMALL = { seconds: 10, changes: 100, kills: 2, upgrades: 2, connections: 16, sockets: 30, resizeEvery: 12 };

Deno.test({
  name: "changes, kills and upgrades under load: only what a killed worker carried fails",
  ignore: requireTools("wrk"),
  async fn() {
    const changed = await runChanging(SMALL);
    assertEquals(faultsOf(changed, SMALL), [], Deno.inspect(changed, { depth: 9 }));
    assertEquals([changed.applied, changed.sockets.cut], [SMALL.changes, changed.sockets.carriedByKilled]);
    assert(changed.requests.keepAlive > 1_000 && changed.requests.close > 500, JSON.stringify(changed.requests));
    assert(changed.sockets.echoedMb > 1, `${changed.sockets.echoedMb} MB through the WebSockets`);
  },
});
