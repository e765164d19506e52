// What no backend of HTTP/2 may do, frame by frame: the request that it was asked is answered with 502 or cut, the backend is told
// by RST_STREAM or GOAWAY as RFC 9113 says, and of a fault of one stream nobody else on the connection suffers.

import { assert, assertEquals } from "../support/assert.ts";
import type { Http2Request } from "../support/h2_backend.ts";
import * as f from "../support/h2_frames.ts";
import type { Field } from "../support/h2_frames.ts";
import { answers, atRest, serveHttp2 } from "../support/h2_stage.ts";
import { eventually } from "../support/proxy.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const OK: Field[] = [[":status", "200"]];

interface Fault {
  name: string;
  /** What is sent for stream `id`. */
  frames(id: number): ArrayLike<number>[];
  /** What the backend is told; of a connection's fault it takes the others with it. */
  told: RegExp;
  /** 0: the answer is cut. */
  status?: number;
}

const data = (id: number, text: string, flags = 0) => f.frame(f.DATA, flags, id, [...text].map((c) => c.charCodeAt(0)));

/** A stream's fault, before or within the answer's head. */
const malformed = (name: string, frames: Fault["frames"]): Fault => ({
  name,
  frames,
  told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
});
/** The same behind the head: the answer is cut. */
const cut = (name: string, frames: Fault["frames"], code = "PROTOCOL_ERROR"): Fault => ({
  name,
  frames: (id) => [f.headers(id, OK, f.END_HEADERS), ...frames(id)],
  told: new RegExp(`^RST_STREAM \\d+ ${code}`),
  status: 0,
});
/** The connection's. */
const fatal = (name: string, code: string, frames: Fault["frames"]): Fault => ({
  name,
  frames,
  told: new RegExp(`^GOAWAY 0 ${code}`),
});

const FAULTS: Fault[] = [
  {
    name: "a name with upper case",
    frames: (id) => [f.headers(id, [...OK, ["X-Upper", "1"]])],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
  },
  {
    name: "a field of the connection",
    frames: (id) => [f.headers(id, [...OK, ["connection", "close"]])],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
  },
  {
    name: "no status",
    frames: (id) => [f.headers(id, [["content-type", "text/plain"]])],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
  },
  {
    name: "a status of four digits",
    frames: (id) => [f.headers(id, [[":status", "2000"]])],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
  },
  {
    name: "101",
    frames: (id) => [f.headers(id, [[":status", "101"]], f.END_HEADERS)],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
  },
  {
    name: "an interim answer that ends the stream",
    frames: (id) => [f.headers(id, [[":status", "103"]])],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
  },
  {
    name: "DATA in front of the head",
    frames: (id) => [data(id, "abc")],
    told: /^(RST_STREAM \d+|GOAWAY \d+) PROTOCOL_ERROR/,
  },
  {
    name: "less than its content-length",
    frames: (id) => [f.headers(id, [...OK, ["content-length", "10"]], f.END_HEADERS), data(id, "abc", f.END_STREAM)],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
    status: 0,
  },
  {
    name: "more than its content-length",
    frames: (id) => [f.headers(id, [...OK, ["content-length", "2"]], f.END_HEADERS), data(id, "abc", f.END_STREAM)],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
    status: 0,
  },
  {
    name: "pseudo-header fields in trailers",
    frames: (id) => [f.headers(id, OK, f.END_HEADERS), data(id, "abc"), f.headers(id, OK)],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
    status: 0,
  },
  {
    name: "a window beyond 2^31 - 1",
    frames: (id) => [f.windowUpdate(id, 0x7fffffff)],
    told: /^RST_STREAM \d+ FLOW_CONTROL_ERROR/,
  },
  {
    name: "PUSH_PROMISE",
    frames: (id) => [f.frame(f.PUSH_PROMISE, f.END_HEADERS, id, [0, 0, 0, 2, ...f.block(OK)])],
    told: /^GOAWAY \d+ PROTOCOL_ERROR/,
  },
  { name: "a stream that nobody has begun", frames: () => [f.headers(99, OK)], told: /^GOAWAY \d+ PROTOCOL_ERROR/ },
  { name: "a stream of its own", frames: () => [f.headers(2, OK)], told: /^GOAWAY \d+ PROTOCOL_ERROR/ },
  {
    name: "a block that is no HPACK",
    frames: (id) => [f.frame(f.HEADERS, 5, id, [0xff, 0xff, 0xff, 0xff, 0xff])],
    told: /^GOAWAY \d+ COMPRESSION_ERROR/,
  },
  { name: "a frame that is too long", frames: (id) => [f.data(id, 20_000)], told: /^GOAWAY \d+ FRAME_SIZE_ERROR/ },
  {
    name: "SETTINGS of five bytes",
    frames: () => [f.frame(f.SETTINGS, 0, 0, [0, 0, 0, 0, 0])],
    told: /^GOAWAY \d+ FRAME_SIZE_ERROR/,
  },
  // §8.2
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].map((name) =>
    malformed(`the field ${name}`, (id) => [f.headers(id, [...OK, [name, "x"]], f.END_HEADERS)])
  ),
  ...["a\0b", "a\nb", "a\rb", " a", "a\t"].map((value) =>
    malformed(`the value ${JSON.stringify(value)}`, (id) => [f.headers(id, [...OK, ["x-a", value]], f.END_HEADERS)])
  ),
  ...["", "a b", "a:b", "a\n", "\x80"].map((name) =>
    malformed(`the name ${JSON.stringify(name)}`, (id) => [f.headers(id, [...OK, [name, "x"]], f.END_HEADERS)])
  ),
  // §8.3
  malformed("a pseudo-header field of requests", (id) => [f.headers(id, [...OK, [":path", "/"]], f.END_HEADERS)]),
  malformed("a pseudo-header field that nobody knows", (id) => [f.headers(id, [...OK, [":x", "y"]], f.END_HEADERS)]),
  malformed("the status twice", (id) => [f.headers(id, [...OK, ...OK], f.END_HEADERS)]),
  malformed("the status behind a field", (id) => [f.headers(id, [["a", "b"], ...OK], f.END_HEADERS)]),
  malformed("an interim answer without a status", (id) => [f.headers(id, [["a", "b"]], f.END_HEADERS)]),
  // §8.1
  malformed("DATA behind an interim answer", (id) => [
    f.headers(id, [[":status", "103"]], f.END_HEADERS),
    data(id, "abc"),
  ]),
  malformed("a length without content", (id) => [f.headers(id, [...OK, ["content-length", "1"]])]),
  malformed("two lengths", (id) => [
    f.headers(id, [...OK, ["content-length", "1"], ["content-length", "2"]], f.END_HEADERS),
  ]),
  cut("a second head", (id) => [f.headers(id, OK, f.END_HEADERS)]),
  cut("an interim answer behind the head", (id) => [f.headers(id, [[":status", "103"]], f.END_HEADERS)]),
  cut("trailers that do not end the stream", (id) => [data(id, "abc"), f.headers(id, [["a", "b"]], f.END_HEADERS)]),
  cut("trailers with a field of the connection", (id) => [data(id, "abc"), f.headers(id, [["te", "gzip"]])]),
  cut("trailers with capital letters", (id) => [data(id, "abc"), f.headers(id, [["A", "b"]])]),
  {
    name: "trailers before all of the content",
    frames: (id) => [
      f.headers(id, [...OK, ["content-length", "4"]], f.END_HEADERS),
      data(id, "abc"),
      f.headers(id, [["a", "b"]]),
    ],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
    status: 0,
  },
  {
    name: "content of an answer without any",
    frames: (id) => [f.headers(id, [[":status", "204"]], f.END_HEADERS), data(id, "abc")],
    told: /^RST_STREAM \d+ PROTOCOL_ERROR/,
    status: 204,
  },
  // §6.9
  cut("a window that grows by nothing", (id) => [f.windowUpdate(id, 0)]),
  cut("PRIORITY of four octets", (id) => [f.frame(f.PRIORITY, 0, id, [0, 0, 0, 1])], "FRAME_SIZE_ERROR"),
  fatal("a connection's window that grows by nothing", "PROTOCOL_ERROR", () => [f.windowUpdate(0, 0)]),
  fatal("a connection's window beyond 2^31 - 1", "FLOW_CONTROL_ERROR", () => [f.windowUpdate(0, 0x7fffffff)]),
  fatal("INITIAL_WINDOW_SIZE beyond 2^31 - 1", "FLOW_CONTROL_ERROR", () => [f.settings([4, 0x80000000])]),
  // §4.3, §5.1, §6
  fatal("a head that another frame interrupts", "PROTOCOL_ERROR", (id) => [
    f.frame(f.HEADERS, 0, id, f.block(OK)),
    f.frame(f.PING, 0, 0, new Uint8Array(8)),
  ]),
  fatal("CONTINUATION out of nothing", "PROTOCOL_ERROR", (id) => [f.frame(f.CONTINUATION, 4, id, f.block(OK))]),
  fatal("DATA of an idle stream", "PROTOCOL_ERROR", () => [data(99, "abc")]),
  fatal("DATA without a stream", "PROTOCOL_ERROR", () => [data(0, "abc")]),
  fatal("padding as long as the frame", "PROTOCOL_ERROR", (id) => [f.frame(f.DATA, f.PADDED, id, [2, 0])]),
  fatal("RST_STREAM of an idle stream", "PROTOCOL_ERROR", () => [f.rstStream(99)]),
  fatal("RST_STREAM of three octets", "FRAME_SIZE_ERROR", (id) => [f.frame(f.RST_STREAM, 0, id, [0, 0, 0])]),
  fatal("ENABLE_PUSH", "PROTOCOL_ERROR", () => [f.settings([2, 1])]),
  fatal("MAX_FRAME_SIZE below 2^14", "PROTOCOL_ERROR", () => [f.settings([5, 100])]),
  fatal("SETTINGS of a stream", "PROTOCOL_ERROR", (id) => [f.frame(f.SETTINGS, 0, id)]),
  fatal("an acknowledgement of nothing", "PROTOCOL_ERROR", () => [f.frame(f.SETTINGS, f.ACK, 0)]),
  fatal("PING of a stream", "PROTOCOL_ERROR", (id) => [f.frame(f.PING, 0, id, new Uint8Array(8))]),
  fatal("PING of seven octets", "FRAME_SIZE_ERROR", () => [f.frame(f.PING, 0, 0, new Uint8Array(7))]),
  fatal("GOAWAY of a stream", "PROTOCOL_ERROR", (id) => [f.frame(f.GOAWAY, 0, id, new Uint8Array(8))]),
  fatal("GOAWAY whose last stream rises", "PROTOCOL_ERROR", () => [f.goaway(101), f.goaway(103)]),
  fatal("PRIORITY_UPDATE", "PROTOCOL_ERROR", () => [f.frame(f.PRIORITY_UPDATE, 0, 0, [0, 0, 0, 1, 0x69])]),
  fatal("ENABLE_CONNECT_PROTOCOL taken back", "PROTOCOL_ERROR", () => [f.settings([8, 1]), f.settings([8, 0])]),
];

Deno.test("what no backend may do is 502 and told to it; of a stream's fault nobody else suffers", async () => {
  const held: Http2Request[] = [];
  await using stage = await serveHttp2([{ onRequest: (one) => held.push(one) }]);
  for (const { name, frames, told, status = 502 } of FAULTS) {
    held.length = 0;
    // neither may be repeated
    const faulty = stage.ask("/faulty", { method: "POST", body: "b" });
    await eventually(`${name}: asked`, () => held.length, (count) => count === 1);
    const { connection, id } = held[0]!;
    const other = stage.ask("/other", { method: "POST", body: "b" });
    await eventually(`${name}: both asked`, () => held.length, (count) => count === 2);
    assert(held[1]!.connection === connection, name);
    await connection.send(...frames(id));
    assertEquals((await faulty)[0], status, `${name}: ${connection.words.slice(-6).join("; ")}`);
    const frame = f.inWords(
      await connection.seen(told).catch((error) => {
        throw new Error(`${name}: told ${connection.words.slice(-3)}`, { cause: error });
      }),
    );
    if (frame.startsWith("RST")) await answers(held[1]!);
    assertEquals((await other)[0], frame.startsWith("RST") ? 200 : 502, `${name}: the other one`);
    if (frame.startsWith("GOAWAY")) await connection.peer.untilEnd();
  }
  const counters = await stage.proxy.counters();
  assert(counters.of("upstreams.h2.streams.malformed") > 0 && counters.of("upstreams.h2.connections.failed") > 0);
  await atRest(stage);
});

Deno.test("DATA beyond the windows that it was given costs a backend its connection", async () => {
  await using stage = await serveHttp2([{}]);
  const asked = fetch(`http://127.0.0.1:${stage.proxy.port("web")}/`);
  const { connection, id } = await stage.backend.request(0);
  await connection.send(f.headers(id, OK, f.END_HEADERS));
  const response = await asked;
  // nobody reads it, so no window opens again beyond what the client's socket takes
  const told = () => connection.words.some((word) => word.endsWith("FLOW_CONTROL_ERROR"));
  for (let at = 0; at < 4_000 && !told() && connection.peer.end === "open"; at++) {
    await connection.send(f.data(id, 16_384));
    if (at % 8 === 7) await pause(1);
  }
  assert(told(), `${connection.peer.end}: ${connection.words.slice(-5)}`);
  await response.body?.cancel().catch(() => {});
  await atRest(stage);
});
