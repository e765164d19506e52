// Every state of a stream × every frame on it, for both roles, against a second table that was written by hand from RFC 9113
// §5.1 and §6, not from the first. Each cell is played with bytes: the state is reached by a dialogue, the frame is sent, and
// what is told, answered and possible afterwards is looked at.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { H2Driver, POST, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

type State =
  | "idle"
  | "open"
  | "half-closed (local)"
  | "half-closed (remote)"
  | "closed"
  | "reset by peer"
  | "reset by us";
const STATES: readonly State[] = [
  "idle",
  "open",
  "half-closed (local)",
  "half-closed (remote)",
  "closed",
  "reset by peer",
  "reset by us",
];

const RESPONSE: readonly f.Field[] = [[":status", "200"]];

/** The frame as a server and as a client gets it. */
const FRAMES: Record<string, [server: Uint8Array, client: Uint8Array]> = {
  "DATA": both(f.data(1, 3)),
  "DATA end": both(f.data(1, 3, f.END_STREAM)),
  "DATA empty end": both(f.data(1, 0, f.END_STREAM)),
  "HEADERS end": [f.headers(1, REQUEST), f.headers(1, RESPONSE)],
  "HEADERS": [f.headers(1, REQUEST, f.END_HEADERS), f.headers(1, RESPONSE, f.END_HEADERS)],
  "PRIORITY": both(f.frame(f.PRIORITY, 0, 1, [0, 0, 0, 0, 1])),
  "RST_STREAM": both(f.rstStream(1)),
  "PUSH_PROMISE": both(f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, [0, 0, 0, 2, ...f.block(REQUEST)])),
  "WINDOW_UPDATE": both(f.windowUpdate(1, 5)),
  "CONTINUATION": both(f.frame(f.CONTINUATION, f.END_HEADERS, 1, f.block(REQUEST))),
  "SETTINGS": both(f.frame(f.SETTINGS, 0, 1)),
  "PING": both(f.frame(f.PING, 0, 1, new Uint8Array(8))),
  "GOAWAY": both(f.frame(f.GOAWAY, 0, 1, new Uint8Array(8))),
  "PRIORITY_UPDATE": both(f.frame(f.PRIORITY_UPDATE, 0, 1, [0, 0, 0, 1])),
  "unknown": both(f.frame(0x55, 1, 1, [1, 2, 3])),
};

function both(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  return [bytes, bytes];
}

// What a cell says: "-" nothing; "P" connection error PROTOCOL_ERROR; "C" connection error STREAM_CLOSED; "s" stream error
// STREAM_CLOSED; "m" stream error PROTOCOL_ERROR (malformed); otherwise the events. Columns are STATES.
const data = "data 1 3";
const SERVER: Record<string, string[]> = {
  "DATA": /*           */ ["P", data, data, "s", "C", "C", "-"],
  "DATA end": /*       */ ["P", `${data} end`, `${data} end`, "s", "C", "C", "-"],
  "DATA empty end": /* */ ["P", "end 1", "end 1", "s", "C", "C", "-"],
  // a second head without END_STREAM, or with pseudo-header fields, is no trailer section
  "HEADERS end": /*    */ ["request 1 GET example.com / end", "m", "m", "s", "C", "C", "-"],
  "HEADERS": /*        */ ["request 1 GET example.com /", "m", "m", "s", "C", "C", "-"],
  "PRIORITY": /*       */ ["-", "-", "-", "-", "-", "-", "-"],
  "RST_STREAM": /*     */ ["P", "reset 1 CANCEL", "reset 1 CANCEL", "reset 1 CANCEL", "-", "-", "-"],
  "PUSH_PROMISE": /*   */ ["P", "P", "P", "P", "P", "P", "P"],
  "WINDOW_UPDATE": /*  */ ["P", "window 1", "window 1", "window 1", "-", "-", "-"],
  "CONTINUATION": /*   */ ["P", "P", "P", "P", "P", "P", "P"],
  "SETTINGS": /*       */ ["P", "P", "P", "P", "P", "P", "P"],
  "PING": /*           */ ["P", "P", "P", "P", "P", "P", "P"],
  "GOAWAY": /*         */ ["P", "P", "P", "P", "P", "P", "P"],
  "PRIORITY_UPDATE": /**/ ["P", "P", "P", "P", "P", "P", "P"],
  "unknown": /*        */ ["-", "-", "-", "-", "-", "-", "-"],
};

// A client's stream is idle until it asks. Nothing has been answered in "open" and "half-closed (local)"; in "half-closed
// (remote)" the whole answer has come while the request goes on.
const CLIENT: Record<string, string[]> = {
  ...SERVER,
  // content before the head
  "DATA": /*           */ ["P", "m", "m", "s", "C", "C", "-"],
  "DATA end": /*       */ ["P", "m", "m", "s", "C", "C", "-"],
  "DATA empty end": /* */ ["P", "m", "m", "s", "C", "C", "-"],
  "HEADERS end": /*    */ ["P", "response 1 200 end", "response 1 200 end", "s", "C", "C", "-"],
  "HEADERS": /*        */ ["P", "response 1 200", "response 1 200", "s", "C", "C", "-"],
};

const ANSWER = "HTTP/1.1 200 OK\r\n\r\n";
const ASK = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const REACH: Record<State, [server: (peer: H2Driver) => void, client: (peer: H2Driver) => void]> = {
  "idle": [() => {}, () => {}],
  "open": [(peer) => peer.receive(f.headers(1, POST, f.END_HEADERS)), (peer) => peer.ask(ASK, false)],
  "half-closed (local)": [(peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.answer(1, ANSWER, true);
  }, (peer) => peer.ask(GET)],
  "half-closed (remote)": [(peer) => peer.receive(f.headers(1, REQUEST)), (peer) => {
    peer.ask(ASK, false);
    peer.receive(f.headers(1, RESPONSE));
  }],
  "closed": [(peer) => {
    peer.receive(f.headers(1, REQUEST));
    peer.answer(1, ANSWER, true);
    peer.end(1);
  }, (peer) => {
    peer.ask(GET);
    peer.receive(f.headers(1, RESPONSE));
    peer.end(1);
  }],
  "reset by peer": [(peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.receive(f.rstStream(1));
  }, (peer) => {
    peer.ask(GET);
    peer.receive(f.rstStream(1));
  }],
  "reset by us": [(peer) => {
    peer.receive(f.headers(1, POST, f.END_HEADERS));
    peer.reset(1);
  }, (peer) => {
    peer.ask(GET);
    peer.reset(1);
  }],
};

function expected(cell: string, last: number): [events: string[], replies: string[]] {
  switch (cell) {
    case "-":
      return [[], []];
    case "P":
      return [["connection error PROTOCOL_ERROR"], [`GOAWAY ${last} PROTOCOL_ERROR`]];
    case "C":
      return [["connection error STREAM_CLOSED"], [`GOAWAY ${last} STREAM_CLOSED`]];
    case "s":
      return [["stream error 1 STREAM_CLOSED"], ["RST_STREAM 1 STREAM_CLOSED"]];
    case "m":
      return [["stream error 1 PROTOCOL_ERROR"], ["RST_STREAM 1 PROTOCOL_ERROR"]];
    default:
      return [[cell], []];
  }
}

const driver = new H2Driver();

function begin(role: number): void {
  driver.begin(role);
  driver.preface();
  driver.receive(role === abi.H2_ROLE_SERVER ? f.concat(f.MAGIC, f.settings()) : f.settings());
}

function play(role: number, state: State, name: string, cell: string): void {
  const isServer = role === abi.H2_ROLE_SERVER;
  begin(role);
  REACH[state][role]!(driver);
  driver.events = [];
  driver.replies = [];
  driver.receive(FRAMES[name]![role]!);
  driver.expect(...expected(cell, isServer && state !== "idle" ? 1 : 0));
  if (cell === "P" || cell === "C") return;
  // the connection goes on
  driver.receive(f.frame(f.PING, 0, 0, new Uint8Array(8)));
  driver.expect([], ["PING ack 0000000000000000"]);
}

for (const [role, table] of [[abi.H2_ROLE_SERVER, SERVER], [abi.H2_ROLE_CLIENT, CLIENT]] as const) {
  for (const [column, state] of STATES.entries()) {
    Deno.test(`h2 states: ${role === abi.H2_ROLE_SERVER ? "server" : "client"}, ${state}: every frame`, () => {
      assertEquals(Object.keys(table).sort(), Object.keys(FRAMES).sort());
      for (const name of Object.keys(FRAMES)) {
        try {
          play(role, state, name, table[name]![column]!);
        } catch (error) {
          (error as Error).message = `${name}: ${(error as Error).message}`;
          throw error;
        }
      }
    });
  }
}

// Streams that were never looked at: what comes of them was under way, as if they had been reset by us.
const UNHEARD: [name: string, last: number, reach: () => void][] = [
  ["refused", 1, () => {
    driver.refuses = true;
    driver.receive(f.headers(1, POST, f.END_HEADERS));
    driver.refuses = false;
  }],
  ["beyond our GOAWAY", 0, () => driver.core.codec.h2Goaway(driver.h2, 0, 0)],
];

for (const [name, last, reach] of UNHEARD) {
  Deno.test(`h2 states: server, ${name}: every frame`, () => {
    for (const [frame, [bytes]] of Object.entries(FRAMES)) {
      begin(abi.H2_ROLE_SERVER);
      reach();
      driver.flush();
      driver.events = [];
      driver.replies = [];
      driver.receive(bytes);
      driver.expect(...expected(SERVER[frame]![STATES.indexOf("reset by us")]!, last));
    }
  });
}

/** What we may send in each state: HEADERS, DATA, RST_STREAM that the peer hears of. */
const SENDS: Record<State, string> = {
  "idle": "",
  "open": "HDR",
  "half-closed (local)": "R",
  "half-closed (remote)": "HDR",
  "closed": "",
  "reset by peer": "",
  "reset by us": "",
};

/** HEADERS of a message in HTTP/1; their length. */
function sendHead(role: number): number {
  if (role === abi.H2_ROLE_SERVER) return driver.answer(1, ANSWER).length;
  const { core, h2 } = driver;
  const source = driver.parse(GET);
  const idAt = core.textAt + abi.TEXT_REQUEST_IDS;
  const to = core.codec.headScratchAt();
  return core.codec.h2PutRequest(h2, driver.streams.get(1)!, source, 80, 0, idAt, 0, 0, 1, 0, to);
}

for (const [role, name] of [[abi.H2_ROLE_SERVER, "server"], [abi.H2_ROLE_CLIENT, "client"]] as const) {
  Deno.test(`h2 states: a ${name} sends what the state allows`, () => {
    for (const state of STATES.slice(1)) {
      let sends = "";
      for (const what of "HDR") {
        begin(role);
        REACH[state][role]!(driver);
        const record = driver.streams.get(1);
        driver.replies = [];
        if (record === undefined) continue;
        if (what === "H" && sendHead(role) > 0) sends += what;
        if (what === "D" && driver.sendable(1) > 0 && driver.putData(1, 1) > 0) sends += what;
        if (what !== "R") continue;
        driver.reset(1);
        if (driver.replies.length > 0) sends += what;
      }
      assertEquals(sends, SENDS[state], state);
    }
  });
}
