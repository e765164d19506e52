// The end of a message is the end of its stream (RFC 9113 §8.1), also where Content-Length has told when the content would be
// whole: trailers may come behind it, in both roles. R_END_STREAM, EV_END and EV_TRAILERS say it, and nothing else does.

import { asClient, asServer, type H2Driver, POST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const TRAILERS = f.headers(1, [["grpc-status", "0"], ["content-length", "9"]]);
const MALFORMED = ["RST_STREAM 1 PROTOCOL_ERROR"];

type Script = (peer: H2Driver, begun: string) => void;

/** A message of the peer's with this Content-Length, whose stream goes on behind the head. */
function announced(name: string, length: number, script: Script): void {
  const field: f.Field = ["content-length", String(length)];
  asServer(`${name}, in a request`, (peer) => {
    peer.receive(f.headers(1, [...POST, field], f.END_HEADERS));
    script(peer, "request 1 POST example.com /");
  });
  asClient(`${name}, in an answer`, (peer) => {
    peer.ask(GET);
    peer.receive(f.headers(1, [[":status", "200"], field], f.END_HEADERS));
    script(peer, "response 1 200");
  });
}

announced("trailers behind all of content-length", 7, (peer, begun) => {
  peer.receive(f.data(1, 3));
  peer.receive(f.data(1, 4));
  peer.expect([begun, "data 1 7"]);
  peer.receive(TRAILERS);
  peer.expect(["trailers 1 end"]);
});

announced("the end behind all of content-length", 7, (peer, begun) => {
  peer.receive(f.data(1, 7));
  peer.expect([begun, "data 1 7"]);
  peer.receive(f.data(1, 0));
  peer.receive(f.data(1, 0, f.END_STREAM));
  peer.expect(["end 1"]);
});

announced("all of content-length and the end in one, padded", 7, (peer, begun) => {
  peer.receive(f.frame(f.DATA, f.PADDED | f.END_STREAM, 1, [3, ...new Uint8Array(7 + 3)]));
  peer.expect([begun, "data 1 7 end"]);
});

announced("trailers behind a content-length of 0", 0, (peer, begun) => {
  peer.receive(TRAILERS);
  peer.expect([begun, "trailers 1 end"]);
});

announced("the end behind a content-length of 0", 0, (peer, begun) => {
  peer.receive(f.data(1, 0, f.END_STREAM));
  peer.expect([begun, "end 1"]);
});

announced("trailers before all of content-length are malformed", 7, (peer, begun) => {
  peer.receive(f.data(1, 6));
  peer.receive(TRAILERS);
  peer.expect([begun, "data 1 6", "stream error 1 PROTOCOL_ERROR"], MALFORMED);
});

announced("a byte behind all of content-length is malformed", 7, (peer, begun) => {
  peer.receive(f.data(1, 7));
  peer.receive(f.data(1, 1));
  peer.expect([begun, "data 1 7", "stream error 1 PROTOCOL_ERROR"], MALFORMED);
});

announced("trailers that do not end the stream are malformed", 7, (peer, begun) => {
  peer.receive(f.data(1, 7));
  peer.receive(f.headers(1, [["a", "b"]], f.END_HEADERS));
  peer.expect([begun, "data 1 7", "stream error 1 PROTOCOL_ERROR"], MALFORMED);
});

for (
  const [name, ask, fields] of [
    ["to HEAD", HEAD, [[":status", "200"], ["content-length", "5"]]],
    ["304", GET, [[":status", "304"], ["content-length", "5"]]],
    ["204", GET, [[":status", "204"]]],
  ] as [string, string, f.Field[]][]
) {
  asClient(`trailers behind an answer without content: ${name}`, (peer) => {
    peer.ask(ask);
    peer.receive(f.headers(1, fields, f.END_HEADERS));
    peer.receive(TRAILERS);
    peer.expect([`response 1 ${fields[0]![1]}`, "trailers 1 end"]);
  });
}
