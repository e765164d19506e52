// A backend that must not be slower than what is measured: it looks at no more of a request than tells that there is one.
// In HTTP/1.1 that is whatever comes in one read, in HTTP/2 whatever ends a stream.

import type { Bytes } from "./bytes.ts";
import { ACK, block, concat, DATA, END_HEADERS, END_STREAM, frame, HEADERS, MAGIC, SETTINGS } from "./h2_frames.ts";

const DATE = "Thu, 01 Jan 2026 00:00:00 GMT";
const ANSWER = new TextEncoder().encode(`HTTP/1.1 200 OK\r\nDate: ${DATE}\r\nContent-Length: 2\r\n\r\nok`);
const BLOCK = block([[":status", "200"], ["date", DATE], ["content-length", "2"]]);
const FRAME_HEADER = 9;

export interface FastBackend extends AsyncDisposable {
  port: number;
}

export function startFastBackend(version: "1.1" | "2", tls?: { cert: string; key: string }): FastBackend {
  const where = { hostname: "127.0.0.1", port: 0 };
  const alpnProtocols = [version === "2" ? "h2" : "http/1.1"];
  const listener: Deno.Listener<Deno.Conn> = tls
    ? Deno.listenTls({ ...where, ...tls, alpnProtocols })
    : Deno.listen(where);
  const serve = version === "2" ? serveHttp2 : serveHttp1;
  const accepting = (async () => {
    for await (const connection of listener) serve(connection).catch(() => {});
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
    },
  };
}

async function serveHttp1(connection: Deno.Conn): Promise<void> {
  using open = connection;
  const buffer = new Uint8Array(4096);
  while (await open.read(buffer).catch(() => null)) await writeAll(open, ANSWER);
}

async function serveHttp2(connection: Deno.Conn): Promise<void> {
  using open = connection;
  const buffer = new Uint8Array(65536);
  await writeAll(open, frame(SETTINGS, 0, 0));
  let at = -MAGIC.length;
  let held = 0;
  for (;;) {
    const n = await open.read(buffer.subarray(held)).catch(() => null);
    if (n === null) return;
    held += n;
    if (at < 0 && held < -at) continue;
    at = Math.abs(at);
    const answers: Bytes[] = [];
    for (let length; held - at >= FRAME_HEADER && held - at >= (length = lengthOf(buffer, at)); at += length) {
      answers.push(...answersTo(buffer.subarray(at, at + length)));
    }
    buffer.copyWithin(0, at, held);
    held -= at;
    at = 0;
    if (answers.length > 0) await writeAll(open, concat(...answers));
  }
}

/** Of a whole frame. */
function lengthOf(bytes: Uint8Array, at: number): number {
  return FRAME_HEADER + (bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!);
}

function answersTo(bytes: Uint8Array): Bytes[] {
  const [type, flags] = [bytes[3]!, bytes[4]!];
  if (type === SETTINGS) return flags & ACK ? [] : [frame(SETTINGS, ACK, 0)];
  if (type > HEADERS || !(flags & END_STREAM)) return [];
  const stream = new DataView(bytes.buffer, bytes.byteOffset).getUint32(5);
  return [frame(HEADERS, END_HEADERS, stream, BLOCK), frame(DATA, END_STREAM, stream, [0x6f, 0x6b])];
}

async function writeAll(connection: Deno.Conn, bytes: Bytes): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}
