// What is borne of a peer between two ticks, one more than that, and that a tick forgets: each number of a profile. And that
// memory and replies stay bounded when the peer does not read.

import * as abi from "../../../assembly/abi.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { asServer, CUTTINGS, H2Driver, POST, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const LIMIT = 7;

interface Abuse {
  name: string;
  word: number;
  /** Makes the frames of number `i`; what was needed before them comes from `before`. */
  bytes: (i: number) => Uint8Array;
  before?: Uint8Array;
}

const stream = (i: number) => 2 * i + 3;
const part = f.block(REQUEST);

const ABUSES: Abuse[] = [
  {
    name: "rapid reset",
    word: abi.ABUSE_RESETS,
    bytes: (i) => f.concat(f.headers(stream(i), REQUEST), f.rstStream(stream(i))),
  },
  {
    name: "made you reset",
    word: abi.ABUSE_RESETS_CAUSED,
    bytes: (i) => f.concat(f.headers(stream(i), REQUEST), f.windowUpdate(stream(i), 0)),
  },
  { name: "malformed requests", word: abi.ABUSE_RESETS_CAUSED, bytes: (i) => f.headers(stream(i), [["a", "b"]]) },
  { name: "PING", word: abi.ABUSE_PINGS, bytes: () => f.frame(f.PING, 0, 0, new Uint8Array(8)) },
  { name: "SETTINGS", word: abi.ABUSE_SETTINGS, bytes: () => f.settings() },
  {
    name: "empty DATA",
    word: abi.ABUSE_EMPTY_FRAMES,
    before: f.headers(1, POST, f.END_HEADERS),
    bytes: () => f.data(1, 0),
  },
  {
    name: "empty DATA with padding",
    word: abi.ABUSE_EMPTY_FRAMES,
    before: f.headers(1, POST, f.END_HEADERS),
    bytes: () => f.frame(f.DATA, f.PADDED, 1, [1, 0]),
  },
  { name: "WINDOW_UPDATE", word: abi.ABUSE_WINDOW_UPDATES, bytes: () => f.windowUpdate(0, 1) },
  { name: "PRIORITY", word: abi.ABUSE_PRIORITIES, bytes: (i) => f.frame(f.PRIORITY, 0, 2 * i + 1, [0, 0, 0, 0, 1]) },
  {
    name: "PRIORITY_UPDATE",
    word: abi.ABUSE_PRIORITIES,
    bytes: (i) => f.frame(f.PRIORITY_UPDATE, 0, 0, [...f.u32(2 * i + 1), 0x69]),
  },
  {
    name: "PING that answers nothing",
    word: abi.ABUSE_IGNORED_FRAMES,
    bytes: () => f.frame(f.PING, f.ACK, 0, new Uint8Array(8)),
  },
  { name: "GOAWAY", word: abi.ABUSE_IGNORED_FRAMES, bytes: () => f.goaway(0) },
  {
    name: "resets of a stream that has ended",
    word: abi.ABUSE_IGNORED_FRAMES,
    before: f.concat(f.headers(1, REQUEST), f.rstStream(1)),
    bytes: () => f.rstStream(1),
  },
  { name: "unknown frames", word: abi.ABUSE_IGNORED_FRAMES, bytes: () => f.frame(99, 0, 0, [1]) },
  {
    name: "frames of a stream that was reset",
    word: abi.ABUSE_IGNORED_FRAMES,
    before: f.concat(f.headers(1, POST, f.END_HEADERS), f.windowUpdate(1, 0)),
    bytes: (i) => i % 2 ? f.data(1, 1) : f.headers(1, [["a", "b"]]),
  },
];

const driver = new H2Driver();

function begin(cutting: (typeof CUTTINGS)[number]): void {
  driver.begin(abi.H2_ROLE_SERVER, cutting);
  driver.preface();
  driver.receive(f.concat(f.MAGIC, f.settings()));
  driver.core.codec.h2Tick(driver.h2);
}

for (const { name, word, bytes, before } of ABUSES) {
  Deno.test(`h2 abuse: ${name}`, () => {
    for (const cutting of CUTTINGS) {
      begin(cutting);
      const kept = driver.core.i32[(driver.core.codec.h2ProfileAt(0) >> 2) + word]!;
      driver.setProfile(word, LIMIT);
      if (before) driver.receive(before);
      driver.core.codec.h2Tick(driver.h2);
      let i = 0;
      for (let second = 0; second < 3; second++) {
        for (let n = 0; n < LIMIT; n++) driver.receive(bytes(i++));
        assertEquals(driver.failed, false, `${name}, second ${second}: what is borne`);
        if (second < 2) driver.core.codec.h2Tick(driver.h2);
      }
      driver.events = [];
      driver.receive(bytes(i));
      driver.setProfile(word, kept);
      assertEquals(driver.events.at(-1), `connection error ENHANCE_YOUR_CALM abuse ${word}`, name);
      assert(driver.replies.at(-1)!.endsWith(" ENHANCE_YOUR_CALM"), driver.replies.at(-1)!);
    }
  });
}

asServer("abuse: CONTINUATION frames of one block are bounded, and may be empty only so often", (peer) => {
  peer.receive(f.frame(f.HEADERS, f.END_STREAM, 1, part));
  for (let i = 0; i < 20; i++) peer.receive(f.frame(f.CONTINUATION, 0, 1, [0, 1, 0x61, 0]));
  peer.expect([]);
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 1));
  peer.expect([`connection error ENHANCE_YOUR_CALM abuse ${abi.ABUSE_CONTINUATIONS}`], ["GOAWAY 0 ENHANCE_YOUR_CALM"]);
});

asServer("abuse: a block has to fit into a buffer", (peer) => {
  peer.receive(f.frame(f.HEADERS, f.END_STREAM, 1, new Uint8Array(16000)));
  peer.receive(f.frame(f.CONTINUATION, 0, 1, new Uint8Array(376)).subarray(0, 9));
  peer.expect([`connection error ENHANCE_YOUR_CALM abuse ${abi.ABUSE_HEADER_BLOCK}`], ["GOAWAY 0 ENHANCE_YOUR_CALM"]);
});

asServer("abuse: a block that just fits is decoded", (peer) => {
  const block = [...f.block(REQUEST), ...f.block([["a", "b".repeat(11000)]])];
  peer.receive(f.frame(f.HEADERS, f.END_STREAM, 1, block.slice(0, 100)));
  peer.receive(f.frame(f.CONTINUATION, f.END_HEADERS, 1, block.slice(100)));
  peer.expect(["request 1 GET example.com / end"]);
});

asServer("abuse: SETTINGS of more than 64 entries", (peer) => {
  peer.receive(f.settings(...Array.from({ length: 64 }, () => [77, 1] as const)));
  peer.receive(f.settings(...Array.from({ length: 65 }, () => [77, 1] as const)));
  peer.expect(["settings", `connection error ENHANCE_YOUR_CALM abuse ${abi.ABUSE_SETTINGS_SIZE}`], [
    "SETTINGS ack",
    "GOAWAY 0 ENHANCE_YOUR_CALM",
  ]);
});

Deno.test("h2 abuse: refused streams", () => {
  begin("whole");
  for (let id = 1; id < 33; id += 2) driver.receive(f.headers(id, POST, f.END_HEADERS));
  for (let i = 0; i < 101; i++) driver.receive(f.headers(33 + 2 * i, POST, f.END_HEADERS));
  assertEquals(driver.events.at(-1), `connection error ENHANCE_YOUR_CALM abuse ${abi.ABUSE_REFUSED_STREAMS}`);
});

Deno.test("h2 abuse: windows that cut a body into small frames", () => {
  for (const length of [abi.H2_SMALL_FRAME - 1, abi.H2_SMALL_FRAME]) {
    begin("whole");
    driver.setProfile(abi.ABUSE_SMALL_FRAMES, LIMIT);
    driver.receive(f.concat(f.settings([4, length]), f.headers(1, REQUEST)));
    driver.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
    for (let i = 0; i <= LIMIT; i++) {
      assertEquals(driver.failed, false, `${i} frames of ${length}`);
      driver.putData(1, length);
      driver.receive(f.windowUpdate(1, length));
    }
    driver.setProfile(abi.ABUSE_SMALL_FRAMES, 1000);
    const isSmall = length < abi.H2_SMALL_FRAME;
    assertEquals(driver.failed, isSmall);
    if (isSmall) {
      assertEquals(driver.events.at(-1), `connection error ENHANCE_YOUR_CALM abuse ${abi.ABUSE_SMALL_FRAMES}`);
    }
  }
});

Deno.test("h2 abuse: a fast body, of which each window ends in a small frame, is none", () => {
  begin("whole");
  driver.setProfile(abi.ABUSE_SMALL_FRAMES, LIMIT);
  driver.receive(f.concat(f.settings([4, 1001]), f.headers(1, REQUEST)));
  driver.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
  for (let i = 0; i <= 3 * LIMIT; i++) {
    driver.putData(1, 1000);
    driver.putData(1, 1);
    driver.receive(f.windowUpdate(1, 1001));
  }
  driver.setProfile(abi.ABUSE_SMALL_FRAMES, 1000);
  assertEquals(driver.failed, false);
});

asServer("abuse: a block that says many times what it may", (peer) => {
  const entry = [0x40, 1, 0x61, 127, ...[(4000 - 127) & 127 | 128, (4000 - 127) >> 7], ...new Array(4000).fill(0x62)];
  peer.receive(f.frame(f.HEADERS, 5, 1, [...f.block(REQUEST), ...entry, ...new Array(200).fill(0xbe)]));
  peer.expect([`connection error ENHANCE_YOUR_CALM abuse ${abi.ABUSE_HEADER_LIST}`], ["GOAWAY 1 ENHANCE_YOUR_CALM"]);
});

Deno.test("h2 abuse: DATA that is sent pays for WINDOW_UPDATE", () => {
  begin("whole");
  driver.setProfile(abi.ABUSE_WINDOW_UPDATES, 2);
  driver.receive(f.headers(1, REQUEST));
  driver.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
  for (let i = 0; i < 100; i++) {
    driver.putData(1, 100);
    driver.receive(f.concat(f.windowUpdate(0, 100), f.windowUpdate(1, 100)));
  }
  driver.setProfile(abi.ABUSE_WINDOW_UPDATES, 1000);
  assertEquals(driver.failed, false);
});

Deno.test("h2 abuse: DATA that is sent pays for PING, which clients of gRPC send for what they receive", () => {
  begin("whole");
  driver.setProfile(abi.ABUSE_PINGS, 2);
  driver.receive(f.headers(1, REQUEST));
  driver.answer(1, "HTTP/1.1 200 OK\r\n\r\n");
  const ping = f.frame(f.PING, 0, 0, new Uint8Array(8));
  for (let i = 0; i < 100; i++) {
    driver.putData(1, 10);
    driver.receive(ping);
  }
  assertEquals(driver.failed, false);
  for (let i = 0; i < 2; i++) driver.receive(ping);
  driver.setProfile(abi.ABUSE_PINGS, 100);
  assertEquals(driver.events.at(-1), `connection error ENHANCE_YOUR_CALM abuse ${abi.ABUSE_PINGS}`);
});

Deno.test("h2: a peer that does not read is not read", () => {
  begin("whole");
  driver.replies = [];
  driver.isBlocked = true;
  const ping = f.frame(f.PING, 0, 0, new Uint8Array(8));
  for (let i = 0; i < 90; i++) driver.receive(ping);
  const waiting = driver.core.codec.h2Replies(driver.h2);
  assert(waiting > 900 && waiting <= abi.H2_REPLIES, `${waiting} bytes wait`);
  assertEquals(driver.events.filter((event) => event !== "settings"), []);
  driver.isBlocked = false;
  driver.feed();
  assertEquals(driver.replies.filter((reply) => reply.startsWith("PING ack")).length, 90);
});

Deno.test("h2: resets and windows that do not fit into the replies are owed, and paid", () => {
  const peer = new H2Driver({ records: 140, buffers: 140, h2Streams: 128 });
  peer.begin(abi.H2_ROLE_SERVER);
  peer.preface();
  peer.receive(f.concat(f.MAGIC, f.settings()));
  for (let id = 1; id < 256; id += 2) peer.receive(f.headers(id, POST, f.END_HEADERS));
  for (let id = 1; id < 22; id += 2) for (let i = 0; i < 3; i++) peer.receive(f.data(id, 16384));
  peer.events = [];
  peer.replies = [];
  peer.isBlocked = true;
  for (let id = 23; id < 256; id += 2) peer.reset(id);
  for (let id = 1; id < 22; id += 2) peer.consume(id, 49152);
  // a stream that is owed a reset still counts
  const waiting = peer.core.codec.h2Replies(peer.h2);
  assert(waiting <= abi.H2_REPLIES, `${waiting} bytes wait`);
  peer.isBlocked = false;
  peer.flush();
  const count = (start: string) => peer.replies.filter((reply) => reply.startsWith(start)).length;
  assertEquals([count("RST_STREAM"), count("WINDOW_UPDATE 0 "), count("WINDOW_UPDATE ")], [117, 1, 12]);
  for (let id = 257; id < 257 + 2 * 117; id += 2) peer.receive(f.headers(id, REQUEST));
  assertEquals([peer.events.length, peer.replies.some((reply) => reply.includes("REFUSED"))], [117, false]);
});
