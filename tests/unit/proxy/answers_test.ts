// The texts of the proxy's own answers: what HTTP and gRPC are told of each refusal, and that all of them have room, however
// long the texts of the configuration are.

import { Answers, REFUSALS } from "../../../src/ts/proxy/answers.ts";
import { type Core, instantiateCore } from "../../../src/wasm/core.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { toText } from "../../support/bytes.ts";
import { LIMITS } from "../../support/codec.ts";

const ANSWER_BYTES_MAX = 1024;
const STATUSES = [...new Set([...REFUSALS.values()].map(({ status }) => status))];

function written(core: Core, answers: Answers, refusal: number): { http: string; grpc: string } {
  const to = core.codec.headScratchAt();
  const read = (length: number) => toText(core.u8.slice(to, to + length));
  return {
    http: read(answers.write(to, refusal, null, false, false, false)),
    grpc: read(answers.writeGrpc(to, refusal)),
  };
}

Deno.test("Answers gives calls of gRPC a code for each status, the words, and no body", () => {
  const core = instantiateCore(LIMITS);
  const answers = new Answers(core, {});
  const codes: Record<number, Set<string>> = {};
  for (const [refusal, { status, body }] of REFUSALS) {
    const { grpc } = written(core, answers, refusal);
    const match =
      /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/grpc\r\nGrpc-Status: (\d+)\r\nGrpc-Message: (.*)\r\n/
        .exec(grpc);
    assert(match !== null && grpc.endsWith("\r\n\r\n"), grpc);
    assertEquals(match[2], body);
    (codes[status] ??= new Set()).add(match[1]!);
  }
  assertEquals(Object.entries(codes).map(([status, set]) => `${status} ${[...set]}`), [
    "400 13",
    "404 12",
    "405 2",
    "408 4",
    "413 8",
    "414 8",
    "421 2",
    "431 8",
    "501 2",
    "502 14",
    "503 14",
    "504 14",
    "505 2",
  ]);
});

Deno.test("Answers has room for the longest texts that may be configured", () => {
  const core = instantiateCore(LIMITS);
  // what lies behind the texts
  const behind = core.u8.subarray(core.logBatchAt, core.logBatchAt + 65_536);
  behind.fill(0xaa);
  const answers = new Answers(core, {});
  answers.setBodies(Object.fromEntries(STATUSES.map((status) => [status, "%".repeat(ANSWER_BYTES_MAX)])));
  assert(behind.every((byte) => byte === 0xaa), "the texts are longer than their area");
  for (const [refusal, { status }] of REFUSALS) {
    const { http, grpc } = written(core, answers, refusal);
    assert(http.startsWith(`HTTP/1.1 ${status} `) && http.endsWith("\r\n\r\n" + "%".repeat(ANSWER_BYTES_MAX)), http);
    // whole characters of three bytes
    assert(grpc.includes(`Grpc-Message: ${"%25".repeat(341)}\r\n`), grpc);
  }
});
