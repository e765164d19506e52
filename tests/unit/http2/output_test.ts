// What an HTTP/2 connection has to send: order, bounds, and sockets that take a part of it.

import { Buffers } from "../../../src/ts/net/buffers.ts";
import { type Connection, WOULD_BLOCK } from "../../../src/ts/net/connection.ts";
import { BLOCKED, DRAINED, FAILED, Http2Output } from "../../../src/ts/http2/output.ts";
import { assertEquals } from "../../support/assert.ts";
import { createRandom } from "../../support/random.ts";

const CAPACITY = 64;
const STRIDE = 128;
const SOURCE = 64 * STRIDE;
const PREFACE_BYTES = 5;

/** Memory whose bytes from SOURCE on count up, an output over it, and a socket that takes what `takes` says. */
function makeOutput(count = 32) {
  const memory = new Uint8Array(SOURCE + 4096).map((_, at) => (at - SOURCE) & 255);
  const codec = {
    copy: (to: number, from: number, n: number) => memory.copyWithin(to, from, from + n),
    h2Preface: (h2: number, to: number) => memory.fill(h2, to, to + PREFACE_BYTES) && PREFACE_BYTES,
  };
  const core = { codec };
  const region = { at: STRIDE, stride: STRIDE, count, bytesOffset: 16, capacity: CAPACITY };
  const loop = { callAgain: () => {}, system: { discard: () => {} } };
  const buffers = new Buffers(region, loop as unknown as ConstructorParameters<typeof Buffers>[1], 4);
  const output = new Http2Output(core as unknown as ConstructorParameters<typeof Http2Output>[0], buffers);
  const sent: number[] = [];
  const socket = {
    takes: (length: number) => length,
    full: 0,
    send(at: number, length: number) {
      const n = socket.takes(length);
      if (n > 0) sent.push(...memory.subarray(at, at + n));
      return n;
    },
    noteFull: () => socket.full++,
  };
  const flush = () => output.flush(socket as unknown as Connection);
  return { output, buffers, sent, socket, flush };
}

Deno.test("Http2Output sends what was put, in order, however it comes and however little the socket takes", () => {
  for (let seed = 1; seed < 200; seed++) {
    const random = createRandom(seed);
    const { output, buffers, sent, socket, flush } = makeOutput();
    let put = 0;
    socket.takes = (length) => random.below(3) === 0 ? WOULD_BLOCK : random.between(1, length);
    while (put < 2000) {
      const length = random.between(1, 100);
      if (random.below(2) && output.mayPutHead) {
        assertEquals(output.put(SOURCE + put, length), true);
        put += length;
      } else {
        const room = Math.min(output.bodyRoom(), length);
        if (room > 0) assertEquals(output.put(SOURCE + put, room), true);
        put += room;
      }
      if (random.below(2)) flush();
    }
    socket.takes = (length) => length;
    assertEquals(flush(), DRAINED);
    assertEquals(sent, Array.from({ length: put }, (_, at) => at & 255), `seed ${seed}`);
    assertEquals([output.isEmpty, buffers.used], [true, 0]);
  }
});

Deno.test("Http2Output gives bodies one buffer and heads a few, and never more", () => {
  const { output, buffers, socket, flush } = makeOutput();
  socket.takes = () => WOULD_BLOCK;
  assertEquals(output.bodyRoom(), CAPACITY);
  output.put(SOURCE, CAPACITY);
  assertEquals([output.bodyRoom(), flush(), socket.full], [0, BLOCKED, 1]);
  let heads = 0;
  for (; output.mayPutHead; heads++) output.put(SOURCE, CAPACITY);
  assertEquals([heads, buffers.used, output.bodyRoom()], [5, 6, 0]);
  assertEquals([output.reserve(10) > 0, output.put(SOURCE, 10 * CAPACITY)], [true, false]);
  assertEquals(buffers.used, 8);
  socket.takes = () => -104;
  assertEquals(flush(), FAILED);
  output.clear();
  assertEquals([output.isEmpty, buffers.used], [true, 0]);
});

Deno.test("Http2Output begins nothing when the pool has nothing left", () => {
  const { output, buffers } = makeOutput(4);
  const taken = [buffers.takeReserved(), buffers.takeReserved()];
  assertEquals(output.mayPutHead, false);
  taken.push(buffers.takeReserved(), buffers.takeReserved());
  assertEquals([output.bodyRoom(), output.reserve(9)], [0, 0]);
  for (const buffer of taken) buffers.give(buffer);
  assertEquals([output.mayPutHead, output.bodyRoom()], [true, CAPACITY]);
});

Deno.test("Http2Output begins with the preface, also when there was no buffer for it at first", () => {
  for (const isShort of [false, true]) {
    const { output, buffers, sent, flush } = makeOutput();
    const taken: number[] = [];
    while (isShort && buffers.free > 0) taken.push(buffers.takeForOutput());
    assertEquals(output.begin(7), !isShort);
    if (isShort) {
      assertEquals([output.put(SOURCE, 1), output.bodyRoom(), output.reserve(1), flush(), output.owes], [
        false,
        0,
        0,
        DRAINED,
        true,
      ]);
    }
    for (const buffer of taken) buffers.give(buffer);
    assertEquals(output.put(SOURCE, 3), true);
    flush();
    assertEquals([sent, output.owes, buffers.used], [[7, 7, 7, 7, 7, 0, 1, 2], false, 0]);
  }
});

Deno.test("Http2Output pays a preface that it owes when there is a buffer, if nothing else is put", () => {
  const { output, buffers, sent, flush } = makeOutput();
  const taken = Array.from({ length: buffers.free }, () => buffers.takeForOutput());
  output.begin(7);
  flush();
  buffers.give(taken[0]!);
  assertEquals([flush(), sent.length, output.owes], [DRAINED, PREFACE_BYTES, false]);
});
