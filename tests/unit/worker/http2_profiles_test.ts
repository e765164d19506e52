// What HTTP/2 connections bear, as a worker tells the codec: a profile for each listener, and one for all backends.

import * as abi from "../../../assembly/abi.ts";
import { checkState } from "../../../src/ts/config/check_state.ts";
import type { State } from "../../../src/ts/config/state.ts";
import type { Listener } from "../../../src/ts/net/listener.ts";
import { Http2Profiles } from "../../../src/ts/worker/http2_profiles.ts";
import type { WorkerChange, WorkerSnapshot } from "../../../src/ts/worker/protocol.ts";
import { instantiateCore } from "../../../src/wasm/core.ts";
import { assert, assertEquals, assertThrows } from "../../support/assert.ts";
import { LIMITS } from "../../support/codec.ts";

function listeners(names: readonly string[], http2 = {}): State["listeners"] {
  const form = names.map((name) => [name, { address: "127.0.0.1:0", h2c: true, http2 }]);
  const { state } = checkState({ listeners: Object.fromEntries(form) }, "f");
  assert(state);
  return state.listeners;
}

function scene(names: readonly string[]) {
  const core = instantiateCore({ ...LIMITS, h2Connections: 1, h2Streams: 128 });
  const state = { listeners: listeners(names) } as State;
  const profiles = new Http2Profiles(core, { state } as WorkerSnapshot);
  return { profiles, word: (number: number, word: number) => core.i32[(core.codec.h2ProfileAt(number) >> 2) + word]! };
}

const change = (listenersHttp2: State["listeners"], listenersRemoved: string[] = []) =>
  ({ listenersHttp2, listenersRemoved }) as unknown as WorkerChange;

function numberOf(profiles: Http2Profiles, name: string): number {
  const listener = { name } as Listener;
  profiles.equip(listener);
  return listener.http2Profile;
}

Deno.test("connections to backends have a profile of their own, ten times as patient", () => {
  const { profiles, word } = scene(["web"]);
  const web = numberOf(profiles, "web");
  assert(web !== abi.H2_CLIENT_PROFILE);
  const rates = Array.from({ length: abi.ABUSE_COUNT }, (_, at) => at + 1).filter((at) =>
    at !== abi.ABUSE_CONTINUATIONS
  );
  for (const rate of rates) {
    assert(word(web, rate) > 0, `rate ${rate}`);
    assertEquals(word(abi.H2_CLIENT_PROFILE, rate), 10 * word(web, rate), `rate ${rate}`);
  }
  const settings = [abi.ABUSE_CONTINUATIONS, abi.P_STREAM_WINDOW, abi.P_CONNECTION_WINDOW, abi.P_HEADER_LIST];
  assertEquals(settings.map((at) => word(abi.H2_CLIENT_PROFILE, at)), [20, 65_536, 1_048_576, LIMITS.headerBytesMax]);
  assertEquals(word(abi.H2_CLIENT_PROFILE, abi.P_CONNECT_PROTOCOL), 0, "a client has none to offer");
});

Deno.test("listeners have all other profiles, and one too many is refused", () => {
  const names = Array.from({ length: abi.H2_CLIENT_PROFILE }, (_, at) => `l${at}`);
  const { profiles, word } = scene(names);
  assertEquals(new Set(names.map((name) => numberOf(profiles, name))).size, names.length);
  const error = assertThrows(() => profiles.prepare(change(listeners(["more"]))));
  assertEquals(error.message, `a worker has room for ${abi.H2_CLIENT_PROFILE} listeners by name`);
  const patient = word(abi.H2_CLIENT_PROFILE, abi.ABUSE_RESETS);
  const instead = change(listeners(["more"], { abuse: { resets: 7 } }), ["l3"]);
  const before = numberOf(profiles, "l3");
  profiles.commit(instead);
  assertEquals(numberOf(profiles, "more"), before, "the number of the one that went");
  assertEquals([word(before, abi.ABUSE_RESETS), word(abi.H2_CLIENT_PROFILE, abi.ABUSE_RESETS)], [7, patient]);
});
