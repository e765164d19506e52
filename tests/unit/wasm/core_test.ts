// The module itself: what it imports, what it is built from, how much memory it takes, and what it refuses to start with.

import * as abi from "../../../assembly/abi.ts";
import { type CoreLimits, instantiateCore } from "../../../src/wasm/core.ts";
import { loadCore } from "../../../src/wasm/core_module.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../../support/assert.ts";
import { CodecDriver, LIMITS } from "../../support/codec.ts";
import { createRandom } from "../../support/random.ts";
import { makeCuts, Mutant } from "../../fuzz/mutant.ts";

Deno.test("core.wasm imports nothing and exports one memory", () => {
  const module = new WebAssembly.Module(loadCore());
  assertEquals(WebAssembly.Module.imports(module), []);
  const kinds = WebAssembly.Module.exports(module).map(({ kind }) => kind);
  assertEquals(kinds.filter((kind) => kind !== "function"), ["memory"]);
});

Deno.test("the codec has nothing where the map begins: its statics are static", () => {
  const { u8, codec } = instantiateCore(LIMITS);
  const at = codec.resultAt();
  assertEquals(u8.subarray(at, at + 16384).findIndex((byte) => byte !== 0), -1);
});

/** (module (func (export "abiVersion") (result i32) (i32.const VERSION))) */
function moduleOfVersion(version: number): Uint8Array<ArrayBuffer> {
  const name = [...new TextEncoder().encode("abiVersion")];
  const section = (id: number, ...bytes: number[]) => [id, bytes.length, ...bytes];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 0, 1, 0x7f),
    ...section(3, 1, 0),
    ...section(7, 1, name.length, ...name, 0, 0),
    ...section(10, 1, 4, 0, 0x41, version, 0x0b),
  ]);
}

Deno.test("instantiateCore() refuses a module of another ABI", () => {
  const error = assertThrows(() => instantiateCore(LIMITS, new WebAssembly.Module(moduleOfVersion(63))));
  assertMatch(error.message, new RegExp(`ABI 63, this program expects ${abi.ABI_VERSION}: build it again`));
});

Deno.test("instantiateCore() refuses limits that need more than 2 GiB", () => {
  const limits = { ...LIMITS, buffers: 65536, bufferBytes: 1 << 20 };
  assertMatch(assertThrows(() => instantiateCore(limits)).message, /^limits: .* more than the 2 GiB/);
});

/** Every region of the map as [first, behind the last]. */
function regions({ core }: CodecDriver, limits: CoreLimits): [at: number, end: number][] {
  return [
    [core.codec.resultAt(), core.codec.resultAt() + abi.RESULT_WORDS * 4],
    [core.systemAt, core.systemAt + 16384],
    [core.codec.headScratchAt(), core.codec.headScratchAt() + 2 * limits.headerBytesMax + abi.HEADROOM],
    [core.textAt, core.textAt + 65536],
    [core.logBatchAt, core.logBatchAt + 65536 + limits.logRecordBytes + 512],
    [core.recordsAt, core.recordAt(limits.records)],
    [core.logRecordsAt, core.logRecordsAt + limits.logRecords * limits.logRecordBytes],
    [core.buffersAt, core.buffersAt + limits.buffers * core.bufferStride],
  ];
}

const MAPS: Partial<CoreLimits>[] = [
  {},
  { records: 1, logRecords: 0, buffers: 1, bufferBytes: 4096, headersMax: 16, headerBytesMax: 512, targetBytesMax: 64 },
  {
    records: 20_000,
    logRecords: 20_000,
    buffers: 100,
    bufferBytes: 1 << 20,
    headersMax: 1000,
    headerBytesMax: 1 << 19,
  },
];

Deno.test("core's regions lie one behind the other, inside its memory", () => {
  for (const some of MAPS) {
    const limits = { ...LIMITS, ...some };
    const driver = new CodecDriver(some);
    const places = [...regions(driver, limits), [driver.core.u8.length, driver.core.u8.length]];
    for (let i = 1; i < places.length; i++) {
      assert(places[i - 1]![1]! <= places[i]![0]!, `${JSON.stringify(some)}: regions ${i - 1} and ${i} overlap`);
    }
    assert(
      driver.core.recordsAt % 64 === 0 && driver.core.buffersAt % 4096 === 0,
      "records or buffers are not aligned",
    );
    assert(driver.core.bytesOffset >= limits.headersMax * abi.HEADER_ENTRY + abi.HEADROOM, "no room before the bytes");
  }
});

Deno.test("core's HTTP/2 records lie between the log records and the buffers, and cost nothing when there are none", () => {
  const limits = { ...LIMITS, h2Connections: 1000, h2Streams: 100 };
  const { core } = new CodecDriver(limits);
  const end = core.h2RecordsAt + limits.h2Connections * core.h2RecordBytes;
  const logEnd = core.logRecordsAt + limits.logRecords * limits.logRecordBytes;
  assert(
    logEnd <= core.codec.h2ProfileAt(0) && core.codec.h2ProfileAt(abi.H2_PROFILES) < core.h2RecordsAt,
    "the profiles overlap",
  );
  assert(end <= core.buffersAt && core.h2RecordsAt % 64 === 0, "the records overlap");
  // all of it is touched by an idle connection
  assert(core.h2RecordBytes < 5400, `${core.h2RecordBytes} bytes a connection`);
  const without = new CodecDriver();
  assertEquals([without.core.h2RecordsAt, core.buffersAt - without.core.buffersAt > 1000 * core.h2RecordBytes], [
    0,
    true,
  ]);
});

Deno.test("core's memory never grows after its start", () => {
  const driver = new CodecDriver();
  const { memory } = driver.core.codec;
  const buffer = memory.buffer;
  const bytes = buffer.byteLength;
  const mutant = new Mutant();
  for (let seed = 0; seed < 20_000; seed++) {
    const random = createRandom(seed);
    mutant.make(seed % 2 ? "request" : "response", random);
    const cuts = makeCuts(mutant.length, random);
    if (seed % 2) driver.request(mutant.view(), cuts);
    else driver.response(mutant.view(), cuts);
  }
  assertEquals([memory.buffer === buffer, memory.buffer.byteLength], [true, bytes]);
});

Deno.test("core takes little more memory than its limits ask for", () => {
  const limits = { ...LIMITS, records: 1000, buffers: 1000 };
  const { core } = new CodecDriver(limits);
  const asked = limits.buffers * limits.bufferBytes + limits.records * abi.RECORD;
  assert(core.u8.length < asked * 1.3 + (1 << 20), `${core.u8.length} bytes for ${asked}`);
});
