import { parseOptions } from "../../../src/ts/cli/options.ts";
import { duration, shown, size, table, visible } from "../../../src/ts/cli/output.ts";
import { assertEquals, assertThrows } from "../../support/assert.ts";

const KNOWN = {
  values: ["config", "socket"],
  lists: ["header"],
  flags: ["now"],
  aliases: { "-c": "config", "-H": "header" },
};

Deno.test("parseOptions() takes values, flags, short forms and operands", () => {
  assertEquals(parseOptions(["-c", "a.yaml", "x", "--socket=s=1", "--now", "--", "--now"], KNOWN), {
    values: { config: "a.yaml", socket: "s=1" },
    lists: {},
    flags: new Set(["now"]),
    operands: ["x", "--now"],
  });
});

Deno.test("parseOptions() collects what may be given more than once, and takes a value joined to a short form", () => {
  const { lists, values } = parseOptions(["-H", "a: 1", "-Hb: 2", "--header=c: 3", "-cx"], KNOWN);
  assertEquals([lists, values], [{ header: ["a: 1", "b: 2", "c: 3"] }, { config: "x" }]);
  assertThrows(() => parseOptions(["-H"], KNOWN), /-H needs a value/);
});

Deno.test("parseOptions() lets a value be empty where that means something", () => {
  assertEquals(parseOptions(["--user", ""], { values: ["user"], empty: ["user"] }).values, { user: "" });
});

Deno.test("parseOptions() refuses what is not declared, and says what may have been meant", () => {
  assertThrows(() => parseOptions(["--confg", "x"], KNOWN), /unknown option --confg; did you mean --config\?/);
  assertThrows(() => parseOptions(["-x"], KNOWN), /unknown option -x$/);
  assertThrows(() => parseOptions(["--now=1"], KNOWN), /unknown option --now/);
  assertThrows(() => parseOptions(["--socket"], KNOWN), /--socket needs a value/);
  assertThrows(() => parseOptions(["--socket="], KNOWN), /--socket needs a value/);
  assertThrows(() => parseOptions(["--socket", "--now"], KNOWN), /--socket needs a value/);
  assertEquals(parseOptions(["--socket", "-----BEGIN"], KNOWN).values, { socket: "-----BEGIN" });
});

Deno.test("duration() and size() are for people", () => {
  const times = [0, 999, 1_000, 61_000, 3_600_000, 3_661_000, 90_061_000, 86_400_000 * 400];
  assertEquals(times.map(duration), ["0ms", "999ms", "1s", "1m 1s", "1h", "1h 1m", "1d 1h", "400d"]);
  assertEquals([0, 1024, 1_048_576, 13_631_488].map(size), ["0 KiB", "1 KiB", "1.0 MiB", "13.0 MiB"]);
});

Deno.test("table() lines up its columns", () => {
  assertEquals(table(["NAME", "N"], [["a", "1"], ["longer", "22"]]), "NAME     N\na        1\nlonger  22");
});

Deno.test("table() puts numbers to the right, and addresses to the left", () => {
  assertEquals(
    table(["A", "N"], [["10.0.0.1:80", "-1"], ["a:1", "22 KiB/s"]]),
    "A                   N\n10.0.0.1:80        -1\na:1          22 KiB/s",
  );
  assertEquals(table(["A", "N"], []), "A  N");
});

Deno.test("visible() and shown() let nothing through that steers a terminal", () => {
  assertEquals(visible("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  assertEquals(["app", "/api/*", "two words", "", 4, "\x9b"].map(shown), [
    "app",
    "/api/*",
    '"two words"',
    '""',
    "4",
    '"\\x9b"',
  ]);
});
