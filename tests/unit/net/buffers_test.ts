// The pool of buffers: who gets one, who waits, and what is given back to the system.

import { Buffers } from "../../../src/ts/net/buffers.ts";
import { assertEquals } from "../../support/assert.ts";

const AT = 1 << 20;
const STRIDE = 8192;

interface Pool {
  buffers: Buffers;
  called: number[];
  discarded: number[];
}

function makePool(count: number, slots = 8): Pool {
  const called: number[] = [];
  const discarded: number[] = [];
  const loop = {
    callAgain: (slot: number) => called.push(slot),
    system: { discard: (at: number) => discarded.push((at - AT) / STRIDE) },
  } as unknown as ConstructorParameters<typeof Buffers>[1];
  const region = { at: AT, stride: STRIDE, count, bytesOffset: 3072, capacity: 4096 };
  return { buffers: new Buffers(region, loop, slots), called, discarded };
}

function takeAll(buffers: Buffers): number[] {
  const taken: number[] = [];
  for (let buffer = buffers.take(); buffer !== 0; buffer = buffers.take()) taken.push(buffer);
  return taken;
}

Deno.test("Buffers gives each buffer once, the one used last first", () => {
  const { buffers } = makePool(64);
  const first = buffers.take();
  const second = buffers.take();
  assertEquals([first, second, buffers.used], [AT, AT + STRIDE, 2]);
  buffers.give(first);
  assertEquals([buffers.take(), buffers.used], [first, 2]);
  const all = [first, second, ...takeAll(buffers)];
  assertEquals(new Set(all).size, all.length);
  assertEquals(all.every((at) => (at - AT) % STRIDE === 0 && at < AT + 64 * STRIDE), true);
});

Deno.test("Buffers keeps a sixteenth back for answers of backends, at least one, and some for output", () => {
  for (
    const [count, reserved, output] of [[64, 4, 8], [16, 1, 3], [8, 1, 3], [2, 1, 0], [1, 1, 0], [
      4096,
      256,
      16,
    ]] as const
  ) {
    const { buffers } = makePool(count);
    assertEquals(takeAll(buffers).length, count - reserved - output, `${count} buffers`);
    const kept = Array.from({ length: reserved }, () => buffers.takeReserved());
    assertEquals([kept.includes(0), buffers.takeReserved(), buffers.used], [false, 0, count - output]);
    const last = Array.from({ length: output }, () => buffers.takeForOutput());
    assertEquals([last.includes(0), buffers.takeForOutput(), buffers.used], [false, 0, count]);
  }
});

Deno.test("Buffers calls answers that wait for what requests may not have, and output for what answers may not have", () => {
  const { buffers, called } = makePool(8);
  takeAll(buffers);
  const answer = buffers.takeReserved();
  const output = [buffers.takeForOutput(), buffers.takeForOutput(), buffers.takeForOutput()];
  buffers.wait(1);
  buffers.waitReserved(2);
  buffers.waitForOutput(3, 3);
  buffers.waitForOutput(4, 1);
  const calledAfter = (...given: number[]) => {
    for (const buffer of given) buffers.give(buffer);
    buffers.wakeWaiting();
    return called.splice(0);
  };
  assertEquals(calledAfter(), []);
  assertEquals(calledAfter(output[0]!), [4]);
  assertEquals(calledAfter(output[1]!), []);
  assertEquals(calledAfter(output[2]!), [3]);
  assertEquals(calledAfter(answer), [2]);
  assertEquals(calledAfter(AT), [1]);
});

Deno.test("Buffers calls a slot that waits for two things when there is enough for one of them", () => {
  const { buffers, called } = makePool(8);
  takeAll(buffers);
  buffers.wait(1);
  buffers.waitForOutput(1, 3);
  buffers.wakeWaiting();
  buffers.wakeWaiting();
  assertEquals(called, [1]);
});

Deno.test("Buffers calls those that wait, in their order, each once, as many as there are buffers", () => {
  const { buffers, called } = makePool(4);
  const taken = takeAll(buffers);
  for (const slot of [3, 1, 3, 2]) buffers.wait(slot);
  buffers.wakeWaiting();
  assertEquals(called, []);
  buffers.give(taken[0]!);
  buffers.wakeWaiting();
  assertEquals(called, [3]);
  buffers.give(taken[1]!);
  buffers.give(taken[2]!);
  buffers.wakeWaiting();
  assertEquals(called, [3, 1, 2]);
  buffers.wakeWaiting();
  assertEquals(called, [3, 1, 2]);
  buffers.wait(3);
  buffers.wakeWaiting();
  assertEquals(called, [3, 1, 2, 3]);
});

Deno.test("Buffers keeps the queue whole when it goes round", () => {
  const { buffers, called } = makePool(2, 3);
  const [taken] = takeAll(buffers);
  const expected: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (const slot of [round % 3, (round + 1) % 3]) {
      buffers.wait(slot);
      expected.push(slot);
    }
    for (let i = 0; i < 2; i++) {
      buffers.give(taken!);
      buffers.wakeWaiting();
      buffers.take();
    }
  }
  assertEquals(called, expected);
});

Deno.test("Buffers gives back what lay idle, but for a reserve, and no more at a time than it is told", () => {
  const { buffers, discarded } = makePool(200);
  assertEquals(buffers.mayDiscard, false, "fresh memory holds no pages");
  const taken = takeAll(buffers);
  for (const buffer of taken.reverse()) buffers.give(buffer);
  assertEquals(buffers.mayDiscard, true);
  buffers.discardIdle(1 << 30);
  assertEquals(discarded, [], "they were in use since the last time");
  buffers.discardIdle(10 * STRIDE);
  assertEquals(discarded.length, 10);
  buffers.discardIdle(1 << 30);
  assertEquals([buffers.mayDiscard, new Set(discarded).size], [false, discarded.length]);
  // 64 stay warm, and those were never used that are kept back: 12 for answers, 16 for output
  assertEquals(discarded.length >= 200 - 64 - 28 && discarded.length <= 200 - 64, true, `${discarded.length}`);
  buffers.discardIdle(1 << 30);
  assertEquals(new Set(discarded).size, discarded.length, "what is given back already is left alone");
});

Deno.test("Buffers does not give back what is in use", () => {
  const { buffers, discarded } = makePool(200);
  const taken = takeAll(buffers);
  const used = new Set(taken.slice(0, 20).map((at) => (at - AT) / STRIDE));
  for (const buffer of taken.slice(20)) buffers.give(buffer);
  buffers.discardIdle(1 << 30);
  buffers.discardIdle(1 << 30);
  assertEquals(discarded.filter((index) => used.has(index)), []);
});
