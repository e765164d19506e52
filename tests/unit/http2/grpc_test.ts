// Which requests are calls of gRPC, as the codec says with their flags, also of heads that it refuses; and trailers of the proxy's
// own.

import * as abi from "../../../assembly/abi.ts";
import { assertEquals } from "../../support/assert.ts";
import { fromText } from "../../support/bytes.ts";
import { H2Driver, POST, REQUEST } from "../../support/h2.ts";
import * as f from "../../support/h2_frames.ts";

const driver = new H2Driver();
const { core } = driver;

function begin(): void {
  driver.begin(abi.H2_ROLE_SERVER);
  driver.preface();
  driver.receive(f.MAGIC);
  driver.receive(f.settings());
}

/** Whether a request with these fields is one, and what was found besides. */
function flagsOf(fields: readonly f.Field[]): { isCall: boolean; events: string[] } {
  begin();
  driver.events = [];
  driver.receive(f.headers(1, fields, f.END_HEADERS));
  return { isCall: (core.result[abi.R_FLAGS]! & abi.F_GRPC) !== 0, events: driver.events };
}

const CALLS = [
  "application/grpc",
  "application/grpc+proto",
  "application/grpc+json",
  "application/grpc;v=1",
  "APPLICATION/gRPC",
];
const OTHERS = [
  "application/grpc-web",
  "application/grpc-web+proto",
  "application/grp",
  "application/grpcx",
  "text/grpc",
  "",
];

Deno.test("F_GRPC: a POST whose media type is application/grpc, with a suffix or parameters", () => {
  for (const type of CALLS) assertEquals(flagsOf([...POST, ["content-type", type]]).isCall, true, type);
  for (const type of OTHERS) assertEquals(flagsOf([...POST, ["content-type", type]]).isCall, false, type);
  assertEquals(flagsOf(POST).isCall, false);
  assertEquals(flagsOf([...POST, ["x-content-typ", CALLS[0]!], ["content-typf", CALLS[0]!]]).isCall, false);
  assertEquals(flagsOf([...REQUEST, ["content-type", CALLS[0]!]]).isCall, false);
  const last = flagsOf([...POST, ["a", "1"], ["te", "trailers"], ["user-agent", "x"], ["content-type", CALLS[0]!]]);
  assertEquals([last.isCall, last.events.length], [true, 1]);
});

Deno.test("F_GRPC: a head that is refused says it as well, and says no more of the one before", () => {
  const long: f.Field = ["x-long", "x".repeat(core.limits.headerBytesMax)];
  const call: f.Field = ["content-type", CALLS[0]!];
  const refusal = [`refusal 1 ${abi.HEADER_TOO_LARGE}`];
  assertEquals(flagsOf([...POST, call, long]), { isCall: true, events: refusal });
  assertEquals(flagsOf([...POST, long]), { isCall: false, events: refusal });
  const badPath = POST.map(([name, value]): f.Field => name === ":path" ? [name, "/<>"] : [name, value]);
  assertEquals(flagsOf([...badPath, call]), { isCall: true, events: [`refusal 1 ${abi.BAD_REQUEST}`] });
  assertEquals(flagsOf([...badPath]), { isCall: false, events: [`refusal 1 ${abi.BAD_REQUEST}`] });
});

Deno.test("h2PutLines without a status writes trailers, which end a stream whose head has been sent", () => {
  begin();
  driver.receive(f.headers(1, [...POST, ["content-type", CALLS[0]!]], f.END_HEADERS));
  const { codec, u8, textAt } = core;
  const stream = driver.streams.get(1)!;
  const to = codec.headScratchAt();
  const reader = new f.BlockReader();
  const put = (status: number, lines: string, ends: number) => {
    const at = textAt + abi.TEXT_ANSWERS + 64;
    u8.set(fromText(lines), at);
    const length = codec.h2PutLines(driver.h2, stream, status, at, lines.length, ends, to);
    return f.frames(u8.slice(to, to + length)).map(({ type, flags, payload }) => [
      type,
      flags & f.END_STREAM,
      reader.read(payload),
    ]);
  };
  assertEquals(put(200, "Content-Type: application/grpc\r\n", 0), [
    [f.HEADERS, 0, [[":status", "200"], ["content-type", "application/grpc"]]],
  ]);
  assertEquals(put(0, "Grpc-Status: 14\r\nGrpc-Message: a b\r\n", 1), [
    [f.HEADERS, f.END_STREAM, [["grpc-status", "14"], ["grpc-message", "a b"]]],
  ]);
  // and nothing more
  assertEquals(put(0, "Grpc-Status: 14\r\n", 1), []);
});
