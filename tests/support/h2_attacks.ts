// What clients do that mean harm, one connection of each: the bytes that they send, and how they go on. Everything is sent at
// the defaults of the limits, so each costs a worker what it may cost.

import { fromText } from "./bytes.ts";
import type { Http2Client } from "./h2_client.ts";
import * as f from "./h2_frames.ts";
import type { Field } from "./h2_frames.ts";

export interface Attack {
  name: string;
  /** CVE, where it has one. */
  about?: string;
  /** What the client says of its settings at first. */
  settings?: [number, number][];
  /** Counter that has to move by one for each connection at least. */
  counter: string;
  /** A frame that the client must see, in words. */
  reaction: RegExp;
  /** The connection ends with it. */
  ends: boolean;
  /** How many connections at once. */
  atOnce?: number;
  run(client: Http2Client): Promise<void>;
}

const CALM = /^GOAWAY \d+ ENHANCE_YOUR_CALM$/;
const INITIAL_WINDOW_SIZE = 4;
const LINE: Field[] = [[":method", "GET"], [":scheme", "http"], [":authority", "a.test"], [":path", "/stall"]];
const LARGE: Field[] = [...LINE.slice(0, 3), [":path", "/large"]];
const get = (id: number, line = LINE) => f.headers(id, line);
const post = (id: number) => f.headers(id, [[":method", "POST"], ...LINE.slice(1)], f.END_HEADERS);

function many(count: number, of: (i: number) => Uint8Array): Uint8Array {
  return f.concat(...Array.from({ length: count }, (_, i) => of(i)));
}

/** Sends the same bytes each time. */
function sends(...parts: Uint8Array[]): (client: Http2Client) => Promise<void> {
  const bytes = f.concat(...parts);
  return (client) => client.send(bytes);
}

function flood(name: string, counter: string, about: string, ...parts: Uint8Array[]): Attack {
  return { name, about, counter: `h2.abuse.${counter}`, reaction: CALM, ends: true, run: sends(...parts) };
}

const ping = f.frame(f.PING, 0, 0, new Uint8Array(8));
/** An entry of the table that nearly fills it, and then a byte for each time that it is said again. */
const bomb = (() => {
  const value = "b".repeat(4000);
  const entry = [0x40, 1, 0x61, 127, ...[(4000 - 127) & 127 | 128, (4000 - 127) >> 7], ...fromText(value)];
  return [...f.block(LINE), ...entry, ...new Array<number>(8000).fill(0xbe)];
})();

export const ATTACKS: Attack[] = [
  flood(
    "rapid reset",
    "rapid_reset",
    "CVE-2023-44487",
    many(300, (i) => f.concat(get(2 * i + 1), f.rstStream(2 * i + 1))),
  ),
  flood(
    "made-you-reset by a window of more than 2^31",
    "made_you_reset",
    "CVE-2025-8671",
    many(200, (i) => f.concat(get(2 * i + 1), f.windowUpdate(2 * i + 1, 0x7fffffff))),
  ),
  flood(
    "made-you-reset by malformed requests",
    "made_you_reset",
    "CVE-2025-8671",
    many(200, (i) => get(2 * i + 1, [...LINE, ["Upper", "x"]])),
  ),
  flood(
    "CONTINUATION without end",
    "continuation",
    "CVE-2024-27316",
    f.frame(f.HEADERS, 0, 1, f.block(LINE)),
    many(100, () => f.frame(f.CONTINUATION, 0, 1, f.block([["a", "b"]]))),
  ),
  flood(
    "CONTINUATION of large parts",
    "header_block",
    "CVE-2024-27316",
    f.frame(f.HEADERS, 0, 1, f.block(LINE)),
    many(4, () => f.frame(f.CONTINUATION, 0, 1, f.block([["a", "b".repeat(16_000)]]))),
  ),
  flood(
    "HPACK bomb",
    "header_list",
    "CVE-2016-6581",
    f.frame(f.HEADERS, f.END_HEADERS | f.END_STREAM, 1, bomb),
  ),
  flood("SETTINGS", "settings", "CVE-2019-9515", many(500, () => f.settings([INITIAL_WINDOW_SIZE, 65_535]))),
  flood(
    "SETTINGS of many entries",
    "settings_size",
    "CVE-2019-9515",
    f.settings(...Array.from({ length: 2000 }, () => [77, 1] as [number, number])),
  ),
  flood("PING", "ping", "CVE-2019-9512", many(1000, () => ping)),
  flood("empty DATA", "empty_frames", "CVE-2019-9518", post(1), many(1000, () => f.frame(f.DATA, 0, 1))),
  flood("WINDOW_UPDATE", "window_update", "", get(1), many(3000, (i) => f.windowUpdate(i % 2, 1))),
  flood("PRIORITY", "priority", "CVE-2019-9513", many(3000, (i) => f.frame(f.PRIORITY, 0, 2 * i + 1, [0, 0, 0, 0, 1]))),
  flood(
    "PRIORITY_UPDATE",
    "priority",
    "CVE-2019-9513",
    get(1),
    many(3000, () => f.frame(f.PRIORITY_UPDATE, 0, 0, [...f.u32(1), ...fromText("u=0")])),
  ),
  flood("unknown frames", "ignored_frames", "", many(3000, () => f.frame(99, 0, 1, [1, 2, 3]))),
  flood("frames of streams that are over", "ignored_frames", "", get(1), many(3000, () => f.rstStream(1))),
  flood("more streams than are allowed", "refused_streams", "", many(400, (i) => get(2 * i + 1))),
  {
    name: "windows of a byte",
    about: "CVE-2019-9511",
    settings: [[INITIAL_WINDOW_SIZE, 1]],
    counter: "h2.abuse.small_frames",
    reaction: CALM,
    ends: true,
    // the client opens each window by the byte that came
    run: sends(many(20, (i) => get(2 * i + 1, LARGE))),
  },
  {
    name: "windows that stay shut",
    about: "CVE-2019-9517",
    settings: [[INITIAL_WINDOW_SIZE, 0]],
    counter: "h2.streams.stalled",
    reaction: /^RST_STREAM 1 CANCEL$/,
    ends: false,
    atOnce: 4,
    run: sends(many(100, (i) => get(2 * i + 1, LARGE))),
  },
  {
    name: "windows that open by a byte now and then",
    about: "CVE-2019-9511",
    settings: [[INITIAL_WINDOW_SIZE, 0]],
    counter: "h2.streams.stalled",
    reaction: /^RST_STREAM 1 CANCEL$/,
    ends: false,
    atOnce: 4,
    async run(client) {
      client.reads = false;
      await client.send(many(50, (i) => get(2 * i + 1, LARGE)));
      for (let i = 0; i < 40 && client.peer.end === "open"; i++) {
        await client.send(many(50, (n) => f.windowUpdate(2 * n + 1, 1)));
        if (client.words.some((word) => word === "RST_STREAM 1 CANCEL")) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  },
  {
    name: "heads that are too large",
    counter: "refused.header_too_large",
    reaction: /^HEADERS 1 /,
    ends: false,
    run: sends(many(20, (i) => get(2 * i + 1, [...LINE, ["x-long", "y".repeat(13_000)]]))),
  },
];
