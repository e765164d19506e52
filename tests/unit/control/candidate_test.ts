// The trial of a program before it takes over, where it says nothing: the time is over, and nothing of it stays. (What others
// say or do is in tests/e2e/takeover_test.ts.)

import { checkCandidate } from "../../../src/ts/control/candidate.ts";
import { Poller } from "../../../src/ts/sys/poll.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { openFilesOf } from "../../support/family.ts";
import { writeScript } from "../../support/programs.ts";
import { eventually } from "../../support/proxy.ts";
import { makeCluster, makeState } from "../../support/states.ts";

const LIMIT_MS = 300;

Deno.test("checkCandidate() ends a program that hangs, with what it has started, and says so", async () => {
  const folder = await Deno.makeTempDir();
  const poller = new Poller();
  try {
    const path = await writeScript(folder, "hangs", `sleep 600 & echo $! > ${folder}/pid; wait`);
    const files = openFilesOf(Deno.pid);
    const state = makeState({ clusters: { app: makeCluster("127.0.0.1:9") } });
    const begin = performance.now();
    const failure = await checkCandidate(
      poller,
      { path, args: [path] },
      { revision: 1, state, resolved: {}, credentials: { keys: [], tickets: { keys: [], rotatedAtMs: 0 } } },
      LIMIT_MS,
    ).then((version) => `version ${version}`, (error) => error.message);
    assertMatch(failure, /hangs did not say within 300 ms whether it can take over$/);
    const tookMs = performance.now() - begin;
    assert(tookMs >= LIMIT_MS - 5 && tookMs < LIMIT_MS + 2_000, `${tookMs} ms`);
    const pid = Number(await Deno.readTextFile(`${folder}/pid`));
    const isThere = () => Deno.stat(`/proc/${pid}/cmdline`).then(() => commandOf(pid) !== "", () => false);
    await eventually("the end of what it started", isThere, (there) => !there);
    assertEquals(openFilesOf(Deno.pid), files);
  } finally {
    await poller.close();
    await Deno.remove(folder, { recursive: true });
  }
});

/** "" for a process that has ended and was not waited for. */
function commandOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`);
  } catch {
    return "";
  }
}
