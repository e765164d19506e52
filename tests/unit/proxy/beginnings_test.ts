// Exchanges that wait for their beginning: their order, and how many connections to backends are begun in a turn.

import { Beginnings, Connects } from "../../../src/ts/proxy/beginnings.ts";
import type { Http2Downstream } from "../../../src/ts/proxy/http2_downstream.ts";
import type { EventLoop } from "../../../src/ts/loop/event_loop.ts";
import { assertEquals } from "../../support/assert.ts";

interface Waiting {
  name: string;
  beginsLater: boolean;
  beginNext: Waiting | null;
  beginPrevious: Waiting | null;
}

/** Clients of one worker, each of which asks for `streams` at once. */
function clients(count: number, streams: number) {
  const loop = { turn: 1 };
  const all = new Connects(loop as EventLoop);
  const begun: string[][] = [];
  const sessions = Array.from({ length: count }, (_, n) => {
    const beginnings = new Beginnings(all, loop as EventLoop);
    const name = String.fromCharCode(97 + n);
    const waiting: Waiting[] = Array.from(
      { length: streams },
      (_, i) => ({ name: `${name}${i}`, beginsLater: false, beginNext: null, beginPrevious: null }),
    );
    return { beginnings, waiting };
  });
  const begin = (beginnings: Beginnings, { name }: Waiting) => {
    begun.at(-1)!.push(name);
    beginnings.noteConnect();
  };
  return {
    sessions,
    ask() {
      begun.push([]);
      for (const { beginnings, waiting } of sessions) {
        for (const one of waiting) if (beginnings.mayBegin(one as unknown as Http2Downstream)) begin(beginnings, one);
      }
      return begun.at(-1)!;
    },
    turn() {
      loop.turn++;
      begun.push([]);
      for (const { beginnings } of sessions) {
        for (let one = beginnings.take(); one !== null; one = beginnings.take()) {
          begin(beginnings, one as unknown as Waiting);
        }
      }
      return begun.at(-1)!;
    },
  };
}

Deno.test("Beginnings lets four of a client begin in a turn, in the order in which they came", () => {
  const { ask, turn, sessions: [only] } = clients(1, 10);
  assertEquals(ask(), ["a0", "a1", "a2", "a3"]);
  // who asks again while it waits keeps its place
  only!.beginnings.mayBegin(only!.waiting[9] as unknown as Http2Downstream);
  assertEquals(turn(), ["a4", "a5", "a6", "a7"]);
  assertEquals(turn(), ["a8", "a9"]);
  assertEquals([turn(), only!.beginnings.isEmpty], [[], true]);
});

Deno.test("Beginnings lets eight of all clients begin in a turn, and one of each in any case", () => {
  const { ask, turn } = clients(4, 6);
  assertEquals(ask(), ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3", "c0", "d0"]);
  assertEquals(turn(), ["a4", "a5", "b4", "b5", "c1", "c2", "c3", "c4", "d1"]);
  assertEquals(turn(), ["c5", "d2", "d3", "d4", "d5"]);
});

Deno.test("Beginnings forgets one that ends before its turn: first, last or between", () => {
  const { ask, turn, sessions: [only] } = clients(1, 9);
  ask();
  for (const n of [4, 6, 8]) only!.beginnings.remove(only!.waiting[n] as unknown as Http2Downstream);
  assertEquals([turn(), only!.beginnings.isEmpty], [["a5", "a7"], true]);
});
