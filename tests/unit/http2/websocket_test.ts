// WebSockets where one side speaks HTTP/1.1 and the other HTTP/2 (RFC 6455 §4, RFC 8441 §5): what asks for one, what it becomes
// on the other side, and the key and its answer, which only HTTP/1.1 has. Answers are checked against node:crypto.

import { createHash } from "node:crypto";
import * as abi from "../../../assembly/abi.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { type Bytes, toText } from "../../support/bytes.ts";
import { asClient, H2Driver, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TAKES_WEBSOCKETS = f.settings([8, 1]);

function acceptOf(key: string): string {
  return createHash("sha1").update(key + GUID).digest("base64");
}

function ask(...lines: string[]): string {
  const upgrade = ["Host: a", "Connection: keep-alive, Upgrade", ...lines];
  return `GET /chat?x HTTP/1.1\r\n${upgrade.join("\r\n")}\r\n\r\n`;
}

const WANTS = [`Upgrade: websocket`, `Sec-WebSocket-Key: ${KEY}`, "Sec-WebSocket-Version: 13"];

// ---- a client of HTTP/1.1, a backend of HTTP/2 ----

const flagsOf = (peer: H2Driver, text: string) => {
  peer.parse(text);
  return peer.core.result[abi.R_FLAGS]! & (abi.F_UPGRADE | abi.F_WEBSOCKET);
};

Deno.test("F_WEBSOCKET is said of a GET that asks for the upgrade with one valid key", () => {
  const peer = new H2Driver();
  const both = abi.F_UPGRADE | abi.F_WEBSOCKET;
  const key = `sec-websocket-key: ${KEY}`;
  const cases: [number, string][] = [
    [both, ask(...WANTS)],
    [both, ask("upgrade: WebSocket", key)],
    [both, ask("Upgrade: other/1, websocket", `Sec-WebSocket-Key:  ${"+/".repeat(11)}== `)],
    [abi.F_UPGRADE, ask("Upgrade: other", key)],
    [abi.F_UPGRADE, ask("Upgrade: websockets", key)],
    [abi.F_UPGRADE, ask("Upgrade: websocket", "Upgrade: websocket", key)],
    [abi.F_UPGRADE, ask("Upgrade: websocket")],
    [abi.F_UPGRADE, ask("Upgrade: websocket", key, key)],
    [abi.F_UPGRADE, ask("Upgrade: websocket", "Sec-WebSocket-Key: ")],
    [abi.F_UPGRADE, ask("Upgrade: websocket", `Sec-WebSocket-Key: A${KEY}`)],
    [abi.F_UPGRADE, ask("Upgrade: websocket", `Sec-WebSocket-Key: ${KEY.slice(1)}`)],
    [abi.F_UPGRADE, ask("Upgrade: websocket", `Sec-WebSocket-Key: ${KEY.slice(0, -1)}A`)],
    [abi.F_UPGRADE, ask("Upgrade: websocket", `Sec-WebSocket-Key: -${KEY.slice(1)}`)],
    [abi.F_UPGRADE, ask(...WANTS).replace("GET", "OPTIONS")],
    [0, ask(...WANTS).replace("Upgrade\r\n", "close\r\n")],
    [0, ask(...WANTS).replace("HTTP/1.1", "HTTP/1.0")],
    [0, ask(...WANTS, "Content-Length: 1")],
    [0, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
  ];
  for (const [flags, text] of cases) assertEquals(flagsOf(peer, text), flags, text);
});

asClient("RFC 8441 §5 a WebSocket of HTTP/1.1 goes out as extended CONNECT, without its key", (peer) => {
  const { sent } = peer.ask(ask(...WANTS, "Sec-WebSocket-Protocol: chat"), false);
  assertEquals(peer.fields(sent).slice(0, 8), [
    [":method", "CONNECT"],
    [":protocol", "websocket"],
    [":scheme", "https"],
    [":path", "/chat?x"],
    [":authority", "a"],
    ["sec-websocket-version", "13"],
    ["sec-websocket-protocol", "chat"],
    ["x-forwarded-for", "192.0.2.1"],
  ]);
  assertEquals(f.frames(sent)[0]!.flags & f.END_STREAM, 0);
}, TAKES_WEBSOCKETS);

asClient("RFC 8441 §3 nothing is asked of a server that takes no WebSockets", (peer) => {
  assertEquals(peer.ask(ask(...WANTS), false).sent.length, 0);
});

asClient("§8.2.2 any other upgrade goes out as a plain request", (peer) => {
  for (const lines of [["Upgrade: other", "X: y"], ["Upgrade: websocket", "X: y"]]) {
    const { sent } = peer.ask(ask(...lines));
    assertEquals(peer.fields(sent).slice(0, 6), [
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/chat?x"],
      [":authority", "a"],
      ["x", "y"],
      ["x-forwarded-for", "192.0.2.1"],
    ]);
  }
  peer.receive(f.headers(1, [[":status", "200"]], f.END_HEADERS));
  assertEquals([peer.core.result[abi.R_STATUS], peer.core.result[abi.R_FLAGS]! & abi.F_UPGRADE], [200, 0]);
}, TAKES_WEBSOCKETS);

/** The answer at hand, as the proxy writes it for a client of HTTP/1.1. */
function written(peer: H2Driver, id: number, how: number): string {
  const { codec, u8 } = peer.core;
  const at = codec.headScratchAt();
  return toText(u8.subarray(at, at + codec.writeResponseHead(peer.streams.get(id)!, how, 0, 0)));
}

for (const status of ["200", "204", "299"]) {
  asClient(`RFC 6455 §4.2.2 ${status} to a WebSocket of HTTP/1.1 is the switch that it asked for`, (peer) => {
    const keys = [KEY, `${"Az09+/".repeat(3)}AAAA==`];
    const accepts = keys.map(acceptOf);
    assertEquals(accepts[0], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (const key of keys) peer.ask(ask("Upgrade: websocket", `Sec-WebSocket-Key: ${key}`), false);
    // answered in the other order
    for (const id of [3, 1]) {
      peer.receive(f.headers(id, [
        [":status", status],
        ["sec-websocket-protocol", "chat"],
        ["sec-websocket-accept", "of nobody"],
        ["content-length", "0"],
      ], f.END_HEADERS));
      const r = peer.core.result;
      assertEquals([r[abi.R_STATUS], r[abi.R_BODY_MODE]], [101, abi.BODY_NONE]);
      assertEquals(r[abi.R_FLAGS]! & abi.F_UPGRADE, abi.F_UPGRADE);
      assertEquals(
        written(peer, id, abi.W_UPGRADE),
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-protocol: chat\r\nConnection: Upgrade\r\n" +
          `Upgrade: websocket\r\nSec-WebSocket-Accept: ${accepts[id >> 1]}\r\n\r\n`,
      );
    }
    // and then anything may come, in both directions
    peer.receive(f.data(1, 5));
    peer.receive(f.data(1, 6, f.END_STREAM));
    peer.expect(["response 3 101", "response 1 101", "data 1 11 end"]);
    assertEquals(peer.putData(1, 5, true), abi.H2_FRAME_HEADER);
  }, TAKES_WEBSOCKETS);
}

asClient("RFC 6455 §4.2.2 a WebSocket that is refused is answered like any request", (peer) => {
  peer.ask(ask(...WANTS), false);
  peer.receive(f.headers(1, [[":status", "403"], ["content-length", "2"]], f.END_HEADERS));
  const r = peer.core.result;
  assertEquals([r[abi.R_STATUS], r[abi.R_BODY_MODE]], [403, abi.BODY_LENGTH]);
  assertEquals(r[abi.R_FLAGS]! & abi.F_UPGRADE, 0);
  assertEquals(written(peer, 1, 0), "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n");
  peer.receive(f.data(1, 2, f.END_STREAM));
  peer.expect(["response 1 403", "data 1 2 end"]);
}, TAKES_WEBSOCKETS);

asClient("the answer to a WebSocket may be kept", (peer) => {
  const { core } = peer;
  peer.ask(ask(...WANTS), false);
  peer.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.receive(f.headers(1, [[":status", "200"]], f.END_HEADERS));
  const record = peer.streams.get(1)!;
  const buffer = core.buffersAt + (record - core.recordsAt) / abi.RECORD * core.bufferStride;
  const atOnce = written(peer, 1, abi.W_UPGRADE);
  core.codec.keepResponse(record, buffer);
  peer.receive(f.headers(3, [[":status", "404"]]));
  core.codec.restoreResponse(record, buffer);
  assertEquals(core.result[abi.R_STATUS], 101);
  assertEquals(written(peer, 1, abi.W_UPGRADE), atOnce);
}, TAKES_WEBSOCKETS);

// ---- a client of HTTP/2, a backend of HTTP/1.1 ----

interface Asked {
  peer: H2Driver;
  /** The record of the client's stream. */
  record: number;
  /** What the backend is sent. */
  head: string;
  key: string;
  flags: number;
}

function askedInHttp2(...fields: f.Field[]): Asked {
  const peer = new H2Driver();
  peer.setProfile(abi.P_CONNECT_PROTOCOL, 1);
  peer.begin(abi.H2_ROLE_SERVER);
  peer.preface();
  peer.receive(f.concat(f.MAGIC, f.settings()));
  peer.receive(f.headers(1, [[":method", "CONNECT"], [":protocol", "websocket"], ...REQUEST.slice(1), ...fields], 4));
  const { codec, u8, textAt, result } = peer.core;
  const flags = result[abi.R_FLAGS]!;
  const record = peer.streams.get(1)!;
  const idAt = textAt + abi.TEXT_REQUEST_IDS;
  for (let i = 0; i < abi.REQUEST_ID_BYTES; i++) u8[idAt + i] = 17 * i;
  const length = codec.writeRequestHead(record, 80, 0, idAt, 0, 0);
  const head = toText(u8.subarray(codec.headScratchAt(), codec.headScratchAt() + length));
  const keys = [...head.matchAll(/sec-websocket-key: (.*)\r\n/gi)].map((match) => match[1]!);
  assertEquals(keys.length, 1, head);
  return { peer, record, head, key: keys[0]!, flags };
}

function isAccepted({ peer, record, flags }: Asked, lines: string): number {
  const answer = peer.parse(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${lines}\r\n`, flags);
  return peer.core.codec.isWebSocketAccepted(answer, record);
}

Deno.test("isWebSocketAccepted() takes the answer to the key that the backend was given, and no other", () => {
  const asked = askedInHttp2();
  const accept = acceptOf(asked.key);
  const upgrade = "Upgrade: websocket\r\n";
  const right = `Sec-WebSocket-Accept: ${accept}\r\n`;
  const cases: [number, string][] = [
    [1, upgrade + right],
    [1, `upgrade: WebSocket\r\nsec-websocket-accept:  ${accept} \r\n`],
    [0, upgrade],
    [0, upgrade + "Sec-WebSocket-Accept:\r\n"],
    [0, upgrade + right + right],
    [0, upgrade + `Sec-WebSocket-Accept: ${acceptOf(KEY)}\r\n`],
    [0, upgrade + `Sec-WebSocket-Accept: ${accept.slice(1)}\r\n`],
    [0, upgrade + `Sec-WebSocket-Accept: ${accept}A\r\n`],
    [0, upgrade + `Sec-WebSocket-Accept: ${accept.toLowerCase()}\r\n`],
    [0, "Upgrade: other\r\n" + right],
  ];
  for (const [expected, lines] of cases) assertEquals(isAccepted(asked, lines), expected, lines);
});

Deno.test("a key of a client of HTTP/2 does not go on: the backend gets one, the proxy's", () => {
  const asked = askedInHttp2(["sec-websocket-key", KEY], ["sec-websocket-version", "13"]);
  assert(asked.key !== KEY && !asked.head.includes(KEY), asked.head);
  assertEquals(isAccepted(asked, `Upgrade: websocket\r\nSec-WebSocket-Accept: ${acceptOf(asked.key)}\r\n`), 1);
});

Deno.test("the answer to the proxy's key does not go on to a client of HTTP/2", () => {
  const { peer, record, key, flags } = askedInHttp2();
  const lines = `Upgrade: websocket\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\nSec-WebSocket-Protocol: chat\r\n`;
  const source = peer.parse(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n${lines}\r\n`, flags);
  assertEquals(peer.core.codec.isWebSocketAccepted(source, record), 1);
  const to = peer.core.codec.headScratchAt();
  const length = peer.core.codec.h2PutResponse(peer.h2, record, source, abi.W_TUNNEL, 0, 0, 0, to);
  const sent: Bytes = peer.core.u8.slice(to, to + length);
  assertEquals(peer.fields(sent), [[":status", "200"], ["sec-websocket-protocol", "chat"]]);
});

// ---- HTTP/2 on both sides ----

Deno.test("a WebSocket of HTTP/2 goes on in HTTP/2 as it came, and its answer is no switch", () => {
  const { peer, record } = askedInHttp2(["sec-websocket-version", "13"], ["sec-websocket-key", KEY]);
  const { core } = peer;
  const { codec, u8 } = core;
  const far = core.h2RecordsAt + core.h2RecordBytes;
  const [socket, stream] = [core.recordAt(38), core.recordAt(37)];
  const buffer = core.buffersAt + 37 * core.bufferStride;
  const at = buffer + core.bytesOffset;
  const feed = (bytes: Uint8Array) => {
    u8.set(bytes, at);
    return codec.h2Feed(far, at, bytes.length);
  };
  codec.h2Begin(far, abi.H2_ROLE_CLIENT, abi.H2_CLIENT_PROFILE, socket);
  codec.h2Preface(far, codec.headScratchAt());
  assertEquals(feed(TAKES_WEBSOCKETS), abi.EV_SETTINGS);
  assertEquals(codec.h2Open(far, stream), 1);
  const to = codec.headScratchAt();
  const idAt = core.textAt + abi.TEXT_REQUEST_IDS;
  const length = codec.h2PutRequest(far, stream, record, 80, 0, idAt, 0, 0, 0, 0, to);
  assertEquals(peer.fields(u8.slice(to, to + length)).slice(0, 7), [
    [":method", "CONNECT"],
    [":protocol", "websocket"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "example.com"],
    ["sec-websocket-version", "13"],
    ["x-forwarded-for", "192.0.2.1"],
  ]);
  assertEquals(feed(f.headers(1, [[":status", "200"]], f.END_HEADERS)), abi.EV_HEADERS);
  const table = core.buffersAt + 36 * core.bufferStride;
  const code = codec.h2Headers(far, stream, table, table + core.bytesOffset, core.limits.bufferBytes);
  assertEquals([code, core.result[abi.R_STATUS]], [abi.HEAD_DONE, 200]);
  assertEquals(core.result[abi.R_FLAGS]! & abi.F_UPGRADE, abi.F_UPGRADE);
});
