// RFC 9113 §5.2, §6.9 and §8 as a server is held to them: flow control, what requests must be made of, and what of them
// goes on in HTTP/1.

import * as abi from "../../../assembly/abi.ts";
import { assert, assertEquals, assertMatch } from "../../support/assert.ts";
import { toText } from "../../support/bytes.ts";
import { asServer, H2Driver, POST, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const MALFORMED = ["stream error 1 PROTOCOL_ERROR"];
const RESET = ["RST_STREAM 1 PROTOCOL_ERROR"];

/** A request that is malformed costs its stream, and nothing of it is passed on (§8.1.1). */
function malformed(name: string, fields: readonly f.Field[]): void {
  asServer(`${name} is malformed`, (peer) => {
    peer.receive(f.headers(1, fields));
    peer.expect(MALFORMED, RESET);
    peer.receive(f.headers(3, REQUEST));
    peer.expect(["request 3 GET example.com / end"]);
  });
}

const replaced = (name: string, value: string): f.Field[] =>
  REQUEST.map((field) => field[0] === name ? [name, value] : field);
const without = (name: string): f.Field[] => REQUEST.filter((field) => field[0] !== name);

// ---- §8.2 ----

malformed("§8.2 a name with capital letters", [...REQUEST, ["X-a", "b"]]);
malformed("§8.2.1 an empty name", [...REQUEST, ["", "b"]]);
for (const char of ["\0", "\x1f", " ", '"', "(", ":", "\x7f", "\x80", "\xff"]) {
  malformed(`§8.2.1 a name with ${JSON.stringify(char)}`, [...REQUEST, [`a${char}b`, "c"]]);
}
for (const char of ["\0", "\n", "\r", "\x01", "\x7f"]) {
  malformed(`§8.2.1 a value with ${JSON.stringify(char)}`, [...REQUEST, ["a", `0123456789${char}bcdefghij`]]);
  malformed(`§8.2.1 a value with ${JSON.stringify(char)} at its end`, [...REQUEST, [
    "a",
    `0123456789abcdefghij${char}`,
  ]]);
  malformed(`§8.2.1 a path with ${JSON.stringify(char)}`, replaced(":path", `/a${char}b`));
}
for (const value of [" a", "a ", "\ta", "a\t", " "]) {
  malformed(`§8.2.1 the value ${JSON.stringify(value)}`, [...REQUEST, ["a", value]]);
}
for (const name of ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]) {
  malformed(`§8.2.2 the field ${name}`, [...REQUEST, [name, "close"]]);
}
malformed("§8.2.2 TE with anything but trailers", [...REQUEST, ["te", "trailers, deflate"]]);

asServer("§8.2.2 TE: trailers is well-formed", (peer) => {
  peer.receive(f.headers(1, [...REQUEST, ["te", "trailers"], ["a", "b\tc \x80\xff"], ["empty", ""]]));
  peer.expect(["request 1 GET example.com / end"]);
});

// ---- §8.3 ----

malformed("§8.3 a pseudo-header field behind a field", [...without(":path"), ["a", "b"], [":path", "/"]]);
malformed("§8.3 a pseudo-header field that nobody knows", [...REQUEST, [":foo", "b"]]);
malformed("§8.3.2 the status of an answer", [...REQUEST, [":status", "200"]]);
for (const [name, value] of REQUEST) {
  malformed(`§8.3 ${name} twice`, [...REQUEST, [name, value]]);
  if (name !== ":authority") malformed(`§8.3.1 no ${name}`, without(name));
}
malformed("§8.3.1 an empty :path", replaced(":path", ""));
malformed("§8.3.1 a :path without a slash", replaced(":path", "a"));
malformed("§8.3.1 an asterisk but for OPTIONS", replaced(":path", "*"));
malformed("§8.3.1 an empty :method", replaced(":method", ""));
malformed("§8.3.1 a :method that is no token", replaced(":method", "G T"));
malformed("§8.3.1 Host beside another :authority", [...REQUEST, ["host", "example.org"]]);
malformed("§8.3.1 Host beside another port", [...REQUEST, ["host", "example.com:444"]]);
malformed("§8.3.1 Host with a port that only adds up to the default", [...REQUEST, ["host", "example.com:43="]]);
malformed("§8.3 two Hosts", [...without(":authority"), ["host", "example.com"], ["host", "example.com"]]);
malformed("§8.5 CONNECT with :path", [[":method", "CONNECT"], [":path", "/"], [":authority", "a:1"]]);
malformed("§8.5 CONNECT with :scheme", [[":method", "CONNECT"], [":scheme", "https"], [":authority", "a:1"]]);
malformed("§8.5 CONNECT without :authority", [[":method", "CONNECT"]]);
malformed("RFC 8441 §4 :protocol that was not offered", [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  ...REQUEST.slice(1),
]);
malformed("§8.1.1 content-length where nothing follows", [...POST, ["content-length", "5"]]);
malformed("§8.1.1 content-length that is no number", [...REQUEST, ["content-length", "+0"]]);
malformed("§8.1.1 content-length twice", [...REQUEST, ["content-length", "0"], ["content-length", "1"]]);

function refused(name: string, code: number, fields: readonly f.Field[]): void {
  asServer(name, (peer) => {
    peer.receive(f.headers(1, fields, f.END_HEADERS));
    peer.receive(f.data(1, 10, f.END_STREAM));
    peer.expect([`refusal 1 ${code}`, "data 1 10 end"]);
    // it can be answered
    const sent = peer.answer(1, "HTTP/1.1 400 Bad Request\r\n\r\n", true);
    assertEquals(peer.fields(sent), [[":status", "400"]]);
    peer.end(1);
    peer.expect([]);
  });
}

refused("a method that HTTP/1 does not take is 501", abi.METHOD_UNKNOWN, replaced(":method", "FOO"));
refused("a host that is none is 400", abi.BAD_REQUEST, replaced(":authority", "a@b"));
refused("no host at all is 400", abi.BAD_REQUEST, without(":authority"));
refused("a target that is none is 400", abi.BAD_REQUEST, replaced(":path", "/a b"));
refused("another scheme is 400", abi.BAD_REQUEST, replaced(":scheme", "ftp"));
refused("a long target is 414", abi.URI_TOO_LONG, replaced(":path", "/" + "a".repeat(8192)));
refused("§10.5.1 a list that is too large is 431", abi.HEADER_TOO_LARGE, [...REQUEST, ["a", "b".repeat(12288)]]);
refused("too many fields are 431", abi.HEADER_TOO_LARGE, [
  ...REQUEST,
  ...Array.from({ length: 100 }, () => ["a", ""] as const),
]);

asServer("§8.3.1 Host alone names the host; beside :authority the default port goes without saying", (peer) => {
  peer.receive(f.headers(1, [...without(":authority"), ["host", "example.com"]]));
  peer.receive(f.headers(3, [...REQUEST, ["host", "EXAMPLE.com:443"]]));
  peer.receive(f.headers(5, [[":method", "OPTIONS"], [":scheme", "http"], [":path", "*"], [":authority", "a"]]));
  peer.receive(f.headers(7, [[":method", "CONNECT"], [":authority", "a:443"]], f.END_HEADERS));
  peer.expect([
    "request 1 GET example.com / end",
    "request 3 GET example.com / end",
    "request 5 OPTIONS a * end",
    "request 7 CONNECT a:443 a:443",
  ]);
});

for (const flags of [f.END_HEADERS, f.END_HEADERS | f.END_STREAM]) {
  asServer(
    `§8.5 a CONNECT stream has nothing but DATA behind its head: HEADERS${flags & 1 ? " that end it" : ""}`,
    (peer) => {
      peer.receive(f.headers(1, [[":method", "CONNECT"], [":authority", "a:443"]], f.END_HEADERS));
      peer.answer(1, "HTTP/1.1 200 OK\r\n\r\n", false, abi.W_TUNNEL);
      peer.receive(f.concat(f.data(1, 5), f.windowUpdate(1, 5), f.frame(f.PRIORITY, 0, 1, [0, 0, 0, 0, 1])));
      peer.receive(f.headers(1, [["a", "b"]], flags));
      peer.expect(["request 1 CONNECT a:443 a:443", "data 1 5", "window 1", ...MALFORMED], RESET);
    },
  );
}

// ---- §8.1 ----

asServer("§8.1 trailers end a request", (peer) => {
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  peer.receive(f.data(1, 3));
  peer.receive(f.headers(1, [["grpc-status", "0"]]));
  peer.expect(["request 1 POST example.com /", "data 1 3", "trailers 1 end"]);
  assertEquals(peer.block(1), [["grpc-status", "0"]]);
});

for (
  const [name, trailers, flags] of [
    ["that do not end the stream", [["a", "b"]], f.END_HEADERS],
    ["with a pseudo-header field", [[":path", "/"]], f.END_HEADERS | f.END_STREAM],
    ["with a field of the connection", [["connection", "close"]], f.END_HEADERS | f.END_STREAM],
  ] as [string, f.Field[], number][]
) {
  asServer(`§8.1 trailers ${name} are malformed`, (peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.receive(f.headers(1, trailers, flags));
    peer.expect(["request 1 POST example.com /", ...MALFORMED], RESET);
  });
}

for (const [name, length, ends] of [["more", 6, 0], ["less", 4, f.END_STREAM]] as const) {
  asServer(`§8.1.1 ${name} DATA than content-length is malformed`, (peer) => {
    peer.receive(f.headers(1, [...POST, ["content-length", "5"]], f.END_HEADERS));
    peer.receive(f.data(1, length, ends));
    peer.receive(f.headers(3, REQUEST));
    peer.expect(["request 1 POST example.com /", ...MALFORMED, "request 3 GET example.com / end"], RESET);
  });
}

asServer("§8.1.1 trailers before all of content-length are malformed", (peer) => {
  peer.receive(f.headers(1, [...POST, ["content-length", "5"]], f.END_HEADERS));
  peer.receive(f.data(1, 4));
  peer.receive(f.headers(1, [["a", "b"]]));
  peer.expect(["request 1 POST example.com /", "data 1 4", ...MALFORMED], RESET);
});

asServer("§8.1.1 DATA that makes content-length, padding not counted", (peer) => {
  peer.receive(f.headers(1, [...POST, ["content-length", "5"]], f.END_HEADERS));
  peer.receive(f.concat(f.frame(f.DATA, f.PADDED, 1, [2, 1, 2, 3, 0, 0]), f.data(1, 2, f.END_STREAM)));
  peer.expect(["request 1 POST example.com /", "data 1 5 end"]);
});

// ---- §5.2, §6.9 ----

Deno.test("h2 server: §6.9.1 more than the connection's window is a connection error", () => {
  const peer = new H2Driver();
  peer.setProfile(abi.P_CONNECTION_WINDOW, 65535);
  peer.begin(abi.H2_ROLE_SERVER);
  peer.preface();
  peer.receive(f.concat(f.MAGIC, f.settings(), f.headers(1, POST, f.END_HEADERS), f.headers(3, POST, f.END_HEADERS)));
  for (const stream of [1, 3, 1]) peer.receive(f.data(stream, 16384));
  peer.receive(f.data(3, 16383));
  peer.events = [];
  peer.replies = [];
  peer.receive(f.data(1, 1));
  peer.expect(["connection error FLOW_CONTROL_ERROR"], ["GOAWAY 3 FLOW_CONTROL_ERROR"]);
});

asServer("§6.9 what is used up is announced again, by halves of the window", (peer) => {
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  for (let i = 0; i < 3; i++) peer.receive(f.data(1, 16384));
  peer.consume(1, 32766);
  peer.expect(["request 1 POST example.com /", "data 1 49152"]);
  peer.consume(1, 1);
  peer.expect([], ["WINDOW_UPDATE 1 +32767"]);
  peer.receive(f.data(1, 10, f.END_STREAM));
  peer.consume(1, 1 << 30);
  peer.expect(["data 1 10 end"]);
});

asServer("§6.9.1 padding is announced again at once, since nobody uses it up", (peer) => {
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  for (let i = 0; i < 130; i++) peer.receive(f.frame(f.DATA, f.PADDED, 1, [255, 7, ...new Uint8Array(255)]));
  peer.expect(["request 1 POST example.com /", "data 1 130"], ["WINDOW_UPDATE 1 +32768"]);
});

Deno.test("h2 server: §6.9.1 padding is announced again for the connection, too", () => {
  const peer = new H2Driver();
  peer.setProfile(abi.P_CONNECTION_WINDOW, 65535);
  peer.begin(abi.H2_ROLE_SERVER);
  peer.preface();
  peer.receive(f.concat(f.MAGIC, f.settings(), f.headers(1, POST, f.END_HEADERS)));
  for (let i = 0; i < 130; i++) peer.receive(f.frame(f.DATA, f.PADDED, 1, [255, 7, ...new Uint8Array(255)]));
  peer.expect(["settings", "request 1 POST example.com /", "data 1 130"], [
    "SETTINGS ack",
    "WINDOW_UPDATE 1 +32768",
    "WINDOW_UPDATE 0 +32768",
  ]);
});

asServer("§6.9 DATA of streams that are gone counts for the connection, which stays usable", (peer) => {
  for (let id = 1; id < 200; id += 2) {
    peer.receive(f.headers(id, POST, f.END_HEADERS));
    peer.receive(f.data(id, 16384));
    peer.reset(id);
    peer.receive(f.data(id, 16384));
  }
  const updates = peer.replies.filter((reply) => reply.startsWith("WINDOW_UPDATE 0 +")).map((reply) =>
    Number(reply.split("+")[1])
  );
  assertEquals(peer.failed, false);
  const sum = updates.reduce((total, bytes) => total + bytes, 0);
  assert(sum > 200 * 16384 - 524288 && sum <= 200 * 16384, `${sum} bytes were announced`);
});

asServer("§6.9 DATA of a message that is malformed, or behind its end, counts for the connection", (peer) => {
  for (let id = 1; id < 81; id += 4) {
    peer.receive(f.headers(id, [...POST, ["content-length", "1"]], f.END_HEADERS));
    peer.receive(f.data(id, 16384));
    peer.receive(f.headers(id + 2, REQUEST));
    peer.receive(f.data(id + 2, 16384));
  }
  assertEquals(peer.replies.filter((reply) => /PROTOCOL_ERROR|STREAM_CLOSED/.test(reply)).length, 40);
  assertEquals(peer.replies.filter((reply) => reply.startsWith("WINDOW")), ["WINDOW_UPDATE 0 +524288"]);
});

// ---- what goes on in HTTP/1 ----

function written(peer: H2Driver, id: number): string {
  const { codec, u8, textAt } = peer.core;
  const length = codec.writeRequestHead(peer.streams.get(id)!, 8443, 1, textAt + abi.TEXT_REQUEST_IDS, 0, 0);
  return toText(u8.subarray(codec.headScratchAt(), codec.headScratchAt() + length));
}

const ADDED =
  "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: example.com\r\nX-Forwarded-Port: 8443\r\n" +
  "X-Request-Id: 00000000000000000000000000000000\r\nVia: 2.0 kakehi\r\n\r\n";

asServer("a request goes on in HTTP/1, cookies joined, what concerns the connection left out", (peer) => {
  peer.receive(f.headers(1, [
    ...REQUEST,
    ["cookie", "a=1"],
    ["accept", "*/*"],
    ["cookie", "b=2"],
    ["te", "trailers"],
    ["cookie", "c=3; d=4"],
    ["x-forwarded-for", "10.0.0.1"],
    ["content_length", "5"],
  ]));
  assertEquals(
    written(peer, 1),
    `GET / HTTP/1.1\r\nHost: example.com\r\ncookie: a=1; b=2; c=3; d=4\r\naccept: */*\r\n${ADDED}`,
  );
});

asServer("§8.3.1 Host goes on as :authority says it, whatever the client's own", (peer) => {
  for (const own of [["host", "EXAMPLE.com:443"], ["host", "example.com"]] as f.Field[]) {
    const id = peer.core.codec.h2LastStream(peer.h2) + 1 | 1;
    peer.receive(f.headers(id, [...REQUEST, own]));
    assertEquals(written(peer, id), `GET / HTTP/1.1\r\nHost: example.com\r\n${ADDED}`);
  }
});

asServer("a body of unknown length goes on in chunks, one of known length as it is, none of POST as none", (peer) => {
  peer.receive(f.headers(1, POST, f.END_HEADERS));
  assertEquals(peer.core.result[abi.R_BODY_MODE], abi.BODY_STREAM);
  assertEquals(written(peer, 1), `POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n${ADDED}`);
  peer.receive(f.headers(3, [...POST, ["content-length", "7"]], f.END_HEADERS));
  assertEquals([peer.core.result[abi.R_BODY_MODE], peer.core.codec.requestContentLength()], [abi.BODY_LENGTH, 7]);
  assertEquals(written(peer, 3), `POST / HTTP/1.1\r\nHost: example.com\r\ncontent-length: 7\r\n${ADDED}`);
  peer.receive(f.headers(5, POST));
  assertEquals(written(peer, 5), `POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n${ADDED}`);
});

Deno.test("h2 server: RFC 8441 WebSocket goes on as a GET that asks for an upgrade; other protocols are 501", () => {
  const peer = new H2Driver();
  peer.setProfile(abi.P_CONNECT_PROTOCOL, 1);
  peer.begin(abi.H2_ROLE_SERVER);
  assertMatch(f.frames(peer.preface()).map(f.inWords)[0]!, / 8=1$/);
  peer.receive(f.concat(f.MAGIC, f.settings()));
  const connect = (
    protocol: string,
  ): f.Field[] => [[":method", "CONNECT"], [":protocol", protocol], ...REQUEST.slice(1)];
  peer.receive(f.headers(1, [...connect("websocket"), ["sec-websocket-version", "13"]], f.END_HEADERS));
  assertEquals(
    peer.core.result[abi.R_FLAGS]! & (abi.F_WEBSOCKET | abi.F_UPGRADE | abi.F_CONNECT),
    abi.F_WEBSOCKET | abi.F_UPGRADE,
  );
  assertEquals(
    written(peer, 1),
    "GET / HTTP/1.1\r\nHost: example.com\r\nsec-websocket-version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${ADDED}`,
  );
  peer.receive(f.headers(3, connect("other"), f.END_HEADERS));
  peer.expect(["settings", "request 1 GET example.com /", `refusal 3 ${abi.METHOD_UNKNOWN}`], ["SETTINGS ack"]);
  // §4: with all of :scheme, :path and :authority, once, and by CONNECT alone
  const wrong = [
    ...[":scheme", ":path", ":authority"].map((name) => connect("websocket").filter((field) => field[0] !== name)),
    [...connect("websocket"), [":protocol", "websocket"]] as f.Field[],
    connect("websocket").map((field) => field[0] === ":method" ? [":method", "GET"] as const : field),
    [[":method", "CONNECT"], [":protocol", "websocket"], [":scheme", "https"], [":path", ""], [
      ":authority",
      "a",
    ]] as f.Field[],
  ];
  wrong.forEach((fields, i) => peer.receive(f.headers(5 + 2 * i, fields, f.END_HEADERS)));
  peer.expect(
    wrong.map((_, i) => `stream error ${5 + 2 * i} PROTOCOL_ERROR`),
    wrong.map((_, i) => `RST_STREAM ${5 + 2 * i} PROTOCOL_ERROR`),
  );
  // RFC 9113 §8.5
  peer.receive(f.headers(1, [["a", "b"]]));
  peer.expect(MALFORMED, RESET);
});

// ---- answers ----

asServer("an answer of HTTP/1 goes out with small names, without what concerns the connection", (peer) => {
  peer.receive(f.headers(1, REQUEST));
  const sent = peer.answer(
    1,
    "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\nConnection: X-A, close\r\nX-A: 1\r\nKeep-Alive: 5\r\n" +
      "Upgrade: h2c\r\nContent-Length: 5\r\n\r\n",
  );
  assertEquals(peer.fields(sent), [[":status", "404"], ["content-type", "text/plain"], ["set-cookie", "a=b"], [
    "content-length",
    "5",
  ]]);
  assertEquals(f.frames(sent).map(({ type, flags }) => [type, flags]), [[f.HEADERS, f.END_HEADERS]]);
  assertEquals(peer.answer(1, "HTTP/1.1 200 OK\r\n\r\n", true).length > 0, true);
  assertEquals(peer.answer(1, "HTTP/1.1 200 OK\r\n\r\n", true).length, 0);
});

asServer("§8.1 interim answers come before the final one", (peer) => {
  peer.receive(f.headers(1, REQUEST));
  assertEquals(peer.fields(peer.answer(1, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")), [[":status", "103"], [
    "link",
    "</a>",
  ]]);
  assertEquals(peer.fields(peer.answer(1, "HTTP/1.1 204 No Content\r\n\r\n", true)), [[":status", "204"]]);
});

asServer("§4.3, §6.10 a head that is larger than a frame goes out in several", (peer) => {
  peer.receive(f.headers(1, REQUEST));
  // HTTP/1's limit is below a frame's size, so most of it is what Huffman code makes longer: nothing. It stays one frame.
  const value = "\xff".repeat(12000);
  const sent = peer.answer(1, `HTTP/1.1 200 OK\r\nA: ${value}\r\n\r\n`);
  assertEquals(peer.fields(sent)[1]!.map((text) => text.length), [1, 12000]);
});

Deno.test("h2 server: §6.10 a head that is larger than a frame goes out as HEADERS and CONTINUATION", () => {
  const peer = new H2Driver({ bufferBytes: 65536, headerBytesMax: 49152, targetBytesMax: 8192 });
  peer.begin(abi.H2_ROLE_SERVER);
  peer.preface();
  peer.receive(f.concat(f.MAGIC, f.settings(), f.headers(1, REQUEST)));
  const values = ["\x7e\x80".repeat(10000), "\x80".repeat(20000)];
  const sent = peer.answer(1, `HTTP/1.1 200 OK\r\nA: ${values[0]}\r\nB: ${values[1]}\r\n\r\n`, true);
  assertEquals(f.frames(sent).map(({ type, flags, payload }) => [type, flags, payload.length === 16384]), [
    [f.HEADERS, f.END_STREAM, true],
    [f.CONTINUATION, 0, true],
    [f.CONTINUATION, f.END_HEADERS, false],
  ]);
  assertEquals(peer.fields(sent).map(([name]) => name), [":status", "a", "b"]);
});

asServer("trailers of HTTP/1 go out as HEADERS that end the stream", (peer) => {
  const { codec, u8 } = peer.core;
  peer.receive(f.headers(1, REQUEST));
  peer.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
  // those of another stream stand for them: the block is the same
  peer.receive(f.headers(3, POST, f.END_HEADERS));
  peer.receive(f.headers(3, [["grpc-status", "0"], ["content-length", "4"], ["x-b", "c"]]));
  const to = codec.headScratchAt();
  const length = codec.h2PutTrailers(peer.h2, peer.streams.get(1)!, peer.streams.get(3)!, to);
  const sent = u8.slice(to, to + length);
  assertEquals(f.frames(sent)[0]!.flags, f.END_HEADERS | f.END_STREAM);
  assertEquals(peer.fields(sent), [["grpc-status", "0"], ["x-b", "c"]]);
});
