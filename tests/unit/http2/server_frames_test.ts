// RFC 9113 §3 to §6 as a server is held to it: each MUST that a client can put to the test, by its section.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { asServer, CUTTINGS, H2Driver, POST, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const GET_1 = "request 1 GET example.com /";
const protocolError = (last: number) => [`GOAWAY ${last} PROTOCOL_ERROR`];
const PROTOCOL = ["connection error PROTOCOL_ERROR"];

function fails(name: string, bytes: Uint8Array, code: string, last = 0): void {
  asServer(name, (peer) => {
    peer.receive(bytes);
    peer.expect([`connection error ${code}`], [`GOAWAY ${last} ${code}`]);
    // nothing more is looked at
    peer.feed();
    peer.expect([`connection error ${code}`]);
  });
}

/** As fails(), on a stream that is open; `events` come before. */
function failsOpen(name: string, bytes: Uint8Array, code: string): void {
  asServer(name, (peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.expect(["request 1 POST example.com /"]);
    peer.receive(bytes);
    peer.expect([`connection error ${code}`], [`GOAWAY 1 ${code}`]);
  });
}

/** A stream error on a stream that is open: it is reset, the connection goes on. */
function resets(name: string, bytes: Uint8Array, code: string): void {
  asServer(name, (peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.expect(["request 1 POST example.com /"]);
    peer.receive(bytes);
    peer.expect([`stream error 1 ${code}`], [`RST_STREAM 1 ${code}`]);
    peer.receive(f.headers(3, REQUEST));
    peer.expect(["request 3 GET example.com / end"]);
  });
}

// ---- §3.4 ----

Deno.test("h2 server: §3.4 our preface is SETTINGS, then the connection's window", () => {
  const peer = new H2Driver();
  peer.begin(abi.H2_ROLE_SERVER);
  assertEquals(f.frames(peer.preface()).map(f.inWords), [
    "SETTINGS 4=65535 6=12288 3=16 9=1",
    "WINDOW_UPDATE 0 +983041",
  ]);
});

Deno.test("h2 server: §3.4 a client that does not begin with the magic is refused at the first wrong byte", () => {
  const peer = new H2Driver();
  for (const cutting of CUTTINGS) {
    peer.begin(abi.H2_ROLE_SERVER, cutting);
    peer.receive(new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSX"));
    peer.expect(PROTOCOL, protocolError(0));
  }
});

Deno.test("h2 server: §3.4 the client's SETTINGS come first, and are no acknowledgement", () => {
  const peer = new H2Driver();
  for (
    const first of [f.frame(f.PING, 0, 0, new Uint8Array(8)), f.frame(f.SETTINGS, f.ACK, 0), f.headers(1, REQUEST)]
  ) {
    peer.begin(abi.H2_ROLE_SERVER);
    peer.preface();
    peer.receive(f.concat(f.MAGIC, first));
    peer.expect(PROTOCOL, protocolError(0));
  }
});

// ---- §4.1, §4.2, §5.5 ----

asServer("§4.1, §5.5 frames of unknown types are ignored, whatever their flags and streams", (peer) => {
  peer.receive(f.frame(0x77, 255, 0, new Uint8Array(300)));
  peer.receive(f.frame(0xee, 255, 9, new Uint8Array(16384)));
  peer.receive(f.headers(1, REQUEST));
  peer.expect([`${GET_1} end`]);
});

asServer("§4.1 undefined flags and the reserved bit are ignored", (peer) => {
  const ping = f.frame(f.PING, 0xfe, 0, [1, 2, 3, 4, 5, 6, 7, 8]);
  ping[5] = 0x80;
  peer.receive(ping);
  peer.expect([], ["PING ack 0102030405060708"]);
  const get = f.headers(1, REQUEST);
  get[5] = 0x80;
  peer.receive(get);
  peer.expect([`${GET_1} end`]);
});

asServer("§4.2 a frame of 16384 bytes is taken", (peer) => {
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  peer.receive(f.data(1, 16384));
  peer.expect(["request 1 POST example.com /", "data 1 16384"]);
});

failsOpen("§4.2 a larger one is FRAME_SIZE_ERROR: DATA", f.data(1, 16385), "FRAME_SIZE_ERROR");
fails(
  "§4.2 a larger one is FRAME_SIZE_ERROR: of an unknown type",
  f.frame(99, 0, 0, new Uint8Array(16385)),
  "FRAME_SIZE_ERROR",
);

// ---- §4.3 ----

const cut = f.block(REQUEST);
const begun = f.frame(f.HEADERS, f.END_STREAM, 1, cut.slice(0, 20));

asServer("§4.3, §6.10 a block in several frames is one block", (peer) => {
  peer.receive(begun);
  peer.receive(f.frame(f.CONTINUATION, 0, 1, cut.slice(20, 21)));
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 1, cut.slice(21)));
  peer.expect([`${GET_1} end`]);
});

asServer("§4.3 parts may be empty, and the first may be padded", (peer) => {
  peer.receive(
    f.frame(f.HEADERS, f.END_STREAM | f.PADDED | f.WITH_PRIORITY, 1, [3, 0, 0, 0, 0, 15, ...cut.slice(0, 9), 0, 0, 0]),
  );
  peer.receive(f.frame(f.CONTINUATION, 0, 1));
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 1, cut.slice(9)));
  peer.expect([`${GET_1} end`]);
});

for (
  const [name, frame] of Object.entries({
    "another stream's HEADERS": f.headers(3, REQUEST),
    "DATA": f.data(1, 5),
    "PING": f.frame(f.PING, 0, 0, new Uint8Array(8)),
    "an unknown type": f.frame(77, 0, 0),
    "CONTINUATION of another stream": f.frame(f.CONTINUATION, f.END_HEADERS, 3, cut.slice(20)),
  })
) fails(`§4.3, §6.2 a block is not interrupted by ${name}`, f.concat(begun, frame), "PROTOCOL_ERROR");

asServer("§4.3 a block that cannot be decoded is COMPRESSION_ERROR", (peer) => {
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, [0x80]));
  peer.expect(["connection error COMPRESSION_ERROR"], ["GOAWAY 1 COMPRESSION_ERROR"]);
});

asServer("§4.3 also when nobody wants the stream", (peer) => {
  peer.refuses = true;
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, [0xff, 0xff]));
  peer.expect(["refused 1", "connection error COMPRESSION_ERROR"], ["GOAWAY 1 COMPRESSION_ERROR"]);
});

asServer("§4.3 blocks of streams that are refused or reset keep the table in step", (peer) => {
  const inserts = (stream: number) =>
    f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, stream, [...cut, 0x40, 1, 0x78, 1, 0x79]);
  peer.refuses = true;
  peer.receive(inserts(1));
  peer.refuses = false;
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS, 3, cut));
  peer.reset(3);
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 3, [0x40, 1, 0x7a, 1, 0x7a]));
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 5, [...cut, 0xbe, 0xbf]));
  peer.expect(["refused 1", "request 3 GET example.com /", "request 5 GET example.com / end"], [
    "RST_STREAM 1 REFUSED_STREAM",
    "RST_STREAM 3 CANCEL",
  ]);
  assertEquals(peer.block(5), [["z", "z"], ["x", "y"]]);
});

// ---- §5.1, §5.1.1 ----

fails("§5.1.1 a client's streams have odd numbers", f.headers(2, REQUEST), "PROTOCOL_ERROR");
fails("§6.2 HEADERS have a stream", f.headers(0, REQUEST), "PROTOCOL_ERROR");
for (
  const [name, frame] of Object.entries({
    "DATA": f.data(1, 1),
    "RST_STREAM": f.rstStream(1),
    "WINDOW_UPDATE": f.windowUpdate(1, 1),
    "RST_STREAM of a server's stream": f.rstStream(2),
    "WINDOW_UPDATE of a server's stream": f.windowUpdate(4, 1),
  })
) fails(`§5.1 on an idle stream there is no ${name}`, frame, "PROTOCOL_ERROR");
fails("§6.10 CONTINUATION comes out of nothing", f.frame(f.CONTINUATION, f.END_HEADERS, 1, cut), "PROTOCOL_ERROR");
fails("§8.4 clients do not push", f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, [0, 0, 0, 2, ...cut]), "PROTOCOL_ERROR");

asServer("§5.1.1 lower numbers are closed by the first use of a higher one", (peer) => {
  peer.receive(f.headers(5, REQUEST));
  peer.receive(f.headers(3, REQUEST));
  peer.expect(["request 5 GET example.com / end", "connection error STREAM_CLOSED"], ["GOAWAY 5 STREAM_CLOSED"]);
});

for (const [name, frame] of Object.entries({ DATA: f.data(1, 1), HEADERS: f.headers(1, REQUEST) })) {
  asServer(`§5.1 half-closed (remote): ${name} is a stream error STREAM_CLOSED`, (peer) => {
    peer.receive(f.headers(1, REQUEST));
    peer.receive(frame);
    peer.expect([`${GET_1} end`, "stream error 1 STREAM_CLOSED"], ["RST_STREAM 1 STREAM_CLOSED"]);
  });
  asServer(`§5.1 closed by both ends: ${name} is a connection error STREAM_CLOSED`, (peer) => {
    peer.receive(f.headers(1, REQUEST));
    peer.answer(1, "HTTP/1.1 204 No Content\r\n\r\n", true);
    peer.end(1);
    peer.receive(frame);
    peer.expect([`${GET_1} end`, "connection error STREAM_CLOSED"], ["GOAWAY 1 STREAM_CLOSED"]);
  });
  asServer(`§5.1 closed by the client's reset: ${name} is a connection error STREAM_CLOSED`, (peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.receive(f.rstStream(1));
    peer.receive(frame);
    peer.expect(
      ["request 1 POST example.com /", "reset 1 CANCEL", "connection error STREAM_CLOSED"],
      ["GOAWAY 1 STREAM_CLOSED"],
    );
  });
  asServer(`§5.1 closed by our reset: ${name} is ignored`, (peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.reset(1);
    peer.receive(frame);
    peer.receive(f.headers(3, REQUEST));
    peer.expect(["request 1 POST example.com /", "request 3 GET example.com / end"], ["RST_STREAM 1 CANCEL"]);
  });
}

asServer("§5.1 closed: WINDOW_UPDATE and RST_STREAM may still come", (peer) => {
  peer.receive(f.headers(1, REQUEST));
  peer.answer(1, "HTTP/1.1 204 No Content\r\n\r\n", true);
  peer.receive(f.windowUpdate(1, 10));
  peer.end(1);
  peer.receive(f.windowUpdate(1, 10));
  peer.receive(f.rstStream(1));
  peer.receive(f.frame(f.PRIORITY, 0, 1, [0, 0, 0, 0, 1]));
  peer.expect([`${GET_1} end`]);
});

asServer("§5.1.2 streams beyond the limit are refused", (peer) => {
  for (let id = 1; id < 33; id += 2) peer.receive(f.headers(id, POST, f.END_HEADERS));
  assertEquals(peer.events.length, 16);
  peer.events = [];
  peer.receive(f.headers(33, REQUEST));
  peer.expect([], ["RST_STREAM 33 REFUSED_STREAM"]);
  peer.receive(f.rstStream(5));
  peer.receive(f.headers(35, REQUEST));
  peer.expect(["reset 5 CANCEL", "request 35 GET example.com / end"]);
});

// ---- §6.1 DATA ----

fails("§6.1 DATA has a stream", f.data(0, 4), "PROTOCOL_ERROR");
failsOpen("§6.1 padding as long as the frame", f.frame(f.DATA, f.PADDED, 1, [4, 1, 2, 3]), "PROTOCOL_ERROR");
failsOpen("§6.1 padding without its length", f.frame(f.DATA, f.PADDED, 1), "FRAME_SIZE_ERROR");

asServer("§6.1 padding is left out, and counts for both windows", (peer) => {
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [3, 7, 7, 0, 0, 0]));
  peer.receive(f.frame(f.DATA, f.PADDED, 1, [0, 7]));
  peer.receive(f.frame(f.DATA, f.PADDED | f.END_STREAM, 1, [200, 7, ...new Uint8Array(200)]));
  peer.expect(["request 1 POST example.com /", "data 1 4 end"]);
});

asServer("§6.1 a frame of padding alone may end the stream", (peer) => {
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  peer.receive(f.frame(f.DATA, f.PADDED | f.END_STREAM, 1, [2, 0, 0]));
  peer.receive(f.headers(3, REQUEST));
  peer.expect(["request 1 POST example.com /", "end 1", "request 3 GET example.com / end"]);
});

// ---- §6.2 HEADERS ----

fails(
  "§6.2 padding longer than the frame",
  f.frame(f.HEADERS, f.PADDED | f.END_HEADERS, 1, [9, 1, 2]),
  "PROTOCOL_ERROR",
);
fails("§6.2 padding without its length", f.frame(f.HEADERS, f.PADDED | f.END_HEADERS, 1), "FRAME_SIZE_ERROR");
fails(
  "§6.2 a priority that is cut",
  f.frame(f.HEADERS, f.WITH_PRIORITY | f.END_HEADERS, 1, [0, 0, 0]),
  "FRAME_SIZE_ERROR",
);

// ---- §6.3 PRIORITY ----

fails("§6.3 PRIORITY has a stream", f.frame(f.PRIORITY, 0, 0, [0, 0, 0, 1, 1]), "PROTOCOL_ERROR");
resets("§6.3 PRIORITY has five octets", f.frame(f.PRIORITY, 0, 1, [0, 0, 0, 3]), "FRAME_SIZE_ERROR");
asServer("§6.3 PRIORITY may come on any stream and means nothing", (peer) => {
  peer.receive(f.frame(f.PRIORITY, 0, 9, [0, 0, 0, 9, 1]));
  peer.receive(f.headers(1, REQUEST));
  peer.receive(f.frame(f.PRIORITY, 0, 1, [128, 0, 0, 0, 1]));
  peer.expect([`${GET_1} end`]);
});

// ---- §6.4 RST_STREAM ----

fails("§6.4 RST_STREAM has a stream", f.rstStream(0), "PROTOCOL_ERROR");
failsOpen("§6.4 RST_STREAM has four octets", f.frame(f.RST_STREAM, 0, 1, [0, 0, 8]), "FRAME_SIZE_ERROR");
asServer("§6.4 no RST_STREAM answers one; codes that nobody knows are taken (§7)", (peer) => {
  peer.receive(f.headers(1, REQUEST));
  peer.receive(f.rstStream(1, 0x1234));
  peer.expect([`${GET_1} end`, "reset 1 4660"]);
});

// ---- §6.5 SETTINGS ----

fails("§6.5 SETTINGS concern the connection", f.frame(f.SETTINGS, 0, 1), "PROTOCOL_ERROR");
fails("§6.5 SETTINGS come in entries of six octets", f.frame(f.SETTINGS, 0, 0, [0, 3, 0, 0, 1]), "FRAME_SIZE_ERROR");
fails("§6.5 an acknowledgement is empty", f.frame(f.SETTINGS, f.ACK, 0, [0, 3, 0, 0, 1, 0]), "FRAME_SIZE_ERROR");
fails("§6.5.3 what was not sent is not acknowledged", f.frame(f.SETTINGS, f.ACK, 0), "PROTOCOL_ERROR");
fails("§6.5.2 ENABLE_PUSH is 0 or 1", f.settings([2, 2]), "PROTOCOL_ERROR");
fails("§6.5.2 INITIAL_WINDOW_SIZE is at most 2^31-1", f.settings([4, 0x80000000]), "FLOW_CONTROL_ERROR");
fails("§6.5.2 MAX_FRAME_SIZE is at least 2^14", f.settings([5, 16383]), "PROTOCOL_ERROR");
fails("§6.5.2 MAX_FRAME_SIZE is at most 2^24-1", f.settings([5, 16777216]), "PROTOCOL_ERROR");
fails("RFC 8441 §3 ENABLE_CONNECT_PROTOCOL is 0 or 1", f.settings([8, 2]), "PROTOCOL_ERROR");
fails("RFC 8441 §3 and is not taken back", f.settings([8, 1], [8, 0]), "PROTOCOL_ERROR");
fails("RFC 9218 §2.1 NO_RFC7540_PRIORITIES is 0 or 1", f.settings([9, 2]), "PROTOCOL_ERROR");
fails("RFC 9218 §2.1 and does not change later", f.settings([9, 1]), "PROTOCOL_ERROR");

asServer("§6.5.2, §6.5.3 unknown settings are ignored, and each SETTINGS is acknowledged", (peer) => {
  peer.receive(f.settings([2, 1], [0x7777, 7], [5, 16777215], [6, 0], [3, 0], [1, 0]));
  peer.receive(f.settings());
  peer.expect(["settings", "settings"], ["SETTINGS ack", "SETTINGS ack"]);
});

// ---- §6.7 PING ----

fails("§6.7 PING concerns the connection", f.frame(f.PING, 0, 1, new Uint8Array(8)), "PROTOCOL_ERROR");
fails("§6.7 PING has eight octets", f.frame(f.PING, 0, 0, new Uint8Array(7)), "FRAME_SIZE_ERROR");
asServer("§6.7 PING is answered with its octets; an answer is not answered", (peer) => {
  peer.receive(f.frame(f.PING, 0, 0, [255, 0, 1, 2, 3, 4, 5, 6]));
  peer.receive(f.frame(f.PING, f.ACK, 0, new Uint8Array(8)));
  peer.expect(["ping ack"], ["PING ack ff00010203040506"]);
});

// ---- §6.8 GOAWAY ----

fails("§6.8 GOAWAY concerns the connection", f.frame(f.GOAWAY, 0, 1, new Uint8Array(8)), "PROTOCOL_ERROR");
fails("§6.8 GOAWAY has at least eight octets", f.frame(f.GOAWAY, 0, 0, new Uint8Array(7)), "FRAME_SIZE_ERROR");
asServer("§6.8 GOAWAY is told, its debug data passed over", (peer) => {
  peer.receive(f.goaway(0x7fffffff, 0, [...new Uint8Array(5000)]));
  peer.receive(f.goaway(0, 11));
  peer.receive(f.headers(1, REQUEST));
  peer.expect(["goaway 2147483647 NO_ERROR", "goaway 0 ENHANCE_YOUR_CALM", `${GET_1} end`]);
});
asServer("§6.8 the last stream does not rise", (peer) => {
  peer.receive(f.concat(f.goaway(2), f.goaway(4)));
  peer.expect(["goaway 2 NO_ERROR", ...PROTOCOL], protocolError(0));
});

asServer("§6.8 in two steps: streams up to the last are served, those beyond ignored", (peer) => {
  const { codec } = peer.core;
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  codec.h2Goaway(peer.h2, 0x7fffffff, 0);
  peer.flush();
  peer.receive(f.headers(3, POST, f.END_HEADERS));
  codec.h2Goaway(peer.h2, codec.h2LastStream(peer.h2), 0);
  peer.flush();
  peer.receive(f.concat(f.headers(5, POST, f.END_HEADERS), f.data(5, 10), f.rstStream(5), f.data(3, 1, f.END_STREAM)));
  peer.expect(["request 1 POST example.com /", "request 3 POST example.com /", "data 3 1 end"], [
    "GOAWAY 2147483647 NO_ERROR",
    "GOAWAY 3 NO_ERROR",
  ]);
});

// ---- §6.9 WINDOW_UPDATE ----

fails("§6.9 WINDOW_UPDATE has four octets", f.frame(f.WINDOW_UPDATE, 0, 0, [0, 0, 1]), "FRAME_SIZE_ERROR");
fails("§6.9 the connection's window grows by something", f.windowUpdate(0, 0), "PROTOCOL_ERROR");
resets("§6.9 a stream's window grows by something", f.windowUpdate(1, 0), "PROTOCOL_ERROR");
fails("§6.9.1 the connection's window is at most 2^31-1", f.windowUpdate(0, 0x7fffffff), "FLOW_CONTROL_ERROR");
resets("§6.9.1 a stream's window is at most 2^31-1", f.windowUpdate(1, 0x7fffffff), "FLOW_CONTROL_ERROR");
