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
    ["te", "trailers"],
    ["cookie", "a=1"],
    ["cookie", "b=2;c"],
    ["cookie", "d="],
  ]);
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
