// RFC 9113 as a client is held to it, by section: what a server may not do to us, and what we send.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { toText } from "../../support/bytes.ts";
import { asClient, CUTTINGS, H2Driver } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const GET = "GET /a?b HTTP/1.1\r\nHost: example.com\r\nX-Yes: 1\r\nConnection: X-No\r\nX-No: 2\r\n\r\n";
const HEAD = "HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const OK: readonly f.Field[] = [[":status", "200"]];

Deno.test("h2 client: §3.4 our preface is the magic, SETTINGS without push, and the connection's window", () => {
  const peer = new H2Driver();
  peer.begin(abi.H2_ROLE_CLIENT);
  const bytes = peer.preface();
  assertEquals(toText(bytes.subarray(0, 24)), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  assertEquals(f.frames(bytes.slice(24)).map(f.inWords), ["SETTINGS 4=65535 6=12288 2=0", "WINDOW_UPDATE 0 +983041"]);
});

Deno.test("h2 client: §3.4 a server begins with SETTINGS", () => {
  const peer = new H2Driver();
  for (const cutting of CUTTINGS) {
    peer.begin(abi.H2_ROLE_CLIENT, cutting);
    peer.preface();
    peer.receive(f.frame(f.PING, 0, 0, new Uint8Array(8)));
    peer.expect(["connection error PROTOCOL_ERROR"], ["GOAWAY 0 PROTOCOL_ERROR"]);
  }
});

asClient("§8.3.1 a request goes out with pseudo-header fields first, small names, and what the proxy adds", (peer) => {
  const { id, sent } = peer.ask(GET);
  assertEquals(id, 1);
  assertEquals(f.frames(sent).map(({ type, flags, stream }) => [type, flags, stream]), [[
    f.HEADERS,
    f.END_HEADERS | f.END_STREAM,
    1,
  ]]);
  assertEquals(peer.fields(sent), [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/a?b"],
    [":authority", "example.com"],
    ["x-yes", "1"],
    ["x-forwarded-for", "192.0.2.1"],
    ["x-forwarded-proto", "http"],
    ["x-forwarded-host", "example.com"],
    ["x-forwarded-port", "80"],
    ["x-request-id", "00000000000000000000000000000000"],
    ["via", "1.1 kakehi"],
  ]);
});

asClient("§8.2.2, §8.2.3 TE says trailers alone, cookies are cut", (peer) => {
  const { sent } = peer.ask(
    "GET http://a?q HTTP/1.1\r\nHost: a\r\nTE: gzip;q=1, trailers\r\nConnection: TE\r\nCookie: a=1; b=2;c; d=\r\n\r\n",
  );
  assertEquals(peer.fields(sent).slice(1, 8), [
    [":scheme", "https"],
    [":path", "/?q"],
    [":authority", "a"],
    ["cookie", "a=1"],
    ["cookie", "b=2;c"],
    ["cookie", "d="],
    ["te", "trailers"],
  ]);
});

for (
  const [te, goesOn] of [
    ["TE: trailers", true],
    ["te: gzip , Trailers", true],
    ["TE: trailers\r\nTE: trailers, deflate", true],
    ["TE: gzip", false],
    ["TE: no-trailers", false],
    ["TE: trailersome", false],
    ["TE: trailers;q=1", false],
    ["TE:", false],
  ] as const
) {
  asClient(`§8.2.2 of ${JSON.stringify(te)} ${goesOn ? "trailers go on, once" : "nothing goes on"}`, (peer) => {
    const { sent } = peer.ask(`GET / HTTP/1.1\r\nHost: a\r\n${te}\r\nConnection: TE\r\n\r\n`);
    assertEquals(peer.fields(sent).filter(([name]) => name === "te"), goesOn ? [["te", "trailers"]] : []);
  });
}

asClient("§8.2, §8.2.2 no field of the connection goes out, and no name with capital letters", (peer) => {
  const fields =
    "Connection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nX-Hop: 1\r\nX-END: A\r\n";
  const upgrade = "Connection: Upgrade\r\nUpgrade: other\r\n";
  const { sent } = peer.ask(`GET / HTTP/1.1\r\nHost: a\r\n${fields}${upgrade}\r\n`);
  assertEquals(peer.fields(sent).slice(4, 6), [["x-end", "A"], ["x-forwarded-for", "192.0.2.1"]]);
  const { sent: chunked } = peer.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false);
  assertEquals(peer.fields(chunked).filter(([name]) => name === "transfer-encoding"), []);
});

asClient("§8.3.1 a request that names no host goes out without :authority; :path is never empty", (peer) => {
  const line = (text: string) => peer.fields(peer.ask(text).sent).filter(([name]) => name.startsWith(":"));
  assertEquals(line("GET /a HTTP/1.0\r\n\r\n"), [[":method", "GET"], [":scheme", "https"], [":path", "/a"]]);
  const authority: f.Field = [":authority", "a"];
  const get: f.Field[] = [[":method", "GET"], [":scheme", "https"], [":path", "/"], authority];
  assertEquals(line("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"), get);
  const options: f.Field[] = [[":method", "OPTIONS"], [":scheme", "https"], [":path", "*"], authority];
  assertEquals(line("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), options);
  assertEquals(line("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), options);
});

asClient("§8.5 CONNECT has no scheme and no path", (peer) => {
  const { sent } = peer.ask("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", false);
  assertEquals(peer.fields(sent).slice(0, 2), [[":method", "CONNECT"], [":authority", "a:443"]]);
  peer.receive(f.headers(1, OK, f.END_HEADERS));
  assertEquals(peer.core.result[abi.R_FLAGS]! & abi.F_UPGRADE, abi.F_UPGRADE);
  peer.receive(f.data(1, 9, f.END_STREAM));
  peer.expect(["response 1 200", "data 1 9 end"]);
});

asClient("§5.1.1 our streams have odd numbers that rise", (peer) => {
  assertEquals([1, 2, 3].map(() => peer.ask(GET).id), [1, 3, 5]);
});

asClient("§5.1.2 no more streams than the server takes", (peer) => {
  assertEquals(peer.core.codec.h2Openable(peer.h2), 2);
  assertEquals([peer.ask(GET).id, peer.ask(GET).id, peer.ask(GET).id], [1, 3, 0]);
  peer.receive(f.headers(1, OK));
  peer.end(1);
  assertEquals(peer.ask(GET).id, 5);
}, f.settings([3, 2]));

asClient("§5.1.2 a server may take fewer than are open: those go on, no other begins", (peer) => {
  for (let i = 0; i < 3; i++) peer.ask(GET);
  peer.receive(f.settings([3, 1]));
  assertEquals([peer.core.codec.h2Openable(peer.h2), peer.ask(GET).id], [0, 0]);
  for (const id of [1, 3]) {
    peer.receive(f.headers(id, OK));
    peer.end(id);
    assertEquals(peer.ask(GET).id, 0);
  }
  peer.receive(f.headers(5, OK));
  peer.end(5);
  assertEquals(peer.ask(GET).id, 7);
  peer.receive(f.settings([3, 0]));
  peer.receive(f.headers(7, OK));
  peer.end(7);
  assertEquals(peer.ask(GET).id, 0);
});

Deno.test("h2 client: §6.9.2 before the server's SETTINGS a stream has 65535 octets, and no more", () => {
  const peer = new H2Driver();
  peer.begin(abi.H2_ROLE_CLIENT);
  peer.preface();
  peer.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", false);
  for (let i = 0; i < 3; i++) assertEquals(peer.putData(1, 16384), 9);
  assertEquals([peer.putData(1, 16384), peer.putData(1, 16383), peer.sendable(1)], [0, 9, 0]);
  // what was sent counts when they come
  peer.receive(f.settings([4, 65536]));
  assertEquals([peer.core.codec.h2Window(peer.h2), peer.sendable(1)], [0, 0]);
  peer.receive(f.windowUpdate(0, 100));
  assertEquals(peer.sendable(1), 1);
});

Deno.test("h2 client: §4.2, §6.10 a head that is larger than a frame goes out as HEADERS and CONTINUATION", () => {
  const peer = new H2Driver({ bufferBytes: 65536, headerBytesMax: 49152, targetBytesMax: 8192 });
  peer.begin(abi.H2_ROLE_CLIENT);
  peer.preface();
  const values = ["\x7e\x80".repeat(10000), "\x80".repeat(20000)];
  const { sent } = peer.ask(`GET / HTTP/1.1\r\nHost: a\r\nA: ${values[0]}\r\nB: ${values[1]}\r\n\r\n`);
  assertEquals(
    f.frames(sent).map(({ type, flags, stream, payload }) => [type, flags, stream, payload.length === 16384]),
    [
      [f.HEADERS, f.END_STREAM, 1, true],
      [f.CONTINUATION, 0, 1, true],
      [f.CONTINUATION, f.END_HEADERS, 1, false],
    ],
  );
  assertEquals(peer.fields(sent).slice(4, 6).map(([name, value]) => [name, value.length]), [["a", 20000], [
    "b",
    20000,
  ]]);
});

asClient("§8.1 interim answers, an answer, trailers", (peer) => {
  peer.ask(GET);
  peer.receive(f.concat(
    f.headers(1, [[":status", "100"]], f.END_HEADERS),
    f.headers(1, [[":status", "103"], ["link", "</a>"]], f.END_HEADERS),
    f.headers(1, [...OK, ["content-length", "4"]], f.END_HEADERS),
    f.data(1, 4),
    f.headers(1, [["grpc-status", "0"]]),
  ));
  peer.expect(["response 1 100", "response 1 103", "response 1 200", "data 1 4", "trailers 1 end"]);
});

asClient("§8.1 an answer goes on in HTTP/1", (peer) => {
  peer.ask(GET);
  peer.receive(
    f.headers(1, [...OK, ["content-type", "a/b"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]], f.END_HEADERS),
  );
  const { codec, result, u8 } = peer.core;
  assertEquals([result[abi.R_STATUS], result[abi.R_BODY_MODE]], [200, abi.BODY_STREAM]);
  const length = codec.writeResponseHead(peer.streams.get(1)!, abi.W_CHUNKED, 0, 0);
  assertEquals(
    toText(u8.subarray(codec.headScratchAt(), codec.headScratchAt() + length)),
    "HTTP/1.1 200 OK\r\ncontent-type: a/b\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
});

function malformed(name: string, bytes: Uint8Array, ask = GET): void {
  asClient(`${name} is malformed`, (peer) => {
    peer.ask(ask);
    peer.receive(bytes);
    peer.expect(["stream error 1 PROTOCOL_ERROR"], ["RST_STREAM 1 PROTOCOL_ERROR"]);
    assertEquals(peer.ask(GET).id, 3);
  });
}

malformed("§8.3.2 no :status", f.headers(1, [["a", "b"]]));
malformed("§8.3.2 nothing", f.headers(1, []));
malformed("§8.3.2 :status twice", f.headers(1, [...OK, ...OK]));
malformed("§8.3.2 :status behind a field", f.headers(1, [["a", "b"], ...OK]));
for (const status of ["", "20", "2000", "abc", "099", "600", "+20"]) {
  malformed(`§8.3.2 :status ${status}`, f.headers(1, [[":status", status]]));
}
malformed("§8.3 a request's pseudo-header field", f.headers(1, [...OK, [":path", "/"]]));
malformed("§8.2.2 a field of the connection", f.headers(1, [...OK, ["transfer-encoding", "chunked"]]));
malformed("§8.2 capital letters", f.headers(1, [...OK, ["A", "b"]]));
malformed("§8.6 101", f.headers(1, [[":status", "101"]], f.END_HEADERS));
malformed("§8.1 an interim answer that ends the stream", f.headers(1, [[":status", "103"]]));
malformed("§8.1.1 content-length and nothing", f.headers(1, [...OK, ["content-length", "5"]]));
for (const value of ["", "-1", "+0", "1.5", "0x1", "1 2", "18446744073709551616"]) {
  malformed(`§8.1.1 content-length ${JSON.stringify(value)}`, f.headers(1, [...OK, ["content-length", value]]));
}
malformed("§8.1.1 two lengths", f.headers(1, [...OK, ["content-length", "1"], ["content-length", "2"]], f.END_HEADERS));
malformed("§8.1 content before the head", f.data(1, 4));

for (
  const [name, text, fields] of [
    ["HEAD", HEAD, [...OK, ["content-length", "5"]]],
    ["204", GET, [[":status", "204"]]],
    ["304", GET, [[":status", "304"], ["content-length", "5"]]],
  ] as [string, string, f.Field[]][]
) {
  asClient(`§8.1.1 content-length of an answer to ${name} announces nothing, and nothing follows`, (peer) => {
    peer.ask(text);
    peer.receive(f.headers(1, fields));
    peer.ask(text);
    peer.receive(f.headers(3, fields, f.END_HEADERS));
    peer.receive(f.data(3, 0, f.END_STREAM));
    peer.ask(text);
    peer.receive(f.headers(5, fields, f.END_HEADERS));
    peer.receive(f.data(5, 5, f.END_STREAM));
    const status = fields[0]![1];
    peer.expect(
      [
        `response 1 ${status} end`,
        `response 3 ${status}`,
        "end 3",
        `response 5 ${status}`,
        "stream error 5 PROTOCOL_ERROR",
      ],
      ["RST_STREAM 5 PROTOCOL_ERROR"],
    );
  });
}

for (
  const [name, bytes, code] of [
    ["§8.4 a push", f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, [0, 0, 0, 2]), "PROTOCOL_ERROR"],
    ["§5.1.1 a stream of the server's", f.headers(2, OK), "PROTOCOL_ERROR"],
    ["§5.1 an answer to what was not asked", f.headers(3, OK), "PROTOCOL_ERROR"],
    ["§6.5.2 ENABLE_PUSH 1", f.settings([2, 1]), "PROTOCOL_ERROR"],
    ["RFC 9218 §7.1 PRIORITY_UPDATE", f.frame(f.PRIORITY_UPDATE, 0, 0, [0, 0, 0, 1, 0x69]), "PROTOCOL_ERROR"],
  ] as [string, Uint8Array, string][]
) {
  asClient(`${name} is a connection error`, (peer) => {
    peer.ask(GET);
    peer.receive(bytes);
    peer.expect([`connection error ${code}`], [`GOAWAY 0 ${code}`]);
  });
}

asClient("§6.8 after GOAWAY no stream is opened; those up to the last go on", (peer) => {
  peer.ask(GET);
  peer.ask(GET);
  peer.receive(f.goaway(1));
  assertEquals([peer.core.codec.h2Openable(peer.h2), peer.ask(GET).id], [0, 0]);
  peer.receive(f.headers(1, OK));
  peer.expect(["goaway 1 NO_ERROR", "response 1 200 end"]);
});

asClient("§6.8 GOAWAY without a last stream, which comes first of two, opens no stream either", (peer) => {
  peer.ask(GET);
  peer.receive(f.goaway(0x7fffffff));
  assertEquals([peer.core.codec.h2Openable(peer.h2), peer.ask(GET).id], [0, 0]);
  peer.receive(f.goaway(1));
  peer.receive(f.headers(1, OK));
  peer.expect(["goaway 2147483647 NO_ERROR", "goaway 1 NO_ERROR", "response 1 200 end"]);
});

asClient("§6.5.2 a server may say ENABLE_PUSH 0", (peer) => {
  peer.receive(f.settings([2, 0]));
  peer.expect(["settings"], ["SETTINGS ack"]);
});

/** What a tunnel is made of (§8.5, RFC 8441 §5): nothing but DATA. */
function tunnels(name: string, ask: string, status: number, settings = f.settings()): void {
  for (
    const [kind, bytes] of Object.entries({ HEADERS: f.headers(1, [["a", "b"]]), "another head": f.headers(1, OK, 4) })
  ) {
    asClient(`§8.5 in a tunnel, ${name}, ${kind} is a stream error`, (peer) => {
      peer.ask(ask, false);
      peer.receive(f.headers(1, OK, f.END_HEADERS));
      peer.receive(f.data(1, 5));
      peer.receive(f.concat(f.windowUpdate(1, 5), f.frame(f.PRIORITY, 0, 1, [0, 0, 0, 0, 1])));
      peer.receive(bytes);
      peer.expect([`response 1 ${status}`, "data 1 5", "window 1", "stream error 1 PROTOCOL_ERROR"], [
        "RST_STREAM 1 PROTOCOL_ERROR",
      ]);
    }, settings);
  }
}

const UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
tunnels("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 200);
tunnels(
  "a WebSocket",
  `GET / HTTP/1.1\r\nHost: a\r\n${UPGRADE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  101,
  f.settings([8, 1]),
);

asClient("§8.5 CONNECT that is refused has an answer like others, with trailers", (peer) => {
  peer.ask("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", false);
  peer.receive(f.headers(1, [[":status", "407"], ["content-length", "3"]], f.END_HEADERS));
  peer.receive(f.concat(f.data(1, 3), f.headers(1, [["a", "b"]])));
  peer.expect(["response 1 407", "data 1 3", "trailers 1 end"]);
});

asClient("§10.5.1 a head that is too large is told, the stream is ours to reset", (peer) => {
  peer.ask(GET);
  peer.receive(f.headers(1, [...OK, ["a", "b".repeat(12288)]], f.END_HEADERS));
  peer.reset(1);
  peer.expect([`refusal 1 ${abi.RESPONSE_HEADER_TOO_LARGE}`], ["RST_STREAM 1 CANCEL"]);
});

asClient("§6.7 our PING is answered", (peer) => {
  assertEquals(peer.core.codec.h2Ping(peer.h2), 1);
  peer.flush();
  peer.receive(f.frame(f.PING, f.ACK, 0, new Uint8Array(8)));
  peer.expect(["ping ack"], ["PING 0000000000000000"]);
});

asClient("§8.1 an answer may be whole before the request is: NO_ERROR lets the rest be", (peer) => {
  peer.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", false);
  peer.receive(f.headers(1, OK));
  peer.receive(f.rstStream(1, 0));
  peer.expect(["response 1 200 end", "reset 1 NO_ERROR"]);
});
