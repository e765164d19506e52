// What fields may be made of (RFC 9113 §8.2, §8.3), in each place where they may stand: the head of a request, that of an
// answer, and the trailers of both. Every octet is tried in names and in values.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { H2Driver, POST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const OK: readonly f.Field[] = [[":status", "200"]];
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** A place for fields. */
interface Place {
  name: string;
  role: number;
  isRequest: boolean;
  isTrailers: boolean;
  pseudo: readonly f.Field[];
}

const PLACES: readonly Place[] = [
  { name: "request", role: abi.H2_ROLE_SERVER, isRequest: true, isTrailers: false, pseudo: POST },
  { name: "answer", role: abi.H2_ROLE_CLIENT, isRequest: false, isTrailers: false, pseudo: OK },
  { name: "trailers of a request", role: abi.H2_ROLE_SERVER, isRequest: true, isTrailers: true, pseudo: [] },
  { name: "trailers of an answer", role: abi.H2_ROLE_CLIENT, isRequest: false, isTrailers: true, pseudo: [] },
];

const driver = new H2Driver();
let next = 1;

function begin(role: number): void {
  driver.setProfile(abi.ABUSE_RESETS_CAUSED, 1_000_000);
  driver.begin(role);
  driver.preface();
  driver.receive(role === abi.H2_ROLE_SERVER ? f.concat(f.MAGIC, f.settings()) : f.settings());
  next = 1;
}

/** Whether a message with these fields, on the next stream, is taken. A malformed one costs its stream with PROTOCOL_ERROR (§8.1.1). */
function isTaken({ isRequest, isTrailers, pseudo }: Place, fields: readonly f.Field[]): boolean {
  const id = isRequest ? next : driver.ask(GET).id;
  next += 2;
  if (isTrailers) driver.receive(f.headers(id, isRequest ? POST : OK, f.END_HEADERS));
  driver.events = [];
  driver.replies = [];
  driver.receive(f.headers(id, [...pseudo, ...fields]));
  if (driver.events[0] !== `stream error ${id} PROTOCOL_ERROR`) {
    assertEquals([driver.events.length, driver.replies], [1, []], driver.events[0]);
    assertEquals(driver.events[0]!.split(" ")[1], String(id));
    driver.reset(id);
    return true;
  }
  assertEquals([driver.events.length, driver.replies], [1, [`RST_STREAM ${id} PROTOCOL_ERROR`]]);
  return false;
}

/** `cases` in each place. */
function everywhere(name: string, cases: (place: Place) => readonly (readonly [readonly f.Field[], boolean])[]): void {
  for (const place of PLACES) {
    Deno.test(`h2 fields: ${name}: ${place.name}`, () => {
      begin(place.role);
      for (const [fields, taken] of cases(place)) assertEquals(isTaken(place, fields), taken, JSON.stringify(fields));
    });
  }
}

const octets = Array.from({ length: 256 }, (_, octet) => String.fromCharCode(octet));

everywhere("§8.2, §8.2.1 each octet in a name", () => [
  ...octets.map((octet) => [[[`a${octet}b`, "c"]], /[a-z0-9!#$%&'*+.^_`|~-]/.test(octet)] as const),
  [[["", "c"]], false],
  [[["a-name-that-is-longer-than-a-vector-A", "c"]], false],
]);

everywhere("§8.2.1 each octet in a value, at its beginning and at its end", () => {
  const isText = (octet: string) => octet === "\t" || (octet >= " " && octet !== "\x7f");
  const isEdge = (octet: string) => isText(octet) && octet !== " " && octet !== "\t";
  return octets.flatMap((octet) => [
    [[["a", `b${octet}c`]], isText(octet)] as const,
    [[["a", `0123456789abcdefghij${octet}klmnopqrstuvwxyz`]], isText(octet)] as const,
    [[["a", `${octet}c`]], isEdge(octet)] as const,
    [[["a", `b${octet}`]], isEdge(octet)] as const,
    [[["a", octet]], isEdge(octet)] as const,
  ]).concat([[[["a", ""]], true]]);
});

everywhere("§8.2.2 fields of the connection", () => [
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"].flatMap((name) =>
    ["", "close", "trailers", "chunked"].map((value) => [[[name, value]], false] as const)
  ),
  ...["gzip", "trailers, deflate", "trailers;q=1", "", "chunked"].map((value) => [[["te", value]], false] as const),
]);

everywhere("§8.3 pseudo-header fields that are unknown, late, or another message's", ({ isRequest, isTrailers }) => [
  ...[":", ":foo", ":Path", ":status ", ":protocol", ":reason"].map((name) => [[[name, "200"]], false] as const),
  ...[":method", ":scheme", ":path", ":authority", ":status"].flatMap((name) => [
    // twice, or not of this message
    [[[name, name === ":path" ? "/" : "200"]], false] as const,
    [[["a", "b"], [name, "200"]], false] as const,
  ]),
  [[["a:b", "c"]], false],
  ...(isRequest && !isTrailers ? [[[["te", "trailers"]], true] as const] : []),
]);

Deno.test("h2 fields: TE of an answer, and of trailers, goes nowhere", () => {
  begin(abi.H2_ROLE_CLIENT);
  const { id } = driver.ask(GET);
  driver.receive(f.headers(id, [...OK, ["te", "trailers"], ["x-a", "b"]], f.END_HEADERS));
  assertEquals(driver.block(id), [["x-a", "b"]]);
});
