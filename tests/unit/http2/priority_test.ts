// Priorities by RFC 9218: the field of a request (§5), PRIORITY_UPDATE (§7), and which of them holds.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { asServer, type H2Driver, POST, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const update = (id: number, text: string, stream = 0) =>
  f.frame(f.PRIORITY_UPDATE, 0, stream, [...f.u32(id), ...new TextEncoder().encode(text)]);
const priority = (peer: H2Driver) => peer.core.result[abi.R_PRIORITY];

const FIELDS: [string, number][] = [
  ["u=0", 0],
  ["u=7, i", 15],
  ["i", 11],
  ["i, u=2", 10],
  ["i=?0", 3],
  ["i=?1", 11],
  ["u=1,u=2", 2],
  ["i,i=?0", 3],
  ["u=5;a=1 , i=?1", 13],
  ["u=5;a, i;b=2", 13],
  // §4: what is out of range, of another type or unknown is passed over
  ["u=8", 3],
  ["u=-1", 3],
  ["u=10", 3],
  ["u=1.0", 3],
  ["u", 3],
  ["u=?1", 3],
  ["i=1", 3],
  ["i=?2", 3],
  ["U=1, I", 3],
  ["urgent=1, u=2, inner, x", 2],
  ['"u=1', 3],
  ['x="a,u=0,i,", u=6', 6],
  ['x="\\",u=0,b", i', 11],
  ['x="a", u=6;y="b,i"', 6],
  ["", 3],
];

asServer(
  "RFC 9218 §4, §5 the field says urgency and incremental, and what it does not say is as without it",
  (peer) => {
    FIELDS.forEach(([value, expected], i) => {
      peer.receive(f.headers(1 + 2 * i, [...REQUEST, ["priority", value]]));
      assertEquals(priority(peer), expected, value);
      peer.reset(1 + 2 * i);
    });
  },
);

asServer("RFC 9218 §4, RFC 8941 §4.2 several lines are one dictionary, in which the last one holds", (peer) => {
  peer.receive(f.headers(1, [...REQUEST, ["priority", "u=1"], ["a", "b"], ["priority", "i, u=2"]]));
  assertEquals(priority(peer), 10);
});

asServer("RFC 9218 §7.1 the frame says the same of a stream that is open", (peer) => {
  peer.receive(f.headers(1, [...POST, ["priority", "u=6, i"]], f.END_HEADERS));
  peer.events = [];
  for (const [value, expected] of FIELDS) {
    peer.receive(update(1, value));
    peer.expect([`priority 1 ${expected}`]);
  }
  const reserved = update(1, "u=4");
  reserved[9]! |= 0x80;
  peer.receive(reserved);
  peer.expect(["priority 1 4"]);
});

asServer("RFC 9218 §7 the frame wins over the field, also when it comes before its stream", (peer) => {
  peer.receive(update(101, "u=7"));
  peer.receive(update(101, "u=1, i"));
  peer.receive(f.headers(101, [...REQUEST, ["priority", "u=5"]]));
  assertEquals(priority(peer), 9);
  peer.expect(["request 101 GET example.com / end"]);
  peer.receive(update(101, "u=2"));
  peer.expect(["priority 101 2"]);
});

asServer("RFC 9218 §7.1 those that come before their stream are kept, as many as there is a place for", (peer) => {
  for (let id = 1; id < 21; id += 2) peer.receive(update(id, "u=0"));
  const kept = [];
  for (let id = 1; id < 21; id += 2) {
    peer.receive(f.headers(id, REQUEST));
    kept.push(priority(peer));
  }
  assertEquals(kept, [3, 3, 3, 3, 3, 3, 0, 0, 0, 0]);
});

asServer("RFC 9218 §7.1 the frame says nothing of streams that are closed", (peer) => {
  peer.receive(f.headers(5, POST, f.END_HEADERS));
  peer.reset(5);
  for (const id of [1, 3, 5]) peer.receive(update(id, "u=0"));
  peer.receive(f.headers(7, REQUEST));
  assertEquals(priority(peer), 3);
  peer.expect(["request 5 POST example.com /", "request 7 GET example.com / end"], ["RST_STREAM 5 CANCEL"]);
});

for (
  const [name, bytes, code] of [
    ["on a stream", update(1, "u=0", 1), "PROTOCOL_ERROR"],
    ["of no stream", update(0, "u=0"), "PROTOCOL_ERROR"],
    ["of a stream that would be pushed", update(2, "u=0"), "PROTOCOL_ERROR"],
    ["of three octets", f.frame(f.PRIORITY_UPDATE, 0, 0, [0, 0, 1]), "FRAME_SIZE_ERROR"],
    ["of nothing", f.frame(f.PRIORITY_UPDATE, 0, 0), "FRAME_SIZE_ERROR"],
    ["of more than a frame", f.frame(f.PRIORITY_UPDATE, 0, 0, new Uint8Array(16385)), "FRAME_SIZE_ERROR"],
  ] as const
) {
  asServer(`RFC 9218 §7.1 PRIORITY_UPDATE ${name} is a connection error`, (peer) => {
    peer.receive(bytes);
    peer.expect([`connection error ${code}`], [`GOAWAY 0 ${code}`]);
  });
}
