// The table of a connection's streams: few or many at once, begun and ended in any order, each is found and no other, whether
// the table is the small one or the large one.

import * as abi from "../../../assembly/abi.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { H2Driver, POST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";
import { createRandom } from "../../support/random.ts";

const STREAMS = 128;
const SEED = Number(Deno.env.get("KAKEHI_SEED") ?? 1);
const STEPS = 6000;

Deno.test("h2 streams: any number of them, begun and ended in any order", () => {
  const random = createRandom(SEED);
  const driver = new H2Driver({ records: STREAMS + 12, buffers: STREAMS + 12, h2Streams: STREAMS });
  driver.begin(abi.H2_ROLE_SERVER, "whole");
  driver.preface();
  for (let word = 1; word <= abi.ABUSE_COUNT; word++) driver.setProfile(word, 1_000_000);
  driver.receive(f.concat(f.MAGIC, f.settings()));
  const open: number[] = [];
  let next = 1;
  let most = 0;
  let emptied = 0;
  for (let step = 0; step < STEPS; step++) {
    driver.events = [];
    // the number of them swings from none to all and back
    const isFilling = step % 1000 < 400;
    if (open.length < STREAMS && (open.length === 0 || random.below(10) < (isFilling ? 8 : 2))) {
      driver.receive(f.headers(next, POST, f.END_HEADERS));
      assertEquals(driver.events, [`request ${next} POST example.com /`], `KAKEHI_SEED=${SEED}, step ${step}`);
      open.push(next);
      next += 2;
    } else if (random.below(3) === 0) {
      const id = open[random.below(open.length)]!;
      driver.receive(f.windowUpdate(id, 1));
      assertEquals(driver.events, [`window ${id}`], `KAKEHI_SEED=${SEED}, step ${step}`);
    } else {
      const [id] = open.splice(random.below(open.length), 1);
      driver.receive(f.concat(f.rstStream(id!), f.windowUpdate(id!, 1)));
      assertEquals(driver.events, [`reset ${id} CANCEL`], `KAKEHI_SEED=${SEED}, step ${step}`);
      if (open.length === 0) emptied++;
    }
    most = Math.max(most, open.length);
  }
  assert(most === STREAMS && emptied > 10, `${most} at most, none left ${emptied} times`);
  for (const id of open) {
    driver.events = [];
    driver.receive(f.data(id, 1, f.END_STREAM));
    assertEquals(driver.events, [`data ${id} 1 end`]);
  }
});
