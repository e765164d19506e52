// Whose turn it is among the streams of a connection that wait to send.

import type { Http2Stream } from "../../../src/ts/http2/stream.ts";
import { Http2Turns } from "../../../src/ts/http2/turns.ts";
import { assertEquals } from "../../support/assert.ts";

function makeStream(name: string, priority: number): Http2Stream {
  const fields = { name, priority, waitingUrgency: 0, waitingNext: null, isWaiting: false, turns: 0 };
  return fields as unknown as Http2Stream;
}

/** Names in the order of their turns, where whoever had one waits again. */
function course(turns: Http2Turns, count: number): string {
  let names = "";
  for (let i = 0; i < count; i++) {
    const stream = turns.take()!;
    names += (stream as unknown as { name: string }).name;
    turns.add(stream);
  }
  return names;
}

Deno.test("Http2Turns goes by urgency, and by turns among incremental streams of one urgency", () => {
  const turns = new Http2Turns();
  assertEquals([turns.any, turns.take()], [false, null]);
  for (const stream of [makeStream("a", 11), makeStream("b", 11), makeStream("u", 1)]) turns.add(stream);
  assertEquals(turns.count, 3);
  assertEquals(course(turns, 4), "uuuu", "the urgent one as long as it has something");
  const urgent = turns.take()!;
  assertEquals(course(turns, 6), "ababab");
  turns.add(urgent);
  turns.remove(urgent);
  assertEquals([urgent.isWaiting, turns.count, course(turns, 2)], [false, 2, "ab"]);
});

Deno.test("Http2Turns gives a stream that is not incremental four turns on end, and then the others theirs", () => {
  const turns = new Http2Turns();
  for (const name of ["a", "b", "c"]) turns.add(makeStream(name, 3));
  assertEquals(course(turns, 24), "aaaabbbbccccaaaabbbbcccc");
});

Deno.test("Http2Turns finds a stream where it waits, even if its priority has changed", () => {
  const turns = new Http2Turns();
  const [a, b, c] = ["a", "b", "c"].map((name) => makeStream(name, 11)) as [Http2Stream, Http2Stream, Http2Stream];
  for (const stream of [a, b, c]) turns.add(stream);
  b.priority = 8;
  turns.remove(b);
  turns.remove(c);
  turns.add(b);
  assertEquals(course(turns, 2), "bb", "urgency 0 now");
  turns.clear();
  assertEquals([turns.any, turns.count], [false, 0]);
});
