import { closeFd, duplicateFd, memoryFile, readWhole, sendMessage, socketPair } from "../../../src/ts/sys/fds.ts";
import { LineError, LineSocket } from "../../../src/ts/sys/line_socket.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function linePair(lineBytesMax = 4096, queueBytesMax = 1 << 20): [LineSocket, LineSocket] {
  const [a, b] = socketPair();
  return [new LineSocket(a, lineBytesMax, queueBytesMax), new LineSocket(b, lineBytesMax, queueBytesMax)];
}

function linesOf(socket: LineSocket): unknown[] {
  const lines: unknown[] = [];
  socket.receive((line) => lines.push(line));
  return lines;
}

Deno.test("memoryFile() holds its content, and nobody can change it", () => {
  const content = new Uint8Array(200_000).map((_, i) => i);
  const fd = memoryFile("test", content);
  assertEquals(readWhole(fd), content);
  assertEquals(readWhole(fd), content, "a second reader");
  const path = `/proc/self/fd/${fd}`;
  assertThrows(() => Deno.writeFileSync(path, bytes("x"), { create: false }), /not permitted|PermissionDenied/);
  closeFd(fd);
});

Deno.test("LineSocket carries lines whole, split and joined", () => {
  const [a, b] = linePair();
  a.send({ one: 1 });
  a.send({ two: "ü\n" });
  assertEquals(linesOf(b), [{ one: 1 }, { two: "ü\n" }]);
  for (const byte of bytes('{"three":3}\n')) {
    sendMessage(a.fd, new Uint8Array([byte]), []);
    assertEquals(linesOf(b), byte === 10 ? [{ three: 3 }] : []);
  }
  a.close();
  assertEquals(b.receive(() => {}), false, "the end of the stream");
  b.close();
});

Deno.test("LineSocket grows its buffer for a long line, up to its bound", () => {
  const [a, b] = linePair(64 * 1024);
  const long = { text: "x".repeat(60_000) };
  a.send(long);
  a.send({ short: true });
  assertEquals(linesOf(b), [long, { short: true }]);
  a.send({ text: "x".repeat(64 * 1024) });
  assert(assertThrows(() => linesOf(b), /longer than 65536 bytes/) instanceof LineError);
  a.close();
  b.close();
});

Deno.test("LineSocket refuses what is not JSON", () => {
  for (const line of ["{}}\n", "\n", "\xff\xfe\n"]) {
    const [a, b] = linePair();
    sendMessage(a.fd, Uint8Array.from(line, (c) => c.charCodeAt(0)), []);
    assertThrows(() => linesOf(b), /not JSON/);
    a.close();
    b.close();
  }
});

Deno.test("LineSocket brings descriptors with the line that names them, more than one message can hold", () => {
  const [a, b] = linePair(1 << 16);
  const file = memoryFile("test", bytes("content"));
  const copies = Array.from({ length: 600 }, () => duplicateFd(file));
  a.send({ plain: true });
  a.send({ fds: 600 }, copies);
  a.send({ fds: 1 }, [file]);
  a.send({ plain: true });
  const counts: number[] = [];
  b.receive((line) => {
    const { fds = 0 } = line as { fds?: number };
    const taken = b.takeFds(fds);
    counts.push(taken.length);
    for (const fd of taken) {
      assertEquals(readWhole(fd), bytes("content"));
      closeFd(fd);
    }
  });
  assertEquals(counts, [0, 600, 1, 0]);
  assertThrows(() => b.takeFds(1), /names 1 descriptors, 0 came/);
  for (const fd of [...copies, file]) closeFd(fd);
  a.close();
  b.close();
});

Deno.test("LineSocket queues what the kernel does not take, up to its bound, and loses nothing of it", () => {
  const [a, b] = linePair(1 << 20, 1 << 20);
  let sent = 0;
  while (a.send({ number: sent, padding: "x".repeat(10_000) })) sent++;
  assert(a.queuedBytes > 900_000, `${a.queuedBytes} bytes are queued`);
  const got: number[] = [];
  while (got.length < sent) {
    b.receive((line) => got.push((line as { number: number }).number));
    a.flush();
  }
  assertEquals(got, Array.from({ length: sent }, (_, i) => i));
  assertEquals(a.queuedBytes, 0);
  a.close();
  b.close();
});

Deno.test("LineSocket takes a peer that is gone for the end of the stream", () => {
  const [a, b] = linePair();
  b.send({ unread: true });
  a.send({ unread: true });
  a.close();
  assertEquals(b.send({ late: true }), true);
  assertEquals(b.receive(() => {}), false);
  b.close();
});
