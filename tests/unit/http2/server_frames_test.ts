// RFC 9113 §3 to §6 where a server is held to what a client is not, by section; frames_test.ts has what both are held to.

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

// ---- §4.3 ----

const cut = f.block(REQUEST);

asServer("§4.3 a block that cannot be decoded is COMPRESSION_ERROR also when nobody wants the stream", (peer) => {
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
for (
  const [name, frame] of Object.entries({
    "DATA": f.data(1, 1),
    "RST_STREAM": f.rstStream(1),
    "WINDOW_UPDATE": f.windowUpdate(1, 1),
    "RST_STREAM of a server's stream": f.rstStream(2),
    "WINDOW_UPDATE of a server's stream": f.windowUpdate(4, 1),
  })
) fails(`§5.1 on an idle stream there is no ${name}`, frame, "PROTOCOL_ERROR");
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

// ---- §6.8 GOAWAY ----

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

asServer("§6.8 of what is beyond the last, tables and the connection's window hear all the same", (peer) => {
  const { codec } = peer.core;
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  codec.h2Goaway(peer.h2, codec.h2LastStream(peer.h2), 0);
  peer.receive(f.frame(f.HEADERS, 0, 3, [...cut, 0x40, 1, 0x78]));
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 3, [1, 0x79]));
  for (let i = 0; i < 40; i++) peer.receive(f.data(3, 16384));
  peer.receive(f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, [0xbe]));
  peer.expect(["request 1 POST example.com /", "trailers 1 end"], [
    "GOAWAY 1 NO_ERROR",
    "WINDOW_UPDATE 0 +524288",
  ]);
  assertEquals(peer.block(1), [["x", "y"]]);
  // neither a leaving that begins anew nor a fault raises the last stream
  codec.h2Goaway(peer.h2, 0x7fffffff, 0);
  peer.flush();
  peer.expect([], ["GOAWAY 1 NO_ERROR"]);
  peer.receive(f.headers(5, REQUEST));
  peer.receive(f.frame(f.PING, 0, 0));
  peer.expect(["connection error FRAME_SIZE_ERROR"], ["GOAWAY 1 FRAME_SIZE_ERROR"]);
});
