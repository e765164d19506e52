// The timer wheel against the plainest thing that does the same: a map of deadlines. Deadlines may be noticed a little late,
// never early, and each once.

import { TICK_MS, TimerWheel } from "../../../src/ts/loop/timer_wheel.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";

const START_MS = 1_000_003;
/** A bucket is looked at when its time is over, and one that is being filled may be the next but one. */
const LATE_MAX_MS = 2 * TICK_MS;
const MINUTE_MS = 60_000;

/** Sleeps and wakes as the loop does until `untilMs`; gives [slot, time] of what expired. */
function run(wheel: TimerWheel, fromMs: number, untilMs: number): [slot: number, atMs: number][] {
  const expired: [number, number][] = [];
  let nowMs = fromMs;
  while (nowMs < untilMs) {
    const sleepMs = wheel.sleepMs(nowMs);
    nowMs = sleepMs < 0 ? untilMs : Math.min(untilMs, nowMs + Math.max(sleepMs, 1));
    wheel.advance(nowMs, (slot) => expired.push([slot, nowMs]));
  }
  return expired;
}

function assertOnTime(expired: readonly [number, number][], deadlines: ReadonlyMap<number, number>): void {
  assertEquals(expired.map(([slot]) => slot).sort((a, b) => a - b), [...deadlines.keys()].sort((a, b) => a - b));
  for (const [slot, atMs] of expired) {
    const lateMs = atMs - deadlines.get(slot)!;
    assert(lateMs >= 0 && lateMs <= LATE_MAX_MS, `slot ${slot} expired ${lateMs} ms after its deadline`);
  }
}

Deno.test("TimerWheel tells of each deadline once, after it and soon", () => {
  const random = createRandom(1);
  const deadlines = new Map<number, number>();
  const wheel = new TimerWheel(500, START_MS);
  for (let slot = 0; slot < 500; slot++) {
    deadlines.set(slot, START_MS + random.below(random.below(2) ? 500 : 3 * MINUTE_MS));
  }
  for (const [slot, deadlineMs] of deadlines) wheel.arm(slot, deadlineMs);
  assertOnTime(run(wheel, START_MS, START_MS + 4 * MINUTE_MS), deadlines);
  assertEquals(wheel.sleepMs(START_MS + 4 * MINUTE_MS), -1);
});

Deno.test("TimerWheel keeps deadlines that are many turns away", () => {
  const wheel = new TimerWheel(4, START_MS);
  const deadlines = new Map([[0, START_MS + 3_600_000], [1, START_MS + 16_352], [2, START_MS + 16_384], [
    3,
    START_MS + 86_400_000,
  ]]);
  for (const [slot, deadlineMs] of deadlines) wheel.arm(slot, deadlineMs);
  assertOnTime(run(wheel, START_MS, START_MS + 90_000_000), deadlines);
});

Deno.test("TimerWheel follows a deadline that is moved, in both directions", () => {
  const wheel = new TimerWheel(3, START_MS);
  wheel.arm(0, START_MS + 1000);
  wheel.arm(0, START_MS + 9000);
  wheel.arm(1, START_MS + 9000);
  wheel.arm(1, START_MS + 1000);
  wheel.arm(2, START_MS + 50_000);
  wheel.arm(2, START_MS + 40);
  const deadlines = new Map([[0, START_MS + 9000], [1, START_MS + 1000], [2, START_MS + 40]]);
  assertOnTime(run(wheel, START_MS, START_MS + 60_000), deadlines);
});

Deno.test("TimerWheel forgets what is disarmed or removed", () => {
  const wheel = new TimerWheel(3, START_MS);
  for (const slot of [0, 1, 2]) wheel.arm(slot, START_MS + 1000);
  wheel.disarm(0);
  wheel.remove(1);
  assertOnTime(run(wheel, START_MS, START_MS + 5000), new Map([[2, START_MS + 1000]]));
  wheel.arm(0, START_MS + 6000);
  wheel.disarm(0);
  wheel.arm(0, START_MS + 7000);
  assertOnTime(run(wheel, START_MS + 5000, START_MS + 9000), new Map([[0, START_MS + 7000]]));
});

Deno.test("TimerWheel tells at once of a deadline that has passed", () => {
  const wheel = new TimerWheel(2, START_MS);
  wheel.arm(0, START_MS);
  wheel.arm(1, START_MS - 5000);
  const expired = run(wheel, START_MS, START_MS + LATE_MAX_MS + 1);
  assertEquals(expired.map(([slot]) => slot).sort(), [0, 1]);
});

Deno.test("TimerWheel survives a long sleep", () => {
  const wheel = new TimerWheel(100, START_MS);
  for (let slot = 0; slot < 100; slot++) wheel.arm(slot, START_MS + slot * 1000);
  const expired: number[] = [];
  wheel.advance(START_MS + 50_500, (slot) => expired.push(slot));
  assertEquals(expired.sort((a, b) => a - b), Array.from({ length: 51 }, (_, slot) => slot));
  wheel.advance(START_MS + 10_000_000, (slot) => expired.push(slot));
  assertEquals(expired.length, 100);
});

Deno.test("TimerWheel lets what expires arm, disarm and remove any slot", () => {
  const wheel = new TimerWheel(6, START_MS);
  for (let slot = 0; slot < 6; slot++) wheel.arm(slot, START_MS + 100);
  const expired: number[] = [];
  let nowMs = START_MS + 200;
  wheel.advance(nowMs, (slot) => {
    expired.push(slot);
    if (expired.length > 1) return;
    // the first one decides over the others, which are due at the same time
    const others = [0, 1, 2, 3, 4, 5].filter((other) => other !== slot);
    wheel.disarm(others[0]!);
    wheel.remove(others[1]!);
    wheel.arm(others[2]!, nowMs + 1000);
    wheel.remove(others[3]!);
    wheel.arm(others[3]!, nowMs + 2000);
    wheel.arm(slot, nowMs + 3000);
  });
  assertEquals(expired.length, 2, "only the one that was left alone expires too");
  expired.length = 0;
  for (; nowMs < START_MS + 5000; nowMs += 10) wheel.advance(nowMs, (slot) => expired.push(slot));
  assertEquals(expired.length, 3);
});

Deno.test("TimerWheel sleeps no longer than to the first deadline, and for ever without one", () => {
  const wheel = new TimerWheel(2, START_MS);
  assertEquals(wheel.sleepMs(START_MS), -1);
  wheel.arm(0, START_MS + 10_000);
  const sleepMs = wheel.sleepMs(START_MS);
  assert(sleepMs >= 9_900 && sleepMs <= 10_000 + LATE_MAX_MS, `sleeps ${sleepMs} ms`);
  wheel.arm(1, START_MS + 1000);
  assert(wheel.sleepMs(START_MS) <= 1000 + LATE_MAX_MS, "the nearer deadline is forgotten");
  assertEquals(wheel.sleepMs(START_MS + 60_000), 0);
});

Deno.test("TimerWheel wakes the loop seldom for a deadline that is moved all the time", () => {
  const wheel = new TimerWheel(1, START_MS);
  let wakes = 0;
  for (let nowMs = START_MS; nowMs < START_MS + MINUTE_MS; nowMs += 5) {
    wheel.arm(0, nowMs + 75_000);
    if (wheel.sleepMs(nowMs) === 0) {
      wakes++;
      wheel.advance(nowMs, () => {});
    }
  }
  assert(wakes <= 5, `${wakes} wakes in a minute`);
});

/** What the wheel must do, without a wheel. */
class Model {
  readonly deadlines = new Map<number, number>();

  /** Slots whose deadline has certainly been noticed at `nowMs`. */
  overdue(nowMs: number): number[] {
    return [...this.deadlines].filter(([, deadlineMs]) => deadlineMs + LATE_MAX_MS < nowMs).map(([slot]) => slot);
  }
}

Deno.test("TimerWheel does what a map of deadlines does, whatever happens", () => {
  const SLOTS = 40;
  for (let seed = 0; seed < 20; seed++) {
    const random = createRandom(seed);
    const wheel = new TimerWheel(SLOTS, START_MS);
    const model = new Model();
    let nowMs = START_MS;
    const expire = (slot: number) => {
      const deadlineMs = model.deadlines.get(slot);
      assert(
        deadlineMs !== undefined && deadlineMs <= nowMs,
        `seed ${seed}: slot ${slot} expired at ${nowMs}, not due`,
      );
      model.deadlines.delete(slot);
      if (random.below(3) === 0) change();
    };
    const change = () => {
      const slot = random.below(SLOTS);
      const choice = random.below(6);
      if (choice < 4) {
        const deadlineMs = nowMs + random.below([50, 2000, 30_000, 200_000][choice]!);
        model.deadlines.set(slot, deadlineMs);
        wheel.arm(slot, deadlineMs);
      } else {
        model.deadlines.delete(slot);
        if (choice === 4) wheel.disarm(slot);
        else wheel.remove(slot);
      }
    };
    for (let step = 0; step < 5000; step++) {
      change();
      nowMs += random.below(random.below(50) === 0 ? 20_000 : 40);
      wheel.advance(nowMs, expire);
      assertEquals(model.overdue(nowMs), [], `seed ${seed}, step ${step}: not noticed`);
      assertEquals(wheel.sleepMs(nowMs) < 0 && model.deadlines.size > 0, false, "sleeps for ever over a deadline");
    }
  }
});
