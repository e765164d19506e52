// Durations and sizes at the boundaries of their notation.

import { formatDuration, formatSize, parseDuration, parseSize } from "../../../src/ts/config/mod.ts";
import { DURATION_PATTERN, SIZE_PATTERN } from "../../../src/ts/config/units.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";

const DURATIONS: [string, number][] = [
  ["0s", 0],
  ["0ms", 0],
  ["1ms", 1],
  ["500ms", 500],
  ["10s", 10_000],
  ["1.5s", 1500],
  ["0.001s", 1],
  ["5m", 300_000],
  ["1h", 3_600_000],
  ["0.1h", 360_000],
  ["7d", 604_800_000],
  ["007s", 7000],
  ["999999999999ms", 999_999_999_999],
];

const SIZES: [string, number][] = [
  ["0", 0],
  ["512", 512],
  ["1B", 1],
  ["1kB", 1000],
  ["1KB", 1000],
  ["16KiB", 16_384],
  ["1.5KiB", 1536],
  ["0.5MiB", 524_288],
  ["1MiB", 1_048_576],
  ["10MB", 10_000_000],
  ["1GiB", 1_073_741_824],
  ["2GB", 2e9],
  ["1TiB", 2 ** 40],
  ["1TB", 1e12],
  ["8191TiB", 8191 * 2 ** 40],
];

Deno.test("parseDuration() and parseSize() give whole milliseconds and bytes", () => {
  for (const [text, ms] of DURATIONS) assertEquals(parseDuration(text), ms, text);
  for (const [text, bytes] of SIZES) assertEquals(parseSize(text), bytes, text);
});

Deno.test("parseDuration() refuses, and says what could be meant", () => {
  const refused: [string, RegExp][] = [
    ["10", /write a unit: "10s" or "10ms"/],
    ["", /such as "500ms"/],
    ["s", /such as/],
    ["-1s", /such as/],
    ["+1s", /such as/],
    ["1e3s", /such as/],
    ["1.s", /such as/],
    [".5s", /such as/],
    ["1h30m", /such as/],
    ["1 s", /without space: "1s"/],
    ["10S", /did you mean "10s"/],
    ["10sec", /did you mean "10s"/],
    ["5min", /did you mean "5m"/],
    ["2hours", /did you mean "2h"/],
    ["20millis", /did you mean "20ms"/],
    ["10x", /such as "500ms", "10s", "5m" or "1h", got "10x"$/],
    ["10toString", /such as/],
    ["0.5ms", /a whole number of milliseconds/],
    ["1.0005s", /a whole number of milliseconds/],
    ["12345678901234567ms", /such as/],
    ["9007199254740992ms", /below 2\^53/],
    ["999999999999d", /below 2\^53/],
    ["٣s", /such as/],
  ];
  for (const [text, pattern] of refused) assertThrows(() => parseDuration(text), pattern);
});

Deno.test("parseSize() refuses, and says what could be meant", () => {
  const refused: [string, RegExp][] = [
    ["16K", /did you mean "16KiB"/],
    ["16k", /did you mean "16KiB"/],
    ["1M", /did you mean "1MiB"/],
    ["1G", /did you mean "1GiB"/],
    ["16kib", /did you mean "16KiB"/],
    ["10mb", /did you mean "10MB"/],
    ["1 MiB", /without space: "1MiB"/],
    ["1.5", /a whole number of bytes/],
    ["1.0001KiB", /a whole number of bytes/],
    ["-1", /such as/],
    ["8192TiB", /below 2\^53/],
    ["9007199254740992", /below 2\^53/],
    ["1PiB", /such as/],
    ["0x10", /such as/],
  ];
  for (const [text, pattern] of refused) assertThrows(() => parseSize(text), pattern);
});

Deno.test("formatDuration() and formatSize() give what the parsers read back", () => {
  const durations = [0, 1, 999, 1000, 1001, 59_999, 60_000, 90_000, 3_600_000, 86_400_000, 90_061_001, 604_800_000];
  for (const ms of durations) assertEquals(parseDuration(formatDuration(ms)), ms);
  const sizes = [0, 1, 1000, 1023, 1024, 1025, 16_384, 1_048_576, 1_048_577, 2 ** 30, 2 ** 40, Number.MAX_SAFE_INTEGER];
  for (const bytes of sizes) assertEquals(parseSize(formatSize(bytes)), bytes);
  assertEquals([90_000, 3_600_000, 1500].map(formatDuration), ["90s", "1h", "1500ms"]);
  assertEquals([1023, 12_288, 1_048_576].map(formatSize), ["1023", "12KiB", "1MiB"]);
});

Deno.test("the patterns of the JSON Schema accept what the parsers accept", () => {
  for (const [text] of DURATIONS) assert(new RegExp(DURATION_PATTERN).test(text), text);
  for (const [text] of SIZES) assert(new RegExp(SIZE_PATTERN).test(text) || /^\d+$/.test(text), text);
});
