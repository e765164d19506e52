import { Log } from "../../../src/ts/observe/log.ts";
import { assertEquals } from "../../support/assert.ts";

const TIME = "2026-01-31T12:00:00.123Z";

function logged(body: (log: Log) => void): string[] {
  const lines: string[] = [];
  body(new Log((line) => lines.push(line), () => new Date(TIME)));
  return lines;
}

Deno.test("Log writes time, level, text and fields in one line", () => {
  assertEquals(
    logged((log) => log.info("worker is ready", { slot: 0, took_ms: 1.5, ok: true, gone: undefined, by: "signal 9" })),
    [`${TIME} INFO  worker is ready  slot=0 took_ms=1.5 ok=true by="signal 9"\n`],
  );
});

Deno.test("Log cannot be made to write a second line, or a field that is none", () => {
  assertEquals(
    logged((log) => log.error("a\nb\x1b[0m", { x: "1\n2", y: 'say "hi"', z: "\x7f\x9b", k: "a=b", empty: "" })),
    [
      `${TIME} ERROR a\\u000ab\\u001b[0m  x="1\\n2" y="say \\"hi\\"" z="\\u007f\\u009b" k="a=b" empty=""\n`,
    ],
  );
});

Deno.test("Log leaves out what is below its level", () => {
  const all = (log: Log) => {
    log.debug("1");
    log.info("2");
    log.warn("3");
    log.error("4");
  };
  assertEquals(logged(all).length, 3);
  assertEquals(logged((log) => (log.level = "error", all(log))).length, 1);
  assertEquals(logged((log) => (log.level = "debug", all(log))).length, 4);
});
