// RFC 9113 §4 to §7 where servers and clients are held to the same: each rule is played to both roles, on a connection with
// one stream that is open, and whose head has come.

import * as abi from "../../../assembly/abi.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import type { Bytes } from "../../support/bytes.ts";
import { asClient, asServer, type H2Driver, POST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const RESPONSE: readonly f.Field[] = [[":status", "200"]];
const UPLOAD = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";

interface Side {
  isServer: boolean;
  /** The head of a message of the peer's. */
  head: readonly f.Field[];
  /** What is told of it on a stream. */
  told(id: number): string;
  /** The last stream of the peer's, as GOAWAY says it. */
  last: number;
  /** Opens a stream, and has the head come on it. */
  open(peer: H2Driver): void;
}

const SERVER: Side = {
  isServer: true,
  head: POST,
  told: (id) => `request ${id} POST example.com /`,
  last: 1,
  open: (peer) => peer.receive(f.headers(peer.core.codec.h2LastStream(peer.h2) + 1 | 1, POST, f.END_HEADERS)),
};
const CLIENT: Side = {
  isServer: false,
  head: RESPONSE,
  told: (id) => `response ${id} 200`,
  last: 0,
  open: (peer) => peer.receive(f.headers(peer.ask(UPLOAD, false).id, RESPONSE, f.END_HEADERS)),
};

/** A dialogue on stream 1 in both roles. */
function both(name: string, script: (peer: H2Driver, side: Side) => void, settings?: Bytes): void {
  const play = (side: Side) => (peer: H2Driver) => {
    side.open(peer);
    peer.expect([side.told(1)]);
    script(peer, side);
  };
  asServer(name, play(SERVER), settings);
  asClient(name, play(CLIENT), settings);
}

/** A connection error: GOAWAY says so, and nothing more is looked at. */
function fails(name: string, code: string, ...parts: Uint8Array[]): void {
  both(name, (peer, { last }) => {
    peer.receive(f.concat(...parts));
    peer.expect([`connection error ${code}`], [`GOAWAY ${last} ${code}`]);
    peer.feed();
    peer.expect([`connection error ${code}`]);
  });
}

/** A stream error: the stream is reset once, and the connection goes on with others. */
function resets(name: string, code: string, bytes: Uint8Array): void {
  both(name, (peer, side) => {
    peer.receive(bytes);
    peer.expect([`stream error 1 ${code}`], [`RST_STREAM 1 ${code}`]);
    // what was under way
    peer.receive(f.concat(f.data(1, 1), f.windowUpdate(1, 1), f.rstStream(1)));
    side.open(peer);
    peer.expect([side.told(3)]);
  });
}

const bytes = (length: number) => new Uint8Array(length);
const ping = (flags: number, stream: number, length: number) => f.frame(f.PING, flags, stream, bytes(length));
const PING = ping(0, 0, 8);
const trailers = f.block([["x-trailer", "t"]]);

// ---- §4.1 ----

both("§4.1 the reserved bit, undefined flags and unknown types mean nothing", (peer) => {
  const frames = [
    f.frame(f.DATA, 0xf6, 1, [1, 2, 3]),
    f.frame(f.PING, 0xfe, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
    f.frame(f.WINDOW_UPDATE, 255, 1, f.u32(5)),
    f.frame(f.SETTINGS, 0xfe, 0),
    f.frame(0x77, 255, 0, bytes(300)),
    f.frame(0xee, 255, 1, bytes(16384)),
    f.frame(10, 255, 99),
  ];
  for (const one of frames) {
    one[5]! |= 0x80;
    peer.receive(one);
  }
  peer.expect(["data 1 3", "window 1", "settings"], ["PING ack 0102030405060708", "SETTINGS ack"]);
});

both("§4.1, §6.9 the reserved bits in front of numbers mean nothing", (peer) => {
  peer.receive(f.frame(f.WINDOW_UPDATE, 0, 1, [0x80, 0, 0, 5]));
  peer.receive(f.frame(f.GOAWAY, 0, 0, [0x80, 0, 0, 3, 0, 0, 0, 0]));
  peer.expect(["window 1", "goaway 3 NO_ERROR"]);
});

// ---- §4.2 ----

both("§4.2 frames of 16384 bytes are taken", (peer) => {
  peer.receive(f.data(1, 16384));
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [255, ...bytes(16383)]));
  peer.expect(["data 1 32512"]);
});

for (
  const [name, type, flags, stream] of [
    ["DATA", f.DATA, 0, 1],
    ["DATA of a stream that is gone", f.DATA, 0, 99],
    ["HEADERS", f.HEADERS, f.END_HEADERS, 1],
    ["PRIORITY", f.PRIORITY, 0, 1],
    ["RST_STREAM", f.RST_STREAM, 0, 1],
    ["SETTINGS", f.SETTINGS, 0, 0],
    ["PING", f.PING, 0, 0],
    ["GOAWAY", f.GOAWAY, 0, 0],
    ["WINDOW_UPDATE", f.WINDOW_UPDATE, 0, 0],
    ["an unknown type", 99, 0, 0],
  ] as const
) fails(`§4.2 more than 16384 bytes: ${name}`, "FRAME_SIZE_ERROR", f.frame(type, flags, stream, bytes(16385)));

fails(
  "§4.2 more than 16384 bytes: CONTINUATION",
  "FRAME_SIZE_ERROR",
  f.frame(f.HEADERS, f.END_STREAM, 1, trailers),
  f.frame(f.CONTINUATION, f.END_HEADERS, 1, bytes(16385)),
);

// ---- §4.3 ----

both("§4.3, §6.10 a block in several frames is one block, parts may be empty, the first padded", (peer) => {
  const flags = f.END_STREAM | f.PADDED | f.WITH_PRIORITY;
  peer.receive(f.frame(f.HEADERS, flags, 1, [3, 0, 0, 0, 0, 15, ...trailers.slice(0, 9), 0, 0, 0]));
  peer.receive(f.frame(f.CONTINUATION, 0, 1));
  peer.receive(f.frame(f.CONTINUATION, 0xfb, 1, trailers.slice(9, 10)));
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 1, trailers.slice(10)));
  peer.expect(["trailers 1 end"]);
  assertEquals(peer.block(1), [["x-trailer", "t"]]);
});

const begun = f.frame(f.HEADERS, f.END_STREAM, 1, trailers.slice(0, 5));
for (
  const [name, frame] of Object.entries({
    "HEADERS": f.headers(1, [["a", "b"]]),
    "another stream's HEADERS": f.headers(3, [["a", "b"]]),
    "DATA": f.data(1, 5),
    "PRIORITY": f.frame(f.PRIORITY, 0, 1, [0, 0, 0, 0, 1]),
    "RST_STREAM": f.rstStream(1),
    "SETTINGS": f.settings(),
    "PUSH_PROMISE": f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, [0, 0, 0, 2]),
    "PING": PING,
    "GOAWAY": f.goaway(0),
    "WINDOW_UPDATE": f.windowUpdate(0, 1),
    "an unknown type": f.frame(77, 0, 0),
    "CONTINUATION of another stream": f.frame(f.CONTINUATION, f.END_HEADERS, 3, trailers.slice(5)),
    "CONTINUATION without a stream": f.frame(f.CONTINUATION, f.END_HEADERS, 0, trailers.slice(5)),
  })
) {
  fails(`§4.3, §5.5, §6.2, §6.10 a block is not interrupted by ${name}`, "PROTOCOL_ERROR", begun, frame);
  if (name === "CONTINUATION of another stream") {
    const part = f.frame(f.CONTINUATION, 0, 1, trailers.slice(5, 7));
    fails(`§6.10 nor behind a first CONTINUATION by ${name}`, "PROTOCOL_ERROR", begun, part, frame);
  }
}

for (
  const [name, block] of Object.entries({
    "index 0": [0x80],
    "an index that no table has": [0xff, 0x00],
    "a field that is cut": [0x40, 5, 0x61],
    "Huffman code with padding of zeros": [0x00, 0x81, 0x18, 0x00],
    "a table size update behind a field": [0x88, 0x20],
    "a table size beyond the setting": [0x3f, 0xe2, 0x1f],
  })
) {
  fails(
    `§4.3 a block with ${name} cannot be decoded`,
    "COMPRESSION_ERROR",
    f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, block),
  );
  both(`§4.3 not even of a stream that is gone: ${name}`, (peer, { last }) => {
    peer.reset(1);
    peer.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, block));
    peer.expect(["connection error COMPRESSION_ERROR"], ["RST_STREAM 1 CANCEL", `GOAWAY ${last} COMPRESSION_ERROR`]);
  });
}

both("§4.3, §5.1 blocks of streams that were reset keep the table in step", (peer, side) => {
  peer.reset(1);
  peer.receive(f.frame(f.HEADERS, 0, 1, [0x40, 1, 0x78]));
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 1, [1, 0x79]));
  if (!side.isServer) assertEquals(peer.ask(UPLOAD, false).id, 3);
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS, 3, [...f.block(side.head), 0xbe]));
  peer.expect([side.told(3)], ["RST_STREAM 1 CANCEL"]);
  assertEquals(peer.block(3).at(-1), ["x", "y"]);
});

both("§4.3.1 behind settings that shrink our table a block begins with the new size", (peer, side) => {
  const head = () =>
    side.isServer ? peer.answer(1, "HTTP/1.1 103 Early Hints\r\nX-A: a\r\n\r\n") : peer.ask(UPLOAD).sent;
  const payloadOf = (sent: Uint8Array) => [...f.frames(sent)[0]!.payload];
  payloadOf(head());
  peer.receive(f.settings([1, 100]));
  assertEquals(payloadOf(head()).slice(0, 2), [0x3f, 100 - 31]);
  assert((payloadOf(head())[0]! & 0xe0) !== 0x20, "it is said once");
  // down and up between two blocks: the least, then what holds
  peer.receive(f.settings([1, 0]));
  peer.receive(f.settings([1, 4096]));
  assertEquals(payloadOf(head()).slice(0, 4), [0x20, 0x3f, 0xe1, 0x1f]);
  peer.receive(f.settings([1, 0]));
  const sent = [head(), head()];
  assertEquals(payloadOf(sent[0]!)[0], 0x20);
  // without a table nothing depends on what was sent before
  assertEquals(payloadOf(sent[1]!), payloadOf(sent[0]!).slice(1));
});

// ---- §5.1 ----

both("§5.1 what is under way to a stream that we have reset is nothing", (peer) => {
  peer.reset(1);
  const frames = [
    f.data(1, 100),
    f.headers(1, [["a", "b"]], f.END_HEADERS),
    f.windowUpdate(1, 5),
    f.frame(f.PRIORITY, 0, 1, [0, 0, 0, 0, 1]),
    f.data(1, 0, f.END_STREAM),
    f.rstStream(1),
  ];
  peer.receive(f.concat(...frames));
  peer.receive(PING);
  peer.expect([], ["RST_STREAM 1 CANCEL", "PING ack 0000000000000000"]);
});

both("§6.4, §5.4.2 behind RST_STREAM of the peer nothing is sent on the stream, least of all another", (peer, side) => {
  const record = peer.streams.get(1)!;
  const { codec } = peer.core;
  peer.receive(f.rstStream(1));
  const to = codec.headScratchAt();
  const source = side.isServer ? peer.parse("HTTP/1.1 200 OK\r\n\r\n", 0) : peer.parse(UPLOAD);
  const head = side.isServer
    ? codec.h2PutResponse(peer.h2, record, source, 0, 0, 0, 0, to)
    : codec.h2PutRequest(peer.h2, record, source, 80, 0, peer.core.textAt + abi.TEXT_REQUEST_IDS, 0, 0, 1, 0, to);
  const trailers = codec.h2PutTrailers(peer.h2, record, source, to);
  assertEquals([head, trailers, codec.h2Sendable(peer.h2, record), codec.h2PutData(peer.h2, record, to, 0, 1)], [
    0,
    0,
    0,
    0,
  ]);
  codec.h2Reset(peer.h2, record, 8);
  codec.h2EndStream(peer.h2, record);
  peer.flush();
  peer.expect(["reset 1 CANCEL"]);
});

// ---- §6.1 DATA ----

fails("§6.1 DATA without a stream", "PROTOCOL_ERROR", f.data(0, 4));
fails("§6.1 padding as long as the frame", "PROTOCOL_ERROR", f.frame(f.DATA, f.PADDED, 1, [4, 1, 2, 3]));
fails("§6.1 padding longer than the frame", "PROTOCOL_ERROR", f.frame(f.DATA, f.PADDED, 1, [255, 1, 2, 3]));
fails("§6.1 padding without its length", "FRAME_SIZE_ERROR", f.frame(f.DATA, f.PADDED, 1));

both("§6.1 padding is left out, and a frame of padding alone may end the stream", (peer) => {
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [3, 7, 7, 0, 0, 0]));
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [0, 7]));
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [255, 7, ...bytes(255)]));
  peer.expect(["data 1 4"]);
  peer.receive(f.frame(f.DATA, f.PADDED | f.END_STREAM, 1, [2, 0, 0]));
  peer.expect(["end 1"]);
});

both("§6.1 padding and its length count for the window", (peer) => {
  for (let i = 0; i < 3; i++) peer.receive(f.data(1, 16384));
  // 16,383 are left; of these the next one takes 202, and the one behind it all but nine
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [200, 7, ...bytes(200)]));
  peer.receive(f.data(1, 16383 - 202 - 9));
  peer.expect(["data 1 65325"]);
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [8, 7, ...bytes(8)]));
  peer.expect(["stream error 1 FLOW_CONTROL_ERROR"], ["RST_STREAM 1 FLOW_CONTROL_ERROR"]);
});

// ---- §6.2 HEADERS ----

fails("§6.2 HEADERS without a stream", "PROTOCOL_ERROR", f.headers(0, [["a", "b"]]));
fails("§6.2 padding as long as what is left", "PROTOCOL_ERROR", f.frame(f.HEADERS, f.PADDED | 5, 1, [3, 1, 2]));
fails(
  "§6.2 padding into the priority",
  "PROTOCOL_ERROR",
  f.frame(f.HEADERS, f.PADDED | f.WITH_PRIORITY | 5, 1, [1, 0, 0, 0, 0, 0]),
);
fails("§6.2 padding without its length", "FRAME_SIZE_ERROR", f.frame(f.HEADERS, f.PADDED | 5, 1));
fails("§6.2 a priority that is cut", "FRAME_SIZE_ERROR", f.frame(f.HEADERS, f.WITH_PRIORITY | 5, 1, [0, 0, 0]));

// ---- §6.3 PRIORITY ----

fails("§6.3 PRIORITY without a stream", "PROTOCOL_ERROR", f.frame(f.PRIORITY, 0, 0, [0, 0, 0, 1, 1]));
for (const length of [0, 4, 6]) {
  resets(`§6.3 PRIORITY of ${length} octets`, "FRAME_SIZE_ERROR", f.frame(f.PRIORITY, 0, 1, bytes(length)));
  // where there is no stream to reset, it is the connection's fault (§5.4.1)
  fails(`§6.3 of ${length} octets for no stream`, "FRAME_SIZE_ERROR", f.frame(f.PRIORITY, 0, 9, bytes(length)));
}
both("§6.3 PRIORITY says nothing, whatever the stream, and may depend on itself", (peer, side) => {
  for (const id of [1, 2, 9]) peer.receive(f.frame(f.PRIORITY, 255, id, [0x80, 0, 0, id, 255]));
  side.open(peer);
  peer.expect([side.told(3)]);
});

// ---- §6.4 RST_STREAM ----

fails("§6.4 RST_STREAM without a stream", "PROTOCOL_ERROR", f.rstStream(0));
fails("§6.4 RST_STREAM of an idle stream", "PROTOCOL_ERROR", f.rstStream(9));
fails("§6.4 RST_STREAM of an idle stream of a server's", "PROTOCOL_ERROR", f.rstStream(2));
for (const length of [0, 3, 5]) {
  fails(`§6.4 RST_STREAM of ${length} octets`, "FRAME_SIZE_ERROR", f.frame(f.RST_STREAM, 0, 1, bytes(length)));
}
both("§6.4, §7 codes that nobody knows are codes like others", (peer) => {
  peer.receive(f.rstStream(1, 0x12345678));
  peer.receive(f.goaway(1, 0x7fffffff));
  peer.expect(["reset 1 305419896", "goaway 1 2147483647"]);
});

// ---- §6.5 SETTINGS ----

fails("§6.5 SETTINGS with a stream", "PROTOCOL_ERROR", f.frame(f.SETTINGS, 0, 1));
fails("§6.5 an acknowledgement with a stream", "PROTOCOL_ERROR", f.frame(f.SETTINGS, f.ACK, 1));
for (const length of [1, 5, 7]) {
  fails(`§6.5 SETTINGS of ${length} octets`, "FRAME_SIZE_ERROR", f.frame(f.SETTINGS, 0, 0, bytes(length)));
}
fails("§6.5 an acknowledgement that says something", "FRAME_SIZE_ERROR", f.frame(f.SETTINGS, f.ACK, 0, bytes(6)));
fails("§6.5.3 an acknowledgement of nothing", "PROTOCOL_ERROR", f.frame(f.SETTINGS, f.ACK, 0));
for (
  const [name, id, value, code] of [
    ["ENABLE_PUSH 2", 2, 2, "PROTOCOL_ERROR"],
    ["INITIAL_WINDOW_SIZE 2^31", 4, 0x80000000, "FLOW_CONTROL_ERROR"],
    ["INITIAL_WINDOW_SIZE 2^32-1", 4, 0xffffffff, "FLOW_CONTROL_ERROR"],
    ["MAX_FRAME_SIZE 0", 5, 0, "PROTOCOL_ERROR"],
    ["MAX_FRAME_SIZE 2^14-1", 5, 16383, "PROTOCOL_ERROR"],
    ["MAX_FRAME_SIZE 2^24", 5, 16777216, "PROTOCOL_ERROR"],
    ["RFC 8441 §3: ENABLE_CONNECT_PROTOCOL 2", 8, 2, "PROTOCOL_ERROR"],
    ["RFC 9218 §2.1: NO_RFC7540_PRIORITIES 2", 9, 2, "PROTOCOL_ERROR"],
    ["RFC 9218 §2.1: NO_RFC7540_PRIORITIES another time otherwise", 9, 1, "PROTOCOL_ERROR"],
  ] as const
) fails(`§6.5.2 ${name}`, code, f.settings([0x7777, 7], [id, value]));
fails("RFC 8441 §3: ENABLE_CONNECT_PROTOCOL is not taken back", "PROTOCOL_ERROR", f.settings([8, 1], [8, 0]));

both("§6.5.2, §6.5.3 each SETTINGS is acknowledged, and unknown ones change nothing", (peer) => {
  peer.receive(f.settings([2, 0], [0x7777, 7], [0, 0], [7, 1], [0xffff, 0xffffffff], [5, 16777215], [6, 0], [3, 0]));
  peer.receive(f.settings());
  peer.receive(f.settings([8, 1], [9, 0]));
  peer.expect(["settings", "settings", "settings"], ["SETTINGS ack", "SETTINGS ack", "SETTINGS ack"]);
});

both("§6.5 of several values of one setting the last holds, what is not named stays", (peer, { isServer }) => {
  if (isServer) peer.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
  peer.receive(f.settings([4, 10], [4, 100], [5, 20000], [5, 16384]));
  assertEquals(peer.sendable(1), 100);
  peer.receive(f.settings([5, 30000]));
  assertEquals(peer.sendable(1), 100);
  peer.receive(f.settings([4, 40000]));
  assertEquals(peer.sendable(1), 30000);
});

// ---- §6.7 PING ----

fails("§6.7 PING with a stream", "PROTOCOL_ERROR", ping(0, 1, 8));
fails("§6.7 an answer with a stream", "PROTOCOL_ERROR", ping(f.ACK, 1, 8));
for (const length of [0, 7, 9]) fails(`§6.7 PING of ${length} octets`, "FRAME_SIZE_ERROR", ping(0, 0, length));
fails("§6.7 an answer of six octets", "FRAME_SIZE_ERROR", ping(f.ACK, 0, 6));
both("§6.7 PING is answered with its octets; an answer is not answered", (peer) => {
  peer.receive(f.frame(f.PING, 0, 0, [255, 0, 1, 2, 3, 4, 5, 6]));
  peer.receive(ping(f.ACK, 0, 8));
  peer.expect(["ping ack"], ["PING ack ff00010203040506"]);
});

// ---- §6.8 GOAWAY ----

fails("§6.8 GOAWAY with a stream", "PROTOCOL_ERROR", f.frame(f.GOAWAY, 0, 1, bytes(8)));
for (const length of [0, 7]) {
  fails(`§6.8 GOAWAY of ${length} octets`, "FRAME_SIZE_ERROR", f.frame(f.GOAWAY, 0, 0, bytes(length)));
}
both("§6.8 GOAWAY is told, its debug data passed over; streams go on", (peer) => {
  peer.receive(f.goaway(0x7fffffff, 0, [...bytes(5000)]));
  peer.receive(f.goaway(1, 11));
  peer.receive(f.data(1, 5, f.END_STREAM));
  peer.expect(["goaway 2147483647 NO_ERROR", "goaway 1 ENHANCE_YOUR_CALM", "data 1 5 end"]);
});
both("§6.8 the last stream does not rise", (peer, { last }) => {
  peer.receive(f.concat(f.goaway(3), f.goaway(5)));
  peer.expect(["goaway 3 NO_ERROR", "connection error PROTOCOL_ERROR"], [`GOAWAY ${last} PROTOCOL_ERROR`]);
});

// ---- §6.9 WINDOW_UPDATE ----

for (const length of [0, 3, 5]) {
  fails(`§6.9 WINDOW_UPDATE of ${length} octets`, "FRAME_SIZE_ERROR", f.frame(f.WINDOW_UPDATE, 0, 0, bytes(length)));
  const stream = f.frame(f.WINDOW_UPDATE, 0, 1, bytes(length));
  fails(`§6.9 WINDOW_UPDATE of ${length} octets for a stream`, "FRAME_SIZE_ERROR", stream);
}
fails("§6.9 the connection's window grows by nothing", "PROTOCOL_ERROR", f.windowUpdate(0, 0));
resets("§6.9 a stream's window grows by nothing", "PROTOCOL_ERROR", f.windowUpdate(1, 0));
fails("§6.9.1 the connection's window beyond 2^31-1", "FLOW_CONTROL_ERROR", f.windowUpdate(0, 0x7fffffff - 65535 + 1));
resets("§6.9.1 a stream's window beyond 2^31-1", "FLOW_CONTROL_ERROR", f.windowUpdate(1, 0x7fffffff - 65535 + 1));
both("§6.9.1 windows up to 2^31-1", (peer) => {
  peer.receive(f.concat(f.windowUpdate(0, 0x7fffffff - 65535), f.windowUpdate(1, 0x7fffffff - 65535)));
  peer.expect(["window 0", "window 1"]);
});

both("§6.9.1 no more is sent than either window allows, and an empty end without any", (peer, { isServer }) => {
  if (isServer) peer.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
  assertEquals([peer.sendable(1), peer.putData(1, 16385), peer.putData(1, 16384)], [16384, 0, 9]);
  for (let i = 0; i < 2; i++) peer.putData(1, 16384);
  assertEquals([peer.sendable(1), peer.putData(1, 16383), peer.sendable(1), peer.putData(1, 1)], [16383, 9, 0, 0]);
  peer.receive(f.windowUpdate(1, 100));
  assertEquals([peer.sendable(1), peer.putData(1, 1)], [0, 0]);
  peer.receive(f.windowUpdate(0, 50));
  assertEquals([peer.sendable(1), peer.putData(1, 51), peer.putData(1, 50)], [50, 0, 9]);
  peer.receive(f.settings([4, 0]));
  assertEquals([peer.sendable(1), peer.putData(1, 0, true), peer.putData(1, 0, true)], [0, 9, 0]);
});

both(
  "§6.9.2 SETTINGS change the windows of streams, also below zero, and never the connection's",
  (peer, { isServer }) => {
    if (isServer) peer.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
    peer.receive(f.settings([4, 30000], [5, 32768]));
    assertEquals([peer.sendable(1), peer.putData(1, 30000)], [30000, 9]);
    peer.receive(f.settings([4, 10000]));
    peer.receive(f.windowUpdate(1, 20000));
    assertEquals([peer.sendable(1), peer.putData(1, 1)], [0, 0]);
    peer.receive(f.windowUpdate(1, 1));
    assertEquals(peer.sendable(1), 1);
    // 35,535 are left of the connection's 65,535
    peer.receive(f.settings([4, 1000000], [5, 100000]));
    assertEquals([peer.core.codec.h2Window(peer.h2), peer.sendable(1)], [35535, 35535]);
  },
);

both("§6.9.2 a window that SETTINGS make too large", (peer, { last }) => {
  peer.receive(f.windowUpdate(1, 1));
  peer.receive(f.settings([4, 0x7fffffff]));
  peer.expect(["window 1", "connection error FLOW_CONTROL_ERROR"], [`GOAWAY ${last} FLOW_CONTROL_ERROR`]);
});

both("§6.9.1 more than a stream's window is its fault, and counts for the connection all the same", (peer, side) => {
  let sent = 0;
  const send = (id: number, length: number) => {
    sent += length;
    peer.receive(f.data(id, length));
  };
  for (let id = 1; id < 40; id += 2) {
    if (id > 1) side.open(peer);
    for (let i = 0; i < 4; i++) send(id, 16384);
    assertEquals(peer.events.at(-1), `stream error ${id} FLOW_CONTROL_ERROR`);
    // what comes behind the reset counts, too
    send(id, 16384);
  }
  assertEquals(
    announced(peer, 0) > sent - 524288 && announced(peer, 0) <= sent,
    true,
    `${announced(peer, 0)} of ${sent}`,
  );
});

/** Sum of WINDOW_UPDATE. */
function announced(peer: H2Driver, stream: number): number {
  const sizes = peer.replies.map((reply) => reply.split(" ")).filter(([type, id]) => {
    return type === "WINDOW_UPDATE" && id === String(stream);
  });
  return sizes.reduce((sum, [, , by]) => sum + Number(by), 0);
}

// ---- §6.10 CONTINUATION ----

fails("§6.10 CONTINUATION out of nothing", "PROTOCOL_ERROR", f.frame(f.CONTINUATION, f.END_HEADERS, 1, trailers));
fails("§6.10 CONTINUATION without a stream", "PROTOCOL_ERROR", f.frame(f.CONTINUATION, f.END_HEADERS, 0, trailers));
for (
  const [name, before] of Object.entries({ "DATA": f.data(1, 0), "PRIORITY": f.frame(f.PRIORITY, 0, 1, bytes(5)) })
) {
  fails(`§6.10 CONTINUATION behind ${name}`, "PROTOCOL_ERROR", before, f.frame(f.CONTINUATION, 0, 1, trailers));
}
both("§6.10 CONTINUATION behind a block that has ended", (peer, { last }) => {
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, trailers));
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 1, trailers));
  peer.expect(["trailers 1 end", "connection error PROTOCOL_ERROR"], [`GOAWAY ${last} PROTOCOL_ERROR`]);
});
